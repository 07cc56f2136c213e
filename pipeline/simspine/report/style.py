"""Colours, line styles and sizes of every figure and overlay, in one place.

Two rules hold everywhere. What was *inferred* or *estimated* is never drawn like what was detected: hollow instead of
filled, dashed instead of solid. What the model's couplers *force* is never drawn like a measurement: dashed grey, and
labelled `FORCED_LABEL`.

Colours: Okabe & Ito 2008 (colour universal design), distinct with any of the common colour deficiencies; yellow and
black are left out of figures because they vanish on white and on dark pages.
"""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

Style = dict[str, Any]  # keyword arguments of Matplotlib's artists

BLUE, ORANGE, GREEN, VERMILLION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, GREY = "#cc79a7", "#56b4e9", "#8b8f94"
YELLOW = "#f0e442"  # on images only, with a dark edge
NAMED = {
    "blue": BLUE, "orange": ORANGE, "green": GREEN, "vermillion": VERMILLION,
    "purple": PURPLE, "sky": SKY, "grey": GREY,
}  # fmt: skip
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, VERMILLION, SKY)

# The ink of text and axes. `embed.svg` turns it into `currentColor`, so figures follow the page's light or dark theme.
INK = "#1b1f24"

FORCED_LABEL = "set by the model's couplers"
FORCED: Style = {"color": GREY, "linestyle": (0, (4, 2)), "linewidth": 1.2}
FORCED_DASHES = ((4, 2), (1, 1.5), (6, 2, 1, 2), (2, 2), (8, 2), (4, 1, 1, 1, 1, 1))  # tells forced levels apart
MEASURED: Style = {"linestyle": "-", "linewidth": 1.5}

ORIGIN_COLOURS = {
    "detected": BLUE, "estimated": BLUE, "inferred": ORANGE, "given": GREEN, "filled": PURPLE,
    "missing": "none",
}  # fmt: skip
STATUS_COLOURS = {"kept": GREEN, "corrected": ORANGE, "rejected": VERMILLION, "inferred": VERMILLION}

WIDTH = 8.6  # inches: the width of the page's column

_RC: "dict[RcKeyType, Any]" = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "text.parse_math": False,  # names come from files: a dollar sign is a dollar sign
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "hatch.linewidth": 0.6,
    "svg.fonttype": "none",  # text stays text: searchable, read aloud, small
    "svg.hashsalt": "simspine",  # the same figure gives the same bytes
}


def styled() -> AbstractContextManager[None]:
    """Matplotlib's settings while a figure is made or saved; what was set before comes back afterwards."""
    import matplotlib as mpl

    return mpl.rc_context(_RC)


def marker_style(origin: str, colour: str) -> Style:
    """Keyword arguments of `Axes.plot` for one point: filled where it was detected, hollow where not.

    Inferred points are circles, estimated ones diamonds.
    """
    if origin == "estimated":
        return {"marker": "D", "markerfacecolor": "none", "markeredgecolor": colour, "markeredgewidth": 1.2}
    if origin == "inferred":
        return {"marker": "o", "markerfacecolor": "none", "markeredgecolor": colour, "markeredgewidth": 1.2}
    return {"marker": "o", "markerfacecolor": colour, "markeredgecolor": colour}


def bgr(colour: str) -> tuple[int, int, int]:
    """'#rrggbb' as OpenCV's (blue, green, red)."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return blue, green, red


def sequence(n: int) -> list[str]:
    """`n` colours for things with an order (spinal levels, frames): the Okabe–Ito colours up to six, then a ramp."""
    if n <= len(CYCLE):
        return list(CYCLE[:n])
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    ramp = mpl.colormaps["viridis"]  # perceptually uniform, readable without colour vision; both ends trimmed
    return [to_hex(ramp(0.08 + 0.8 * i / (n - 1))) for i in range(n)]
