"""A tape with dots on a back that bends, drawn as two cameras see it: where every dot truly is, is known."""

from functools import lru_cache

import cv2
import numpy as np

from simspine.core.geometry import project_points
from simspine.core.types import Camera

DOTS, SPACING, RATE, RADIUS_PX = 22, 0.020, 50.0, 4.0
SIZE = (460, 640)  # px; 1 px is about 1 mm on the back
SKIN, TAPE, HAND = (120, 150, 200), (170, 90, 40), (100, 125, 175)
SHIFT = 4  # bits below a pixel, in which OpenCV takes coordinates
FINE = 2**SHIFT
HAND_PX = 10  # half its width


def cameras():
    """Two behind the person, 50° apart."""
    found = []
    for name, angle in (("left", 0.44), ("right", -0.44)):
        forward = np.array([np.cos(angle), -np.sin(angle), 0.0])
        R = np.array([[np.sin(-angle), -np.cos(angle), 0.0], [0.0, 0.0, -1.0], forward])
        K = [[2400, 0, SIZE[0] / 2], [0, 2400, SIZE[1] / 2], [0, 0, 1]]
        found.append(Camera(name, SIZE, K, np.zeros(5), R, -R @ (np.array([0.0, 0.0, 1.2]) - 2.4 * forward)))
    return found


def dots_at(frame):
    """(dots, 3) m, z up, from the top: a back that bends forward and sideways, and sways."""
    flexion = 0.25 + 0.4 * np.sin(2 * np.pi * frame / 60)  # rad, over the length of the tape
    bending = 0.5 * np.sin(2 * np.pi * frame / 45)
    s = np.linspace(0, 1, DOTS)
    forward, side = flexion * s + 0.25 * np.sin(2 * np.pi * s), bending * s  # of the tangent, from the bottom up
    tangent = np.stack([np.sin(forward), np.sin(side) * np.cos(forward), np.cos(side) * np.cos(forward)], 1)
    path = np.concatenate([np.zeros((1, 3)), SPACING * np.cumsum((tangent[1:] + tangent[:-1]) / 2, 0)])
    place = np.array([-0.02, 0.02 * np.sin(frame / 9), 1.0])
    return (path + place)[::-1]


def drawn(view, frame, covered=()):
    """An image (height, width, 3): a blue tape through whose holes skin shows. covered: dots (from 1) behind a hand."""
    return _drawn(view, frame, tuple(covered)).copy()


@lru_cache(maxsize=100)
def _drawn(view, frame, covered):
    rng = np.random.default_rng(frame)
    at = project_points([cameras()[view]], dots_at(frame))[0]
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    (u, v) = at.mean(0)
    shade = 8 * np.sin((x - u) / 31) * np.cos((y - v) / 43)
    image = np.clip(np.array(SKIN) + shade[..., None], 0, 255).astype(np.uint8)
    wide = int(5 * RADIUS_PX)
    points = np.round(at * FINE).astype(np.int32)
    cv2.polylines(image, [points[:, None]], False, TAPE, wide, cv2.LINE_AA, SHIFT)
    for point in points:
        cv2.circle(image, point.tolist(), round(RADIUS_PX * FINE), SKIN, -1, cv2.LINE_AA, SHIFT)
    for number in covered:
        x, y = np.round(at[number - 1]).astype(int)
        cv2.rectangle(image, (x - 90, y - HAND_PX), (x + 90, y + HAND_PX), HAND, -1)
    noisy = image + rng.normal(0, 3, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def seen(view, frames):
    """(frames, dots, 2) px."""
    return np.stack([project_points([cameras()[view]], dots_at(frame))[0] for frame in range(frames)])
