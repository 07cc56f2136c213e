"""Annotations in MMPose's layout, written to NumPy's archives (.npz); archives of other programs, read safely."""

import io
import os
import pickle
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from simspine.core.errors import InputError, naming_content, require_file
from simspine.core.skeletons import load_skeleton
from simspine.io.atomic import atomic_path, check_announced_bytes, shape_bytes
from simspine.io.exchange import ExportTrial, ExportTrials, ExportView, export_views, image_name, image_stem
from simspine.io.text_tables import repeated_names

# Layout of MMPose's Human3.6M data sets: one npz per split, and statistics of the training split.
# Like the files of the SIMSPINE release, without its faults: images are numbered from 1, `S` and `part`
# follow the same camera (X_c = R X + t), and a point is visible if it is inside the real image and nothing of the
# body hides it.
BOX_MARGIN_FACTOR = 1.2  # of the box around the points
PIXEL_STD = 200.0  # px: MMPose's unit of a box's size
MMPOSE_UNITS = {"part": "px", "S": "m", "S_world": "m", "angles": "deg; m", "center": "px", "scale": "200 px"}
_MMPOSE_SHAPES: dict[str, tuple[str | int, ...]] = {
    "center": (2,), "scale": (), "part": ("K", 3), "S": ("K", 4), "S_world": ("K", 4), "angles": ("C",),
    "valid": (), "inferred": (), "frame": (),
}  # fmt: skip
_POINT_ARRAYS = ("part", "S", "S_world")  # also written for points at the vertebrae: part_vertebral, …
_MMPOSE_DTYPES = {"center": "<f4", "scale": "<f4", "valid": "|u1", "inferred": "|u1", "frame": "<i4"}
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # equal data give equal bytes


class PointMoments:
    """Mean and standard deviation per point, in one pass."""

    def __init__(self, points: int, axes: int):
        self.count, self.sum, self.squares = np.zeros((points, 1)), np.zeros((points, axes)), np.zeros((points, axes))

    def add(self, values: np.ndarray) -> None:
        """Include values (rows, points, axes); missing ones are NaN."""
        present = np.isfinite(values).all(-1)[..., None]
        known = np.where(present, values, 0.0)
        self.count += present.sum(0)
        self.sum += known.sum(0)
        self.squares += (known**2).sum(0)

    @property
    def stats(self) -> dict[str, np.ndarray]:
        count = np.maximum(self.count, 1)
        mean = self.sum / count
        return {"mean": mean, "std": np.sqrt(np.maximum(self.squares / count - mean**2, 0.0))}


def write_mmpose(folder: Path, split: str, takes: ExportTrials, *, notice: str = "") -> int:
    """Write annotations/simspine_<split>.npz, for 'train' also the statistics; returns the number of rows.

    A row is one frame in one camera; frames without a pose have none.
    """
    target = folder / "annotations" / f"simspine_{split}.npz"
    rows, stems = 0, []
    moments: dict[str, PointMoments] = {}
    with atomic_path(target) as temporary, ExitStack() as stack:
        parts: dict[str, IO[bytes]] = {}
        for take in takes():
            kept = np.flatnonzero(np.isfinite(take.trial.motion.values).all(1))
            for view, columns in _columns_of_views(take, kept):
                for key, values in columns.items():
                    if key not in parts:
                        parts[key] = stack.enter_context(TemporaryFile(dir=target.parent))
                    parts[key].write(np.ascontiguousarray(values, _MMPOSE_DTYPES.get(key, "<f8")).tobytes())
                stems.append((image_stem(take, view.camera), kept))
                rows += len(kept)
                if split == "train":
                    _add_moments(moments, columns)
            meta = _mmpose_metadata(take, notice)
        if not rows:
            raise InputError(f"no frame of the split {split!r} has a pose; nothing is written.")
        _compose_npz(temporary, meta, stems, parts=parts, rows=rows)
    _write_moments(target.parent, moments)
    return rows


def _columns_of_views(take: ExportTrial, kept: np.ndarray) -> Iterator[tuple[ExportView, dict[str, np.ndarray]]]:
    vertebral = take.vertebral
    other_views = [] if vertebral is None else export_views(vertebral)
    for i, view in enumerate(export_views(take)):
        px = view.px[kept]
        low, high = (np.where(np.isfinite(px), px, end) for end in (np.inf, -np.inf))
        low, high = (np.nan_to_num(corner, posinf=0.0, neginf=0.0) for corner in (low.min(1), high.max(1)))
        columns = {
            "center": (low + high) / 2,
            "scale": BOX_MARGIN_FACTOR * (high - low).max(-1) / PIXEL_STD,
            **_view_points(take, view, kept),
            "angles": take.trial.degrees[kept],
            "valid": take.trial.valid[kept],
            "inferred": take.trial.inferred[kept],
            "frame": kept + 1,
        }
        if vertebral is not None:
            points = _view_points(vertebral, other_views[i], kept)
            columns |= {f"{key}_vertebral": values for key, values in points.items()}
        yield view, columns


def _view_points(take: ExportTrial, view: ExportView, kept: np.ndarray) -> dict[str, np.ndarray]:
    visible = view.visible[kept].astype(float)[..., None]
    places = (view.px[kept], view.local[kept], take.world[kept])
    return {
        key: np.concatenate([np.nan_to_num(values, nan=0.0), visible], -1)
        for key, values in zip(_POINT_ARRAYS, places, strict=True)
    }


def parent_indices(names: Sequence[str], skeleton: str = "simspine37") -> list[int]:
    """Index in `names` of each point's nearest ancestor in the skeleton; -1 for the root."""
    table = load_skeleton(skeleton)
    indices = []
    for name in names:
        parent = table.parents[table.index(name)]
        while parent >= 0 and table.names[parent] not in names:
            parent = table.parents[parent]
        indices.append(names.index(table.names[parent]) if parent >= 0 else -1)
    return indices


def _mmpose_metadata(take: ExportTrial, notice: str) -> dict[str, Any]:
    names = list(take.trial.markers.names)
    content: dict[str, Any] = {
        "root_name": names[0], "root_index": 0, "joint_names": names, "param_names": list(take.trial.motion.names),
        "parent_ids": parent_indices(names), "units": MMPOSE_UNITS, "first_frame": 1,
    }  # fmt: skip
    if take.trial.centres is not None:
        content["places"] = "released"
    return content | ({"notice": notice} if notice else {})


def _add_moments(moments: dict[str, PointMoments], columns: dict[str, np.ndarray]) -> None:
    """Include the joints of all rows, in the camera's frame and in the image, absolute and relative to the root."""
    for kind, key, axes in (("joint3d", "S", 3), ("joint2d", "part", 2)):
        values = columns[key][..., :axes]
        values = np.where((values != 0).any(-1, keepdims=True), values, np.nan)
        for name, part in ((kind, values), (f"{kind}_rel", values - values[:, :1])):
            moments.setdefault(name, PointMoments(*part.shape[1:])).add(part)


def _write_moments(folder: Path, moments: dict[str, PointMoments]) -> None:
    for name, point_moments in moments.items():
        stats, absolute = point_moments.stats, moments[name.removesuffix("_rel")].stats
        for part in stats:
            stats[part][0] = absolute[part][0]  # the root itself, as the release has it
        with atomic_path(folder / f"{name}_stats.pkl") as temporary:
            temporary.write_bytes(pickle.dumps(stats, protocol=4))


def _compose_npz(target: Path, meta: dict, stems: list, parts: Mapping[str, IO[bytes]], rows: int) -> None:
    """Write the npz of all arrays, not compressed, as `numpy.savez` writes it."""
    sizes = {"K": len(meta["joint_names"]), "C": len(meta["param_names"])}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        boxed = np.empty((), object)
        boxed[()] = meta
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, boxed, allow_pickle=True)
        archive.writestr(zipfile.ZipInfo("metadata.npy", _FIXED_DATE), buffer.getvalue())
        width = max(len(stem) for stem, _ in stems) + len("000001.jpg")
        with _open_member(archive, "imgname", f"<U{width}", (rows,)) as file:
            for stem, kept in stems:
                file.write(np.array([image_name(stem, i) for i in kept], f"<U{width}").tobytes())
        for key, part in parts.items():
            shape = (
                rows,
                *(sizes[n] if isinstance(n, str) else n for n in _MMPOSE_SHAPES[key.removesuffix("_vertebral")]),
            )
            part.seek(0)
            with _open_member(archive, key, _MMPOSE_DTYPES.get(key, "<f8"), shape) as file:
                shutil.copyfileobj(part, file, 1 << 22)


def _open_member(archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple):
    file = archive.open(zipfile.ZipInfo(f"{name}.npy", _FIXED_DATE), "w", force_zip64=True)
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of numbers and texts by name.

    Pickled objects are left out, since unpickling may run any code.
    """
    require_file(path)
    with naming_content(path, "a readable archive; cut short or damaged?"):
        with zipfile.ZipFile(path) as archive:
            announced = sum(info.file_size for info in archive.infolist())
            if repeated := repeated_names(archive.namelist()):
                raise ValueError(f"it has {repeated} twice")
        check_announced_bytes(str(path), announced, os.path.getsize(path))
        arrays: dict[str, np.ndarray] = {}
        with np.load(path, allow_pickle=False) as found:
            for name in found.files:
                try:
                    arrays[name] = found[name]
                    check_announced_bytes(f"{path}: {name}", shape_bytes(arrays[name]), os.path.getsize(path))
                    if arrays[name].dtype.kind == "U":
                        arrays[name].tolist()  # raises for numbers that are no characters
                except ValueError as error:
                    if "allow_pickle" not in str(error):
                        raise
        if any(not isinstance(array, np.ndarray) for array in arrays.values()):  # bytes of a member that is no array
            raise ValueError("it holds something else than arrays")
        return arrays
