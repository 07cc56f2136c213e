"""Stick figures with the spine from the side, the front and above, for a few frames."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from simspine.errors import InputError
from simspine.geometry import change_frame
from simspine.report.figures.common import bare, legend, line_key, new_figure, scale_bar, segments
from simspine.report.style import BLUE, GREY, VERMILLION, WIDTH, marker_style, styled
from simspine.types import Markers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VIEWS = ("side (facing right)", "front", "above")
UNKNOWN_VIEWS = ("along z", "along x", "along y")  # of points that do not show where the person faces
# Left and right: show where the person faces. A data set's file holds the trunk's points only, hence the last two.
PAIRS = (("LHip", "RHip"), ("LShoulder", "RShoulder"), ("LClavicle", "RClavicle"), ("LLatissimus", "RLatissimus"))

_UNSEEN = {"inferred", "estimated"}  # drawn hollow, and with broken lines


def body_axes(points: np.ndarray, sides: Sequence[tuple[int, int]]) -> np.ndarray:
    """(3, 3) rows forward, up, to the person's right, for (n, 3) points in `y_up`, levelled: up stays up.

    sides: (left, right) numbers of paired points (hips, shoulders). Falls back to the axes of the frame where no pair
    is present.
    """
    left, right = np.array(sides, int).reshape(-1, 2).T
    across = points[right] - points[left]
    across = across[np.isfinite(across).all(-1)]
    up = np.array([0.0, 1.0, 0.0])
    side = across.mean(0) * [1, 0, 1] if len(across) else np.zeros(3)
    if np.linalg.norm(side) < 1e-6:
        side = np.array([0.0, 0.0, 1.0])  # OpenSim's own convention: z to the right
    side = side / np.linalg.norm(side)
    return np.stack([np.cross(up, side), up, side])


def stick_figures(
    markers: Markers,
    frames: Sequence[int],
    edges: Sequence[tuple[str, str]],
    spine: Sequence[str],
) -> "Figure":
    """Body in three views (rows) at some frames (columns), all at one scale.

    edges: pairs of marker names joined by a line. spine: markers of the spine, from below upwards, joined by a thick
    line. Names the markers lack are skipped. Inferred markers are hollow. Views are named by the body's sides where a
    left and a right point say where it faces, and by the axes of `y_up` where none do.
    """
    frames = [int(f) for f in frames]
    if not frames or min(frames) < 0 or max(frames) >= markers.frames:
        raise InputError(f"frames {frames} do not lie in 0…{markers.frames - 1}; choose at least one that does.")
    xyz = change_frame(markers.xyz, markers.frame, "y_up")
    at = {name: i for i, name in enumerate(markers.names)}
    lines = [(at[a], at[b]) for a, b in edges if a in at and b in at]
    chain = [at[name] for name in spine if name in at]
    sides = [(at[a], at[b]) for a, b in PAIRS if a in at and b in at]
    origin = markers.origins
    with styled():
        local = []
        for frame in frames:
            turned = xyz[frame] @ body_axes(xyz[frame], sides).T
            known = turned[np.isfinite(turned).all(-1)]
            centre = (known.min(0) + known.max(0)) / 2 if len(known) else np.zeros(3)
            local.append(turned - centre)
        reach = np.nanmax(np.abs([*np.concatenate(local), np.full(3, 0.3)]), axis=0)  # m; at least a head's size
        across, tall = max(reach[0], reach[2]), reach[1]
        cell = WIDTH / len(frames)  # inches
        figure = new_figure(0.7 + min(9.0, cell * (2 * tall + across) / across))
        panels = figure.subplots(3, len(frames), squeeze=False, height_ratios=[tall, tall, across])
        for column, (frame, points) in enumerate(zip(frames, local, strict=True)):
            # Front view, facing the person: their right is on the viewer's left.
            for row, (h, v, signs) in enumerate([(0, 1, (1, 1)), (2, 1, (-1, 1)), (0, 2, (1, -1))]):
                axes = panels[row, column]
                _draw(axes, points[:, [h, v]] * signs, lines, chain, origin)
                bare(axes, 1.06 * across, 1.06 * (tall if row < 2 else across))
                if row == 0:
                    axes.set_title(f"{markers.time[frame]:.2f} s (frame {frame})", fontsize=9)
                if column == 0:
                    axes.set_ylabel((VIEWS if sides else UNKNOWN_VIEWS)[row])
        scale_bar(panels[0, 0], (-1.02 * across, -tall), 0.5, 0.05, "0.5 m")
        _legend(figure, origin)
    return figure


def _draw(axes: "Axes", xy: np.ndarray, lines, chain: Sequence[int], origin: Sequence[str]) -> None:
    """Lines and points, those that look alike at once."""
    edges, bones, points = defaultdict(list), defaultdict(list), defaultdict(list)
    for a, b in lines:
        if a in chain and b in chain:
            continue
        hollow = bool(_UNSEEN & {origin[a], origin[b]})
        edges["--" if hollow else "-"].append((a, b))
    for a, b in pairwise(chain):
        hollow = {origin[a], origin[b]} <= _UNSEEN
        bones[(0, (2, 0.8)) if hollow else "-"].append((a, b))
    for i in range(len(xy)):
        points[i in chain, origin[i]].append(i)
    for dashes, pairs in edges.items():
        axes.plot(*segments(xy, pairs), color=GREY, linewidth=1.2, linestyle=dashes)
    for pattern, pairs in bones.items():
        axes.plot(*segments(xy, pairs), color=VERMILLION, linewidth=2.0, linestyle=pattern)
    for (of_spine, kind), some in points.items():
        style = marker_style(kind, VERMILLION if of_spine else BLUE)
        if kind in _UNSEEN:
            style["markeredgewidth"] = 0.9
        axes.plot(*xy[some].T, markersize=3.2 if of_spine else 2.6, linestyle="none", **style)


def _legend(figure: "Figure", origin: Sequence[str]) -> None:
    keys = [line_key("spine", color=VERMILLION, linewidth=2.2)]
    for kind in ("detected", "given", "estimated", "inferred"):
        if kind in origin:
            keys.append(line_key(f"{kind} point", linestyle="none", markersize=4, **marker_style(kind, BLUE)))
    legend(figure, keys, 4)
