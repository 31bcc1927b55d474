"""Training with the whole data set resident in the memory of the device that trains.

A few thousand photographs of 256-384 pixels are two or three gigabytes as bytes: they fit beside the network
on an accelerator (and in the RAM of a laptop), where cropping, flipping, scaling and masking them costs
nothing. This is the loop behind the packaged model; `python -m wavepaint.training.resident --help`.
It needs PyTorch, NumPy, safetensors, OpenCV, and a network only for weights of losses that no local file gives.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from wavepaint.data.masks import random_mask, rng_for
from wavepaint.errors import OptionError, WavepaintError
from wavepaint.files import atomic_write
from wavepaint.network import WavePaint, WavePaintConfig, load_checkpoint, preset, save_checkpoint
from wavepaint.training.lock import FolderLock
from wavepaint.training.losses import VGGLoss, WeightedLosses, check_loss_names, load_losses
from wavepaint.training.module import coarse_guess, has_bfloat16, memory_format, most_octaves, update_average
from wavepaint.training.schedule import average_decay, cosine, crop_side, warmup

RESULT = "ema.safetensors"
STATE_FILES = (RESULT, "raw.safetensors", "first-moment.safetensors", "second-moment.safetensors", "progress.json")


@dataclass(frozen=True)
class ResidentOptions:
    """What a run does; stored with every checkpoint.

    Attributes:
        crop: side of the training crops in pixels, or (from, to) walked through in steps of 32.
        batch: crops per step.
        seconds: length of the whole run; the learning rate follows a cosine over it.
        clock: "wall", or "cpu" for the processor time of this process (fair on a shared machine).
        learning_rate: AdamW's peak, after `warmup` steps.
        masks: mask presets, equally often; see `wavepaint.data.masks.PRESETS`.
        mask_bank: masks drawn beforehand; crops, flips and rotations of them are what a step sees.
        losses: weights of losses by name, among `wavepaint.training.losses.LOSSES`.
        vgg_batch: crops of a step that VGG16 looks at, where it costs more than the network; 0 for all.
        vgg_side: side of the window around a hole sample that it sees of each crop; 0 for the whole crop.
        vgg_colours: whether the losses through VGG16 move colours, too, although they hardly mind a tint, and reward
            coloured dots; False: their gradient reaches the mean of the three channels alone.
        vgg_from: share of the run after which the losses through VGG16 join.
        self_condition: probability that a step starts from the network's own result at a lower resolution, equally
            often after one to as many halvings as the network has octaves and the crop can be halved.
        smooth: share, 0 to 1, of the crops that are blurred beforehand, by 4 to 32 pixels, as sky, walls and what is
            out of focus are: where nothing around has texture, a network that paints some is penalised by every loss.
        grey: share, 0 to 1, of the crops whose three channels become their mean, so that what is grey all around is
            filled grey.
        seed: of masks, crops and initial weights.
    """

    crop: tuple[int, int] = (96, 96)
    batch: int = 8
    seconds: float = 600.0
    clock: str = "wall"
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup: int = 100
    masks: tuple[str, ...] = ("thin", "medium", "thick", "everyday")
    mask_bank: int = 2000
    losses: Mapping[str, float] = field(default_factory=lambda: {"hole-l1": 1.0, "gradient": 0.5})
    vgg_batch: int = 0
    vgg_side: int = 0
    vgg_colours: bool = True
    vgg_from: float = 0.0
    self_condition: float = 0.0
    smooth: float = 0.0
    grey: float = 0.0
    ema: float = 0.999
    seed: int = 0

    def __post_init__(self) -> None:
        check_loss_names(self.losses)
        if any(weight < 0 for weight in self.losses.values()) or not any(self.losses.values()):
            raise OptionError(f"losses must have weights of at least 0, and one above, got {dict(self.losses)}")
        if self.batch < 1 or min(self.crop) < 1:
            raise OptionError("batch and crop must be at least 1")
        if not all(0 <= share <= 1 for share in (self.self_condition, self.smooth, self.grey)):
            raise OptionError("self_condition, smooth and grey must be from 0 to 1")


class PhotographBank:
    """Photographs of any size as one flat uint8 tensor on a device."""

    def __init__(self, photographs: Iterable[NDArray[np.uint8]], device: torch.device) -> None:
        flat, sizes = [], []
        for photograph in photographs:
            flat.append(np.ascontiguousarray(photograph).reshape(-1))
            sizes.append(photograph.shape[:2])
        if not flat:
            raise OptionError("no photographs to train on")
        lengths = np.array([len(part) for part in flat])
        self.samples = torch.from_numpy(np.concatenate(flat)).to(device)
        self.offsets = torch.from_numpy(np.cumsum(lengths) - lengths).to(device)
        self.sizes = torch.tensor(sizes, device=device)

    def __len__(self) -> int:
        return len(self.sizes)

    def crops(self, batch: int, side: int, scale: float, generator: torch.Generator) -> Tensor:
        """Random crops of `side * scale` pixels reduced to `side`, flipped at random.

        Photographs smaller than the crop are continued by reflection.

        Returns:
            (batch, 3, side, side) float32 in [0, 1].
        """
        device, span = self.samples.device, max(side, round(side * scale))
        chosen = torch.randint(len(self), (batch,), generator=generator, device=device)
        sizes = self.sizes[chosen]  # (batch, 2)
        room = (sizes - span + 1).clamp_min(1)
        corner = (torch.rand((batch, 2), generator=generator, device=device) * room).long()
        steps = torch.arange(span, device=device)
        rows = _reflect(corner[:, :1] + steps, sizes[:, :1])
        columns = _reflect(corner[:, 1:] + steps, sizes[:, 1:])
        flip = torch.rand((batch, 1), generator=generator, device=device) < 0.5
        columns = torch.where(flip, columns.flip(1), columns)
        pixel = rows[:, :, None] * sizes[:, 1, None, None] + columns[:, None, :]
        index = self.offsets[chosen, None, None] + 3 * pixel  # (batch, span, span)
        picture = self.samples[index[:, None] + torch.arange(3, device=device).view(1, 3, 1, 1)].float() / 255
        if span != side:
            picture = F.interpolate(picture, size=(side, side), mode="bilinear", antialias=True)
        return picture


def _reflect(index: Tensor, size: Tensor) -> Tensor:
    """Fold indices beyond the border back inside, however far out they are."""
    period = (2 * size - 2).clamp_min(1)
    folded = index % period
    return torch.where(folded >= size, period - folded, folded).clamp_max(size - 1)


class MaskBank:
    """Masks of 256 pixels, drawn once, from which steps take crops, flips and rotations."""

    SIDE = 256

    def __init__(self, presets: Sequence[str], count: int, seed: int, device: torch.device) -> None:
        def draw(number: int) -> NDArray[np.bool_]:
            name = presets[number % len(presets)]
            return random_mask(name, (self.SIDE, self.SIDE), rng_for(seed, f"{name}/{number}"))

        with ThreadPoolExecutor(os.cpu_count() if device.type != "cpu" else 1) as pool:
            self.masks = torch.from_numpy(np.stack(list(pool.map(draw, range(count))))).to(device)

    def crops(self, batch: int, side: int, generator: torch.Generator) -> Tensor:
        """(batch, 1, side, side) float32, 1 = hole; each has at least one known and one hole sample."""
        device = self.masks.device
        # Between a plain crop and the whole mask reduced: small crops too should meet whole shapes.
        smallest = min(side, self.SIDE)
        span = int(torch.randint(smallest, self.SIDE + 1, (1,), generator=generator, device=device))
        chosen = torch.randint(len(self.masks), (4 * batch,), generator=generator, device=device)
        top, left = torch.randint(self.SIDE - span + 1, (2, 4 * batch, 1), generator=generator, device=device)
        steps = torch.arange(side, device=device) * span // side
        masks = self.masks[chosen[:, None, None], (top + steps)[:, :, None], (left + steps)[:, None, :]]
        if torch.rand((), generator=generator, device=device) < 0.5:
            masks = masks.transpose(1, 2)
        if torch.rand((), generator=generator, device=device) < 0.5:
            masks = masks.flip(1)
        if torch.rand((), generator=generator, device=device) < 0.5:
            masks = masks.flip(2)
        # Of four candidates per crop, take those whose area is neither nothing nor nearly everything.
        area = masks.float().mean((1, 2))
        fit = (area > 0.005) & (area < 0.6)
        order = torch.argsort(fit.int(), descending=True, stable=True)[:batch]
        masks = masks[order].clone()
        masks[:, 0, 0] &= area[order] < 1
        masks[:, -1, -1] |= area[order] == 0
        return masks.unsqueeze(1).float()


def hole_windows(tensors: Sequence[Tensor], side: int, generator: torch.Generator) -> list[Tensor]:
    """Cut the same square windows, each around a random hole sample, out of all tensors.

    Args:
        tensors: (B, C, H, W) each, any C; the last one is the mask, 1 = hole.
        side: of the windows, at most H and W.

    Returns:
        (B, C, side, side) each. Windows stay inside; a crop without a hole gets a window anywhere.
    """
    mask = tensors[-1]
    batch, _, height, width = mask.shape
    weights = mask.flatten(1) + 1e-9
    centre = torch.multinomial(weights, 1, generator=generator).squeeze(1)
    top = (centre // width - side // 2).clamp(0, height - side)
    left = (centre % width - side // 2).clamp(0, width - side)
    steps = torch.arange(side, device=mask.device)
    rows, columns = (top[:, None] + steps)[:, :, None], (left[:, None] + steps)[:, None, :]
    sample = torch.arange(batch, device=mask.device)[:, None, None]
    return [tensor[sample, :, rows, columns].permute(0, 3, 1, 2) for tensor in tensors]


def blurred(image: Tensor, factor: int) -> Tensor:
    """Pictures (B, C, H, W) in [0, 1] without what is finer than about `factor` pixels."""
    height, width = image.shape[-2:]
    reduced = F.interpolate(image, size=(max(1, height // factor), max(1, width // factor)), mode="area")
    return F.interpolate(reduced, size=(height, width), mode="bicubic", align_corners=False).clamp(0, 1)


def with_fixed_colours(image: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) as they are, whose gradient reaches the mean of the three channels alone."""
    brightness = image.mean(1, keepdim=True)
    return brightness + (image - brightness).detach()


def photographs_in(shards: Sequence[str | Path], max_side: int) -> Iterator[NDArray[np.uint8]]:
    """Decode WebDataset shards, each photograph as (H, W, 3) uint8 RGB of at most `max_side` pixels a side.

    What does not decode is left out. Raises `OptionError` for a shard that cannot be read.
    """
    import cv2

    def decode(blob: bytes) -> NDArray[np.uint8] | None:
        picture = cv2.imdecode(np.frombuffer(blob, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            return None
        factor = max_side / max(picture.shape[:2])
        if factor < 1:
            picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(picture[..., ::-1])

    for shard in shards:
        try:
            with tarfile.open(shard) as tar:
                files = [tar.extractfile(member) for member in tar if not member.name.endswith(".json")]
                blobs = [file.read() for file in files if file is not None]
        except (OSError, tarfile.TarError) as error:
            raise OptionError(f"{shard}: cannot read this shard: {error}") from None
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            yield from (picture for picture in pool.map(decode, blobs) if picture is not None)


class Trainer:
    """A network, its average, its optimiser, and the clock of one run."""

    def __init__(
        self,
        model: WavePaint,
        photographs: PhotographBank,
        masks: MaskBank,
        options: ResidentOptions,
        device: torch.device,
        vgg_weights: Path | None = None,
    ) -> None:
        self.options, self.device = options, device
        self.photographs, self.masks = photographs, masks
        self.memory_format = memory_format(device)
        self.model = model.to(device).to(memory_format=self.memory_format).train()  # type: ignore[call-overload]
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
        self.generator = torch.Generator(device).manual_seed(options.seed)
        wanted = {name: weight for name, weight in options.losses.items() if weight > 0}
        losses = load_losses(wanted, {} if vgg_weights is None else {"vgg16": vgg_weights})
        through_vgg = {name for name, loss in losses.items() if isinstance(loss, VGGLoss)}
        self.plain_losses, self.vgg_losses = (
            WeightedLosses(losses, {n: w for n, w in wanted.items() if (n in through_vgg) == chosen}).to(device)
            for chosen in (False, True)
        )
        self.autocast = has_bfloat16(device)
        self.forward = torch.compile(self.model) if device.type == "cuda" else self.model
        self.steps, self.seconds_before, self.images = 0, 0.0, 0
        self.started = self._now()

    def _now(self) -> float:
        return time.process_time() if self.options.clock == "cpu" else time.monotonic()

    @property
    def seconds(self) -> float:
        """Time trained so far, earlier sittings of the run included."""
        return self.seconds_before + self._now() - self.started

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0 to 1."""
        return min(1.0, self.seconds / self.options.seconds)

    def step(self) -> dict[str, Tensor]:
        """One optimiser step; returns its losses, still on the device."""
        options, progress = self.options, self.progress
        image, mask = self.draw(progress)
        rate = options.learning_rate * warmup(self.steps, options.warmup) * cosine(progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            filled = self.forward(image, mask, self._guess(image, mask))
            losses = self._losses(filled.float(), image, mask, progress)
        total = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        self.images += options.batch
        self._update_average()
        return {name: value.detach() for name, value in losses.items()}

    def draw(self, progress: float) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, H, W) in [0, 1] and masks (B, 1, H, W), 1 = hole, of a step at this share of the run."""
        options = self.options
        side = crop_side(progress, *options.crop)
        scale = 1 + float(torch.rand((), generator=self.generator, device=self.device))
        image = self.photographs.crops(options.batch, side, scale, self.generator)
        if options.smooth > 0:
            chosen = self._chosen(options.smooth)
            factor = 2 ** int(torch.randint(2, 6, (), generator=self.generator, device=self.device))
            image = torch.where(chosen, blurred(image, factor), image)
        if options.grey > 0:
            image = torch.where(self._chosen(options.grey), image.mean(1, keepdim=True), image)
        mask = self.masks.crops(options.batch, side, self.generator)
        image, mask = (x.contiguous(memory_format=self.memory_format) for x in (image, mask))
        return image, mask

    def _chosen(self, share: float) -> Tensor:
        """(B, 1, 1, 1) bool: a random choice of that share of a step's crops, on average."""
        return torch.rand((self.options.batch, 1, 1, 1), generator=self.generator, device=self.device) < share

    def _guess(self, image: Tensor, mask: Tensor) -> Tensor | None:
        """With the configured probability, the enlarged result at a lower resolution; no gradient through it."""
        if torch.rand((), generator=self.generator, device=self.device) >= self.options.self_condition:
            return None
        most = most_octaves(self.model.config, image.shape[-1])
        octaves = int(torch.randint(1, most + 1, (1,), generator=self.generator, device=self.device))
        return coarse_guess(self.model, image, mask, octaves)

    def _losses(self, filled: Tensor, image: Tensor, mask: Tensor, progress: float) -> dict[str, Tensor]:
        options = self.options
        losses: dict[str, Tensor] = self.plain_losses(filled, image, mask)
        if self.vgg_losses.names and progress >= options.vgg_from:
            looked_at = [x[: options.vgg_batch or None] for x in (filled, image, mask)]
            if 0 < options.vgg_side < image.shape[-1]:
                looked_at = hole_windows(looked_at, options.vgg_side, self.generator)
            if not options.vgg_colours:
                looked_at[0] = with_fixed_colours(looked_at[0])
            losses |= self.vgg_losses(*looked_at)
        return losses

    def _update_average(self) -> None:
        update_average(self.average, self.model.state_dict(), average_decay(self.options.ema, self.steps))

    def save(self, folder: Path) -> None:
        """Write the average as `RESULT` and what resuming needs beside it, one small file each."""
        folder.mkdir(parents=True, exist_ok=True)
        note = {
            "steps": str(self.steps),
            "seconds": f"{self.seconds:.0f}",
            "options": json.dumps(asdict(self.options)),
        }
        names = [name for name, _ in self.model.named_parameters()]
        moments = [self.optimizer.state.get(parameter, {}) for parameter in self.model.parameters()]
        pieces = {
            "raw": dict(self.model.state_dict()),
            "first-moment": {n: m["exp_avg"] for n, m in zip(names, moments, strict=True) if m},
            "second-moment": {n: m["exp_avg_sq"] for n, m in zip(names, moments, strict=True) if m},
        }
        for piece, tensors in pieces.items():
            with atomic_write(folder / f"{piece}.safetensors") as unfinished:
                save_file({name: value.contiguous() for name, value in tensors.items()}, unfinished)
        save_checkpoint(self.model, folder / RESULT, state=self.average, extra=note)
        # Last: it says that there is a run to go on with.
        progress = {"steps": self.steps, "seconds": self.seconds, "images": self.images}
        with atomic_write(folder / "progress.json") as unfinished:
            unfinished.write_text(json.dumps(progress))

    def resume(self, folder: Path) -> None:
        """Go on from what `save` wrote; fresh crops and masks, same weights, moments and clock."""
        check_resumable(folder)
        progress = json.loads((folder / "progress.json").read_text())
        self.steps, self.images = progress["steps"], progress["images"]
        self.seconds_before = progress["seconds"]
        self.model.load_state_dict(load_file(folder / "raw.safetensors"))
        averaged = load_checkpoint(folder / RESULT).state_dict()
        for name, value in self.average.items():
            value.copy_(averaged[name])
        first = load_file(folder / "first-moment.safetensors")
        second = load_file(folder / "second-moment.safetensors")
        for name, parameter in self.model.named_parameters():
            self.optimizer.state[parameter] = {
                "step": torch.tensor(float(self.steps)),
                "exp_avg": first[name].to(self.device),
                "exp_avg_sq": second[name].to(self.device),
            }
        self.generator.manual_seed(self.options.seed + self.steps)
        self.started = self._now()


def run(
    trainer: Trainer,
    folder: Path,
    time_limit: float | None = None,
    *,
    checkpoint_every: float = 120.0,
    report_every: float = 10.0,
) -> None:
    """Train until the options' time (or this sitting's limit, in seconds) is over.

    Saves on the way, at the end and when interrupted; `log.jsonl` gets a line every `report_every` seconds.

    Raises:
        OptionError: the loss is no longer finite; the last good checkpoint stays as it is.
    """
    started = saved = reported = time.monotonic()
    images = trainer.images
    log = folder / "log.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        while trainer.progress < 1 and (time_limit is None or time.monotonic() - started < time_limit):
            losses = trainer.step()
            now = time.monotonic()
            if now - reported >= report_every:
                values = {name: float(value) for name, value in losses.items()}
                if not all(math.isfinite(value) for value in values.values()):
                    raise FloatingPointError
                rate = (trainer.images - images) / (now - reported)
                entry = {"step": trainer.steps, "seconds": round(trainer.seconds, 1), "images/s": round(rate, 1)}
                with log.open("a") as file:
                    file.write(json.dumps({**entry, **values, **_utilisation(trainer.device)}) + "\n")
                reported, images = now, trainer.images
            if now - saved >= checkpoint_every:
                trainer.save(folder)
                saved = now
    except FloatingPointError:
        raise OptionError(f"{folder}: the loss is not finite at step {trainer.steps}; resume at a lower rate") from None
    except KeyboardInterrupt:
        trainer.save(folder)
        raise
    trainer.save(folder)


def _utilisation(device: torch.device) -> dict[str, float]:
    if device.type != "cuda":
        return {}
    try:
        return {"gpu%": float(torch.cuda.utilization(device))}
    except (ImportError, RuntimeError):
        return {}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    defaults = ResidentOptions()
    parser = argparse.ArgumentParser(prog="python -m wavepaint.training.resident", description=__doc__)
    parser.add_argument("shards", nargs="+", type=Path, help="WebDataset shards of photographs")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    parser.add_argument("--preset", default="default", help="network preset")
    parser.add_argument("--config", type=json.loads, default={}, help="fields of the network to change, JSON")
    parser.add_argument("--init", type=Path, help="checkpoint to start from")
    parser.add_argument("--resume", action="store_true", help="go on with the run in OUTPUT")
    parser.add_argument("--vgg-weights", type=Path, help="safetensors file of VGG16 features")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--max-side", type=int, default=384, help="reduce photographs to this many pixels")
    parser.add_argument("--time-limit", type=float, help="stop after this many seconds; --resume goes on later")
    parser.add_argument(
        "--options", type=json.loads, action="append", default=[], help="fields of ResidentOptions, JSON; repeatable"
    )
    parsed = parser.parse_args(arguments)
    lock: FolderLock | None = None
    try:
        given = {k: tuple(v) if isinstance(v, list) else v for part in parsed.options for k, v in part.items()}
        options = ResidentOptions(**{**asdict(defaults), **given})
        (check_resumable if parsed.resume else _check_new)(parsed.output)
        device = torch.device(parsed.device)
        torch.manual_seed(options.seed)
        config = WavePaintConfig.from_dict({**preset(parsed.preset).to_dict(), **parsed.config})
        model = load_checkpoint(parsed.init) if parsed.init else WavePaint(config)
        photographs = PhotographBank(photographs_in(parsed.shards, parsed.max_side), device)
        masks = MaskBank(options.masks, options.mask_bank, options.seed, device)
        trainer = Trainer(model, photographs, masks, options, device, parsed.vgg_weights)
        lock = _claim(parsed.output)
        if parsed.resume:
            trainer.resume(parsed.output)
        else:
            _check_new(parsed.output)
        run(trainer, parsed.output, parsed.time_limit)
    except (WavepaintError, TypeError) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if lock is not None:
            lock.close()
    return 0


def check_resumable(folder: Path) -> None:
    """Raise OptionError unless a run was saved in a folder."""
    if not all((folder / name).is_file() for name in STATE_FILES):
        raise OptionError(f"{folder}: no run to resume")


def _check_new(folder: Path) -> None:
    """Refuse a folder in which a new run would replace another or its result; what a first save left may go."""
    if (folder / "progress.json").exists():
        raise OptionError(f"{folder}: holds a run already: --resume goes on with it")
    if (folder / RESULT).exists() and not (folder / "raw.safetensors").exists():
        raise OptionError(f"{folder}: holds {RESULT}, which a run would replace: choose another folder")


def _claim(folder: Path) -> FolderLock:
    """Make a run's folder and lock it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FolderLock(folder)
    except OSError as error:
        raise OptionError(f"{folder}: {error.strerror or error}") from None


if __name__ == "__main__":
    raise SystemExit(main())
