"""Levels of the trunk at which its contour is measured, and what is assumed of the section there.

The trunk's axis leads from the middle of the hips to the middle of the shoulders.
"""

from dataclasses import dataclass

from simspine.skeletons.inferred_names import SILHOUETTE


@dataclass(frozen=True)
class TrunkLevel:
    """vertebra: the level's name. point: SIMSPINE's point in it. at: its place on the axis, 0 hips … 1 shoulders.

    depth: m from the skin over the spine forward to the vertebra's centre. shape, spread: mean and standard deviation,
    m, of the coefficients of the section's support function: 1, cos 2φ, cos 3φ, cos 4φ, cos 5φ, with φ = 0 in front.
    Those of the sines are 0 on average and half as widely spread.
    """

    vertebra: str
    point: str
    at: float
    depth: float
    shape: tuple[float, ...]
    spread: tuple[float, ...]

    @property
    def marker(self) -> str:
        """Name of the marker that stands for the vertebra's centre."""
        return self.point + SILHOUETTE


# at: vertebral centres of four synthetic subjects standing (docs/virtual-capture.md), to 0.02.
# depth: chosen, round figures; a spinous process reaches 5 to 6 cm behind the centre, and skin and fat are over it (C).
# shape, spread: measured on 240 bodies of MakeHuman (tools/trunk_sections.py) of varied sex, weight, muscle and
# proportions, without arms. They are artists' work and no sample of people, so the spread is taken twice (`WIDER`).
LEVELS = (
    TrunkLevel(
        "L5", "Spine_01", 0.27, 0.075, (0.130, -0.022, 0.003, -0.003, 0.001), (0.017, 0.007, 0.003, 0.002, 0.001)
    ),
    TrunkLevel(
        "L3", "Spine_02", 0.39, 0.070, (0.125, -0.019, 0.002, -0.003, 0.000), (0.017, 0.006, 0.003, 0.002, 0.001)
    ),
    TrunkLevel(
        "L1", "Spine_03", 0.515, 0.062, (0.126, -0.017, 0.001, -0.004, 0.000), (0.017, 0.005, 0.002, 0.002, 0.001)
    ),
    TrunkLevel(
        "T8", "Spine_04", 0.765, 0.052, (0.148, -0.016, 0.002, -0.009, -0.001), (0.016, 0.006, 0.003, 0.002, 0.001)
    ),
)
WIDER = 2.0
# Chosen, m: how far the skin over the spine lies in front of the section's convex outline (MakeHuman: 3 to 8 mm; the
# demonstration's person shows more), and how a vertebra's depth differs between people.
GROOVE, GROOVE_SD, DEPTH_SD = 0.012, 0.006, 0.012

SIDES = ("first", "second")  # of the axis in the image: turned by 90° from the way up, clockwise as seen, and against
CONTOURS = tuple(f"{level.vertebra} {side}" for level in LEVELS for side in SIDES)
