"""An endless stream of batches whose crops may grow on the way, and which can be resumed exactly."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from wavepaint.data.crops import Batch, CropDataset, CropLoader
from wavepaint.data.images import Skipped
from wavepaint.data.masks import rng_for
from wavepaint.errors import OptionError


class CropStream:
    """Batches in stages: every size of crop is a loader of its own, whose order follows from where it began.

    Args:
        dataset: makes the crops of a stage from their side in pixels and a seed.
        batch_size: crops in a batch.
        seed: of the run.
        workers: see `CropLoader`.
        pin_memory: see `CropLoader`.
    """

    def __init__(
        self,
        dataset: Callable[[int, int], CropDataset],
        batch_size: int,
        seed: int,
        workers: int,
        pin_memory: bool = False,
    ) -> None:
        self._dataset = dataset
        self._batch_size = batch_size
        self._seed = seed
        self._workers = workers
        self._pin_memory = pin_memory
        self._skipped: dict[str, Skipped] = {}
        self._side = self._began = self._done = 0
        self._loader: CropLoader | None = None
        self._batches: Generator[Batch] | None = None

    def next(self, side: int) -> Batch:
        """The next batch of crops of this side; another side than the last one's begins a new stage.

        Raises:
            ImageError: no image can be read.
        """
        if self._loader is None or side != self._side:
            self.close()
            self._side, self._began = side, self._done
            self._loader = self._make_loader()
        if self._batches is None:
            self._batches = (batch for batch in self._loader)
        batch = next(self._batches)
        self._done += 1
        return batch

    @property
    def skipped(self) -> list[Skipped]:
        """The broken images found so far by this process and its workers."""
        self._collect_skipped()
        return list(self._skipped.values())

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is, in plain values."""
        loader = None if self._loader is None else self._loader.state_dict()
        return {"source": "stream", "side": self._side, "began": self._began, "done": self._done, "loader": loader}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Continue from a state; whether exactly.

        With another batch size, number of workers or number of processes the order cannot be continued: the
        stream then begins a stage, in an order that was not seen before.
        """
        self.close()
        self._side, self._began, self._done = state["side"], state["began"], state["done"]
        self._loader = None
        if state["loader"] is None:
            return True
        loader = self._make_loader()
        try:
            loader.load_state_dict(state["loader"])
        except OptionError:
            return False
        self._loader = loader
        return True

    def close(self) -> None:
        """Stop the workers; the next batch starts them again."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None
        self._collect_skipped()

    def _make_loader(self) -> CropLoader:
        seed = int(rng_for(self._seed, f"crops from batch {self._began}").integers(2**31))
        dataset = self._dataset(self._side, seed)
        return CropLoader(dataset, self._batch_size, workers=self._workers, pin_memory=self._pin_memory)

    def _collect_skipped(self) -> None:
        if self._loader is not None:
            self._skipped.update((each.name, each) for each in self._loader.skipped)
