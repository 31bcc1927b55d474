"""PyTorch: checkpoints without an export, and graphics processors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wavepaint.errors import needs_extra
from wavepaint.runtime.base import Planes

if TYPE_CHECKING:
    from wavepaint.network import WavePaint


class TorchRuntime:
    """A checkpoint in PyTorch, in float32, on CUDA or Apple's MPS where there is one, else on the CPU.

    Args:
        checkpoint: a checkpoint file, or "default".
        threads: if given, PyTorch's thread count is set to it: for the whole process, as PyTorch has only one.

    Raises:
        CheckpointError: not a checkpoint.
        MissingExtraError: PyTorch is not installed.
    """

    name = "torch"

    def __init__(self, checkpoint: str | Path, threads: int | None = None) -> None:
        with needs_extra("the torch runtime", "train"):
            import torch

            from wavepaint.network import load_checkpoint

        if threads:
            torch.set_num_threads(threads)
        self._use(load_checkpoint(checkpoint), best_device())

    @classmethod
    def of(cls, network: WavePaint) -> TorchRuntime:
        """A network that is loaded already, on the CPU, as it stands."""
        runtime = cls.__new__(cls)
        runtime._use(network, "cpu")
        return runtime

    def _use(self, network: WavePaint, device: str) -> None:
        import torch

        self._torch, self._device = torch, device
        self.multiple, self.coarse_levels = network.config.multiple, network.config.octaves
        self._network = network.to(self._device)
        if self._device == "cuda":  # on a CPU the plain layout is faster
            self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, image: Planes, mask: Planes) -> Planes:
        """Fill the holes of a batch of crops; see `Runtime`."""
        torch = self._torch
        with torch.inference_mode():
            samples, marks = (torch.from_numpy(planes).to(self._device) for planes in (image, mask))
            hole = (marks > 0).float()
            given = hole * (marks < 1)
            guess = torch.where(given > 0, samples, self._network.prefilled(samples, hole))
            filled: Planes = self._network(samples, hole, guess).float().cpu().contiguous().numpy()
        return filled


def best_device() -> str:
    """What PyTorch finds: "cuda", "mps" or "cpu"; imports it, and raises what that raises."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
