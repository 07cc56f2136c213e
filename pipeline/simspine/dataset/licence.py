"""What may be given away. Results that contain the joints of Human3.6M are for the holder of its licence only.

Human3.6M's agreement allows academic use by the person who signed it and no redistribution of its data (vision.imar.ro,
licence agreement). Points of a body that was fitted to its motion capture are as good as that capture; angles and a
model's sizes are our results. So a public copy holds angles, their deviations and models, and neither points, poses
of bodies nor cameras.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from simspine.errors import InputError
from simspine.formats.dataset_tree import TrialData

NOTICE = (
    "Derived from Human3.6M (Ionescu et al., IEEE TPAMI 2014). Its licence allows academic research by the person who "
    "signed it and forbids passing its data on. Files with 3D points, poses of bodies or cameras stay on that person's "
    "own disk; angles, their standard deviations and body models may be passed on with this notice and the citation."
)


def notice(configuration: Mapping[str, Any], virtual: bool = False) -> str:
    """The notice that results of this configuration (as in the provenance) carry; '' where nothing restricts them.

    virtual: what `capture.human36m` names is a virtual capture, which is ours to give away.
    """
    capture = configuration.get("capture") or {}
    return NOTICE if capture.get("human36m") and not virtual else ""


def refuse_public(restriction: str, kind: str, contents: str) -> None:
    """`InputError` if a public copy of this kind would hold what the restriction does not let out."""
    if restriction and contents != "angles":
        raise InputError(
            f"a public copy as {kind} would hold 3D points of data that may not be passed on. {restriction} "
            "For a public copy use `--contents angles` with the format hdf5 or parquet."
        )


def without_points(trial: TrialData) -> TrialData:
    """The trial with angles, curvature, deviations and status; points are NaN, and there are no poses of bodies.

    The place of the pelvis stays: it is one of the coordinates, as the release publishes them.
    """
    nothing = np.full_like(trial.markers.xyz, np.nan)
    markers = trial.markers.with_(xyz=nothing, weight=None, covariance=None, filled=None)
    return replace(trial, markers=markers, centres=None, poses={}, withheld=True)


def without_places(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance without the folders of the machine it was made on; the configuration's hash stays."""
    told = dict(provenance)
    places = ("subjects", "capture", "results")
    if "configuration" in told:
        told["configuration"] = {key: value for key, value in told["configuration"].items() if key not in places}
    return told
