"""Trials on their way to other programs: what their cameras see; netCDF for `movement`; Parquet for `datasets`."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from simspine.core.errors import InputError
from simspine.core.geometry import change_frame, distortion_reach, project_points
from simspine.core.types import Camera, Markers
from simspine.io.atomic import atomic_path, check_announced_bytes, write_text
from simspine.io.dataset_write import FRAME_STATUSES, TrialData, chunk_frames
from simspine.io.guarded import exchange_package, read_guarded


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


# Parquet shards, a frame per row, with a card: what a user of Hugging Face `datasets` loads.


ROWS_PER_GROUP = 2048  # rows in a row group: what one read touches at least, and what one damaged page spoils
ROWS_PER_SHARD = 100_000  # rows in a file

PARQUET_UNITS = {"time": "s", "markers": "m, y up", "markers_vertebral": "m, y up", "centres": "m, y up",
         "kinematics": "deg; m", "kinematics_sd": "deg; m",
          "level_angles": "rad", "lla": "rad", "tka": "rad", "lla_sd": "rad", "tka_sd": "rad",
          "clinical": "rad; m", "clinical_sd": "rad; m"}  # fmt: skip


def write_parquet(
    folder: Path, split: str, takes: ExportTrials, *, points: bool = True, shard: int = ROWS_PER_SHARD
) -> list[int]:
    """Write data/<split>-<i>-of-<n>.parquet; returns the rows of each shard. points=False leaves the points out.

    `folder` should be new: shards of an earlier export are not removed. Rejected frames are there, with valid = false.
    """
    arrow = exchange_package("pyarrow", "Parquet")
    parquet = exchange_package("pyarrow.parquet", "Parquet")
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    rows: list[int] = []
    writer = None
    try:
        for table in _arrow_tables(arrow, takes, points):
            start = 0
            while start < table.num_rows:
                if writer is None:
                    writer = parquet.ParquetWriter(
                        data / f".{split}-{len(rows)}", table.schema, compression="zstd", write_page_checksum=True
                    )
                    rows.append(0)
                count = min(ROWS_PER_GROUP, table.num_rows - start, shard - rows[-1])
                writer.write_table(table.slice(start, count), row_group_size=ROWS_PER_GROUP)
                start, rows[-1] = start + count, rows[-1] + count
                if rows[-1] >= shard:
                    writer.close()
                    writer = None
    finally:
        if writer is not None:
            writer.close()
    if not rows:
        raise InputError(f"the split {split!r} has no frame; nothing is written.")
    for i in range(len(rows)):
        (data / f".{split}-{i}").rename(data / f"{split}-{i:05d}-of-{len(rows):05d}.parquet")
    return rows


def _arrow_tables(arrow, takes: ExportTrials, points: bool) -> Iterator[Any]:
    for take in takes():
        columns, names = _trial_columns(take, points)
        arrays = {key: _arrow_array(arrow, value) for key, value in columns.items()}
        units = {key: {"unit": PARQUET_UNITS[key]} if key in PARQUET_UNITS else None for key in arrays}
        fields = [arrow.field(key, array.type, metadata=units[key]) for key, array in arrays.items()]
        schema = arrow.schema(fields, metadata={"simspine": json.dumps(names)})
        yield arrow.table(list(arrays.values()), schema=schema)


def _trial_columns(take: ExportTrial, points: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    trial, frames = take.trial, take.trial.markers.frames
    columns = {
        "subject": [take.subject] * frames, "trial": [take.name] * frames, "frame": np.arange(frames, dtype=np.int32),
        "time": trial.markers.time, "valid": trial.valid,
        "status": list(trial.status) if trial.status is not None else [""] * frames,
        **(_trial_places(trial) if points else {}),
        "kinematics": trial.degrees, "kinematics_sd": trial.degrees_sd, "level_angles": trial.angles,
        "lla": trial.lla, "tka": trial.tka, "lla_sd": trial.lla_sd, "tka_sd": trial.tka_sd,
        "clinical": trial.clinical, "clinical_sd": trial.clinical_sd,
        "clinical_decided": np.tile(trial.clinical_decided, (frames, 1)) if trial.clinical_decided else None,
    }  # fmt: skip
    names = {
        "markers": list(trial.markers.names) if points else [], "kinematics": list(trial.motion.names),
        "level_angles": list(trial.levels), "units": PARQUET_UNITS,
        "clinical": list(trial.clinical_names), "clinical_units": list(trial.clinical_units),
        **({} if trial.centres is None else {"centres": list(trial.centres.names)}),
    }  # fmt: skip
    return {key: value for key, value in columns.items() if value is not None}, names


def _trial_places(trial: TrialData) -> dict[str, np.ndarray]:
    """The points at the released places, and where they are known at the vertebrae's centroids, and all of these."""
    columns = {"markers": trial.markers.xyz}
    for name, points in points_at_other_places(trial).items():
        columns["centres" if name == "centres" else f"markers_{name}"] = points.xyz
    return columns


def _arrow_array(arrow, value):
    """Lists of fixed length for arrays of more than one axis."""
    if isinstance(value, list) or value.ndim == 1:
        return arrow.array(value)
    flat = arrow.array(np.ascontiguousarray(value).reshape(-1).tolist() if value.dtype.kind == "U" else value.ravel())
    for size in reversed(value.shape[1:]):
        flat = arrow.FixedSizeListArray.from_arrays(flat, size)
    return flat


def write_card(folder: Path, name: str, rows: dict[str, int], names: dict[str, list[str]], notice: str = "") -> None:
    """README.md with the header that the Hub and `datasets` read: which files make up which split."""
    files = "\n".join(f"  - split: {split}\n    path: data/{split}-*.parquet" for split in rows)
    size = sum(rows.values())
    bins = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M"))
    category = next((label for limit, label in bins if size < limit), "10M<n<100M")
    lists = "\n".join(f"`{key}`: {', '.join(values)}\n" for key, values in names.items() if values)
    points = (
        "| markers | points (see below) at the released places, y up: forward kinematics of `kinematics` | m |\n"
        if names.get("markers")
        else ""
    )
    if names.get("centres"):
        points += (
            "| markers_vertebral | the same points, those along the spine at the centroids of their vertebrae | m |\n"
            "| centres | centroids of the vertebrae (see below) | m |\n"
        )
    clinical = (
        "| clinical, clinical_sd | clinical parameters (see below) and their standard deviations | rad; m |\n"
        "| clinical_decided | what each of them rests on in the row's trial: the data, assumptions or the model | |\n"
        if names.get("clinical")
        else ""
    )
    counts = ", ".join(f"{split} {count} frames" for split, count in rows.items())
    write_text(
        folder / "README.md",
        f"""---
pretty_name: {name}
license: other
tags: [biomechanics, spine, pose-estimation]
size_categories: ["{category}"]
configs:
- config_name: default
  data_files:
{files}
---

# {name}

Spine kinematics, a frame per row: {counts}. Made with simspine.

{notice}

| column | meaning | unit |
|---|---|---|
| subject, trial, frame | where the row comes from; frames count from 0 | |
| time | | s |
| valid, status | solved and not rejected; kept, corrected, rejected, or inferred: rejected and filled in | |
{points}| kinematics, kinematics_sd | coordinates of the body and their standard deviations | deg; m |
| level_angles | per level flexion, bending to the right, turning to the left | rad |
| lla, tka, lla_sd, tka_sd | lumbar lordosis, thoracic kyphosis | rad |
{clinical}
{lists}""",
    )


def read_parquet(folder: Path, split: str) -> dict[str, np.ndarray]:
    """The columns of all shards of a split as arrays: (rows, …)."""
    parquet = exchange_package("pyarrow.parquet", "Parquet")
    files = sorted((Path(folder) / "data").glob(f"{split}-*.parquet"))
    if not files:
        raise InputError(f"{folder}/data holds no shard of the split {split!r}.")
    parts: dict[str, list[np.ndarray]] = {}
    for file in files:
        try:
            shard = parquet.ParquetFile(file, page_checksum_verification=True)
            groups = (shard.metadata.row_group(i) for i in range(shard.metadata.num_row_groups))
            check_announced_bytes(str(file), sum(group.total_byte_size for group in groups), file.stat().st_size)
            table = shard.read()
            columns = {key: _numpy_array(table[key].combine_chunks()) for key in table.column_names}
        except InputError:
            raise
        except Exception as error:  # damaged files end in many ways
            raise InputError(f"{file}: cannot be read as Parquet; cut short or damaged? ({error})") from None
        for key, values in columns.items():
            parts.setdefault(key, []).append(values)
    return {key: np.concatenate(values) for key, values in parts.items()}


def _numpy_array(column) -> np.ndarray:
    shape, rows = [], len(column)
    while hasattr(column.type, "list_size"):
        shape.append(column.type.list_size)
        column = column.flatten()
    values = np.array(column.to_pylist()) if shape == [] else column.to_numpy(zero_copy_only=False)
    return values.reshape(rows, *shape)
