"""Pictures to look at: portraits of a person, and sheets of many pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from simspine.capture.rendered.people import RenderedPerson, person_mesh
from simspine.capture.rendered.picture import finer, take_picture
from simspine.capture.rendered.sensor import to_srgb
from simspine.capture.rig import looking
from simspine.geometry import change_frame, project_one
from simspine.rendering.mesh import Light
from simspine.rendering.shade import shadow_map
from simspine.report.picture_file import write_picture
from simspine.skeletons import load
from simspine.skeletons.vertebrae import VERTEBRA_OF
from simspine.types import Camera

_SIZE = (230, 400)  # px of a portrait
_FINER = 3  # samples a side of each pixel
_FAR = 4.5  # m
_BACKGROUND = 0.32  # linear grey


def portrait(
    person: RenderedPerson, poses: Mapping[str, np.ndarray], azimuth: float, spine: bool = False
) -> np.ndarray:
    """(height, width, 3) uint8 BGR: the person from `azimuth` degrees to the right of the front, before plain grey.

    poses: {body: (4, 4)}, y_up. spine: draw the vertebrae through the skin.
    """
    import cv2

    maps = person.maps({name: pose[None] for name, pose in poses.items()})[0]
    mesh = person_mesh(person, maps)
    middle = (mesh.points.min(0) + mesh.points.max(0)) / 2
    turn = np.arctan2(maps[0, 1, 0], maps[0, 0, 0]) - np.radians(azimuth)
    eye = middle + _FAR * np.array([np.cos(turn), np.sin(turn), 0.05])
    R = looking(eye, middle)
    focal = _SIZE[1] * _FAR / 2.0
    K = np.array([[focal, 0, _SIZE[0] / 2], [0, focal, _SIZE[1] / 2], [0, 0, 1.0]])
    camera = Camera("portrait", _SIZE, K, np.zeros(5), R, -R @ eye)
    fine = finer(camera, _FINER)
    way = np.array([np.cos(turn + 0.6), np.sin(turn + 0.6), 0.9])
    light = Light(way / np.linalg.norm(way), np.full(3, 0.85), np.full(3, 0.6), np.full(3, 0.35))
    behind = np.full((fine.size[1], fine.size[0], 3), _BACKGROUND, np.float32)
    shadow = shadow_map(mesh.points, mesh.triangles, light.way)
    colours = take_picture(fine, mesh, [len(mesh.triangles)], light, shadow, behind).colours
    picture = to_srgb(cv2.resize(colours, _SIZE, interpolation=cv2.INTER_AREA))
    if spine:
        _draw_spine(picture, person, poses, camera)
    return picture


def _draw_spine(picture: np.ndarray, person: RenderedPerson, poses: Mapping[str, np.ndarray], camera: Camera) -> None:
    import cv2

    levels = [level for level in person.body.marker_names if level in set(_LEVELS)]
    for level in levels:
        i = person.body.marker_index(level)
        at = (poses[person.body.marker_bodies[i]] @ [*person.body.marker_offsets[i], 1])[:3]
        x, y = project_one(camera, change_frame(at, "y_up", "z_up"))
        known = level in VERTEBRA_OF.values()
        cv2.circle(
            picture,
            (round(x), round(y)),
            3 if known else 2,
            (40, 40, 230) if known else (230, 160, 40),
            -1,
            cv2.LINE_AA,
        )


_LEVELS = (*(f"C{i}" for i in range(1, 8)), *(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6)), "S1")


def drawn_labels(picture: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """A copy of a picture with points (37, 3) x, y, v in SpineTrack's order: lines, filled where seen (v 2)."""
    import cv2

    out, table = picture.copy(), load("spinetrack37")
    size = max(1, round(picture.shape[0] / 130))
    spine = {table.index(name) for name in table.names if table.levels[table.index(name)]}
    for i, parent in enumerate(table.parents):
        if parent >= 0 and keypoints[i, 2] > 0 and keypoints[parent, 2] > 0:
            start, end = ((round(float(keypoints[k, 0])), round(float(keypoints[k, 1]))) for k in (i, parent))
            cv2.line(out, start, end, (60, 200, 60) if i in spine else (200, 170, 60), 1, cv2.LINE_AA)
    for i, (x, y, v) in enumerate(keypoints):
        if v > 0:
            colour = (40, 40, 235) if i in spine else (0, 190, 255)
            cv2.circle(out, (round(float(x)), round(float(y))), size, colour, -1 if v == 2 else 1, cv2.LINE_AA)
    return out


def save_sheet(path: Path, rows: Sequence[Sequence[np.ndarray]], gap: int = 4) -> None:
    """Pictures of one size in rows, as one PNG or JPEG; written atomically."""
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    sheet = np.full((len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            sheet[r * (height + gap) :, c * (width + gap) :][:height, :width] = picture
    write_picture(path, sheet)
