"""How well things fit: reprojection errors per camera and point (pixels), marker errors of the body (millimetres)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simspine.arrays import checked
from simspine.report.figures.common import line_key, new_figure
from simspine.report.style import BLUE, CYCLE, GREY, INK, MEASURED, VERMILLION, marker_style, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Signs behind names, and why.
_UNSEEN = {"inferred": ("○", "no observation of its own"), "estimated": ("◇", "not seen itself")}
FLAG_MM = 100  # the distance at which the validation protocol sends a marker back


def reprojection(errors: np.ndarray, kept: np.ndarray, cameras: Sequence[str], swapped: np.ndarray) -> "Figure":
    """Distribution of the reprojection error per camera, the share of observations kept, and left/right swaps undone.

    errors: (frames, views, points) px, NaN = no observation. kept, swapped: same shape, bool.
    """
    errors, kept = _checked(errors, kept, len(cameras))
    swapped = checked("swapped", swapped, errors.shape, bool)
    observed = np.isfinite(errors)
    with styled():
        figure = new_figure(3.5)
        left, right = figure.subplots(1, 2, width_ratios=[1.55, 1])
        _cumulative(left, errors[observed], label="all cameras, before pruning", color=GREY, linestyle="--")
        for v, camera in enumerate(cameras):
            own = errors[:, v][observed[:, v] & kept[:, v]]
            _cumulative(left, own, label=camera, color=CYCLE[v % len(CYCLE)], **MEASURED)
        good = errors[observed & kept]
        left.set_xscale("log")
        if observed.any():
            left.set_xlim(max(0.1, np.percentile(errors[observed], 0.5)), np.percentile(errors[observed], 99.8) * 1.1)
        left.yaxis.set_major_formatter(lambda y, _: f"{100 * y:.0f} %")
        left.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        left.set(ylim=(0, 1), xlabel="reprojection error (px, logarithmic)", ylabel="observations below")
        left.set_title(
            f"Kept observations: median {np.median(good):.1f} px, 90th percentile {np.percentile(good, 90):.1f} px"
            if good.size
            else "No observation was kept"
        )
        if observed.any():
            left.legend(loc="lower right")
        _kept_bars(right, observed, kept, swapped, cameras)
    return figure


def _checked(errors: np.ndarray, kept: np.ndarray, cameras: int) -> tuple[np.ndarray, np.ndarray]:
    errors = checked("errors", errors, (errors.shape[0], cameras, *errors.shape[2:]))
    return errors, checked("kept", kept, errors.shape, bool)


def _cumulative(axes: "Axes", values: np.ndarray, **style: Any) -> None:
    """An empirical distribution with at most 400 steps: enough for the eye, and light for long trials."""
    if values.size:
        share = np.linspace(0, 1, min(400, values.size + 1))
        axes.plot(np.maximum(np.quantile(values, share), 1e-3), share, **style)


def _kept_bars(
    axes: "Axes", observed: np.ndarray, kept: np.ndarray, swapped: np.ndarray, cameras: Sequence[str]
) -> None:
    for v in range(len(cameras)):
        total = int(observed[:, v].sum())
        share = (observed & kept)[:, v].sum() / total if total else np.nan
        axes.barh(v, 1, color="none", edgecolor=GREY, linewidth=0.6, height=0.62)
        axes.barh(v, share, color=CYCLE[v % len(CYCLE)], height=0.62, alpha=0.85)
        text = f"{100 * share:.1f} %" if total else "no observations"
        text += f"  ·  {int((swapped[:, v] & observed[:, v]).sum())} swapped"
        axes.text(1.03, v, text, va="center", fontsize=8)
    axes.set_yticks(range(len(cameras)), cameras)
    axes.invert_yaxis()
    axes.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    axes.set(xlim=(0, 1.62), title="Share of observations kept", xlabel="kept (left/right swaps undone: points)")
    axes.grid(False)


def reprojection_by_point(
    errors: np.ndarray, kept: np.ndarray, names: Sequence[str], cameras: Sequence[str], origin: Sequence[str]
) -> "Figure":
    """Median error of kept observations, and share kept, for each point in each camera.

    errors, kept: (frames, views, points), px and bool. origin: per point; inferred ones get a hollow
    circle, estimated ones a hollow diamond.
    """
    errors, kept = _checked(errors, kept, len(cameras))
    checked("errors", errors, (*errors.shape[:2], len(names)))
    observed = np.isfinite(errors)
    median = np.full((len(names), len(cameras)), np.nan)
    share = np.full_like(median, np.nan)
    for p, v in np.ndindex(median.shape):
        use = observed[:, v, p] & kept[:, v, p]
        if use.any():
            median[p, v] = np.median(errors[use, v, p])
        if observed[:, v, p].any():
            share[p, v] = use.sum() / observed[:, v, p].sum()
    labels = [
        f"{name} {_UNSEEN[kind][0]}" if kind in _UNSEEN else name for name, kind in zip(names, origin, strict=True)
    ]
    with styled():
        figure = new_figure(1.0 + 0.19 * len(names))
        left, right = figure.subplots(1, 2, sharey=True)
        top = np.nanmax(median) if np.isfinite(median).any() else 1.0
        _table(left, median, "viridis_r", top)
        _table(right, 100 * share, "viridis", 100)
        left.set_yticks(range(len(names)), labels, fontsize=7.5)
        for axes in (left, right):
            axes.set_xticks(range(len(cameras)), cameras)
        said = [f"{sign} {kind} point: {why}" for kind, (sign, why) in _UNSEEN.items() if kind in origin]
        note = f"   ({'; '.join(said)})" if said else ""
        left.set(title="Median error of kept observations (px)", xlabel="camera")
        right.set(title="Observations kept (%)", xlabel=f"camera{note}")
    return figure


def _table(axes: "Axes", values: np.ndarray, colours: str, high: float) -> None:
    """Whole numbers in cells whose colours run from 0 to `high`."""
    import matplotlib as mpl
    from matplotlib.colors import Normalize

    scale, ramp = Normalize(0, high), mpl.colormaps[colours]
    rows, columns = values.shape
    axes.pcolormesh(np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5, values, cmap=ramp, norm=scale)
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            red, green, blue, _ = ramp(scale(value))
            bright = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # relative luminance, ITU-R BT.709
            axes.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=7,
                      color="black" if bright > 0.45 else "white")  # fmt: skip
        else:
            axes.text(j, i, "–", ha="center", va="center", fontsize=7, color=GREY)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.grid(False)


def marker_errors(names: Sequence[str], errors: np.ndarray, origin: Sequence[str]) -> "Figure":
    """Distance between each measured marker and the body's: median, and the middle half of the frames.

    errors: (frames, markers) m, NaN = marker missing. origin: per marker; hollow where inferred. The distance at which
    the validation protocol sends a marker back is drawn when in range.
    """
    errors = 1000 * checked("errors", errors, (errors.shape[0], len(names)))
    known = np.isfinite(errors).any(0)
    quartiles = np.full((3, len(names)), np.nan)
    quartiles[:, known] = np.nanpercentile(errors[:, known], [25, 50, 75], axis=0)
    order = [i for i in np.argsort(-quartiles[1], kind="stable") if known[i]] + list(np.flatnonzero(~known))
    with styled():
        figure = new_figure(0.9 + 0.185 * len(names))
        axes = figure.subplots()
        for y, i in enumerate(order):
            if not known[i]:
                axes.text(0, y, " no marker in any frame", va="center", fontsize=7.5, color=GREY)
                continue
            colour = VERMILLION if quartiles[1, i] > FLAG_MM else BLUE
            axes.plot(quartiles[[0, 2], i], [y, y], color=colour, linewidth=3.4, alpha=0.35)
            axes.plot(quartiles[1, i], y, markersize=5.5, linestyle="none", **marker_style(origin[i], colour))
            axes.annotate(f"{quartiles[1, i]:.0f}", (quartiles[2, i], y), xytext=(4, 0), textcoords="offset points",
                          va="center", fontsize=7)  # fmt: skip
        high = np.nanmax(quartiles[2]) if known.any() else 1.0
        flagged = high > 0.6 * FLAG_MM
        if flagged:
            axes.axvline(FLAG_MM, color=VERMILLION, linestyle="--", linewidth=1)
            axes.text(FLAG_MM, -0.9, f" flag at {FLAG_MM:.0f} mm", color=VERMILLION, fontsize=8, va="bottom")
        axes.set(xlim=(0, max(high * 1.08, 1.12 * FLAG_MM if flagged else 0)), ylim=(len(names) - 0.4, -0.6),
                 xlabel="distance between measured marker and body (mm)")  # fmt: skip
        axes.set_yticks(range(len(names)), [names[i] for i in order], fontsize=7.5)
        axes.set_title("Marker errors of inverse kinematics: median and middle half of the frames", pad=20)
        kinds = [kind for kind in ("detected", "given", "estimated", "inferred") if kind in origin]
        keys = [line_key(kind, linestyle="none", markersize=5.5, **marker_style(kind, INK)) for kind in kinds]
        axes.legend(handles=keys, loc="lower right")
    return figure
