"""NumPy's archives (.npz), read without running anything in them, and MMPose's annotations in such archives."""

import io
import os
import pickle
import pickletools
import re
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from simspine.core.errors import InputError, require_path
from simspine.core.skeletons import load_skeleton
from simspine.io.atomic import MAX_GROUP_DEPTH, atomic_path, check_announced_bytes
from simspine.io.exchange import ExportTrial, ExportTrials, ExportView, export_views, image_name, image_stem

# NumPy's archives (.npz), also with dictionaries in them, which NumPy keeps as pickles.
# A pickle may run any code when it is read. These are taken apart without any: arrays, numbers and texts in
# dictionaries and lists are made here from what they say, and nothing else is let in.


_PLAIN_DTYPE = re.compile(r"[<>|=]?([fiub]\d{1,2}|[SU]\d{1,4}|O8?)")  # types of numbers and texts
_ZIP_METHODS = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED  # what NumPy writes


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The arrays by name, only `names` if given; an object without axes, such as a dictionary, comes as itself.

    Raises `InputError` for a file that is missing or damaged, an array that is not there, one larger than the file can
    hold, and a pickle of other things.
    """
    require_path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            there = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            for name in names or ():
                if name not in there:
                    raise InputError(f"{path}: no array {name!r}; found {', '.join(there) or 'nothing'}.")
            members = {name: there[name] for name in names or there}
            check_announced_bytes(str(path), sum(info.file_size for info in members.values()), os.path.getsize(path))
            return {name: _read_array_member(archive, info) for name, info in members.items()}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: a folder; expected an archive (.npz).") from None
    except InputError:
        raise
    except Exception as error:  # damaged archives end in many ways
        raise InputError(f"{path}: not a readable archive; cut short or damaged? ({error})") from None


def _read_array_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    if info.compress_type not in _ZIP_METHODS:
        raise ValueError(f"{info.filename} is packed in a way that NumPy does not write")
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
        shape, _, dtype = read_header(stream)
        if dtype.hasobject:
            content = _unpickle(stream.read())
            return content.item() if isinstance(content, np.ndarray) and content.shape == () else content
    count = 1
    for length in shape:
        count *= length
    if min(shape, default=0) < 0 or count * dtype.itemsize > info.file_size:
        raise ValueError(f"{info.filename} announces the shape {shape}, more than is there")
    with archive.open(info) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _unpickle(content: bytes) -> Any:
    """What a pickle says, of the kinds that data sets hold."""
    for code, argument, position in pickletools.genops(content):
        if "PUT" in code.name and argument is not None and argument > len(content):
            raise pickle.UnpicklingError(f"a mark of {argument} at byte {position}, more than the file has bytes")
    return _plain_item(_Parts(io.BytesIO(content)).load(), 0, {})


class _Type:
    """In the place of a NumPy type: its code, and the order of its bytes, which comes later."""

    def __init__(self, code: str, *_: object):
        if isinstance(code, bytes):
            code = code.decode("ascii")
        if not _PLAIN_DTYPE.fullmatch(code):
            raise pickle.UnpicklingError(f"an array of the type {code!r}, expected numbers or texts")
        self.code, self.order = code.lstrip("<>|="), code[0] if code[0] in "<>" else "<"

    def __setstate__(self, state: tuple) -> None:
        self.order = ">" if state[1] == ">" else "<"

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.order + self.code)


class _Values:
    """In the place of a NumPy array: what the pickle says of it."""

    content: np.ndarray | list

    def __init__(self, *_: object):
        self.content, self.shape = [], ()

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, kind, fortran, content = state
        if not isinstance(kind, _Type):
            raise pickle.UnpicklingError("an array without a type")
        if kind.code[0] == "O":
            self.content = list(content)
        else:
            content = content.encode("latin-1") if isinstance(content, str) else content
            self.content = np.frombuffer(content, kind.dtype).reshape(self.shape, order="F" if fortran else "C")


def _values_of_buffer(content: bytes, kind: _Type, shape: tuple, order: str = "C") -> _Values:
    values = _Values()
    values.__setstate__((1, shape, kind, order == "F", content))
    return values


def _scalar_value(kind: _Type, content: bytes) -> Any:
    return np.frombuffer(content.encode("latin-1") if isinstance(content, str) else content, kind.dtype)[0]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin-1" if encoding == "latin1" else "utf-8")


def _empty_bytes() -> bytes:
    """Older pickles call `bytes` for no bytes; with an argument it would make as many as one likes."""
    return b""


class _Parts(pickle.Unpickler):
    """Puts parts of ours in the places of NumPy's, and refuses everything else."""

    _PARTS = {
        ("numpy", "ndarray"): _Values, ("numpy", "dtype"): _Type, ("_codecs", "encode"): _encode,
        ("__builtin__", "bytes"): _empty_bytes, ("builtins", "bytes"): _empty_bytes,
    } | {
        (f"numpy.{core}.{module}", name): part
        for core in ("core", "_core")
        for module, name, part in (
            ("multiarray", "_reconstruct", _Values), ("multiarray", "scalar", _scalar_value),
            ("numeric", "_frombuffer", _values_of_buffer),
        )
    }  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._PARTS:
            raise pickle.UnpicklingError(f"the file wants to run {module}.{name}, which no data set needs")
        return self._PARTS[module, name]


def _plain_item(item: Any, depth: int, known: dict[int, Any]) -> Any:
    """The item with arrays in the places of our parts. known: what was made of parts met before, by their identity."""
    if item is None or isinstance(item, bool | int | float | str | bytes | np.generic):
        return item
    if id(item) in known:
        return known[id(item)]
    if depth > MAX_GROUP_DEPTH:
        raise pickle.UnpicklingError(f"more than {MAX_GROUP_DEPTH} levels of dictionaries and lists")
    made: Any
    if isinstance(item, dict):
        made = {key: _plain_item(value, depth + 1, known) for key, value in item.items()}
    elif isinstance(item, list | tuple):
        made = type(item)(_plain_item(value, depth + 1, known) for value in item)
    elif isinstance(item, _Values) and isinstance(item.content, np.ndarray):
        made = item.content.copy()
    elif isinstance(item, _Values):
        made = np.empty(len(item.content), object)
        for i, value in enumerate(item.content):
            made[i] = _plain_item(value, depth + 1, known)
        made = made.reshape(item.shape)
    else:
        raise pickle.UnpicklingError(f"a {type(item).__name__}, expected arrays, numbers and texts")
    known[id(item)] = made
    return made


# Annotations as MMPose's Human3.6M data sets have them: one npz per split, and statistics of the training split.
# Like the files of the SIMSPINE release, with its faults mended: images are numbered from 1, `S` and `part`
# follow the same camera (X_c = R X + t), and a point is visible if it is inside the real image and nothing of the
# body hides it.


BOX_MARGIN_FACTOR = 1.2  # of the box around the points
PIXEL_STD = 200.0  # px: MMPose's unit of a box's size
MMPOSE_UNITS = {"part": "px", "S": "m", "S_world": "m", "angles": "deg; m", "center": "px", "scale": "200 px"}
_MMPOSE_SHAPES: dict[str, tuple[str | int, ...]] = {
    "center": (2,), "scale": (), "part": ("K", 3), "S": ("K", 4), "S_world": ("K", 4), "angles": ("C",),
    "valid": (), "inferred": (), "frame": (),
}  # fmt: skip
_POINT_ARRAYS = ("part", "S", "S_world")  # what other places of the points have, too: part_vertebral, S_centres, …
_MMPOSE_DTYPES = {"center": "<f4", "scale": "<f4", "valid": "|u1", "inferred": "|u1", "frame": "<i4"}
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # equal data, equal bytes


class PointMoments:
    """Mean and standard deviation per point, in one pass (Chan, Golub, LeVeque 1983)."""

    def __init__(self, points: int, axes: int):
        self.count = np.zeros((points, 1))
        self.mean, self.squares = np.zeros((points, axes)), np.zeros((points, axes))

    def add(self, values: np.ndarray) -> None:
        """values: (rows, points, axes); NaN where there is none."""
        present = np.isfinite(values).all(-1)[..., None]
        count = present.sum(0).astype(float)
        clean = np.where(present, values, 0.0)
        mean = clean.sum(0) / np.maximum(count, 1)
        squares = (np.where(present, values - mean, 0.0) ** 2).sum(0)
        total = np.maximum(self.count + count, 1)
        shift = np.where(count > 0, mean - self.mean, 0.0)
        self.squares += squares + shift**2 * self.count * count / total
        self.mean += shift * count / total
        self.count += count

    @property
    def stats(self) -> dict[str, np.ndarray]:
        return {"mean": self.mean.copy(), "std": np.sqrt(self.squares / np.maximum(self.count, 1))}


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
            others = {name: export_views(other) for name, other in take.others.items()}
            kept = np.flatnonzero(np.isfinite(take.trial.motion.values).all(1))
            for i, view in enumerate(export_views(take)):
                columns = _view_columns(take, view, kept)
                for name, seen in others.items():
                    columns |= {f"{key}_{name}": v for key, v in _view_points(take.others[name], seen[i], kept).items()}
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


def _view_columns(take: ExportTrial, view: ExportView, kept: np.ndarray) -> dict[str, np.ndarray]:
    low, high = _corner_extent(view.px[kept])
    return {
        "center": (low + high) / 2,
        "scale": BOX_MARGIN_FACTOR * (high - low).max(-1) / PIXEL_STD,
        **_view_points(take, view, kept),
        "angles": take.trial.degrees[kept],
        "valid": take.trial.valid[kept],
        "inferred": take.trial.inferred[kept],
        "frame": kept + 1,
    }


def _view_points(take: ExportTrial, view: ExportView, kept: np.ndarray) -> dict[str, np.ndarray]:
    visible = view.visible[kept].astype(float)[..., None]
    places = (view.px[kept], view.local[kept], take.world[kept])
    return {
        key: np.concatenate([np.nan_to_num(values, nan=0.0), visible], -1)
        for key, values in zip(_POINT_ARRAYS, places, strict=True)
    }


def _corner_extent(px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner (rows, 2) of the points; 0 where all are behind the camera."""
    low = np.where(np.isfinite(px), px, np.inf).min(1)
    high = np.where(np.isfinite(px), px, -np.inf).max(1)
    return np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)


def parent_indices(names: Sequence[str]) -> list[int]:
    """Index of each point's nearest ancestor among `names` (SIMSPINE names); -1 for the root."""
    table = load_skeleton("simspine37")
    found = []
    for name in names:
        parent = table.parents[table.index(name)]
        while parent >= 0 and table.names[parent] not in names:
            parent = table.parents[parent]
        found.append(names.index(table.names[parent]) if parent >= 0 else -1)
    return found


def _mmpose_metadata(take: ExportTrial, notice: str) -> dict[str, Any]:
    names = list(take.trial.markers.names)
    content: dict[str, Any] = {
        "root_name": names[0], "root_index": 0, "joint_names": names, "param_names": list(take.trial.motion.names),
        "parent_ids": parent_indices(names), "units": MMPOSE_UNITS, "first_frame": 1,
    }  # fmt: skip
    if take.trial.centres is not None:
        content |= {"places": "released", "centres_names": list(take.trial.centres.names)}
    return content | ({"notice": notice} if notice else {})


def _add_moments(moments: dict[str, PointMoments], columns: dict[str, np.ndarray]) -> None:
    """Of joints in the camera's frame and in the image, absolute and relative to the root."""
    for kind, key, axes in (("joint3d", "S", 3), ("joint2d", "part", 2)):
        values = columns[key][..., :axes]
        values = np.where((values != 0).any(-1, keepdims=True), values, np.nan)
        for name, part in ((kind, values), (f"{kind}_rel", values - values[:, :1])):
            moments.setdefault(name, PointMoments(*part.shape[1:])).add(part)


def _write_moments(folder: Path, moments: dict[str, PointMoments]) -> None:
    for name, found in moments.items():
        stats, absolute = found.stats, moments[name.removesuffix("_rel")].stats
        for part in stats:
            stats[part][0] = absolute[part][0]  # the root itself, as the release has it
        with atomic_path(folder / f"{name}_stats.pkl") as temporary:
            temporary.write_bytes(pickle.dumps(stats, protocol=4))


def _compose_npz(target: Path, meta: dict, stems: list, parts: Mapping[str, IO[bytes]], rows: int) -> None:
    """The npz of all arrays, not compressed, as `numpy.savez` writes it."""
    sizes = {"K": len(meta["joint_names"]), "C": len(meta["param_names"])}
    shapes = dict(_MMPOSE_SHAPES)
    for key in parts:
        base, _, other = key.rpartition("_")
        if base in _POINT_ARRAYS and key not in _MMPOSE_SHAPES:
            count = len(meta["centres_names"]) if other == "centres" else sizes["K"]
            shapes[key] = (count, *_MMPOSE_SHAPES[base][1:])
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
            shape = (rows, *(sizes[n] if isinstance(n, str) else n for n in shapes[key]))
            part.seek(0)
            with _open_member(archive, key, _MMPOSE_DTYPES.get(key, "<f8"), shape) as file:
                shutil.copyfileobj(part, file, 1 << 22)


def _open_member(archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple):
    file = archive.open(zipfile.ZipInfo(f"{name}.npy", _FIXED_DATE), "w", force_zip64=True)
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file


def read_mmpose(path: Path) -> dict[str, Any]:
    """The arrays of such a file by name; `metadata` as a dictionary."""
    return read_npz(path)
