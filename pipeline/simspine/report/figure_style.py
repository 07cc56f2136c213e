"""How a figure shows observability: filled = measured, hollow = assumed, dashed grey = set by the model."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simspine.core.errors import InputError, runs_of_frames
from simspine.quality.observability import Observability

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType


# Colours, line styles and sizes of every figure and overlay, in one place.
# Two rules hold everywhere. What was *inferred* or *estimated* is never drawn like what was detected: hollow
# instead of filled, dashed instead of solid. What the model's couplers *force* is never drawn like a measurement:
# dashed grey, and labelled `FORCED_LABEL`.
# Colours: Okabe & Ito 2008 (colour universal design), distinct with any of the common colour deficiencies; yellow
# and black are left out of figures because they vanish on white and on dark pages.


ArtistStyle = dict[str, Any]  # keyword arguments of Matplotlib's artists

BLUE, ORANGE, GREEN, VERMILLION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, GREY = "#cc79a7", "#56b4e9", "#8b8f94"
YELLOW = "#f0e442"  # on images only, with a dark edge
NAMED_COLOURS = {
    "blue": BLUE, "orange": ORANGE, "green": GREEN, "vermillion": VERMILLION,
    "purple": PURPLE, "sky": SKY, "grey": GREY,
}  # fmt: skip
COLOUR_CYCLE = (BLUE, ORANGE, GREEN, PURPLE, VERMILLION, SKY)

# The ink of text and axes. `embed.svg` turns it into `currentColor`, so figures follow the page's light or dark theme.
INK_COLOUR = "#1b1f24"

FORCED_LABEL = "set by the model's couplers"
FORCED_STYLE: ArtistStyle = {"color": GREY, "linestyle": (0, (4, 2)), "linewidth": 1.2}
FORCED_DASHES = ((4, 2), (1, 1.5), (6, 2, 1, 2), (2, 2), (8, 2), (4, 1, 1, 1, 1, 1))  # tells forced levels apart
MEASURED_STYLE: ArtistStyle = {"linestyle": "-", "linewidth": 1.5}

ORIGIN_COLOURS = {
    "detected": BLUE, "estimated": BLUE, "inferred": ORANGE, "given": GREEN, "filled": PURPLE,
    "missing": "none",
}  # fmt: skip
STATUS_COLOURS = {"kept": GREEN, "corrected": ORANGE, "rejected": VERMILLION, "inferred": VERMILLION}

PAGE_WIDTH_IN = 8.6  # inches: the width of the page's column

_MATPLOTLIB_SETTINGS: "dict[RcKeyType, Any]" = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.labelcolor": INK_COLOUR,
    "axes.titlecolor": INK_COLOUR,
    "axes.edgecolor": INK_COLOUR,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": INK_COLOUR,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6,
    "text.color": INK_COLOUR,
    "text.parse_math": False,  # names come from files: a dollar sign is a dollar sign
    "xtick.color": INK_COLOUR,
    "ytick.color": INK_COLOUR,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "hatch.linewidth": 0.6,
    "svg.fonttype": "none",  # text stays text: searchable, read aloud, small
    "svg.hashsalt": "simspine",  # the same figure gives the same bytes
}


def matplotlib_style() -> AbstractContextManager[None]:
    """Matplotlib's settings while a figure is made or saved; what was set before comes back afterwards."""
    import matplotlib as mpl

    return mpl.rc_context(_MATPLOTLIB_SETTINGS)


def marker_style(origin: str, colour: str) -> ArtistStyle:
    """Keyword arguments of `Axes.plot` for one point: filled where it was detected, hollow where not.

    Inferred points are circles, estimated ones diamonds.
    """
    if origin == "estimated":
        return {"marker": "D", "markerfacecolor": "none", "markeredgecolor": colour, "markeredgewidth": 1.2}
    if origin == "inferred":
        return {"marker": "o", "markerfacecolor": "none", "markeredgecolor": colour, "markeredgewidth": 1.2}
    return {"marker": "o", "markerfacecolor": colour, "markeredgecolor": colour}


def to_bgr(colour: str) -> tuple[int, int, int]:
    """'#rrggbb' as OpenCV's (blue, green, red)."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return blue, green, red


def sequence_colours(n: int) -> list[str]:
    """`n` colours for things with an order (spinal levels, frames): the Okabe–Ito colours up to six, then a ramp."""
    if n <= len(COLOUR_CYCLE):
        return list(COLOUR_CYCLE[:n])
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    ramp = mpl.colormaps["viridis"]  # perceptually uniform, readable without colour vision; both ends trimmed
    return [to_hex(ramp(0.08 + 0.8 * i / (n - 1))) for i in range(n)]


# What the figures share: an empty figure, shading of rejected frames, legends, labels that do not overlap.


_BAND_COLUMNS = 800  # of a band: a panel is some 400 points wide


def new_figure(height: float, width: float = PAGE_WIDTH_IN) -> "Figure":
    """An empty figure of `width` x `height` inches that lays itself out; no window, no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def time_step(time: np.ndarray) -> float:
    """Time from frame to frame, s; 1 where there are fewer than two frames."""
    return float(np.median(np.diff(time))) if len(time) > 1 else 1.0


def shade_rejected(
    axes: "Axes", time: np.ndarray, status: Sequence[str] | None, labelled: bool = True, zorder: float = 0
) -> None:
    """Rejected frames as hatched stretches, half a frame to either side, with one legend entry; those that were filled
    in with dots in place of the hatch, and an entry of their own."""
    if status is None:
        return
    if len(status) != len(time):
        raise InputError(f"status has {len(status)} entries, expected one for each of {len(time)} frames.")
    half = time_step(time) / 2
    for kind, hatch, text in (("rejected", "////", "rejected frames"), ("inferred", "..", "inferred, not seen")):
        of_kind = np.array([str(s) == kind for s in status], bool)
        label = f"{text} ({of_kind.sum()} of {of_kind.size})" if labelled else None
        for a, b in runs_of_frames(np.flatnonzero(of_kind)):
            left, right = time[a] - half, time[b - 1] + half
            # Two patches: SVG gives a hatch the opacity of the face it lies on.
            axes.axvspan(left, right, facecolor=VERMILLION, alpha=0.12, linewidth=0, zorder=zorder)
            axes.axvspan(left, right, facecolor="none", edgecolor=VERMILLION, hatch=hatch, linewidth=0, zorder=zorder,
                         label=label)  # fmt: skip
            label = None


def bare_axes(axes: "Axes", half_width: float, half_height: float) -> None:
    """Room for a body around the origin, m, at one scale; no ticks, frame or grid."""
    axes.set(xlim=(-half_width, half_width), ylim=(-half_height, half_height), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.grid(False)


def scale_bar(axes: "Axes", at: tuple[float, float], length: float, gap: float, label: str) -> None:
    """An upright bar from `at`, m, with its label `gap` beside it."""
    x, y = at
    axes.plot([x, x], [y, y + length], color=GREY, linewidth=2.2, solid_capstyle="butt")
    axes.text(x + gap, y + length / 2, label, fontsize=7.5, color=GREY, rotation=90, va="center")


def line_segments(xy: np.ndarray, pairs: "Sequence[tuple[int, int]] | np.ndarray") -> tuple[np.ndarray, np.ndarray]:
    """x and y of lines between pairs of points (points, 2), with a gap after each: a single artist draws them."""
    ends = np.full((len(pairs), 3, 2), np.nan)
    ends[:, :2] = xy[np.asarray(pairs, int).reshape(-1, 2)]
    return ends[..., 0].ravel(), ends[..., 1].ravel()


def fill_band(axes: "Axes", time: np.ndarray, low: np.ndarray, high: np.ndarray, **style: Any) -> None:
    """A band from low to high (frames,) over time, NaN = not known.

    Of more frames than `_BAND_COLUMNS`, neighbours share a column from their lowest to their highest: half a point of
    the
    page wide, so that the band looks the same and a page of a long trial stays light.
    """
    each = -(-len(time) // _BAND_COLUMNS) if len(time) > _BAND_COLUMNS else 1
    if each > 1:
        room = np.full(-len(time) % each, np.nan)
        time, low, high = (np.concatenate([values, room]).reshape(-1, each) for values in (time, low, high))
        time, low, high = np.nanmean(time, 1), np.fmin.reduce(low, 1), np.fmax.reduce(high, 1)
    axes.fill_between(time, low, high, linewidth=0, **style)


def time_axis(axes: "Axes", time: np.ndarray, labelled: bool = True) -> None:
    """Limits to the trial and name the axis with its unit."""
    half = time_step(time) / 2
    if len(time):
        axes.set_xlim(time[0] - half, time[-1] + half)
    if labelled:
        axes.set_xlabel("time (s)")


def spread_labels(positions: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Positions moved as little as needed to lie `gap` apart within [low, high]; the order stays.

    Too many for the room share it evenly. For labels at the end of curves.
    """
    from scipy.optimize import isotonic_regression

    wanted = np.asarray(positions, float)
    n = len(wanted)
    if n == 0:
        return wanted
    steps = min(gap, (high - low) / max(n - 1, 1)) * np.arange(n)
    order = np.argsort(wanted, kind="stable")
    # Substituting y_i = x_i - i·gap turns "at least gap apart" into "not decreasing": the least-squares answer is an
    # isotonic regression.
    y = isotonic_regression(np.clip(wanted[order], low, high) - steps).x
    out = np.empty(n)
    out[order] = np.clip(y, low, high - steps[-1]) + steps
    return out


def line_key(label: str, **style: Any) -> "Artist":
    """A line or point in a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **style)


def patch_key(label: str, **style: Any) -> "Artist":
    """A filled or hollow box in a legend."""
    from matplotlib.patches import Patch

    return Patch(label=label, **style)


def figure_legend(figure: "Figure", keys: Sequence["Artist"], columns: int, **options: Any) -> None:
    """The figure's legend, above its panels."""
    if keys:
        figure.legend(handles=keys, loc="outside upper left", ncols=columns, **options)


PALE_BLUE = "#a9cfe8"  # blue on white at about a third


@dataclass(frozen=True)
class ObservabilityLook:
    """edge, face: colours ('none': hollow). dash: of its outline. label: for the legend."""

    edge: str
    face: str
    label: str
    dash: Literal["-", "--"] = "-"


LOOK_OF_OBSERVABILITY = {
    Observability.MEASURED: ObservabilityLook(BLUE, BLUE, "measured"),
    Observability.PARTLY: ObservabilityLook(BLUE, PALE_BLUE, "partly measured"),
    Observability.SUM: ObservabilityLook(BLUE, "none", "measured as a sum over levels"),
    Observability.ESTIMATED: ObservabilityLook(BLUE, "none", "estimated, not seen", "--"),
    Observability.PARTLY_ESTIMATED: ObservabilityLook(BLUE, "none", "partly estimated, not seen", "--"),
    Observability.ASSUMED: ObservabilityLook(ORANGE, "none", "mostly assumed"),
    Observability.VERY_UNCERTAIN: ObservabilityLook(ORANGE, "none", "very uncertain", "--"),
    Observability.FORCED: ObservabilityLook(GREY, "none", FORCED_LABEL, "--"),
    Observability.UNKNOWN: ObservabilityLook(BLUE, PALE_BLUE, "this data set"),
}


def observability_look(word: str) -> ObservabilityLook:
    """Of a `Observability`, or its text."""
    return LOOK_OF_OBSERVABILITY[Observability(word)]


def observability_handles(words: Iterable[str], marker: bool = False) -> "list[Artist]":
    """Legend entries of the words that occur, in a fixed order; as points where `marker`, else as patches."""
    found = [shown for word, shown in LOOK_OF_OBSERVABILITY.items() if word in set(words)]
    if marker:
        return [
            line_key(
                s.label, color=s.edge, marker="o", markerfacecolor=marker_face_colour(s), markersize=6, linewidth=0
            )
            for s in found
        ]
    return [patch_key(s.label, facecolor=s.face, edgecolor=s.edge, linestyle=s.dash) for s in found]


def marker_face_colour(shown: ObservabilityLook) -> str:
    """Colour of a point's face: white where hollow, so that lines do not show through."""
    return "white" if shown.face == "none" else shown.face
