import subprocess
import sys

import pytest

from lab.registered import register
from wavepaint.errors import OptionError
from wavepaint.evaluation.registry import METHODS, METRIC_LOADERS
from wavepaint.evaluation.run import load_scorers

WITHOUT_LAB = """
import sys
from wavepaint.evaluation.methods import METHODS
from wavepaint.evaluation.run import METRIC_LOADERS
assert "package" in METHODS and "pixels" in METRIC_LOADERS
assert "patchmatch" not in METHODS and "fid" not in METRIC_LOADERS
assert not [name for name in sys.modules if name.split(".")[0] == "lab"]
import lab
assert "patchmatch" in METHODS and "fid" in METRIC_LOADERS
assert "torch" not in sys.modules and "cv2" not in sys.modules
"""


def test_the_product_knows_nothing_of_the_lab_until_it_is_imported():
    done = subprocess.run([sys.executable, "-c", WITHOUT_LAB], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_second_registration_changes_nothing():
    before = list(METHODS), list(METRIC_LOADERS)
    register()
    assert (list(METHODS), list(METRIC_LOADERS)) == before


def test_an_unknown_metric_lists_the_known_ones():
    known = ", ".join(sorted(METRIC_LOADERS))
    with pytest.raises(OptionError, match=f"unknown metric 'beauty'; known: {known}"):
        load_scorers(["pixels", "beauty"], {})


def test_fid_asks_for_its_weights():
    with pytest.raises(OptionError, match="--weights inception=FILE"):
        load_scorers(["fid"], {})
