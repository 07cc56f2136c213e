"""Export of trials to other programs: views of their cameras, image names; NWB and BIDS; movement's netCDF."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import numpy as np
import pandas as pd

from simspine.core.errors import InputError, needing_extra, safe_file_name
from simspine.core.geometry import change_frame, distortion_reach, in_image, project_points
from simspine.core.types import Camera, Markers
from simspine.io.atomic import atomic_path, write_text
from simspine.io.dataset_write import TrialData
from simspine.io.hdf5 import check_texts, checked_attribute, checked_values, create_file, open_checked, put_text
from simspine.io.text_tables import StatedRate, TimedRows, positive_number, read_bytes, uniform_rows

if TYPE_CHECKING:
    import pynwb

BIDS_VERSION = "1.10.0"
MAX_STEM_BYTES = 200  # of a file's name, of which systems allow 255; suffixes and temporary names are added to it
BIDS_IGNORE_FILE = ".bidsignore"  # a name that manifests do not list
OWN_SOFTWARE = "SIMSPINE"
_AXES_TEXT = "x forward of the standing person's model, y up, z to the right; origin as in the recording"
_LEVEL_AXES = ("flexion", "lateral_bending", "axial_rotation")


@dataclass(frozen=True)
class ExportTrial:
    """A trial. hidden: (views, frames, points) bool, where the body hides a point; hidden_vertebral: of `vertebral`."""

    subject: str
    name: str
    trial: TrialData
    cameras: tuple[Camera, ...] = ()
    hidden: np.ndarray | None = None
    hidden_vertebral: np.ndarray | None = None

    @property
    def vertebral(self) -> "ExportTrial | None":
        """The trial with its points along the spine at the centroids of their vertebrae; None where not known."""
        points = self.trial.vertebral
        if points is None:
            return None
        return replace(self, trial=replace(self.trial, markers=points, centres=None), hidden=self.hidden_vertebral)

    @property
    def path(self) -> str:
        return f"{self.subject}/{self.name}"

    @property
    def file_stem(self) -> str:
        """`S1/S1_Walking`: path of the trial's files without their suffix."""
        subject = safe_file_name(self.subject)
        return f"{subject}/{subject}_{safe_file_name(self.name)}"

    @property
    def world(self) -> np.ndarray:
        """Points (frames, points, 3) m, z up."""
        return change_frame(self.trial.markers.xyz, "y_up", "z_up")


# Called for each pass over the data, so that one trial is in memory at a time.
ExportTrials = Callable[[], Iterable[ExportTrial]]


@dataclass(frozen=True)
class ExportView:
    """A trial in one camera.

    px: (frames, points, 2) with distortion. local: (frames, points, 3) m in the camera's frame. inside: (frames,
    points) bool, in front of the camera and inside its image. visible: inside and not hidden by the body.
    """

    camera: Camera
    px: np.ndarray
    local: np.ndarray
    inside: np.ndarray
    visible: np.ndarray


def export_views(take: ExportTrial) -> list[ExportView]:
    """The trial in each of its cameras; `InputError` if it has none."""
    if not take.cameras:
        raise InputError(f"{take.path} has no cameras; 2D annotations need them.")
    world = take.world
    views = []
    for i, (camera, px) in enumerate(zip(take.cameras, project_points(take.cameras, world), strict=True)):
        local = world @ camera.R.T + camera.t
        with np.errstate(divide="ignore", invalid="ignore"):
            # Beyond its reach a lens model maps points outside the view back into the image.
            inside = (local[..., 0] ** 2 + local[..., 1] ** 2) / local[..., 2] ** 2 < distortion_reach(camera)
            inside &= in_image(px, camera.size)
        visible = inside if take.hidden is None else inside & ~take.hidden[i]
        views.append(ExportView(camera=camera, px=px, local=local, inside=inside, visible=visible))
    return views


def image_stem(take: ExportTrial, camera: Camera) -> str:
    """`S1/S1_Walking.54138969/S1_Walking.54138969_`: path of the images without the frame's number and suffix."""
    folder = f"{take.file_stem}.{safe_file_name(camera.name)}"
    return f"{folder}/{folder.rpartition('/')[2]}_"


def image_name(stem: str, frame: int) -> str:
    """Path of a frame's image. File names count from 1, as MMPose extracts them; `frame` counts from 0."""
    return f"{stem}{frame + 1:06d}.jpg"


class Channel(NamedTuple):
    """A column of numbers of a trial. kind: BIDS' type. component: x, y, z or n/a. values: (frames,), in the unit."""

    name: str
    component: str
    kind: str
    point: str
    unit: str
    values: np.ndarray


def write_nwb(path: Path, take: ExportTrial, *, notice: str = "") -> None:
    """Write a trial as Neurodata Without Borders: points by ndx-pose, m; angles, rad. NWB requires the time of the
    recording, which is not known; the file holds the time of its writing, and says so."""
    with needing_extra("NWB", "nwb"):
        import ndx_pose
        import pynwb
    trial, software = take.trial, {"source_software": OWN_SOFTWARE, "source_software_version": version("simspine")}
    about = f"Trial {take.name} of {take.subject}. The time of the recording is not known; given is that of this file."
    file = pynwb.NWBFile(
        session_description=" ".join(filter(None, (about, notice))),
        identifier=take.path,
        session_start_time=datetime.now(UTC),
        keywords=["spine", "kinematics", "motion capture"],
        subject=pynwb.file.Subject(subject_id=take.subject, species="Homo sapiens", sex="U", age="P0Y/"),
    )
    behavior = file.create_processing_module("behavior", "Spine kinematics estimated with SIMSPINE")
    clock = {"rate": float(trial.markers.rate), "starting_time": float(trial.markers.start)}
    skeletons, poses = [], []
    for kind, points in _point_sets(trial).items():
        skeletons.append(ndx_pose.Skeleton(name=kind, nodes=list(points.names)))
        series = [
            ndx_pose.PoseEstimationSeries(
                name=name, data=points.xyz[:, i], unit="meters", reference_frame=_AXES_TEXT,
                description=f"Place of {name}, NaN where it is not known.", **clock,
            )
            for i, name in enumerate(points.names)
        ]  # fmt: skip
        poses.append(
            ndx_pose.PoseEstimation(
                name=f"{kind}_pose", pose_estimation_series=series, skeleton=skeletons[-1],
                description=f"Places of {kind}.", **software,
            )
        )  # fmt: skip
    behavior.add([ndx_pose.Skeletons(skeletons=skeletons), *poses])
    for channel in _angle_channels(trial):
        behavior.add(
            pynwb.TimeSeries(
                name=channel.name, data=channel.values, unit="radians", description=f"{channel.name}, rad", **clock
            )
        )
    _add_unkept_frames(file, trial)
    content = BytesIO()  # since HDF5 tells of a full disk in a traceback, or not at all
    with h5py.File(content, "w") as made, pynwb.NWBHDF5IO(file=made, mode="w") as out:
        out.write(file)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def _add_unkept_frames(file: "pynwb.NWBFile", trial: TrialData) -> None:
    """Add time intervals of the frames that were not kept as measured, with the reason."""
    rows = [
        (number, status, reason)
        for number, (status, reason) in enumerate(zip(trial.status or (), trial.reasons or (), strict=True))
        if status != "kept"
    ]
    if not rows:
        return
    table = file.create_time_intervals(name="frames_not_kept", description="Frames whose figures need care")
    for name, text in (("status", "corrected, rejected or inferred"), ("reason", "in words")):
        table.add_column(name=name, description=text)
    for number, status, reason in rows:
        start, length = trial.markers.start + number / trial.markers.rate, 1 / trial.markers.rate
        table.add_row(start_time=start, stop_time=start + length, status=status, reason=reason or "n/a")


def _point_sets(trial: TrialData) -> dict[str, Markers]:
    return {"points": trial.markers} | ({} if trial.centres is None else {"vertebrae": trial.centres})


def _angle_channels(trial: TrialData) -> Iterator[Channel]:
    """LLA, TKA and the angles of each level, with their standard deviations."""
    columns: dict[str, np.ndarray | None] = {name: getattr(trial, name) for name in ("lla", "lla_sd", "tka", "tka_sd")}
    for suffix, angles in (("", trial.angles), ("_sd", trial.angles_sd)):
        if angles is not None:
            for i, level in enumerate(trial.levels):
                columns |= {f"{level}_{axis}{suffix}": angles[:, i, k] for k, axis in enumerate(_LEVEL_AXES)}
    for name, values in columns.items():
        if values is not None:
            yield Channel(
                name=re.sub(r"\W", "_", name), component="n/a", kind="JNTANG",
                point=name.removesuffix("_sd"), unit="rad", values=values,
            )  # fmt: skip


def _place_channels(trial: TrialData) -> Iterator[Channel]:
    for points in _point_sets(trial).values():
        for i, name in enumerate(points.names):
            for k, axis in enumerate("xyz"):
                yield Channel(
                    name=f"{name}_{axis}", component=axis, kind="POS", point=name, unit="m", values=points.xyz[:, i, k]
                )


def write_bids(folder: Path, takes: Iterable[ExportTrial], *, name: str, notice: str = "") -> dict[str, int]:
    """Write a BIDS data set of motion; returns {file, relative to the folder: its number of frames, 0 without any}."""
    made_by = [{"Name": "SIMSPINE", "Version": version("simspine")}]
    description = {"Name": name, "BIDSVersion": BIDS_VERSION, "DatasetType": "raw", "GeneratedBy": made_by}
    files = {"dataset_description.json": 0, "README": 0, "participants.tsv": 0}
    labels: dict[str, str] = {}  # of subjects and trials, as a file system that ignores case has them
    for take in takes:
        subject, task = (re.sub(r"[^A-Za-z0-9]", "", text) for text in (take.subject, take.name))
        stem = f"sub-{subject}/motion/sub-{subject}_task-{task}_tracksys-SIMSPINE"
        if not subject or not task:
            raise InputError(f"{take.path}: BIDS names subjects and tasks by A-Z, a-z and 0-9; rename it.")
        for label, whose in ((f"sub-{subject}", take.subject), (stem, take.path)):
            if (taken := labels.setdefault(label.casefold(), whose)) != whose:
                raise InputError(f"{whose} would be {label} in BIDS, as {taken}; rename the trial or the subject.")
        if len(stem.rpartition("/")[2]) > MAX_STEM_BYTES:
            text = f"{take.path:.100}: its BIDS files would have names longer than systems take"
            raise InputError(f"{text}; shorten the name of the subject or the trial.")
        files |= _write_bids_trial(folder, stem, take)
    _write_json(folder / "dataset_description.json", description)
    write_text(folder / "README", f"{name}: spine kinematics estimated with SIMSPINE, in m and rad. {notice}\n")
    write_text(folder / BIDS_IGNORE_FILE, "manifest.json\nNOTICE.txt\n")
    people = sorted({file.partition("/")[0] for file in files if "/" in file})
    write_text(folder / "participants.tsv", "\n".join(["participant_id", *people]) + "\n")
    return files


def _write_bids_trial(folder: Path, stem: str, take: ExportTrial) -> dict[str, int]:
    trial = take.trial
    channels = [*_place_channels(trial), *_angle_channels(trial)]
    rate, frames = float(trial.markers.rate), trial.markers.frames
    about = {
        "TaskName": take.name, "SamplingFrequency": rate, "TrackingSystemName": "SIMSPINE",
        "RecordingType": "continuous", "RecordingDuration": frames / rate, "MotionChannelCount": len(channels),
        "TrackedPointsCount": sum(len(points.names) for points in _point_sets(trial).values()),
        "POSChannelCount": sum(channel.kind == "POS" for channel in channels),
        "JNTANGChannelCount": sum(channel.kind == "JNTANG" for channel in channels),
    }  # fmt: skip
    head = ["name", "component", "type", "tracked_point", "units", "reference_frame"]
    rows = [[*channel[:-1], "ground" if channel.kind == "POS" else "n/a"] for channel in channels]
    axes = {"RotationRule": "right-hand", "RotationOrder": "n/a", "SpatialAxes": "ASR", "Description": _AXES_TEXT}
    frame = {"Description": "World of the points", "Levels": {"ground": axes}}
    values = pd.DataFrame({i: channel.values for i, channel in enumerate(channels)})
    tables = {"channels": pd.DataFrame(rows, columns=head), "motion": values}
    for kind, table in tables.items():
        options: dict[str, Any] = {"sep": "\t", "index": False, "na_rep": "n/a", "lineterminator": "\n"}
        text = table.to_csv(**options, header=kind == "channels", float_format="%.9g")
        write_text(folder / f"{stem}_{kind}.tsv", text)
    _write_json(folder / f"{stem}_motion.json", about)
    _write_json(folder / f"{stem}_channels.json", {"reference_frame": frame})
    others = dict.fromkeys((f"{stem}_{kind}" for kind in ("motion.json", "channels.tsv", "channels.json")), 0)
    return {f"{stem}_motion.tsv": frames} | others


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


class Poses(NamedTuple):
    """Points of people in space. people: {name: (frames, points, 3)} in the file's unit. rate: frames/s, None if the
    file does not state it. software: the program that made the poses."""

    names: tuple[str, ...]
    people: dict[str, np.ndarray]
    rate: float | None
    software: str


def read_poses(path: Path) -> Poses:
    """Read movement's netCDF, with axes in any order. `InputError` for points in images (x and y only)."""
    if read_bytes(path)[:3] == b"CDF":
        cure = 'xarray.load_dataset("OLD.nc").to_netcdf("NEW.nc", engine="h5netcdf")'
        raise InputError(f"{path}: netCDF 3, and netCDF 4 is read. In Python: {cure}.")
    with open_checked(path) as file:
        position = file.get("position")
        if not isinstance(position, h5py.Dataset):
            raise InputError(f"{path}: no position in it; expected poses as movement writes them (to_netcdf).")
        check_texts(path)  # the library keeps the names of axes as such
        scales = {axis[0].name.strip("/").rstrip("s"): checked_values(axis[0]) for axis in position.dims if len(axis)}
        if sorted(scales) != ["individual", "keypoint", "space", "time"]:
            raise InputError(f"{path}: axes {', '.join(scales)}; expected time, space, keypoints and individuals.")
        order = [list(scales).index(name) for name in ("individual", "time", "keypoint", "space")]
        xyz = checked_values(position).transpose(order).astype(float)
        rate, software, unit = (checked_attribute(file, name, "") for name in ("fps", "source_software", "time_unit"))
        if xyz.shape[3] != 3:
            raise InputError(f"{path}: points of {xyz.shape[3]} coordinates, in images; triangulate them first.")
        names, people, space = (tuple(map(_one_text, scales[name])) for name in ("keypoint", "individual", "space"))
        if sorted(space) != ["x", "y", "z"]:
            raise InputError(f"{path}: coordinates {', '.join(space)}; expected x, y and z.")
        xyz = xyz[..., [space.index(axis) for axis in "xyz"]]
        frame_rate = positive_number(str(np.ravel(rate)[0]))
        if frame_rate or str(unit) in ("s", "seconds"):
            rows = TimedRows(scales["time"], xyz[0].reshape(len(xyz[0]), -1), 0.0)
            _, frame_rate = uniform_rows(rows, StatedRate(frame_rate), str(path))
        return Poses(names, dict(zip(people, xyz, strict=True)), frame_rate, str(software))


def _one_text(cell) -> str:
    """A cell as a text; files converted from netCDF 3 hold its letters one by one."""
    cell = b"".join(cell) if isinstance(cell, np.ndarray) else cell
    return cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)


def write_poses(rate: float, person: str, path: Path, names: Sequence[str], xyz: np.ndarray) -> None:
    """Write points (frames, points, 3) of one person as movement's netCDF. Confidence is NaN: no detector gave one."""
    axes = {"time": np.arange(len(xyz)) / rate, "space": list("xyz"), "keypoints": list(names), "individuals": [person]}
    with atomic_path(path) as temporary, create_file(temporary) as file:
        for name, values in axes.items():
            text = None if name == "time" else h5py.string_dtype()
            file.create_dataset(name, data=values, dtype=text).make_scale(name)
        for name, values in {
            "position": xyz.swapaxes(1, 2)[..., None],
            "confidence": np.full((len(xyz), len(names), 1), np.nan),
        }.items():
            data = file.create_dataset(name, data=values)
            for axis, scale in enumerate(scale for scale in axes if name == "position" or scale != "space"):
                data.dims[axis].attach_scale(file[scale])
        for name, said in (("source_software", OWN_SOFTWARE), ("ds_type", "poses"), ("time_unit", "seconds")):
            put_text(file, name, said)
        file.attrs["fps"] = rate
