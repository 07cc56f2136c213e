"""Pictures to look at: sheets of many pictures, with labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simspine.report.picture_file import write_picture
from simspine.skeletons import load


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
