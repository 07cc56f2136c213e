"""Spine kinematics of a trial: angles per level, curvature, spine markers. Signs and sequences: docs/spine.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simspine.arrays import Unchanging
from simspine.errors import InputError, position, unknown_name
from simspine.spine.curvature import lumbar_lordosis, thoracic_kyphosis
from simspine.spine.endplates import Vertebra
from simspine.spine.levels import LEVELS, SPINE_MARKERS, Level
from simspine.spine.parameters import ClinicalParameters
from simspine.spine.rotations import as_rotations, yxz_angles, zxy_angles
from simspine.types import Forced, Markers, read_only

# Right-hand rotations about z (right), x (forward), y (up) are extension, bending to the right, turning to the left.
# We report flexion positive, as clinicians read it.
_SIGNS = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class SpineKinematics(Unchanging):
    """What a trial says about the spine.

    levels: names, joints first. angles: (frames, levels, 3) rad: flexion, bending to the right, turning to the left;
    relative to the neutral pose, for segments in space relative to the ground. lla, tka: (frames,) rad, Cobb L1–S1
    (lordosis positive), T3–T12 (kyphosis positive). markers: the fifteen spine points, y_up. repaired: (frames,
    levels) bool, where a gimbal wrap was undone. forced: {level, 'lla' or 'tka': what the model forces there, ()
    where nothing}. start: time of the first frame, s. Frames that were not solved are NaN; the engine 'trajectory'
    gives for them what follows from the frames around, less surely, and the verdict rejects them. lla_sd, tka_sd,
    angles_sd: standard deviations of the same shapes, lla_change_sd, tka_change_sd: of what LLA and TKA are away from
    their mean over some 600 frames; None where the solver gave none. centres: centroids of the vertebrae C1…L5, S1,
    y_up, with covariance where the solver gave one. clinical: alignment of pelvis and spine, and angles of limb joints,
    where the poses of all bodies were at hand.
    """

    rate: float
    start: float
    levels: tuple[str, ...]
    angles: np.ndarray
    lla: np.ndarray
    tka: np.ndarray
    markers: Markers
    repaired: np.ndarray
    forced: Mapping[str, tuple[Forced, ...]] = field(default_factory=dict)
    lla_sd: np.ndarray | None = None
    tka_sd: np.ndarray | None = None
    angles_sd: np.ndarray | None = None
    lla_change_sd: np.ndarray | None = None
    tka_change_sd: np.ndarray | None = None
    centres: Markers | None = None
    clinical: ClinicalParameters | None = None

    def __post_init__(self):
        frames, levels = np.shape(self.lla)[0] if np.ndim(self.lla) else -1, len(self.levels)
        curve, angles = (frames,), (frames, levels, 3)
        wanted = {"lla": curve, "tka": curve, "angles": angles, "angles_sd": angles}
        wanted |= {f"{name}{kind}_sd": curve for name in ("lla", "tka") for kind in ("", "_change")}
        for name, shape in (wanted | {"repaired": (frames, levels)}).items():
            value = getattr(self, name)
            if value is not None or not name.endswith("_sd"):
                array = read_only("SpineKinematics", name, value, shape, bool if name == "repaired" else float)
                object.__setattr__(self, name, array)
        for name, points in (("markers", self.markers), ("centres", self.centres)):
            if points is not None and points.frames != frames:
                raise InputError(f"SpineKinematics.{name} has {points.frames} frames, lla has {frames}.")
        if self.clinical is not None and len(self.clinical.values) != frames:
            raise InputError(f"SpineKinematics.clinical has {len(self.clinical.values)} frames, lla has {frames}.")
        object.__setattr__(self, "levels", tuple(self.levels))
        object.__setattr__(self, "rate", float(self.rate))
        object.__setattr__(self, "start", float(self.start))
        object.__setattr__(self, "forced", {str(k): tuple(v) for k, v in self.forced.items()})

    @property
    def frames(self) -> int:
        return len(self.lla)

    @property
    def time(self) -> np.ndarray:
        """(frames,) s."""
        return self.start + np.arange(self.frames) / self.rate

    def level(self, name: str) -> np.ndarray:
        """(frames, 3) rad of one level; raises `InputError` listing the levels there are."""
        return self.angles[:, position(name, self.levels, "level")]


def relative_angles(
    parent_poses: np.ndarray,
    child_poses: np.ndarray,
    neutral: np.ndarray | None = None,
    axes: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Angles of a child body on its parent: (frames, 3) rad: flexion, bending to the right, turning to the left; and
    where a wrap was undone, (frames,) bool.

    Poses: (frames, 4, 4) or rotations (frames, 3, 3) in ground. neutral: the child's rotation in its parent, (3, 3),
    where all angles are zero (default: identity). axes: the joint's frame in the parent's, columns x forward, y up, z
    right (default: the parent's own). With C = parentᵀ child, Q = axesᵀ C neutralᵀ axes is split body-fixed Z-X-Y, as
    OpenSim's joint rotates. Continuous in time through gimbal lock and whole turns; NaN where a pose is.
    """
    parent, child = as_rotations(parent_poses, "parent_poses"), as_rotations(child_poses, "child_poses")
    turn = np.swapaxes(parent, 1, 2) @ child
    if neutral is not None:
        turn = turn @ np.asarray(neutral, float)[:3, :3].T
    if axes is not None:
        axes = np.asarray(axes, float)[:3, :3]
        turn = axes.T @ turn @ axes
    angles, repaired = zxy_angles(turn)
    return angles * _SIGNS + 0.0, repaired  # no −0


def segment_angles(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles of a segment in space: (frames, 3) rad: forward tilt, tilt to the right, heading to the left of ground's
    x; and where a wrap was undone, (frames,) bool.

    Sequence Y-X-Z (heading first), so that tilts are about the subject's own axes whichever way the subject faces.
    """
    angles, repaired = yxz_angles(as_rotations(poses))
    return angles[:, ::-1] * _SIGNS + 0.0, repaired


def spine_kinematics(
    poses: Mapping[str, np.ndarray],
    markers: Markers,
    vertebrae: Mapping[str, Vertebra],
    *,
    neutral: Mapping[str, np.ndarray] | None = None,
    levels: Sequence[Level] = LEVELS,
    forced: Mapping[str, tuple[Forced, ...]] | None = None,
    spine_markers: Mapping[str, str] | None = None,
) -> SpineKinematics:
    """Everything the model says about the spine in one trial.

    poses: {body: (frames, 4, 4)} in ground (m, y_up), NaN where not solved. markers: forward kinematics of the model
    at the same frames (y_up); the spine's points are taken from it, none may lack. vertebrae: `read_endplates`,
    scaled or not (angles do not depend on it). neutral: {body: (4, 4)} of the pose in which all angles are zero
    (default: all bodies aligned, as in the model with lumbar detail). forced: `simspine.spine.forced.forced_by_model`.
    spine_markers: {spine point: its name in `markers`} where that is another
    (`simspine.body.recipes.virtual_spine_markers`).
    """
    if markers.frame != "y_up":
        raise InputError(f"markers are in frame {markers.frame!r}; body poses are y_up, so hand in y_up markers.")
    needed = {name for level in levels for name in (level.parent, level.child) if name is not None}
    for body in sorted(needed - set(poses)):
        raise unknown_name("body", body, poses, "the poses")
    for body in sorted(needed):
        if len(poses[body]) != markers.frames:
            raise InputError(f"poses of {body!r} have {len(poses[body])} frames, the markers {markers.frames}.")
    points = markers.select([(spine_markers or {}).get(name, name) for name in SPINE_MARKERS])
    results = [level_angles(level, poses, neutral or {}) for level in levels]
    return SpineKinematics(
        rate=markers.rate,
        start=markers.start,
        levels=tuple(level.name for level in levels),
        angles=np.stack([angles for angles, _ in results], 1),
        lla=lumbar_lordosis(poses, vertebrae),
        tka=thoracic_kyphosis(poses, vertebrae),
        markers=points.with_(names=SPINE_MARKERS),
        repaired=np.stack([repaired for _, repaired in results], 1),
        forced=dict(forced or {}),
        centres=vertebra_centroids(poses, vertebrae, markers.rate, markers.start),
    )


def level_angles(level: Level, poses: Mapping, neutral: Mapping) -> tuple[np.ndarray, np.ndarray]:
    """Angles (frames, 3) rad of a level, signed as in `SpineKinematics`, and (frames,) where a wrap was undone."""
    if level.parent is None:
        return segment_angles(poses[level.child])
    at_rest = None
    if neutral:
        parent, child = (as_rotations(neutral.get(name, np.eye(3)))[0] for name in (level.parent, level.child))
        at_rest = parent.T @ child
    return relative_angles(poses[level.parent], poses[level.child], at_rest)


def vertebra_centroids(
    poses: Mapping[str, np.ndarray], vertebrae: Mapping[str, Vertebra], rate: float, start: float = 0.0
) -> Markers:
    """Centroids in ground of vertebrae (scaled as the body is): Markers C1…L5, S1 (m, y_up)."""
    xyz = []
    for vertebra in vertebrae.values():
        if vertebra.body not in poses:
            raise unknown_name("body", vertebra.body, poses, "the poses")
        pose = np.asarray(poses[vertebra.body], float)
        xyz.append(pose[:, :3, :3] @ np.array(vertebra.centroid) + pose[:, :3, 3])
    return Markers(tuple(vertebrae), rate, np.stack(xyz, 1), frame="y_up", start=start)
