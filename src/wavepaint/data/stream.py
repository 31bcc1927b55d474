"""An endless stream of batches whose crops may grow on the way, and which can be resumed exactly."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from wavepaint.data.crops import Batch, CropDataset, CropSource
from wavepaint.data.images import Skipped
from wavepaint.data.seeding import rng_for

# What workers send: images, masks, names, newly skipped. Arrays, not tensors: tensors travel through /dev/shm, which
# containers keep small, and a worker that ends while it sends one aborts with a message of the C++ runtime.
_Arrays = tuple[NDArray[np.uint8], NDArray[np.bool_], list[str], list[Skipped]]


class CropStream(CropSource):
    """Batches in stages: every size of crop has a dataset of its own, whose order follows from where it began.

    Args:
        dataset: makes the crops of a stage from their side in pixels and a seed.
        batch_size: crops in a batch.
        seed: of the run.
        workers: processes that decode and crop; 0 does it in this one. They are started afresh rather than
            forked, because libvips does not survive a fork: a script that starts them needs the usual
            `if __name__ == "__main__":`.
        pin_memory: hand out page-locked tensors, which reach a GPU faster.
    """

    def __init__(
        self,
        dataset: Callable[[int, int], CropDataset],
        batch_size: int,
        seed: int,
        workers: int,
        pin_memory: bool = False,
    ) -> None:
        self._new_dataset, self._batch_size, self._seed = dataset, batch_size, seed
        self._workers, self._pin_memory = workers, pin_memory
        self._skipped: dict[str, Skipped] = {}
        self._side = self._began = self._done = 0
        self._dataset: CropDataset | None = None
        self._batches: Any = None  # iterator over `_Arrays`

    def next(self, side: int) -> Batch:
        """The next batch of crops of this side; another side than the last one's begins a new stage.

        Raises:
            ImageError: no image can be read.
        """
        if self._dataset is None or side != self._side:
            self.close()
            self._side, self._began = side, self._done
            self._dataset = self._make_dataset()
        if self._batches is None:
            self._batches = self._begin(self._dataset)
        images, masks, names, skipped = next(self._batches)
        self._skipped.update((each.name, each) for each in skipped)
        self._done += 1
        return Batch(image=self._tensor(images), mask=self._tensor(masks), name=names)

    @property
    def skipped(self) -> list[Skipped]:
        """The broken images found so far by this process and its workers."""
        return list(self._skipped.values())

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is, in plain values, and the layout for which this holds."""
        loader = None if self._dataset is None else self._state_of(self._dataset)
        return {"source": "stream", "side": self._side, "began": self._began, "done": self._done, "loader": loader}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Continue from a state; whether exactly.

        With another batch size, number of workers or number of processes the order cannot be continued: the
        stream then begins a stage, in an order that was not seen before.
        """
        self.close()
        self._side, self._began, self._done = state["side"], state["began"], state["done"]
        self._dataset = None
        if state["loader"] is None:
            return True
        dataset = self._make_dataset()
        if self._state_of(dataset) != state["loader"]:
            return False
        self._dataset = dataset
        return True

    def close(self) -> None:
        """End the workers; the next batch starts them again."""
        batches, self._batches = self._batches, None
        # Not left to the garbage collector where PyTorch has these: the traceback of an error may hold the iterator.
        with suppress(RuntimeError):  # of a worker that dies meanwhile
            getattr(batches, "_shutdown_workers", lambda: None)()
        for worker in getattr(batches, "_workers", ()):
            worker.kill()  # one that hangs ignores the signal by which PyTorch ends it
            worker.join()

    def _make_dataset(self) -> CropDataset:
        seed = int(rng_for(self._seed, f"crops from batch {self._began}").integers(2**31))
        return self._new_dataset(self._side, seed)

    def _state_of(self, dataset: CropDataset) -> dict[str, int]:
        layout = {"batch_size": self._batch_size, "workers": self._workers, "world_size": dataset.world_size}
        return {"batches": self._done - self._began, **layout}

    def _begin(self, dataset: CropDataset) -> Iterator[_Arrays]:
        """The batches of a stage from where it stands."""
        loader = DataLoader(
            _Batched(dataset, self._batch_size, self._done - self._began),
            batch_size=None,
            num_workers=self._workers,
            collate_fn=_as_it_is,
            multiprocessing_context="spawn" if self._workers else None,
            worker_init_fn=_begin_worker if self._workers else None,
            # Its own generator, so that iterating leaves torch's global random state alone.
            generator=torch.Generator(),
        )
        with _stop_signals_held():
            return iter(loader)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor.pin_memory() if self._pin_memory else tensor


class _Batched(IterableDataset[_Arrays]):
    """The batches that one worker makes, from number `start` of all on, each with what it newly found broken."""

    def __init__(self, dataset: CropDataset, batch_size: int, start: int) -> None:
        super().__init__()
        self._dataset, self._batch_size, self._start = dataset, batch_size, start

    def __iter__(self) -> Iterator[_Arrays]:
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        # DataLoader takes batches from its workers in turn, beginning with the first: after `start` batches
        # the first process has to continue as the worker whose turn it then is.
        worker = (worker + self._start) % workers
        made = len(range(worker, self._start, workers))
        samples = self._dataset.samples(worker, workers, made * self._batch_size)
        reported = 0
        while True:
            images, masks, names = zip(*islice(samples, self._batch_size), strict=True)
            skipped = self._dataset.source.skipped
            yield np.stack(images), np.stack(masks), list(names), skipped[reported:]
            reported = len(skipped)


def _as_it_is(batch: Any) -> Any:
    return batch


@contextmanager
def _stop_signals_held() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back while workers start: they inherit that, and none dies before it can ignore them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(worker: int) -> None:
    """Leave Ctrl-C and SIGTERM, which reach the whole process group, to the training process, which ends its workers.

    And keep libvips and OpenCV to one thread: the workers are the parallelism.
    """
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.environ.setdefault("VIPS_CONCURRENCY", "1")
    cv2.setNumThreads(1)
