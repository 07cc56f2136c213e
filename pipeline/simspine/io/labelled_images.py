"""Points that people placed in images, between programs: one type, and COCO in SpineTrack's layout.

Other programs' files: `simspine.io.annotation_tools`, `simspine.io.annotation_tools`, `simspine.io.npz`.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.core.types import read_only_array
from simspine.io.atomic import write_text
from simspine.io.coco import coco_category, read_coco, run_lengths
from simspine.io.text_tables import parse_content, read_bytes, repeated_names

# Outlines of a person in an image: rings of corners, as masks of pixels and as COCO's files have them.
# Corners are px whose whole numbers are middles of pixels, as everywhere here; files count from the corner of the
# first pixel, half a px before. A place is inside where it is within an odd number of rings, so a ring within
# another is a hole.


HALF_PX = 0.5
OUTLINE_PX_DIGITS = 3  # of px in files
# Of a pixel: row and column of the one beyond an edge, and its ends with the pixel on the right, x and y.
PIXEL_EDGES = (
    ((-1, 0), (0, 0), (1, 0)), ((1, 0), (1, 1), (0, 1)), ((0, -1), (0, 1), (0, 0)), ((0, 1), (1, 0), (1, 1)),
)  # fmt: skip
MOST_PX = 1 << 28  # of a mask: no camera has more
OutlineRing = tuple[tuple[float, float], ...]


class PersonOutline(NamedTuple):
    """rings: of corners x, y px. status: number of what a person did about it, as of a point."""

    rings: tuple[OutlineRing, ...]
    status: int


def filled_mask(rings: Sequence[OutlineRing], size: tuple[int, int]) -> np.ndarray:
    """(height, width) bool: pixels whose middle is inside. size: (width, height) px."""
    width, height = size
    flips = np.zeros((height, width + 1), np.uint8)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, (*ring[1:], ring[0]), strict=True):
            low, high = (max(math.ceil(min(y0, y1)), 0), min(math.ceil(max(y0, y1)), height))
            if low < high:
                rows = np.arange(low, high)
                across = np.ceil(x0 + (rows - y0) * (x1 - x0) / (y1 - y0)).astype(int)
                flips[rows, np.clip(across, 0, width)] ^= 1
    return np.bitwise_xor.accumulate(flips, 1)[:, :width].astype(bool)


def traced_outline(mask: np.ndarray) -> tuple[OutlineRing, ...]:
    """The outline of a mask (height, width) bool along the edges of its pixels, so that `filled_mask` gives it back;
    () for
    an empty one."""
    inside = np.pad(np.asarray(mask, bool), 1)
    after: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for way, start, end in PIXEL_EDGES:
        rows, columns = np.nonzero(inside & ~np.roll(inside, (-way[0], -way[1]), (0, 1)))
        for x, y in zip((columns - 1).tolist(), (rows - 1).tolist(), strict=True):
            after.setdefault((x + start[0], y + start[1]), []).append((x + end[0], y + end[1]))
    rings = []
    while after:
        ring = [next(iter(after))]
        while len(ring) == 1 or ring[-1] != ring[0]:
            ends = after[ring[-1]]
            here, there = ring[-1], ends.pop()
            if not ends:
                del after[here]
            ring.append(there)
        rings.append(_ring_corners(ring[:-1]))
    return tuple(rings)


def _ring_corners(ring: list[tuple[int, int]]) -> OutlineRing:
    """Where a way along the edges of pixels turns."""
    beside = zip(ring[-1:] + ring[:-1], ring, ring[1:] + ring[:1], strict=True)
    return tuple((x - HALF_PX, y - HALF_PX) for a, (x, y), b in beside if (x - a[0], y - a[1]) != (b[0] - x, b[1] - y))


def has_holes(rings: Sequence[OutlineRing], size: tuple[int, int]) -> bool:
    """Whether rings lie within one another."""
    return len(rings) > 1 and int(filled_mask(rings, size).sum()) < sum(
        int(filled_mask([ring], size).sum()) for ring in rings
    )


def rings_to_json(ring: OutlineRing) -> list[tuple[float, float]]:
    """Corners as files count them."""
    return [(round(x + HALF_PX, OUTLINE_PX_DIGITS), round(y + HALF_PX, OUTLINE_PX_DIGITS)) for x, y in ring]


def rings_from_json(corners: Sequence[Sequence[float | str]], where: str) -> OutlineRing:
    """Corners of a file, three or more; `InputError` for anything else."""
    try:
        ring = tuple((float(x) - HALF_PX, float(y) - HALF_PX) for x, y in corners)
    except (TypeError, ValueError):
        ring = ()
    if len(ring) < 3 or not np.isfinite(ring).all():
        raise InputError(f"{where}: the outline {str(corners)[:60]} has no three corners of two numbers.")
    return ring


def rings_to_coco(rings: Sequence[OutlineRing], size: tuple[int, int]) -> list[list[float]] | dict[str, Any]:
    """COCO's `segmentation`: polygons; runs of pixels for an outline with holes, which polygons cannot say."""
    if has_holes(rings, size):
        return run_lengths(filled_mask(rings, size))
    return [[v for corner in rings_to_json(ring) for v in corner] for ring in rings]


def rings_from_coco(segmentation: Any, where: str) -> tuple[OutlineRing, ...]:
    """Rings of COCO's `segmentation`: polygons, or runs of pixels, also packed into a text as pycocotools writes them.

    () where there is none. Raises `InputError` for anything else.
    """
    if not segmentation:
        return ()
    if isinstance(segmentation, list):
        if any(not isinstance(flat, list) or len(flat) % 2 for flat in segmentation):
            raise InputError(f"{where}: `segmentation` is {str(segmentation)[:60]}; expected polygons x1 y1 x2 y2 ….")
        return tuple(rings_from_json(list(zip(flat[::2], flat[1::2], strict=True)), where) for flat in segmentation)
    try:
        height, width = (int(side) for side in segmentation["size"])
        counts = segmentation["counts"]
        runs = _unpacked_runs(counts) if isinstance(counts, str) else counts
    except (TypeError, LookupError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: `segmentation` is neither polygons nor runs of pixels ({error!r}).") from None
    return traced_outline(mask_of_runs(runs, (width, height), where).T)


def mask_of_runs(runs: Sequence[Any], shape: tuple[int, int], where: str) -> np.ndarray:
    """(rows, columns) bool of runs of 0 and 1 in turn, row by row; `InputError` where they do not fill the shape."""
    try:
        lengths = np.array([int(run) for run in runs])
    except (TypeError, ValueError, OverflowError):
        lengths = np.array([-1])
    rows, columns = shape
    if min(shape) < 0 or (lengths < 0).any() or lengths.sum() != rows * columns or rows * columns > MOST_PX:
        raise InputError(f"{where}: runs of a mask do not fill its {rows} × {columns} px.")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(rows, columns)


def _unpacked_runs(text: str) -> list[int]:
    """Runs of COCO's packed text: five bits a letter, lowest first, from the third on as differences (rleFrString of
    its maskApi.c)."""
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"the letter {letter!r} in packed runs")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


POINT_STATUSES = ("unseen", "accepted", "corrected", "derived")  # by number: what a person did about a point
DIGITS = 3  # of px in files


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """One person per image.

    names: of the points. file_names: of the images. sizes: (images, 2) width, height px. points: (images, points, 3)
    x, y px and v: 2 seen, 1 hidden, 0 absent. status: (images, points) number in `POINT_STATUSES`. outlines: of the
    person,
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
            object.__setattr__(
                self, field, read_only_array("LabelledImages", field, getattr(self, field), shape=shape, dtype=dtype)
            )
        if not np.isfinite(self.points).all() or not np.isin(self.points[..., 2], (0, 1, 2)).all():
            raise InputError("LabelledImages.points: expected finite px, and 0, 1 or 2 for how a point shows.")
        if self.status.size and not 0 <= self.status.min() <= self.status.max() < len(POINT_STATUSES):
            raise InputError(f"LabelledImages.status: expected 0…{len(POINT_STATUSES) - 1}.")

    def outline(self, image: int) -> PersonOutline | None:
        """Of the person in an image, by its place in the list."""
        return self.outlines[image] if self.outlines else None

    def rows(self, chosen: Sequence[bool]) -> "LabelledImages":
        """Only these images."""
        kept = np.flatnonzero(np.asarray(chosen, bool))
        files = tuple(self.file_names[i] for i in kept)
        drawn = tuple(self.outlines[i] for i in kept) if self.outlines else ()
        return LabelledImages(
            names=self.names,
            file_names=files,
            sizes=self.sizes[kept],
            points=self.points[kept],
            status=self.status[kept],
            outlines=drawn,
        )

    def select(self, names: tuple[str, ...]) -> "LabelledImages":
        """The named points in their order; those that are not there are absent and nobody has looked at them."""
        points = np.zeros((len(self.file_names), len(names), 3))
        status = np.zeros(points.shape[:2], int)
        for i, name in enumerate(names):
            if name in self.names:
                k = self.names.index(name)
                points[:, i], status[:, i] = self.points[:, k], self.status[:, k]
        return LabelledImages(
            names=names,
            file_names=self.file_names,
            sizes=self.sizes,
            points=points,
            status=status,
            outlines=self.outlines,
        )


def read_as_kind(path: str | os.PathLike, names, file_names, sizes, points, status, outlines=()) -> LabelledImages:
    """What a reader found in a file as `LabelledImages`; an `InputError` of it names the file."""
    try:
        kept = tuple(outlines) if any(outlines) else ()
        return LabelledImages(
            names=tuple(names), file_names=tuple(file_names), sizes=sizes, points=points, status=status, outlines=kept
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: {error}") from None


def to_spinetrack(images: LabelledImages) -> LabelledImages:
    """SIMSPINE's points under SpineTrack's names and in its order; markers on the skin are left out."""
    table = load_skeleton("spinetrack37")
    chosen = images.select(tuple(table.to_simspine[name] for name in table.names))
    return LabelledImages(
        names=table.names,
        file_names=chosen.file_names,
        sizes=chosen.sizes,
        points=chosen.points,
        status=chosen.status,
        outlines=chosen.outlines,
    )


def to_simspine(images: LabelledImages) -> LabelledImages:
    """Points under SIMSPINE's names where they are SpineTrack's; others keep theirs."""
    table = load_skeleton("spinetrack37").to_simspine
    names = tuple(table.get(name, name) for name in images.names)
    return LabelledImages(
        names=names,
        file_names=images.file_names,
        sizes=images.sizes,
        points=images.points,
        status=images.status,
        outlines=images.outlines,
    )


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
            "status": [POINT_STATUSES[k] for k in found.status[i]],
        }  # fmt: skip
        if outline is not None:
            annotation["segmentation"] = rings_to_coco(outline.rings, (width, height))
            annotation["area"] = int(filled_mask(outline.rings, (width, height)).sum())
            annotation["segmentation_status"] = POINT_STATUSES[outline.status]
        rows.append(({"id": number, "width": width, "height": height, "file_name": name}, annotation))
    head = {"description": "simspine: points placed by people, SpineTrack's 37", "notice": notice}
    lines = [",\n".join(json.dumps(row[k]) for row in rows) for k in (0, 1)]
    write_text(
        path,
        f'{{"info": {json.dumps(head)},\n"licenses": [],\n"categories": [{json.dumps(coco_category())}],\n'
        f'"images": [\n{lines[0]}\n],\n"annotations": [\n{lines[1]}\n]}}\n',
    )


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
    outlines = [_outline_of_row(row, f"{path}, image {name}") for row, name in zip(rows, files, strict=True)]
    return read_as_kind(
        path, names, files, sizes=found["size"].reshape(-1, 2), points=points, status=status, outlines=outlines
    )


def _outline_of_row(row: dict[str, Any], where: str) -> PersonOutline | None:
    rings = rings_from_coco(row.get("segmentation"), where)
    return (
        PersonOutline(rings, status_numbers([row.get("segmentation_status", "corrected")], 1, where)[0])
        if rings
        else None
    )


def status_numbers(words, points: int, where: str) -> list[int]:
    """Numbers of the words of `POINT_STATUSES`, one per point; `InputError` that names the place for anything else."""
    if not isinstance(words, list) or len(words) != points or any(word not in POINT_STATUSES for word in words):
        raise InputError(f"{where}: `status` is {words!r:.80}; expected {points} of {', '.join(POINT_STATUSES)}.")
    return [POINT_STATUSES.index(word) for word in words]
