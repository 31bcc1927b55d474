"""Shards of many sources, parted: an equal number of images of each to train on, and others to test on."""

from __future__ import annotations

import io
import json
import tarfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from wavepaint.data.images import find_images
from wavepaint.data.seeding import rng_for
from wavepaint.errors import OptionError
from wavepaint.files import atomic_write

TRAIN, TEST = "train.tar", "test.tar"


def part_by_source(shards: Sequence[Path], target: Path, held_out: int, seed: int = 0) -> dict[str, int]:
    """Write `target/SOURCE/train.tar` and `test.tar` for every source that the shards' own records name.

    Args:
        shards: WebDataset shards in which `NAME.json` beside an image holds its `source`.
        target: new or empty folder.
        held_out: images of every source for its `test.tar`. Of the others every source gives as many as the poorest
            one has.
        seed: decides which.

    Returns:
        How many images each source has to train on, by its name, in the order of names.

    Raises:
        OptionError: a folder that holds something, an image without a source, or a source with too few images.
        ImageError: a shard that cannot be read.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OptionError(f"{target}: exists and is not empty; not overwritten")
    images: dict[str, dict[str, bytes]] = defaultdict(dict)
    for shard in shards:
        sources = _sources(shard)
        opened = find_images(shard)
        for index in range(len(opened)):
            name = PurePosixPath(opened.name(index)).name
            stem = PurePosixPath(name).stem
            if stem not in sources:
                raise OptionError(f"{shard}: {name} has no {stem}.json that names its source")
            images[sources[stem]][name] = opened.encoded(index)
    count = min(map(len, images.values()), default=0) - held_out
    if count < 1:
        raise OptionError(f"{len(images)} sources, of which one has no more than {held_out} images to test on")
    for source, named in sorted(images.items()):
        names = [str(name) for name in rng_for(seed, f"by-source/{source}").permutation(sorted(named))]
        (target / source).mkdir(parents=True)
        for file, chosen in ((TEST, names[:held_out]), (TRAIN, names[held_out : held_out + count])):
            with atomic_write(target / source / file) as unfinished, tarfile.open(unfinished, "w") as tar:
                for name in sorted(chosen):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(named[name])
                    tar.addfile(entry, io.BytesIO(named[name]))
    return dict.fromkeys(sorted(images), count)


def _sources(shard: Path) -> dict[str, str]:
    """By stem of an image what its record calls its source."""
    source_of = {}
    try:
        with tarfile.open(shard) as tar:
            for member in tar:
                if member.name.endswith(".json") and (file := tar.extractfile(member)) is not None:
                    source = json.load(file).get("source")
                    if source:
                        source_of[PurePosixPath(member.name).stem] = str(source)
    except (OSError, tarfile.TarError, ValueError, AttributeError) as error:
        raise OptionError(f"{shard}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return source_of
