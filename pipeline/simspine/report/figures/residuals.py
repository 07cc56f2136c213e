"""How well things fit: reprojection errors per camera and point (pixels), marker errors of the body (millimetres)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simspine.arrays import checked
from simspine.report.figures.common import new_figure
from simspine.report.style import BLUE, CYCLE, GREY, INK, MEASURED, VERMILLION, marker_style, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def reprojection(
    errors: np.ndarray, kept: np.ndarray, cameras: Sequence[str], swapped: np.ndarray | None = None
) -> "Figure":
    """Distribution of the reprojection error per camera, the share of observations kept, and left/right swaps undone.

    errors: (frames, views, points) px, NaN = no observation. kept, swapped: same shape, bool.
    """
    errors, kept, swapped = _checked(errors, kept, len(cameras), swapped)
    observed = np.isfinite(errors)
    with styled():
        figure = new_figure(3.5)
        left, right = figure.subplots(1, 2, width_ratios=[1.55, 1])
        everything = _cumulative(
            left, errors[observed], label="all cameras, before pruning", color=GREY, linestyle="--"
        )
        for v, camera in enumerate(cameras):
            _cumulative(
                left, errors[:, v][observed[:, v] & kept[:, v]], label=camera, color=CYCLE[v % len(CYCLE)], **MEASURED
            )
        good = errors[observed & kept]
        left.set_xscale("log")
        if everything:
            left.set_xlim(max(0.1, np.percentile(errors[observed], 0.5)), np.percentile(errors[observed], 99.8) * 1.1)
        left.set_ylim(0, 1)
        left.yaxis.set_major_formatter(lambda y, _: f"{100 * y:.0f} %")
        left.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        left.set_xlabel("reprojection error (px, logarithmic)")
        left.set_ylabel("observations below")
        left.set_title(
            f"Kept observations: median {np.median(good):.1f} px, 90th percentile {np.percentile(good, 90):.1f} px"
            if good.size
            else "No observation was kept"
        )
        if everything:
            left.legend(loc="lower right")
        _kept_bars(right, observed, kept, swapped, cameras)
    return figure


def _checked(errors, kept, cameras: int, swapped=None) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    errors = np.asarray(errors, float)
    errors = checked("errors", errors, (errors.shape[0], cameras, *errors.shape[2:]))
    kept = checked("kept", kept, errors.shape, bool)
    return errors, kept, None if swapped is None else checked("swapped", swapped, errors.shape, bool)


def _cumulative(axes: "Axes", values: np.ndarray, **style) -> bool:
    """An empirical distribution with at most 400 steps: enough for the eye, and light for long trials."""
    if not values.size:
        return False
    share = np.linspace(0, 1, min(400, values.size + 1))
    axes.plot(np.maximum(np.quantile(values, share), 1e-3), share, **style)
    return True


def _kept_bars(axes: "Axes", observed: np.ndarray, kept: np.ndarray, swapped: np.ndarray | None, cameras) -> None:
    for v in range(len(cameras)):
        total = int(observed[:, v].sum())
        share = (observed & kept)[:, v].sum() / total if total else np.nan
        axes.barh(v, 1, color="none", edgecolor=GREY, linewidth=0.6, height=0.62)
        axes.barh(v, share, color=CYCLE[v % len(CYCLE)], height=0.62, alpha=0.85)
        text = f"{100 * share:.1f} %" if total else "no observations"
        if swapped is not None:
            text += f"  ·  {int((swapped[:, v] & observed[:, v]).sum())} swapped"
        axes.text(1.03, v, text, va="center", fontsize=8)
    axes.set_yticks(range(len(cameras)), cameras)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.62)
    axes.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    axes.set_title("Share of observations kept")
    axes.set_xlabel("kept (left/right swaps undone: points)" if swapped is not None else "kept")
    axes.grid(False)


def reprojection_by_point(
    errors: np.ndarray,
    kept: np.ndarray,
    names: Sequence[str],
    cameras: Sequence[str],
    origin: Sequence[str] | None = None,
) -> "Figure":
    """Median error of kept observations, and share kept, for each point in each camera.

    errors, kept: (frames, views, points), px and bool. origin: per point; inferred ones get a hollow circle.
    """
    errors, kept, _ = _checked(errors, kept, len(cameras))
    checked("errors", errors, (*errors.shape[:2], len(names)))
    observed = np.isfinite(errors)
    median = np.full((len(names), len(cameras)), np.nan)
    share = np.full_like(median, np.nan)
    for p in range(len(names)):
        for v in range(len(cameras)):
            use = observed[:, v, p] & kept[:, v, p]
            if use.any():
                median[p, v] = np.median(errors[use, v, p])
            if observed[:, v, p].any():
                share[p, v] = use.sum() / observed[:, v, p].sum()
    labels = [f"{n} ○" if origin is not None and str(o) == "inferred" else n
              for n, o in zip(names, origin or names, strict=True)]  # fmt: skip
    with styled():
        figure = new_figure(1.0 + 0.19 * len(names))
        left, right = figure.subplots(1, 2, sharey=True)
        top = np.nanmax(median) if np.isfinite(median).any() else 1.0
        _table(left, median, "viridis_r", 0, top, "{:.0f}")
        _table(right, 100 * share, "viridis", 0, 100, "{:.0f}")
        left.set_title("Median error of kept observations (px)")
        right.set_title("Observations kept (%)")
        left.set_yticks(range(len(names)), labels, fontsize=7.5)
        for axes in (left, right):
            axes.set_xticks(range(len(cameras)), cameras)
            axes.set_xlabel("camera" + ("   (○ inferred point: no observation of its own)" if axes is right and any(
                label.endswith("○") for label in labels) else ""))  # fmt: skip
    return figure


def _table(axes: "Axes", values: np.ndarray, colours: str, low: float, high: float, pattern: str) -> None:
    import matplotlib as mpl
    from matplotlib.colors import Normalize

    scale, ramp = Normalize(low, high), mpl.colormaps[colours]
    rows, columns = values.shape
    axes.pcolormesh(np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5, values, cmap=ramp, norm=scale)
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            red, green, blue, _ = ramp(scale(value))
            bright = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # relative luminance, ITU-R BT.709
            axes.text(j, i, pattern.format(value), ha="center", va="center", fontsize=7,
                      color="black" if bright > 0.45 else "white")  # fmt: skip
        else:
            axes.text(j, i, "–", ha="center", va="center", fontsize=7, color=GREY)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.grid(False)


def marker_errors(
    names: Sequence[str], errors: np.ndarray, origin: Sequence[str] | None = None, flag: float = 0.1
) -> "Figure":
    """Distance between each measured marker and the body's: median, and the middle half of the frames.

    errors: (frames, markers) m, NaN = marker missing. origin: per marker; hollow where inferred. flag: m, the distance
    at which the validation protocol sends a marker back (10 cm); drawn when in range.
    """
    errors = np.asarray(errors, float)
    errors = 1000 * checked("errors", errors, (errors.shape[0], len(names)))
    known = np.isfinite(errors).any(0)
    quartiles = np.full((3, len(names)), np.nan)
    quartiles[:, known] = np.nanpercentile(errors[:, known], [25, 50, 75], axis=0)
    order = [i for i in np.argsort(-quartiles[1], kind="stable") if known[i]] + list(np.flatnonzero(~known))
    origin = ["detected"] * len(names) if origin is None else [str(o) for o in origin]
    with styled():
        figure = new_figure(0.9 + 0.185 * len(names))
        axes = figure.subplots()
        for y, i in enumerate(order):
            if not known[i]:
                axes.text(0, y, " no marker in any frame", va="center", fontsize=7.5, color=GREY)
                continue
            over = quartiles[1, i] > 1000 * flag
            colour = VERMILLION if over else BLUE
            axes.plot(quartiles[[0, 2], i], [y, y], color=colour, linewidth=3.4, alpha=0.35)
            axes.plot(quartiles[1, i], y, markersize=5.5, linestyle="none", **marker_style(origin[i], colour))
            axes.annotate(f"{quartiles[1, i]:.0f}", (quartiles[2, i], y), xytext=(4, 0), textcoords="offset points",
                          va="center", fontsize=7)  # fmt: skip
        high = np.nanmax(quartiles[2]) if known.any() else 1.0
        if high > 600 * flag:
            axes.axvline(1000 * flag, color=VERMILLION, linestyle="--", linewidth=1)
            axes.text(1000 * flag, -0.9, f" flag at {1000 * flag:.0f} mm", color=VERMILLION, fontsize=8, va="bottom")
        axes.set_xlim(0, max(high * 1.08, 1000 * flag * 1.12 if high > 600 * flag else 0))
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_yticks(range(len(names)), [names[i] for i in order], fontsize=7.5)
        axes.set_xlabel("distance between measured marker and body (mm)")
        axes.set_title("Marker errors of inverse kinematics: median and middle half of the frames", pad=20)
        _origin_legend(axes, origin)
    return figure


def _origin_legend(axes: "Axes", origin: Sequence[str]) -> None:
    for kind in ("detected", "given", "inferred"):
        if kind in origin:
            axes.plot([], [], linestyle="none", markersize=5.5, label=kind, **marker_style(kind, INK))
    axes.legend(loc="lower right")
