"""Bones of a body as meshes for pictures and pages, and the block of numbers in which a page stores them."""

import os
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from simspine.core.errors import InputError
from simspine.core.settings import pose2sim_folder
from simspine.io.guarded import opensim_xml
from simspine.io.text_tables import parse_content, read_bytes

# Surfaces in VTK's XML polygon files (.vtp, ASCII), as OpenSim's models name them for their bones.
# Format: VTK File Formats, "XML file formats, PolyData". OpenSim's own reader takes points and polygons and
# nothing else (Simbody `PolygonalMesh::loadVtpFile`); so does this one.


def read_vtp(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) as `read_polygons`, and triangles (t, 3) of point numbers: its polygons split into fans."""
    points, polygons = read_polygons(path)
    fans = [(polygon[0], b, c) for polygon in polygons for b, c in pairwise(polygon[1:])]
    return points, np.array(fans, int).reshape(-1, 3)


def read_polygons(path: str | os.PathLike) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Points (n, 3) in the file's unit (OpenSim: m), and polygons of point numbers.

    Raises `InputError` for what is no ASCII .vtp file.
    """
    piece = parse_content(ET.fromstring, read_bytes(path), "readable as XML", path).find("PolyData/Piece")
    if piece is None:
        raise InputError(f"mesh {path} holds no <PolyData><Piece>; expected a .vtp file of polygons.")
    points = _array_numbers(path, piece.find("Points/DataArray"), float)
    polygons = {array.get("Name"): array for array in piece.findall("Polys/DataArray")}
    corners = _array_numbers(path, polygons.get("connectivity"), int)
    ends = _array_numbers(path, polygons.get("offsets"), int)
    inside = not corners.size or (corners.min() >= 0 and 3 * corners.max() < points.size)
    bounds = np.array([0, *ends])
    if points.size % 3 or not inside or bounds[-1] != len(corners) or (np.diff(bounds) < 0).any():
        raise InputError(f"mesh {path}: its polygons name points that are not there; the file is damaged.")
    return points.reshape(-1, 3), tuple(np.split(corners, ends[:-1])) if len(ends) else ()


def _array_numbers(path: str | os.PathLike, array: ET.Element | None, dtype: type) -> np.ndarray:
    if array is None:
        raise InputError(f"mesh {path} lacks points or polygons; expected a .vtp file of polygons.")
    if array.get("format", "ascii") != "ascii":
        raise InputError(f"mesh {path} is stored as {array.get('format')}; save it as ASCII .vtp.")
    try:
        return np.array((array.text or "").split(), dtype)
    except (ValueError, OverflowError) as error:
        raise InputError(f"mesh {path} holds text among its numbers: {error}.") from None


# Arrays as one block of numbers.
# Every length is stored as a 16-bit integer between the smallest and largest of its array (steps of about 0.1 mm in
# a room of 6 m), unit quaternions with steps of 3e-5 (0.004°); NaN has a code of its own. A page's script reads them
# without parsing.


MISSING_NUMBER = -32768
_MAX_NUMBER = 32767


class Block:
    """Arrays one after another, each at a multiple of four bytes."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, object]] = {}
        self.parts: list[bytes] = []
        self.size = 0

    def _append(self, name: str, array: np.ndarray, **more: float) -> None:
        data = np.ascontiguousarray(array).tobytes()
        data += b"\0" * (-len(data) % 4)
        self.entries[name] = {"at": self.size, "type": array.dtype.name, "shape": list(array.shape), **more}
        self.parts.append(data)
        self.size += len(data)

    def lengths(self, name: str, values: np.ndarray) -> None:
        values = np.asarray(values, float)
        known = values[np.isfinite(values)]
        low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        middle, scale = (low + high) / 2, max(high - low, 1e-9) / 2 / _MAX_NUMBER
        codes = np.where(np.isfinite(values), np.round((np.nan_to_num(values) - middle) / scale), MISSING_NUMBER)
        self._append(name, np.clip(codes, MISSING_NUMBER, _MAX_NUMBER).astype("<i2"), scale=scale, middle=middle)

    def whole(self, name: str, values: np.ndarray) -> None:
        values = np.asarray(values)
        kind = next(k for k, top in (("<u1", 255), ("<u2", 65535), ("<u4", 2**32)) if values.max(initial=0) <= top)
        self._append(name, values.astype(kind))


# m: edge of the cells whose points become one. Vertebrae, the subject of the page, are not thinned; a picture of the
# whole body shows no finer details of other bones. Thin bones (ribs, fingers) need cells smaller than they are thick.
CELL_SIZES_M = {"skull": 0.013, "jaw": 0.011, "hat_ribs_scap": 0.008, "foot": 0.011, "l_foot": 0.011, "talus": 0.01}
HAND_CELL_M, OTHER_CELL_M = 0.007, 0.009
# The same for pictures in motion on machines without a graphics card: half the triangles.
MOVING_CELL_SIZES_M = {"vertebra": 0.009, "rib": 0.010, "bone": 0.015}
_MIN_DENSE_TRIANGLES = 600  # triangles: other meshes with fewer are left alone
_VERTEBRA_MESH_NAMES = ("sacrum", "lumbar", "thoracic", "cerv")  # how the mesh files are named


@dataclass(frozen=True, eq=False)
class Bone:
    """A triangle mesh fixed to a body. points: (n, 3) m in the body's frame. triangles: (t, 3) point numbers.

    kind: 'vertebra' (sacrum included), 'rib' (shoulder blades with them) or 'bone'.
    """

    body: str
    points: np.ndarray
    triangles: np.ndarray
    kind: str = "bone"


@cache
def packaged_meshes() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{file: points and triangles as of `read_vtp`} of the full-body model's bones."""
    return {path.name: read_vtp(path) for path in sorted((pose2sim_folder() / "Geometry").glob("*.vtp"))}


def bones_of_model(osim: str, meshes: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> tuple[Bone, ...]:
    """The bones in a model file's text, one or two for each body, of those of its meshes that are in `meshes`.

    A body's scale factors and the offset frames of its meshes are applied, so that the pose of the body (4, 4) alone
    places them.
    """
    found: list[Bone] = []
    for body in opensim_xml(osim).iter("Body"):
        parts: dict[str, list[Bone]] = {}
        for mesh, offset in _meshes_of_body(body):
            file = Path((mesh.findtext("mesh_file") or "").strip().replace("\\", "/"))  # its folder does not count
            if file.name not in meshes:
                continue
            points, triangles = meshes[file.name]
            points = points * _vector_of_element(mesh, "scale_factors", 1.0)
            carrier = body.get("name", "")
            points, triangles = thin_triangles(points, triangles, _cell_size(file.stem, carrier, len(triangles)))
            placed = points @ offset[:3, :3].T + offset[:3, 3]
            bone = Bone(carrier, placed, triangles, _bone_kind(file.stem))
            parts.setdefault(bone.kind, []).append(bone)
        found += [join_bones(same) for same in parts.values()]
    return tuple(found)


def _bone_kind(mesh: str) -> str:
    return "vertebra" if mesh.startswith(_VERTEBRA_MESH_NAMES) else "rib" if "rib" in mesh else "bone"


def _cell_size(mesh: str, body: str, triangles: int) -> float:
    if _bone_kind(mesh) == "vertebra":
        return 0.0
    if body.startswith("hand"):
        return HAND_CELL_M
    return CELL_SIZES_M.get(mesh, OTHER_CELL_M if triangles > _MIN_DENSE_TRIANGLES else 0.0)


def _meshes_of_body(body: ET.Element):
    """(mesh, (4, 4) pose of its frame in the body) of all meshes of a body; frames sit on the body itself."""
    for mesh in body.findall("attached_geometry/Mesh"):
        yield mesh, np.eye(4)
    for frame in body.findall("components/PhysicalOffsetFrame"):
        from scipy.spatial.transform import Rotation

        offset = np.eye(4)
        offset[:3, 3] = _vector_of_element(frame, "translation", 0.0)
        offset[:3, :3] = Rotation.from_euler("XYZ", _vector_of_element(frame, "orientation", 0.0)).as_matrix()
        for mesh in frame.findall("attached_geometry/Mesh"):
            yield mesh, offset


def _vector_of_element(element: ET.Element, name: str, default: float) -> np.ndarray:
    text = element.findtext(name)
    return np.full(3, default) if text is None else np.array(text.split(), float)


def join_bones(parts: list[Bone]) -> Bone:
    """One bone from several of the same body and kind."""
    starts = np.cumsum([0] + [len(part.points) for part in parts[:-1]])
    points = np.concatenate([part.points for part in parts])
    triangles = np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=True)])
    return Bone(parts[0].body, points, triangles, parts[0].kind)


def thin_triangles(points: np.ndarray, triangles: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Replace all points in a cell of a grid by their mean, and drop triangles that collapse or repeat.

    Vertex clustering (Rossignac & Borrel 1993). cell 0: points at the same place are joined, nothing else.
    """
    if not len(triangles):
        return points, triangles
    keys = np.round(points / cell if cell > 0 else points * 1e7).astype(np.int64)
    _, cluster = np.unique(keys, axis=0, return_inverse=True)
    cluster = cluster.ravel()
    sums = np.zeros((cluster.max() + 1, 3))
    np.add.at(sums, cluster, points)
    centres = sums / np.bincount(cluster)[:, None]
    corners = cluster[triangles]
    solid = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])
    corners = corners[solid]
    # Rotated to the smallest corner first, repeated triangles are equal, and the winding stays.
    corners = np.take_along_axis(corners, (corners.argmin(1)[:, None] + np.arange(3)) % 3, 1)
    corners = np.unique(corners, axis=0)
    used, corners = np.unique(corners, return_inverse=True)
    return centres[used], corners.reshape(-1, 3)


def joint_pairs(osim: str) -> tuple[tuple[str, str], ...]:
    """(parent, child) bodies of each joint of a model file's text; those on the ground are left out."""
    pairs = []
    for joints in opensim_xml(osim).iter("JointSet"):
        for joint in joints.findall("objects/*"):
            frames = {frame.get("name"): frame.findtext("socket_parent") for frame in joint.findall("frames/*")}
            sockets = [(joint.findtext(f"socket_{side}_frame") or "").strip() for side in ("parent", "child")]
            parent, child = ((frames.get(socket) or socket).strip().rsplit("/", 1)[-1] for socket in sockets)
            if parent and child and "ground" not in (parent, child):
                pairs.append((parent, child))
    return tuple(pairs)


@lru_cache(maxsize=1)  # all trials of a person have one body
def bones_and_joints(model: str) -> tuple[tuple[Bone, ...], tuple[tuple[str, str], ...]]:
    """Bones in the text of an `.osim` file, and joints whose child has bones or is a parent; () for ''."""
    if not model:
        return (), ()
    found = bones_of_model(model, packaged_meshes())
    pairs = joint_pairs(model)
    parents, boned = {a for a, _ in pairs}, {bone.body for bone in found}
    return found, tuple((a, b) for a, b in pairs if b in parents or b in boned or not found)
