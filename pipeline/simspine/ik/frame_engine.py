"""The engine 'frames': OpenSim's objective in each frame, by Levenberg–Marquardt inside the ranges."""

from collections.abc import Mapping

import numpy as np

from simspine.body.kernels import expand
from simspine.body.model import Body
from simspine.body.tree import Tree
from simspine.ik.body_columns import body_columns
from simspine.ik.canonical_branch import canonical_branch
from simspine.ik.frame_kernels import OUT_OF_ITERATIONS, UNSOLVED, Frames, fit_frames
from simspine.ik.result import Result, result_of
from simspine.ik.start import Start, root_joint, with_bent_hinges
from simspine.types import Markers

REASONS = {OUT_OF_ITERATIONS: "out of iterations"}


def solve(
    body: Body,
    markers: Markers,
    weights: np.ndarray,
    coordinate_tasks: Mapping[str, tuple[float, float]] | None = None,
    tolerance: float = 1e-5,
    min_markers: int = 3,
    iterations: int = 100,
) -> Result:
    """Coordinates that minimise Σ w d² (and OpenSim's coordinate tasks) in each frame.

    markers: y_up, names all in `body`. weights: (frames, markers). coordinate_tasks: {coordinate: (target, weight)}
    pull with weight × Σ weights of the markers present, as OpenSim's do. tolerance: relative decrease of the cost that
    the last step promised. Frames with fewer than `min_markers` usable markers are NaN.
    """
    tree, y, w, usable = observations(body, markers, weights, min_markers)
    frames = Frames(y, w, *tasks(body, coordinate_tasks, w))
    start, begin = first_pose(body, markers, weights), middles(body)
    z, _, status = fit_frames(tree, body_columns(tree), frames, start, begin, 0.0, iterations, tolerance)
    values = np.full((markers.frames, len(body.coordinates)), np.nan)
    solved = status != UNSOLVED
    values[solved] = expand(tree, canonical_branch(body, z, continuous=False)[solved])[0]
    few = f"fewer than {min_markers} markers present"
    reasons = [REASONS.get(int(s), "") if ok else few for s, ok in zip(status, usable, strict=True)]
    return result_of(body, markers, values, weights, reasons, tasks=coordinate_tasks or {})


def middles(body: Body) -> np.ndarray:
    """(free,) middles of the joints' ranges; NaN for the root, and where there is no range to speak of.

    Each frame begins there: a coordinate that has come to a bound would stay, beside a lower minimum inside.
    """
    tree = body.tree
    with np.errstate(invalid="ignore"):
        middle = np.where(tree.upper - tree.lower < 2 * np.pi, (tree.lower + tree.upper) / 2, np.nan)
    root = root_joint(tree)
    if root is not None:
        middle[tree.column[tree.argument[root]]] = np.nan
    return middle


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
    """Ridge weights and targets (frames, free) of coordinate tasks."""
    free = body.tree.free.tolist()
    ridge, target = np.zeros((len(w), len(free))), np.zeros((len(w), len(free)))
    for name, (aim, weight) in (coordinate_tasks or {}).items():
        i = body.coordinates.index(name)
        if i in free:
            ridge[:, free.index(i)] = weight * w.sum(1)
            target[:, free.index(i)] = aim
    return ridge, target


def first_pose(body: Body, markers: Markers, weights: np.ndarray) -> np.ndarray:
    """Free coordinates (free,) to begin with: a rigid fit of the trunk in a frame that shows most of the body, limbs
    neutral but for bent elbows and knees."""
    begin = Start(body, [body.marker_index(name) for name in markers.names])
    seen = np.where(markers.present, weights, 0.0) > 0
    count = seen.sum(1)
    frame = int(np.argmax(count >= max(1, 0.8 * count.max())))
    values = begin.values(markers.xyz[frame], np.where(seen[frame], weights[frame], 0.0))
    return with_bent_hinges(body, values)[body.tree.free]
