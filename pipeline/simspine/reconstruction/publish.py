"""A reconstruction as a trial of a data set, and as tables of pandas and xarray.

A data set refuses points that are not the forward kinematics of the angles.
"""

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simspine.anatomy.body import Body, forward_kinematics
from simspine.anatomy.curvature import MOTION_PLANES
from simspine.anatomy.recipes import VIRTUAL_SUFFIX, virtual_spine_markers
from simspine.anatomy.vertebrae import SpineKinematics
from simspine.core.arrays import rms_of_known
from simspine.core.errors import InputError, needing_extra, require_ending
from simspine.core.skeletons import VERTEBRA_OF, base_name
from simspine.core.types import Markers, Motion, Origin
from simspine.io.dataset_write import Dataset, SubjectData, TrialData, write_dataset
from simspine.reconstruction.solved_trial import SolvedTrial

if TYPE_CHECKING:
    import pandas
    import xarray

POINT_TOLERANCE_M = 1e-6  # between a published point and the body's forward kinematics


def body_points(body: Body, motion: Motion, names: Sequence[str]) -> Markers:
    """Points `names` on the body at the motion's values: `Markers` in frame y_up, m.

    names: SIMSPINE points, or vertebrae (C1 … L5, S1) for their centroids. The spine's points are the body's virtual
    markers (`virtual_spine_markers`), the others its markers of the same name, or virtual where it fits none (eyes and
    ears of most marker sets, centroids). A point that the body does not carry is NaN throughout.
    """
    spine = virtual_spine_markers(body)
    markers = [
        next((m for m in (spine.get(name, name), name + VIRTUAL_SUFFIX) if m in body.marker_names), None)
        for name in names
    ]
    carried = [i for i, marker in enumerate(markers) if marker is not None]
    xyz = np.full((motion.frames, len(names), 3), np.nan)
    xyz[:, carried] = forward_kinematics(body, motion, names=[marker for marker in markers if marker is not None]).xyz
    xyz.setflags(write=False)
    return Markers(tuple(names), motion.rate, xyz, "y_up", start=motion.start)


def check_points_follow_angles(body: Body, motion: Motion, markers: Markers, where: str) -> float:
    """Largest distance, m, between `markers` and the same points of the body at the motion's values; 0 without poses.
    Raises `InputError` naming trial, point and frames where it exceeds `POINT_TOLERANCE_M`, or only one is missing."""
    by_angles = body_points(body, motion, markers.names)
    distance = np.linalg.norm(by_angles.xyz - markers.xyz, axis=-1)
    carried = by_angles.present.any(0)
    broken = np.where(
        np.isfinite(distance), distance > POINT_TOLERANCE_M, (by_angles.present != markers.present) & carried
    )
    if broken.any():
        frames, points = np.nonzero(broken)
        worst = distance[broken]
        size = "missing in one of the two"
        if np.isfinite(worst).any():
            size = f"{1e3 * np.nanmax(worst):.3g} mm off"
        raise InputError(
            f"{where}: the points are not the forward kinematics of the angles: {markers.names[points[0]]} and "
            f"{len(np.unique(points)) - 1} others, frames {frames.min()}–{frames.max()}, {size} (allowed: "
            f"{1e3 * POINT_TOLERANCE_M:g} mm). Nothing is written. Run the stages from `ik` on again."
        )
    return float(np.nanmax(distance)) if np.isfinite(distance).any() else 0.0


def check_forward_kinematics(body: Body, trial: TrialData, where: str) -> float:
    """`check_points_follow_angles` of a trial's points and vertebral centroids; the larger distance, m."""
    published = [trial.markers] if trial.centres is None else [trial.markers, trial.centres]
    return max(check_points_follow_angles(body, trial.motion, points, where) for points in published)


def point_origins(names: Sequence[str], fitted: Sequence[str], origins: Sequence[Origin] | None) -> list[Origin] | None:
    """Origin of each of the points `names`; None where the origins of the fitted markers are not known.

    A point's place always comes from the body. *detected* and *given* say that inverse kinematics fitted an observation
    of this very point; *inferred*, that it had none: a marker placed by rule, or nothing at all.
    """
    if origins is None:
        return None
    origin_of: Mapping[str, Origin] = {base_name(name): Origin(o) for name, o in zip(fitted, origins, strict=True)}
    return [origin_of.get(name, Origin.INFERRED) for name in names]


def centre_origins(
    levels: Sequence[str], fitted: Sequence[str], origins: Sequence[Origin] | None
) -> list[Origin] | None:
    """Origin of the centroids of vertebrae (`levels`): that of the point named after the vertebra, else *inferred*."""
    point_at = {level: point for point, level in VERTEBRA_OF.items()}
    return point_origins([point_at.get(level, level) for level in levels], fitted, origins)


RECORDED_PACKAGES = ("simspine", "opensim", "ai-edge-litert", "onnxruntime", "numpy", "scipy", "opencv-python-headless")


def trial_data(found: SolvedTrial) -> TrialData:
    """The trial as a data set holds it. `InputError` where points are not the forward kinematics of the angles."""
    trial = _unchecked_data(found)
    return replace(trial, fk_deviation=check_forward_kinematics(found.body, trial, f"{found.subject}/{found.trial}"))


def _unchecked_data(trial: SolvedTrial) -> TrialData:
    spine, solved, verdict = trial.spine, trial.result, trial.verdict
    fitted = trial.markers.select(solved.marker_names)
    origin = point_origins(spine.markers.names, solved.marker_names, fitted.origin)
    clinical = spine.clinical
    centres = spine.centres
    if centres is not None:
        centres = centres.with_(origin=centre_origins(centres.names, solved.marker_names, fitted.origin))
    response = None if solved.posterior is None else solved.posterior.response
    return TrialData(
        markers=spine.markers.with_(origin=origin),
        motion=solved.motion,
        cameras=trial.cameras,
        **{name: getattr(spine, name) for name in ("levels", "angles", "angles_sd", *CURVATURE_FIGURES)},
        response=response,
        clinical_names=() if clinical is None else clinical.names,
        clinical_units=() if clinical is None else clinical.units,
        clinical=None if clinical is None else clinical.values,
        clinical_sd=None if clinical is None else clinical.deviation,
        clinical_decided=tuple(figure.decided_by for figure in trial.clinical_figures),
        level_share=None if response is None else trial.observed_shares,
        forced={**spine.forced, **({} if clinical is None else clinical.forced)},
        status=None if verdict is None else tuple(map(str, verdict.status)),
        reasons=None if verdict is None else tuple(", ".join(codes) for codes in verdict.reasons),
        fitted=solved.marker_names,
        fitted_origin=fitted.origin,
        marker_error=solved.marker_error,
        filled=fitted.filled,
        centres=centres,
        poses=trial.poses,
    )


def write_trials_dataset(path: str | PathLike, trials: Sequence[SolvedTrial]) -> Path:
    """Write trials of one person as a data set's HDF5 file. Raises `InputError` where `path` does not end in .h5."""
    require_ending(path, "a data set", (".h5", ".hdf5"))
    first = trials[0]
    published = {one.trial: trial_data(one) for one in trials}
    subject = SubjectData(first.cameras, published, first.body.osim, f"models/{first.subject}.osim")
    write_dataset(path, Dataset({first.subject: subject}, {"versions": package_versions()}))
    return Path(path)


def package_versions() -> Mapping[str, str]:
    """{package: version} of the packages that the results depend on."""
    versions = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


CURVATURE_FIGURES = tuple(f"{name}{kind}" for name in ("lla", "tka") for kind in ("", "_sd", "_change_sd"))
TABLE_START = b"frame,time_s,status,"  # of a CSV file of `frame_table`
TABLE_DECIMALS = 6  # of a CSV: 1 nm, 1 µs, a millionth of a degree
_SPACE_AXES = ("x", "y", "z")
_TABLE_UNITS = {"rad": ("deg", np.degrees(1.0)), "m": ("mm", 1e3)}


def frame_table(found: SolvedTrial) -> "pandas.DataFrame":
    """A row for each frame, in degrees and mm; see `Reconstruction.to_dataframe`."""
    figures = found.curvature_figures
    return trial_table(_unchecked_data(found), {f"{figure.name}_decided_by": figure.decided_by for figure in figures})


def trial_table(trial: TrialData, decided: Mapping[str, str] | None = None) -> "pandas.DataFrame":
    """A row for each frame of a data set's trial, in degrees and mm. decided: {column: what decided a figure}."""
    import pandas

    motion = trial.motion
    columns: dict[str, Any] = {"time_s": trial.markers.time}
    if trial.status is not None and trial.reasons is not None:
        columns["status"] = list(trial.status)
        columns["reasons"] = [codes.replace(", ", " ") for codes in trial.reasons]
    if trial.marker_error is not None:
        filled = np.zeros((motion.frames, 0), bool) if trial.filled is None else trial.filled
        columns["filled_markers"] = [
            " ".join(name for name, known in zip(trial.fitted, row, strict=False) if known) for row in filled
        ]
        columns["marker_rms_mm"] = 1e3 * rms_of_known(trial.marker_error, axis=1)
    columns |= {f"{name}_deg": np.degrees(values) for name, values in _curvature(trial).items()}
    columns |= decided or {}
    levels = [
        f"{level}_{plane}".replace("-", "_").replace(" ", "_") for level in trial.levels for plane in MOTION_PLANES
    ]
    if trial.angles is not None:
        columns |= _unit_columns(levels, ["rad"] * len(levels), trial.angles, trial.angles_sd)
    if trial.centres is not None:
        places = [f"{name}_{axis}" for name in trial.centres.names for axis in _SPACE_AXES]
        columns |= _unit_columns(places, ["m"] * len(places), trial.centres.xyz, _position_sd(trial.centres))
    columns |= _unit_columns(motion.names, _motion_units(motion), motion.values, motion.deviation)
    if trial.clinical is not None:
        names = [f"clinical_{name}" for name in trial.clinical_names]
        columns |= _unit_columns(names, trial.clinical_units, trial.clinical, trial.clinical_sd)
    return pandas.DataFrame(columns, index=pandas.RangeIndex(motion.frames, name="frame"))


def tidy_table(trials: Iterable[tuple[str, str, TrialData]]) -> "pandas.DataFrame":
    """`trial_table` of all trials in one, with columns subject, trial and frame. trials: (subject, trial, data)."""
    import pandas

    tables = {(subject, name): trial_table(trial) for subject, name, trial in trials}
    return pandas.concat(tables, names=["subject", "trial"]).reset_index()


def _curvature(trial: SpineKinematics | TrialData) -> dict[str, np.ndarray]:
    """{name: (frames,) rad} of lordosis, kyphosis and their standard deviations, where known."""
    known = {name: getattr(trial, name) for name in CURVATURE_FIGURES}
    return {name: values for name, values in known.items() if values is not None}


def _motion_units(motion: Motion) -> list[str]:
    return ["rad" if rotational else "m" for rotational in motion.rotational]


def _position_sd(points: Markers) -> np.ndarray | None:
    """(frames, points, 3) m: standard deviations along the axes."""
    if points.covariance is None:
        return None
    return np.sqrt(np.diagonal(points.covariance, axis1=-2, axis2=-1))


def _unit_columns(
    names: Sequence[str], units: Sequence[str], values: np.ndarray, deviation: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Columns in degrees and mm, each followed by its standard deviation. values: (frames, …), as many as names."""
    columns = {}
    rows = values.reshape(len(values), -1)
    for i, (name, unit) in enumerate(zip(names, units, strict=True)):
        written, factor = _TABLE_UNITS[unit]
        columns[f"{name}_{written}"] = factor * rows[:, i]
        if deviation is not None:
            columns[f"{name}_sd_{written}"] = factor * deviation.reshape(rows.shape)[:, i]
    return columns


def labelled_arrays(found: SolvedTrial) -> "xarray.Dataset":
    """Arrays with named axes, in rad and m; see `Reconstruction.to_xarray`."""
    with needing_extra("to_xarray", "xarray"):
        import xarray
    spine, motion, verdict = found.spine, found.motion, found.verdict
    rad, metres, mixed = ({"units": unit} for unit in ("rad", "m", "rad; m"))
    axes: dict[str, tuple] = {
        "time": ("frame", spine.time, {"units": "s"}),
        "level": ("level", list(spine.levels)),
        "axis": ("axis", list(MOTION_PLANES)),
        "coordinate": ("coordinate", list(motion.names)),
        "coordinate_unit": ("coordinate", _motion_units(motion)),
        "marker": ("marker", list(found.result.marker_names)),
        "space": ("space", list(_SPACE_AXES)),
    }
    arrays: dict[str, tuple] = {name: ("frame", values, rad) for name, values in _curvature(found.spine).items()}
    arrays |= {
        "angles": (("frame", "level", "axis"), spine.angles, rad),
        "angles_sd": (("frame", "level", "axis"), spine.angles_sd, rad),
        "angles_decided_share": (("level", "axis"), found.observed_shares, {"units": "1"}),
        "motion": (("frame", "coordinate"), motion.values, mixed),
        "motion_sd": (("frame", "coordinate"), motion.deviation, mixed),
        "marker_error": (("frame", "marker"), found.result.marker_error, metres),
        "status": ("frame", None if verdict is None else [str(status) for status in verdict.status]),
    }
    if (centres := spine.centres) is not None:
        fitted = found.markers.select(found.result.marker_names)
        origins = centre_origins(centres.names, found.result.marker_names, fitted.origins)
        axes["point"] = ("point", list(centres.names))
        arrays["centres"] = (("frame", "point", "space"), centres.xyz, metres)
        arrays["centres_sd"] = (("frame", "point", "space"), _position_sd(centres), metres)
        arrays["centres_origin"] = ("point", [str(origin) for origin in origins or ()])
    if (clinical := spine.clinical) is not None:
        axes["parameter"], axes["parameter_unit"] = (
            ("parameter", list(texts)) for texts in (clinical.names, clinical.units)
        )
        arrays["clinical"] = (("frame", "parameter"), clinical.values, mixed)
        arrays["clinical_sd"] = (("frame", "parameter"), clinical.deviation, mixed)
        arrays["clinical_decided_by"] = ("parameter", [figure.decided_by for figure in found.clinical_figures])
    made = xarray.Dataset(
        {name: parts for name, parts in arrays.items() if parts[1] is not None},
        coords=axes,
        attrs={"subject": found.subject, "trial": found.trial, "rate_hz": spine.rate, "world": "y_up"},
    )
    for figure in found.curvature_figures:
        made[figure.name].attrs["decided_by"] = figure.decided_by
    return made
