"""netCDF as the package `movement` has pose tracks: an xarray data set with time, space, keypoints, individuals.

Layout: movement's user guide, "The movement datasets". Ours adds kinematics and curvature as further variables.
"""

from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.formats._extra import exchange_package
from simspine.formats.atomic import atomic_path
from simspine.formats.dataset_layout import chunk_frames
from simspine.formats.dataset_tree import STATUSES, TrialData
from simspine.formats.guarded import read_guarded
from simspine.formats.takes import Take, other_points
from simspine.types import Markers

SPACE = ["x", "y", "z"]


def write_netcdf(path: Path, take: Take, *, notice: str = "") -> None:
    """Write one take. position: m, y up. confidence: 1 where the frame is usable, 0 where it was rejected (and
    perhaps filled in, which status says), NaN missing.

    position: the released places; position_vertebral: with the points along the spine at the centroids of their
    vertebrae; centres: all centroids. Beside them kinematics (deg; m), their standard deviations, lla and tka (rad),
    clinical parameters (rad; m; which, by the dimension parameters) with what each rests on, status; every one with a
    unit.
    """
    xarray = exchange_package("xarray", "netCDF")
    exchange_package("h5netcdf", "netCDF")
    trial = take.trial
    markers = trial.markers
    confidence = np.where(markers.present, trial.valid[:, None].astype(float), np.nan)
    variables = {
        "position": (("time", "space", "keypoints", "individuals"), markers.xyz.transpose(0, 2, 1)[..., None], "m"),
        "confidence": (("time", "keypoints", "individuals"), confidence[..., None], "1"),
        "kinematics": (("time", "coordinates", "individuals"), trial.degrees[..., None], "deg; m"),
    }
    others = other_points(trial)
    for name, points in others.items():
        key, axis = ("centres", "vertebrae") if name == "centres" else (f"position_{name}", "keypoints")
        variables[key] = (("time", "space", axis, "individuals"), points.xyz.transpose(0, 2, 1)[..., None], "m")
    if trial.degrees_sd is not None:
        variables["kinematics_sd"] = (("time", "coordinates", "individuals"), trial.degrees_sd[..., None], "deg; m")
    for name in ("lla", "tka", "lla_sd", "tka_sd"):
        if getattr(trial, name) is not None:
            variables[name] = (("time", "individuals"), getattr(trial, name)[:, None], "rad")
    for name in ("clinical", "clinical_sd"):
        if getattr(trial, name) is not None:
            variables[name] = (("time", "parameters", "individuals"), getattr(trial, name)[..., None], "rad; m")
    data = xarray.Dataset(
        {name: xarray.Variable(dims, values, {"units": unit}) for name, (dims, values, unit) in variables.items()},
        coords={
            "time": xarray.Variable("time", markers.time),
            "space": SPACE, "keypoints": list(markers.names), "individuals": [take.subject],
            "coordinates": list(trial.motion.names),
            **({"vertebrae": list(others["centres"].names)} if others else {}),
            **_parameters(trial),
        },
        attrs={
            "fps": markers.rate, "time_unit": "seconds", "source_software": "simspine", "ds_type": "poses",
            "trial": take.name, "frame": "y_up", "length_unit": "m", **({"notice": notice} if notice else {}),
        },
    )  # fmt: skip
    if trial.status is not None:  # as the CF conventions have flags (section 3.5)
        flags = {"flag_values": np.arange(len(STATUSES), dtype=np.int8), "flag_meanings": " ".join(STATUSES)}
        data["status"] = ("time", np.array([STATUSES.index(s) for s in trial.status], np.int8), flags)
    encoding = {}
    for name in variables:
        values = data[name].values
        chunk = chunk_frames(len(values), max(1, values[:1].nbytes))
        encoding[name] = {
            "zlib": True, "complevel": 4, "shuffle": True, "fletcher32": True, "chunksizes": (chunk, *values.shape[1:]),
        }  # fmt: skip
    with atomic_path(path) as temporary:
        data.to_netcdf(temporary, engine="h5netcdf", encoding=encoding)


def _parameters(trial: TrialData) -> dict:
    """Coordinates along the clinical parameters: names, units, and what each rests on where that is known."""
    if trial.clinical is None:
        return {}
    texts = {"clinical_units": trial.clinical_units, "clinical_decided": trial.clinical_decided}
    along = {name: ("parameters", list(said)) for name, said in texts.items() if said}
    return {"parameters": list(trial.clinical_names), **along}


def read_netcdf(path: Path) -> Markers:
    """The first individual's points in such a file, ours or one that movement saved with three space coordinates."""
    exchange_package("h5netcdf", "netCDF")
    arrays, said = read_guarded("netCDF", path)
    try:
        order = [said["dims"].index(name) for name in ("time", "keypoints", "space", "individuals")]
        position = arrays["position"].transpose(order)[..., 0]
        rate, frame = float(said["attributes"]["fps"]), str(said["attributes"].get("frame", "y_up"))
        start = float(arrays["time"][0]) if len(arrays["time"]) else 0.0
        return Markers(said["keypoints"], rate, position, frame, start=start)
    except Exception as error:  # damaged files end in many ways
        raise InputError(f"{path}: not a netCDF file of pose tracks, or damaged ({error}).") from None
