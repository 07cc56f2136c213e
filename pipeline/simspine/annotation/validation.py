"""Biomechanical validation of points in images: how far, triangulated, they are from a body that moves as bodies do.

Khan et al. 2025 (SpinePose, CVPR workshops) validate annotations so: a recording with several calibrated views → points
in each view → triangulation → scaling → inverse kinematics → root mean square error of each point between where it was
triangulated and where the body has it. A body detector of today reaches 2–4 cm; points beyond 10 cm are annotated again
until the spine is no worse than the reference detector's points.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.formats._text import parsed, read_bytes
from simspine.ik.result import Result
from simspine.skeletons.inferred_names import INFERRED
from simspine.skeletons.skin_names import on_skin
from simspine.skeletons.vertebrae import VERTEBRA_OF
from simspine.workflow.trials import load_result
from simspine.workflow.viewing import find_results

USUAL_M = (0.02, 0.04)  # Khan et al. 2025, section on annotation: a body detector's points
AGAIN_M = 0.10  # the same: beyond it a point is annotated again
SPINE = (*VERTEBRA_OF,)


@dataclass(frozen=True)
class PointError:
    """Of one point, over the frames in which it was triangulated and the body solved.

    rmse_m; reference_m: of the reference detector, NaN where it has no such point. frames: how many. beyond: frames in
    which the point is more than 10 cm off. verdict: 'usual', 'beyond usual', 'annotate again', 'not seen'.
    """

    point: str
    rmse_m: float
    reference_m: float
    frames: int
    beyond: tuple[int, ...]

    @property
    def verdict(self) -> str:
        if not np.isfinite(self.rmse_m):
            return "not seen"
        if self.rmse_m > AGAIN_M:
            return "annotate again"
        return "usual" if self.rmse_m <= USUAL_M[1] else "beyond usual"


@dataclass(frozen=True)
class Validation:
    """All points, and the comparison that ends the loop.

    spine_m: root mean square error of the points along the spine. reference_m: of all points of the reference detector,
    NaN without one. again: frames to annotate again, those with most points beyond 10 cm first.
    """

    points: tuple[PointError, ...]
    spine_m: float
    reference_m: float
    again: tuple[int, ...]

    @property
    def passed(self) -> bool:
        """Whether the spine is seen and no worse than the reference, or than 4 cm where there is none."""
        limit = self.reference_m if np.isfinite(self.reference_m) else USUAL_M[1]
        return bool(np.isfinite(self.spine_m) and self.spine_m <= limit)


def read_result(folder: Path, subject: str | None = None, trial: str | None = None) -> Result:
    """Of a trial in a results folder, as inverse kinematics left it; `InputError` where there is none."""
    found = find_results(folder, subject, trial)
    if found is None:
        raise InputError(f"{folder}: no results. Expected a results folder of a recording with several views.")
    paths, name = found
    return load_result(paths.kinematics(name))


def validate(candidate: Result, reference: Result | None = None) -> Validation:
    """Errors of the candidate's points beside those of a reference detector, of the same recording.

    Inferred points are left out: they follow the others and were not seen. Markers on the skin are no detector's points
    and do not count in the reference's error.

    Raises `InputError` where the two have different frames.
    """
    if reference is not None and reference.motion.frames != candidate.motion.frames:
        raise InputError(
            f"the candidate has {candidate.motion.frames} frames, the reference {reference.motion.frames}: validate "
            "both on the same recording."
        )
    ours, theirs = _seen(candidate), {} if reference is None else _seen(reference)
    rows = [
        PointError(
            name,
            _rms(error),
            _rms(theirs[name]) if name in theirs else float("nan"),
            int(np.isfinite(error).sum()),
            tuple(np.flatnonzero(np.nan_to_num(error) > AGAIN_M).tolist()),
        )
        for name, error in ours.items()
    ]
    rows += [PointError(name, np.nan, np.nan, 0, ()) for name in SPINE if name not in ours]
    counted = np.zeros(candidate.motion.frames, int)
    for row in rows:
        counted[list(row.beyond)] += 1
    again = [int(frame) for frame in np.argsort(-counted, kind="stable") if counted[frame]]
    spine = _rms(np.array([error for name, error in ours.items() if name in SPINE]))
    everything = _rms(np.array([error for name, error in theirs.items() if not on_skin([name])]))
    return Validation(tuple(rows), spine, everything, tuple(again))


def as_text(found: Validation, names: Sequence[str] = ("candidate", "reference")) -> str:
    """A table in cm, the spine first, and what follows from it."""
    order = sorted(
        found.points, key=lambda row: (row.point not in SPINE, row.point in SPINE and SPINE.index(row.point))
    )
    lines = [f"{'point':<14} {names[0]:>10} {names[1]:>10} {'frames':>7} {'> 10 cm':>8}  verdict"]
    for row in order:
        lines.append(
            f"{row.point:<14} {_cm(row.rmse_m):>10} {_cm(row.reference_m):>10} {row.frames:>7} {len(row.beyond):>8}  "
            f"{row.verdict}"
        )
    lines += [
        "",
        "RMSE in cm between triangulated points and the fitted body. Usual: up to 4 cm; annotate again: beyond 10 cm.",
    ]
    lines.append(
        f"spine {_cm(found.spine_m)} cm, all points of the reference {_cm(found.reference_m)} cm: " + _end(found)
    )
    if found.again:
        shown = ", ".join(map(str, found.again[:20])) + (" …" if len(found.again) > 20 else "")
        lines.append(f"frames to annotate again, the worst first ({len(found.again)}): {shown}")
    return "\n".join(lines)


def as_json(found: Validation) -> dict:
    """Plain values, lengths in m; null where there is none."""
    return {
        "limits_m": {"usual": list(USUAL_M), "annotate_again": AGAIN_M},
        "spine_m": _plain(found.spine_m),
        "reference_m": _plain(found.reference_m),
        "passed": found.passed,
        "frames_again": list(found.again),
        "points": {
            row.point: {
                "rmse_m": _plain(row.rmse_m), "reference_m": _plain(row.reference_m), "frames": row.frames,
                "frames_beyond": list(row.beyond), "verdict": row.verdict,
            }
            for row in found.points
        },
    }  # fmt: skip


def frames_again(path: Path) -> list[int]:
    """The frames to annotate again, out of a file that holds `as_json`; `InputError` for any other."""
    content = parsed(json.loads, read_bytes(path), "valid JSON", path)
    frames = content.get("frames_again") if isinstance(content, dict) else None
    if not isinstance(frames, list) or any(type(frame) is not int for frame in frames):
        raise InputError(f"{path}: no list `frames_again`; expected what `annotations validate --json` writes.")
    return frames


def _seen(result: Result) -> dict[str, np.ndarray]:
    """{point: (frames,) m} of those that were not inferred."""
    errors = dict(zip(result.marker_names, result.marker_error.T, strict=True))
    return {name: error for name, error in errors.items() if not name.endswith(INFERRED)}


def _end(found: Validation) -> str:
    if not np.isfinite(found.spine_m):
        return "no point along the spine was seen, so nothing is said of it."
    return "the spine is no worse; done." if found.passed else "the spine is worse; annotate and run again."


def _rms(error: np.ndarray) -> float:
    known = np.asarray(error)[np.isfinite(error)]
    return float(np.sqrt((known**2).mean())) if known.size else float("nan")


def _cm(metres: float) -> str:
    return f"{100 * metres:.1f}" if np.isfinite(metres) else "–"


def _plain(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
