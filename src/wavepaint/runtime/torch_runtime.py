"""PyTorch: checkpoints without an export, and graphics processors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wavepaint.errors import needs_extra
from wavepaint.runtime.base import Planes

if TYPE_CHECKING:
    from wavepaint.network import WavePaint


class TorchRuntime:
    """A network in PyTorch, in float32, as it stands.

    Args:
        network: in evaluation mode.
        device: what it is moved to.
    """

    name = "torch"

    @classmethod
    def load(cls, checkpoint: str | Path, threads: int | None = None) -> TorchRuntime:
        """A checkpoint on CUDA or Apple's MPS where there is one, else on the CPU.

        Args:
            checkpoint: a checkpoint file, or "default".
            threads: if given, PyTorch's thread count is set to it: for the whole process, as PyTorch has only one.

        Raises:
            CheckpointError: not a checkpoint.
            MissingExtraError: PyTorch is not installed.
        """
        with needs_extra("the torch runtime", "train"):
            import torch

            from wavepaint.network import load_checkpoint

        if threads:
            torch.set_num_threads(threads)
        return cls(load_checkpoint(checkpoint), best_device())

    def __init__(self, network: WavePaint, device: str = "cpu") -> None:
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
