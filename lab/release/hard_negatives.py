"""Makes shards to train a damage detector on, in which images that it takes for damaged stand several times.

    python -m lab.release.hard_negatives 'train-{0000..0008}.tar' --without lab/release/captioned.txt -o SHARDS

Images that have dates or captions of their own, by name in a text file, are left out: they would be trained on as
clean. All others keep their names, and so the part that a training holds out (`data.images`) stays the same; no image
of that part is repeated. The copies are in `hard.tar`.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from lab.damage import MAX_PIXELS
from lab.release.tune_damage import SHARPENED
from wavepaint.data.damage import sharpened
from wavepaint.data.images import RGB, find_images
from wavepaint.errors import WavepaintError
from wavepaint.find import Finder
from wavepaint.options import Finding
from wavepaint.training.recipes import load_recipe

LEAST = 12
"""Samples that must be marked for one copy."""
SHARES = (0.0005, 0.002, 0.008)
"""Shares of the image that must be for another one each."""


def copies_of(image: RGB, finder: Finder) -> int:
    """How often an image without damage is to be repeated: by what is marked in it, as it is or sharpened."""
    marked = max(int(finder.find(each, Finding(grow=0)).sum()) for each in (image, sharpened(image, *SHARPENED)))
    share = marked / (image.shape[0] * image.shape[1])
    return 1 + sum(share > limit for limit in SHARES) if marked >= LEAST else 0


def write_shards(images: str, without: set[str], finder: Finder, folder: Path) -> tuple[int, int]:
    """Write the shards into a folder; returns how many images and how many copies of images they have."""
    source, validation = find_images(images), load_recipe("damage").validation
    _, held_out = source.split(validation.share, validation.at_least)
    never = {held_out.name(index) for index in range(len(held_out))}
    written = copied = 0
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        shards: dict[str, tarfile.TarFile] = {}

        def add(shard: str, member: str, data: bytes) -> None:
            if shard not in shards:
                shards[shard] = stack.enter_context(tarfile.open(folder / shard, "w"))
            info = tarfile.TarInfo(member)
            info.size = len(data)
            shards[shard].addfile(info, io.BytesIO(data))

        for index in range(len(source)):
            name = source.name(index)
            image = None if name in without else source.read_if_whole(index, MAX_PIXELS)
            if image is None:
                continue
            data, (shard, _, member) = source.encoded(index), name.partition("/")
            add(shard, member, data)
            written += 1
            for copy in range(0 if name in never else copies_of(image, finder)):
                add("hard.tar", f"{Path(shard).stem}/{copy}-{member}", data)
                copied += 1
    return written, copied


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the shards, and print what they have."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help=".tar shards")
    parser.add_argument("--without", type=Path, help="names of images to leave out, a line each")
    parser.add_argument("--model", type=Path, help="detector; by default the packaged one")
    parser.add_argument("-o", "--output", type=Path, required=True, help="new folder")
    options = parser.parse_args(arguments)
    try:
        without = set(options.without.read_text(encoding="utf-8").split()) if options.without else set()
        written, copied = write_shards(options.images, without, Finder(options.model, 1), options.output)
    except (WavepaintError, OSError) as error:
        parser.error(str(error))
    print(f"{written} images, {copied} copies")


if __name__ == "__main__":
    main()
