"""What libvips reports beside its errors, on threads of its own, must reach neither Python nor standard error."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image

STORM = """
import gc, logging, sys, threading
import pyvips
from wavepaint.image.vips import libvips

heard = []
class Listener(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith("VIPS: "):
            heard.append(record.getMessage())

logger = logging.getLogger("pyvips")
logger.setLevel(logging.DEBUG)
logger.addHandler(Listener())
truncated = open(sys.argv[1], "rb").read()

def decode():
    image = pyvips.Image.jpegload_buffer(truncated, fail_on="none").rot90()
    ring = [image]
    ring.append(ring)  # so that only the collector frees it
    return image.numpy()

decode()
assert heard, "the file makes libvips report nothing: this test shows nothing"
assert libvips() is pyvips
heard.clear()
gc.set_threshold(1)

def decode_often():
    for _ in range(20):
        decode()
        gc.collect()

threads = [threading.Thread(target=decode_often) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(heard))
"""


def test_messages_of_libvips_reach_neither_python_nor_standard_error(tmp_path: Path) -> None:
    stream = BytesIO()
    Image.effect_noise((400, 300), 60).save(stream, "JPEG")
    truncated = tmp_path / "truncated.jpg"
    truncated.write_bytes(stream.getvalue()[:-2000])
    done = subprocess.run([sys.executable, "-c", STORM, truncated], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
