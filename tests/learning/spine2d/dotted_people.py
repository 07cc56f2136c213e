"""Pictures of people who are nothing but a coloured dot at each point, so that labels can be checked by colour."""

import cv2
import numpy as np

from simspine.core.skeletons import load_skeleton
from simspine.io.coco import keypoint_list, write_coco_people

POINTS = 37
WIDTH, HEIGHT = 120, 160  # px


def colour(point: int) -> tuple[int, int, int]:
    """BGR of a point's dot."""
    return 255, 40 + 5 * point, 250 - 6 * point


def places(rng: np.random.Generator) -> np.ndarray:
    """(37, 3) px: whole numbers, no two nearer than the dots are wide."""
    cells = rng.permutation(9 * 12)[:POINTS]
    xy = np.column_stack([20 + 10 * (cells % 9), 20 + 10 * (cells // 9)])
    return np.column_stack([xy, np.full(POINTS, 2)]).astype(float)


def picture(keypoints: np.ndarray) -> np.ndarray:
    """(height, width, 3) uint8 BGR."""
    image = np.full((HEIGHT, WIDTH, 3), 30, np.uint8)
    for i, (x, y, v) in enumerate(keypoints):
        if v:
            cv2.circle(image, (int(x), int(y)), 3, colour(i), -1)
    return image


def write_dotted(folder, split: str, count: int, seed: int) -> np.ndarray:
    """Write a split; the keypoints (count, 37, 3) of all."""
    rng = np.random.default_rng(seed)
    (folder / "images" / split).mkdir(parents=True)
    rows, every = [], []
    for number in range(1, count + 1):
        keypoints = places(rng)
        name = f"{number:06d}.png"
        cv2.imwrite(str(folder / "images" / split / name), picture(keypoints))
        low, high = keypoints[:, :2].min(0), keypoints[:, :2].max(0)
        rows.append(({"width": WIDTH, "height": HEIGHT, "file_name": name}, {
            "category_id": 1, "iscrowd": 0, "num_keypoints": POINTS,
            "keypoints": keypoint_list(keypoints), "bbox": [*low, *(high - low)], "area": float(np.prod(high - low)),
        }))  # fmt: skip
        every.append(keypoints)
    write_coco_people(folder / "annotations" / f"person_keypoints_{split}.json", rows, "test")
    return np.array(every)


NAMES = load_skeleton("spinetrack37").names
