"""The engine 'frames': OpenSim's objective in each frame, by compiled Newton steps in a box."""

from collections.abc import Mapping

import numpy as np

from simspine.body.kernels import expand
from simspine.body.model import Body
from simspine.body.tree import Tree
from simspine.ik.canonical_branch import canonical_branch
from simspine.ik.frame_kernels import OUT_OF_ITERATIONS, STALLED, UNSOLVED, fit_frames
from simspine.ik.result import Result, result_of
from simspine.ik.sparsity import sparsity
from simspine.ik.start import Start
from simspine.types import Markers

OFFSETS = (0.2, -0.2)  # rad; see `first_poses`
JUMP = 0.35  # rad; a larger change between frames is tried again from the other side
REASONS = {STALLED: "no step lowers the cost any more", OUT_OF_ITERATIONS: "out of iterations"}


def solve(
    body: Body,
    markers: Markers,
    weights: np.ndarray,
    coordinate_tasks: Mapping[str, tuple[float, float]] | None = None,
    tolerance: float = 1e-5,
    min_markers: int = 3,
    iterations: int = 60,
) -> Result:
    """Coordinates that minimise Σ w d² (and OpenSim's coordinate tasks) in each frame.

    markers: y_up, names all in `body`. weights: (frames, markers). coordinate_tasks: {coordinate: (target, weight)}
    pull with weight × Σ weights of the markers present, as OpenSim's do. tolerance: relative decrease of the cost that
    the last step promised. Frames with fewer than `min_markers` usable markers are NaN. Frames are warm-started from
    both sides and from a rigid fit; the best stays.
    """
    tree, y, w, usable = observations(body, markers, weights, min_markers)
    ridge, target = tasks(body, coordinate_tasks, w)
    starts = first_poses(body, markers, weights)
    z, _, status = fit_frames(tree, sparsity(tree), ridge, target, 0.0, y, w, starts, iterations, tolerance, JUMP)
    values = np.full((markers.frames, len(body.coordinates)), np.nan)
    solved = status != UNSOLVED
    values[solved] = expand(tree, canonical_branch(body, z, continuous=False)[solved])[0]
    few = f"fewer than {min_markers} markers present"
    reasons = [REASONS.get(int(s), "") if ok else few for s, ok in zip(status, usable, strict=True)]
    return result_of(body, markers, values, weights, reasons, tasks=coordinate_tasks or {})


def observations(body: Body, markers: Markers, weights: np.ndarray, min_markers: int):
    """The tree restricted to the markers given, their positions and weights (0 = missing), and the usable frames."""
    index = [body.marker_index(name) for name in markers.names]
    tree: Tree = body.tree._replace(
        marker_body=body.tree.marker_body[index], marker_offset=body.tree.marker_offset[index]
    )
    w = np.where(markers.present, weights, 0.0)
    usable = (w > 0).sum(1) >= min_markers
    w[~usable] = 0.0
    return tree, np.nan_to_num(markers.xyz), w, usable


def tasks(body: Body, coordinate_tasks, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ridge weights (frames, free) and targets (free,) of coordinate tasks."""
    free = body.tree.free.tolist()
    ridge, target = np.zeros((len(w), len(free))), np.zeros(len(free))
    for name, (aim, weight) in (coordinate_tasks or {}).items():
        i = body.coordinates.index(name)
        if i in free:
            ridge[:, free.index(i)] = weight * w.sum(1)
            target[free.index(i)] = aim
    return ridge, target


def first_poses(body: Body, markers: Markers, weights: np.ndarray) -> np.ndarray:
    """Free coordinates (starts, free) to begin with: a rigid fit of the trunk in a frame that shows most of the body.

    The limbs are neutral in the first; in the others all angles but the root's are moved off it, either way, since a
    neutral pose may be a gimbal lock (arms held sideways) that no step leads out of.
    """
    begin = Start(body, [body.marker_index(name) for name in markers.names])
    seen = np.where(markers.present, weights, 0.0) > 0
    count = seen.sum(1)
    frame = int(np.argmax(count >= max(1, 0.8 * count.max())))
    tree = body.tree
    neutral = begin.values(markers.xyz[frame], np.where(seen[frame], weights[frame], 0.0))[tree.free]
    root = [] if begin.root is None else tree.column[tree.argument[begin.root]]
    movable = tree.turning.copy()
    movable[root] = False
    moved = [neutral + np.where(movable, offset, 0.0) for offset in (0.0, *OFFSETS)]
    return np.clip(moved, tree.lower, tree.upper)
