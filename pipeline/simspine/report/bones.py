"""Bones and skin of a body as meshes for pictures and pages, and the block of numbers that a page carries them in."""

import os
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from simspine.anatomy.body import Body
from simspine.anatomy.skin import (
    SKIN_SEGMENTS,
    BoundSkin,
    homogeneous_map,
    posed_points,
    poses_at_rest,
    segment_maps,
    skin_asset,
    surface_normals,
)
from simspine.core.errors import InputError
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


# The skin of an average person laid around a model's bones. `bind_skin` places it by joints and points; a picture of
# skin and bones shows more: which way the hand looks, how long and broad the foot is, how thick a bone. Three steps, in
# the surface's own pose:
# 1. hands are turned about the forearm until the thumbs agree, and sized by the hand's bones; half of that turn goes to
#    the forearm, so that the wrist is not wrung (twist distributed along the limb, as in Kavan & Zara 2005);
# 2. feet take the least rectangle of the foot's bones, and the sole lies below them;
# 3. where a bone still comes nearer to the surface than flesh is thick, the surface moves outwards along its normals,
#    and less and less around, so that it stays smooth.


# Of the model's bones, m on the unscaled body, right side: knuckle of the middle finger, joint between metacarpal and
# first phalanx of the thumb (ends of the meshes), and how far from the wrist the longest finger reaches.
BONE_KNUCKLE_PLACE, BONE_THUMB_PLACE, HAND_LENGTH_M = (0.0026, -0.087, 0.001), (0.017, -0.053, 0.044), 0.1546
HEEL_FLESH_M, TOE_FLESH_M, SIDE_FLESH_M, SOLE_FLESH_M = 0.008, 0.005, 0.005, 0.008  # around the bones of the foot
MIN_FLESH_M = 0.003  # m: flesh over a bone everywhere
MAX_BONE_DISTANCE_M = 0.05  # m: a bone further than this from any skin has none
OUTWARD_ROUNDS, OUTWARD_RINGS, OUTWARD_DECAY = 6, 10, 0.85  # times of moving, rings it reaches, what each passes on


@dataclass(frozen=True, eq=False)
class _Rest:
    """The body in the surface's pose: poses {body: (4, 4)}, bones {body: (n, 3) m} there."""

    poses: Mapping[str, np.ndarray]
    bones: Mapping[str, np.ndarray]


def skin_around_bones(skin: BoundSkin, body: Body, bones: Mapping[str, np.ndarray]) -> BoundSkin:
    """The skin with the bones inside. bones: {body: (n, 3) m in the body's frame}; of bodies without skin of their own
    as well. The rest of the skin stays where it was."""
    poses = poses_at_rest(body)
    placed = {name: points @ poses[name][:3, :3].T + poses[name][:3, 3] for name, points in bones.items()}
    rest, maps = _Rest(poses, placed), {name: skin.maps[i].copy() for i, name in enumerate(SKIN_SEGMENTS)}
    for side in "rl":
        if f"hand_{side}" in bones:
            maps |= _hand_maps(side, skin, rest, bones[f"hand_{side}"])
        if f"calcn_{side}" in bones and f"toes_{side}" in bones:
            maps |= _foot_maps(side, skin, rest)
    fitted = replace(skin, maps=np.array([maps[name] for name in SKIN_SEGMENTS]))
    return _moved_outwards(fitted, rest)


def _hand_maps(side: str, skin: BoundSkin, rest: _Rest, bones: np.ndarray) -> dict[str, np.ndarray]:
    """Of hand and radius: the knuckle stays in its direction, the thumb comes to the bones' thumb."""
    at, mirror = skin.landmarks, np.array([1, 1, 1 if side == "r" else -1])
    size = float(np.linalg.norm(bones, axis=1).max()) / HAND_LENGTH_M
    hand = rest.poses[f"hand_{side}"]
    world = hand @ homogeneous_map(skin.maps[SKIN_SEGMENTS.index(f"hand_{side}")])
    wrist = hand[:3, 3]
    knuckle, thumb = (hand[:3, :3] @ (size * mirror * place) for place in (BONE_KNUCKLE_PLACE, BONE_THUMB_PLACE))
    now = [(world @ [*at[f"{name}_{side}"], 1])[:3] - wrist for name in ("knuckle", "thumb")]
    turn = _orthonormal_frame(knuckle, thumb) @ _orthonormal_frame(*now).T
    scale = np.linalg.norm(knuckle) / np.linalg.norm(now[0])
    half = _map_about(_half_rotation(turn), wrist)
    found = {"hand": _map_about(scale * turn, wrist) @ world}
    radius = rest.poses[f"radius_{side}"]
    found["radius"] = half @ radius @ homogeneous_map(skin.maps[SKIN_SEGMENTS.index(f"radius_{side}")])
    return {f"{n}_{side}": (np.linalg.inv(rest.poses[f"{n}_{side}"]) @ m)[:3] for n, m in found.items()}


def _foot_maps(side: str, skin: BoundSkin, rest: _Rest) -> dict[str, np.ndarray]:
    """Of calcaneus and toes: the skin's rectangle on the bones', the sole below, the ankle at the ankle."""
    asset, names = skin_asset(), [f"calcn_{side}", f"toes_{side}"]
    main = np.array(asset.segments)[asset.carriers[:, 0]]
    flesh = skin.points[np.isin(main, names)]
    bone = np.concatenate([rest.bones[name] for name in names])
    target, source = _sole_axes(bone), _sole_axes(flesh)
    ours, theirs = bone @ target, flesh @ source
    low = ours.min(0) - (HEEL_FLESH_M, SOLE_FLESH_M, SIDE_FLESH_M)
    high = ours.max(0) + np.array((TOE_FLESH_M, 0.0, SIDE_FLESH_M))
    start, end = theirs.min(0), theirs.max(0)
    ankle, rest_ankle = rest.poses[f"talus_{side}"][1, 3], skin.landmarks[f"ankle_{side}"][1]
    scale = (high - low) / (end - start)
    scale[1] = (ankle - low[1]) / (rest_ankle - start[1])
    world = np.eye(4)
    world[:3, :3] = target @ np.diag(scale) @ source.T
    world[:3, 3] = target @ (low - scale * start)
    return {name: (np.linalg.inv(rest.poses[name]) @ world)[:3] for name in names}


def _sole_axes(points: np.ndarray) -> np.ndarray:
    """(3, 3) columns: along the foot, up, to its right: axes of the narrowest rectangle around it, from above."""
    angles = np.radians(np.arange(-35.0, 35.5, 0.5))
    aside = np.stack([-np.sin(angles), np.cos(angles)])
    width = np.ptp(points[:, [0, 2]] @ aside, axis=0)
    best = angles[width.argmin()]
    forward = np.array([np.cos(best), 0.0, np.sin(best)])
    up = np.array([0.0, 1.0, 0.0])
    return np.stack([forward, up, np.cross(forward, up)], 1)


def _moved_outwards(skin: BoundSkin, rest: _Rest) -> BoundSkin:
    """With at least `MIN_FLESH_M` between each bone's points and the surface, in the surface's own pose."""
    from scipy.sparse import coo_matrix, diags
    from scipy.spatial import cKDTree

    asset = skin_asset()
    maps = segment_maps(skin, {name: pose[None] for name, pose in rest.poses.items()})[0]
    start = posed_points(skin, maps)
    bones = np.concatenate(list(rest.bones.values()))
    edges = np.concatenate([asset.triangles[:, [i, (i + 1) % 3]] for i in range(3)])
    size = len(start)
    joined = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (size, size)).tocsr()
    joined = ((joined + joined.T) > 0).astype(float)
    mean = diags(1 / np.asarray(joined.sum(1)).ravel()) @ joined
    points = start
    for _ in range(OUTWARD_ROUNDS):
        out = surface_normals(points, asset.triangles)
        away, nearest = cKDTree(points).query(bones)
        depth = ((points[nearest] - bones) * out[nearest]).sum(1)
        short = (depth < MIN_FLESH_M) & (away < MAX_BONE_DISTANCE_M)
        if not short.any():
            break
        wanted = np.zeros(size)
        np.maximum.at(wanted, nearest[short], MIN_FLESH_M - depth[short])
        lift = wanted
        for _ in range(OUTWARD_RINGS):
            lift = np.maximum(lift, OUTWARD_DECAY * (mean @ lift))
        points = points + lift[:, None] * out
    blended = np.einsum("nk,nkij->nij", asset.weights, maps[asset.carriers][..., :3])
    back = np.linalg.solve(blended, (points - start)[..., None])[..., 0]
    return replace(skin, points=skin.points + back)


def _orthonormal_frame(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    x = first / np.linalg.norm(first)
    z = np.cross(x, second)
    z = z / np.linalg.norm(z)
    return np.stack([x, np.cross(z, x), z], 1)


def _half_rotation(turn: np.ndarray) -> np.ndarray:
    """A rotation (3, 3) by half the angle."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(Rotation.from_matrix(turn).as_rotvec() / 2).as_matrix()


def _map_about(A: np.ndarray, centre: np.ndarray) -> np.ndarray:
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = A, centre - A @ centre
    return out


# Arrays as one block of numbers.
# Every length is stored as a 16-bit whole number between the least and greatest of its array (about 0.1 mm for a
# room of 6 m), unit quaternions with steps of 3e-5 (0.004°); NaN has a code of its own. A page's script reads
# them without parsing.


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


# The bones of a body, out of the meshes its model file names, light enough for a page.


# m: edge of the cells whose points become one. Vertebrae are what the page is about and stay as they are; of the others
# a picture of the whole body shows no more. Thin bones (ribs, fingers) need cells smaller than they are thick.
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


def bones_of_model(osim: str, folder: Path) -> tuple[tuple[Bone, ...], tuple[str, ...]]:
    """The bones in a model file's text, one or two for each body, and the mesh files that were not found.

    folder: where the meshes lie. Only `.vtp` meshes are read. A body's scale factors and the offset frames that carry
    a mesh are applied, so that a pose of the body (4, 4) is all that is needed to place them.
    """
    found, missing = [], []
    for body in ET.fromstring(osim.encode()).iter("Body"):
        parts: dict[str, list[Bone]] = {}
        for mesh, offset in _meshes_of_body(body):
            name = (mesh.findtext("mesh_file") or "").strip()
            path = folder / name
            if path.suffix.lower() != ".vtp" or not path.is_file():
                missing.append(name)
                continue
            points, triangles = read_vtp(path)
            points = points * _vector_of_element(mesh, "scale_factors", 1.0)
            carrier = body.get("name", "")
            points, triangles = thin_triangles(points, triangles, _cell_size(path.stem, carrier, len(triangles)))
            placed = points @ offset[:3, :3].T + offset[:3, 3]
            bone = Bone(carrier, placed, triangles, _bone_kind(path.stem))
            parts.setdefault(bone.kind, []).append(bone)
        found += [join_bones(same) for same in parts.values()]
    return tuple(found), tuple(dict.fromkeys(missing))


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
    """Several bones of one body and kind as one."""
    starts = np.cumsum([0] + [len(part.points) for part in parts[:-1]])
    points = np.concatenate([part.points for part in parts])
    triangles = np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=True)])
    return Bone(parts[0].body, points, triangles, parts[0].kind)


def thin_triangles(points: np.ndarray, triangles: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
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


def joint_pairs(osim: str) -> tuple[tuple[str, str], ...]:
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


COARSE_CELL_M = 0.022  # m: points of one cell become one while moving
_MAX_CARRIERS = 6  # of each point that a page holds: one in twelve has more, and the rest carries little
_WEIGHT_SUM = 255


def pack_skin(skin: BoundSkin, bodies: Sequence[str], block: Block) -> list[int]:
    """Put a skin into the block; returns the number in `bodies` of each segment that carries it, −1 where not there.

    Arrays skin/, skin-moving/ + points (n, 3) m at rest, carriers (n, 6), weights (n, 6) that add up to 255, faces
    (t, 3); skin-maps (segments, 3, 4), rest → the frame of the segment's body.
    """
    asset = skin_asset()
    block.lengths("skin-maps", skin.maps)
    points, triangles = thin_triangles(skin.points, asset.triangles, COARSE_CELL_M)
    from scipy.spatial import cKDTree

    nearest = cKDTree(skin.points).query(points)[1]
    everyone = np.arange(len(skin.points))
    for name, at, faces, like in (
        ("skin", skin.points, asset.triangles, everyone), ("skin-moving", points, triangles, nearest),
    ):  # fmt: skip
        carriers, weights = strongest_carriers(asset.carriers[like], asset.weights[like])
        block.lengths(f"{name}/points", at)
        block.whole(f"{name}/carriers", carriers)
        block.whole(f"{name}/weights", weights)
        block.whole(f"{name}/faces", faces)
    return [bodies.index(name) if name in bodies else -1 for name in skin.segments]


def strongest_carriers(carriers: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The strongest carriers of each point (n, `_MAX_CARRIERS`), and their weights, whole numbers with the sum 255."""
    order = np.argsort(-weights, axis=1, kind="stable")[:, :_MAX_CARRIERS]
    kept = np.take_along_axis(weights, order, 1)
    whole = np.floor(_WEIGHT_SUM * kept / kept.sum(1, keepdims=True) + 1e-9).astype(int)
    whole[:, 0] += _WEIGHT_SUM - whole.sum(1)
    return np.take_along_axis(carriers, order, 1), whole
