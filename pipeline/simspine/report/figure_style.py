"""Colours, line styles and sizes of every figure and overlay, and what figures share.

Two rules hold everywhere. What was *inferred* or *estimated* is never drawn like what was detected: hollow instead of
filled, dashed instead of solid. What the model's couplers *force* is never drawn like a measurement: dashed grey, and
labelled as such.

Colours: Okabe & Ito 2008 (colour universal design), distinct with any of the common colour deficiencies; yellow and
black are left out of figures because they vanish on white and on dark pages.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure


ArtistStyle = dict[str, Any]  # keyword arguments of Matplotlib's artists

BLUE, ORANGE, GREEN, VERMILLION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, GREY = "#cc79a7", "#56b4e9", "#8b8f94"
VIOLET, RED = "#5a35c0", "#8f1d1d"  # right and left side of the body, which no state has
LILAC, YELLOW, MINT = "#9f8bff", "#ffec8b", "#2fc193"  # right, left and green on images and dark pages
NAMED_COLOURS = {
    "blue": BLUE, "orange": ORANGE, "green": GREEN, "vermillion": VERMILLION,
    "purple": PURPLE, "sky": SKY, "grey": GREY, "right": VIOLET, "left": RED,
}  # fmt: skip

# The ink of text and axes. `canvas.figure_svg` turns it into `currentColor`: figures follow the light or dark theme.
INK_COLOUR = "#1b1f24"

ASSUMED_DASHES = (0, (5, 2))

# Colours of points by kind, one of `NAMED_COLOURS` each: in the player, on pictures and in figures.
POINT_COLOURS = {
    "detected": "blue", "skin": "green", "estimated": "blue", "inferred": "orange", "given": "purple",
    "filled": "grey", "rejected": "vermillion",
}  # fmt: skip

PAGE_WIDTH_IN = 8.6  # inches: the width of the page's column


def matplotlib_style() -> AbstractContextManager[None]:
    """A block in which `figures.mplstyle` applies; previous settings come back afterwards."""
    import matplotlib as mpl

    return mpl.rc_context(fname=Path(__file__).with_name("figures.mplstyle"))


def to_bgr(colour: str) -> tuple[int, int, int]:
    """'#rrggbb' as OpenCV's (blue, green, red)."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return blue, green, red


def new_figure(height: float, width: float = PAGE_WIDTH_IN) -> "Figure":
    """An empty figure of `width` x `height` inches that lays itself out; no window, no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def line_key(label: str, **style: Any) -> "Artist":
    """A line or point in a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **style)
