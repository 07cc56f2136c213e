"""A reconstruction as a trial of a data set. Points that are not the forward kinematics of the angles are refused."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path

import numpy as np

from simspine.anatomy.body import Body, forward_kinematics
from simspine.anatomy.recipes import VIRTUAL_SUFFIX, virtual_spine_markers
from simspine.core.errors import InputError
from simspine.core.skeletons import VERTEBRA_OF, base_name
from simspine.core.types import Markers, Motion, Origin
from simspine.io.dataset_write import Dataset, SubjectData, TrialData, write_dataset
from simspine.reconstruction.solved_trial import SolvedTrial

POINT_TOLERANCE_M = 1e-6  # m


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
    """Largest distance, m, between `markers` and the same points of the body at the motion's values.

    Raises `InputError` naming the trial, the point and the frames if a distance exceeds `POINT_TOLERANCE_M`, or where
    only one of point and pose is missing. 0 where no frame has a pose.
    """
    wanted = body_points(body, motion, markers.names)
    distance = np.linalg.norm(wanted.xyz - markers.xyz, axis=-1)
    carried = wanted.present.any(0)
    broken = np.where(
        np.isfinite(distance), distance > POINT_TOLERANCE_M, (wanted.present != markers.present) & carried
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
    """`check_points_follow_angles` of a trial's points and of the centroids of its vertebrae; the larger distance,
    m."""
    published = [trial.markers] if trial.centres is None else [trial.markers, trial.centres]
    return max(check_points_follow_angles(body, trial.motion, points, where) for points in published)


def point_origins(names: Sequence[str], fitted: Sequence[str], origins: Sequence[Origin] | None) -> list[Origin] | None:
    """Origin of each of the points `names`; None where that of the fitted markers is not known.

    A point's place always comes from the body. *detected* and *given* say that inverse kinematics fitted an observation
    of this very point; *inferred*, that it had none: a marker placed by rule, or nothing at all.
    """
    if origins is None:
        return None
    of: Mapping[str, Origin] = {base_name(name): Origin(o) for name, o in zip(fitted, origins, strict=True)}
    return [of.get(name, Origin.INFERRED) for name in names]


def centre_origins(
    levels: Sequence[str], fitted: Sequence[str], origins: Sequence[Origin] | None
) -> list[Origin] | None:
    """Origin of the centroids of vertebrae (`levels`): that of the point named after the vertebra, else *inferred*."""
    named = {level: point for point, level in VERTEBRA_OF.items()}
    return point_origins([named.get(level, level) for level in levels], fitted, origins)


RECORDED_PACKAGES = ("simspine", "opensim", "ai-edge-litert", "onnxruntime", "numpy", "scipy", "opencv-python-headless")


def trial_data(found: SolvedTrial) -> TrialData:
    """The trial as a data set holds it."""
    spine, solved, verdict = found.spine, found.result, found.verdict
    fitted = found.markers.select(solved.marker_names)
    origin = point_origins(spine.markers.names, solved.marker_names, fitted.origin)
    clinical = spine.clinical
    centres = spine.centres
    if centres is not None:
        centres = centres.with_(origin=centre_origins(centres.names, solved.marker_names, fitted.origin))
    response = None if solved.posterior is None else solved.posterior.response
    trial = TrialData(
        markers=spine.markers.with_(origin=origin),
        motion=solved.motion,
        levels=spine.levels,
        angles=spine.angles,
        lla=spine.lla,
        tka=spine.tka,
        angles_sd=spine.angles_sd,
        lla_sd=spine.lla_sd,
        tka_sd=spine.tka_sd,
        response=response,
        clinical_names=() if clinical is None else clinical.names,
        clinical_units=() if clinical is None else clinical.units,
        clinical=None if clinical is None else clinical.values,
        clinical_sd=None if clinical is None else clinical.deviation,
        clinical_decided=tuple(figure.decided_by for figure in found.clinical_figures),
        level_share=None if response is None else found.observed_shares,
        forced={**spine.forced, **({} if clinical is None else clinical.forced)},
        status=None if verdict is None else tuple(map(str, verdict.status)),
        reasons=None if verdict is None else tuple(", ".join(codes) for codes in verdict.reasons),
        fitted=solved.marker_names,
        fitted_origin=fitted.origin,
        marker_error=solved.marker_error,
        filled=fitted.filled,
        centres=centres,
        poses=found.poses,
    )
    return replace(trial, fk_deviation=check_forward_kinematics(found.body, trial, f"{found.subject}/{found.trial}"))


def write_trials_dataset(path: str | PathLike, trials: Sequence[SolvedTrial]) -> Path:
    """Write trials of one person as a data set's HDF5 file. Raises `InputError` where `path` does not end in .h5."""
    path = Path(path)
    if path.suffix.lower() not in (".h5", ".hdf5"):
        raise InputError(f"{path}: a data set's name ends in .h5; name the file so.")
    first = trials[0]
    published = {found.trial: trial_data(found) for found in trials}
    subject = SubjectData(first.cameras, published, first.body.osim, f"models/{first.subject}.osim")
    write_dataset(path, Dataset({first.subject: subject}, {"versions": package_versions()}))
    return path


def package_versions() -> Mapping[str, str]:
    """{package: version} of what the numbers depend on."""
    return {"python": platform.python_version()} | {name: _package_version(name) for name in RECORDED_PACKAGES}


def _package_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
