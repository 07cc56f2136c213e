"""Vertebrae and their endplates on a body, the levels between them, and Cobb angles: lordosis and kyphosis.

Centroids and endplates are data (`opensim_models/endplates.yaml`), measured once from the model's own meshes by
`tools/measure_endplates.py`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simspine.core.errors import InputError, require_known
from simspine.core.settings import models_folder, read_mapping

MOTION_PLANES = ("flexion", "lateral bending", "axial rotation")


@dataclass(frozen=True)
class Level:
    """A child body on its parent (None: in space). coordinates: the joint's, for flexion, bending, rotation."""

    name: str
    parent: str | None
    child: str
    coordinates: tuple[str, ...] = ()


def _lumbar_level(name: str, parent: str, child: str, joint: str) -> Level:
    kinds = ("Flex_Ext", "Lat_Bending", "axial_rotation")
    return Level(name, parent, child, tuple(f"{joint}_{kind}" for kind in kinds))


# Levels as pairs of bodies of the model with lumbar detail. Joints first, from the sacrum up: one intervertebral level
# each (the neck: seven vertebrae and the skull in one).
JOINT_LEVELS = (
    _lumbar_level("L5-S1", "sacrum", "lumbar5", "L5_S1"),
    _lumbar_level("L4-L5", "lumbar5", "lumbar4", "L4_L5"),
    _lumbar_level("L3-L4", "lumbar4", "lumbar3", "L3_L4"),
    _lumbar_level("L2-L3", "lumbar3", "lumbar2", "L2_L3"),
    _lumbar_level("L1-L2", "lumbar2", "lumbar1", "L1_L2"),
    _lumbar_level("T12-L1", "lumbar1", "torso", "L1_T12"),
    Level("neck", "torso", "head", ("neck_flexion", "neck_bending", "neck_rotation")),
)
# Levels between vertebrae by region, from the sacrum up, as bodies with a joint at each of them name them.
LUMBAR_LEVELS = tuple(joint.name for joint in JOINT_LEVELS[:6])
THORACIC_LEVELS = tuple(f"T{k}-T{k + 1}" for k in range(11, 0, -1))
# Then sums over several joints, and segments in space.
SUM_LEVELS = (Level("lumbar", "sacrum", "lumbar1"), Level("thorax-pelvis", "pelvis", "torso"))
SEGMENT_LEVELS = (Level("pelvis", None, "pelvis"), Level("thorax", None, "torso"))
SPINE_LEVELS = JOINT_LEVELS + SUM_LEVELS + SEGMENT_LEVELS

# The fifteen spine points in the order of the released 15-marker data.
SPINE_MARKERS = (
    "Hip", "Spine_01", "Spine_02", "Spine_03", "Spine_04", "Spine_05", "Neck", "Neck_02", "Neck_03",
    "Head", "Nose", "LClavicle", "RClavicle", "LLatissimus", "RLatissimus",
)  # fmt: skip
# Of these, the nine along the spine, from below.
SPINE_CHAIN_MARKERS = SPINE_MARKERS[:9]

ENDPLATE_SIDES = ("superior", "inferior")
# The model's mesh files of the spine, from the head down.
MESH_LEVELS = {
    **{f"cerv{i}sm.vtp": f"C{i}" for i in range(1, 7)},
    "cerv7.vtp": "C7",
    **{f"thoracic{i}_s.vtp": f"T{i}" for i in range(1, 13)},
    **{f"lumbar{i}.vtp": f"L{i}" for i in range(1, 6)},
    "sacrum.vtp": "S1",
}

# How far endplates of people tilt from those of the model, rad, one standard deviation in the sagittal plane: the
# sacral table angle, 0.66 of the pelvic incidence's 10.5° (Ru 2023, Mac-Thiong 2011; A), and the wedging of vertebrae,
# 2° (Been 2010, Goh 1999; C), once in people and once in the model.
SACRAL_TILT_SD, TILT_SD = float(np.radians(6.9)), float(np.radians(3.0))

NEUTRAL_LLA = float(np.radians(64.3))  # between L1's and S1's, with all coordinates 0 (docs/spine.md)

# Spread of the rear corner of S1 in people about that of the model, m, along the horizontal, one standard
# deviation: half the endplate's depth varies by 1.5 mm (C), and the tilt turns the corner about the centre, 16 mm off.
CORNER_SD = 0.002

PointTuple = tuple[float, float, float]


@dataclass(frozen=True)
class Endplate:
    """A plane on a body: centre (m) and unit normal in the body's frame. The normal always points towards the head.

    rear: the plate's rear edge in the body's mid-plane, m; None where that is not known.
    """

    body: str
    centre: PointTuple
    normal: PointTuple
    rear: PointTuple | None = None

    def moved(self, body: str, move: Callable[[PointTuple], PointTuple]) -> "Endplate":
        """The endplate on `body`, with its points moved; the normal stays."""
        return replace(self, body=body, centre=move(self.centre), rear=self.rear and move(self.rear))


@dataclass(frozen=True)
class Vertebra:
    """One vertebra as the model carries it: level ('L1'), centroid (m, body frame), endplates if it has any."""

    level: str
    body: str
    centroid: PointTuple
    superior: Endplate | None = None
    inferior: Endplate | None = None
    mesh: str = ""

    def moved(self, body: str, move: Callable[[PointTuple], PointTuple]) -> "Vertebra":
        """The vertebra on `body`, with all its points moved; normals stay."""
        superior, inferior = (plate and plate.moved(body, move) for plate in (self.superior, self.inferior))
        return replace(self, body=body, centroid=move(self.centroid), superior=superior, inferior=inferior)


VertebraeOfBody = dict[str, Vertebra]


def endplate_of(vertebrae: Mapping[str, Vertebra], level: str, side: str) -> Endplate:
    """The 'superior' or 'inferior' endplate of a level; raises `InputError` where the level has none."""
    require_known("vertebra", (level,), vertebrae)
    plate = getattr(vertebrae[level], side)
    if plate is None:
        raise InputError(f"the model's {level} has no {side} endplate; choose a level from C3 to S1.")
    return plate


def tilt_endplate(plate: Endplate, back: float) -> Endplate:
    """The endplate turned about its centre, in its body's sagittal plane: its normal leans back by that angle (rad)."""
    c, s = np.cos(back), np.sin(back)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    turned = plate.moved(plate.body, lambda point: parse_point(plate.centre + turn @ np.subtract(point, plate.centre)))
    return replace(turned, normal=parse_point(turn @ np.array(plate.normal)))


def with_tilted_sacrum(vertebrae: Mapping[str, Vertebra], forward: float) -> VertebraeOfBody:
    """The vertebrae with the sacrum's endplate tilted forward by that angle (rad); its bone stays."""
    sacrum = vertebrae["S1"]
    if sacrum.superior is None:
        return dict(vertebrae)
    return {**vertebrae, "S1": replace(sacrum, superior=tilt_endplate(sacrum.superior, -forward))}


def displace_vertebrae(vertebrae: Mapping[str, Vertebra], places: Mapping[str, PointTuple]) -> VertebraeOfBody:
    """The vertebrae with some of them elsewhere on their bodies. places: {level: m along the body's axes}."""

    def displaced(level: str, vertebra: Vertebra) -> Vertebra:
        return vertebra.moved(vertebra.body, lambda point: parse_point(np.add(point, places[level])))

    return {level: displaced(level, one) if level in places else one for level, one in vertebrae.items()}


def scale_vertebrae(vertebrae: Mapping[str, Vertebra], factors: Mapping[str, float]) -> VertebraeOfBody:
    """The same vertebrae on a scaled body. factors: {body: scale}, 1 where absent.

    Scaling is isotropic within a body, so positions are multiplied and normals stay as they are.
    """

    def scaled(vertebra: Vertebra) -> Vertebra:
        factor = factors.get(vertebra.body, 1.0)
        return vertebra.moved(vertebra.body, lambda point: parse_point(factor * value for value in point))

    return {level: scaled(vertebra) for level, vertebra in vertebrae.items()}


def parse_point(values: Iterable[float]) -> PointTuple:
    """Three numbers, such as a list in a file."""
    x, y, z = map(float, values)
    return x, y, z


def read_endplates() -> VertebraeOfBody:
    """The vertebrae that `tools.measure_endplates` measured, from head to sacrum."""
    entries = read_mapping(models_folder() / "endplates.yaml")["vertebrae"]
    return {level: _vertebra_from_yaml(level, entry) for level, entry in entries.items()}


def _vertebra_from_yaml(level: str, entry: Mapping) -> Vertebra:
    plates = {
        side: Endplate(entry["body"], **{key: parse_point(point) for key, point in entry[side].items()})
        for side in ENDPLATE_SIDES
        if side in entry
    }
    centroid = parse_point(entry["centroid"])
    return Vertebra(level=level, body=entry["body"], centroid=centroid, mesh=entry.get("mesh", ""), **plates)


LLA_LEVELS = (("L1", "superior"), ("S1", "superior"))
TKA_LEVELS = (("T3", "superior"), ("T12", "inferior"))
SVA_PARAMETER = "sagittal_vertical_axis"  # measured from the rear corner of S1
COBB_REFERENCES = {  # {figure: endplates that it is measured from}
    "lla": LLA_LEVELS,
    "tka": TKA_LEVELS,
    "pelvic_incidence": (("S1", "superior"),),
    "sacral_slope": (("S1", "superior"),),
    "t1_slope": (("T1", "superior"),),
    "cervical_lordosis": (("C2", "inferior"), ("C7", "inferior")),
}


def cobb_angle(poses: Mapping[str, np.ndarray], upper: Endplate, lower: Endplate) -> np.ndarray:
    """Signed Cobb angle (frames,) rad: how far the upper endplate leans back against the lower one (lordosis positive).

    poses: {body: (frames, 4, 4)} in ground. It is seen in the sagittal plane midway between those of both endplates'
    bodies, which favours neither end: naming them the other way round only changes the sign. NaN where a pose is NaN,
    or an endplate is seen edge-on. Cobb 1948, with the endplate normals in place of lines drawn on a radiograph.
    """
    across = np.sum([pose_of(poses, plate.body)[:, :3, 2] for plate in (upper, lower)], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        across = across / np.linalg.norm(across, axis=-1, keepdims=True)
    n_upper, n_lower = (pose_of(poses, plate.body)[:, :3, :3] @ np.array(plate.normal) for plate in (upper, lower))
    return signed_angle(n_lower, n_upper, across)


def signed_angle(a: np.ndarray, b: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Angle (...,) rad from a to b (..., 3) seen along a unit axis (..., 3). NaN if one vanishes in that view."""
    return signed_angle_of(*(np.moveaxis(np.asarray(v), -1, 0) for v in (a, b, axis)))


def signed_angle_of(a: np.ndarray, b: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """`signed_angle` of vectors (3, ...), a row for each component: NumPy is several times faster in that layout.

    Parts along the axis n are subtracted from products, not from vectors: a·b − (a·n)(b·n) is the product of the parts
    across n, and n·(a × b) has no part along it.
    """
    along_a, along_b = _dot_product(a, axis), _dot_product(b, axis)
    turn = axis[0] * (a[1] * b[2] - a[2] * b[1])
    turn += axis[1] * (a[2] * b[0] - a[0] * b[2])
    turn += axis[2] * (a[0] * b[1] - a[1] * b[0])
    angle = np.arctan2(turn, _dot_product(a, b) - along_a * along_b)
    known = (_dot_product(a, a) - along_a**2 > 1e-12) & (_dot_product(b, b) - along_b**2 > 1e-12)
    return np.where(known, angle, np.nan)


def _dot_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Dot product (...,) of vectors (3, ...)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def pose_of(poses: Mapping[str, np.ndarray], body: str) -> np.ndarray:
    """Pose (frames, 4, 4) of a body; raises `InputError` listing the bodies."""
    require_known("body", (body,), poses, "the poses")
    return np.asarray(poses[body], float)


def place_on_body(poses: Mapping[str, np.ndarray], body: str, point: Sequence[float]) -> np.ndarray:
    """(frames, 3) m in ground of a point in the body's frame."""
    pose = pose_of(poses, body)
    return pose[:, :3, :3] @ np.array(point) + pose[:, :3, 3]


def lumbar_lordosis(poses: Mapping[str, np.ndarray], vertebrae: Mapping[str, Vertebra]) -> np.ndarray:
    """LLA (frames,) rad: Cobb angle from the superior endplate of S1 to that of L1, lordosis positive."""
    upper, lower = (endplate_of(vertebrae, *which) for which in LLA_LEVELS)
    return cobb_angle(poses, upper, lower)


def thoracic_kyphosis(poses: Mapping[str, np.ndarray], vertebrae: Mapping[str, Vertebra]) -> np.ndarray:
    """TKA (frames,) rad: Cobb angle from the inferior endplate of T12 to the superior one of T3, kyphosis positive."""
    upper, lower = (endplate_of(vertebrae, *which) for which in TKA_LEVELS)
    return -cobb_angle(poses, upper, lower)


def curvature_sd_of_people(figure: str, sacral: float) -> float:
    """Standard deviation (rad or m) of a figure between people whose vertebrae have equal poses, from their endplates;
    0 for a figure that uses no endplate.

    figure: 'lla', 'tka' or a clinical parameter (`COBB_REFERENCES`, `SVA_PARAMETER`). sacral: sd of the sacrum's tilt,
    rad. Endplates tilt independently of one another.
    """
    if figure == SVA_PARAMETER:
        return CORNER_SD
    plates = COBB_REFERENCES.get(figure, ())
    return float(np.sqrt(sum((sacral if level == "S1" else TILT_SD) ** 2 for level, _ in plates)))
