"""Where our bodies' joints and vertebrae are in Anny's surface: landmarks that are linear in the surface's points.

Limb joints are the surface's own but for the hip, which MakeHuman has far out and high: it is put above the crotch, as
far apart and as deep as our body has it. Vertebrae are put behind one another at our body's heights (from hip to
eyes), as far before the skin of the back as published depths say (`opensim_models/skin.yaml`); the neck lies between
T1 and the joint of the surface's head.
"""

from functools import cache

import numpy as np

from simspine.anatomy.body import neutral_poses
from simspine.anatomy.marker_sets import PELVIS_SKIN_MARKERS, read_skin_table
from simspine.anatomy.skin import SPINE_SEGMENTS
from simspine.synthesis.bodies import unscaled_body

HIP_ABOVE_CROTCH = 0.033  # of the stature: 51.5 % of it where the crotch is at 48–49 % (Winter's segments; from memory)
FRONT_SHARE = 0.2  # how far a vertebra goes with the front where a shape moves front and back differently (ours)
# Landmark: bones whose heads' mean it is ({s}: L or R).
_BONES = {
    "knee": ("lowerleg01.{s}",), "ankle": ("foot.{s}",), "toes": ("toe1-1.{s}", "toe3-1.{s}", "toe5-1.{s}"),
    "shoulder": ("upperarm01.{s}",), "elbow": ("lowerarm01.{s}",), "wrist": ("wrist.{s}",),
    "knuckle": ("finger3-1.{s}",), "thumb": ("finger1-2.{s}",), "clavicle": ("clavicle.{s}",), "eye": ("eye.{s}",),
}  # fmt: skip
SHOULDER_UP = 0.010  # m above the bone's head, which lies low under a raised arm (ours)


class Landmarks:
    """Of a surface: points (n, 3) m and heads (bones, 3) m."""

    def __init__(self, bones: list[str], points: np.ndarray, heads: np.ndarray | None):
        self.bones, self.points, self.heads = bones, points, heads
        middle = np.flatnonzero(np.abs(points[:, 2]) < 1e-3)
        self.middle = middle[np.argsort(points[middle, 1])]
        self.crotch = self._crotch()

    @staticmethod
    def names() -> list[str]:
        sided = [f"{name}_{side}" for side in "rl" for name in ("hip", *_BONES, "heel", "big_toe", "small_toe", "ear")]
        return [*sided, "nose", "vertex", *SPINE_SEGMENTS]

    def places(self) -> np.ndarray:
        """(landmarks, 3) m."""
        return self._all(self.points, self.heads, 1.0)

    def moved(self, points: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """(landmarks, 3) m: how they move where the points and heads move so."""
        return self._all(points, heads, 0.0)

    def _all(self, v: np.ndarray, heads: np.ndarray, constant: float) -> np.ndarray:
        """The landmarks' linear functions of points and heads; constant: 1 for places, 0 for changes."""
        found = {}
        for side in "rl":
            for name, bones in _BONES.items():
                at = [self.bones.index(bone.format(s=side.upper())) for bone in bones]
                found[f"{name}_{side}"] = heads[at].mean(0)
            found[f"shoulder_{side}"] = found[f"shoulder_{side}"] + [0, constant * SHOULDER_UP, 0]
            for name, vertex in self._feet_and_ears(side).items():
                found[f"{name}_{side}"] = v[vertex]
        eyes = (found["eye_r"] + found["eye_l"]) / 2
        stature = np.ptp(self.points[:, 1])
        low = v[self.crotch] + [0, constant * HIP_ABOVE_CROTCH * stature, 0]
        found["nose"], found["vertex"] = v[self._nose()], v[self.points[:, 1].argmax()]
        generic = generic_places()
        own_span = self._eye_height() - (self.points[self.crotch, 1] + HIP_ABOVE_CROTCH * stature)
        scale = own_span / (generic["eye"][1] - generic["hip"][1])
        for name in SPINE_SEGMENTS[:-8]:
            share = (generic[name][1] - generic["hip"][1]) / (generic["eye"][1] - generic["hip"][1])
            height = (1 - share) * low[1] + share * eyes[1]
            own = (1 - share) * (self.points[self.crotch, 1] + HIP_ABOVE_CROTCH * stature) + share * self._eye_height()
            back, front = (self._profile(v, own, which)[0] for which in ("back", "front"))
            forward = back if constant else (1 - FRONT_SHARE) * back + FRONT_SHARE * front
            found[name] = np.array([forward + constant * scale * depth_of(name), height, 0.0])
        found |= _neck(found["T1"], heads[self.bones.index("head")], generic)
        for side, sign in (("r", 1.0), ("l", -1.0)):
            forward = found["lumbar5"][0] + constant * scale * (generic["hip"][0] - generic["lumbar5"][0])
            wide = constant * scale * generic["hip"][2]
            found[f"hip_{side}"] = np.array([forward, low[1], sign * wide])
        return np.array([found[name] for name in self.names()])

    def _crotch(self) -> int:
        """The lowest point of the middle between the legs."""
        return int(self.middle[0])

    def _eye_height(self) -> float:
        if self.heads is None:
            return float(self.points[self._nose(), 1])
        return float(self.heads[[self.bones.index(f"eye.{s}") for s in "LR"], 1].mean())

    def _nose(self) -> int:
        """The foremost point of the middle of the head."""
        head = self.middle[self.points[self.middle, 1] > self.points[:, 1].max() - 0.25]
        return int(head[self.points[head, 0].argmax()])

    def _feet_and_ears(self, side: str) -> dict[str, int]:
        """Points of the surface: rear of the heel, tips of toes, the ear's outermost."""
        v, sign = self.points, 1.0 if side == "r" else -1.0
        foot = np.flatnonzero((v[:, 1] < v[:, 1].min() + 0.06) & (sign * v[:, 2] > 0))
        front = foot[v[foot, 0] > v[foot, 0].max() - 0.07]
        inner = front[(sign * v[front, 2]).argsort()]
        third = len(inner) // 3
        big = inner[:third][v[inner[:third], 0].argmax()]
        small = inner[-third:][v[inner[-third:], 0].argmax()]
        head = np.flatnonzero((v[:, 1] > v[:, 1].max() - 0.20) & (v[:, 1] < v[:, 1].max() - 0.09))
        ear = head[(sign * v[head, 2]).argmax()]
        return {"heel": int(foot[v[foot, 0].argmin()]), "big_toe": int(big), "small_toe": int(small), "ear": int(ear)}

    def _profile(self, v: np.ndarray, height: float, which: str) -> np.ndarray:
        """(3,) of v, in the middle of the back or front at a height of this surface."""
        points = self.points[self.middle]
        near = self.middle[np.abs(points[:, 1] - height) < 0.045]
        centre = self.points[near, 0].mean()
        side = near[(self.points[near, 0] < centre) == (which == "back")]
        heights = self.points[side, 1]
        above, below = (side[np.where(sel, np.abs(heights - height), np.inf).argmin()]
                        for sel in (heights >= height, heights <= height))  # fmt: skip
        span = self.points[above, 1] - self.points[below, 1]
        share = 0.0 if span < 1e-9 else (height - self.points[below, 1]) / span
        return share * v[above] + (1 - share) * v[below]


def _neck(below: np.ndarray, above: np.ndarray, generic: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """C7 to the head's joint: our body's curve between the two ends, turned and stretched onto `below` and `above`.

    In the sagittal plane that is linear in the ends, so it serves for changes as well.
    """
    start, chord = (
        complex(*generic[SPINE_SEGMENTS[-9]][:2]),
        complex(*(generic["head"] - generic[SPINE_SEGMENTS[-9]])[:2]),
    )
    found = {}
    for name in SPINE_SEGMENTS[-8:]:
        share = (complex(*generic[name][:2]) - start) / chord
        at = complex(*below[:2]) + share * complex(*(above - below)[:2])
        found[name] = np.array([at.real, at.imag, 0.0])
    return found


@cache
def generic_places() -> dict[str, np.ndarray]:
    """Origins of bodies, the right hip and the middle between the eyes of our unscaled body, m."""
    body = unscaled_body()[1]
    poses = neutral_poses(body)
    found = {name: poses[name][:3, 3] for name in SPINE_SEGMENTS}
    eye = body.marker_index("REye_virtual")
    pose = poses[body.marker_bodies[eye]]
    found["eye"] = (pose @ [*body.marker_offsets[eye], 1])[:3] * [1, 1, 0]
    return found | {"hip": poses["femur_r"][:3, 3]}


def depth_of(name: str) -> float:
    """m from the origin of a body of the spine straight back to the skin, of our unscaled body."""
    table, generic = read_skin_table(), generic_places()
    pelvis = neutral_poses(unscaled_body()[1])["pelvis"][:3, 3]
    places = [table.places[level] for level in table.levels if level not in PELVIS_SKIN_MARKERS]
    skin = np.array([np.array(table.origins[p.body]) + p.bone - [p.depth, 0, 0] for p in places]) + pelvis
    order = skin[:, 1].argsort()
    height = generic[name][1]
    return float(generic[name][0] - np.interp(height, skin[order, 1], skin[order, 0]))


def spine_centres(landmarks: Landmarks) -> tuple[np.ndarray, np.ndarray]:
    """Places (levels, 3) of the spine's bodies, and how far before the skin of the back (levels,), m."""
    places = dict(zip(Landmarks.names(), landmarks.places(), strict=True))
    centres = np.array([places[name] for name in SPINE_SEGMENTS])
    back = [landmarks._profile(landmarks.points, height, "back")[0] for height in centres[:, 1]]
    return centres, centres[:, 0] - back
