"""The frame engine frame by frame beside OpenSim's InverseKinematicsTool at high accuracy: cost, minima, coordinates.

Three questions for each frame. Is our cost (OpenSim's formula, coordinate tasks included) at most 1.001 × the tool's?
Are the two near the same minimum: where does each go when `nearest_minimum`, which is neither, takes it further
downhill? And do the coordinates agree of which noise in the markers leaves the engine certain?
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.agreement.cases import NOISE, Case
from benchmarks.agreement.nearest_minimum import nearest_minimum
from benchmarks.agreement.opensim_tool import ToolResult
from tools.bench.figures import Metric

from simspine.anatomy.body import follow_couplers
from simspine.anatomy.tree import Tree, markers_and_jacobian
from simspine.core.geometry import wrap_angles
from simspine.estimation import frame_engine
from simspine.estimation.frame_engine import Frames
from simspine.estimation.result import canonical_branch, result_of

COST_RATIO = 1.001
AGREE_RAD, AGREE_M = float(np.radians(0.5)), 0.001
NOISE_RAD, NOISE_M = 0.03, 0.005  # largest standard deviation of a coordinate that counts as certain
SAME = 1e-4  # minima whose costs differ by a smaller share are one
UNSEEN = 1e-9  # m²: stiffness of a direction that nothing at all holds


@dataclass(frozen=True, eq=False)
class Comparison:
    """Ours and the tool's, (frames,) or (frames, free).

    ours, tool: cost, m². our_minimum, tool_minimum: cost downhill from there. apart: how far the coordinates are from
    each other, angles by the shorter way, over 0.5° or 1 mm; minima_apart: the same between the two minima. certain:
    whether noise leaves the coordinate certain. tool_account: the tool's own Σ d² over ours for its coordinates, 1 if
    both count alike.
    """

    ours: np.ndarray
    tool: np.ndarray
    our_minimum: np.ndarray
    tool_minimum: np.ndarray
    apart: np.ndarray
    minima_apart: np.ndarray
    certain: np.ndarray
    tool_account: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        return self.ours / self.tool

    @property
    def minima_ratio(self) -> np.ndarray:
        return self.our_minimum / self.tool_minimum

    @property
    def same(self) -> np.ndarray:
        """(frames,) bool: both are beside minima of the same cost."""
        return np.abs(self.minima_ratio - 1) < SAME


def compare(case: Case, tool: ToolResult) -> Comparison:
    """Solve the case with the frame engine and compare."""
    body, markers, weights = case.body, case.markers, case.frame_weights
    found = frame_engine.solve_frames(body, markers, weights, case.coordinate_tasks)
    tree, y, w, _ = frame_engine.usable_observations(body, markers, weights, 3)
    frames = Frames(y, w, *frame_engine.coordinate_task_terms(body, case.coordinate_tasks, w))
    each_frame = [Frames(*parts) for parts in zip(*frames, strict=True)]
    ours = found.motion.values[:, tree.free]
    theirs = canonical_branch(body, tool.values[:, tree.free])
    driven = follow_couplers(body, tool.values)
    reasons = [""] * markers.frames
    account = result_of(body, markers, tool.values, np.ones(weights.shape), reasons).cost
    at = result_of(body, markers, driven, weights, reasons, tasks=case.coordinate_tasks)
    downhill = [
        [nearest_minimum(tree, z, frame) for z, frame in zip(start, each_frame, strict=True)]
        for start in (ours, theirs)
    ]
    our_z, tool_z = (np.array([z for z, _ in part]) for part in downhill)
    our_minimum, tool_minimum = (np.array([cost for _, cost in part]) for part in downhill)
    deviation = [noise_deviation(tree, z, frame) for z, frame in zip(ours, each_frame, strict=True)]
    return Comparison(
        found.cost,
        at.cost,
        our_minimum,
        tool_minimum,
        distance(theirs - ours, tree.turning),
        distance(tool_z - our_z, tree.turning),
        deviation <= np.where(tree.turning, NOISE_RAD, NOISE_M),
        tool.squared_error / account,
    )


def distance(difference: np.ndarray, turning: np.ndarray) -> np.ndarray:
    """Size of differences (frames, free) over 0.5° or 1 mm, of angles by the shorter way round."""
    return np.abs(np.where(turning, wrap_angles(difference) / AGREE_RAD, difference / AGREE_M))


def noise_deviation(tree: Tree, z: np.ndarray, frame: Frames) -> np.ndarray:
    """(free,) standard deviation that noise of the markers gives each free coordinate, at the solution z (free,).

    frame: one, its arrays without the first axis. Weights are taken as inverse variances, `NOISE` being that of weight
    1. The range of a coordinate says what a uniform distribution over it says: variance width²/12. Without that, a
    forearm whose rotation nothing shows could turn many times round and make the upper arm, which it hardly moves, look
    unseen.
    """
    J = markers_and_jacobian(tree, z)[1].transpose(0, 2, 1).reshape(-1, z.size)
    half_hessian = (J * np.repeat(frame.w, 3)[:, None]).T @ J + np.diag(frame.ridge)  # Gauss–Newton
    of_ranges = 12 * NOISE**2 / (tree.upper - tree.lower) ** 2
    return NOISE * np.sqrt(np.diag(np.linalg.inv(half_hessian + np.diag(of_ranges + UNSEEN))))


def metrics(c: Comparison) -> list[Metric]:
    """Figures of one case."""
    unit = f"× {np.degrees(AGREE_RAD):g}° or {1000 * AGREE_M:g} mm"
    rows = [
        ("frames", len(c.ratio), "", "higher", None),
        ("cost_ratio_max", c.ratio.max(), "×", "lower", COST_RATIO),
        ("cost_ratio_median", np.median(c.ratio), "×", "lower", None),
        ("cost_ratio_above_goal", (c.ratio > COST_RATIO).sum(), "frames", "lower", 0.0),
        ("same_minimum", c.same.sum(), "frames", "higher", None),
        ("our_minimum_lower", (c.minima_ratio <= 1 - SAME).sum(), "frames", "higher", None),
        ("tool_minimum_lower", (c.minima_ratio >= 1 + SAME).sum(), "frames", "lower", None),
        ("minima_ratio_max", c.minima_ratio.max(), "×", "lower", None),
        ("tool_above_its_minimum_median", np.median(c.tool / c.tool_minimum) - 1, "of cost", "lower", None),
        ("tool_above_its_minimum_max", (c.tool / c.tool_minimum).max() - 1, "of cost", "lower", None),
        ("ours_above_our_minimum_median", np.median(c.ours / c.our_minimum) - 1, "of cost", "lower", None),
        ("ours_above_our_minimum_max", (c.ours / c.our_minimum).max() - 1, "of cost", "lower", None),
        ("certain_coordinates", c.certain.sum(1).mean(), "per frame", "higher", None),
        ("certain_max", c.apart[c.certain].max(initial=0), unit, "lower", 1.0),
        ("certain_minima_max", c.minima_apart[c.certain & c.same[:, None]].max(initial=0), unit, "lower", None),
    ]
    return [Metric(key, float(value), unit, better, goal) for key, value, unit, better, goal in rows]


def side_by_side(cases: Mapping[str, Sequence[Metric]]) -> str:
    """A Markdown table, a column for each case."""
    lines = ["| measured | " + " | ".join(cases) + " | unit | goal |", "|---|" + "---:|" * len(cases) + "---|---|"]
    for same in zip(*cases.values(), strict=True):
        m = same[0]
        aim = "" if m.goal is None else f"≤ {m.goal:g}"
        cells = [f"{one.value:.4g}" + (" **not met**" if one.met is False else "") for one in same]
        lines.append(f"| {m.key} | " + " | ".join(cells) + f" | {m.unit} | {aim} |")
    return "\n".join(lines)
