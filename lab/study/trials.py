"""What is asked: pairs of results on the same hole, shuffled anew for every participant, with sides drawn at random."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from wavepaint.data.seeding import rng_for
from wavepaint.errors import OptionError
from wavepaint.evaluation.methods import FolderMethod, describe_method, find_method
from wavepaint.evaluation.metrics import Image
from wavepaint.evaluation.protocol import Item
from wavepaint.evaluation.testset import EvaluationSet
from wavepaint.image.vips import encode_png

KEPT_IMAGES = 256
HOLE_COLOUR = (255, 0, 170)


@dataclass(frozen=True)
class Trial:
    """One question to one participant.

    Attributes:
        number: its place in the participant's order, from 0.
        entry: index of the hole in the test set.
        left, right: indices of the methods.
    """

    number: int
    entry: int
    left: int
    right: int


class Study:
    """The questions of a study and their images.

    Args:
        test_set: see `testset.open_test_set`.
        specs: two or more methods, see `methods.find_method`.
        seed: of every order.

    Raises:
        OptionError: fewer than two methods, two that are the same, or results of a folder that are missing.
    """

    def __init__(self, test_set: EvaluationSet, specs: Sequence[str], seed: int = 0) -> None:
        if len(specs) < 2 or len(set(specs)) < len(specs):
            raise OptionError(f"a study compares two or more different methods, got: {', '.join(specs) or 'none'}")
        self.test_set = test_set
        self.specs = tuple(specs)
        self.seed = seed
        self._methods = [find_method(spec) for spec in specs]
        for method in self._methods:
            if isinstance(method, FolderMethod):
                for entry in test_set.entries:
                    method.path_of(entry.kind, entry.name)
        self._pairs = list(combinations(range(len(specs)), 2))
        self._filling = threading.Lock()
        self._item = lru_cache(KEPT_IMAGES)(self._read_item)
        self._filled = lru_cache(KEPT_IMAGES)(self._fill)

    def __len__(self) -> int:
        return len(self.test_set) * len(self._pairs)

    @property
    def identity(self) -> dict[str, str]:
        """What votes belong to: the set, the methods with their versions or hashes, the seed."""
        entries = "\n".join(f"{entry.kind}/{entry.name}" for entry in self.test_set.entries)
        return {
            "test_set": self.test_set.sha256 or hashlib.sha256(entries.encode()).hexdigest(),
            "methods": "\n".join(f"{spec}\t{describe_method(spec)}" for spec in self.specs),
            "seed": str(self.seed),
        }

    def trial(self, participant: str, number: int) -> Trial:
        """The question at a place of a participant's order: a function of the seed and the two arguments alone.

        Raises:
            IndexError: no such place.
        """
        if not 0 <= number < len(self):
            raise IndexError(number)
        order, swapped = self._order(participant)
        entry, pair = divmod(int(order[number]), len(self._pairs))
        first, second = self._pairs[pair]
        return Trial(number, entry, *((second, first) if swapped[number] else (first, second)))

    def _order(self, participant: str) -> tuple[NDArray[np.int64], list[bool]]:
        rng = rng_for(self.seed, f"study/{participant}")
        return rng.permutation(len(self)), [bool(side) for side in rng.integers(0, 2, len(self))]

    def image(self, trial: Trial, view: str) -> bytes:
        """A PNG: the image with its hole marked ("input"), or what the method on one side made of it."""
        if view == "input":
            item = self._item(trial.entry)
            return encode_png(np.where(item.mask[..., None], np.array(HOLE_COLOUR, np.uint8), item.truth))
        return encode_png(self._filled(trial.entry, trial.left if view == "left" else trial.right))

    def _read_item(self, entry: int) -> Item:
        return self.test_set.read(self.test_set.entries[entry])

    def _fill(self, entry: int, method: int) -> Image:
        item = self._item(entry)
        with self._filling:  # networks in PyTorch and the classical methods are not made for several threads
            return item.composite(self._methods[method]([item])[0])
