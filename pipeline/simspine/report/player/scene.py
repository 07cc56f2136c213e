"""What the player shows of one trial, as plain data: no files, no markup. Packed for a page by `pack`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simspine.arrays import checked, frame_ranges
from simspine.errors import InputError
from simspine.geometry import change_frame
from simspine.report.player.bones import Bone
from simspine.report.player.film import Film
from simspine.surface.binding import BoundSkin
from simspine.types import Camera, Markers

TUBE_SD = 2.0  # the tube reaches this many standard deviations: 86 % of an isotropic error lies inside across it
MOST_FRAMES = 3000  # a page holds no more of a trial: about 4 MB; longer ones are thinned
TRUNK_M = (0.45, 1.2)  # above the floor: a trunk's lowest point, of people who sit or stand
_CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity over time. values, sd: (frames,) degrees. band: (low, high, whose). note: why it says little.

    forced: the model sets it, so that it is no measurement. panel: of the curves that share one, its title; '' where
    the curve is alone. chosen: shown from the start. unit: of the values where they are no degrees.
    """

    name: str
    label: str
    values: np.ndarray
    sd: np.ndarray | None = None
    band: tuple[float, float, str] | None = None
    note: str = ""
    forced: bool = False
    panel: str = ""
    chosen: bool = True
    unit: str = "°"


@dataclass(frozen=True, eq=False)
class Scene:
    """One trial, y up, metres.

    points: measured points with origin, NaN = missing. spine: points of the spine from below upwards, with covariance
    where known. poses: {body: (frames, 4, 4)}. bones: each in the frame of its body. segments: pairs of bodies whose
    origins (joint centres) a line joins. cameras: world z up. status, reasons: one text per frame. films: what cameras
    saw. skin: goes with the poses. links: pairs of names of points that a line joins. step: poses are of the first
    frame and every step-th after it.
    """

    name: str
    spine: Markers
    points: Markers | None = None
    poses: Mapping[str, np.ndarray] = field(default_factory=dict)
    bones: Sequence[Bone] = ()
    segments: Sequence[tuple[str, str]] = ()
    cameras: Sequence[Camera] = ()
    status: Sequence[str] | None = None
    reasons: Sequence[str] | None = None
    curves: Sequence[Curve] = ()
    films: Sequence[Film] = ()
    skin: BoundSkin | None = None
    links: Sequence[tuple[str, str]] = ()
    step: int = 1

    def __post_init__(self):
        frames = self.spine.frames
        for markers in filter(None, (self.spine, self.points)):
            if markers.frame != "y_up":
                raise InputError(f"Scene: markers are in frame {markers.frame!r}, expected 'y_up'; see change_frame.")
            if markers.frames != frames:
                raise InputError(f"Scene: points have {markers.frames} frames, the spine has {frames}; cut both alike.")
        for name, pose in self.poses.items():
            checked(f"Scene.poses[{name!r}]", pose, (len(range(0, frames, self.step)), 4, 4))
        for texts in (self.status, self.reasons):
            if texts is not None and len(texts) != frames:
                raise InputError(f"Scene: {len(texts)} texts for {frames} frames.")
        for curve in self.curves:
            checked(f"Scene.curves: {curve.name}", curve.values, (frames,))
        for film in self.films:
            if len(film.body) != (held := len(range(0, frames, film.step))):
                raise InputError(f"Scene: film {film.name} has {len(film.body)} frames, expected {held}.")

    @property
    def frames(self) -> int:
        return self.spine.frames

    @property
    def floor(self) -> float:
        """Height of the floor, m."""
        return floor_height(self.poses, self.bones, self.points)

    @property
    def rejected(self) -> np.ndarray:
        """(frames,) bool; frames that were filled in, too."""
        return np.array([status in ("rejected", "inferred") for status in self.status or [""] * self.frames], bool)

    @property
    def summary(self) -> str:
        """What the player shows, for those who cannot see it."""
        parts = [f"{self.frames} frames at {self.spine.rate:g} per second", f"{len(self.cameras)} cameras"]
        for curve in (curve for curve in self.curves if curve.chosen):
            known = curve.values[np.isfinite(curve.values) & ~self.rejected]
            if known.size:
                parts.append(f"{curve.label} {known.min():.0f} to {known.max():.0f} degrees")
        if self.rejected.any():
            parts.append(f"rejected frames: {frame_ranges(np.flatnonzero(self.rejected))}")
        return f"{self.name}: {', '.join(parts)}."


def step_of(frames: int, most: int) -> int:
    """Of so many frames every first, second, third … is kept, so that there are at most `most`."""
    return max(1, -(-frames // most))


def tube_radius(spine: Markers) -> np.ndarray | None:
    """(frames, points) m: `TUBE_SD` standard deviations of each point in a typical direction; None where not known."""
    if spine.covariance is None:
        return None
    variance = np.diagonal(spine.covariance, axis1=-2, axis2=-1).mean(-1)
    return TUBE_SD * np.sqrt(np.maximum(variance, 0))


def floor_height(poses: Mapping[str, np.ndarray], bones: Sequence[Bone], points: Markers | None) -> float:
    """Height (m) of the floor: the lowest a foot's bones come, else the lowest measured point; of a few frames.

    Of a trunk's points alone the lowest is in `TRUNK_M`: they stand above the frame's origin, which motion capture puts
    on the floor.
    """
    lowest = []
    for bone in bones:
        if bone.body.startswith(("calcn", "toes")) and bone.body in poses:
            pose = poses[bone.body]
            some = pose[:: max(1, len(pose) // 40)]
            lowest.append(np.einsum("fj,pj->fp", some[:, 1, :3], bone.points) + some[:, 1, 3, None])
    if lowest:
        least = np.concatenate([a.min(1) for a in lowest])
        if np.isfinite(least).any():
            return float(np.nanpercentile(least, 5))
    if points is not None and points.present.any():
        low = float(np.nanpercentile(points.xyz[..., 1], 0.5))
        return 0.0 if TRUNK_M[0] < low < TRUNK_M[1] else low
    return 0.0


def frustum(camera: Camera, depth: float = 0.35) -> np.ndarray:
    """(5, 3) m, y up: the optical centre and the corners of the image `depth` m in front of it; distortion left out."""
    pixels = _CORNERS * camera.size
    normal = (pixels - camera.K[:2, 2]) @ np.linalg.inv(camera.K[:2, :2]).T
    rays = np.concatenate([normal, np.ones((4, 1))], 1) * depth
    corners = (rays - camera.t) @ camera.R  # R.T (x − t), rows
    return change_frame(np.concatenate([camera.centre[None], corners]), "z_up", "y_up")
