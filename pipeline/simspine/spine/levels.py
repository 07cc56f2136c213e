"""The levels of the spine as pairs of bodies of the model with lumbar detail, and the points that mark the spine."""

from dataclasses import dataclass

PLANES = ("flexion", "lateral bending", "axial rotation")
POSITIVE = ("flexion (bending forward)", "bending to the right", "turning to the left")


@dataclass(frozen=True)
class Level:
    """A child body on its parent (None: in space). coordinates: the joint's own for flexion, bending, rotation."""

    name: str
    parent: str | None
    child: str
    coordinates: tuple[str, ...] = ()


def _lumbar(name: str, parent: str, child: str, joint: str) -> Level:
    kinds = ("Flex_Ext", "Lat_Bending", "axial_rotation")
    return Level(name, parent, child, tuple(f"{joint}_{kind}" for kind in kinds))


# Joints first, from the sacrum up: one intervertebral level each (the neck: seven vertebrae and the skull in one).
JOINTS = (
    _lumbar("L5-S1", "sacrum", "lumbar5", "L5_S1"),
    _lumbar("L4-L5", "lumbar5", "lumbar4", "L4_L5"),
    _lumbar("L3-L4", "lumbar4", "lumbar3", "L3_L4"),
    _lumbar("L2-L3", "lumbar3", "lumbar2", "L2_L3"),
    _lumbar("L1-L2", "lumbar2", "lumbar1", "L1_L2"),
    _lumbar("T12-L1", "lumbar1", "torso", "L1_T12"),
    Level("neck", "torso", "head", ("neck_flexion", "neck_bending", "neck_rotation")),
)
# Levels between vertebrae by region, from the sacrum up, as bodies with a joint at each of them name them.
LUMBAR = tuple(joint.name for joint in JOINTS[:6])
THORACIC = tuple(f"T{k}-T{k + 1}" for k in range(11, 0, -1))
# Then sums over several joints, and segments in space.
SUMS = (Level("lumbar", "sacrum", "lumbar1"), Level("thorax-pelvis", "pelvis", "torso"))
SEGMENTS = (Level("pelvis", None, "pelvis"), Level("thorax", None, "torso"))
LEVELS = JOINTS + SUMS + SEGMENTS

# The fifteen spine points in the order of the released 15-marker data.
SPINE_MARKERS = (
    "Hip", "Spine_01", "Spine_02", "Spine_03", "Spine_04", "Spine_05", "Neck", "Neck_02", "Neck_03",
    "Head", "Nose", "LClavicle", "RClavicle", "LLatissimus", "RLatissimus",
)  # fmt: skip
# Of these, the nine along the spine, from below.
CHAIN = SPINE_MARKERS[:9]
