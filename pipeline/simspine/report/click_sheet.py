"""A view's image with numbered rings around spots on the back, to be named by a person."""

from collections.abc import Mapping

import numpy as np

from simspine.report import canvas
from simspine.report.style import YELLOW, bgr

DARK = (24, 20, 18)
SHOWN = 0.8  # of the trunk's diagonal, kept around its middle
HEIGHT = 1000  # px of the picture
CAPTION = 55  # px at the upper edge
RADIUS, EDGE, SIZE = 19, 3, 22  # px of a ring, half its line, of the letters
AWAY = (5, 20, 40, 70, 110)  # px between a ring and its label, the first that is free


def click_sheet(image: np.ndarray, trunk: np.ndarray, spots: Mapping[int, np.ndarray], caption: str) -> np.ndarray:
    """The part of an image (height, width, 3) BGR around the trunk, enlarged to `HEIGHT` px.

    trunk: (4, 2) px, shoulders and hips. spots: {number: (2,) px}. A ring leaves the spot itself in sight. No
    label is covered.
    """
    import cv2

    half = SHOWN * float(np.hypot(*(trunk.max(0) - trunk.min(0))))
    low = np.clip(np.floor(trunk.mean(0) - half), 0, None).astype(int)
    high = np.minimum(np.ceil(trunk.mean(0) + half), image.shape[1::-1]).astype(int)
    scale = HEIGHT / (high - low)[1]
    part = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    picture = cv2.resize(part, (round(part.shape[1] * scale), HEIGHT), interpolation=cv2.INTER_CUBIC)
    picture = canvas.caption(picture, caption)
    places = {number: scale * (np.asarray(xy) + 0.5 - low) - 0.5 for number, xy in spots.items()}
    boxes = label_boxes(places, (picture.shape[1], HEIGHT))
    for number, at in places.items():
        middle = (boxes[number][:2] + boxes[number][2:]) / 2
        edge = at + RADIUS * (middle - at) / np.hypot(*(middle - at))
        canvas.line(picture, np.array([edge, middle]), bgr(YELLOW), 1)
        canvas.ring(picture, at, RADIUS, DARK, 6)
        canvas.ring(picture, at, RADIUS, bgr(YELLOW), 3)
    for number, box in boxes.items():
        canvas.tag(picture, np.array([box[0], (box[1] + box[3]) / 2]), str(number), SIZE, bgr(YELLOW))
    return picture


def label_boxes(places: Mapping[int, np.ndarray], size: tuple[int, int]) -> dict[int, np.ndarray]:
    """{number: x0 y0 x1 y1 px} of its label: the nearest place to the ring that covers no ring and no other label.

    places: {number: (2,) px} of the rings. size: (width, height) px of the picture; its caption is left free. Where all
    is full a label stays right of its ring.
    """
    boxes: dict[int, np.ndarray] = {}
    for number, at in places.items():
        half = np.array([canvas.tag_width(str(number), SIZE), 1.4 * SIZE]) / 2
        for away in AWAY:
            reach = half + RADIUS + away
            ways = reach * np.array([[1, 0], [-1, 0], [0, -1], [0, 1], [1, -1], [1, 1], [-1, -1], [-1, 1]])
            free = [box for way in ways if _is_free(box := _box(at + way, half), places, boxes, size)]
            if free:
                boxes[number] = free[0]
                break
        else:
            boxes[number] = _box(at + np.array([half[0] + RADIUS + AWAY[0], 0]), half)
    return boxes


def _box(centre: np.ndarray, half: np.ndarray) -> np.ndarray:
    return np.round(np.concatenate([centre - half, centre + half]))


def _is_free(box: np.ndarray, places: Mapping[int, np.ndarray], others: Mapping[int, np.ndarray], size) -> bool:
    if (box[:2] < [0, CAPTION]).any() or (box[2:] > size).any():
        return False
    beside = [np.hypot(*(np.clip(at, box[:2], box[2:]) - at)) > RADIUS + EDGE for at in places.values()]
    return all(beside) and all((box[2:] < other[:2]).any() or (box[:2] > other[2:]).any() for other in others.values())
