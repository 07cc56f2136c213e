"""Write a skeleton in motion as binary glTF 2.0 (.glb): skinned meshes, one animation. Blender and Unreal read it.

Format: Khronos glTF 2.0 (ISO/IEC 12113). Y up and metres, as here. Frames that are not known have no key: programs draw
straight lines over them, and `asset.extras.gaps` names them.
"""

import json
import os
import struct
from collections.abc import Mapping

import numpy as np

from simspine.arrays import runs
from simspine.formats.atomic import atomic_path
from simspine.formats.skeleton_motion import JointMesh, SkeletonMotion, turned_quaternions

_FLOAT, _USHORT, _UINT = 5126, 5123, 5125
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
        types = {_FLOAT: "<f4", _USHORT: "<u2", _UINT: "<u4"}
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
    nodes = _nodes(motion, local[0])
    roots = [i for i, parent in enumerate(motion.parents) if parent < 0]
    tree: dict = {
        "asset": {"version": "2.0", "generator": "simspine", "extras": {"gaps": _gaps(motion), "rate": motion.rate}},
        "scene": 0,
        "scenes": [{"nodes": roots}],
        "nodes": nodes,
        "animations": [_animation(chunk, local, known / motion.rate, name)],
    }
    if notice:
        tree["asset"]["copyright"] = notice
    if motion.meshes:
        bind = motion.poses[known[0]]
        tree |= _skinned(chunk, motion, bind)
        nodes.append({"name": "body", "mesh": 0, "skin": 0})
        tree["scenes"][0]["nodes"].append(len(nodes) - 1)
    tree |= {"accessors": chunk.accessors, "bufferViews": chunk.views, "buffers": [{"byteLength": len(chunk.data)}]}
    with atomic_path(path) as temporary:
        temporary.write_bytes(_container(tree, bytes(chunk.data)))


def _gaps(motion: SkeletonMotion) -> list[list[int]]:
    return [list(run) for run in runs(np.flatnonzero(~motion.known).tolist())]


def _nodes(motion: SkeletonMotion, rest: np.ndarray) -> list[dict]:
    """A node for each joint, at rest as in the first known frame. rest: (joints, 4, 4) local."""
    turns = turned_quaternions(rest[:, :3, :3])
    nodes: list[dict] = []
    for i, name in enumerate(motion.names):
        node = {"name": name, "translation": rest[i, :3, 3].tolist(), "rotation": turns[i].tolist()}
        children = [child for child, parent in enumerate(motion.parents) if parent == i]
        nodes.append(node | ({"children": children} if children else {}))
    return nodes


def _animation(chunk: _Chunk, local: np.ndarray, time: np.ndarray, name: str) -> dict:
    """Translation and rotation of every joint. local: (keys, joints, 4, 4); time: (keys,) s."""
    clock = chunk.add(time, _FLOAT, "SCALAR", limits=True)
    turns = turned_quaternions(local[..., :3, :3])
    samplers, channels = [], []
    for joint in range(local.shape[1]):
        tracks: Mapping[str, tuple[np.ndarray, str]] = {
            "translation": (local[:, joint, :3, 3], "VEC3"),
            "rotation": (turns[:, joint], "VEC4"),
        }
        for track, (values, kind) in tracks.items():
            samplers.append({"input": clock, "interpolation": "LINEAR", "output": chunk.add(values, _FLOAT, kind)})
            channels.append({"sampler": len(samplers) - 1, "target": {"node": joint, "path": track}})
    return {"name": name, "samplers": samplers, "channels": channels}


def _skinned(chunk: _Chunk, motion: SkeletonMotion, bind: np.ndarray) -> dict:
    """The meshes as one, a part for each material, each corner bound to its joint. bind: (joints, 4, 4) in ground."""
    materials = list(dict.fromkeys((mesh.material, mesh.colour) for mesh in motion.meshes))
    parts = []
    for number, (material, _) in enumerate(materials):
        meshes = [mesh for mesh in motion.meshes if mesh.material == material]
        attributes, triangles = _corners(chunk, meshes, bind)
        parts.append({"attributes": attributes, "indices": triangles, "material": number})
    inverse = np.linalg.inv(bind).swapaxes(1, 2)  # columns first, as the format has matrices
    binds = chunk.add(inverse.reshape(-1, 16), _FLOAT, "MAT4")
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


def _corners(chunk: _Chunk, meshes: list[JointMesh], bind: np.ndarray) -> tuple[dict[str, int], int]:
    """Accessors of some meshes' corners in ground, and of their triangles."""
    points = np.concatenate([m.points @ bind[m.joint, :3, :3].T + bind[m.joint, :3, 3] for m in meshes])
    joints = np.zeros((len(points), 4), int)
    joints[:, 0] = np.concatenate([np.full(len(m.points), m.joint) for m in meshes])
    weights = np.tile([1.0, 0.0, 0.0, 0.0], (len(points), 1))
    starts = np.cumsum([0, *(len(m.points) for m in meshes[:-1])])
    triangles = np.concatenate([m.triangles + start for m, start in zip(meshes, starts, strict=True)])
    attributes = {
        "POSITION": chunk.add(points, _FLOAT, "VEC3", _ARRAY_BUFFER, limits=True),
        "NORMAL": chunk.add(_normals(points, triangles), _FLOAT, "VEC3", _ARRAY_BUFFER),
        "JOINTS_0": chunk.add(joints, _USHORT, "VEC4", _ARRAY_BUFFER),
        "WEIGHTS_0": chunk.add(weights, _FLOAT, "VEC4", _ARRAY_BUFFER),
    }
    return attributes, chunk.add(triangles.reshape(-1), _UINT, "SCALAR", _ELEMENT_BUFFER)


def _normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(points, 3) unit: mean of the triangles around each, by their areas."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    out = np.zeros_like(points)
    for i in range(3):
        np.add.at(out, triangles[:, i], np.cross(b - a, c - a))
    length = np.linalg.norm(out, axis=1, keepdims=True)
    return np.where(length > 0, out / np.maximum(length, 1e-30), [0.0, 1.0, 0.0])


def _container(tree: dict, data: bytes) -> bytes:
    """Header, JSON and numbers as the format's chunks, each filled to four bytes."""
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body
