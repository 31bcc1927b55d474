"""Test sets on disk, in the layout of the field: `KIND/NAME.png` with its hole `KIND/NAME_mask000.png`.

A manifest holds the seed, every hole's area and how many masks were rejected before it, and SHA-256 hashes of
the *samples*, so a set that was recompressed still matches. Sets of other programs in this layout, without a
manifest, can be read as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wavepaint.data.images import decode_rgb
from wavepaint.errors import ImageError, OptionError, one_line
from wavepaint.evaluation.metrics import BoolMask, Image
from wavepaint.evaluation.protocol import KINDS, Item, make_items
from wavepaint.files import atomic_dir
from wavepaint.image.vips import encode_png

if TYPE_CHECKING:
    from wavepaint.data.images import ImageSource

MANIFEST = "manifest.json"
FORMAT = "wavepaint-test-set-1"
MASK_SUFFIX = "_mask000"


@dataclass(frozen=True)
class Entry:
    """One hole of a test set, as in its manifest; hashes are "" where no manifest states them."""

    kind: str
    name: str
    hole_pixels: int = 0
    hole_area: float = 0.0
    rejected: int = 0
    image_sha256: str = ""
    mask_sha256: str = ""


@dataclass(frozen=True)
class EvaluationSet:
    """A test set on disk.

    Attributes:
        folder: where it lies.
        entries: sorted by kind in the manifest's order, then by name.
        sha256: of the manifest file, which identifies the set; "" without a manifest.
    """

    folder: Path
    entries: tuple[Entry, ...]
    sha256: str

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of masks, in the order of the entries."""
        return tuple(dict.fromkeys(entry.kind for entry in self.entries))

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Item]:
        """Read the items one by one; see `read`."""
        for entry in self.entries:
            yield self.read(entry)

    def read(self, entry: Entry) -> Item:
        """Read one item; `OptionError` where a file is missing or not what the manifest says."""
        image, mask = _paths(self.folder, entry)
        truth = read_image(image)
        hole = read_image(mask)[..., 0] > 127
        if truth.shape[:2] != hole.shape:
            hole_size, size = (f"{each.shape[1]}x{each.shape[0]}" for each in (hole, truth))
            raise OptionError(f"{mask}: is {hole_size}, but {image.name} is {size}")
        for path, samples, expected in ((image, truth, entry.image_sha256), (mask, hole, entry.mask_sha256)):
            if expected and samples_sha256(samples) != expected:
                raise OptionError(f"{path}: its samples are not those of {MANIFEST}")
        if not hole.any() or hole.all():
            raise OptionError(f"{mask}: has {'no hole' if not hole.any() else 'nothing but hole'}")
        return Item(entry.name, entry.kind, truth, hole, entry.rejected)


def make_test_set(
    images: ImageSource,
    folder: str | Path,
    kinds: Sequence[str] = KINDS,
    *,
    size: int = 256,
    seed: int = 0,
) -> Iterator[Item]:
    """Write a test set, item by item; the folder appears when the iteration ends.

    Centre crops of `size`, shorter sides mirrored outwards. Images that cannot be read are left out and
    named in the manifest (and, with reasons, in `images.skipped`).

    Args:
        images: see `wavepaint.data.images.find_images`.
        folder: new, empty, or an earlier test set, which is replaced.
        kinds: mask presets, each a sub-folder.
        size: side of the crops.
        seed: of the masks.

    Yields:
        Every item after it was written, for a progress bar.

    Raises:
        OptionError: see `protocol.make_items` and `files.atomic_dir`; or not one readable image.
    """
    with atomic_dir(Path(folder), MANIFEST) as made:
        entries = []
        for kind in kinds:
            (made / kind).mkdir(exist_ok=True)
        for item in make_items(images, kinds, size=size, seed=seed):
            entry = Entry(
                kind=item.kind,
                name=item.name,
                hole_pixels=int(np.count_nonzero(item.mask)),
                hole_area=item.hole_area,
                rejected=item.rejected,
                image_sha256=samples_sha256(item.truth),
                mask_sha256=samples_sha256(item.mask),
            )
            image, mask = _paths(made, entry)
            image.write_bytes(encode_png(item.truth))
            mask.write_bytes(encode_png(item.mask * np.uint8(255)))
            entries.append(entry)
            yield item
        if not entries:
            raise OptionError(f"{folder}: not one image could be read")
        entries.sort(key=lambda entry: (kinds.index(entry.kind), entry.name))
        manifest = {
            "format": FORMAT,
            "seed": seed,
            "size": size,
            "kinds": list(kinds),
            "unreadable": sorted(skipped.name for skipped in images.skipped),
            "items": [asdict(entry) for entry in entries],
        }
        (made / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8", newline="\n")


def open_test_set(folder: str | Path) -> EvaluationSet:
    """The test set in a folder, with or without a manifest.

    Without one, every `*_mask000.png` with its `NAME.png` counts, and the kind is the sub-folder's name.

    Raises:
        OptionError: no test set there, a manifest of another format, or files missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise OptionError(f"{folder}: no such folder")
    manifest = folder / MANIFEST
    if manifest.is_file():
        data = manifest.read_bytes()
        entries, sha256 = _parse(manifest, data), hashlib.sha256(data).hexdigest()
    else:
        entries, sha256 = _foreign(folder), ""
    if not entries:
        raise OptionError(f"{folder}: no test set: neither {MANIFEST} nor any *{MASK_SUFFIX}.png")
    for entry in entries:
        for path in _paths(folder, entry):
            if not path.is_file():
                raise OptionError(f"{path}: missing from the test set")
    return EvaluationSet(folder, entries, sha256)


def _parse(path: Path, data: bytes) -> tuple[Entry, ...]:
    try:
        manifest: Any = json.loads(data)
    except ValueError as error:
        raise OptionError(f"{path}: not JSON: {error}") from None
    if not isinstance(manifest, Mapping) or manifest.get("format") != FORMAT:
        raise OptionError(f"{path}: not a manifest of the format {FORMAT}")
    try:
        entries = tuple(Entry(**item) for item in manifest["items"])
    except (KeyError, TypeError) as error:
        raise OptionError(f"{path}: damaged manifest: {error}") from None
    for entry in entries:
        if {"..", ""} & set(f"{entry.kind}/{entry.name}".split("/")):
            raise OptionError(f"{path}: damaged manifest: {entry.kind}/{entry.name} leads out of the set")
    return entries


def _foreign(folder: Path) -> tuple[Entry, ...]:
    masks = sorted(folder.rglob(f"*{MASK_SUFFIX}.png"))
    return tuple(
        Entry(kind=mask.parent.relative_to(folder).as_posix(), name=mask.name.removesuffix(f"{MASK_SUFFIX}.png"))
        for mask in masks
    )


def _paths(folder: Path, entry: Entry) -> tuple[Path, Path]:
    subfolder = folder / entry.kind
    return subfolder / f"{entry.name}.png", subfolder / f"{entry.name}{MASK_SUFFIX}.png"


def samples_sha256(samples: Image | BoolMask) -> str:
    """SHA-256 of the samples' shape and values, rows from the top; a bool mask counts as 0 and 1."""
    digest = hashlib.sha256("x".join(str(side) for side in samples.shape).encode())
    digest.update(np.ascontiguousarray(samples).astype(np.uint8, copy=False).tobytes())
    return digest.hexdigest()


def read_image(path: Path) -> Image:
    """An image file as uint8 RGB `(H, W, 3)`; `OptionError` when it cannot be read."""
    try:
        return decode_rgb(path.read_bytes())
    except (OSError, ImageError) as error:
        raise OptionError(f"{path}: {one_line(error)}") from None
