"""Trials on their way to other programs: what their cameras see of them; and netCDF as `movement` has it."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from simspine.core.errors import InputError
from simspine.core.geometry import change_frame, distortion_reach, project_points
from simspine.core.types import Camera, Markers
from simspine.io.atomic import atomic_path
from simspine.io.dataset_write import FRAME_STATUSES, TrialData, chunk_frames
from simspine.io.guarded import exchange_package, read_guarded

_IMAGE_NAME = re.compile(r"(.+)\.[^.]+_\d{6,}\.jpg")  # <subject>_<trial>.<camera>_<frame>.jpg


@dataclass(frozen=True)
class ExportTrial:
    """A trial with its subject and cameras. hidden: (views, frames, points) bool where the body hides a point;
    hidden_others: the same for the points of `other_points`, by their names.
    """

    subject: str
    name: str
    trial: TrialData
    cameras: tuple[Camera, ...] = ()
    hidden: np.ndarray | None = None
    hidden_others: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def other_points(self) -> dict[str, "ExportTrial"]:
        """The take with other points in the place of the released ones: `vertebral`, the same points with those along
        the spine at the centroids of their vertebrae, and `centres`, all centroids. Empty where they are not known."""
        return {
            name: replace(
                self,
                trial=replace(self.trial, markers=points, centres=None),
                hidden=self.hidden_others.get(name),
                hidden_others={},
            )
            for name, points in points_at_other_places(self.trial).items()
        }

    @property
    def path(self) -> str:
        return f"{self.subject}/{self.name}"

    @property
    def world(self) -> np.ndarray:
        """(frames, points, 3) m, z up."""
        return change_frame(self.trial.markers.xyz, "y_up", "z_up")


def points_at_other_places(trial: TrialData) -> dict[str, Markers]:
    """{'vertebral', 'centres'}: see `ExportTrial.other_points`."""
    if trial.centres is None or trial.vertebral is None:
        return {}
    return {"vertebral": trial.vertebral, "centres": trial.centres}


ExportTrials = Callable[
    [], Iterable[ExportTrial]
]  # called for each pass over the data, so that one trial is in memory at a time


@dataclass(frozen=True)
class ExportView:
    """A take in one camera.

    px: (frames, points, 2) with distortion. local: (frames, points, 3) m in the camera's frame. inside: (frames,
    points) bool, in front of the camera and inside its image. visible: inside and not hidden by the body.
    """

    camera: Camera
    px: np.ndarray
    local: np.ndarray
    inside: np.ndarray
    visible: np.ndarray


def export_views(take: ExportTrial) -> list[ExportView]:
    """The take in each of its cameras; `InputError` if it has none."""
    if not take.cameras:
        raise InputError(f"{take.path} has no cameras; 2D annotations need them.")
    world = take.world
    found = []
    for i, (camera, px) in enumerate(zip(take.cameras, project_points(take.cameras, world), strict=True)):
        local = world @ camera.R.T + camera.t
        with np.errstate(invalid="ignore"):  # pixel centres are whole numbers, so the image begins at -0.5
            inside = (px >= -0.5).all(-1) & (px < np.array(camera.size) - 0.5).all(-1) & _within_lens(camera, local)
        visible = inside if take.hidden is None else inside & ~take.hidden[i]
        found.append(ExportView(camera=camera, px=px, local=local, inside=inside, visible=visible))
    return found


def _within_lens(camera: Camera, local: np.ndarray) -> np.ndarray:
    """Where the lens model still grows outwards: beyond, it folds far-off points back into the image."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return (local[..., 0] ** 2 + local[..., 1] ** 2) / local[..., 2] ** 2 < distortion_reach(camera)


def image_stem(take: ExportTrial, camera: Camera) -> str:
    """`S1/S1_Walking.54138969/S1_Walking.54138969_`: images are named so, with the frame's number after it."""
    stem = f"{take.subject}_{take.name}.{camera.name}"
    return f"{take.subject}/{stem}/{stem}_"


def trial_of_image(name: str) -> tuple[str, str] | None:
    """(subject, trial) of an image that `image_stem` named; None for an image of other names."""
    parts = name.split("/")
    found = _IMAGE_NAME.fullmatch(parts[-1])
    if len(parts) < 3 or found is None or not found[1].startswith(f"{parts[-3]}_"):
        return None
    return parts[-3], found[1].removeprefix(f"{parts[-3]}_")


def image_name(stem: str, frame: int) -> str:
    """The image of a frame. Files count from 1, as MMPose extracts them; `frame` counts from 0."""
    return f"{stem}{frame + 1:06d}.jpg"


# netCDF as the package `movement` has pose tracks: an xarray data set with time, space, keypoints, individuals.
# Layout: movement's user guide, "The movement datasets". Ours adds kinematics and curvature as further variables.


SPACE_AXES = ["x", "y", "z"]


def write_netcdf(path: Path, take: ExportTrial, *, notice: str = "") -> None:
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
    others = points_at_other_places(trial)
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
            "space": SPACE_AXES, "keypoints": list(markers.names), "individuals": [take.subject],
            "coordinates": list(trial.motion.names),
            **({"vertebrae": list(others["centres"].names)} if others else {}),
            **_clinical_coordinates(trial),
        },
        attrs={
            "fps": markers.rate, "time_unit": "seconds", "source_software": "simspine", "ds_type": "poses",
            "trial": take.name, "frame": "y_up", "length_unit": "m", **({"notice": notice} if notice else {}),
        },
    )  # fmt: skip
    if trial.status is not None:  # as the CF conventions have flags (section 3.5)
        flags = {
            "flag_values": np.arange(len(FRAME_STATUSES), dtype=np.int8),
            "flag_meanings": " ".join(FRAME_STATUSES),
        }
        data["status"] = ("time", np.array([FRAME_STATUSES.index(s) for s in trial.status], np.int8), flags)
    encoding = {}
    for name in variables:
        values = data[name].values
        chunk = chunk_frames(len(values), max(1, values[:1].nbytes))
        encoding[name] = {
            "zlib": True, "complevel": 4, "shuffle": True, "fletcher32": True, "chunksizes": (chunk, *values.shape[1:]),
        }  # fmt: skip
    with atomic_path(path) as temporary:
        data.to_netcdf(temporary, engine="h5netcdf", encoding=encoding)


def _clinical_coordinates(trial: TrialData) -> dict:
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
