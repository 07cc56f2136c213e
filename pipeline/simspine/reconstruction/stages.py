"""The one list of stages from a recording to the spine. `reconstruct` and `fit_trials` run it in memory; the workflow
runs the same stages and adds load and save.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from simspine.anatomy.marker_sets import (
    MARKER_FILE_SET,
    PELVIS_SKIN_MARKERS,
    MarkerSet,
    find_marker_set,
    read_marker_set,
)
from simspine.anatomy.options import ScalingOptions
from simspine.anatomy.recipes import Recipe, measured_by, read_recipe
from simspine.anatomy.scaling import ScaleFactors, marker_distances
from simspine.core.arrays import frame_ranges, median_of_known, runs_of_frames
from simspine.core.errors import InputError, names_text
from simspine.core.filtering import short_gaps
from simspine.core.geometry import markers_in_frame
from simspine.core.skeletons import skin_landmark, thoracic_names
from simspine.core.types import Markers
from simspine.estimation.fit_person import SizedBody, fit_to_person, size_body
from simspine.estimation.inverse_kinematics import require_near_origin
from simspine.estimation.options import BodyOptions, KinematicsOptions
from simspine.estimation.result import Posterior, Result
from simspine.estimation.solve_trial import read_spine, solve_kinematics
from simspine.io.text_tables import warn_assumed, warn_left_out
from simspine.io.trc import without_subject_name
from simspine.quality.assess import REFINE_HINT, check_solved_trial
from simspine.quality.findings import (
    REJECTED_FILLED_CODE,
    Finding,
    QualityOptions,
    Severity,
    Verdict,
    sum_up_findings,
    warning,
    where_true,
)
from simspine.quality.marker_checks import HIP_PAIR, sides_exchanged
from simspine.reconstruction.cameras import CAMERAS, MERGE, TRIANGULATE
from simspine.reconstruction.detection import DETECT
from simspine.reconstruction.solved_trial import SolvedTrial, view_fits
from simspine.reconstruction.stage import Known, Options, Stage

MAX_DOUBTS_SHOWN = 4  # findings about cameras that an error repeats
_MAX_SIZE_DIFFERENCE_SHARE = 0.05  # between a person's trials; in gait, six people's differed by up to 0.015

# After the verdict: rejected frames are taken out, short gaps filled (SIMSPINE's third step of quality control). The
# trajectory engine sees the trial without the markers of rejected frames. It infers their poses from the frames around
# and from the smoothness and priors of the body, like a Kalman smoother, with standard deviations that grow into the
# gap. So filled frames fit the body as all others do, and are marked as inferred.


def fill_rejected(found: SolvedTrial, marker_set: str, options: Options) -> SolvedTrial:
    """The trial solved without its rejected frames: short gaps of them filled and marked, others NaN throughout.

    found: with a verdict. options: `quality` and `ik` are used. The verdict gets one more finding,
    `REJECTED_FILLED_CODE`, with the frames that were filled; their status is 'inferred' in place of 'rejected', and
    they stay in the mask `rejected`. `filled` of the spine's points marks them. Unchanged where no frame is
    rejected, or all are. Raises `InputError` as `solve_kinematics`.
    """
    rejected = found.rejected
    if found.verdict is None or not rejected.any() or rejected.all():
        return found
    short = short_gap_frames(rejected, found.motion.rate, options.quality.max_gap_s)
    kept = found.markers.with_(xyz=np.where(rejected[:, None, None], np.nan, found.markers.xyz))
    result = _emptied_result(solve_kinematics(found.sized, kept, marker_set, options.ik), rejected & ~short)
    spine = read_spine(found.sized, result)
    spine = replace(
        spine,
        markers=_marked_as_filled(spine.markers, short),
        centres=None if spine.centres is None else _marked_as_filled(spine.centres, short),
    )
    return replace(
        found, result=result, spine=spine, verdict=_verdict_after_filling(found.verdict, rejected, short, options)
    )


def short_gap_frames(rejected: np.ndarray, rate: float, max_gap_s: float) -> np.ndarray:
    """(frames,) bool: those of the rejected frames (frames,) that lie in runs of at most `max_gap_s`, with frames that
    are not rejected on both sides."""
    short = np.zeros_like(rejected)
    for start, stop in short_gaps(rejected[:, None], rate, max_gap_s):
        short[start:stop] = True
    return short


def _emptied_result(result: Result, frames: np.ndarray) -> Result:
    """The result with NaN in these frames (frames,) bool."""

    def empty(values: np.ndarray) -> np.ndarray:
        return np.where(frames.reshape(-1, *[1] * (values.ndim - 1)), np.nan, values)

    motion, known = result.motion, result.posterior
    deviation = None if motion.deviation is None else empty(motion.deviation)
    if known is not None:
        known = Posterior(known.response, {name: empty(np.asarray(v)) for name, v in known.derived.items()})
    return replace(
        result,
        motion=motion.with_(values=empty(motion.values), deviation=deviation),
        marker_error=empty(result.marker_error),
        cost=empty(result.cost),
        posterior=known,
    )


def _marked_as_filled(points: Markers, frames: np.ndarray) -> Markers:
    """The points with these frames (frames,) bool marked as filled."""
    before = np.zeros(points.xyz.shape[:2], bool) if points.filled is None else points.filled
    return points.with_(filled=before | (frames[:, None] & points.present))


def _verdict_after_filling(judged: Verdict, rejected: np.ndarray, short: np.ndarray, options: Options) -> Verdict:
    """The verdict with a finding that says how many rejected frames were filled, and with which parameters."""
    whose = judged.findings[0]
    gaps = int((rejected & ~short).sum())
    which = "the frames with errors" if not gaps else f"{short.sum()} of {rejected.sum()} frames with errors"
    rest = f"; the other {gaps} stay rejected, and are gaps" if gaps else ""
    finding = Finding(
        code=REJECTED_FILLED_CODE,
        severity=Severity.INFO,
        message=f"{which} lie in gaps of at most {options.quality.max_gap_s:g} s and are filled in from the frames "
        f"around, by the body's smoothness (accelerations of {options.ik.level_acceleration_sd:g} rad/s² in a level of "
        f"the trunk, {options.ik.acceleration_sd:g} in pelvis and neck, {options.ik.limb_acceleration_sd:g} in limbs, "
        "one standard deviation each)"
        f"{rest}.",
        frames=where_true(short),
        subject=whose.subject,
        trial=whose.trial,
    )
    return sum_up_findings(judged.frames, (*judged.findings, finding))


MIN_HELD_FRAMES, MIN_HELD_S = 10, 0.2  # s; shorter stays may be the rounding of slow movement
MARKER_SET_CODE, UNKNOWN_MARKERS_CODE, PELVIS_UNSEEN_CODE = "marker_set", "unknown_markers", "pelvis_unseen"


def given_markers(markers: Markers, body: BodyOptions) -> dict[str, Any]:
    """Inputs of the stages after merging, for markers that do not come from cameras.

    markers: under the names of their marker set. skeleton: the set that has their places. findings: which set it is,
    and which markers it does not know. The set is that of the options, or else the one whose names the markers have
    (`find_marker_set`). Raises `InputError` as `require_near_origin` does.
    """
    require_near_origin(markers)
    named = None if body.markers is None else read_marker_set(body.markers)
    markers = without_subject_name(markers, "the markers", named.own if named else ())
    spelt = thoracic_names(markers.names)
    if spelt and not (named and set(named.own).intersection(spelt)):
        warn_left_out(f"{names_text(spelt)} are taken for {names_text(spelt.values())}.")
        markers = markers.with_(names=[spelt.get(name, name) for name in markers.names])
    known = named or find_marker_set(markers.names)
    findings = []
    _warn_of_held_markers(markers)
    if body.markers is None and known.name != MARKER_FILE_SET:
        count = len(markers.names)
        used = count - len(known.unknown_markers(markers.names))
        text = f"the markers are those of the marker set {known.name!r}: it knows {used} of {count} names."
        findings.append(Finding(MARKER_SET_CODE, Severity.INFO, text))
    if unknown := known.unknown_markers(markers.names):
        first = sorted(unknown, key=lambda name: unknown[name] is None)
        near = ", ".join(f"{name} (did you mean {unknown[name]}?)" if unknown[name] else name for name in first)
        text = f"{len(unknown)} markers are not of the marker set {known.name!r} and were not used: {near}."
        severity = Severity.WARNING if any(unknown.values()) else Severity.INFO
        findings.append(Finding(UNKNOWN_MARKERS_CODE, severity, text))
    given, skeleton = known.renamed(markers_in_frame(markers, "y_up")), known.places_of or known.name
    if not _shows_pelvis(given.names, read_marker_set(skeleton)):
        text = (
            "no pair of markers shows the left and right side of the pelvis, so its pose is inferred from trunk "
            "and thighs."
        )
        findings.append(warning(PELVIS_UNSEEN_CODE, text))
    return {"markers": given, "skeleton": skeleton, "findings": tuple(findings)}


def _warn_of_held_markers(markers: Markers) -> None:
    """Warn of markers that stay exactly where they are while others move, and of frames in which none moves."""
    still = (np.diff(markers.xyz, axis=0) == 0).all(-1)
    moves, held = np.isfinite(np.diff(markers.xyz, axis=0)).all(-1) & ~still, []
    least = max(MIN_HELD_FRAMES, MIN_HELD_S * markers.rate)

    def long_stays(where: np.ndarray) -> list[int]:
        return [k for a, b in runs_of_frames(where_true(where)) if b - a >= least for k in range(a, b + 1)]

    for i in np.flatnonzero(moves.any(0)):
        frames = long_stays(still[:, i] & (2 * moves.sum(1) > still.sum(1)))
        held += [f"{markers.names[i]} in frames {frame_ranges(frames)}"] if frames else []
    if held:
        warn_assumed(f"{names_text(held)}: exactly in one place while other markers move. Hidden? Export as missing.")
    repeats = still.any(1) & ~moves.any(1)
    if moves.any() and (stopped := long_stays(repeats)):
        warn_assumed(f"no marker moves at all in frames {frame_ranges(stopped)}. Did the recording stop? Cut them off.")
    elif moves.any() and 2 * repeats.sum() >= len(repeats):
        found = f"{repeats.sum()} of {markers.frames} frames repeat the one before"
        warn_assumed(f"{found}. Were fewer than {markers.rate:g} frames a second recorded? Keep one of each.")


def _shows_pelvis(names: Sequence[str], places: MarkerSet) -> bool:
    """Whether markers, or the joint centres of the hips, are on both sides of the pelvis."""
    on_pelvis = (places.places[name] for name in names if name in places.places)
    sides = {np.sign(round(place.offset[2], 2)) for place in on_pelvis if place.body == "pelvis"} - {0.0}
    landmarks = {skin_landmark(name) for name in names}
    return len(sides) == 2 or any(set(pair) <= landmarks for pair in (PELVIS_SKIN_MARKERS, HIP_PAIR))


@threadpool_limits.wrap(limits=1, user_api="blas")  # matrices are small, and results equal to the bit
def body_of_person(
    trials: Sequence[Markers],
    recipe: str | Recipe,
    marker_set: str,
    options: Options,
    height: float | None = None,
    mass: float | None = None,
) -> tuple[SizedBody, ScaleFactors]:
    """The recipe's body at a person's size, fitted to all their trials. Arguments as of `size_body`. Markers of weight
    0 take no part."""
    trials = [markers.without_zero_weights() for markers in trials]
    recipe = read_recipe(recipe) if isinstance(recipe, str) else recipe
    shared = set.intersection(*(set(markers.names) for markers in trials))
    sized, factors = size_body(
        trials,
        measured_by(recipe, marker_set, shared),
        marker_set,
        options=options.scaling,
        height=height,
        mass=mass,
        skin_height=options.body.skin_marker_height_m,
    )
    if options.scaling.anatomy:
        sized = fit_to_person(sized, trials, marker_set, options=options.ik, exchanged=sides_exchanged)
    return sized, factors


def scale_person(
    body: BodyOptions, scaling: ScalingOptions, ik: KinematicsOptions, *, trials: Mapping[str, Known]
) -> dict[str, dict[str, Any]]:
    """The stage `scale`: the body at the person's size, one for all their trials.

    trials: for each, markers (y_up), skeleton, height (m), mass (kg), findings (about its cameras).

    Returns for each trial: sized (SizedBody), factors (ScaleFactors). Raises `InputError` where trials have points of
    several skeletons, since the body has one place for each point, and where no body fits the points; that message
    repeats the findings about cameras.
    """
    sets = {trial: body.markers or known["skeleton"] for trial, known in trials.items()}
    (first, marker_set), *others = sets.items()
    for trial, other in others:
        if other != marker_set:
            raise InputError(
                f"trials {first!r} and {trial!r} have points of different skeletons, {marker_set!r} and {other!r}, "
                "which mark different places on the body; expected one for all trials of a person. Name one marker "
                "set for all (`markers` of section `body`), or solve these trials as two people."
            )
    known = trials[first]
    options = Options(body=body, scaling=scaling, ik=ik)
    markers = [inputs["markers"] for inputs in trials.values()]
    try:
        sized, factors = body_of_person(
            markers, body.recipe, marker_set, options=options, height=known["height"], mass=known["mass"]
        )
    except InputError as error:
        noted = [finding for inputs in trials.values() for finding in inputs["findings"]]
        causes, doubts = (
            " ".join(list(dict.fromkeys(one.message for one in noted if one.severity is severity))[:MAX_DOUBTS_SHOWN])
            for severity in (Severity.ERROR, Severity.WARNING)
        )
        cure = f" {REFINE_HINT}" if REFINE_HINT in [one.suggestion for one in noted] else ""
        noticed = f"\nNoticed before: {doubts}{cure}" if doubts else ""
        raise InputError(f"{causes}\nThen: {error}{noticed}" if causes else f"{error}{noticed}") from None
    _warn_of_mixed_up_trials({trial: inputs["markers"] for trial, inputs in trials.items()}, factors)
    return {trial: {"sized": sized, "factors": factors} for trial in trials}


def _warn_of_mixed_up_trials(trials: Mapping[str, Markers], factors: ScaleFactors) -> None:
    """Warn of trials with equal markers, as of one file under two names, which would count as two observations; and of
    trials of which one has longer segments, as of two people: the body has one size for all."""
    content = {trial: hashlib.sha256(markers.xyz.tobytes()).digest() for trial, markers in trials.items()}
    for first, last in pairwise(sorted(content, key=content.__getitem__)):
        if content[first] == content[last]:
            warn_assumed(f"trials {first!r} and {last!r} have equal markers, which count twice; leave one out.")
    sides, sizes = [side for factor in factors.factors for side in factor.sides], {}
    for trial, markers in trials.items():
        lengths = np.array([marker_distances(markers, *side.markers) for side in sides])
        sizes[trial] = float(median_of_known(median_of_known(lengths) / [side.measured for side in sides]))
    small, large = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    if (longer := sizes[large] / sizes[small] - 1) > _MAX_SIZE_DIFFERENCE_SHARE:
        text = f"segments in trial {large!r} are {100 * longer:.0f} % longer than in {small!r}"
        warn_assumed(f"{text}. Are both of one person? If not, make two subjects.")


SCALE = Stage(
    "scale", scale_person, gives=("sized", "factors"), takes=("markers", "skeleton", "height", "mass", "findings")
)


def solve_trial(
    body: BodyOptions,
    ik: KinematicsOptions,
    *,
    sized: SizedBody,
    markers: Markers,
    skeleton: str,
    spine_markers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The stage `ik`: coordinates of the body that explain the markers. Returns result (Result). spine_markers: as of
    `read_spine`."""
    return {"result": solve_kinematics(sized, markers, body.markers or skeleton, ik, spine_markers=spine_markers)}


IK = Stage("ik", solve_trial, gives=("result",))


def read_vertebrae(
    *, sized: SizedBody, result: Result, spine_markers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The stage `vertebrae`: the spine, from the body and its angles. Returns spine (SpineKinematics). spine_markers:
    as of `read_spine`."""
    return {"spine": read_spine(sized, result, spine_markers)}


VERTEBRAE = Stage("vertebrae", read_vertebrae, gives=("spine",))


OF_TRIAL = tuple(field.name for field in fields(SolvedTrial) if field.name != "verdict")


def judge_trial(
    quality: QualityOptions,
    ik: KinematicsOptions,
    body: BodyOptions,
    *,
    skeleton: str,
    findings: Sequence[Finding],
    **of_trial: Any,
) -> dict[str, Any]:
    """The stage `quality`: which frames can be trusted; the others are filled in on request. findings: of the stages
    before. of_trial: the fields of `SolvedTrial`. Returns result and spine, with filled frames; verdict (Verdict)."""
    trial = SolvedTrial(**of_trial)
    verdict = check_solved_trial(
        trial.sized,
        trial.result,
        trial.spine,
        markers=trial.markers,
        triangulation=trial.triangulation,
        views=view_fits(trial),
        recording=findings,
    )
    trial = replace(trial, verdict=verdict.of(trial.subject, trial.trial))
    if quality.fill_gaps:
        trial = fill_rejected(trial, body.markers or skeleton, Options(quality=quality, ik=ik, body=body))
    return {"result": trial.result, "spine": trial.spine, "verdict": trial.verdict}


QUALITY = Stage("quality", judge_trial, gives=("result", "spine", "verdict"), takes=(*OF_TRIAL, "skeleton", "findings"))


STAGES = (DETECT, CAMERAS, TRIANGULATE, MERGE, SCALE, IK, VERTEBRAE, QUALITY)
AFTER_DETECTION = STAGES[STAGES.index(DETECT) + 1 :]
AFTER_MERGING = STAGES[STAGES.index(SCALE) :]
SUBJECT_NAME = "person"
# Entries of a trial without cameras, of a person of unknown size.
UNSEEN: dict[str, Any] = {
    "cameras": (), "keypoints": None, "triangulation": None, "points": None, "videos": (), "timing": None,
    "findings": (), "mocap": None, "spine_markers": None, "height": None, "mass": None,
}  # fmt: skip


def run_stages(trials: Mapping[str, Known], options: Options, stages: Sequence[Stage] = STAGES) -> dict[str, Known]:
    """What is known of all trials of a person after the stages. trials: {trial: {name: what is known before}}."""
    known = dict(trials)
    for stage in stages:
        known = stage.run(known, options)
    return known
