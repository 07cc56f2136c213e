"""Biomechanical validation of points in images: their distance, once triangulated, from a body model fitted to them.

Khan et al. 2025 (SpinePose, CVPR workshops) validate annotations in this way: a recording with several calibrated views
→ points in each view → triangulation → scaling → inverse kinematics → root mean square distance of each triangulated
point from its place on the body. Current detectors of body points reach 2–4 cm; points beyond 10 cm are annotated again
until the spine is no worse than the reference detector's points.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simspine.core.arrays import columns_by_name, median_of_known, rms_of_known
from simspine.core.errors import InputError, names_text, naming_content
from simspine.core.skeletons import INFERRED_SUFFIX, VERTEBRA_OF, is_skin_marker
from simspine.estimation.result import Result
from simspine.io.text_tables import load_json, parse_content, read_bytes
from simspine.workflow.results import load_result
from simspine.workflow.views import place_of_trial

USUAL_ERROR_M = (0.02, 0.04)  # Khan et al. 2025, section on annotation: a body detector's points
REANNOTATE_ERROR_M = 0.10  # the same source: a point with a larger error is annotated again
MAX_PELVIS_DISTANCE_M = 0.2  # between two detectors' results of one recording: theirs differ by some centimetres
VALIDATED_SPINE_POINTS = (*VERTEBRA_OF,)


@dataclass(frozen=True)
class PointError:
    """Error of a point over the frames in which it was triangulated and the body solved.

    rmse_m; reference_m: of the reference detector, NaN where it has no such point. frames: their number. frames_beyond:
    those in which the error is larger than 10 cm. verdict: 'usual', 'beyond usual', 'annotate again', 'not seen'.
    """

    point: str
    rmse_m: float
    reference_m: float
    frames: int
    frames_beyond: tuple[int, ...]

    @property
    def verdict(self) -> str:
        if not np.isfinite(self.rmse_m):
            return "not seen"
        if self.rmse_m > REANNOTATE_ERROR_M:
            return "annotate again"
        return "usual" if self.rmse_m <= USUAL_ERROR_M[1] else "beyond usual"


@dataclass(frozen=True)
class Validation:
    """Errors of all points, and the comparison that decides whether annotation is finished.

    spine_m: root mean square error of the points along the spine. reference_m: that of all points of the reference
    detector, NaN without one. frames_again: those to annotate again, with most points beyond 10 cm first. frames:
    number in the recording. names: of candidate and reference; '' without a reference. frames_worse: if `spine_m`
    exceeds the limit, further frames in which the spine's error does, the worst first.
    """

    points: tuple[PointError, ...]
    spine_m: float
    reference_m: float
    frames_again: tuple[int, ...]
    frames: int = 0
    names: tuple[str, str] = ("candidate", "")
    frames_worse: tuple[int, ...] = ()

    @property
    def limit_m(self) -> float:
        """Largest error of the spine that passes: that of all points of the reference, or 4 cm without one."""
        return self.reference_m if np.isfinite(self.reference_m) else USUAL_ERROR_M[1]

    @property
    def unseen(self) -> bool:
        return not np.isfinite(self.spine_m)

    @property
    def passed(self) -> bool:
        """Whether the spine is seen and no worse than `limit_m`."""
        return self.spine_m <= self.limit_m  # False of NaN

    @property
    def in_order(self) -> tuple[PointError, ...]:
        """The points along the spine from below, then the others, the worst first."""
        spine = sorted(
            (row for row in self.points if row.point in VALIDATED_SPINE_POINTS),
            key=lambda row: VALIDATED_SPINE_POINTS.index(row.point),
        )
        others = (row for row in self.points if row.point not in VALIDATED_SPINE_POINTS)
        return (*spine, *sorted(others, key=lambda row: -np.nan_to_num(row.rmse_m)))


def read_result(folder: Path, subject: str | None = None, trial: str | None = None) -> Result:
    """The result of inverse kinematics of a trial in a results folder; `InputError` where there is none."""
    paths, name = place_of_trial(folder, subject, trial)
    return load_result(paths.kinematics(name))


def validate_against_body(
    candidate: Result, reference: Result | None = None, names: Sequence[str] = ("candidate", "reference")
) -> Validation:
    """Errors of the candidate's points, and of a reference detector's in the same recording. names: of the two.

    Inferred points are left out: they follow the others and were not seen. Markers on the skin are no detector's points
    and do not count in the reference's error.
    """
    if reference is not None and reference.motion.frames != candidate.motion.frames:
        counts = f"{candidate.motion.frames} frames of the candidate, {reference.motion.frames} of the reference"
        raise InputError(f"{counts}; validate both on the same recording.")
    if reference is not None and (apart := _pelvis_distance(candidate, reference)) > MAX_PELVIS_DISTANCE_M:
        text = f"the pelvis of the reference is {apart:.2f} m from the candidate's (median)"
        raise InputError(f"{text}; validate both on the same recording of the same person.")
    errors, reference_errors = _observed_errors(candidate), {} if reference is None else _observed_errors(reference)
    unseen: dict[str, np.ndarray] = {name: np.empty(0) for name in VALIDATED_SPINE_POINTS if name not in errors}
    rows = [
        PointError(
            point=name,
            rmse_m=_rms(error),
            reference_m=_rms(reference_errors[name]) if name in reference_errors and name in errors else float("nan"),
            frames=int(np.isfinite(error).sum()),
            frames_beyond=tuple(np.flatnonzero(np.nan_to_num(error) > REANNOTATE_ERROR_M).tolist()),
        )
        for name, error in (errors | unseen).items()
    ]
    points_beyond = np.zeros(candidate.motion.frames, int)
    for row in rows:
        points_beyond[list(row.frames_beyond)] += 1
    again = [int(frame) for frame in np.argsort(-points_beyond, kind="stable") if points_beyond[frame]]
    along = np.array([error for name, error in errors.items() if name in VALIDATED_SPINE_POINTS])
    everything = _rms(np.array([error for name, error in reference_errors.items() if not is_skin_marker([name])]))
    names = (names[0], names[1] if reference is not None else "")
    found = Validation(tuple(rows), _rms(along), everything, tuple(again), frames=candidate.motion.frames, names=names)
    if found.passed or not len(along):
        return found
    rms = np.nan_to_num(rms_of_known(along, 0))
    worst_first = np.argsort(-rms, kind="stable").tolist()
    worse = (frame for frame in worst_first if rms[frame] > found.limit_m and frame not in again)
    return replace(found, frames_worse=tuple(worse))


def body_validation_text(found: Validation) -> str:
    """A table in cm, the spine first, and the conclusion."""
    lines = [f"{'point':<14} {'candidate':>10} {'reference':>10} {'frames':>7} {'> 10 cm':>8}  verdict"]
    for row in found.in_order:
        lines.append(
            f"{row.point:<14} {_centimetres_text(row.rmse_m):>10} {_centimetres_text(row.reference_m):>10} "
            f"{row.frames:>7} {len(row.frames_beyond):>8}  {row.verdict}"
        )
    usual = "Usual: up to 4 cm; annotate again: beyond 10 cm."
    lines += ["", f"RMSE in cm between triangulated points and the fitted body. {usual}", validation_conclusion(found)]
    kinds = {
        "frames to annotate again, the worst first": found.frames_again,
        "frames in which the spine is worse": found.frames_worse,
    }
    lines += [f"{kind} ({len(frames)}): {names_text(map(str, frames), 20)}" for kind, frames in kinds.items() if frames]
    return "\n".join(lines)


def validation_conclusion(found: Validation) -> str:
    """A sentence: annotation is finished, or the points along the spine that are worst."""
    if found.unseen:
        return "No point along the spine was seen, so nothing is known of it."
    limit, figures = "the usual 4 cm", _centimetres_text(found.spine_m)
    if np.isfinite(found.reference_m):
        limit, figures = "the reference's points", f"{figures} against {_centimetres_text(found.reference_m)}"
    if found.passed:
        return f"The spine is no worse than {limit} ({figures} cm): done."
    worse = [row for row in found.points if row.point in VALIDATED_SPINE_POINTS and row.rmse_m > found.limit_m]
    worst = sorted(worse, key=lambda row: -row.rmse_m)[:4]
    named = ", ".join(f"{VERTEBRA_OF[row.point]} ({_centimetres_text(row.rmse_m)} cm)" for row in worst)
    return f"The spine is worse than {limit} ({figures} cm), above all at {named}: annotate again, and run again."


def body_validation_json(found: Validation) -> dict:
    """Plain values, lengths in m; null where there is none."""
    limits = {"usual": list(USUAL_ERROR_M), "annotate_again": REANNOTATE_ERROR_M}
    points = {row.point: _plain_fields(row) | {"verdict": row.verdict} for row in found.points}
    return {"limits_m": limits} | _plain_fields(found) | {"passed": found.passed, "points": points}


def _plain_fields(found: PointError | Validation) -> dict:
    """The fields by name, lengths to a µm; NaN as None."""
    numbers = {name: value for name, value in vars(found).items() if isinstance(value, float)}
    plain = {name: round(value, 6) if np.isfinite(value) else None for name, value in numbers.items()}
    return {name: value for name, value in vars(found).items() if name not in ("point", "points")} | plain


def frames_to_annotate(path: Path) -> tuple[int, ...]:
    """Frames that the JSON of a validation names: those to annotate again, then those in which the spine is worse."""
    content = parse_content(load_json, read_bytes(path), "valid JSON", path)
    with naming_content(path, "a biomechanical validation as `annotations validate --json` writes it"):
        frames = [*content["frames_again"], *content["frames_worse"]]
        if any(type(frame) is not int for frame in frames):
            raise ValueError("frames are whole numbers")
        return tuple(frames)


def _pelvis_distance(candidate: Result, reference: Result) -> float:
    """Median distance of both pelvises, m; NaN where a body's pelvis has no place in the ground."""
    names = ("pelvis_tx", "pelvis_ty", "pelvis_tz")
    places = [columns_by_name(one.motion.values, one.motion.names, names) for one in (candidate, reference)]
    return float(median_of_known(np.linalg.norm(places[0] - places[1], axis=1)))


def _observed_errors(result: Result) -> dict[str, np.ndarray]:
    """{point: (frames,) m} of those that were not inferred."""
    errors = dict(zip(result.marker_names, result.marker_error.T, strict=True))
    return {name: error for name, error in errors.items() if not name.endswith(INFERRED_SUFFIX)}


def _rms(error: np.ndarray) -> float:
    return float(rms_of_known(np.ravel(error), 0))


def _centimetres_text(metres: float) -> str:
    return f"{100 * metres:.1f}" if np.isfinite(metres) else "–"
