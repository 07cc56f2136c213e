"""Charts of all levels at once: ranges of angles.

They are SVG without a viewBox. Lengths across are shares of the width, so text has one size on screens of any width.
"""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from simspine.core.arrays import NORMAL_95
from simspine.core.types import Forced
from simspine.quality.observability import Observability, observability_of
from simspine.report.page import interval_text, is_beyond, unbreakable

_ROW_PX, _TOP_PX, _AXIS_PX = 17, 24, 38  # heights of a row, of the title, and of the axis with its label
_LONGEST_NAME = 20  # letters


def _chart(names: Sequence[str], marks: Mapping[float, float], label: str, drawn: str, look: str = "") -> str:
    """An `<svg>` with a row for each name above an axis. marks: {share of the width, %: number}. drawn: in the rows."""
    foot = _TOP_PX + len(names) * _ROW_PX
    shown = [name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in names]
    rows = (f'<text class="name" x="-6" y="{_middle(i) + 4:g}">{escape(name)}</text>' for i, name in enumerate(shown))
    grid = "".join(f'<line class="grid" x1="{x:.2f}%" x2="{x:.2f}%" y1="{_TOP_PX}" y2="{foot}"/>' for x in marks)
    texts = ((x, unbreakable(f"{number + 0.0:g}")) for x, number in marks.items())  # + 0.0: no "-0"
    ticks = "".join(f'<text class="tick" x="{x:.2f}%" y="{foot + 15}">{text}</text>' for x, text in texts)
    axis = f'<line class="axis" x1="0" x2="100%" y1="{foot}" y2="{foot}"/>'
    named = f'<text class="tick" x="50%" y="{foot + 33}">{label}</text>'
    opening = f'<svg class="chart {look}" height="{foot + _AXIS_PX}" style="--name: {max(map(len, shown), default=0)}">'
    return f"{opening}{grid}{''.join(rows)}{drawn}{axis}{ticks}{named}</svg>"


def _middle(row: int) -> float:
    """Middle of a row, px from the top."""
    return _TOP_PX + (row + 0.5) * _ROW_PX


def _bar(look: str, left: float, right: float, middle: float, height: float) -> str:
    """A box between two shares of the width, %."""
    across = f'x="{left:.2f}%" width="{right - left:.2f}%"'
    return f'<rect class="{look}" {across} y="{middle - height / 2:g}" height="{height:g}"/>'


def _legend(keys: Mapping[str, str]) -> str:
    """keys: {text: look}."""
    bars = ((text, _bar(look, 4, 96, middle=5.5, height=1 if look == "interval" else 9)) for text, look in keys.items())
    signs = (f'<span><svg width="24" height="11">{bar}</svg> {text}</span>' for text, bar in bars)
    return f'<p class="chart-key">{"".join(signs)}</p>'


def _round_marks(low: float, high: float) -> dict[float, float]:
    """{share of the width, %: round number} on a scale from low to high, seven at most."""
    least = (high - low) / 6
    power = 10.0 ** np.floor(np.log10(least))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= 0.999 * least)
    numbers = step * np.arange(np.ceil(low / step), np.floor(high / step) + 1)
    return dict(zip(100 * (numbers - low) / (high - low), numbers, strict=True))


# By the verdicts: measured ranges are filled, partly measured ones pale, assumed ones hollow and dashed.
PLANE_TITLES = {"Flexion–extension": "flexion", "Lateral bending": "to the right", "Axial rotation": "to the left"}
VERDICT_LOOKS = {
    "measured": "measured",
    "partly measured": "partly",
    "assumed": "assumed",
    "set by the model's couplers": "forced",
}
_LOOK_OF_WORD = {Observability.PARTLY: "partly", Observability.ASSUMED: "assumed", Observability.FORCED: "forced"}


def _verdict_looks(levels: Sequence[str], shares: np.ndarray, forced: Mapping[str, Sequence[Forced]]) -> np.ndarray:
    """(levels, 3) of `VERDICT_LOOKS`. shares: NaN counts as measured where the solver gave no share."""
    words = observability_of(levels, shares, forced)
    return np.array([[_LOOK_OF_WORD.get(word, "measured") for word in planes] for planes in words])


def are_results(
    levels: Sequence[str], shares: np.ndarray, forced: Mapping[str, Sequence[Forced]], marked: Sequence[str]
) -> np.ndarray:
    """(levels, 3): angles that are results: measured, or partly so with markers on both vertebrae (`marked`)."""
    looks = _verdict_looks(levels, shares, forced)
    return (looks == "measured") | ((looks == "partly") & np.isin(levels, marked)[:, None])


def range_charts(
    levels: Sequence[str],
    angles: np.ndarray,
    sd: np.ndarray | None,
    shares: np.ndarray,
    forced: Mapping[str, Sequence[Forced]] = MappingProxyType({}),
    marked: Sequence[str] = (),
) -> str:
    """Range of each level's angle over the frames, with the 95 % interval around it.

    angles, sd: (frames, levels, 3) rad. shares: (levels, 3), NaN = not known. A chart for each plane. marked:
    levels with markers on both vertebrae, the only ones with numbers. Of an angle that is not a result: the mean.
    """
    looks, found = _verdict_looks(levels, shares, forced), are_results(levels, shares, forced, marked)
    mean = np.ma.masked_invalid(angles).mean(0, keepdims=True).filled(np.nan)
    typical = None if sd is None else np.ma.median(np.ma.masked_invalid(sd), 0, keepdims=True).filled(np.nan)
    of_mean = ends_of_span(mean, typical)
    ends, looks = np.where(found, ends_of_span(angles, sd), of_mean), looks[::-1]
    top_down, planes = levels[::-1], enumerate(PLANE_TITLES.items())
    charts = "".join(
        _plane_chart(top_down, ends[:, ::-1, k], looks[:, k], marked=marked, names=names) for k, names in planes
    )
    keys = {label: look for label, look in VERDICT_LOOKS.items() if (looks == look).any()}
    if sd is not None:
        keys["95 % interval"] = "interval"
    return f'{_legend(keys)}<div class="planes">{charts}</div>'


def _plane_chart(
    levels: Sequence[str], ends: np.ndarray, looks: np.ndarray, marked: Sequence[str], names: tuple[str, str]
) -> str:
    """Ranges and intervals in one plane. ends: (4, levels) as from `ends_of_span`. looks: (levels,).

    names: the plane's, and that of positive angles.
    """
    title, positive = names
    low, high = _scale_of(ends)
    places, zero = 100 * (ends - low) / (high - low), 100 * -low / (high - low)
    top, bottom = _TOP_PX, _TOP_PX + len(levels) * _ROW_PX
    parts = [f'<text class="title" x="0" y="14">{title}</text>']
    parts.append(f'<line class="zero" x1="{zero:.2f}%" x2="{zero:.2f}%" y1="{top}" y2="{bottom}"/>')
    known = np.flatnonzero(np.isfinite(ends[1])).tolist()
    parts += [_range_mark(looks[i], places[:, i], _middle(i)) for i in known]
    for edge in (i for i, (a, b) in enumerate(pairwise(map(spine_region, levels)), 1) if a != b):
        parts.append(f'<line class="axis" x1="0" x2="100%" y1="{top + edge * _ROW_PX}" y2="{top + edge * _ROW_PX}"/>')
    numbered = [i for i in known if levels[i] in marked and looks[i] in ("measured", "partly")]
    numbers = [_span_number(ends[:, i], looks[i], _middle(i) + 4) for i in numbered]
    label, look = f"angle (°), positive = {positive}", "numbered" if any(numbers) else ""
    return _chart(levels, _round_marks(low, high), label, drawn="".join([*parts, *numbers]), look=look)


def _span_number(ends: np.ndarray, look: str, y: float) -> str:
    """The span of a level as in the table, as text at height y; '' where it is within its ±. ends: (4,) degrees."""
    span, sd = ends[2] - ends[1], np.hypot(ends[1] - ends[0], ends[3] - ends[2]) / NORMAL_95
    text = interval_text(span, sd, "deg")
    shown = f"({text})" if look == "partly" else text
    return f'<text class="span" x="100%" y="{y:g}">{shown}</text>' if is_beyond(span, sd, "deg") else ""


def _scale_of(ends: np.ndarray) -> tuple[float, float]:
    """Least and greatest angle of a chart, degrees: those of the intervals and 0, with a margin."""
    known = np.append(ends[np.isfinite(ends)], 0.0)
    margin = max(0.04 * np.ptp(known), 0.5)
    return known.min() - margin, known.max() + margin


def _range_mark(look: str, places: np.ndarray, middle: float) -> str:
    """A box with a line on either side. places: (4,) ends of the left line, of the box, and of the right line, %."""
    lines = (
        f'<line class="{look}" x1="{left:.2f}%" x2="{right:.2f}%" y1="{middle:g}" y2="{middle:g}"/>'
        for left, right in (places[:2], places[2:])
    )
    return "".join(lines) + _bar(look, places[1], places[2], middle=middle, height=9)


def ends_of_span(angles: np.ndarray, sd: np.ndarray | None) -> np.ndarray:
    """(4, levels, 3) degrees: least angle minus 1.96 sd, least, greatest, greatest plus 1.96 sd; NaN = not known.

    angles, sd: (frames, levels, 3) rad, NaN = not known. Without sd the outer ends are the inner ones.
    """
    if not len(angles):
        return np.full((4, *angles.shape[1:]), np.nan)
    known = np.isfinite(angles)
    order = np.where(known, angles, np.inf).argmin(0), np.where(known, angles, -np.inf).argmax(0)
    low, high = (np.take_along_axis(angles, frame[None], 0)[0] for frame in order)
    reach = [0.0 if sd is None else NORMAL_95 * np.take_along_axis(sd, frame[None], 0)[0] for frame in order]
    return np.degrees([low - reach[0], low, high, high + reach[1]])


def spine_region(level: str) -> str:
    """'lumbar', 'thoracic' or 'cervical' for a level named after its vertebrae, upper one first; T12–L1 is lumbar."""
    upper, _, lower = level.partition("-")
    if lower[:1] in ("L", "S"):
        return "lumbar"
    return "thoracic" if upper[:1] == "T" else "cervical"
