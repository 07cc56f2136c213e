"""Points that people placed in images, between programs: one type, and COCO in SpineTrack's layout.

Other programs' files: `simspine.formats.cvat`, `simspine.formats.label_studio`, `simspine.formats.mmpose_labels`.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simspine.errors import InputError
from simspine.formats._text import parsed, read_bytes, repeated
from simspine.formats.atomic import write_text
from simspine.formats.coco import category, read_coco
from simspine.formats.outlines import PersonOutline, filled, from_coco, to_coco
from simspine.skeletons import load as load_skeleton
from simspine.types import read_only

STATUSES = ("unseen", "accepted", "corrected", "derived")  # by number: what a person did about a point
DIGITS = 3  # of px in files


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """One person per image.

    names: of the points. file_names: of the images. sizes: (images, 2) width, height px. points: (images, points, 3)
    x, y px and v: 2 seen, 1 hidden, 0 absent. status: (images, points) number in `STATUSES`. outlines: of the person,
    one per image, None where nobody has drawn it; () for none at all.
    """

    names: tuple[str, ...]
    file_names: tuple[str, ...]
    sizes: np.ndarray
    points: np.ndarray
    status: np.ndarray
    outlines: tuple[PersonOutline | None, ...] = ()

    def __post_init__(self):
        images, points = len(self.file_names), len(self.names)
        if len(set(self.names)) < points or len(set(self.file_names)) < images:
            raise InputError("LabelledImages: names of points, and of images, must be unique.")
        if len(self.outlines) not in (0, images):
            raise InputError(f"LabelledImages: {len(self.outlines)} outlines for {images} images.")
        shapes = {
            "sizes": ((images, 2), int),
            "points": ((images, points, 3), float),
            "status": ((images, points), int),
        }
        for field, (shape, dtype) in shapes.items():
            object.__setattr__(self, field, read_only("LabelledImages", field, getattr(self, field), shape, dtype))
        if not np.isfinite(self.points).all() or not np.isin(self.points[..., 2], (0, 1, 2)).all():
            raise InputError("LabelledImages.points: expected finite px, and 0, 1 or 2 for how a point shows.")
        if self.status.size and not 0 <= self.status.min() <= self.status.max() < len(STATUSES):
            raise InputError(f"LabelledImages.status: expected 0…{len(STATUSES) - 1}.")

    def outline(self, image: int) -> PersonOutline | None:
        """Of the person in an image, by its place in the list."""
        return self.outlines[image] if self.outlines else None

    def rows(self, chosen: Sequence[bool]) -> "LabelledImages":
        """Only these images."""
        kept = np.flatnonzero(np.asarray(chosen, bool))
        files = tuple(self.file_names[i] for i in kept)
        drawn = tuple(self.outlines[i] for i in kept) if self.outlines else ()
        return LabelledImages(self.names, files, self.sizes[kept], self.points[kept], self.status[kept], drawn)

    def select(self, names: tuple[str, ...]) -> "LabelledImages":
        """The named points in their order; those that are not there are absent and nobody has looked at them."""
        points = np.zeros((len(self.file_names), len(names), 3))
        status = np.zeros(points.shape[:2], int)
        for i, name in enumerate(names):
            if name in self.names:
                k = self.names.index(name)
                points[:, i], status[:, i] = self.points[:, k], self.status[:, k]
        return LabelledImages(names, self.file_names, self.sizes, points, status, self.outlines)


def read_as(path: str | os.PathLike, names, file_names, sizes, points, status, outlines=()) -> LabelledImages:
    """What a reader found in a file as `LabelledImages`; an `InputError` of it names the file."""
    try:
        kept = tuple(outlines) if any(outlines) else ()
        return LabelledImages(tuple(names), tuple(file_names), sizes, points, status, kept)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: {error}") from None


def to_spinetrack(images: LabelledImages) -> LabelledImages:
    """SIMSPINE's points under SpineTrack's names and in its order; markers on the skin are left out."""
    table = load_skeleton("spinetrack37")
    chosen = images.select(tuple(table.to_simspine[name] for name in table.names))
    return LabelledImages(table.names, chosen.file_names, chosen.sizes, chosen.points, chosen.status, chosen.outlines)


def to_simspine(images: LabelledImages) -> LabelledImages:
    """Points under SIMSPINE's names where they are SpineTrack's; others keep theirs."""
    table = load_skeleton("spinetrack37").to_simspine
    names = tuple(table.get(name, name) for name in images.names)
    return LabelledImages(names, images.file_names, images.sizes, images.points, images.status, images.outlines)


def write_coco_labels(path: str | os.PathLike, images: LabelledImages, notice: str = "") -> None:
    """COCO keypoints in SpineTrack's layout, 37 points, a record per line; `status` of each point beside them.

    Where somebody drew the person's outline, it is `segmentation`, and `area` its pixels.
    """
    found = to_spinetrack(images)
    rows: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for i, name in enumerate(found.file_names):
        seen, outline = found.points[i, :, 2] > 0, found.outline(i)
        if not seen.any() and outline is None:
            continue
        number, (width, height) = len(rows) + 1, found.sizes[i].tolist()
        drawn = [corner for ring in outline.rings for corner in ring] if outline is not None else []
        corners = np.concatenate([found.points[i, seen, :2], np.reshape(drawn, (-1, 2))])
        low, high = corners.min(0), corners.max(0)
        box = [round(float(v), DIGITS) for v in (*low, *(high - low))]
        keypoints = [
            v for x, y, see in found.points[i].tolist() for v in (round(x, DIGITS), round(y, DIGITS), int(see))
        ]
        annotation: dict[str, Any] = {
            "id": number, "image_id": number, "category_id": 1, "keypoints": keypoints,
            "num_keypoints": int(seen.sum()), "bbox": box, "area": round(box[2] * box[3], DIGITS), "iscrowd": 0,
            "status": [STATUSES[k] for k in found.status[i]],
        }  # fmt: skip
        if outline is not None:
            annotation["segmentation"] = to_coco(outline.rings, (width, height))
            annotation["area"] = int(filled(outline.rings, (width, height)).sum())
            annotation["segmentation_status"] = STATUSES[outline.status]
        rows.append(({"id": number, "width": width, "height": height, "file_name": name}, annotation))
    head = {"description": "simspine: points placed by people, SpineTrack's 37", "notice": notice}
    lines = [",\n".join(json.dumps(row[k]) for row in rows) for k in (0, 1)]
    write_text(
        path,
        f'{{"info": {json.dumps(head)},\n"licenses": [],\n"categories": [{json.dumps(category())}],\n'
        f'"images": [\n{lines[0]}\n],\n"annotations": [\n{lines[1]}\n]}}\n',
    )


def read_coco_labels(path: str | os.PathLike) -> LabelledImages:
    """COCO keypoints of any program with one person per image, ours with what people did about each point.

    Without a `status` every labelled point counts as corrected: somebody placed it. Raises `InputError` for several
    people in an image.
    """
    found = read_coco(Path(path))
    names = tuple(map(str, found["names"]))
    several = repeated(found["file_name"].tolist())
    if several:
        raise InputError(f"{path}: several people in {several}; one per image is expected. Split the file by person.")
    points = np.where(found["keypoints"][..., 2:] > 0, found["keypoints"], 0.0)
    status = np.where(points[..., 2] > 0, STATUSES.index("corrected"), 0)
    rows = parsed(json.loads, read_bytes(path), "valid JSON", path)["annotations"]
    for i, row in enumerate(rows):
        if "status" in row:
            status[i] = statuses(row["status"], len(names), f"{path}, image {found['file_name'][i]}")
    files = found["file_name"].tolist()
    outlines = [_outline(row, f"{path}, image {name}") for row, name in zip(rows, files, strict=True)]
    return read_as(path, names, files, found["size"].reshape(-1, 2), points, status, outlines)


def _outline(row: dict[str, Any], where: str) -> PersonOutline | None:
    rings = from_coco(row.get("segmentation"), where)
    return PersonOutline(rings, statuses([row.get("segmentation_status", "corrected")], 1, where)[0]) if rings else None


def statuses(words, points: int, where: str) -> list[int]:
    """Numbers of the words of `STATUSES`, one per point; `InputError` that names the place for anything else."""
    if not isinstance(words, list) or len(words) != points or any(word not in STATUSES for word in words):
        raise InputError(f"{where}: `status` is {words!r:.80}; expected {points} of {', '.join(STATUSES)}.")
    return [STATUSES.index(word) for word in words]
