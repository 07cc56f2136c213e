"""The segments of a body that carry its skin."""

SPINE = (
    "pelvis", *(f"lumbar{i}" for i in range(5, 0, -1)), *(f"T{i}" for i in range(12, 0, -1)),
    *(f"C{i}" for i in range(7, 0, -1)), "head",
)  # fmt: skip
LIMBS = ("clavicle", "humerus", "ulna", "radius", "hand", "femur", "tibia", "calcn", "toes")
SEGMENTS = (*SPINE, *(f"{name}_{side}" for side in "rl" for name in LIMBS))
# Places on the hand, m on the unscaled body, right side (left: last one mirrored): knuckle of the middle finger, thumb.
KNUCKLE, THUMB = (0.0, -0.085, 0.0), (0.040, -0.075, -0.030)
