"""`wavepaint restore`: find damage and fill it."""

from __future__ import annotations

import warnings
from pathlib import Path

from wavepaint.cli.commands import command
from wavepaint.cli.console import share
from wavepaint.cli.find import Files, Images, mask_of, run
from wavepaint.options import Finding


@command(
    "wavepaint restore scan.tif -o clean.tif",
    "wavepaint restore scans/ -o clean/ --kinds scratches,dust",
    "wavepaint restore scan.tif -o clean.tif --infrared infrared.tif",
)
def restore(image: Images, *, files: Files, finding: Finding) -> None:
    """Find scratches, dust and stamps in an image, or in every image of a folder, and fill them.

    The mask of what was found is kept beside each result, as NAME-mask.png. Nothing else changes; an image in which
    nothing is found is copied as it is.
    """
    from wavepaint.find import Finder, encode_mask
    from wavepaint.image.encoding import writing
    from wavepaint.inpainter import Inpainter
    from wavepaint.options import Options

    finder, inpainter, options = Finder(files.model), Inpainter(), Options()

    def work(source: Path, target: Path) -> str:
        mask = finder.find(source, finding)
        beside = mask_of(target)
        with writing(beside, str(beside)) as unfinished:
            unfinished.write_bytes(encode_mask(mask))
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "mask: marks nothing")  # the line below says so
                inpainter.fill(source, mask, options, target)
        return share(float(mask.mean()), "found and filled" if mask.any() else "found")

    run(image, files, finding, finder, work, with_mask=True)
