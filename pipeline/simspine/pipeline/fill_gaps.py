"""After the verdict: rejected frames taken out, the others smoothed over them, short gaps filled (SIMSPINE's third step
of quality control).

The trajectory engine sees the trial without the markers of rejected frames. What it then gives there follows from the
frames around and from the smoothness and priors of the body: a smoother in the sense of Kalman's, with standard
deviations that grow into the gap. So filled frames fit the body as all others do, and are marked as inferred.
"""

from dataclasses import replace
from typing import TypeVar

import numpy as np

from simspine.arrays import runs
from simspine.ik.result import Posterior, Result
from simspine.pipeline.kinematics import read_spine, solve_kinematics
from simspine.pipeline.options import Options
from simspine.pipeline.solved_trial import SolvedTrial
from simspine.quality.findings import FILLED, Finding, Severity, Verdict, verdict, where_true
from simspine.types import Markers

Trial = TypeVar("Trial", bound=SolvedTrial)


def fill_rejected(found: Trial, marker_set: str, options: Options) -> Trial:
    """The trial solved without its rejected frames: short gaps of them filled and marked, others NaN throughout.

    found: with a verdict. options: of them `quality` and `ik` count. The verdict keeps its findings and gets one more,
    `FILLED`, with the frames that were filled; these have the status 'inferred' in place of 'rejected', and the mask
    `rejected` of frames that do not count holds them, too. Points of the spine have them in `filled`.
    Unchanged where no frame is rejected, or all are. Raises `InputError` as `solve_kinematics`.
    """
    rejected = found.rejected
    if found.verdict is None or not rejected.any() or rejected.all():
        return found
    short = short_gaps(rejected, found.motion.rate, options.quality.max_gap_s)
    solved = solve_kinematics(found.sized, _without(found.markers, rejected), marker_set, options.ik)
    result = _emptied(solved, rejected & ~short)
    spine = read_spine(found.sized, result)
    spine = replace(
        spine,
        markers=_marked(spine.markers, short),
        centres=None if spine.centres is None else _marked(spine.centres, short),
    )
    return replace(found, result=result, spine=spine, verdict=_told(found.verdict, rejected, short, options))


def short_gaps(rejected: np.ndarray, rate: float, max_gap_s: float) -> np.ndarray:
    """(frames,) bool: those of the rejected frames (frames,) that lie in runs of at most `max_gap_s`, with frames that
    are not rejected on both sides."""
    short = np.zeros_like(rejected)
    for start, stop in runs(where_true(rejected)):
        if start > 0 and stop < len(rejected) and (stop - start) / rate <= max_gap_s * (1 + 1e-9):
            short[start:stop] = True
    return short


def _without(markers: Markers, frames: np.ndarray) -> Markers:
    return markers.with_(xyz=np.where(frames[:, None, None], np.nan, markers.xyz))


def _emptied(result: Result, frames: np.ndarray) -> Result:
    """Nothing is known in these frames."""

    def empty(values: np.ndarray) -> np.ndarray:
        return np.where(frames.reshape(-1, *[1] * (values.ndim - 1)), np.nan, values)

    motion, known = result.motion, result.posterior
    deviation = None if motion.deviation is None else empty(motion.deviation)
    return replace(
        result,
        motion=motion.with_(values=empty(motion.values), deviation=deviation),
        marker_error=empty(result.marker_error),
        cost=empty(result.cost),
        posterior=None
        if known is None
        else Posterior(known.response, {name: empty(np.asarray(v)) for name, v in known.derived.items()}),
    )


def _marked(points: Markers, frames: np.ndarray) -> Markers:
    """The points with these frames marked as filled."""
    before = np.zeros(points.xyz.shape[:2], bool) if points.filled is None else points.filled
    return points.with_(filled=before | (frames[:, None] & points.present))


def _told(judged: Verdict, rejected: np.ndarray, short: np.ndarray, options: Options) -> Verdict:
    """The verdict with what became of its rejected frames; the parameters of the step are in the text."""
    whose = judged.findings[0]
    gaps = int((rejected & ~short).sum())
    which = "the frames with errors" if not gaps else f"{short.sum()} of {rejected.sum()} frames with errors"
    rest = f"; the other {gaps} stay rejected, and are gaps" if gaps else ""
    finding = Finding(
        FILLED,
        Severity.INFO,
        f"{which} lie in gaps of at most {options.quality.max_gap_s:g} s and are filled in from the frames around, "
        f"by the body's smoothness (accelerations of {options.ik.level_acceleration_sd:g} rad/s² in a level of the "
        f"trunk, {options.ik.acceleration_sd:g} in pelvis and neck, {options.ik.limb_acceleration_sd:g} in limbs, one "
        "standard deviation each)"
        f"{rest}.",
        "They are inferred, not seen: leave them out of figures, or read their ±.",
        where_true(short),
        subject=whose.subject,
        trial=whose.trial,
    )
    return verdict(judged.frames, (*judged.findings, finding))
