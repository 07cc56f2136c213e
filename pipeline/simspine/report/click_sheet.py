"""A view's image with numbered rings around spots on the back, to be named by a person."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from simspine.formats.atomic import atomic_path
from simspine.report import canvas
from simspine.report.style import YELLOW, bgr

DARK = (24, 20, 18)
SHOWN = 0.8  # of the trunk's diagonal, kept around its middle
HEIGHT = 1000  # px of the picture


def click_sheet(image: np.ndarray, trunk: np.ndarray, spots: Mapping[int, np.ndarray], caption: str) -> np.ndarray:
    """The part of an image (height, width, 3) BGR around the trunk, enlarged to `HEIGHT` px.

    trunk: (4, 2) px, shoulders and hips. spots: {number: (2,) px}. A ring leaves the spot itself in sight.
    """
    import cv2

    half = SHOWN * float(np.hypot(*(trunk.max(0) - trunk.min(0))))
    low = np.clip(np.floor(trunk.mean(0) - half), 0, None).astype(int)
    high = np.minimum(np.ceil(trunk.mean(0) + half), image.shape[1::-1]).astype(int)
    scale = HEIGHT / (high - low)[1]
    part = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    picture = cv2.resize(part, (round(part.shape[1] * scale), HEIGHT), interpolation=cv2.INTER_CUBIC)
    for number, xy in spots.items():
        at = scale * (np.asarray(xy) + 0.5 - low) - 0.5
        canvas.ring(picture, at, 19, DARK, 6)
        canvas.ring(picture, at, 19, bgr(YELLOW), 3)
        canvas.tag(picture, at + np.array([24, 0]), str(number), 22, bgr(YELLOW))
    return canvas.caption(picture, caption)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture (height, width, 3) BGR as PNG, atomically."""
    import cv2

    with atomic_path(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
