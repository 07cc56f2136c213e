"""The pictures of docs/concepts.md: curvature, and angles between vertebrae, on the model's bones.

    python -m benchmarks.concept_figures FOLDER

Writes concept-curvature.png and concept-levels.png. Lines are the endplates and axes that the
definitions use; the degrees and millimetres beside them are computed by the functions that results come from.
"""

import argparse
from pathlib import Path

import numpy as np
from benchmarks.clinical_figures import AHEAD, ARMS, HANG, LEGS, UP, Sheet, draw_figures

from simspine.anatomy.curvature import lumbar_lordosis, thoracic_kyphosis
from simspine.anatomy.vertebrae import relative_angles
from simspine.report.figure_style import BLUE, GREEN, GREY, INK_COLOUR, PURPLE, VERMILLION

LOWER, UPPER = "L4", "L3"  # the level that stands for all
TURNED = np.radians(14.0)  # further than this level goes in people, so that it is seen


def _degrees_of(sheet: Sheet, function) -> str:
    """An angle of the posed body, as text; function: of `simspine.spine`, takes (poses, vertebrae)."""
    poses = {name: pose[None] for name, pose in sheet.poses.items()}
    return f"{np.degrees(function(poses, sheet.plates)[0]):.0f}°"


def _cobb(sheet: Sheet, ends, side: float, reach: float, colour: str, text: str) -> None:
    """The lines through two endplates, prolonged to where they meet, and the angle there.

    ends: (level, side) of the upper and the lower plate. side: 1 where they meet in front, -1 behind. reach: m, at
    which they are cut off if they meet further away; the angle is drawn between parallels then.
    """
    (upper, along_upper, _), (lower, along_lower, _) = (sheet.plate(*end) for end in ends)
    u, v = sheet.flat(along_upper), sheet.flat(along_lower)
    far = np.linalg.solve(np.stack([u, -v], 1), sheet.flat(lower) - sheet.flat(upper))
    lengths = np.minimum(np.abs(far), reach)
    for centre, along, length in ((upper, along_upper, lengths[0]), (lower, along_lower, lengths[1])):
        sheet.line(centre - side * 0.022 * along, centre + side * 0.022 * along, colour, linewidth=3.2)
        sheet.line(centre, centre + side * length * along, colour)
    if np.abs(far).max() <= reach:
        at = upper + side * lengths[0] * along_upper
        sheet.angle(at, -side * along_upper, -side * along_lower, 0.055, colour, text, (-side * 0.035, 0.0))
        return
    at = lower + side * reach * 0.45 * along_lower
    sheet.line(at, at + side * reach * 0.5 * along_upper, colour, linestyle="--")
    sheet.angle(at, side * along_upper, side * along_lower, reach * 0.42, colour, text, (side * 0.03, 0.0))


def lordosis(sheet: Sheet) -> None:
    """LLA, from L1's upper endplate to S1's."""
    sheet.draw(left_out=(*ARMS, "head", "C"), plain=("T", "femur", "tibia", "patella"))
    sheet.show(sheet.centroid("L3") + np.array([-0.075, -0.012, 0]), 0.36)
    ends = (("L1", "superior"), ("S1", "superior"))
    _cobb(sheet, ends, -1.0, 0.4, BLUE, f"LLA\n{_degrees_of(sheet, lumbar_lordosis)}")
    for level in ("L1", "L2", "L3", "L4", "L5"):
        sheet.name(sheet.centroid(level), (0.044, -0.003), level, fontweight="normal", ha="left")
    sheet.name(sheet.centroid("S1"), (0.052, -0.012), "S1", fontweight="normal", ha="left")


def kyphosis(sheet: Sheet) -> None:
    """TKA, from T3's upper endplate to T12's lower one."""
    sheet.draw(left_out=(*ARMS, *LEGS), plain=("head", "lumbar", "pelvis", "sacrum", "C"))
    sheet.show(sheet.centroid("T8") + np.array([0.07, 0.0, 0]), 0.46)
    ends = (("T3", "superior"), ("T12", "inferior"))
    _cobb(sheet, ends, 1.0, 0.23, VERMILLION, f"TKA\n{_degrees_of(sheet, thoracic_kyphosis)}")
    for level in ("T3", "T12"):
        sheet.name(sheet.centroid(level), (-0.075, 0.012), level, fontweight="normal", ha="right")


def _pair(sheet: Sheet, width: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw one level, and in grey where the upper one is in the neutral pose; centres and rotations of both."""
    kept = [sheet.plates[level].body for level in (LOWER, UPPER)]
    others = [bone.body for bone in sheet.bones if bone.body not in kept]
    neutral = Sheet(sheet.axes, sheet.body, sheet.plates, {}, "right")
    neutral.view = sheet.view
    neutral.draw(left_out=(*others, kept[0]), plain=kept)
    sheet.draw(left_out=others)
    lower, upper = sheet.centroid(LOWER), sheet.centroid(UPPER)
    turns = (sheet.poses[sheet.plates[level].body][:3, :3] for level in (LOWER, UPPER))
    sheet.show((lower + upper) / 2 + sheet.view.T @ (0.0, 0.028, 0.0), width)
    return lower, upper, *turns


def _between(sheet: Sheet, at, a, b, reach: float, colour: str, text: str, away) -> None:
    sheet.line(at, at + reach * a, GREY, linestyle="--")
    sheet.line(at, at + reach * b, colour, linewidth=2.2)
    sheet.angle(at, a, b, 0.8 * reach, colour, text, away)
    sheet.dot(at, INK_COLOUR)


def _of_level(sheet: Sheet, which: int) -> str:
    below, above = (sheet.poses[sheet.plates[level].body][None] for level in (LOWER, UPPER))
    return f"{np.degrees(relative_angles(below, above)[0][0, which]):.0f}°"


def flexion(sheet: Sheet) -> None:
    """Of one level, on the axes that are upright in the neutral pose."""
    _, upper, below, above = _pair(sheet, 0.165)
    ahead = (below @ UP, above @ UP)
    _between(sheet, upper, *ahead, 0.075, BLUE, f"flexion {_of_level(sheet, 0)}", (0.022, 0.006))


def bending(sheet: Sheet) -> None:
    """The same from behind."""
    _, upper, below, above = _pair(sheet, 0.165)
    _between(sheet, upper, below @ UP, above @ UP, 0.075, GREEN, f"bending {_of_level(sheet, 1)}", (0.022, 0.006))


def rotation(sheet: Sheet) -> None:
    """The same from above."""
    _, upper, below, above = _pair(sheet, 0.165)
    ahead = (below @ AHEAD, above @ AHEAD)
    _between(sheet, upper, *ahead, 0.075, PURPLE, f"rotation {_of_level(sheet, 2)}", (-0.022, 0.006))


# file, width and height in inches, panels: drawing, title, pose, seen from
FIGURES = (
    ("concept-curvature.png", (8.6, 5.0), (
        (lordosis, "Lumbar lordosis angle, LLA", HANG, "right"),
        (kyphosis, "Thoracic kyphosis angle, TKA", HANG, "right"))),
    ("concept-levels.png", (8.6, 3.6), (
        (flexion, f"{UPPER} on {LOWER}, from the right", {"L3_L4_Flex_Ext": -TURNED}, "right"),
        (bending, "From behind", {"L3_L4_Lat_Bending": TURNED}, "behind"),
        (rotation, "From above, front on top", {"L3_L4_axial_rotation": TURNED}, "above"))),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    draw_figures(FIGURES, parser.parse_args().folder, height=0.90)


if __name__ == "__main__":
    main()
