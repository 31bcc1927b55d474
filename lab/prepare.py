"""The data sets of the field, from a copy that was downloaded to shards of images of the published sizes.

Every split becomes WebDataset shards, `SIZE/SPLIT-0000.tar` and so on, which training and `masks make` read;
images in them are lossless PNG. The order of a split is that of its list, which is written beside them and hashed. A
shard appears when it is whole, so an interrupted preparation resumes.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from lab.writing import write_json
from wavepaint.data.images import ImageSource
from wavepaint.errors import ImageError, OptionError, check_known
from wavepaint.files import atomic_write

FORMAT = "wavepaint-prepared-1"
MANIFEST = "manifest.json"
SHARD_SIZE = 1000

Splits = Mapping[str, Sequence[int]]
"""For every split the indices of its images, in order."""


@dataclass(frozen=True)
class Dataset:
    """What is known of a published data set.

    Attributes:
        title: its name.
        counts: images of every split.
        sizes: sides of the square images to make.
        smallest: a source with a shorter side than this is not the published one.
        folders: whether splits are folders of these names; otherwise the sorted names are cut in the order of `counts`.
    """

    title: str
    counts: Mapping[str, int]
    sizes: tuple[int, ...]
    smallest: int = 1
    folders: bool = False

    @property
    def total(self) -> int:
        """Images of all splits together."""
        return sum(self.counts.values())


DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
        "celeba-hq": Dataset(
            "CelebA-HQ", MappingProxyType({"train": 26_000, "val": 2_000, "test": 2_000}), (256,), smallest=256
        ),
        "imagenet": Dataset(
            "ImageNet (ILSVRC 2012)", MappingProxyType({"train": 1_281_167, "val": 50_000}), (224, 256), folders=True
        ),
        "places": Dataset("Places2 validation", MappingProxyType({"val": 36_500}), (512,), smallest=512),
    }
)


def find_dataset(name: str) -> Dataset:
    """A data set by name; `OptionError`, which lists the others, for an unknown one."""
    check_known("data set", (name,), DATASETS)
    return DATASETS[name]


def prepare(
    dataset: Dataset,
    source: ImageSource,
    target: str | Path,
    *,
    lists: str | Path | None = None,
    shard_size: int = SHARD_SIZE,
) -> Iterator[int]:
    """Make the shards of a data set; nothing is written before counts and lists are right.

    Images are scaled until their shorter side has the size, and the middle is cut out.

    Args:
        dataset: what the source must be.
        source: the downloaded copy, see `find_images`.
        target: folder for the shards; a preparation of the same lists there is continued.
        lists: folder with `SPLIT.txt`, a file name a line, for splits that are neither folders nor sorted names.
        shard_size: images of one shard.

    Yields:
        How many images of one size were finished since the last time: 1, or a whole shard that was there.

    Raises:
        OptionError: another number of images than published, lists that do not fit, or a `target` that holds
            something else.
        ImageError: an image that cannot be read, or is smaller than published; what was finished stays.
    """
    target = Path(target)
    splits = _splits_from_lists(dataset, source, Path(lists)) if lists else _splits_of(dataset, source)
    members = {split: _members(source, indices) for split, indices in splits.items()}
    texts = {split: "".join(f"{name}\n" for name in names) for split, names in members.items()}
    plan = {
        "format": FORMAT,
        "dataset": dataset.title,
        "sizes": list(dataset.sizes),
        "shard_size": shard_size,
        "counts": {split: len(names) for split, names in members.items()},
        "lists_sha256": {split: hashlib.sha256(text.encode()).hexdigest() for split, text in texts.items()},
    }
    _begin(target, plan, texts)
    shards: dict[str, str] = {}
    for size in dataset.sizes:
        for split, indices in splits.items():
            for number, start in enumerate(range(0, len(indices), shard_size)):
                path = target / str(size) / f"{split}-{number:04d}.tar"
                chosen = slice(start, start + shard_size)
                yield from _shard(dataset, source, path, indices[chosen], members[split][chosen], size)
                shards[f"{size}/{path.name}"] = _sha256(path)
    write_json(target / MANIFEST, {**plan, "complete": True, "shards_sha256": shards})


def _splits_of(dataset: Dataset, source: ImageSource) -> Splits:
    """The published splits of a source that has exactly the published numbers of images."""
    if not dataset.folders:
        if len(source) != dataset.total:
            raise OptionError(f"{dataset.title} has {dataset.total:,} images, but the source {len(source):,}")
        ordered = iter(sorted(range(len(source)), key=lambda index: _natural(source.name(index))))
        return {split: [next(ordered) for _ in range(count)] for split, count in dataset.counts.items()}
    splits: dict[str, list[int]] = {split: [] for split in dataset.counts}
    for index in range(len(source)):
        split = next((part for part in PurePosixPath(source.name(index)).parts[:-1] if part in splits), None)
        if split is not None:
            splits[split].append(index)
    for split, indices in splits.items():
        if len(indices) != dataset.counts[split]:
            count = dataset.counts[split]
            raise OptionError(f"{dataset.title} has {count:,} images in {split}, but the source {len(indices):,}")
        indices.sort(key=lambda index: _natural(source.name(index)))
    return splits


def _splits_from_lists(dataset: Dataset, source: ImageSource, folder: Path) -> Splits:
    """The splits that lists name; a name counts without its folders and extension."""
    by_stem: dict[str, int] = {}
    for index in range(len(source)):
        stem = PurePosixPath(source.name(index)).stem
        if stem in by_stem:
            raise OptionError(f"{source.name(index)} and {source.name(by_stem[stem])} have the same name in a list")
        by_stem[stem] = index
    splits: dict[str, list[int]] = {}
    for split, count in dataset.counts.items():
        path = folder / f"{split}.txt"
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
        stems = [PurePosixPath(line.strip()).stem for line in lines if line.strip()]
        if len(stems) != count:
            raise OptionError(f"{path}: has {len(stems):,} names, {dataset.title} has {count:,} images in {split}")
        for stem in stems:
            if stem not in by_stem:
                raise OptionError(f"{path}: {stem} is not in the source")
        splits[split] = [by_stem[stem] for stem in stems]
    index, times = Counter(index for indices in splits.values() for index in indices).most_common(1)[0]
    if times > 1:
        raise OptionError(f"{folder}: {source.name(index)} is listed {times} times")
    return splits


def _members(source: ImageSource, indices: Sequence[int]) -> list[str]:
    """Names in the shards: the source's, as PNG; `OptionError` for two of one name."""
    names: dict[str, str] = {}
    for index in indices:
        name = source.name(index)
        member = PurePosixPath(name).with_suffix(".png").as_posix().replace(".tar/", "/")
        if member in names:
            raise OptionError(f"{name} and {names[member]} would both be called {member}")
        names[member] = name
    return list(names)


def _begin(target: Path, plan: dict[str, Any], texts: Mapping[str, str]) -> None:
    """Write the lists and the unfinished manifest, or check that they are the same as those there."""
    manifest = target / MANIFEST
    if manifest.is_file():
        try:
            existing = json.loads(manifest.read_text(encoding="utf-8"))
        except ValueError as error:
            raise OptionError(f"{manifest}: not JSON: {error}") from None
        different = [key for key in plan if not isinstance(existing, dict) or existing.get(key) != plan[key]]
        if different:
            raise OptionError(f"{target}: was prepared with other {', '.join(different)}; choose another folder")
    elif target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OptionError(f"{target}: exists and holds no {MANIFEST}; not written to")
    try:
        for size in plan["sizes"]:
            (target / str(size)).mkdir(parents=True, exist_ok=True)
        for split, text in texts.items():
            with atomic_write(target / f"{split}.txt") as unfinished:
                unfinished.write_text(text, encoding="utf-8", newline="\n")
        write_json(manifest, {**plan, "complete": False})
    except OSError as error:
        raise OptionError(f"{target}: cannot be written: {error.strerror or error}") from None


def _shard(
    dataset: Dataset, source: ImageSource, path: Path, indices: Sequence[int], members: Sequence[str], size: int
) -> Iterator[int]:
    """Write one shard unless it is there; the same images always give the same bytes."""
    if _has_members(path, members):
        yield len(members)
        return
    try:
        with atomic_write(path) as unfinished, tarfile.open(unfinished, "w", format=tarfile.USTAR_FORMAT) as shard:
            for index, member in zip(indices, members, strict=True):
                data = square_png(source.encoded(index), source.name(index), size, dataset.smallest)
                entry = tarfile.TarInfo(member)
                entry.size = len(data)
                shard.addfile(entry, io.BytesIO(data))
                yield 1
    except (OSError, ValueError) as error:  # ValueError: a name too long for a tar file
        raise OptionError(f"{path}: cannot be made: {getattr(error, 'strerror', None) or error}") from None


def _has_members(path: Path, members: Sequence[str]) -> bool:
    """Whether a shard is there and holds what the list says."""
    if not path.is_file():
        return False
    try:
        with tarfile.open(path, "r:") as shard:
            return shard.getnames() == list(members)
    except tarfile.TarError:
        return False


def square_png(data: bytes, name: str, size: int, smallest: int = 1) -> bytes:
    """An image file as an RGB PNG of `size` x `size`: scaled to cover it, the middle cut out.

    An image that has the size already keeps its samples.

    Raises:
        ImageError: not a whole image, or with a side shorter than `smallest`.
    """
    import pyvips

    try:
        # Decoded whole before it is reduced: reducing while decoding does not notice a file that is cut short.
        whole = pyvips.Image.new_from_buffer(data, "", fail_on="error").copy_memory()
        if min(whole.width, whole.height) < smallest:
            raise ImageError(f"{name}: is {whole.width}x{whole.height}, smaller than published ({smallest})")
        image = whole.thumbnail_image(size, height=size, size="both", crop="centre", export_profile="srgb")
        image = image.colourspace("srgb").cast("uchar")
        if image.hasalpha():
            image = image[: image.bands - 1]
        if image.bands < 3:
            image = image[0].bandjoin([image[0], image[0]])
        # Without the source's metadata: a profile would claim what was converted away.
        png: bytes = image.pngsave_buffer(compression=6, keep="none")
    except pyvips.Error as error:
        reason = (str(error).strip().splitlines() or ["unreadable"])[0]
        raise ImageError(f"{name}: cannot be read: {reason}") from None
    return png


def _natural(name: str) -> tuple[tuple[bool, int, str], ...]:
    """Sorting key by which 9.jpg comes before 10.jpg."""
    parts = re.split(r"(\d+)", name)
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
