"""The pictures of docs/clinical.md: each clinical parameter drawn on the bones of the articulated body.

    python -m benchmarks.clinical_figures FOLDER

Writes clinical-sagittal.png, clinical-frontal.png, clinical-limbs.png. Lines and angles are those of the definitions
(`simspine.anatomy.alignment`, `simspine.anatomy.alignment`); nothing is measured by hand.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from simspine.anatomy.alignment import HIP_BODIES
from simspine.anatomy.body import Body, neutral_poses
from simspine.anatomy.curvature import Endplate, VertebraeOfBody, read_endplates
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.anatomy.split_torso import carried_vertebrae
from simspine.report.bones import bones_and_joints
from simspine.report.figure_style import BLUE, GREEN, GREY, INK_COLOUR, PURPLE, VERMILLION

BONE, GHOST = np.array([0.94, 0.90, 0.81]), np.array([0.93, 0.93, 0.94])
LIGHT = np.array([0.45, 0.55, 0.70])
LEFT_ARM, LEGS = ("humerus_l", "ulna_l", "radius_l", "hand_l"), ("femur", "tibia", "patella", "talus", "calcn", "toes")
ARMS = ("humerus", "ulna", "radius", "hand", "clavicle")
# Rows: where on the picture x, y and the depth towards the viewer come from, in ground.
VIEWS = {
    "right": np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]),
    "behind": np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
    "front": np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]),
    "above": np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]),
}
Poses = Mapping[str, np.ndarray]
Point = np.ndarray


class Sheet:
    """One panel: a posed body seen from one side, and lines on it. Points are (3,) m in ground."""

    def __init__(self, axes, body: Body, plates: VertebraeOfBody, values: Mapping[str, float], view: str):
        self.axes, self.body, self.plates, self.view = axes, body, plates, VIEWS[view]
        self.poses, self.bones = neutral_poses(body, values), bones_and_joints(body.osim)[0]
        axes.set_aspect("equal")
        axes.axis("off")

    def draw(self, plain: Sequence[str] = (), left_out: Sequence[str] = ()) -> None:
        """The bones, far ones first. plain: bodies, by the beginning of their names, drawn in grey."""
        from matplotlib.collections import PolyCollection

        shapes, colours, depths = [], [], []
        for bone in self.bones:
            if bone.body.startswith(tuple(left_out)):
                continue
            ghost = bone.body.startswith(tuple(plain)) or bone.kind == "rib"
            pose = self.poses[bone.body]
            corners = ((bone.points @ pose[:3, :3].T + pose[:3, 3]) @ self.view.T)[bone.triangles]
            normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            normal /= np.maximum(np.linalg.norm(normal, axis=1), 1e-12)[:, None]
            seen = normal[:, 2] > 0
            lit = np.maximum(normal[seen] @ LIGHT, 0)[:, None]
            shapes.append(corners[seen, :, :2])
            colours.append((GHOST * (0.97 + 0.03 * lit)) if ghost else BONE * (0.66 + 0.38 * lit))
            depths.append(corners[seen, :, 2].mean(1) - (10.0 if ghost else 0.0))
        order = np.argsort(np.concatenate(depths))
        faces = np.concatenate(shapes)[order]
        paint = np.clip(np.concatenate(colours)[order], 0, 1)
        self.axes.add_collection(PolyCollection(faces, facecolors=paint, edgecolors=paint, linewidths=0.2))

    def show(self, centre: Point, width: float) -> None:
        """The part of the body that fills the panel, with `centre` in its middle."""
        box = self.axes.get_position(original=True)
        inches = self.axes.figure.get_size_inches()
        height = width * inches[1] * box.height / (inches[0] * box.width)
        x, y = self.flat(centre)
        self.axes.set(xlim=(x - width / 2, x + width / 2), ylim=(y - height / 2, y + height / 2))

    def flat(self, point: Point) -> np.ndarray:
        """(2,) where a point is on the picture."""
        return (self.view @ np.asarray(point, float))[:2]

    def place(self, body: str, point=(0.0, 0.0, 0.0)) -> Point:
        return self.poses[body][:3, :3] @ np.array(point) + self.poses[body][:3, 3]

    def centroid(self, level: str) -> Point:
        return self.place(self.plates[level].body, self.plates[level].centroid)

    def plate(self, level: str, side: str) -> tuple[Point, Point, Point]:
        """Centre, direction forwards along the endplate, and normal."""
        own: Endplate = getattr(self.plates[level], side)
        turn = self.poses[own.body][:3, :3]
        normal = turn @ np.array(own.normal)
        return self.place(own.body, own.centre), np.cross(normal, turn[:, 2]), normal

    def rear(self, level: str, side: str) -> Point:
        """Rear edge of an endplate that has one."""
        own: Endplate = getattr(self.plates[level], side)
        assert own.rear is not None
        return self.place(own.body, own.rear)

    def line(self, a: Point, b: Point, colour: str, **style) -> None:
        ends = np.array([self.flat(a), self.flat(b)])
        self.axes.plot(*ends.T, color=colour, **({"linewidth": 1.6, "solid_capstyle": "round"} | style))

    def dot(self, point: Point, colour: str) -> None:
        self.axes.plot(*self.flat(point), "o", color=colour, markersize=5)

    def angle(self, at: Point, a: Point, b: Point, radius: float, colour: str, text: str, away=(0.0, 0.0)) -> None:
        """An arc at a point between the directions a and b, the short way, with its name beside its middle."""
        from matplotlib.patches import Arc

        x, y = self.flat(at)
        first, second = (np.degrees(np.arctan2(*self.flat(d)[::-1])) for d in (a, b))
        turn = (second - first + 180) % 360 - 180
        low, high = sorted((first, first + turn))
        self.axes.add_patch(Arc((x, y), 2 * radius, 2 * radius, theta1=low, theta2=high, color=colour, linewidth=1.6))
        middle = np.radians(first + turn / 2)
        beside = 1.25 * radius * np.array([np.cos(middle), np.sin(middle)])
        self.text(np.array([x, y]) + beside + away, text, colour)

    def text(self, place: Sequence[float], text: str, colour: str = INK_COLOUR, **style) -> None:
        """place: on the picture, m."""
        how = {"ha": "center", "va": "center", "fontsize": 9.5, "fontweight": "bold"} | style
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}
        self.axes.text(*place, text, color=colour, bbox=box, **how)

    def name(self, point: Point, away: Sequence[float], text: str, colour: str = INK_COLOUR, **style) -> None:
        self.text(self.flat(point) + np.array(away), text, colour, **style)


UP, DOWN, AHEAD, RIGHT = np.array([0, 1.0, 0]), np.array([0, -1.0, 0]), np.array([1.0, 0, 0]), np.array([0, 0, 1.0])


def pelvis(sheet: Sheet) -> None:
    """Pelvic incidence, tilt, slope."""
    sheet.draw(left_out=(*ARMS, "T", "C", "head"))
    hips = np.mean([sheet.place(hip) for hip in HIP_BODIES], axis=0)
    centre, along, normal = sheet.plate("S1", "superior")
    sheet.show(np.add(hips, (0.02, 0.055, 0)), 0.42)
    sheet.line(centre - 0.035 * along, centre + 0.14 * along, BLUE, linewidth=2.2)
    sheet.line(centre, centre + 0.14 * AHEAD, GREY, linestyle="--")
    sheet.angle(centre, along, AHEAD, 0.115, BLUE, "SS", (0.004, 0.0))
    sheet.line(hips, centre, INK_COLOUR)
    sheet.line(hips, hips + 0.17 * UP, GREY, linestyle="--")
    sheet.angle(hips, UP, centre - hips, 0.085, VERMILLION, "PT", (0.028, -0.012))
    sheet.line(centre, centre - 0.12 * normal, GREEN)
    sheet.angle(centre, -normal, hips - centre, 0.08, GREEN, "PI", (0.0, -0.008))
    sheet.dot(hips, INK_COLOUR)
    sheet.dot(centre, INK_COLOUR)
    sheet.name(hips, (0.012, -0.022), "middle of the hips", fontweight="normal", ha="left")


def spine_from_the_side(sheet: Sheet) -> None:
    """Plumb line, slope of T1, lordosis of the neck, inclination of the trunk."""
    sheet.draw(left_out=ARMS, plain=("head", "femur", "tibia"))
    sacrum, c7 = sheet.plate("S1", "superior")[0], sheet.centroid("C7")
    sheet.show((sacrum + c7) / 2 + (0.03, 0.025, 0), 0.55)
    corner = sheet.rear("S1", "superior")
    below = np.array([c7[0], corner[1], c7[2]])
    sheet.line(c7, below, PURPLE, linestyle="--")
    sheet.line(corner, below, PURPLE, linewidth=2.4)
    sheet.name(below, (0.008, -0.012), "SVA", PURPLE, ha="left")
    sheet.line(sacrum, c7, INK_COLOUR)
    sheet.line(sacrum, sacrum + 0.26 * UP, GREY, linestyle="--")
    sheet.angle(sacrum, UP, c7 - sacrum, 0.21, INK_COLOUR, "trunk\ninclination", (-0.075, 0.0))
    top, along, _ = sheet.plate("T1", "superior")
    sheet.line(top - 0.02 * along, top + 0.12 * along, BLUE, linewidth=2.2)
    sheet.line(top, top + 0.12 * AHEAD, GREY, linestyle="--")
    sheet.angle(top, along, AHEAD, 0.1, BLUE, "T1 slope", (0.035, 0.0))
    for level in ("C2", "C7"):
        centre, along, _ = sheet.plate(level, "inferior")
        sheet.line(centre + 0.02 * along, centre - 0.1 * along, GREEN, linewidth=2.2)
    middle = (sheet.centroid("C2") + c7) / 2
    sheet.name(middle, (-0.125, 0.03), "cervical\nlordosis", GREEN)
    for point in (sacrum, c7):
        sheet.dot(point, INK_COLOUR)


def spine_from_behind(sheet: Sheet) -> None:
    """Coronal Cobb angle between the two endplates that are tilted most, and the plumb line beside S1."""
    sheet.draw(left_out=ARMS, plain=("head", "femur", "tibia"))
    sacrum, c7 = sheet.plate("S1", "superior")[0], sheet.centroid("C7")
    sheet.show((sacrum + c7) / 2 + (0, 0.025, 0.02), 0.6)
    tilts = {}
    for level in (*(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6))):
        for side in ("superior", "inferior"):
            centre, _, normal = sheet.plate(level, side)
            tilts[level, side] = (np.arctan2(normal[2], normal[1]), centre, np.cross(AHEAD, normal))
    ends = [choose(tilts, key=lambda which: tilts[which][0]) for choose in (min, max)]
    for which in ends:
        _, centre, across = tilts[which]
        sheet.line(centre - 0.05 * across, centre + 0.16 * across, BLUE, linewidth=2.2)
    right = (tilts[ends[0]][1] + tilts[ends[1]][1]) / 2
    sheet.name(right, (0.16, 0.0), "coronal\nCobb angle", BLUE)
    below = np.array([c7[0], sacrum[1], c7[2]])
    sheet.line(c7, below, PURPLE, linestyle="--")
    sheet.line(sacrum, below, PURPLE, linewidth=2.4)
    sheet.name((sacrum + below) / 2, (-0.12, -0.004), "C7 plumb\nline, sideways", PURPLE)
    for point in (sacrum, c7):
        sheet.dot(point, INK_COLOUR)


def bending(sheet: Sheet) -> None:
    """Lumbar flexion and the tilt of the pelvis."""
    sheet.draw(left_out=ARMS, plain=("head",))
    hips = np.mean([sheet.place(hip) for hip in HIP_BODIES], axis=0)
    sacrum, t12 = sheet.plate("S1", "superior")[0], sheet.centroid("T12")
    sheet.show((hips + t12) / 2 + (0.10, 0.0, 0), 0.66)
    sheet.line(hips, hips + 0.26 * UP, GREY, linestyle="--")
    straight = sheet.poses["pelvis"][:3, :3] @ UP
    sheet.line(hips, hips + 0.26 * straight, VERMILLION)
    sheet.angle(hips, UP, straight, 0.2, VERMILLION, "pelvis", (0.0, 0.02))
    trunk = sheet.poses[sheet.plates["T12"].body][:3, :3] @ UP
    sheet.line(t12, t12 + 0.2 * straight, GREY, linestyle="--")
    sheet.line(t12, t12 + 0.2 * trunk, BLUE)
    sheet.angle(t12, straight, trunk, 0.15, BLUE, "lumbar", (0.03, 0.015))
    for point in (hips, sacrum, t12):
        sheet.dot(point, INK_COLOUR)


def leg_from_the_side(sheet: Sheet) -> None:
    """Flexion of hip and knee, dorsiflexion."""
    sheet.draw(left_out=(*ARMS, "femur_l", "tibia_l", "talus_l", "calcn_l", "toes_l", "patella_l", "T", "C", "head"))
    hip, knee, ankle = (sheet.place(f"{name}_r") for name in ("femur", "tibia", "talus"))
    sheet.show((hip + ankle) / 2 + (0.06, 0.06, 0), 0.62)
    pelvis_down, thigh, shank = (-sheet.poses[name][:3, :3] @ UP for name in ("pelvis", "femur_r", "tibia_r"))
    foot = sheet.poses["calcn_r"][:3, :3] @ AHEAD
    flat = sheet.poses["tibia_r"][:3, :3] @ AHEAD
    for a, b, at, colour, text, away in (
        (pelvis_down, thigh, hip, BLUE, "hip\nflexion", (0.0, -0.03)),
        (thigh, shank, knee, VERMILLION, "knee\nflexion", (0.045, -0.03)),
        (flat, foot, ankle, GREEN, "dorsi-\nflexion", (0.02, 0.05)),
    ):
        sheet.line(at, at + 0.22 * a, GREY, linestyle="--")
        sheet.line(at, at + 0.22 * b, colour)
        sheet.angle(at, a, b, 0.15, colour, text, away)
        sheet.dot(at, INK_COLOUR)


def leg_from_the_front(sheet: Sheet) -> None:
    """Adduction of the hip."""
    sheet.draw(left_out=(*ARMS, "T", "C", "head"))
    hip, knee = sheet.place("femur_r"), sheet.place("tibia_r")
    sheet.show(np.array([0, (hip[1] + knee[1]) / 2 - 0.14, 0.05]), 0.66)
    a, b = (-sheet.poses[name][:3, :3] @ UP for name in ("pelvis", "femur_r"))
    sheet.line(hip, hip + 0.5 * a, GREY, linestyle="--")
    sheet.line(hip, hip + 0.5 * b, BLUE)
    sheet.angle(hip, a, b, 0.36, BLUE, "hip adduction,\nnegative", (0.045, -0.05))
    sheet.dot(hip, INK_COLOUR)


def arm_from_the_front(sheet: Sheet) -> None:
    """Elevation."""
    sheet.draw(left_out=(*LEFT_ARM, *LEGS), plain=("head",))
    shoulder = sheet.place("humerus_r")
    sheet.show(np.add(shoulder, (0, -0.03, 0.04)), 0.7)
    a, b = (-sheet.poses[name][:3, :3] @ UP for name in ("T4", "humerus_r"))
    sheet.line(shoulder, shoulder + 0.3 * a, GREY, linestyle="--")
    sheet.line(shoulder, shoulder + 0.34 * b, BLUE)
    sheet.angle(shoulder, a, b, 0.22, BLUE, "elevation", (-0.03, -0.06))
    sheet.dot(shoulder, INK_COLOUR)


def arm_from_above(sheet: Sheet) -> None:
    """Plane of elevation."""
    sheet.draw(left_out=(*LEFT_ARM, *LEGS, "pelvis", "sacrum", "lumbar", "head"))
    shoulder = sheet.place("humerus_r")
    sheet.show(np.add(shoulder, (0.04, 0, 0.1)), 0.8)
    down = -sheet.poses["humerus_r"][:3, :3] @ UP
    level = np.array([down[0], 0, down[2]]) / np.hypot(down[0], down[2])
    sheet.line(shoulder, shoulder + 0.42 * RIGHT, GREY, linestyle="--")
    sheet.line(shoulder, shoulder + 0.42 * level, VERMILLION)
    sheet.angle(shoulder, RIGHT, level, 0.3, VERMILLION, "plane", (0.0, 0.03))
    sheet.dot(shoulder, INK_COLOUR)


HANG = {f"arm_add_{side}": 0.0 for side in "rl"}
CURVE = {f"T{i + 1}_T{i + 2}_Lat_Bending": 0.055 for i in range(2, 8)} | {
    name: -0.06 for name in ("T10_T11_Lat_Bending", "T11_T12_Lat_Bending", "L1_T12_Lat_Bending", "L1_L2_Lat_Bending")
}
BEND = {name: -0.12 for name in ("L5_S1_Flex_Ext", "L4_L5_Flex_Ext", "L3_L4_Flex_Ext", "L2_L3_Flex_Ext",
                                 "L1_L2_Flex_Ext", "L1_T12_Flex_Ext")} | {"pelvis_tilt": -0.45, "hip_flexion_r": 0.45,
                                                                         "hip_flexion_l": 0.45}  # fmt: skip
STEP = {"hip_flexion_r": 0.7, "knee_angle_r": 0.8, "ankle_angle_r": 0.25}
RAISED = {"arm_flex_r": 0.0, "arm_add_r": -1.0, "arm_rot_r": 0.0, "arm_add_l": 0.0}
# file, width and height in inches, panels: drawing, title, pose, seen from
FIGURES = (
    ("clinical-sagittal.png", (8.6, 6.2), (
        (pelvis, "Pelvis: incidence, tilt, slope", HANG | {"pelvis_tilt": 0.14}, "right"),
        (spine_from_the_side, "Spine over the pelvis", HANG | {"pelvis_tilt": -0.16}, "right"))),
    ("clinical-frontal.png", (8.6, 5.6), (
        (spine_from_behind, "From behind", HANG | CURVE, "behind"),
        (bending, "Bending: lumbar spine and pelvis", HANG | BEND, "right"))),
    ("clinical-limbs.png", (8.6, 4.4), (
        (leg_from_the_side, "Right leg, from the right", HANG | STEP, "right"),
        (leg_from_the_front, "From the front", HANG | {"hip_adduction_r": -0.3}, "front"),
        (arm_from_the_front, "Right arm, from the front", RAISED, "front"),
        (arm_from_above, "From above, front on top", RAISED | {"arm_flex_r": 0.9, "arm_add_r": -1.0}, "above"))),
)  # fmt: skip


def draw_figures(figures, folder: Path, height: float) -> None:
    """Each figure: (file, (width, height) inches, panels of (drawing, title, pose, view)). height: of panels, share."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from PIL import Image

    body = build_body("articulated", "simspine37")
    plates = carried_vertebrae(read_recipe("articulated").articulation, read_endplates())
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK_COLOUR}):
        for name, size, panels in figures:
            figure = Figure(figsize=size)
            for k, (drawing, title, values, view) in enumerate(panels):
                axes = figure.add_axes(((k + 0.01) / len(panels), 0.01, 0.98 / len(panels), height))
                drawing(Sheet(axes, body, plates, values, view))
                axes.set_title(title, loc="left", fontsize=9.5, fontweight="bold")
            figure.savefig(folder / name, dpi=110, facecolor="white")
            small = Image.open(folder / name).convert("RGB").quantize(200, method=Image.Quantize.MAXCOVERAGE)
            small.save(folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    draw_figures(FIGURES, parser.parse_args().folder, height=0.92)


if __name__ == "__main__":
    main()
