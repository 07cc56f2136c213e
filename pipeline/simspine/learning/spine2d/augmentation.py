"""Crops of people: where they are cut out, turned, mirrored, and what is done to their colours. All by a generator."""

from dataclasses import dataclass, replace

import numpy as np

from simspine.detection.spinepose import frame_box
from simspine.learning.spine2d.options import SKELETON, CurriculumStage
from simspine.skeletons import load

_LEAST_POINTS, _LEAST_HALF = 9, 3  # labelled points for showing half a body, and in that half (MMPose)
_UPPER, _HALF_PADDING = 0.7, 1.5  # probability of the upper half, and of its box's size (MMPose)
_ROTATED, _SHIFTED = 0.6, 0.3  # probabilities of a rotation and of a shift (MMPose)
_LOWER = ("hip", "knee", "ankle", "toe", "heel")
_GAINS = np.array([5.0, 0.3, 0.3])  # largest changes: hue (of 180), saturation and value (shares)
_HOLE = (0.2, 0.4)  # of the crop's sides
_GREY = 114


@dataclass(frozen=True)
class CropView:
    """Where a crop looks. centre: x, y px of the image; width: px, the height follows from the crop's aspect; turn:
    rad; mirrored: left for right.
    """

    centre: tuple[float, float]
    width: float
    turn: float = 0.0
    mirrored: bool = False

    def matrix(self, size: tuple[int, int]) -> np.ndarray:
        """(2, 3) from px of the image to px of a crop of (height, width)."""
        height, width = size
        c, s = np.cos(self.turn), np.sin(self.turn)
        linear = np.array([[c, s], [-s, c]]) * (width / self.width)
        found = np.column_stack([linear, np.array([width, height]) / 2 - linear @ self.centre])
        if self.mirrored:
            found[0] = [0, 0, width - 1] - found[0]
        return found


def plain_view(box: np.ndarray, size: tuple[int, int]) -> CropView:
    """The crop that a detector looks at: the box (x0 y0 x1 y1 px), padded and widened to the aspect of (h, w)."""
    x, y, width, height = frame_box(np.asarray(box, float), size)
    return CropView((float(x + width / 2), float(y + height / 2)), float(width))


def drawn_view(
    box: np.ndarray,
    keypoints: np.ndarray,
    names: tuple[str, ...],
    stage: CurriculumStage,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> CropView:
    """A crop with the augmentation of a stage. keypoints: (points, 3) px of the image."""
    if rng.random() < stage.half_body:
        box = _half(box, keypoints, names, rng)
    view = plain_view(box, size)
    if rng.random() < _SHIFTED:
        height = view.width * size[0] / size[1]
        moved = stage.shift * _bell(rng), stage.shift * _bell(rng)
        view = replace(view, centre=(view.centre[0] + moved[0] * view.width, view.centre[1] + moved[1] * height))
    low, high = stage.scale
    view = replace(view, width=view.width * ((low + high) / 2 + (high - low) / 2 * _bell(rng)))
    if rng.random() < _ROTATED:
        view = replace(view, turn=np.deg2rad(stage.rotation_deg) * _bell(rng))
    return replace(view, mirrored=bool(rng.random() < stage.flip))


def _half(box: np.ndarray, keypoints: np.ndarray, names: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
    """The box of the labelled points of the upper or the lower half; the whole one where too few are labelled."""
    labelled = keypoints[:, 2] > 0
    lower = np.array([name.endswith(_LOWER) for name in names])
    chosen = labelled & (lower if rng.random() > _UPPER else ~lower)
    if labelled.sum() < _LEAST_POINTS or chosen.sum() < _LEAST_HALF:
        return box
    low, high = keypoints[chosen, :2].min(0), keypoints[chosen, :2].max(0)
    grown = np.maximum((high - low) * (_HALF_PADDING - 1) / 2, 1.0)
    return np.concatenate([low - grown, high + grown])


def _bell(rng: np.random.Generator) -> float:
    """Standard normal within −1 and 1."""
    while True:
        value = float(rng.standard_normal())
        if abs(value) <= 1:
            return value


def cut_out(image: np.ndarray, view: CropView, size: tuple[int, int]) -> np.ndarray:
    """(height, width, channels) of the image; black beyond its edges."""
    import cv2

    return cv2.warpAffine(image, view.matrix(size), (size[1], size[0]), flags=cv2.INTER_LINEAR)


def moved_labels(
    keypoints: np.ndarray, names: tuple[str, ...], view: CropView, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """(points, 2) px of the crop, and (points,) bool: labelled and inside the crop. Left and right change places where
    the crop is mirrored. keypoints: (points, 3) px of the image.
    """
    matrix = view.matrix(size)
    xy = keypoints[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    known = (keypoints[:, 2] > 0) & (xy >= 0).all(1) & (xy <= [size[1] - 1, size[0] - 1]).all(1)
    if view.mirrored:
        order = mirror_order(names)
        xy, known = xy[order], known[order]
    return np.where(known[:, None], xy, 0.0), known


def mirror_order(names: tuple[str, ...]) -> np.ndarray:
    """(points,) index of each point's mirrored one among some of SpineTrack's points; its own where that is absent."""
    table = load(SKELETON)
    mirrored = [table.names[table.swaps[table.index(name)]] for name in names]
    return np.array([names.index(other) if other in names else i for i, other in enumerate(mirrored)])


def changed_colours(crop: np.ndarray, stage: CurriculumStage, rng: np.random.Generator) -> np.ndarray:
    """The crop (height, width, 3) uint8 BGR with other colours, blurred, with a hole, as the stage says."""
    import cv2

    if stage.colour:
        hsv = cv2.cvtColor(crop, cv2.COLOR_BGR2HSV).astype(np.float32)
        gains = rng.uniform(-1, 1, 3) * _GAINS
        hsv[..., 0] = (hsv[..., 0] + gains[0]) % 180
        hsv[..., 1:] = np.clip(hsv[..., 1:] * (1 + gains[1:]), 0, 255)
        crop = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR)
    if rng.random() < stage.blur:
        crop = cv2.blur(crop, (int(rng.integers(3, 8)),) * 2)
    if rng.random() < stage.blur:
        crop = cv2.medianBlur(crop, 2 * int(rng.integers(1, 4)) + 1)
    if rng.random() < stage.hole:
        height, width = crop.shape[:2]
        high, wide = (round(side * rng.uniform(*_HOLE)) for side in (height, width))
        top, left = int(rng.integers(0, height - high + 1)), int(rng.integers(0, width - wide + 1))
        crop = crop.copy()
        crop[top : top + high, left : left + wide] = _GREY
    return crop
