from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from batch_inputs import KINDS, NAMES

from images import noise, pillow
from standin import write_standin
from wavepaint import Inpainter
from wavepaint.batch.folder import inpaint_folder
from wavepaint.batch.plan import make_plan
from wavepaint.options import Options


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Images of several kinds in `images`, their masks in `masks`."""
    for number, name in enumerate(NAMES):
        hole = np.zeros((30 + number, 41, 1), np.uint8)
        hole[5:12, 7:16] = 255
        content = pillow(noise(30 + number, 41, 3, seed=number), KINDS[Path(name).suffix])
        for folder, file, data in (
            ("images", Path(name), content),
            ("masks", Path(name).with_suffix(".png"), pillow(hole, "PNG")),
        ):
            path = tmp_path / folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return tmp_path / "images"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_standin(tmp_path / "mean.onnx")


@pytest.fixture
def expected(tmp_path: Path, images: Path, model: Path) -> dict[str, bytes]:
    """What folder mode makes of the images, by their names."""
    output = tmp_path / "folder"
    rows = make_plan(str(images), str(tmp_path / "masks"), str(output)).rows
    outcomes = list(inpaint_folder(Inpainter(model, "onnxruntime", 1), rows, str(output), Options()))
    assert {outcome.status for outcome in outcomes} == {"filled"}
    return {Path(row.input).relative_to(images).as_posix(): (output / row.result).read_bytes() for row in rows}


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """An S3 server in this process; the URL of a bucket."""
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ):
            patch.setenv(name, value)
        from wavepaint.storage import file_system

        file_system("s3://scans")[0].mkdir("scans")
        yield "s3://scans"
    server.stop()
