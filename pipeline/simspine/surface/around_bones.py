"""The skin of an average person laid around a model's bones, for pictures that show both.

`bind` places the skin by joints and points. A picture of skin and bones shows more: which way the model's hand looks,
how long and broad its foot is, how thick a bone. Three steps, in the pose in which the body stands as the surface does:

1. hands are turned about the forearm until the thumbs agree, and sized by the hand's bones; half of that turn goes to
   the forearm, so that the wrist is not wrung (twist distributed along the limb, as in Kavan & Zara 2005);
2. feet take the least rectangle of the foot's bones, and the sole lies below them;
3. where a bone still comes nearer to the surface than flesh is thick, the surface moves outwards along its normals, and
   less and less around, so that it stays smooth.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from simspine.body.model import Body
from simspine.surface.asset import skin_asset
from simspine.surface.binding import BoundSkin, poses_at_rest
from simspine.surface.posing import homogeneous, normals, posed_points, segment_maps
from simspine.surface.segments import SEGMENTS

# Of the model's bones, m on the unscaled body, right side: knuckle of the middle finger, joint between metacarpal and
# first phalanx of the thumb (ends of the meshes), and how far from the wrist the longest finger reaches.
KNUCKLE, THUMB, REACH = (0.0026, -0.087, 0.001), (0.017, -0.053, 0.044), 0.1546
HEEL, TOE, BESIDE, BELOW = 0.008, 0.005, 0.005, 0.008  # m: flesh around the bones of the foot
MARGIN = 0.003  # m: flesh over a bone everywhere
REACHED = 0.05  # m: a bone further than this from any skin has none
ROUNDS, SPREAD, FALL = 6, 10, 0.85  # of moving the skin outwards; rings it goes out to; what is left on each


@dataclass(frozen=True, eq=False)
class _Rest:
    """The body in the surface's pose: poses {body: (4, 4)}, bones {body: (n, 3) m} there."""

    poses: Mapping[str, np.ndarray]
    bones: Mapping[str, np.ndarray]


def around_bones(skin: BoundSkin, body: Body, bones: Mapping[str, np.ndarray]) -> BoundSkin:
    """The skin with the bones inside. bones: {body: (n, 3) m in the body's frame}; of bodies without skin of their own
    as well. The rest of the skin stays where it was."""
    poses = poses_at_rest(body)
    placed = {name: points @ poses[name][:3, :3].T + poses[name][:3, 3] for name, points in bones.items()}
    rest, maps = _Rest(poses, placed), {name: skin.maps[i].copy() for i, name in enumerate(SEGMENTS)}
    for side in "rl":
        if f"hand_{side}" in bones:
            maps |= _hand_maps(side, skin, rest, bones[f"hand_{side}"])
        if f"calcn_{side}" in bones and f"toes_{side}" in bones:
            maps |= _foot_maps(side, skin, rest)
    fitted = replace(skin, maps=np.array([maps[name] for name in SEGMENTS]))
    return _moved_outwards(fitted, rest)


def _hand_maps(side: str, skin: BoundSkin, rest: _Rest, bones: np.ndarray) -> dict[str, np.ndarray]:
    """Of hand and radius: the knuckle stays in its direction, the thumb comes to the bones' thumb."""
    at, mirror = skin.landmarks, np.array([1, 1, 1 if side == "r" else -1])
    size = float(np.linalg.norm(bones, axis=1).max()) / REACH
    hand = rest.poses[f"hand_{side}"]
    world = hand @ homogeneous(skin.maps[SEGMENTS.index(f"hand_{side}")])
    wrist = hand[:3, 3]
    knuckle, thumb = (hand[:3, :3] @ (size * mirror * place) for place in (KNUCKLE, THUMB))
    now = [(world @ [*at[f"{name}_{side}"], 1])[:3] - wrist for name in ("knuckle", "thumb")]
    turn = _frame(knuckle, thumb) @ _frame(*now).T
    scale = np.linalg.norm(knuckle) / np.linalg.norm(now[0])
    half = _about(_halved(turn), wrist)
    found = {"hand": _about(scale * turn, wrist) @ world}
    radius = rest.poses[f"radius_{side}"]
    found["radius"] = half @ radius @ homogeneous(skin.maps[SEGMENTS.index(f"radius_{side}")])
    return {f"{n}_{side}": (np.linalg.inv(rest.poses[f"{n}_{side}"]) @ m)[:3] for n, m in found.items()}


def _foot_maps(side: str, skin: BoundSkin, rest: _Rest) -> dict[str, np.ndarray]:
    """Of calcaneus and toes: the skin's rectangle on the bones', the sole below, the ankle at the ankle."""
    asset, names = skin_asset(), [f"calcn_{side}", f"toes_{side}"]
    main = np.array(asset.segments)[asset.carriers[:, 0]]
    flesh = skin.points[np.isin(main, names)]
    bone = np.concatenate([rest.bones[name] for name in names])
    target, source = _sole(bone), _sole(flesh)
    ours, theirs = bone @ target, flesh @ source
    low, high = ours.min(0) - (HEEL, BELOW, BESIDE), ours.max(0) + np.array([TOE, 0.0, BESIDE])
    start, end = theirs.min(0), theirs.max(0)
    ankle, rest_ankle = rest.poses[f"talus_{side}"][1, 3], skin.landmarks[f"ankle_{side}"][1]
    scale = (high - low) / (end - start)
    scale[1] = (ankle - low[1]) / (rest_ankle - start[1])
    world = np.eye(4)
    world[:3, :3] = target @ np.diag(scale) @ source.T
    world[:3, 3] = target @ (low - scale * start)
    return {name: (np.linalg.inv(rest.poses[name]) @ world)[:3] for name in names}


def _sole(points: np.ndarray) -> np.ndarray:
    """(3, 3) columns: along the foot, up, to its right: axes of the narrowest rectangle around it, from above."""
    angles = np.radians(np.arange(-35.0, 35.5, 0.5))
    aside = np.stack([-np.sin(angles), np.cos(angles)])
    width = np.ptp(points[:, [0, 2]] @ aside, axis=0)
    best = angles[width.argmin()]
    forward = np.array([np.cos(best), 0.0, np.sin(best)])
    up = np.array([0.0, 1.0, 0.0])
    return np.stack([forward, up, np.cross(forward, up)], 1)


def _moved_outwards(skin: BoundSkin, rest: _Rest) -> BoundSkin:
    """With at least `MARGIN` between each bone's points and the surface, in the surface's own pose."""
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
    for _ in range(ROUNDS):
        out = normals(points, asset.triangles)
        away, nearest = cKDTree(points).query(bones)
        depth = ((points[nearest] - bones) * out[nearest]).sum(1)
        short = (depth < MARGIN) & (away < REACHED)
        if not short.any():
            break
        wanted = np.zeros(size)
        np.maximum.at(wanted, nearest[short], MARGIN - depth[short])
        lift = wanted
        for _ in range(SPREAD):
            lift = np.maximum(lift, FALL * (mean @ lift))
        points = points + lift[:, None] * out
    blended = np.einsum("nk,nkij->nij", asset.weights, maps[asset.carriers][..., :3])
    back = np.linalg.solve(blended, (points - start)[..., None])[..., 0]
    return replace(skin, points=skin.points + back)


def _frame(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    x = first / np.linalg.norm(first)
    z = np.cross(x, second)
    z = z / np.linalg.norm(z)
    return np.stack([x, np.cross(z, x), z], 1)


def _halved(turn: np.ndarray) -> np.ndarray:
    """A rotation (3, 3) by half the angle."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(Rotation.from_matrix(turn).as_rotvec() / 2).as_matrix()


def _about(A: np.ndarray, centre: np.ndarray) -> np.ndarray:
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = A, centre - A @ centre
    return out
