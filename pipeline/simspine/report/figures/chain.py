"""The spine from the side and from the front at a few frames, with the uncertainty of each of its points."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simspine.errors import InputError
from simspine.report.figures.bodies import VIEWS, body_axes
from simspine.report.figures.common import bare, legend, line_key, new_figure, patch_key, scale_bar
from simspine.report.style import BLUE, GREY, INK, VERMILLION, WIDTH, styled
from simspine.spine.levels import CHAIN
from simspine.types import Markers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAIRS = (("LLatissimus", "RLatissimus"), ("LClavicle", "RClavicle"))
_SIGMAS = 2.0


def spine_chain(markers: Markers, frames: Sequence[int], centres: Markers | None = None) -> "Figure":
    """Points of the spine at some frames (columns), from the side and the front (rows), all at one scale.

    markers: the spine's points, y_up, with covariance (frames, markers, 3, 3) m²: ellipses of 2 standard deviations,
    which hold 86 % in the plane. centres: centres of the vertebrae, y_up, drawn as the column itself.
    """
    if markers.frame != "y_up" or (centres is not None and centres.frame != "y_up"):
        raise InputError(f"the spine's points are in frame {markers.frame!r}, expected 'y_up'; see change_frame.")
    at = [markers.index(name) for name in CHAIN if name in markers.names]
    sides = [(markers.index(a), markers.index(b)) for a, b in PAIRS if a in markers.names and b in markers.names]
    shown = [int(f) for f in frames if np.isfinite(markers.xyz[int(f), at]).any()]
    if not shown:
        raise InputError(f"no point of the spine is known in the frames {list(frames)}; choose others.")
    cells = []
    for frame in shown:
        axes3 = body_axes(markers.xyz[frame], sides)
        origin = np.nanmean(markers.xyz[frame, at], axis=0)
        points = (markers.xyz[frame, at] - origin) @ axes3.T
        column = None if centres is None else (centres.xyz[frame] - origin) @ axes3.T
        spread = None if markers.covariance is None else axes3 @ markers.covariance[frame, at] @ axes3.T
        cells.append((frame, points, spread, column))
    reach = np.nanmax([np.nanmax(np.abs(points), axis=0) for _, points, _, _ in cells], axis=0) + 0.06  # m
    across, tall = max(reach[0], reach[2], 0.5 * reach[1] / len(cells)), reach[1]
    with styled():
        figure = new_figure(0.5 + min(9.0, 2 * WIDTH / len(cells) * tall / across))
        panels = figure.subplots(2, len(cells), squeeze=False)
        for j, (frame, points, spread, column) in enumerate(cells):
            # Front view, facing the person: their right is on the viewer's left.
            for i, turn in enumerate(([[1, 0, 0], [0, 1, 0]], [[0, 0, -1], [0, 1, 0]])):
                _draw(panels[i, j], points, spread, column, np.array(turn, float))
                bare(panels[i, j], across, tall)
            panels[0, j].set_title(f"{markers.time[frame]:.2f} s", fontsize=9)
        for i, view in enumerate(VIEWS[:2]):
            panels[i, 0].set_ylabel(view)
        scale_bar(panels[0, 0], (-0.98 * across, -0.98 * tall), 0.1, 0.02, "10 cm")
        _legend(figure, cells)
    return figure


def _draw(axes: "Axes", points: np.ndarray, spread, column, turn: np.ndarray) -> None:
    from matplotlib.patches import Ellipse

    if column is not None:
        axes.plot(*(turn @ column.T), color=GREY, linewidth=1.0, marker="o", markersize=1.8, zorder=1)
    xy = points @ turn.T
    for i, point in enumerate(xy):
        if spread is None or not np.isfinite(spread[i]).all():
            continue
        width, height, angle = ellipse(turn @ spread[i] @ turn.T)
        colours = {"facecolor": (BLUE, 0.14), "edgecolor": (BLUE, 0.8)}
        axes.add_patch(Ellipse(point, width, height, angle=angle, linewidth=0.7, **colours))
    axes.plot(*xy.T, color=VERMILLION, linewidth=1.8, marker="o", markersize=3.2, zorder=3)


def ellipse(covariance: np.ndarray) -> tuple[float, float, float]:
    """(width, height, angle in degrees) of the ellipse of 2 standard deviations of a (2, 2) covariance."""
    values, vectors = np.linalg.eigh(covariance)
    height, width = 2 * _SIGMAS * np.sqrt(np.maximum(values, 0))
    return float(width), float(height), float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))


def _legend(figure: "Figure", cells) -> None:
    keys = [line_key("points of the spine", color=VERMILLION, linewidth=1.8, marker="o", markersize=3.2)]
    if any(spread is not None for _, _, spread, _ in cells):
        keys.append(patch_key("2 standard deviations", facecolor=BLUE, edgecolor=INK, alpha=0.3))
    if any(column is not None for _, _, _, column in cells):
        keys.append(line_key("vertebral centres", color=GREY, linewidth=1.0, marker="o", markersize=2))
    legend(figure, keys, 3)
