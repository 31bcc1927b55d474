"""A small stroke font for masks of lettering.

Fonts of drawing libraries change with their versions, and a mask must not; this one is a table of pen
strokes on a grid. Lower-case letters are drawn as small capitals.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Path = NDArray[np.float64]
"""Points `(n, 2)`, x before y."""

CAP_HEIGHT = 6
_SMALL = 0.75
_LETTER_GAP = 1.6
_SPACE = 2.0

# Strokes are separated by commas; each point is a pair of digits, x (0-4) and y (0 = top, 6 = baseline).
_GLYPHS = {
    " ": "",
    "A": "06 20 46,14 34",
    "B": "06 00 30 41 42 33 03,33 44 45 36 06",
    "C": "41 30 10 01 05 16 36 45",
    "D": "00 06 26 44 42 20 00",
    "E": "40 00 06 46,03 33",
    "F": "40 00 06,03 33",
    "G": "41 30 10 01 05 16 36 45 43 23",
    "H": "00 06,40 46,03 43",
    "I": "00 06",
    "J": "30 35 26 16 05",
    "K": "00 06,40 03 46",
    "L": "00 06 36",
    "M": "06 00 23 40 46",
    "N": "06 00 46 40",
    "O": "10 30 41 45 36 16 05 01 10",
    "P": "06 00 30 41 42 33 03",
    "Q": "10 30 41 45 36 16 05 01 10,34 46",
    "R": "06 00 30 41 42 33 03,23 46",
    "S": "41 30 10 01 02 13 33 44 45 36 16 05",
    "T": "00 40,20 26",
    "U": "00 05 16 36 45 40",
    "V": "00 26 40",
    "W": "00 16 22 36 40",
    "X": "00 46,40 06",
    "Y": "00 23 40,23 26",
    "Z": "00 40 06 46",
    "0": "10 20 31 35 26 16 05 01 10",
    "1": "01 10 16",
    "2": "01 10 20 31 32 06 36",
    "3": "01 10 20 31 32 23 13,23 34 35 26 16 05",
    "4": "26 20 04 34",
    "5": "30 00 03 23 34 35 26 06",
    "6": "30 20 02 05 16 26 35 34 23 13 04",
    "7": "00 30 16",
    "8": "10 20 31 32 23 13 02 01 10,13 04 05 16 26 35 34 23",
    "9": "06 16 34 31 20 10 01 02 13 23 32",
    ".": "06 06",
    ":": "02 02,05 05",
    "/": "06 30",
    "'": "00 01",
    "-": "03 23",
}


def pen_strokes(line: str) -> tuple[list[Path], float]:
    """Return the pen strokes of one line of text and its width.

    Each stroke is an open path of float64 `(n, 2)` points, x before y. Capitals are `CAP_HEIGHT` units tall;
    the line starts at x = 0 and stands on y = 0, so that letters have negative y. Known are letters, digits,
    the space and `. : / ' -`; anything else raises `KeyError`.
    """
    strokes: list[Path] = []
    x = 0.0
    for character in line:
        scale = _SMALL if character.islower() else 1.0
        glyph = _glyph(character.upper())
        strokes.extend(path * scale + (x, 0.0) for path in glyph)
        width = max(float(path[:, 0].max()) for path in glyph) if glyph else _SPACE
        x += width * scale + _LETTER_GAP
    return strokes, max(x - _LETTER_GAP, 1.0)


@cache
def _glyph(character: str) -> tuple[Path, ...]:
    return tuple(
        np.array([(int(point[0]), int(point[1]) - CAP_HEIGHT) for point in stroke.split()], dtype=float)
        for stroke in _GLYPHS[character].split(",")
        if stroke
    )
