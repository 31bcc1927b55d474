"""Standard input and output as files: closed ones, terminals, short writes."""

from __future__ import annotations

import select
import sys

from wavepaint.errors import OptionError, WavepaintError

STREAM = "-"
"""The name that stands for standard input or output."""


def read_stdin() -> bytes:
    """All of standard input; `OptionError` where there is none."""
    if sys.stdin is None or sys.stdin.closed:
        raise OptionError("standard input is closed: give it a file, or name one")
    if sys.stdin.isatty():
        raise OptionError("standard input is a terminal: give it a file, or name one")
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise WavepaintError(f"standard input: cannot be read: {error.strerror or error}") from None


def check_stdout() -> None:
    """Refuse, before the work, a standard output that cannot take a file: `OptionError`."""
    if sys.stdout is None or sys.stdout.closed:
        raise OptionError("standard output is closed: redirect it, or name a file with -o")
    if sys.stdout.isatty():
        raise OptionError("standard output is a terminal: redirect it, or name a file with -o")


def write_stdout(data: bytes) -> None:
    """Write all of a file to standard output; `WavepaintError` if that fails, unless its reader went away."""
    stream, rest = sys.stdout.buffer, memoryview(data)
    try:
        while rest:
            try:
                # Unbuffered streams (python -u) write a part, and None where a pipe that does not block is full.
                written = stream.write(rest)
            except BlockingIOError as error:
                written = error.characters_written
            if not written:
                select.select([], [stream], [])
            rest = rest[written or 0 :]
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise WavepaintError(f"standard output: cannot be written: {error.strerror or error}") from None
