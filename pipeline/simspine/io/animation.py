"""A moving skeleton for animation programs (glTF), and surfaces of bones (.vtp)."""

import json
import os
import struct
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from simspine.core.errors import InputError, runs_of_frames
from simspine.io.atomic import atomic_path
from simspine.io.text_tables import parse_content, read_bytes


@dataclass(frozen=True, eq=False)
class JointMesh:
    """A triangle mesh fixed to a joint. points: (n, 3) m in its frame; triangles: (t, 3). colour: (r, g, b), 0…1."""

    joint: int
    points: np.ndarray
    triangles: np.ndarray
    material: str
    colour: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class SkeletonMotion:
    """A skeleton in motion, y up, metres.

    names, parents: of each joint; a parent stands before its children, −1 = none. poses: (frames, joints, 4, 4) in
    ground, NaN = not known. rate: frames/s. meshes: what stands fixed to the joints.
    """

    names: Sequence[str]
    parents: Sequence[int]
    poses: np.ndarray
    rate: float
    meshes: Sequence[JointMesh] = ()

    def __post_init__(self):
        if self.poses.shape[1:] != (len(self.names), 4, 4) or len(self.parents) != len(self.names):
            raise InputError(
                f"SkeletonMotion: poses {self.poses.shape} and {len(self.parents)} parents, expected (frames, joints, "
                f"4, 4) and a parent for each of {len(self.names)} joints."
            )
        if any(parent >= child for child, parent in enumerate(self.parents)):
            raise InputError("SkeletonMotion: a joint stands before its parent; sort them from the root outwards.")
        if not self.known.any():
            raise InputError("SkeletonMotion: no frame has the poses of all joints; there is nothing to write.")

    @property
    def known(self) -> np.ndarray:
        """(frames,) bool: the poses of all joints are there."""
        return np.isfinite(self.poses).all((1, 2, 3))

    @property
    def local(self) -> np.ndarray:
        """(frames, joints, 4, 4): poses in the parent's frame; a root's in ground."""
        out = np.array(self.poses)
        for child, parent in enumerate(self.parents):
            if parent >= 0:
                out[:, child] = _inverse_poses(self.poses[:, parent]) @ self.poses[:, child]
        return out


def _inverse_poses(poses: np.ndarray) -> np.ndarray:
    """Of rigid poses (frames, 4, 4); NaN stays NaN."""
    out = np.zeros_like(poses)
    turn = poses[:, :3, :3].swapaxes(1, 2)
    out[:, :3, :3] = turn
    out[:, :3, 3] = -np.einsum("fij,fj->fi", turn, poses[:, :3, 3])
    out[:, 3, 3] = 1.0
    return out


def parents_first(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names with each parent before its children, and the number of each one's parent.

    pairs: (parent, child); those of other names are left out, and of a child's several parents the first counts.
    """
    parent_of: dict[str, str] = {}
    for parent, child in pairs:
        if parent in names and child in names:
            parent_of.setdefault(child, parent)
    done: list[str] = []
    while len(done) < len(names):
        ready = [name for name in names if name not in done and parent_of.get(name, "") in ("", *done)]
        if not ready:
            raise InputError(f"joints form a circle: {', '.join(name for name in names if name not in done)}.")
        done += ready
    return tuple(done), tuple(done.index(parent_of[name]) if name in parent_of else -1 for name in done)


def turned_quaternions(rotations: np.ndarray) -> np.ndarray:
    """(keys…, 3, 3) → (keys…, 4) x y z w, each nearest to the one before along the first axis."""
    from scipy.spatial.transform import Rotation

    out = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_quat().reshape(*rotations.shape[:-2], 4)
    if out.ndim > 2:  # over time: opposite quaternions are one rotation, and a reader goes straight between keys
        flips = np.cumprod(np.where((out[1:] * out[:-1]).sum(-1, keepdims=True) < 0, -1.0, 1.0), axis=0)
        out[1:] *= flips
    return out


# Write a skeleton in motion as binary glTF 2.0 (.glb): skinned meshes, one animation. Blender and Unreal read it.
# Format: Khronos glTF 2.0 (ISO/IEC 12113). Y up and metres, as here. Frames that are not known have no key:
# programs draw straight lines over them, and `asset.extras.gaps` names them.


_GL_FLOAT, _GL_UNSIGNED_SHORT, _GL_UNSIGNED_INT = 5126, 5123, 5125
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963


class _Chunk:
    """The binary part: arrays one after another, each with its accessor."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict] = []
        self.accessors: list[dict] = []

    def add(
        self, values: np.ndarray, component: int, kind: str, target: int | None = None, limits: bool = False
    ) -> int:
        """Number of the accessor. kind: 'SCALAR', 'VEC3' … limits: with least and greatest values, as readers want of
        places and times."""
        types = {_GL_FLOAT: "<f4", _GL_UNSIGNED_SHORT: "<u2", _GL_UNSIGNED_INT: "<u4"}
        array = np.ascontiguousarray(values, types[component])
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes}
        self.views.append(view if target is None else view | {"target": target})
        self.data += array.tobytes() + b"\0" * (-array.nbytes % 4)
        entry = {"bufferView": len(self.views) - 1, "componentType": component, "count": len(array), "type": kind}
        if limits:
            flat = array.reshape(len(array), -1)
            entry |= {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}
        self.accessors.append(entry)
        return len(self.accessors) - 1


def write_gltf(path: str | os.PathLike, motion: SkeletonMotion, name: str, notice: str = "") -> None:
    """Write `motion` to `path` (.glb). name: of the animation. notice: kept as the file's copyright line."""
    chunk = _Chunk()
    known = np.flatnonzero(motion.known)
    local = motion.local[known]
    nodes = _joint_nodes(motion, local[0])
    roots = [i for i, parent in enumerate(motion.parents) if parent < 0]
    tree: dict = {
        "asset": {
            "version": "2.0",
            "generator": "simspine",
            "extras": {"gaps": _unknown_frames(motion), "rate": motion.rate},
        },
        "scene": 0,
        "scenes": [{"nodes": roots}],
        "nodes": nodes,
        "animations": [_gltf_animation(chunk, local, known / motion.rate, name)],
    }
    if notice:
        tree["asset"]["copyright"] = notice
    if motion.meshes:
        bind = motion.poses[known[0]]
        tree |= _skinned_mesh(chunk, motion, bind)
        nodes.append({"name": "body", "mesh": 0, "skin": 0})
        tree["scenes"][0]["nodes"].append(len(nodes) - 1)
    tree |= {"accessors": chunk.accessors, "bufferViews": chunk.views, "buffers": [{"byteLength": len(chunk.data)}]}
    with atomic_path(path) as temporary:
        temporary.write_bytes(_glb_bytes(tree, bytes(chunk.data)))


def _unknown_frames(motion: SkeletonMotion) -> list[list[int]]:
    return [list(run) for run in runs_of_frames(np.flatnonzero(~motion.known).tolist())]


def _joint_nodes(motion: SkeletonMotion, rest: np.ndarray) -> list[dict]:
    """A node for each joint, at rest as in the first known frame. rest: (joints, 4, 4) local."""
    turns = turned_quaternions(rest[:, :3, :3])
    nodes: list[dict] = []
    for i, name in enumerate(motion.names):
        node = {"name": name, "translation": rest[i, :3, 3].tolist(), "rotation": turns[i].tolist()}
        children = [child for child, parent in enumerate(motion.parents) if parent == i]
        nodes.append(node | ({"children": children} if children else {}))
    return nodes


def _gltf_animation(chunk: _Chunk, local: np.ndarray, time: np.ndarray, name: str) -> dict:
    """Translation and rotation of every joint. local: (keys, joints, 4, 4); time: (keys,) s."""
    clock = chunk.add(time, _GL_FLOAT, "SCALAR", limits=True)
    turns = turned_quaternions(local[..., :3, :3])
    samplers, channels = [], []
    for joint in range(local.shape[1]):
        tracks: Mapping[str, tuple[np.ndarray, str]] = {
            "translation": (local[:, joint, :3, 3], "VEC3"),
            "rotation": (turns[:, joint], "VEC4"),
        }
        for track, (values, kind) in tracks.items():
            samplers.append({"input": clock, "interpolation": "LINEAR", "output": chunk.add(values, _GL_FLOAT, kind)})
            channels.append({"sampler": len(samplers) - 1, "target": {"node": joint, "path": track}})
    return {"name": name, "samplers": samplers, "channels": channels}


def _skinned_mesh(chunk: _Chunk, motion: SkeletonMotion, bind: np.ndarray) -> dict:
    """The meshes as one, a part for each material, each corner bound to its joint. bind: (joints, 4, 4) in ground."""
    materials = list(dict.fromkeys((mesh.material, mesh.colour) for mesh in motion.meshes))
    parts = []
    for number, (material, _) in enumerate(materials):
        meshes = [mesh for mesh in motion.meshes if mesh.material == material]
        attributes, triangles = _corner_accessors(chunk, meshes, bind)
        parts.append({"attributes": attributes, "indices": triangles, "material": number})
    inverse = np.linalg.inv(bind).swapaxes(1, 2)  # columns first, as the format has matrices
    binds = chunk.add(inverse.reshape(-1, 16), _GL_FLOAT, "MAT4")
    return {
        "meshes": [{"name": "body", "primitives": parts}],
        "skins": [{"joints": list(range(len(motion.names))), "inverseBindMatrices": binds}],
        "materials": [
            {
                "name": material,
                "doubleSided": True,
                "pbrMetallicRoughness": {"baseColorFactor": [*colour, 1.0], "metallicFactor": 0.0},
            }
            for material, colour in materials
        ],
    }


def _corner_accessors(chunk: _Chunk, meshes: list[JointMesh], bind: np.ndarray) -> tuple[dict[str, int], int]:
    """Accessors of some meshes' corners in ground, and of their triangles."""
    points = np.concatenate([m.points @ bind[m.joint, :3, :3].T + bind[m.joint, :3, 3] for m in meshes])
    joints = np.zeros((len(points), 4), int)
    joints[:, 0] = np.concatenate([np.full(len(m.points), m.joint) for m in meshes])
    weights = np.tile([1.0, 0.0, 0.0, 0.0], (len(points), 1))
    starts = np.cumsum([0, *(len(m.points) for m in meshes[:-1])])
    triangles = np.concatenate([m.triangles + start for m, start in zip(meshes, starts, strict=True)])
    attributes = {
        "POSITION": chunk.add(points, _GL_FLOAT, "VEC3", _ARRAY_BUFFER, limits=True),
        "NORMAL": chunk.add(_corner_normals(points, triangles), _GL_FLOAT, "VEC3", _ARRAY_BUFFER),
        "JOINTS_0": chunk.add(joints, _GL_UNSIGNED_SHORT, "VEC4", _ARRAY_BUFFER),
        "WEIGHTS_0": chunk.add(weights, _GL_FLOAT, "VEC4", _ARRAY_BUFFER),
    }
    return attributes, chunk.add(triangles.reshape(-1), _GL_UNSIGNED_INT, "SCALAR", _ELEMENT_BUFFER)


def _corner_normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(points, 3) unit: mean of the triangles around each, by their areas."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    out = np.zeros_like(points)
    for i in range(3):
        np.add.at(out, triangles[:, i], np.cross(b - a, c - a))
    length = np.linalg.norm(out, axis=1, keepdims=True)
    return np.where(length > 0, out / np.maximum(length, 1e-30), [0.0, 1.0, 0.0])


def _glb_bytes(tree: dict, data: bytes) -> bytes:
    """Header, JSON and numbers as the format's chunks, each filled to four bytes."""
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


# Surfaces of VTK's XML polygon files (.vtp, ASCII), as OpenSim's models name them for their bones: points and polygons
# and nothing else, as OpenSim's own reader (Simbody `PolygonalMesh::loadVtpFile`). Format: VTK File Formats, PolyData.


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
