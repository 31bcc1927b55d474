"""The errors a caller can expect, all of them subclasses of `WavepaintError`.

Every message is one line that names the file (or argument) and the reason; the command line prints it
as it is and exits with status 2.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager


class WavepaintError(Exception):
    """Something about the input or the installation makes the work impossible."""


class ImageError(WavepaintError):
    """An image that cannot be read, is of an unsupported kind, or cannot be written."""


class ImageWarning(UserWarning):
    """Something about a file that the result cannot keep, that was converted on reading, or that looks like a slip."""


class MaskError(WavepaintError):
    """A mask that does not fit its image, or leaves nothing to work from."""


class OptionError(WavepaintError):
    """An option whose value makes no sense; unknown names list the known ones."""


class CheckpointError(WavepaintError):
    """A file that is not a WavePaint checkpoint, or one with keys missing or left over."""


class MissingExtraError(WavepaintError):
    """A feature whose optional packages are not installed; names the extra to install."""

    def __init__(self, feature: str, extra: str, package: str) -> None:
        super().__init__(f"{feature} needs {package}: pip install 'wavepaint[{extra}]'")
        self.extra = extra


def check_known(what: str, names: Iterable[str], known: Collection[str]) -> None:
    """Raise `OptionError`, listing the known ones, for a name of `what` that is not among them."""
    for name in names:
        if name not in known:
            raise OptionError(f"unknown {what} {name!r}; known: {', '.join(known)}")


def one_line(error: Exception) -> str:
    """What an error says in one line, never an empty one; of an error of the system, its reason without the file."""
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__


@contextmanager
def image_error(prefix: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn an error of these kinds, in the block, into an `ImageError` of one line that begins with the prefix."""
    try:
        yield
    except kinds as error:
        raise ImageError(f"{prefix}: {one_line(error)}") from None


@contextmanager
def prefixed(prefix: str) -> Iterator[None]:
    """Begin what an `ImageError` or a `MaskError` of the block says with a prefix."""
    try:
        yield
    except (ImageError, MaskError) as error:
        raise type(error)(f"{prefix}: {error}") from None


def failure_of(name: str, error: Exception) -> str:
    """One line that names a file and says what failed."""
    reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
    return " ".join((str(error) if isinstance(error, WavepaintError) else f"{name}: {reason}").split())


@contextmanager
def needs_extra(feature: str, extra: str, package: str = "") -> Iterator[None]:
    """Turn an `ImportError` of the block into a `MissingExtraError`; `package` where that is not the module's name."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(feature, extra, package or str(error.name)) from None


def check_threads(threads: int | None) -> None:
    """Raise an `OptionError` for a number of threads that is less than 1, or no whole number; None is fine."""
    if threads is not None and not (isinstance(threads, int) and threads >= 1):
        raise OptionError(f"threads must be at least 1, a whole number, got {threads!r}")
