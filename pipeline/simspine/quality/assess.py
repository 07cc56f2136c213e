"""Checks of a whole trial: which frames can be trusted, and findings about the others."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from simspine.anatomy.curvature import MOTION_PLANES
from simspine.anatomy.priors import Prior
from simspine.anatomy.vertebrae import SpineKinematics
from simspine.core.arrays import NORMAL_95
from simspine.core.errors import names_text, without_formula
from simspine.core.settings import read_yaml
from simspine.core.skeletons import is_skin_marker
from simspine.core.types import Markers
from simspine.estimation.fit_person import SizedBody
from simspine.estimation.result import Result
from simspine.estimation.trajectory_engine import wide_priors
from simspine.quality import marker_checks, spine_checks
from simspine.quality.findings import (
    THRESHOLDS,
    Finding,
    Severity,
    Status,
    Verdict,
    sum_up_findings,
    warning,
    worst_severity,
)
from simspine.quality.observability import level_shares, share_of_curvature, with_shares_of_sums
from simspine.vision.camera_check import SURE_DISAGREEMENT_SD, CameraCheck, MixUp
from simspine.vision.synchronise import DRIFT_UNIT_FRAMES, Timing
from simspine.vision.triangulation import TriangulationReport

# Does each camera contribute, and does the body lie on the person in its images?
TOLERATED_CAMERA_ERRORS = {  # calibration errors that are no fault, an argument of `check_cameras`
    "shift_x_px": THRESHOLDS["camera_shift"].value_si,
    "shift_y_px": THRESHOLDS["camera_shift"].value_si,
    "roll": THRESHOLDS["camera_roll"].value_si,
    "scale": THRESHOLDS["camera_scale"].value_si,
}
CAMERA_UNJUDGED_CODE = "camera_unjudged"  # code of the finding that cameras, or the one it names, could not be compared
REFINE_HINT = "`cameras.refine: auto` corrects it as far as the recording shows; better, calibrate again."
WHICH_CAMERA_OPEN_HINT = "Which of the cameras is off remains open: several that judge disagree with one another."
DELAY_FIRST_HINT = "Its delay may look like this: correct it first (`delays: find`), and check again."
CAMERA_LATE_CODE = "camera_late"
CAMERA_CLOCKS_CODE = "camera_clocks"  # of the finding that states delays
COARSE_RATIO = 3.0  # of the least error noticed to the tolerated one; in simulated recordings usually up to 2.7


def check_camera_images(checks: Sequence[CameraCheck], mixed: Sequence[MixUp]) -> Iterator[Finding]:
    """Warnings of cameras that disagree with the others about the points, and an error where views are mixed up."""
    for mix in mixed[:1]:
        yield _mix_up_finding(mix)
    findings_by_camera = {check.camera: list(_camera_faults(check)) for check in checks}
    judges = {name for check in checks for name in check.judging_views}
    disagreeing = sum(any(finding.code != CAMERA_LATE_CODE for finding in findings_by_camera[name]) for name in judges)
    for camera, findings in findings_by_camera.items():
        for finding in findings:
            if finding.code != CAMERA_LATE_CODE and camera in judges and disagreeing > 1:
                finding = replace(finding, message=f"{finding.message} {WHICH_CAMERA_OPEN_HINT}")
            if finding.suggestion == REFINE_HINT and findings[-1].code == CAMERA_LATE_CODE:
                finding = replace(finding, message=f"{finding.message} {DELAY_FIRST_HINT}")
            yield finding


def _camera_faults(check: CameraCheck) -> Iterator[Finding]:
    """Warnings about one camera: shift, roll, scale, exchanged sides, delay."""
    others = names_text(check.judging_views)
    shift = np.array([check.value["shift_x_px"], check.value["shift_y_px"]])
    spread = np.array([check.deviation["shift_x_px"], check.deviation["shift_y_px"]])
    directions = (("to the right", "to the left"), ("below", "above"))
    distance, tolerated = float(np.hypot(*shift)), THRESHOLDS["camera_shift"].value
    if distance > tolerated and distance**2 > SURE_DISAGREEMENT_SD * np.hypot(*(shift * spread)):
        towards = " and ".join(
            f"{abs(shift[k]):.0f} ± {NORMAL_95 * spread[k]:.0f} px {directions[k][int(shift[k] < 0)]}"
            for k in np.flatnonzero(np.abs(shift) >= min(tolerated, np.abs(shift).max()))
        )
        text = f"{check.camera}: the person appears {towards}, compared with the place that {others} give."
        yield warning("camera_shift", text, REFINE_HINT, where=check.camera)
    for quantity, code, ways, factor in (
        ("roll", "camera_roll", ("turned by ", "° clockwise", "° counter-clockwise"), np.degrees(1.0)),
        ("scale", "camera_scale", ("", " % too large", " % too small"), 100.0),
    ):
        value, doubt = factor * check.value[quantity], factor * check.deviation[quantity]
        if abs(value) > THRESHOLDS[code].value and abs(value) > SURE_DISAGREEMENT_SD * doubt:
            size = f"{ways[0]}{abs(value):.1f} ± {NORMAL_95 * doubt:.1f}{ways[1 if value > 0 else 2]}"
            text = f"{check.camera}: its image is {size}, compared with {others}."
            yield warning(code, text, REFINE_HINT, where=check.camera)
    if check.swapped > THRESHOLDS["camera_sides"].value_si:
        text = (
            f"{check.camera}: left and right are exchanged in {100 * check.swapped:.0f} % of what it saw, compared "
            f"with {others}; undone for the triangulation."
        )
        yield warning("camera_sides", text, where=check.camera)
    late, doubt = check.value["late"], check.deviation["late"]
    if abs(late) > THRESHOLDS["camera_late"].value and abs(late) > SURE_DISAGREEMENT_SD * doubt:
        text = f"{check.camera}: {late:+.1f} ± {NORMAL_95 * doubt:.1f} frames later than the first camera."
        yield warning(CAMERA_LATE_CODE, text, where=check.camera)


def check_least_errors(checks: Sequence[CameraCheck]) -> Iterator[Finding]:
    """Information on the least errors of cameras that the comparison would have noticed, where these are large."""
    rows = []
    for check in checks:
        least = {name: SURE_DISAGREEMENT_SD * check.deviation[name] for name in TOLERATED_CAMERA_ERRORS}
        decisive = ("shift_x_px", "shift_y_px", "scale")  # turns are always coarse: a person is narrow
        if any(least[name] > COARSE_RATIO * TOLERATED_CAMERA_ERRORS[name] for name in decisive):
            shift, turn = max(least["shift_x_px"], least["shift_y_px"]), np.degrees(least["roll"])
            rows.append(f"{check.camera} {shift:.0f} px, {turn:.1f}° or {100 * least['scale']:.1f} %")
    if rows:
        text = f"a shift, a turn or a wrong scale of the image is noticed only from these sizes on: {'; '.join(rows)}."
        yield Finding("camera_coarse", Severity.INFO, text)


def bump_finding(views: Sequence[str], frame: int, jump_px: float) -> Finding:
    """The warning that a camera was moved, or shows somebody else, from a frame on."""
    text = f"from about frame {frame} on, points lie {jump_px:.0f} px or more from where they lay before"
    return warning("camera_moved", f"{' or '.join(views)}: {text}.", where=", ".join(views))


def check_delays(timing: Timing) -> Finding:
    """The finding that delays of views were undone: how large they were, and which frames all views share."""
    sds = timing.deviation
    doubts = [""] * len(timing.views) if sds is None else [f" ± {NORMAL_95 * sd:.2f}" for sd in sds]
    drifts = [f" (growing by {drift:+.2f} in {DRIFT_UNIT_FRAMES} frames)" if drift else "" for drift in timing.drift]
    if timing.native and not timing.delays_frames.any():
        text = f"the videos were resampled by their time stamps; all views share {timing.frames} frames."
        return Finding("camera_resampled", Severity.INFO, text)
    rows = list(zip(timing.views, timing.delays_frames, doubts, drifts, strict=True))[1:]
    delays = ", ".join(f"{view} {late:+.2f}{doubt}{drift}" for view, late, doubt, drift in rows)
    text = (
        f"{'given' if timing.deviation is None else 'found'} delays were corrected (frames later than "
        f"{timing.views[0]}): {delays}. All views share {timing.frames} frames, from frame {timing.first} of "
        f"{timing.views[0]} on."
    )
    cure = "Nothing to do." if timing.deviation is None else "To keep them, write them down as `delays` of the trial."
    return Finding("camera_delays", Severity.INFO, text, cure)


def check_remaining_delays(checks: Sequence[CameraCheck]) -> tuple[Finding, ...]:
    """The finding that states the delays of compared cameras, which are not corrected; () for fewer than two."""
    late = {check.camera: (check.value["late"], check.deviation["late"]) for check in checks[1:]}
    if not late:
        return ()
    delays = ", ".join(f"{camera} {value:+.2f} ± {NORMAL_95 * sd:.2f}" for camera, (value, sd) in late.items())
    is_shown = any(abs(value) > NORMAL_95 * sd for value, sd in late.values())
    verdict = "Not corrected" if is_shown else "None is beyond its ±, so none was corrected"
    text = f"estimated delay behind {checks[0].camera}, in frames: {delays}. {verdict}."
    advice = "If a delay is well beyond its ±, enter it in the trial's `delays`."
    rows = {checks[0].camera: (0.0, 0.0)} | late
    figures = {camera: {"delay_frames": value, "sd_frames": sd} for camera, (value, sd) in rows.items()}
    return (Finding(CAMERA_CLOCKS_CODE, Severity.INFO, text, advice, figures=figures),)


# {kind of mix-up: what seems to be so, cure}.
_MIX_UPS: Mapping[str, tuple[str, str]] = read_yaml(Path(__file__).parent / "tables" / "mix_ups.yaml")


def _mix_up_finding(mix: MixUp) -> Finding:
    whose, image = ("it", "its image seems") if len(mix.views) == 1 else ("they", "their images seem")
    then, now = (f"{100 * share:.0f} %" for share in (mix.used_if_exchanged, mix.used))
    shifts = ", ".join(f"{right:+.0f} and {down:+.0f} px" for right, down in mix.shift_px)
    about = {"image": image, "ratio": mix.size_ratio, "inverse": 1 / mix.size_ratio, "shifts": shifts}
    what, cure = (text.format(**about) for text in _MIX_UPS[mix.kind])
    text = f"{names_text(mix.views)}: {what}; then {then} of what {whose} saw agrees with the others, now {now}."
    return Finding(f"camera_{mix.kind}", Severity.ERROR, text, cure, where=", ".join(mix.views))


@dataclass(frozen=True)
class ViewFit:
    """How one camera fits the others over a trial.

    contributed: share of all points in all frames whose triangulation used this camera. used: the same share of the
    points detected in its images; NaN without any. distance_px: median distance of the body's limb points from the
    detected ones, used or not; NaN without any.
    """

    name: str
    contributed: float
    used: float
    distance_px: float


def check_view_fits(fits: Sequence[ViewFit]) -> Iterator[Finding]:
    """Warnings: only two cameras; a camera that gives few points, contradicts others, or shows the body displaced."""
    if len(fits) == 2:
        yield warning(
            "two_cameras",
            f"{names_text([fit.name for fit in fits])} alone: no third camera shows an error of their points.",
        )
    share, used, off = (THRESHOLDS[name] for name in ("view_contributed", "view_used", "view_distance"))
    for fit in fits:
        texts = {
            "view_absent": f"gives {100 * fit.contributed:.0f} % of the points, expected {share.value:g} % or more.",
            "view_unused": f"{100 * fit.used:.0f} % of the points detected in its images were used, expected "
            f"{used.value:g} % or more; the others do not fit the other cameras.",
            "view_off": f"the body's limbs lie {fit.distance_px:.0f} px (median) from the points detected in its "
            f"images, expected at most {off.value:g} px.",
        }
        faults = (fit.contributed < share.value_si, fit.used < used.value_si, fit.distance_px > off.value)
        for (code, text), wrong in zip(texts.items(), faults, strict=True):
            if wrong:
                yield warning(code, f"{fit.name}: {text}", where=fit.name)


MAX_UNFINISHED_GAIN = 0.01  # of the cost, in squared standard deviations: results are off by a tenth of theirs


def check_solved_trial(
    sized: SizedBody,
    result: Result,
    spine: SpineKinematics,
    markers: Markers,
    triangulation: TriangulationReport | None = None,
    views: Sequence[ViewFit] = (),
    recording: Sequence[Finding] = (),
) -> Verdict:
    """All checks of a trial. Rejected frames are masked, not removed.

    markers: those that inverse kinematics was given, with origin and filled. triangulation: how well the points fit the
    images. views: of `view_fits`. recording: findings of stages before, about cameras (`judge_cameras`) and motion
    capture.
    """
    known = np.isfinite(spine.lla) & np.isfinite(spine.angles).all((1, 2))
    response = None if result.posterior is None else result.posterior.response
    shares = {} if response is None else dict(zip(result.motion.names, response, strict=True))
    shares_of_levels = observed_angle_shares(sized, result, spine)
    back_alone = set(result.marker_names) == set(is_skin_marker(result.marker_names))  # which shows no limbs
    checks = [
        recording,  # causes come before what they lead to
        _check_fit(sized),
        check_view_fits(views),
        marker_checks.check_sides(markers),
        marker_checks.check_vertical(markers, spine.centres),
        marker_checks.check_solver(known & result.converged, result.reason),
        marker_checks.check_marker_distance(result.marker_names, result.marker_error),
        () if back_alone else marker_checks.check_limbs_seen(result.motion),
        spine_checks.check_coordinate_ranges(result.motion, sized.ranges, shares),
        spine_checks.check_curvature_bounds(spine),
        spine_checks.check_jumps(spine),
        spine_checks.check_curvature_speed(spine),
        spine_checks.check_wraps(spine),
        spine_checks.check_level_ranges(spine, shares_of_levels),
        spine_checks.level_extents(spine, shares_of_levels),
        () if spine.centres is None else spine_checks.check_fitted_shape(spine.centres),
        marker_checks.check_unknown_names(markers.names, result.marker_names),
        *(check_markers(markers) for check_markers in marker_checks.CHECKS_OF_MARKERS),
        spine_checks.check_measured_shape(markers),
    ]
    if triangulation is not None:
        checks.append(marker_checks.check_reprojection(triangulation.names, triangulation.point_error_px))
        checks.append(marker_checks.check_points_of_views(triangulation))
    return sum_up_findings(spine.frames, chain.from_iterable(checks))


def _check_fit(sized: SizedBody) -> Iterator[Finding]:
    """Warnings: a fit of the body to the person's trials that did not end, and an odd stature."""
    if sized.person is not None and (cost := sized.person.unconverged_cost) > MAX_UNFINISHED_GAIN:
        text = "the fit of the body to the person's trials ran out of steps before its minimum: results may be off by"
        yield warning("person_fit", f"{text} up to {cost**0.5:.1g} of their standard deviations.")
    if sized.doubt:
        yield warning("stature", sized.doubt)


def observed_angle_shares(sized: SizedBody, result: Result, spine: SpineKinematics) -> np.ndarray:
    """(levels, 3) share of each angle that the data decided; NaN where not known.

    Flexion of the lumbar and the thoracic sum has at most the share of lordosis and kyphosis, which it changes."""
    response = None if result.posterior is None else result.posterior.response
    shares = level_shares(spine.levels, sized.levels, result.motion.names, response)
    if response is None or spine.angles_sd is None:
        return shares
    prior = Prior([*sized.prior.terms, *wide_priors(sized.body, sized.body.free_names)])
    shares = with_shares_of_sums(spine.levels, sized.levels, shares, angles_sd=spine.angles_sd, prior=prior)
    for level, curvature, sd in (("lumbar", "lla", spine.lla_sd), ("thoracic", "tka", spine.tka_sd)):
        if sd is not None and level in spine.levels and np.isfinite(sd).any():
            flexion = spine.levels.index(level), MOTION_PLANES.index("flexion")
            most = share_of_curvature(curvature, float(np.degrees(np.nanmedian(sd))))
            shares[flexion] = min(shares[flexion], most)
    return shares


# Programs may rely on these. 2 means bad input, as everywhere on the command line.
EXIT_CODES = {None: 0, Severity.INFO: 0, Severity.WARNING: 3, Severity.ERROR: 1}
FINDING_COLUMNS = ("subject", "trial", "severity", "code", "where", "frames", "of", "span", "message", "suggestion")

VerdictsByTrial = Mapping[tuple[str, str], Verdict]


def severity_exit_code(verdicts: VerdictsByTrial) -> int:
    """0: nothing worse than an info; 3: warnings; 1: errors, so frames were rejected."""
    return EXIT_CODES[worst_severity(finding for verdict in verdicts.values() for finding in verdict.findings)]


def verdicts_csv(verdicts: VerdictsByTrial) -> str:
    """One line per finding; columns as `FINDING_COLUMNS`. frames: number concerned, 0 = the trial as a whole;
    of: number of frames of the trial; span: the frames concerned, from 0."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FINDING_COLUMNS)
    for (subject, trial), verdict in verdicts.items():
        for f in verdict.findings:
            where, *words = map(without_formula, (f.where, f.message, f.suggestion))
            writer.writerow((subject, trial, f.severity, f.code, where, len(f.frames), verdict.frames, f.span, *words))
    return out.getvalue()


def verdicts_dict(verdicts: VerdictsByTrial) -> dict:
    """JSON-able: severity, exit code, counts and reasons over all, by trial, by code; findings; every threshold."""
    findings = [finding for key, verdict in verdicts.items() for finding in verdict.of(*key).findings]
    counts = Counter({str(status): 0 for status in Status})
    reasons: dict[str, Counter[str]] = {str(Status.CORRECTED): Counter(), str(Status.REJECTED): Counter()}
    for verdict in verdicts.values():
        counts.update(verdict.counts)
        for status, counts_by_code in verdict.reason_counts.items():
            reasons[status].update(counts_by_code)
    return {
        "severity": str(worst_severity(findings) or "none"),
        "exit_code": severity_exit_code(verdicts),
        "frames": counts.total(),
        "counts": dict(counts),
        "reasons": reasons,
        "findings_by_code": Counter(finding.code for finding in findings),
        "trials": [
            {"subject": subject, "trial": trial, "frames": verdict.frames}
            | verdict.counts
            | {"severity": str(worst_severity(verdict.findings) or "none")}
            for (subject, trial), verdict in verdicts.items()
        ],
        "findings": [finding.to_dict() for finding in findings],
        "thresholds": {name: asdict(limit) for name, limit in THRESHOLDS.items()},
    }
