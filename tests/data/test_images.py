import dataclasses
import functools
import http.server
import io
import multiprocessing
import os
import subprocess
import sys
import tarfile
import threading
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from wavepaint.data.images import Skipped, find_images, name_share, printable
from wavepaint.errors import ImageError, OptionError

torch = pytest.importorskip("torch")
from wavepaint.data.crops import CropDataset, CropOptions, random_crop  # noqa: E402
from wavepaint.data.seeding import rng_for  # noqa: E402
from wavepaint.data.stream import CropStream  # noqa: E402

CROP = 48


def crops(source, *, masks="box", crop=CROP, **options):
    """A dataset that is quick to sample."""
    names = {field.name for field in dataclasses.fields(CropOptions)}
    chosen = {name: options.pop(name) for name in names & options.keys()}
    return CropDataset(source, CropOptions(masks=masks, **chosen), crop=crop, **options)


def smooth_image(index, height=60, width=84):
    """A smooth image with a colour of its own, which survives JPEG."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 3, y * 4, np.full_like(x, 9 * index % 256)], -1).astype(np.uint8)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def write_shard(path, names, first=0):
    with tarfile.open(path, "w") as shard:
        for index, name in enumerate(names, start=first):
            for member, data in ((f"{name}.png", encoded(smooth_image(index))), (f"{name}.json", b"{}")):
                info = tarfile.TarInfo(member)
                info.size = len(data)
                shard.addfile(info, io.BytesIO(data))


@pytest.fixture
def mixed_folder(tmp_path):
    """Twenty sound images of many kinds and four broken ones."""
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for index in range(12):
        (folder / "deeper" / f"{index:02d}.png").write_bytes(encoded(smooth_image(index)))
    (folder / "a.jpg").write_bytes(encoded(smooth_image(1), "JPEG", quality=95))
    (folder / "cmyk.jpg").write_bytes(encoded(Image.new("CMYK", (30, 20), (0, 255, 255, 0)), "JPEG"))
    (folder / "sixteen.png").write_bytes(encoded(np.full((20, 30), 0x80FF, np.uint16)))
    (folder / "alpha.png").write_bytes(encoded(Image.new("RGBA", (30, 20), (10, 20, 30, 0))))
    (folder / "grey.tiff").write_bytes(encoded(Image.new("L", (30, 20), 77), "TIFF"))
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "lime")]
    (folder / "animated.webp").write_bytes(
        encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    )
    (folder / "one.BMP").write_bytes(encoded(Image.new("RGB", (1, 1), (1, 2, 3)), "BMP"))
    turned = Image.Exif()
    turned[0x0112] = 6
    (folder / "turned.jpg").write_bytes(encoded(smooth_image(3), "JPEG", exif=turned))
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "cut.jpg").write_bytes(encoded(smooth_image(4, 200, 300), "JPEG")[:-900])
    (folder / "cut.png").write_bytes(encoded(smooth_image(4))[:-60])
    (folder / "page.png").write_bytes(b"<html>not found</html>")
    (folder / "notes.txt").write_text("not an image")
    (folder / ".hidden" / "thumbnail.png").write_bytes(encoded(smooth_image(5)))
    return folder


def test_a_folder_of_everything(mixed_folder):
    source = find_images(mixed_folder)
    images = dict(source)
    assert len(source) == 24
    assert len(images) == 20
    for name, rgb in images.items():
        assert rgb.dtype == np.uint8, name
        assert rgb.ndim == 3, name
        assert rgb.shape[2] == 3, name
        assert rgb.flags.writeable or rgb.base is not None
    assert np.array_equal(images["deeper/03.png"], smooth_image(3))
    assert images["cmyk.jpg"][5, 5].tolist() == pytest.approx([220, 30, 40], abs=40)
    assert np.all(images["sixteen.png"] == 0x80)
    assert np.all(images["alpha.png"] == (10, 20, 30))
    assert np.all(images["grey.tiff"] == 77)
    assert np.all(images["animated.webp"] == (255, 0, 0))
    assert images["animated.webp"].shape == (20, 30, 3)
    assert images["one.BMP"].tolist() == [[[1, 2, 3]]]
    assert images["turned.jpg"].shape == (84, 60, 3)
    assert [each.name for each in source.skipped] == ["cut.jpg", "cut.png", "empty.jpg", "page.png"]
    assert all(each.reason and "\n" not in each.reason for each in source.skipped)


def test_order_and_names_do_not_depend_on_the_file_system(mixed_folder):
    source = find_images(str(mixed_folder))
    names = [source.name(index) for index in range(len(source))]
    assert names == sorted(names)
    assert "deeper/00.png" in names
    assert not any(name.startswith((".", "/")) for name in names)


def test_large_images_are_reduced_when_decoded(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    (tmp_path / "wide.jpg").write_bytes(encoded(smooth_image(1, 300, 600), "JPEG", exif=turned))
    source = find_images(tmp_path / "wide.jpg")
    height, width, _ = source.read(0, max_pixels=20_000).shape
    assert (height, width) == pytest.approx((200, 100), abs=1)
    assert source.read(0).shape == (600, 300, 3)


def test_a_missing_file_is_one_named_error(mixed_folder):
    source = find_images(mixed_folder)
    index = [source.name(index) for index in range(len(source))].index("a.jpg")
    (mixed_folder / "a.jpg").unlink()
    with pytest.raises(ImageError, match=r"^a\.jpg: No such file or directory$"):
        source.read(index)
    assert source.skipped == [Skipped("a.jpg", "No such file or directory")]


def test_nothing_there_is_an_error(tmp_path):
    with pytest.raises(ImageError, match="no such file or folder"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(ImageError, match="no images in it"):
        find_images(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ImageError, match=r"neither a folder, an image nor a \.tar shard"):
        find_images(tmp_path / "notes.txt")
    with pytest.raises(ImageError, match="No such file"):
        find_images(tmp_path / "nothing.tar")
    (tmp_path / "page.tar").write_text("<html>not found</html>")
    with pytest.raises(ImageError, match=r"page\.tar: no images in it; page\.tar: not a tar file"):
        find_images(tmp_path / "page.tar")


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["only"], "only"),
        (["train-0008", "train-0009", "train-0010"], "train-{0008..0010}"),
        (["train-0", "train-2"], "{train-0,train-2}"),
        (["a1", "b2"], "{a1,b2}"),
    ],
)
def test_a_folder_of_shards_says_how_to_name_them(tmp_path, names, pattern):
    for name in names:
        write_shard(tmp_path / f"{name}.tar", ["image"])
    with pytest.raises(ImageError) as caught:
        find_images(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no images in it, but shards: use '{tmp_path}/{pattern}.tar'"
    assert len(find_images(f"{tmp_path}/{pattern}.tar")) == len(names)


def test_linked_folders_are_followed_once(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "own", elsewhere / "deeper"):
        folder.mkdir(parents=True)
        (folder / "image.png").write_bytes(encoded(smooth_image(1)))
    (root / "a-link-to-own").symlink_to(root / "own")
    (root / "own" / "up").symlink_to(root)
    (root / "there").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(root)
    (root / "gone").symlink_to(tmp_path / "nowhere")
    assert [name for name, _ in find_images(root)] == ["own/image.png", "there/deeper/image.png"]


def test_folders_that_cannot_be_read_are_named(mixed_folder, monkeypatch):
    scandir = os.scandir

    def closed(path):
        if os.fspath(path) == os.fspath(mixed_folder / "deeper"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    source = find_images(mixed_folder)
    assert len(source) == 12
    assert source.skipped == [Skipped("deeper", "folder cannot be read: Permission denied")]
    with pytest.raises(ImageError, match=r"deeper: no images in it; \.: folder cannot be read: Permission denied"):
        find_images(mixed_folder / "deeper")


def test_names_need_not_be_utf8(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / name).write_bytes(encoded(smooth_image(1)))
    (tmp_path / os.fsdecode(b"cut\xff.png")).write_bytes(b"")
    source = find_images(tmp_path)
    assert [each for each, _ in source] == [name]
    assert [each.name for each in source.skipped] == [r"cut\xff.png"]
    with pytest.raises(ImageError, match=r"^cut\\xff\.png: "):
        source.read(1)
    assert sum(map(len, source.split(0.5))) == 2
    assert len(source.digest()) == 64
    assert rng_for(0, name).integers(2**32) != rng_for(0, "caf.png").integers(2**32)
    assert printable("schön.png") == "schön.png"


def test_shards_with_braces(tmp_path):
    write_shard(tmp_path / "train-0000.tar", ["a", "b"])
    write_shard(tmp_path / "train-0001.tar", ["a", "b", "c"], first=2)
    source = find_images(tmp_path / "train-{0000..0001}.tar")
    names = ["train-0000.tar/a.png", "train-0000.tar/b.png"]
    names += ["train-0001.tar/a.png", "train-0001.tar/b.png", "train-0001.tar/c.png"]
    for index, (name, rgb) in enumerate(source):
        assert name == names[index]
        assert np.array_equal(rgb, smooth_image(index))
    assert index == 4
    assert len(find_images(tmp_path / "train-0000.tar")) == 2


def test_shards_behind_a_url_are_fetched_once(tmp_path):
    (tmp_path / "served").mkdir()
    write_shard(tmp_path / "served" / "train-0.tar", ["a", "b"])
    write_shard(tmp_path / "served" / "train-1.tar", ["c"], first=2)
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            requests.append(self.path)

    handler = functools.partial(Handler, directory=tmp_path / "served")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/train-{{0..1}}.tar"
        for _ in range(2):
            source = find_images(url, cache=tmp_path / "cache")
            assert [rgb[0, 0, 2] for _, rgb in source] == [0, 9, 18]
        # What follows the path is not part of the name.
        assert len(find_images(url + "?token=a.b", cache=tmp_path / "other")) == 3
        missing = f"http://127.0.0.1:{server.server_port}/missing.tar"
        with pytest.raises(ImageError, match=r"missing\.tar"):
            find_images(missing, cache=tmp_path / "cache")
        server.shutdown()
    plain = ["/train-0.tar", "/train-1.tar"]
    assert [path for path in requests if "train" in path] == plain + [f"{path}?token=a.b" for path in plain]


def test_shards_of_one_name_at_two_addresses_are_two(tmp_path):
    for first, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        write_shard(tmp_path / folder / "x.tar", ["a"], first=3 * first)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for first, folder in enumerate(("one", "two")):
            url = f"http://127.0.0.1:{server.server_port}/{folder}/x.tar"
            ((name, rgb),) = find_images(url, cache=tmp_path / "cache")
            # The name decides about training and validation: it does not tell where a shard lies.
            assert name == "x.tar/a.png"
            assert np.array_equal(rgb, smooth_image(3 * first))
        server.shutdown()


def test_a_cut_shard_gives_what_lies_before_the_cut(tmp_path):
    write_shard(tmp_path / "whole.tar", ["a", "b", "c", "d"])
    data = (tmp_path / "whole.tar").read_bytes()
    with tarfile.open(tmp_path / "whole.tar") as shard:
        cut = shard.getmember("c.png").offset_data + 10
    (tmp_path / "cut.tar").write_bytes(data[:cut])
    source = find_images(tmp_path / "cut.tar")
    assert [name for name, _ in source] == ["cut.tar/a.png", "cut.tar/b.png"]
    assert "cut.tar" in {each.name.split("/")[0] for each in source.skipped}


def test_the_validation_split_never_moves(tmp_path):
    names = [f"{index:04d}.png" for index in range(4000)]
    held_out = {name for name in names if name_share(name) < 0.02}
    assert len(held_out) == pytest.approx(80, abs=30)
    assert sorted(held_out)[:3] == ["0019.png", "0051.png", "0115.png"]

    for index in range(30):
        (tmp_path / names[index]).write_bytes(encoded(smooth_image(index)))
    training, validation = find_images(tmp_path).split(share=0.3)
    parts = [{part.name(index) for index in range(len(part))} for part in (training, validation)]
    assert parts[1] == {name for name in names[:30] if name_share(name) < 0.3}
    assert parts[0] == set(names[:30]) - parts[1]


def test_a_small_share_holds_out_enough_images_but_not_most(tmp_path):
    for index in range(40):
        (tmp_path / f"{index:04d}.png").write_bytes(encoded(smooth_image(index)))
    source = find_images(tmp_path)
    by_share = sorted((source.name(index) for index in range(40)), key=name_share)
    for share, at_least, expected in ((0.01, 6, 6), (0.01, 20, 10), (0.0, 20, 0)):
        training, validation = source.split(share, at_least)
        assert {validation.name(index) for index in range(len(validation))} == set(by_share[:expected])
        assert len(training) == 40 - expected


@pytest.fixture
def folder(tmp_path):
    for index in range(22):
        (tmp_path / f"{index:02d}.png").write_bytes(encoded(smooth_image(index)))
    return tmp_path


def dataset(folder, **options):
    return crops(find_images(folder), crops_per_image=3, pool_size=36, **options)


def one_epoch(data, worker=0, workers=1, epochs=1):
    """The samples of one of the workers of a process over all images."""
    images = len(range(worker * data.world_size + data.rank, len(data.source), workers * data.world_size))
    return list(islice(data.samples(worker, workers), epochs * images * data.options.crops_per_image))


def same(one, other):
    return one[2] == other[2] and np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])


def test_samples_are_crops_with_holes(folder):
    for image, mask, name in one_epoch(dataset(folder)):
        assert (image.shape, image.dtype) == ((3, CROP, CROP), np.uint8)
        assert (mask.shape, mask.dtype) == ((1, CROP, CROP), np.bool_)
        assert 0 < mask.sum() < CROP * CROP
        # The third channel identifies the image, so image and name belong together.
        assert (image[2] == 9 * int(name[:2]) % 256).all()


def test_each_sample_once_over_two_nodes_with_two_workers(folder):
    whole = one_epoch(dataset(folder))
    parts = [one_epoch(dataset(folder, rank=rank, world_size=2), worker, 2) for rank in (0, 1) for worker in (0, 1)]
    assert Counter(name for part in parts for _, _, name in part) == {f"{n:02d}.png": 3 for n in range(22)}
    assert max(map(len, parts)) - min(map(len, parts)) <= 3
    key = lambda sample: (sample[2], sample[0].tobytes(), sample[1].tobytes())  # noqa: E731
    assert len({key(sample) for part in parts for sample in part}) == 66
    # What an image's crops are does not even depend on the number of nodes and workers.
    assert {key(sample) for part in parts for sample in part} == {key(sample) for sample in whole}


def test_two_processes_see_the_batches_of_one(folder):
    one = dataset(folder, seed=5).samples()
    two = [dataset(folder, seed=5, rank=rank, world_size=2).samples() for rank in (0, 1)]
    for _ in range(11):
        whole = [name for _, _, name in islice(one, 6)]
        halves = [name for stream in two for _, _, name in islice(stream, 3)]
        assert whole[0::3] == halves[0::3]
        assert sorted(whole) == sorted(halves)


def test_a_stream_is_a_pure_function_of_seed_and_position(folder):
    straight = list(islice(dataset(folder).samples(), 150))
    for start in (0, 1, 65, 66, 100):
        for offset, sample in enumerate(islice(dataset(folder).samples(start=start), 10)):
            assert same(sample, straight[start + offset])
    assert not all(same(*pair) for pair in zip(straight, islice(dataset(folder, seed=1).samples(), 10), strict=False))
    first, second = straight[:66], straight[66:132]
    assert [name for _, _, name in first] != [name for _, _, name in second]


def test_images_are_decoded_once_an_epoch(folder):
    source = find_images(folder)
    reads = Counter()
    read = source.read
    source.read = lambda index, max_pixels=None: (reads.update([index]), read(index, max_pixels))[1]
    one_epoch(crops(source, crops_per_image=3, pool_size=40), epochs=3)
    assert set(reads.values()) == {1}
    reads.clear()
    one_epoch(crops(source, crops_per_image=3, pool_size=7))
    # With a pool that holds a third of them, only those at the ends of the epoch are decoded again.
    assert sum(reads.values()) <= 22 + 6


def test_broken_images_are_replaced_and_named(mixed_folder):
    source = find_images(mixed_folder)
    counts = Counter(name for _, _, name in one_epoch(crops(source, crops_per_image=2)))
    assert counts.total() == 48
    assert len(counts) == 20
    assert min(counts.values()) == 2
    assert {each.name for each in source.skipped} == {"cut.jpg", "cut.png", "empty.jpg", "page.png"}


def test_only_broken_images_end_with_an_error(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match="none of the 1 images can be read"):
        next(crops(find_images(tmp_path)).samples())


def test_fewer_images_than_workers_still_feed_all(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(smooth_image(1)))
    data = crops(find_images(tmp_path))
    for worker in range(3):
        assert len(list(islice(data.samples(worker, 3), 9))) == 9


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_resumes_exactly(mixed_folder, workers):
    data = crops(find_images(mixed_folder), crops_per_image=2, seed=3)
    streams = [data.samples(worker, max(1, workers)) for worker in range(max(1, workers))]
    expected = [list(islice(streams[number % len(streams)], 4)) for number in range(16)]

    stream = stream_of(crops(find_images(mixed_folder), crops_per_image=2, seed=3), 4, workers)
    layout = {"batch_size": 4, "workers": workers, "world_size": 1}
    state = {"source": "stream", "side": CROP, "began": 0, "done": 5, "loader": {"batches": 5, **layout}}
    assert stream.load_state_dict(state)
    for samples in expected[5:]:
        batch = stream.next(CROP)
        images, masks, names = zip(*samples, strict=True)
        assert batch["name"] == list(names)
        assert np.array_equal(batch["image"], np.stack(images))
        assert np.array_equal(batch["mask"], np.stack(masks))
        assert batch["image"].shape == (4, 3, CROP, CROP)
        assert batch["mask"].shape == (4, 1, CROP, CROP)
    assert stream.state_dict() == {**state, "done": 16, "loader": {"batches": 16, **layout}}
    stream.close()
    assert {each.name for each in stream.skipped} == {"cut.jpg", "cut.png", "empty.jpg", "page.png"}


def stream_of(data, batch_size, workers=0):
    return CropStream(lambda side, seed: data, batch_size, seed=0, workers=workers)


def test_a_stream_resumes_when_it_was_closed_and_leaves_torch_alone(folder):
    torch.manual_seed(0)
    whole, interrupted = (stream_of(dataset(folder), 2) for _ in range(2))
    straight = [whole.next(CROP) for _ in range(6)]
    pieces = [interrupted.next(CROP) for _ in range(4)]
    interrupted.close()
    pieces += [interrupted.next(CROP) for _ in range(2)]
    for one, other in zip(straight, pieces, strict=True):
        assert one["name"] == other["name"]
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["mask"], other["mask"])
    assert torch.equal(torch.rand(1), torch.manual_seed(0) and torch.rand(1))


def test_a_closed_stream_has_no_workers_though_something_holds_its_iterator(folder):
    stream, others = stream_of(dataset(folder), 2, workers=1), multiprocessing.active_children()
    stream.next(CROP)
    held = stream._batches
    assert len(multiprocessing.active_children()) == len(others) + 1
    stream.close()
    assert multiprocessing.active_children() == others
    del held


def test_a_stream_closes_where_the_iterator_does_not_know_its_workers(folder):
    stream = stream_of(dataset(folder), 2, workers=1)
    stream._batches = iter(())
    stream.close()
    assert stream._batches is None


def test_a_state_of_another_layout_is_refused(folder):
    stream = stream_of(dataset(folder), 2)
    stream.next(CROP)
    assert stream_of(dataset(folder), 2).load_state_dict(stream.state_dict())
    assert not stream_of(dataset(folder), 3).load_state_dict(stream.state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 8}, "crop must be at least 48, not 8"),
        ({"masks": "thinn"}, "unknown mask preset 'thinn'"),
        ({"max_scale": 0.5}, "max_scale must be at least 1, not 0.5"),
        ({"rank": 2, "world_size": 2}, "rank must be from 0 to 1, not 2"),
    ],
)
def test_options_are_checked(folder, options, message):
    with pytest.raises(OptionError, match=message):
        crops(find_images(folder), **options)


def test_processes_are_named_not_counted(folder):
    with pytest.raises(TypeError, match="positional"):
        CropDataset(find_images(folder), CropOptions("box"), CROP, 0, 1, 2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (31, 200), (32, 32), (40, 33), (300, 200)])
def test_crops_of_any_shape(shape):
    whole = smooth_image(0, *shape)
    for item in range(5):
        crop = random_crop(whole, 32, 2.0, rng_for(0, str(item)))
        assert crop.shape == (32, 32, 3)
        assert crop.dtype == np.uint8
        assert crop.flags.c_contiguous


def test_a_crop_at_native_scale_is_a_part_of_the_image():
    whole = smooth_image(0)
    windows = {
        view.tobytes()
        for y in range(29)
        for x in range(53)
        for part in [whole[y : y + 32, x : x + 32]]
        for view in (part, part[:, ::-1])
    }
    crops = {random_crop(whole, 32, 1.0, rng_for(0, str(item))).tobytes() for item in range(60)}
    assert crops <= windows
    assert len(crops) > 40


def test_masks_and_images_need_no_torch():
    modules = "wavepaint.data.masks, wavepaint.data.images, wavepaint.data.crops"
    code = f"import sys, {modules}; print({{'torch', 'cv2', 'pyvips'}} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "set()"
