"""Lifted people of one camera in a world in metres with a floor.

A lifter gives a pose relative to its root. The distance of the root follows from the image and the lens; the scale from
the stature; the vertical and the floor from the posture and feet of the person (`person_frame`). Each of the three has
a standard deviation, and so has every coordinate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simspine.core.errors import InputError
from simspine.vision.lifter import LiftedPose, PeopleLifter
from simspine.vision.one_camera import DetectedPerson
from simspine.vision.person_frame import MEAN_STATURE_M, STATURE_SD_M, PersonFrame, check_height, person_frame

WARM_UP_FRAMES = 30  # as SpinePose
MIN_POINTS_OF_ROOT = 4  # least number of image points that determine the root
INDEPENDENT_POINTS = 4.0  # number of a pose's points with independent errors
LEAN_SD = np.radians(4.6)  # of lifted people's lean along the line of sight: `python -m tools.lifter.lean`
UNKNOWN_PITCH_SD = np.radians(10.0)  # of a camera that is assumed level
LEVEL_CAMERA = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # ahead, left, up


@dataclass(frozen=True)
class WorldChoices:
    """Quantities to estimate. height: of the first person, m; unknown if left out. metric_scale: scale by that height,
    or adults' mean. camera_pose: a world with z up; else the camera's axes. ground_plane: vertical and floor by the
    person; else the camera is assumed level. warm_up: number of first frames that determine the world.
    """

    height: float | None = None
    metric_scale: bool = True
    camera_pose: bool = True
    ground_plane: bool = True
    warm_up: int = WARM_UP_FRAMES

    def __post_init__(self):
        check_height(self.height)
        if self.height is not None and not self.metric_scale:
            raise InputError("a height has no effect without a metric scale; leave one of them out.")


@dataclass(frozen=True, eq=False)
class PlacedPose:
    """xyz, sd: positions and standard deviations (points, 3) m in the world, in the order of the lifter's points."""

    xyz: np.ndarray
    sd: np.ndarray


class FramedPose(NamedTuple):
    """A lifted pose, the same in the world, and that world; the latter None where not known. names: of the points."""

    pose: LiftedPose
    placed: PlacedPose | None
    frame: PersonFrame | None
    names: tuple[str, ...]

    def rows(self, names: Sequence[str], scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x, y, z, score (points, 4) and standard deviations (points, 3) of the named points; 0 for others."""
        points, sd = np.zeros((len(names), 4)), np.zeros((len(names), 3))
        if self.placed is not None:
            rows = [i for i, name in enumerate(names) if name in self.names]
            lifted = [self.names.index(names[i]) for i in rows]
            points[rows, :3], points[rows, 3], sd[rows] = self.placed.xyz[lifted], scores[rows], self.placed.sd[lifted]
        return points, sd


def root_in_camera(pose: LiftedPose) -> tuple[np.ndarray, float]:
    """The root (3,) in the camera's axes, in the lifter's unit, that projects the pose onto its image points; and the
    relative standard deviation of its distance. NaN where too few points were seen.

    Linear least squares: x (Z + tz) = X + tx and y (Z + tz) = Y + ty of each point.
    """
    seen = np.isfinite(pose.image).all(1)
    if seen.sum() < MIN_POINTS_OF_ROOT:
        return np.full(3, np.nan), np.nan
    image, body = pose.image[seen], pose.xyz[seen]
    matrix = np.zeros((len(image), 2, 3))
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1.0
    matrix[:, :, 2] = -image
    root = np.linalg.lstsq(matrix.reshape(-1, 3), (image * body[:, 2:] - body[:, :2]).ravel())[0]
    if root[2] + body[:, 2].min() <= 0:
        return np.full(3, np.nan), np.nan
    residual = (body[:, :2] + root[:2]) / (body[:, 2:] + root[2]) - image
    error = root[2] * np.sqrt((residual**2).sum(1).mean())
    if pose.sd is not None:
        error = np.hypot(error, np.sqrt((pose.sd[seen, :2] ** 2).sum(1).mean()))
    extent = np.sqrt(((body[:, :2] - body[:, :2].mean(0)) ** 2).sum(1).mean())
    return root, float(error / extent / np.sqrt(INDEPENDENT_POINTS))


def frame_of_poses(names: Sequence[str], poses: Sequence[LiftedPose], choices: WorldChoices) -> PersonFrame | None:
    """The world from one person's poses; None where none of them can be placed."""
    placed = [pose.xyz + root_in_camera(pose)[0] for pose in poses]
    xyz = np.array([points for points in placed if np.isfinite(points).all()])
    if not len(xyz):
        return None
    found = person_frame(names, xyz, choices.height)
    scale, scale_sd = found.scale, found.scale_sd
    if not choices.metric_scale:
        scale, scale_sd = 1.0, float(np.hypot(found.scale_sd, STATURE_SD_M / MEAN_STATURE_M))
    R, origin, tilt = found.R, found.origin * scale / found.scale, float(np.hypot(found.tilt_sd, LEAN_SD))
    if not choices.ground_plane:
        R, tilt = LEVEL_CAMERA, float(UNKNOWN_PITCH_SD)
        feet = [names.index(name) for name in ("RHeel", "LHeel", "RBigToe", "LBigToe") if name in names]
        origin = R.T @ np.quantile((scale * xyz[:, feet] @ R.T).reshape(-1, 3), [0.5, 0.5, 0.05], 0).diagonal()
    if not choices.camera_pose:
        R, origin, tilt = np.eye(3), np.zeros(3), 0.0
    return PersonFrame(
        scale=scale, scale_sd=scale_sd, R=R, origin=origin, tilt_sd=tilt, scale_from=found.scale_from,
        height_known=found.height_known, vertical_from=found.vertical_from if choices.ground_plane else "camera",
    )  # fmt: skip


def place_pose(pose: LiftedPose, frame: PersonFrame) -> PlacedPose | None:
    """A pose in the world with standard deviations; None where it cannot be placed.

    Variances add up: of the pose, of the distance along the line of sight, and of scale and vertical about the origin.
    """
    root, distance_sd = root_in_camera(pose)
    if not np.isfinite(root).all():
        return None
    body = frame.scale * pose.xyz
    camera = body + frame.scale * root
    world = (camera - frame.origin) @ frame.R.T
    pose_sd = np.zeros_like(body) if pose.sd is None else frame.scale * pose.sd
    variance = (pose_sd**2) @ (frame.R.T**2)
    variance = variance + (distance_sd * frame.scale * (frame.R @ root)) ** 2
    variance = variance + (frame.scale_sd * world) ** 2
    across = np.linalg.norm(world[:, :2], axis=1)
    variance = variance + (frame.tilt_sd * np.stack([world[:, 2], world[:, 2], across], 1)) ** 2
    return PlacedPose(world, np.sqrt(variance))


class PeoplePlacer:
    """Lifts people and places them in the world, image by image: `push` each image, and `flush` at the end.

    The first frames are held back until the person who is in most of them determines the world. choices: None for no
    world.
    """

    def __init__(self, lifter: PeopleLifter, choices: WorldChoices | None):
        self._lifter, self._choices = lifter, choices
        self._held: list[Mapping[int, LiftedPose]] = []
        self.frame: PersonFrame | None = None

    def push(self, people: Sequence[DetectedPerson], size: tuple[int, int]) -> list[dict[int, FramedPose]]:
        """Add one image. Returns {person: pose} for each image completed by it, in order; none while held back."""
        self._held.append(self._lifter.lift_people(people, size))
        waits = self._choices is not None and self.frame is None and len(self._held) < self._choices.warm_up
        return [] if waits else self._released()

    def place_at_once(self, people: Sequence[DetectedPerson], size: tuple[int, int]) -> dict[int, FramedPose]:
        """The poses of one image, without waiting: the world is of the images until then, up to `warm_up`."""
        poses = self._lifter.lift_people(people, size)
        if self._choices is not None and len(self._held) < self._choices.warm_up:
            self._held.append(poses)
            self.frame = self._world()
        return {number: self._framed(pose) for number, pose in poses.items()}

    def flush(self) -> list[dict[int, FramedPose]]:
        """The images held back; the next image begins a new recording."""
        released = self._released()
        self.frame = None
        return released

    def _released(self) -> list[dict[int, FramedPose]]:
        if self.frame is None:
            self.frame = self._world()
        held, self._held = self._held, []
        return [{number: self._framed(pose) for number, pose in poses.items()} for poses in held]

    def _world(self) -> PersonFrame | None:
        """The world by the person who is in most of the images held back."""
        numbers = [number for poses in self._held for number in poses]
        if self._choices is None or not numbers:
            return None
        first = max(sorted(set(numbers)), key=numbers.count)
        poses = [poses[first] for poses in self._held if first in poses]
        return frame_of_poses(self._lifter.names, poses, self._choices)

    def _framed(self, pose: LiftedPose) -> FramedPose:
        placed = None if self.frame is None else place_pose(pose, self.frame)
        return FramedPose(pose, placed, self.frame, self._lifter.names)
