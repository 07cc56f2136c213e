"""How far an estimated spine is from the true one: signed errors of a trial, and the figures that sum them up.

Definitions, and why they are these: docs/accuracy.md. Inside metres, radians, seconds; `spine_error_figures` gives mm
and degrees for tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from simspine.anatomy.curvature import SPINE_MARKERS
from simspine.anatomy.vertebrae import SpineKinematics
from simspine.core.errors import InputError
from simspine.core.geometry import wrap_angles
from simspine.core.types import Markers
from simspine.evaluation.metrics import (
    NORMAL_90,
    angle_figures,
    errors_about_mean,
    finite_values,
    mean_or_nan,
    rms_or_nan,
    similarity_aligned,
)

PLANE_NAMES = ("flexion", "lateral", "axial")
# Points that are compared: those of the marker set that was fitted, which say where a detector marks them.
OWN_SPINE_MARKERS = MappingProxyType({name: name for name in SPINE_MARKERS})


@dataclass(frozen=True)
class TrialSpine:
    """A spine over a trial, estimated or true. kinematics: points (y_up), levels' angles, LLA, TKA, deviations.
    centres: vertebral centroids (y_up), by level name. rejected: (frames,) bool, frames a method gives up.
    """

    kinematics: SpineKinematics
    centres: Markers
    rejected: np.ndarray


@dataclass(frozen=True)
class SpineErrors:
    """Errors of one trial, estimate minus truth, NaN where either has none.

    points: names; offset: (frames, points, 3) m; aligned: (frames, points) m, distances after a similarity per frame.
    velocity: (frames, points) m/s, of its error. vertebrae: names; vertebra, vertebra_aligned: (frames, vertebrae) m,
    distances, and after moving and turning each frame as a whole. levels: names; angles: (frames, levels, 3) rad. lla,
    tka: (frames,) rad; true: {'lla', 'tka': (frames,) rad}. acceleration: (frames − 2, points, 2, 3) m/s², estimated
    and true. score: errors in standard deviations, {'lla', 'tka', 'lla_change', 'tka_change', 'angles', 'points',
    'centres'}, without those of which the method gives none; a change is what differs from the trial's mean. rejected:
    (frames,) bool.
    """

    rate: float
    points: tuple[str, ...]
    offset: np.ndarray
    aligned: np.ndarray
    velocity: np.ndarray
    vertebrae: tuple[str, ...]
    vertebra: np.ndarray
    vertebra_aligned: np.ndarray
    levels: tuple[str, ...]
    angles: np.ndarray
    lla: np.ndarray
    tka: np.ndarray
    true: Mapping[str, np.ndarray]
    acceleration: np.ndarray
    score: Mapping[str, np.ndarray]
    rejected: np.ndarray


def spine_errors_of(estimate: TrialSpine, truth: TrialSpine, levels: Sequence[str]) -> SpineErrors:
    """Errors of a trial at the points and vertebrae both have, and at `levels`. Frames must agree, or `InputError`.

    A level that the estimate lacks is rigid in its body: its angles are 0 throughout.
    """
    a, b = estimate.kinematics, truth.kinematics
    if a.frames != b.frames or not np.isclose(a.rate, b.rate):
        raise InputError(
            f"estimate has {a.frames} frames at {a.rate:g}/s, truth {b.frames} at {b.rate:g}/s; they must agree."
        )
    points = tuple(n for n in b.markers.names if n in a.markers.names)
    found, wanted = a.markers.select(points), b.markers.select(points)
    names = tuple(n for n in truth.centres.names if n in estimate.centres.names)
    centres, true_centres = estimate.centres.select(names), truth.centres.select(names)
    angles = wrap_angles(_level_angles_of(a, levels) - _level_angles_of(b, levels))
    offset = found.xyz - wanted.xyz
    return SpineErrors(
        rate=b.rate,
        points=points,
        offset=offset,
        aligned=np.linalg.norm(similarity_aligned(found.xyz, wanted.xyz) - wanted.xyz, axis=-1),
        velocity=np.linalg.norm(np.gradient(offset, 1 / b.rate, axis=0), axis=-1),
        vertebrae=names,
        vertebra=np.linalg.norm(centres.xyz - true_centres.xyz, axis=-1),
        vertebra_aligned=np.linalg.norm(
            similarity_aligned(centres.xyz, true_centres.xyz, scaled=False) - true_centres.xyz, axis=-1
        ),
        levels=tuple(levels),
        angles=angles,
        lla=a.lla - b.lla,
        tka=a.tka - b.tka,
        true={"lla": b.lla, "tka": b.tka},
        acceleration=np.stack([np.diff(x.xyz, n=2, axis=0) * b.rate**2 for x in (found, wanted)], 2),
        score=_normalised_errors(estimate, truth, angles, levels),
        rejected=np.asarray(estimate.rejected, bool),
    )


def every_nth_frame(trial: SpineErrors, every: int) -> SpineErrors:
    """The same with every n-th frame; velocities and accelerations stay those of neighbouring frames."""
    own = ("offset", "aligned", "velocity", "vertebra", "vertebra_aligned", "angles", "lla", "tka", "rejected")
    return replace(
        trial,
        **{name: getattr(trial, name)[::every] for name in (*own, "acceleration")},
        true={name: values[::every] for name, values in trial.true.items()},
        score={name: values[::every] for name, values in trial.score.items()},
    )


def _normalised_errors(
    estimate: TrialSpine, truth: TrialSpine, angles: np.ndarray, levels: Sequence[str]
) -> dict[str, np.ndarray]:
    """Errors in standard deviations, see `SpineErrors`. angles: (frames, levels, 3) rad, errors."""
    a, b = estimate.kinematics, truth.kinematics
    if a.lla_sd is None or a.tka_sd is None or a.angles_sd is None:
        return {}
    score: dict[str, np.ndarray] = {}
    for name in ("lla", "tka"):
        error = getattr(a, name) - getattr(b, name)
        score[name] = _normalised(error, getattr(a, f"{name}_sd"))
        deviation = getattr(a, f"{name}_change_sd")
        if deviation is not None:
            score[f"{name}_change"] = _normalised(errors_about_mean(error), deviation)
    sd = np.full(angles.shape, np.nan)
    for i, name in enumerate(levels):
        if name in a.levels:
            sd[:, i] = a.angles_sd[:, a.levels.index(name)]
    score["angles"] = _normalised(angles, sd)
    for name, found, true in (("points", a.markers, b.markers), ("centres", estimate.centres, truth.centres)):
        shared = [n for n in true.names if n in found.names]
        chosen = found.select(shared)
        if chosen.covariance is not None:
            sd = np.sqrt(np.einsum("tmii->tmi", chosen.covariance))
            score[name] = _normalised(chosen.xyz - true.select(shared).xyz, sd)
    return score


def _normalised(error: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Errors in standard deviations. What is known exactly scores no better than 10⁻⁹ rad or m allow."""
    return error / np.maximum(sd, 1e-9)


def _level_angles_of(spine: SpineKinematics, levels: Sequence[str]) -> np.ndarray:
    zero = np.where(np.isfinite(spine.lla), 0.0, np.nan)[:, None] * np.ones(3)
    return np.stack([spine.level(name) if name in spine.levels else zero for name in levels], 1)


# Figure of LLA and TKA: key of `angle_figures`.
_CURVE_FIGURES = {"rmse": "rmse", "bias": "bias", "sd": "spread", "motion_rmse": "change_rmse"}


def spine_error_figures(trials: Sequence[SpineErrors], regions: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Figures over all frames of some trials, mm and degrees. regions: {name: its levels}, for angles and coverage.

    `mpjpe_mm`, `p_mpjpe_mm`: mean distance of the spine's points, after a similarity per frame. `vertebrae_mm`,
    `vertebrae_aligned_mm`: mean distance of vertebral centres, after moving and turning each frame. `lla_rmse_deg`,
    `lla_bias_deg`, `lla_sd_deg`, `lla_motion_rmse_deg`; same for tka. `lla_correlation`: mean over the trials of the
    correlation with the truth, where that moves by `MIN_MOVEMENT_RANGE` or more; absent where none does.
    `<region>_<plane>_rmse_deg`: root mean square over the region's levels; `…_motion_rmse_deg`: after the trial's mean
    was taken off both. `velocity_mm_s`: root mean square of the velocity's error. `jitter_m_s2`: of the acceleration's.
    `liveliness`: rms acceleration over the true one. `coverage_…`: share of errors within the 90 % interval.
    `normalised_…`: root mean square of errors in their standard deviations, 1 where these are right.
    `failed_share`: frames without a result or rejected.
    """
    if not trials:
        raise InputError("no trials to sum up.")
    distance = finite_values(np.linalg.norm(t.offset, axis=-1) for t in trials)
    result = {
        "mpjpe_mm": 1e3 * mean_or_nan(distance),
        "p_mpjpe_mm": 1e3 * mean_or_nan(finite_values(t.aligned for t in trials)),
        "vertebrae_mm": 1e3 * mean_or_nan(finite_values(t.vertebra for t in trials)),
        "vertebrae_aligned_mm": 1e3 * mean_or_nan(finite_values(t.vertebra_aligned for t in trials)),
    }
    for name in ("lla", "tka"):
        exact = [t.true[name] for t in trials]
        found = angle_figures([t.true[name] + getattr(t, name) for t in trials], exact)
        for figure, key in _CURVE_FIGURES.items():
            result[f"{name}_{figure}_deg"] = np.degrees(found[key])
        if np.isfinite(found["correlation"]):
            result[f"{name}_correlation"] = found["correlation"]
    for region, names in regions.items():
        for k, plane in enumerate(PLANE_NAMES):
            chosen = [t.angles[:, [t.levels.index(n) for n in names], k] for t in trials]
            motion = finite_values(errors_about_mean(x) for x in chosen)
            result[f"{region}_{plane}_rmse_deg"] = np.degrees(rms_or_nan(finite_values(chosen)))
            result[f"{region}_{plane}_motion_rmse_deg"] = np.degrees(rms_or_nan(motion))
    velocity = finite_values(t.velocity for t in trials)
    jitter = finite_values(np.linalg.norm(t.acceleration[:, :, 0] - t.acceleration[:, :, 1], axis=-1) for t in trials)
    estimated, true = (finite_values(np.linalg.norm(t.acceleration[:, :, i], axis=-1) for t in trials) for i in (0, 1))
    result |= {
        "velocity_mm_s": 1e3 * rms_or_nan(velocity),
        "jitter_m_s2": rms_or_nan(jitter),
        "liveliness": rms_or_nan(estimated) / rms_or_nan(true),
    }
    result |= interval_figures(trials, regions)
    result["failed_share"] = float(
        np.mean(np.concatenate([t.rejected | ~np.isfinite(t.offset).all((1, 2)) for t in trials]))
    )
    return {name: float(value) for name, value in result.items()}


def interval_figures(trials: Sequence[SpineErrors], regions: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """`coverage_…` and `normalised_…` of `spine_error_figures`; nothing where the method gives no deviations."""
    given = [name for name in trials[0].score if all(name in t.score for t in trials)]
    scores = {name: finite_values(t.score[name] for t in trials) for name in given}
    of_levels = {
        f"{region}_{plane}": finite_values(
            t.score["angles"][:, [t.levels.index(n) for n in names], k] for t in trials if scores
        )
        for region, names in regions.items()
        for k, plane in enumerate(PLANE_NAMES)
    }
    covered = {name: values for name, values in (scores | of_levels).items() if name != "angles"}
    found = {f"coverage_{name}": mean_or_nan(np.abs(values) <= NORMAL_90) for name, values in covered.items()}
    found |= {f"normalised_{name}": rms_or_nan(values) for name, values in scores.items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}
