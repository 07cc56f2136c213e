"""The bones of a body, out of the meshes its model file names, light enough for a page."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.formats.vtp import read_vtp

# m: edge of the cells whose points become one. Vertebrae are what the page is about and stay as they are; of the others
# a picture of the whole body shows no more. Thin bones (ribs, fingers) need cells smaller than they are thick.
CELLS = {"skull": 0.013, "jaw": 0.011, "hat_ribs_scap": 0.008, "foot": 0.011, "l_foot": 0.011, "talus": 0.01}
HAND, OTHER = 0.007, 0.009
# The same for pictures in motion on machines without a graphics card: half the triangles.
MOVING = {"vertebra": 0.009, "rib": 0.010, "bone": 0.015}
_DENSE = 600  # triangles: other meshes with fewer are left alone
_VERTEBRAE = ("sacrum", "lumbar", "thoracic", "cerv")  # how the mesh files are named


@dataclass(frozen=True, eq=False)
class Bone:
    """A triangle mesh fixed to a body. points: (n, 3) m in the body's frame. triangles: (t, 3) point numbers.

    kind: 'vertebra' (sacrum included), 'rib' (shoulder blades with them) or 'bone'.
    """

    body: str
    points: np.ndarray
    triangles: np.ndarray
    kind: str = "bone"


def bones(osim: str, folder: Path) -> tuple[tuple[Bone, ...], tuple[str, ...]]:
    """The bones in a model file's text, one or two for each body, and the mesh files that were not found.

    folder: where the meshes lie. Only `.vtp` meshes are read. A body's scale factors and the offset frames that carry
    a mesh are applied, so that a pose of the body (4, 4) is all that is needed to place them.
    """
    found, missing = [], []
    for body in ET.fromstring(osim.encode()).iter("Body"):
        parts: dict[str, list[Bone]] = {}
        for mesh, offset in _meshes(body):
            name = (mesh.findtext("mesh_file") or "").strip()
            path = folder / name
            if path.suffix.lower() != ".vtp" or not path.is_file():
                missing.append(name)
                continue
            points, triangles = read_vtp(path)
            points = points * _vector(mesh, "scale_factors", 1.0)
            points, triangles = thinned(points, triangles, _cell(path.stem, body.get("name", ""), len(triangles)))
            placed = points @ offset[:3, :3].T + offset[:3, 3]
            bone = Bone(body.get("name", ""), placed, triangles, _kind(path.stem))
            parts.setdefault(bone.kind, []).append(bone)
        found += [joined(same) for same in parts.values()]
    return tuple(found), tuple(dict.fromkeys(missing))


def _kind(mesh: str) -> str:
    return "vertebra" if mesh.startswith(_VERTEBRAE) else "rib" if "rib" in mesh else "bone"


def _cell(mesh: str, body: str, triangles: int) -> float:
    if _kind(mesh) == "vertebra":
        return 0.0
    if body.startswith("hand"):
        return HAND
    return CELLS.get(mesh, OTHER if triangles > _DENSE else 0.0)


def _meshes(body: ET.Element):
    """(mesh, (4, 4) pose of its frame in the body) of all meshes of a body; frames sit on the body itself."""
    for mesh in body.findall("attached_geometry/Mesh"):
        yield mesh, np.eye(4)
    for frame in body.findall("components/PhysicalOffsetFrame"):
        from scipy.spatial.transform import Rotation

        offset = np.eye(4)
        offset[:3, 3] = _vector(frame, "translation", 0.0)
        offset[:3, :3] = Rotation.from_euler("XYZ", _vector(frame, "orientation", 0.0)).as_matrix()
        for mesh in frame.findall("attached_geometry/Mesh"):
            yield mesh, offset


def _vector(element: ET.Element, name: str, default: float) -> np.ndarray:
    text = element.findtext(name)
    return np.full(3, default) if text is None else np.array(text.split(), float)


def joined(parts: list[Bone]) -> Bone:
    """Several bones of one body and kind as one."""
    starts = np.cumsum([0] + [len(part.points) for part in parts[:-1]])
    return Bone(
        parts[0].body,
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=True)]),
        parts[0].kind,
    )


def thinned(points: np.ndarray, triangles: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Points of one cell of a grid become their mean; triangles that collapse or repeat go.

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
    # The smallest corner first keeps the winding and makes doubles equal.
    corners = np.take_along_axis(corners, (corners.argmin(1)[:, None] + np.arange(3)) % 3, 1)
    corners = np.unique(corners, axis=0)
    used, corners = np.unique(corners, return_inverse=True)
    return centres[used], corners.reshape(-1, 3)


def segments(osim: str) -> tuple[tuple[str, str], ...]:
    """(parent, child) bodies of each joint of a model file's text; those on the ground are left out."""
    pairs = []
    for joints in ET.fromstring(osim.encode()).iter("JointSet"):
        for joint in joints.findall("objects/*"):
            frames = {frame.get("name"): frame.findtext("socket_parent") for frame in joint.findall("frames/*")}
            sockets = [(joint.findtext(f"socket_{side}_frame") or "").strip() for side in ("parent", "child")]
            parent, child = ((frames.get(socket) or socket).strip().rsplit("/", 1)[-1] for socket in sockets)
            if parent and child and "ground" not in (parent, child):
                pairs.append((parent, child))
    return tuple(pairs)
