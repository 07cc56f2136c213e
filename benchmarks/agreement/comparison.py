"""The frame engine frame by frame beside OpenSim's InverseKinematicsTool at high accuracy: cost, minima, coordinates.

Three questions for each frame. Is our cost (OpenSim's formula, coordinate tasks included) at most 1.001 × the tool's?
Are the two beside the same minimum: where does each go when `nearest_minimum`, which is neither, takes it further
downhill? And do the coordinates agree that the markers show (`observability`, which sees our result only)?
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from benchmarks.agreement.cases import NOISE, Case
from benchmarks.agreement.nearest_minimum import nearest_minimum
from benchmarks.agreement.observability import ObservedCoordinates, observability, slope_left
from benchmarks.agreement.opensim_tool import ToolResult
from tools.bench.figures import Metric
from tools.bench.opensim_engine import solve_with_opensim

from simspine.anatomy.body import follow_couplers
from simspine.core.geometry import wrap_angles
from simspine.estimation import frame_engine
from simspine.estimation.frame_engine import Frames
from simspine.estimation.result import canonical_branch, result_of

COST_RATIO = 1.001
AGREE_RAD, AGREE_M = float(np.radians(0.5)), 0.001
NOISE_RAD, NOISE_M = 0.03, 0.005  # largest standard deviation of an observable coordinate
SAME = 1e-4  # minima whose costs differ by a smaller share are one


@dataclass(frozen=True, eq=False)
class Comparison:
    """Ours and the tool's, (frames,) or (frames, free).

    ours, tool: cost, m². our_minimum, tool_minimum: cost downhill from there. difference: tool − ours, rad or m, angles
    by the shorter way; minima_difference: the same between the two minima. seen: what our frames say about each
    coordinate. tool_slope: see `slope_left`. tool_account: the tool's own Σ d² over ours for its coordinates, 1 if both
    count alike.
    """

    names: tuple[str, ...]
    turning: np.ndarray
    ours: np.ndarray
    tool: np.ndarray
    our_minimum: np.ndarray
    tool_minimum: np.ndarray
    difference: np.ndarray
    minima_difference: np.ndarray
    seen: ObservedCoordinates
    tool_slope: np.ndarray
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

    @property
    def limit(self) -> np.ndarray:
        """(free,) by how much observable coordinates may differ."""
        return np.where(self.turning, AGREE_RAD, AGREE_M)

    @property
    def certain(self) -> np.ndarray:
        """(frames, free) bool: noise leaves it certain."""
        return self.seen.noise <= np.where(self.turning, NOISE_RAD, NOISE_M)

    @property
    def observable(self) -> np.ndarray:
        """(frames, free) bool: certain, and moving it by what is allowed raises the cost by more than is allowed."""
        return self.certain & (self.seen.shown <= self.limit)

    @property
    def pinned(self) -> np.ndarray:
        """(frames, free) bool: observable, and OpenSim's stopping rule leaves it less room than is allowed."""
        return self.observable & (self.seen.stop <= self.limit)


def compare(case: Case, tool: ToolResult, accuracy: float = 1e-6) -> Comparison:
    """Solve the case with the frame engine and compare. accuracy: that the tool had."""
    body, markers, weights = case.body, case.markers, case.frame_weights
    found = frame_engine.solve_frames(body, markers, weights, case.coordinate_tasks)
    tree, y, w, _ = frame_engine.usable_observations(body, markers, weights, 3)
    frames = Frames(y, w, *frame_engine.coordinate_task_terms(body, case.coordinate_tasks, w))
    ours = found.motion.values[:, tree.free]
    theirs = canonical_branch(body, tool.values[:, tree.free])
    driven = follow_couplers(body, tool.values)
    reasons = [""] * markers.frames
    account = result_of(body, markers, tool.values, np.ones(weights.shape), reasons).cost
    at = result_of(body, markers, driven, weights, reasons, tasks=case.coordinate_tasks)
    downhill = [
        [nearest_minimum(tree, z, Frames(*parts)) for z, *parts in zip(start, *frames, strict=True)]
        for start in (ours, theirs)
    ]
    our_z, tool_z = (np.array([z for z, _ in part]) for part in downhill)
    our_minimum, tool_minimum = (np.array([cost for _, cost in part]) for part in downhill)
    return Comparison(
        tuple(body.coordinates.names[i] for i in tree.free),
        tree.turning,
        found.cost,
        at.cost,
        our_minimum,
        tool_minimum,
        shorter(theirs - ours, tree.turning),
        shorter(tool_z - our_z, tree.turning),
        observability(tree, ours, frames, NOISE, COST_RATIO - 1, accuracy),
        slope_left(tree, theirs, frames, accuracy),
        tool.squared_error / account,
    )


def shorter(difference: np.ndarray, turning: np.ndarray) -> np.ndarray:
    """Differences (frames, free) of angles by the shorter way round."""
    return np.where(turning, wrap_angles(difference), difference)


def restarted(case: Case, frames: Sequence[int], accuracy: float = 1e-6) -> np.ndarray:
    """What OpenSim's solver ends with, put at our solution in these frames: its cost over ours, (len(frames),)."""
    tasks, weights = case.coordinate_tasks, case.frame_weights
    found = frame_engine.solve_frames(case.body, case.markers, weights, tasks)
    ratio = []
    for t in frames:
        one, start = case.markers.with_(xyz=case.markers.xyz[t : t + 1]), found.motion.values[t]
        theirs = solve_with_opensim(case.body, one, weights[:1], tasks, accuracy, start=start)
        ratio.append(theirs.cost[0] / found.cost[t])
    return np.array(ratio)


def metrics(c: Comparison) -> list[Metric]:
    """Figures of one case. Distances of coordinates are in units of what is allowed."""
    ratio, same = c.ratio, c.same[:, None]
    apart, minima_apart = np.abs(c.difference) / c.limit, np.abs(c.minima_difference) / c.limit
    beyond = c.observable & (apart > 1)
    short = beyond & same & (minima_apart <= 1)  # at its own minimum the tool would agree
    unit = f"× {np.degrees(AGREE_RAD):g}° or {1000 * AGREE_M:g} mm"

    def largest(values, mask):
        return values[mask].max() if mask.any() else 0.0

    rows = [
        ("frames", len(ratio), "", "higher", None),
        ("cost_ratio_max", ratio.max(), "×", "lower", COST_RATIO),
        ("cost_ratio_median", np.median(ratio), "×", "lower", None),
        ("cost_ratio_above_goal", (ratio > COST_RATIO).sum(), "frames", "lower", 0.0),
        ("same_minimum", same.sum(), "frames", "higher", None),
        ("our_minimum_lower", (c.minima_ratio <= 1 - SAME).sum(), "frames", "higher", None),
        ("tool_minimum_lower", (c.minima_ratio >= 1 + SAME).sum(), "frames", "lower", None),
        ("minima_ratio_max", c.minima_ratio.max(), "×", "lower", None),
        ("tool_above_its_minimum_median", np.median(c.tool / c.tool_minimum) - 1, "of cost", "lower", None),
        ("tool_above_its_minimum_max", (c.tool / c.tool_minimum).max() - 1, "of cost", "lower", None),
        ("tool_left_more_slope_than_allowed", (c.tool_slope > 1).sum(), "frames", "lower", None),
        ("ours_above_our_minimum_median", np.median(c.ours / c.our_minimum) - 1, "of cost", "lower", None),
        ("ours_above_our_minimum_max", (c.ours / c.our_minimum).max() - 1, "of cost", "lower", None),
        ("observable_coordinates", c.observable.sum(1).mean(), "per frame", "higher", None),
        ("observable_values", c.observable.sum(), "values", "higher", None),
        ("observable_max", largest(apart, c.observable), unit, "lower", 1.0),
        ("observable_p99", np.quantile(apart[c.observable], 0.99) if c.observable.any() else 0, unit, "lower", None),
        ("observable_beyond", beyond.sum(), "values", "lower", 0.0),
        ("beyond_where_minima_differ", (beyond & ~same).sum(), "values", "lower", None),
        ("beyond_where_tool_stopped_short", short.sum(), "values", "lower", None),
        ("beyond_for_another_reason", (beyond & same & ~short).sum(), "values", "lower", None),
        ("observable_minima_max", largest(minima_apart, c.observable & same), unit, "lower", None),
        ("pinned_coordinates", c.pinned.sum(1).mean(), "per frame", "higher", None),
        ("pinned_max", largest(apart, c.pinned), unit, "lower", 1.0),
        ("pinned_beyond", (c.pinned & (apart > 1)).sum(), "values", "lower", 0.0),
        ("pinned_max_where_tool_arrived", largest(apart, c.pinned & (c.tool_slope <= 1)[:, None]), unit, "lower", 1.0),
        ("certain_coordinates", c.certain.sum(1).mean(), "per frame", "higher", None),
        ("certain_max", largest(apart, c.certain), unit, "lower", None),
        ("certain_minima_max", largest(minima_apart, c.certain & same), unit, "lower", None),
    ]
    return [Metric(key, float(value), unit, better, goal) for key, value, unit, better, goal in rows]


def joined(comparisons: Sequence[Comparison]) -> Comparison:
    """Trials of one body, one after another."""
    first = comparisons[0]
    names = [field.name for field in fields(Comparison) if field.name not in ("names", "turning", "seen")]
    per_frame: dict[str, Any] = {name: np.concatenate([getattr(c, name) for c in comparisons]) for name in names}
    return replace(
        first,
        seen=ObservedCoordinates(
            *(np.concatenate([getattr(c.seen, field.name) for c in comparisons]) for field in fields(first.seen))
        ),
        **per_frame,
    )


def side_by_side(cases: Mapping[str, Sequence[Metric]]) -> str:
    """A Markdown table, a column for each case."""
    goal = {m.key: m.goal for rows in cases.values() for m in rows}
    lines = ["| measured | " + " | ".join(cases) + " | unit | goal |", "|---|" + "---:|" * len(cases) + "---|---|"]
    for same in zip(*cases.values(), strict=True):
        m = same[0]
        aim = "" if goal[m.key] is None else f"≤ {goal[m.key]:g}"
        cells = [f"{one.value:.4g}" + (" **not met**" if one.met is False else "") for one in same]
        lines.append(f"| {m.key} | " + " | ".join(cells) + f" | {m.unit} | {aim} |")
    return "\n".join(lines)


def coordinates_table(rows: Mapping[str, Mapping]) -> str:
    """A Markdown table of what `by_coordinate` found, less what is never observable, which is listed below it."""
    lines = ["| coordinate | observable, % of frames | sd by noise | largest difference | 99 % | same minimum |"]
    lines.append("|---|" + "---:|" * 5)
    for name, row in rows.items():
        if row["observable"]:
            values = (row["noise_sd"], row["max"], row["p99"], row["max_same_minimum"])
            cells = [f"{100 * row['observable']:.0f}", *("" if v is None else f"{v:.2f}" for v in values)]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    never = [f"{name} ({row['noise_sd']:.1f})" for name, row in rows.items() if not row["observable"]]
    return "\n".join([*lines, "", "Never observable (sd by noise, ° or mm): " + ", ".join(never) + "."])


def by_coordinate(c: Comparison) -> dict[str, dict]:
    """For each free coordinate: in how many frames it is observable, and how far apart the two are there, ° or mm."""
    rows = {}
    for i, name in enumerate(c.names):
        size = np.degrees(1) if c.turning[i] else 1000.0
        seen = c.observable[:, i]
        apart = np.abs(c.difference[:, i]) * size
        both = seen & c.same
        rows[name] = {
            "observable": round(float(seen.mean()), 3),
            "pinned": round(float(c.pinned[:, i].mean()), 3),
            "noise_sd": round(float(np.median(c.seen.noise[:, i]) * size), 3),
            "shown": round(float(np.median(c.seen.shown[:, i]) * size), 3),
            "stop": round(float(np.median(c.seen.stop[:, i]) * size), 3),
            "certain": round(float(c.certain[:, i].mean()), 3),
            "max": round(float(apart[seen].max()), 3) if seen.any() else None,
            "p99": round(float(np.quantile(apart[seen], 0.99)), 3) if seen.any() else None,
            "max_same_minimum": round(float(apart[both].max()), 3) if both.any() else None,
            "max_all_frames": round(float(apart.max()), 3),
        }
    return rows


def other_minima(c: Comparison) -> list[dict]:
    """Frames whose minima are not the same: their costs, and the coordinates that are furthest apart (rad or m)."""
    rows = []
    for t in np.flatnonzero(~c.same):
        far = np.argsort(-np.abs(c.minima_difference[t]))[:4]
        apart = {c.names[i]: round(float(c.minima_difference[t, i]), 2) for i in far}
        rows.append(
            {
                "frame": int(t),
                "minima_ratio": round(float(c.minima_ratio[t]), 5),
                "cost_ratio": round(float(c.ratio[t]), 5),
                "apart": apart,
            }
        )
    return rows
