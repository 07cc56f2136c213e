"""The marker atlas's figure: the spine's meshes from the right, their endplates, joints and marker places."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tools.marker_atlas.survey import Atlas

from simspine.anatomy.curvature import ENDPLATE_SIDES, lumbar_lordosis, thoracic_kyphosis
from simspine.anatomy.shape_model import CHAIN_LEVELS
from simspine.report.bones import read_polygons
from simspine.report.figure_style import BLUE, GREEN, INK_COLOUR, ORANGE, PURPLE, VERMILLION

BONE, GHOST = np.array([0.94, 0.90, 0.81]), np.array([0.955, 0.955, 0.96])
LIGHT = np.array([0.35, 0.60, 0.72]) / np.linalg.norm([0.35, 0.60, 0.72])  # from the front, above, and the viewer
GIVES_PLACE = (  # mesh, body, scale, offset of the rest of the trunk, as in the model
    ("hat_ribs_scap.vtp", "torso", (1.0, 1.1, 1.0), (0.0085, -0.045, 0.0)),
    ("skull.vtp", "head", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
    ("jaw.vtp", "head", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
    ("r_pelvis.vtp", "pelvis", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
)

# Other released points that help to find one's way, and where their names go, m.
ASIDE = {"Head": (0.012, 0.008), "Nose": (0.01, 0.0), "RClavicle": (0.012, 0.006), "RShoulder": (0.04, -0.038),
         "RLatissimus": (-0.033, 0.0), "RHip": (0.012, 0.0)}  # fmt: skip


def draw(atlas: Atlas, path: Path, dpi: int = 125) -> None:
    """Write the figure as a PNG with a palette (small file)."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 8.5, "text.color": INK_COLOUR}):
        figure = Figure(figsize=(10.4, 11.6))
        _compose(figure, atlas)
        figure.savefig(path, dpi=dpi, facecolor="white")
    _reduce(path)


def _reduce(path: Path, colours: int = 96) -> None:
    """To a palette that keeps the few coloured lines, which the many bone-coloured pixels would crowd out."""
    from PIL import Image, ImageDraw

    picture = Image.open(path).convert("RGB")
    sample = Image.new("RGB", (picture.width, picture.height + 200))
    sample.paste(picture)
    pen, accents = ImageDraw.Draw(sample), (BLUE, GREEN, INK_COLOUR, ORANGE, PURPLE, VERMILLION)
    for k, colour in enumerate(accents):
        left, right = (i * picture.width // len(accents) for i in (k, k + 1))
        pen.rectangle((left, picture.height, right, sample.height), fill=colour)
    palette = sample.quantize(colours, dither=Image.Dither.NONE)
    picture = picture.quantize(palette=palette, dither=Image.Dither.NONE)
    picture.putpalette([255 if value >= 249 else value for value in picture.getpalette()])  # white stays white
    picture.save(path, optimize=True)


def _compose(figure, atlas: Atlas) -> None:
    whole = figure.add_axes((0.005, 0.07, 0.545, 0.90))
    neck = figure.add_axes((0.565, 0.545, 0.425, 0.40))
    back = figure.add_axes((0.565, 0.075, 0.425, 0.435))
    bones = _triangles(atlas)
    for axes in (whole, neck, back):
        _draw_bones(axes, bones)
        axes.set_aspect("equal")
        axes.set(xticks=[], yticks=[])
        for side in axes.spines.values():
            side.set(color="#b9bcc0", linewidth=0.8, visible=axes is not whole)
    pelvis = atlas.point("pelvis", (0, 0, 0))
    _limit(whole, pelvis[0] - 0.285, pelvis[0] + 0.225, pelvis[1] - 0.125)
    _limit(neck, *_around(atlas.centroid("C4"), (-0.022, -0.004), 0.078))
    _limit(back, *_around(atlas.centroid("L3"), (-0.017, -0.012), 0.118))
    _draw_plates(whole, atlas, 0.9)
    _draw_cobb(whole, atlas)
    _draw_spine(whole, atlas)
    for axes, levels in ((neck, CHAIN_LEVELS[:9]), (back, CHAIN_LEVELS[18:])):
        _draw_plates(axes, atlas, 1.8)
        _draw_close(axes, atlas, levels)
    whole.set_title("The model's spine in its neutral pose, seen from the right", loc="left", fontweight="bold", pad=4)
    neck.set_title("Neck: arch, vertebral body, front of the ring", loc="left", fontweight="bold", pad=4)
    back.set_title("Lower back: tips of the spinous processes", loc="left", fontweight="bold", pad=4)
    _legend(figure)


def _around(level: np.ndarray, shift: tuple[float, float], half: float) -> tuple[float, float, float]:
    """Left, right and bottom of a window about a point."""
    x, y = level[:2] + shift
    return x - half, x + half, y - half


def _limit(axes, left: float, right: float, bottom: float) -> None:
    """Fill the axes' box: the height follows from the width."""
    box = axes.get_position(original=True)
    width, height = axes.figure.get_size_inches() * (box.width, box.height)
    axes.set(xlim=(left, right), ylim=(bottom, bottom + (right - left) * height / width))


def _triangles(atlas: Atlas):
    """Outlines (points, 2), colours and depth of all faces, far ones first."""
    outlines, colours, depths = [], [], []

    def add(points, faces, base, layer):
        for face in faces:
            v = points[face]
            normal = np.cross(v[1] - v[0], v[2] - v[0])
            normal = normal / max(np.linalg.norm(normal), 1e-12)
            if normal[2] < 0:  # the far side of a bone
                continue
            shade = 0.62 + 0.40 * max(normal @ LIGHT, 0.0) if layer else 0.955 + 0.045 * max(normal @ LIGHT, 0.0)
            outlines.append(v[:, :2])
            colours.append(np.clip(base * shade, 0, 1))
            depths.append((layer, v[:, 2].mean()))

    for mesh, body, scale, offset in GIVES_PLACE:
        points, faces = read_polygons(atlas.geometry / mesh)
        add(atlas.point(body, points * scale + offset), faces, GHOST, 0)
    for bone in atlas.bones.values():
        add(atlas.point(bone.body, bone.points), bone.faces, BONE, 1)
    order = sorted(range(len(depths)), key=depths.__getitem__)
    return [outlines[k] for k in order], [colours[k] for k in order]


def _draw_bones(axes, bones) -> None:
    from matplotlib.collections import PolyCollection

    outlines, colours = bones
    axes.add_collection(PolyCollection(outlines, facecolors=colours, edgecolors=colours, linewidths=0.25, zorder=1))


def _plate(atlas: Atlas, level: str, side: str):
    """Centre, direction (forwards) and half the depth of an endplate in the picture, or None."""
    plate = getattr(atlas.vertebrae[level], side)
    if plate is None:
        return None
    centre = atlas.point(plate.body, plate.centre)
    normal = atlas.poses[plate.body][:3, :3] @ plate.normal
    along = np.array([normal[1], -normal[0]]) / np.hypot(*normal[:2])
    mesh = atlas.mesh(level) - centre
    rim = mesh[np.abs(mesh @ normal) < 0.0025]
    return centre[:2], along, float((rim[:, :2] @ along).max())


def _draw_plates(axes, atlas: Atlas, width: float) -> None:
    for level in CHAIN_LEVELS:
        for side in ENDPLATE_SIDES:
            if (found := _plate(atlas, level, side)) is not None:
                centre, along, half = found
                _line(axes, centre - half * along, centre + half * along, GREEN, width, zorder=3)


def _line(axes, a, b, colour, width, style="-", zorder=2, **more) -> None:
    axes.plot(*np.transpose([a, b]), color=colour, linewidth=width, linestyle=style, zorder=zorder, **more)


def _draw_cobb(axes, atlas: Atlas) -> None:
    """The endplates of both angles, prolonged to the front, with the angle between them."""
    vertebrae, poses = atlas.vertebrae, {name: pose[None] for name, pose in atlas.poses.items()}
    for title, value, ends in (
        ("lordosis", lumbar_lordosis(poses, vertebrae), (("L1", "superior"), ("S1", "superior"))),
        ("kyphosis", thoracic_kyphosis(poses, vertebrae), (("T3", "superior"), ("T12", "inferior"))),
    ):
        tips = []
        for level, side in ends:
            centre, along, half = _plate(atlas, level, side)
            reach = 0.085
            _line(axes, centre - half * along, centre + half * along, PURPLE, 2.0, zorder=4)
            _line(axes, centre + half * along, centre + reach * along, PURPLE, 1.0, (0, (4, 2)), zorder=4)
            tips.append(centre + reach * along)
        middle = np.mean(tips, axis=0)
        text = f"{title} {ends[0][0]}–{ends[1][0]}\n{np.degrees(value[0]):.1f}°"
        _text(axes, middle[0] + 0.005, middle[1], text, color=PURPLE, ha="left", va="center", fontsize=9)


def _draw_spine(axes, atlas: Atlas) -> None:
    """Centroids with their names in front, released points with theirs behind."""
    centroids = np.array([atlas.centroid(level) for level in CHAIN_LEVELS])[:, :2]
    axes.plot(*centroids.T, color=BLUE, linewidth=0.8, zorder=5)
    axes.plot(*centroids.T, "o", color=BLUE, markersize=2.6, zorder=6)
    for level, (_, y) in zip(CHAIN_LEVELS, centroids, strict=True):
        _text(axes, _front(atlas, level) + 0.004, y, level, color=BLUE, fontsize=6.5, va="center")
    for name, entry in atlas.spine.items():
        released, own = atlas.at(atlas.release[name])[:2], atlas.centroid(entry["level"])[:2]
        _line(axes, released, own, VERMILLION, 0.8, zorder=5)
        axes.plot(*own, "o", color=BLUE, markersize=5.5, zorder=7)
        _diamond(axes, released, 5.5)
        behind = min(released[0], atlas.process(entry["level"])[0] if name != "Hip" else np.inf)
        _text(axes, behind - 0.012, released[1], name, ha="right", va="center", fontsize=8)
        axes.plot(*atlas.inferred(name)[:2], "^", color=ORANGE, markerfacecolor="none", markersize=4.5, zorder=6)
    for name, (dx, dy) in ASIDE.items():
        at = atlas.at(atlas.release[name])[:2]
        if np.hypot(dx, dy) > 0.05:
            _line(axes, at, at + np.array([dx - 0.002, dy]), VERMILLION, 0.6, ":", zorder=6)
        axes.plot(*at, "D", color=VERMILLION, markerfacecolor="white", markersize=4.0, zorder=8)
        _text(axes, at[0] + dx, at[1] + dy, name, va="center", fontsize=8,
              ha="left" if dx > 0 else "right", color=VERMILLION)  # fmt: skip


def _draw_close(axes, atlas: Atlas, levels: Iterable[str]) -> None:
    """Centroids, joints, released points with how far they are from the centroid they are named after."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    size = right - left
    for level in levels:
        x, y = atlas.centroid(level)[:2]
        axes.plot(x, y, "o", color=BLUE, markersize=5, zorder=7)
        if bottom < y < top:
            _text(axes, _front(atlas, level) + 0.015 * size, y, level, color=BLUE, va="center", fontweight="bold")
    for level in atlas.plan.levels:
        centre = _joint_centre(atlas, level)
        if left < centre[0] < right and bottom < centre[1] < top:
            axes.plot(
                *centre, "o", color=INK_COLOUR, markerfacecolor="white", markersize=4.2, markeredgewidth=0.9, zorder=7
            )
    for name, entry in atlas.spine.items():
        released, own = atlas.at(atlas.release[name])[:2], atlas.centroid(entry["level"])[:2]
        if not (bottom < released[1] < top):
            continue
        _line(axes, released, own, VERMILLION, 1.2, zorder=6)
        _diamond(axes, released, 7)
        mm = f"{1e3 * np.hypot(*(released - own)):.0f} mm"
        axes.text(
            left + 0.02 * size, released[1], f"{name} ({entry['level']})\n{mm}", va="center", fontsize=8, zorder=8
        )
        _line(axes, (left + 0.21 * size, released[1]), released - [0.012 * size, 0], VERMILLION, 0.6, ":", zorder=6)
    bar = 0.02
    end = np.array([right - 0.04 * size, bottom + 0.04 * size])
    _line(axes, end - [bar, 0], end, INK_COLOUR, 2.0)
    axes.text(right - bar / 2 - 0.04 * size, bottom + 0.055 * size, "20 mm", ha="center", fontsize=8)


def _joint_centre(atlas: Atlas, level: str) -> np.ndarray:
    below, above = atlas.plan.pair(level)
    if below in atlas.plan.origins:
        return atlas.point(atlas.plan.split, atlas.plan.centre(level))[:2]
    return atlas.joint(atlas.plan.split if above in atlas.plan.origins else above)[:2]


def _front(atlas: Atlas, level: str) -> float:
    """Where the body of a vertebra ends in front, m in ground; its name goes there."""
    return atlas.centroid(level)[0] + 0.028 if level == "S1" else float(atlas.mesh(level)[:, 0].max())


def _text(axes, x: float, y: float, text: str, **style) -> None:
    """Text with a white rim, readable over bones and lines."""
    from matplotlib.patheffects import withStroke

    axes.text(x, y, text, zorder=9, path_effects=[withStroke(linewidth=2.0, foreground="white")], **style)


def _diamond(axes, at, size: float) -> None:
    axes.plot(*at, "D", color=VERMILLION, markeredgecolor="white", markeredgewidth=0.7, markersize=size, zorder=8)


def _legend(figure) -> None:
    from matplotlib.lines import Line2D

    def entry(label, **style):
        return Line2D([], [], linestyle=style.pop("linestyle", "none"), label=label, **style)

    figure.legend(
        handles=[
            entry("released place, line to the centroid of its name", marker="D", color=VERMILLION, linestyle="-"),
            entry("other released places", marker="D", color=VERMILLION, markerfacecolor="white"),
            entry("centroid of the vertebra (marker set vertebral: the large ones)", marker="o", color=BLUE),
            entry("joint of the articulated body", marker="o", color=INK_COLOUR, markerfacecolor="white"),
            entry("endplate, from edge to edge", color=GREEN, linestyle="-", linewidth=1.8),
            entry("endplates of the Cobb angles, prolonged", color=PURPLE, linestyle=(0, (4, 2))),
            entry("where a point that was not seen is put", marker="^", color=ORANGE, markerfacecolor="none"),
        ],
        loc="lower center",
        ncol=2,
        frameon=False,
        fontsize=8.5,
        bbox_to_anchor=(0.5, 0.0),
    )
