"""Points that people placed in images, between programs: one type, and COCO in SpineTrack's layout.

CVAT and Label Studio: `simspine.io.annotation_tools`.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.core.types import read_only_array
from simspine.io.coco import read_coco, write_coco_people
from simspine.io.text_tables import parse_content, read_bytes, repeated_names

POINT_STATUSES = ("unseen", "accepted", "corrected", "derived")  # by number: what a person did about a point
DIGITS = 3  # of px in files


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """One person per image.

    names: of the points. file_names: of the images. sizes: (images, 2) width, height px. points: (images, points, 3)
    x, y px and v: 2 seen, 1 hidden, 0 absent. status: (images, points) number in `POINT_STATUSES`.
    """

    names: tuple[str, ...]
    file_names: tuple[str, ...]
    sizes: np.ndarray
    points: np.ndarray
    status: np.ndarray

    def __post_init__(self):
        images, points = len(self.file_names), len(self.names)
        if len(set(self.names)) < points or len(set(self.file_names)) < images:
            raise InputError("LabelledImages: names of points, and of images, must be unique.")
        shapes = {
            "sizes": ((images, 2), int),
            "points": ((images, points, 3), float),
            "status": ((images, points), int),
        }
        for field, (shape, dtype) in shapes.items():
            object.__setattr__(
                self, field, read_only_array("LabelledImages", field, getattr(self, field), shape=shape, dtype=dtype)
            )
        if not np.isfinite(self.points).all() or not np.isin(self.points[..., 2], (0, 1, 2)).all():
            raise InputError("LabelledImages.points: expected finite px, and 0, 1 or 2 for how a point shows.")
        if self.status.size and not 0 <= self.status.min() <= self.status.max() < len(POINT_STATUSES):
            raise InputError(f"LabelledImages.status: expected 0…{len(POINT_STATUSES) - 1}.")

    def rows(self, chosen: Sequence[bool]) -> "LabelledImages":
        """Only these images."""
        kept = np.flatnonzero(np.asarray(chosen, bool))
        files = tuple(self.file_names[i] for i in kept)
        return LabelledImages(
            names=self.names,
            file_names=files,
            sizes=self.sizes[kept],
            points=self.points[kept],
            status=self.status[kept],
        )

    def select(self, names: tuple[str, ...]) -> "LabelledImages":
        """The named points in their order; those that are not there are absent and nobody has looked at them."""
        points = np.zeros((len(self.file_names), len(names), 3))
        status = np.zeros(points.shape[:2], int)
        for i, name in enumerate(names):
            if name in self.names:
                k = self.names.index(name)
                points[:, i], status[:, i] = self.points[:, k], self.status[:, k]
        return replace(self, names=names, points=points, status=status)


def read_as_kind(path: str | os.PathLike, names, file_names, sizes, points, status) -> LabelledImages:
    """What a reader found in a file as `LabelledImages`; an `InputError` of it names the file."""
    try:
        return LabelledImages(
            names=tuple(names), file_names=tuple(file_names), sizes=sizes, points=points, status=status
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: {error}") from None


def to_spinetrack(images: LabelledImages) -> LabelledImages:
    """SIMSPINE's points under SpineTrack's names and in its order; markers on the skin are left out."""
    table = load_skeleton("spinetrack37")
    chosen = images.select(tuple(table.to_simspine[name] for name in table.names))
    return replace(chosen, names=table.names)


def to_simspine(images: LabelledImages) -> LabelledImages:
    """Points under SIMSPINE's names where they are SpineTrack's; others keep theirs."""
    table = load_skeleton("spinetrack37").to_simspine
    return replace(images, names=tuple(table.get(name, name) for name in images.names))


def write_coco_labels(path: str | os.PathLike, images: LabelledImages) -> None:
    """COCO keypoints in SpineTrack's layout, 37 points, a record per line; `status` of each point besides."""
    found = to_spinetrack(images)
    rows: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for i, name in enumerate(found.file_names):
        seen = found.points[i, :, 2] > 0
        if not seen.any():
            continue
        number, (width, height) = len(rows) + 1, found.sizes[i].tolist()
        low, high = found.points[i, seen, :2].min(0), found.points[i, seen, :2].max(0)
        box = [round(float(v), DIGITS) for v in (*low, *(high - low))]
        keypoints = [
            v for x, y, see in found.points[i].tolist() for v in (round(x, DIGITS), round(y, DIGITS), int(see))
        ]
        annotation: dict[str, Any] = {
            "id": number, "image_id": number, "category_id": 1, "keypoints": keypoints,
            "num_keypoints": int(seen.sum()), "bbox": box, "area": round(box[2] * box[3], DIGITS), "iscrowd": 0,
            "status": [POINT_STATUSES[k] for k in found.status[i]],
        }  # fmt: skip
        rows.append(({"id": number, "width": width, "height": height, "file_name": name}, annotation))
    placed = "simspine: points placed by people, SpineTrack's 37"
    write_coco_people(path, [image for image, _ in rows], [person for _, person in rows], "", description=placed)


def read_coco_labels(path: str | os.PathLike) -> LabelledImages:
    """COCO keypoints of any program with one person per image, ours with what people did about each point.

    Without a `status` every labelled point counts as corrected: somebody placed it. Raises `InputError` for several
    people in an image.
    """
    found = read_coco(Path(path))
    names = tuple(map(str, found["names"]))
    several = repeated_names(found["file_name"].tolist())
    if several:
        raise InputError(f"{path}: several people in {several}; one per image is expected. Split the file by person.")
    points = np.where(found["keypoints"][..., 2:] > 0, found["keypoints"], 0.0)
    status = np.where(points[..., 2] > 0, POINT_STATUSES.index("corrected"), 0)
    rows = parse_content(json.loads, read_bytes(path), "valid JSON", path)["annotations"]
    for i, row in enumerate(rows):
        if "status" in row:
            status[i] = status_numbers(row["status"], len(names), f"{path}, image {found['file_name'][i]}")
    files = found["file_name"].tolist()
    return read_as_kind(path, names, files, sizes=found["size"].reshape(-1, 2), points=points, status=status)


def status_numbers(words, points: int, where: str) -> list[int]:
    """Numbers of the words of `POINT_STATUSES`, one per point; `InputError` that names the place for anything else."""
    if not isinstance(words, list) or len(words) != points or any(word not in POINT_STATUSES for word in words):
        raise InputError(f"{where}: `status` is {words!r:.80}; expected {points} of {', '.join(POINT_STATUSES)}.")
    return [POINT_STATUSES.index(word) for word in words]
