"""A reconstruction as a trial of a data set. Points that are not the forward kinematics of the angles are refused."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path

from simspine.dataset.invariant import check_trial
from simspine.dataset.origin import centre_origins, point_origins
from simspine.errors import InputError
from simspine.formats.dataset import Dataset, SubjectData, TrialData, write_dataset
from simspine.pipeline.solved_trial import SolvedTrial

PACKAGES = ("simspine", "opensim", "ai-edge-litert", "onnxruntime", "numpy", "scipy", "opencv-python-headless")


def publish(found: SolvedTrial) -> TrialData:
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
        clinical_decided=tuple(figure.decided for figure in found.clinical_figures),
        level_share=None if response is None else found.shares,
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
    return replace(trial, fk_deviation=check_trial(found.body, trial, f"{found.subject}/{found.trial}"))


def write_trials(path: str | PathLike, trials: Sequence[SolvedTrial]) -> Path:
    """Write trials of one person as a data set's HDF5 file. Raises `InputError` where `path` does not end in .h5."""
    path = Path(path)
    if path.suffix.lower() not in (".h5", ".hdf5"):
        raise InputError(f"{path}: a data set's name ends in .h5; name the file so.")
    first = trials[0]
    published = {found.trial: publish(found) for found in trials}
    subject = SubjectData(first.cameras, published, first.body.osim, f"models/{first.subject}.osim")
    write_dataset(path, Dataset({first.subject: subject}, {"versions": versions()}))
    return path


def versions() -> Mapping[str, str]:
    """{package: version} of what the numbers depend on."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
