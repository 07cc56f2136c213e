"""Places on the back that may be markers on the skin, offered to be named: spots that two views show alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from simspine.cameras.epipolar import apart_px, usually_apart_px
from simspine.detection.skin_markers import TRUNK
from simspine.errors import InputError
from simspine.geometry import undistort
from simspine.triangulation.solve import triangulate
from simspine.types import Camera, Keypoints

APART_PX = 5.0  # epipolar distance up to which two views show one spot, beyond what the calibration makes them differ
ANY_PX = 100.0  # error up to which a spot is placed: before a refinement of the cameras
APART_SD, UNLIKE_SD = 2.5, 0.5  # px; of the logarithm of how much stands out: of two views of one spot
SKIN_M, SKIN_SD = 0.08, 0.05  # the skin of the back behind the plane through hips and shoulders
ALONG = (-0.15, 1.3)  # of the way from hips to shoulders
BEHIND_M = (0.0, 0.25)  # of the plane through hips and shoulders
BESIDE = 0.6  # of the shoulders' distance, to either side


@dataclass(frozen=True)
class Proposal:
    """A spot on the back. views: {name of a view: (2,) px}, two or more. along: 0 at the hips, 1 at the shoulders."""

    views: dict[str, np.ndarray]
    along: float


def propose_clicks(
    keypoints: Keypoints, frame: int, cameras: Sequence[Camera], spots: Sequence[np.ndarray]
) -> list[Proposal]:
    """Spots that two views or more show at one place on the back, from the head downwards.

    keypoints: the person. frame: of the keypoints, in which they are. spots: (spots, 3) x px, y px and how much stands
    out there, in each view (`spots_on_trunk`). Cameras before the person are left out. Raises `InputError` where the
    trunk is not seen by two views.
    """
    trunk = _trunk(keypoints, frame, cameras)
    behind = [v for v, camera in enumerate(cameras) if len(spots[v]) and trunk.faces(camera)]
    pairs: list[tuple[float, float, tuple[int, int], tuple[int, int]]] = []
    for a, b in combinations(behind, 2):
        apart = _apart(keypoints, cameras, (a, b), spots)
        for i, j in np.argwhere(apart < APART_PX):
            views = {cameras[a].name: spots[a][i, :2], cameras[b].name: spots[b][j, :2]}
            place = trunk.place(_in_space(views, keypoints.rate, cameras))
            if place is not None:
                unlike = np.log(spots[a][i, 2] / spots[b][j, 2])
                cost = (apart[i, j] / APART_SD) ** 2 + (unlike / UNLIKE_SD) ** 2 + ((place[1] - SKIN_M) / SKIN_SD) ** 2
                pairs.append((float(cost), place[0], (a, int(i)), (b, int(j))))
    taken: set[tuple[int, int]] = set()
    found = []
    for _, along, first, second in sorted(pairs):
        if first not in taken and second not in taken:
            taken |= {first, second}
            found.append(Proposal({cameras[v].name: spots[v][k, :2] for v, k in (first, second)}, along))
    return sorted(found, key=lambda proposal: -proposal.along)


@dataclass(frozen=True)
class _Trunk:
    """Where the trunk is: middle of the hips (3,) m, the way to the shoulders' (3,), unit vectors, shoulders apart."""

    hips: np.ndarray
    up: np.ndarray
    right: np.ndarray
    back: np.ndarray
    width: float

    def faces(self, camera: Camera) -> bool:
        """Whether the back is turned to the camera."""
        return bool((camera.centre - self.hips) @ self.back > 0)

    def place(self, xyz: np.ndarray) -> tuple[float, float] | None:
        """(0 at the hips to 1 at the shoulders, m behind their plane) of a place (3,) m; None if not on the back."""
        off = xyz - self.hips
        along = float(off @ self.up / (self.up @ self.up))
        beside, behind = float((off - along * self.up) @ self.right), float((off - along * self.up) @ self.back)
        inside = ALONG[0] < along < ALONG[1] and BEHIND_M[0] < behind < BEHIND_M[1]
        return (along, behind) if inside and abs(beside) < BESIDE * self.width else None


def _trunk(keypoints: Keypoints, frame: int, cameras: Sequence[Camera]) -> _Trunk:
    some = keypoints.select(TRUNK)
    now = Keypoints(TRUNK, some.rate, some.xy[frame : frame + 1], some.confidence[frame : frame + 1])
    (at,) = triangulate(now, cameras, max_error_px=ANY_PX, min_confidence=0.0).xyz
    if not np.isfinite(at).all():
        raise InputError(f"shoulders and hips are not seen by two views in frame {frame}; choose another frame.")
    left, right, left_hip, right_hip = at
    hips = (left_hip + right_hip) / 2
    up, across = (left + right) / 2 - hips, right - left
    back = np.cross(across, up)
    across = across / np.linalg.norm(across)
    return _Trunk(hips, up, across, back / np.linalg.norm(back), float(np.linalg.norm(right - left)))


def _apart(keypoints: Keypoints, cameras: Sequence[Camera], pair: tuple[int, int], spots) -> np.ndarray:
    """(spots of a, spots of b) px of epipolar distance, less what the person's points differ by, the calibration's."""
    a, b = (cameras[v] for v in pair)
    calibration = usually_apart_px(a, b, *(undistort(cameras[v], keypoints.xy[:, v]) for v in pair))
    rays = [undistort(cameras[v], spots[v][:, :2]) for v in pair]
    first = np.broadcast_to(rays[0][:, None], (len(rays[0]), len(rays[1]), 2))
    return np.abs(apart_px(a, b, first, np.broadcast_to(rays[1][None], first.shape)) - calibration)


def _in_space(views: dict[str, np.ndarray], rate: float, cameras: Sequence[Camera]) -> np.ndarray:
    """(3,) m; NaN where the rays do not meet."""
    xy = np.array([views.get(camera.name, np.full(2, np.nan)) for camera in cameras])[None, :, None]
    one = Keypoints(("spot",), rate, xy, np.isfinite(xy).all(-1).astype(float))
    return triangulate(one, cameras, max_error_px=ANY_PX).xyz[0, 0]
