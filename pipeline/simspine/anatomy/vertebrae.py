"""Spine kinematics of a trial: angles per level, curvature, spine markers. Signs and sequences: docs/spine.md."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simspine.anatomy import curvature
from simspine.core.errors import InputError, index_of_name, require_known
from simspine.core.geometry import as_rotations, yxz_angles, zxy_angles
from simspine.core.types import Clocked, Forced, ForcedKind, HoldsArrays, Markers

# What the model decides before any data: couplers, locked coordinates, vertebrae that share one rigid body. A trend
# that a coupler forces is reported as forced, never as a finding.
KIND_LOCKED, KIND_COUPLED, KIND_RIGID, KIND_SUM = ForcedKind


@dataclass(frozen=True)
class Coupler:
    """A coordinate that depends linearly on another (slope None: by another function)."""

    dependent: str
    independent: str
    slope: float | None = None


def forced_by_model(
    couplers: Iterable[Coupler],
    vertebrae: Mapping[str, curvature.Vertebra],
    *,
    locked: Iterable[str] = (),
    levels: Sequence[curvature.Level] = curvature.SPINE_LEVELS,
) -> dict[str, tuple[Forced, ...]]:
    """{level, 'lla', 'tka': what the model forces there}, () where it is free.

    couplers: of the model (`simspine.anatomy.body.Body.couplers`). locked: names of coordinates.
    """
    by_name = {coupler.dependent: coupler for coupler in couplers}
    locked = set(locked)
    facts = {level.name: tuple(_forced_of_joint(level, by_name, locked)) for level in levels}
    joints = [level for level in levels if level.coordinates]
    for level in levels:
        if level.parent and not level.coordinates:
            facts[level.name] = tuple(_forced_of_span(joints_between(joints, level.parent, level.child), by_name))
    for name, ends in (("lla", curvature.LLA_LEVELS), ("tka", curvature.TKA_LEVELS)):
        upper, lower = (curvature.endplate_of(vertebrae, *end) for end in ends)
        if upper.body == lower.body:
            facts[name] = (
                Forced(KIND_RIGID, curvature.MOTION_PLANES, spans=(ends[0][0], ends[1][0]), body=upper.body),
            )
        else:
            between = joints_between(joints, lower.body, upper.body)
            facts[name] = tuple(_forced_of_span(between, by_name, planes=curvature.MOTION_PLANES[:1]))
    return facts


def forced_between(
    couplers: Iterable[Coupler], levels: Sequence[curvature.Level], lower: str, upper: str
) -> dict[str, tuple[Forced, ...]]:
    """{plane: what the model forces of the body `upper` on the body `lower` below it}, () where it is free or no chain
    of joints joins them. levels: of the body, with their coordinates."""
    by_name = {coupler.dependent: coupler for coupler in couplers}
    joints = joints_between([level for level in levels if level.coordinates], lower, upper)
    facts = tuple(_forced_of_span(joints, by_name))
    return {plane: tuple(fact for fact in facts if plane in fact.planes) for plane in curvature.MOTION_PLANES}


def forced_sentence(facts: Iterable[Forced]) -> str:
    """The facts forced by the model as text for people; '' without facts."""
    return "; ".join(_forced_in_words(fact) for fact in facts)


def _forced_in_words(fact: Forced) -> str:
    planes = " and ".join(fact.planes)
    if fact.kind is KIND_LOCKED:
        return f"{planes} locked"
    if fact.kind is KIND_COUPLED:
        factor = "a function of" if fact.ratio is None else f"{fact.ratio:.4g} ×"
        return f"{planes} = {factor} {fact.driver}"
    if fact.kind is KIND_RIGID:
        return f"constant: {' and '.join(fact.spans)} are on the same rigid body {fact.body!r}"
    total = "" if fact.ratio is None else f", sum of ratios {fact.ratio:.4g}"
    return f"{planes} of all {len(fact.spans)} levels from the one coordinate {fact.driver}{total}"


def _forced_of_joint(level: curvature.Level, couplers: Mapping[str, Coupler], locked: set[str]) -> Iterator[Forced]:
    for plane, coordinate in zip(curvature.MOTION_PLANES, level.coordinates, strict=False):
        if coordinate in locked:
            yield Forced(KIND_LOCKED, (plane,))
        elif coordinate in couplers:
            coupler = couplers[coordinate]
            yield Forced(KIND_COUPLED, (plane,), coupler.independent, coupler.slope)


def joints_between(joints: Sequence[curvature.Level], lower: str, upper: str) -> list[curvature.Level]:
    """Joints on the way up from the body `lower` to the body `upper`; empty where they do not form a chain."""
    by_child = {joint.child: joint for joint in joints}
    foot = "sacrum" if lower == "pelvis" else lower  # the sacrum is welded to the pelvis
    chain: list[curvature.Level] = []
    body: str | None = upper
    while body != foot and body in by_child:
        chain.append(by_child[body])
        body = chain[-1].parent
    return chain if body == foot else []


def _forced_of_span(
    joints: Sequence[curvature.Level], couplers: Mapping[str, Coupler], planes: Sequence[str] = curvature.MOTION_PLANES
) -> Iterator[Forced]:
    for k, plane in enumerate(planes):
        names = [joint.coordinates[k] for joint in joints]
        drivers = {couplers[name].independent if name in couplers else name for name in names}
        if len(names) > 1 and len(drivers) == 1:
            slopes = [couplers[name].slope if name in couplers else 1.0 for name in names]
            known = [slope for slope in slopes if slope is not None]
            total = sum(known) if len(known) == len(slopes) else None
            spans = tuple(joint.name for joint in joints)
            yield Forced(KIND_SUM, planes=(plane,), driver=drivers.pop(), ratio=total, spans=spans)


@dataclass(frozen=True, eq=False)
class ClinicalParameters(HoldsArrays):
    """Clinical parameters of a trial, frame by frame: alignment of pelvis and spine, angles of limb joints.

    names: of `simspine.anatomy.clinical.CLINICAL_DEFINITIONS`. units: 'rad' or 'm' of each. values: (frames,
    parameters), NaN = not known. deviation: standard deviations, (frames, parameters); None where the solver gave none.
    forced: {name: what the model forces of it}, () or absent where nothing; `planes` names the angle of a limb joint.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: np.ndarray
    deviation: np.ndarray | None = None
    forced: Mapping[str, tuple[Forced, ...]] = field(default_factory=dict)

    def __post_init__(self):
        forced = {str(k): tuple(v) for k, v in self.forced.items()}
        self._set(names=tuple(map(str, self.names)), units=tuple(map(str, self.units)), forced=forced)
        if len(self.units) != len(self.names):
            raise InputError(
                f"ClinicalParameters has {len(self.units)} units, expected one for each of {len(self.names)} names."
            )
        self._set_arrays({"values": (None, len(self.names))}, infinite=False)
        self._set_deviations({"deviation": self.values.shape})

    def of(self, name: str) -> np.ndarray:
        """(frames,) of one parameter; raises `InputError` listing all parameters."""
        return self.values[:, index_of_name(name, self.names, "clinical parameter")]

    def sd(self, name: str) -> np.ndarray | None:
        """(frames,) standard deviations of one parameter, None where the solver gave none."""
        column = index_of_name(name, self.names, "clinical parameter")
        return None if self.deviation is None else self.deviation[:, column]


# Right-hand rotations about z (right), x (forward), y (up) are extension, bending to the right, turning to the left.
# Results have flexion positive, as clinicians read it.
_ANGLE_SIGNS = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class SpineKinematics(HoldsArrays, Clocked):
    """Spine kinematics of one trial.

    Frames that were not solved are NaN. The engine 'trajectory' infers them from the frames around, with larger
    standard deviations, and the verdict rejects them. Standard deviations are None where the solver gave none.

    Attributes
    ----------
    rate : float
        Frames/s.
    start : float
        Time of the first frame, s.
    levels : tuple of str
        Joints first, then segments in space.
    angles : (frames, levels, 3) array
        Flexion, bending to the right, turning to the left, rad; relative to the neutral pose, of segments to the
        ground.
    lla, tka : (frames,) array
        Cobb angles, rad: L1–S1 (lordosis positive) and T3–T12 (kyphosis positive).
    markers : Markers
        The fifteen spine points, y_up.
    repaired : (frames, levels) array of bool
        True where a gimbal wrap was undone.
    forced : {str: tuple of Forced}
        By level, 'lla' or 'tka': what the model forces there.
    lla_sd, tka_sd, angles_sd : array or None
        Standard deviations, in the same shapes.
    lla_change_sd, tka_change_sd : (frames,) array or None
        Standard deviations of the difference to the mean over some 600 frames.
    centres : Markers or None
        Centroids of the vertebrae C1…L5, S1, y_up, with covariance where the solver gave one.
    clinical : ClinicalParameters or None
        Alignment of pelvis and spine, angles of limb joints, where the poses of all bodies were known.
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
        self._set_arrays({"lla": curve, "tka": curve, "angles": angles}, infinite=False)
        deviations = {f"{name}{kind}_sd": curve for name in ("lla", "tka") for kind in ("", "_change")}
        self._set_deviations(deviations | {"angles_sd": angles})
        self._set_arrays({"repaired": (frames, levels)}, bool)
        for name, points in (("markers", self.markers), ("centres", self.centres)):
            if points is not None and points.frames != frames:
                raise InputError(f"SpineKinematics.{name} has {points.frames} frames, lla has {frames}.")
        if self.clinical is not None and len(self.clinical.values) != frames:
            raise InputError(f"SpineKinematics.clinical has {len(self.clinical.values)} frames, lla has {frames}.")
        forced = {str(k): tuple(v) for k, v in self.forced.items()}
        self._set(levels=tuple(self.levels), rate=float(self.rate), start=float(self.start), forced=forced)

    @property
    def frames(self) -> int:
        return len(self.lla)

    def level(self, name: str) -> np.ndarray:
        """(frames, 3) rad of one level; raises `InputError` listing the levels there are."""
        return self.angles[:, index_of_name(name, self.levels, "level")]


def relative_angles(parent_poses: np.ndarray, child_poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles of a child body on its parent: (frames, 3) rad: flexion, bending to the right, turning to the left; and
    where a wrap was undone, (frames,) bool.

    Poses: (frames, 4, 4) or rotations (frames, 3, 3) in ground. All angles are zero where the bodies are aligned, as
    they are in the neutral pose. parentᵀ child is split body-fixed Z-X-Y, as OpenSim's joint rotates. Continuous in
    time through gimbal lock and whole turns; NaN where a pose is.
    """
    parent, child = as_rotations(parent_poses, "parent_poses"), as_rotations(child_poses, "child_poses")
    angles, repaired = zxy_angles(np.swapaxes(parent, 1, 2) @ child)
    return angles * _ANGLE_SIGNS + 0.0, repaired  # no −0


def segment_angles(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles of a segment in space: (frames, 3) rad: forward tilt, tilt to the right, heading to the left of ground's
    x; and where a wrap was undone, (frames,) bool.

    Sequence Y-X-Z (heading first), so that tilts are about the subject's own axes whichever way the subject faces.
    """
    angles, repaired = yxz_angles(as_rotations(poses))
    return angles[:, ::-1] * _ANGLE_SIGNS + 0.0, repaired


def spine_kinematics(
    poses: Mapping[str, np.ndarray],
    markers: Markers,
    vertebrae: Mapping[str, curvature.Vertebra],
    *,
    levels: Sequence[curvature.Level] = curvature.SPINE_LEVELS,
    forced: Mapping[str, tuple[Forced, ...]] | None = None,
    spine_markers: Mapping[str, str] | None = None,
) -> SpineKinematics:
    """Spine kinematics of one trial, from poses of the model's bodies.

    poses: {body: (frames, 4, 4)} in ground, y_up, m; NaN where not solved. markers: forward kinematics of the model at
    the same frames, y_up. vertebrae: as from `read_endplates`; only `centres` depends on their scale. forced: as from
    `forced_by_model`. spine_markers: {spine point: its name in `markers`}, where names differ. Raises `InputError` for
    missing bodies or markers.
    """
    needed = {name for level in levels for name in (level.parent, level.child) if name is not None}
    require_known("body", sorted(needed), poses, "the poses")
    points = markers.select([(spine_markers or {}).get(name, name) for name in curvature.SPINE_MARKERS])
    results = [angles_of_level(level, poses) for level in levels]
    return SpineKinematics(
        rate=markers.rate,
        start=markers.start,
        levels=tuple(level.name for level in levels),
        angles=np.stack([angles for angles, _ in results], 1),
        lla=curvature.lumbar_lordosis(poses, vertebrae),
        tka=curvature.thoracic_kyphosis(poses, vertebrae),
        markers=points.with_(names=curvature.SPINE_MARKERS),
        repaired=np.stack([repaired for _, repaired in results], 1),
        forced=dict(forced or {}),
        centres=vertebra_centroids(poses, vertebrae, markers.rate, markers.start),
    )


def angles_of_level(level: curvature.Level, poses: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Angles (frames, 3) rad of a level, signed as in `SpineKinematics`, and (frames,) where a wrap was undone."""
    if level.parent is None:
        return segment_angles(poses[level.child])
    return relative_angles(poses[level.parent], poses[level.child])


def vertebra_centroids(
    poses: Mapping[str, np.ndarray], vertebrae: Mapping[str, curvature.Vertebra], rate: float, start: float = 0.0
) -> Markers:
    """Centroids in ground of vertebrae (scaled as the body is): Markers C1…L5, S1 (m, y_up)."""
    xyz = [curvature.place_on_body(poses, vertebra.body, vertebra.centroid) for vertebra in vertebrae.values()]
    return Markers(tuple(vertebrae), rate, np.stack(xyz, 1), frame="y_up", start=start)
