"""COCO keypoints in SpineTrack's layout: exports of data sets, and points that people labelled in images."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from simspine.core.arrays import columns_by_name
from simspine.core.errors import InputError, naming_content, require_known
from simspine.core.skeletons import load_skeleton, skeleton_of_size
from simspine.core.types import Frozen
from simspine.io.atomic import atomic_path
from simspine.io.exchange import ExportTrial, ExportTrials, ExportView, export_views, image_name, image_stem
from simspine.io.text_tables import load_json, read_bytes, repeated_names

WITHOUT_LATISSIMUS = 35  # number of SpineTrack's points in its paper
COCO_HIDDEN, COCO_VISIBLE = 1, 2  # COCO's v; 0: not labelled
VERTEBRAL_KEY = "keypoints_vertebral"  # entry of a person: points with the spine's at vertebral centroids


def coco_category() -> dict[str, Any]:
    """The only category, with the names of the points in order and the edges of the skeleton, counted from 1."""
    table = load_skeleton("spinetrack37")
    edges = [[parent + 1, i + 1] for i, parent in enumerate(table.parents) if parent >= 0]
    return {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(table.names), "skeleton": edges}


def write_coco(path: Path, takes: ExportTrials, *, notice: str = "", every: int = 1) -> int:
    """Write the annotations; returns the number of images. every: use each n-th frame. v = 2: visible; 1: hidden by the
    body; 0: outside the image, or not known. Rejected frames and images without a labelled point are left out."""
    records = _coco_records(takes, every)
    if (first := next(records, None)) is None:
        raise InputError(f"{path}: no labelled point in any image; nothing is written.")
    more = {"keypoints": "released", "keypoints_vertebral": "vertebral"} if VERTEBRAL_KEY in first[1] else {}
    return write_coco_people(path, chain([first], records), notice, **more)


def write_coco_people(
    path: str | os.PathLike,
    records: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]],
    notice: str,
    description: str = "simspine: SpineTrack's 37 points",
    **more: Any,
) -> int:
    """Write records of an image {width, height, file_name, …} and its person {keypoints, bbox, area, …}; returns their
    number. keypoints: SpineTrack's 37, as of `keypoint_list`. Equal content gives equal bytes."""
    info, count = {"description": description, "notice": notice, **more}, 0
    with (
        atomic_path(path) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
        TemporaryFile("w+", dir=temporary.parent) as people,  # annotations follow all images in the file
    ):
        head = f'"info": {json.dumps(info)},\n"licenses": [],\n"categories": [{json.dumps(coco_category())}]'
        file.write(f'{{{head},\n"images": [\n')
        for count, (image, person) in enumerate(records, 1):
            comma = ",\n" if count > 1 else ""
            file.write(comma + json.dumps({"id": count, **image}))
            people.write(comma + json.dumps({"id": count, "image_id": count, **person}))
        file.write('\n],\n"annotations": [\n')
        people.seek(0)
        shutil.copyfileobj(people, file)
        file.write("\n]}\n")
    return count


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """COCO's uncompressed run-length code {size, counts} of a mask (height, width): runs of 0 and 1, by columns."""
    flat = np.asarray(mask, bool).T.ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def _coco_records(takes: ExportTrials, every: int) -> Iterator[tuple[dict, dict]]:
    for take in takes():
        frames = np.flatnonzero(take.trial.valid)
        frames = frames[frames % every == 0]
        vertebral = take.vertebral
        other_views = [] if vertebral is None else export_views(vertebral)
        for i, view in enumerate(export_views(take)):
            stem = image_stem(take, view.camera)
            keypoints = _view_keypoints(take, view)
            others = None if vertebral is None else _view_keypoints(vertebral, other_views[i])
            for frame in frames:
                if (keypoints[frame, :, 2] > 0).any():
                    width, height = view.camera.size
                    image = {"width": width, "height": height, "file_name": image_name(stem, int(frame))}
                    places = {} if others is None else {VERTEBRAL_KEY: keypoint_list(others[frame])}
                    yield image, _coco_annotation(keypoints[frame]) | places


def _view_keypoints(take: ExportTrial, view: ExportView) -> np.ndarray:
    """(frames, 37, 3) x, y, v in SpineTrack's order; 0 where a point is outside the image."""
    table = load_skeleton("spinetrack37")
    wanted = [table.to_simspine.get(native, "") for native in table.names]
    v = np.where(view.inside, np.where(view.visible, COCO_VISIBLE, COCO_HIDDEN), 0)
    points = np.concatenate([np.where(view.inside[..., None], view.px, 0.0), v[..., None]], -1)
    return columns_by_name(points, take.trial.markers.names, wanted, 0.0)


def keypoint_list(keypoints: np.ndarray, digits: int = 2) -> list[float]:
    """x, y, v of all points in one list, as COCO has them."""
    return [v for x, y, seen in keypoints.tolist() for v in (round(x, digits), round(y, digits), int(seen))]


def _coco_annotation(keypoints: np.ndarray, digits: int = 2) -> dict[str, Any]:
    """Annotation of a person from points (points, 3) x, y, v, at least one of which is labelled."""
    labelled = keypoints[keypoints[:, 2] > 0, :2]
    box = [round(float(v), digits) for v in (*labelled.min(0), *np.ptp(labelled, axis=0))]
    return {
        "category_id": 1, "keypoints": keypoint_list(keypoints, digits), "num_keypoints": len(labelled), "bbox": box,
        "area": round(box[2] * box[3], digits), "iscrowd": 0,
    }  # fmt: skip


def read_coco(path: Path) -> dict[str, np.ndarray]:
    """COCO keypoints, of `write_coco` or SpineTrack, as arrays with a row per annotated person.

    file_name, image_id: (people,); size: (people, 2) px of the image; keypoints: (people, points, 3); bbox: (people, 4)
    left, top, width, height; area: (people,) px², of the box where the file has none; crowd: (people,) bool; score:
    (people,), 1 where there is none; names: (points,) of the category, or, where it names none, those of SpineTrack (37
    points, or 35: without the latissimus) or of the skeleton with so many points.
    """
    text = read_bytes(path)
    with naming_content(path, "COCO keypoints"):
        content = load_json(text)
        images = {image["id"]: image for image in content["images"]}
        if len(images) < len(content["images"]):
            repeated = repeated_names(str(image["id"]) for image in content["images"])
            raise InputError(f"several images have one id ({repeated}); number the images anew.")
        rows = content["annotations"]
        image_of_row = [images[row["image_id"]] for row in rows]
        points = len(rows[0]["keypoints"]) // 3 if rows else 0
        for image in image_of_row:
            if not isinstance(image["file_name"], str):
                raise InputError(f"the file_name of an image is {image['file_name']!r}, expected a text.")
            image["file_name"].encode()  # raises for half a character
        return {
            "file_name": np.array([image["file_name"] for image in image_of_row]),
            "size": np.array([[image["width"], image["height"]] for image in image_of_row]),
            "keypoints": np.array([row["keypoints"] for row in rows], float).reshape(len(rows), points, 3),
            "bbox": np.array([row["bbox"] for row in rows], float).reshape(len(rows), 4),
            "image_id": np.array([str(row["image_id"]) for row in rows]),
            "area": np.array([row.get("area", row["bbox"][2] * row["bbox"][3]) for row in rows], float),
            "crowd": np.array([bool(row.get("iscrowd", 0)) for row in rows], bool),
            "score": np.array([row.get("score", 1.0) for row in rows], float),
            "names": np.array(_category_names(content.get("categories") or [{}], points, rows)),
        }


def _category_names(
    categories: Sequence[Mapping[str, Any]], points: int, rows: Sequence[Mapping[str, Any]] = ()
) -> tuple[str, ...]:
    """The names of the annotations' category, of several; SpineTrack's released files have none."""
    if len(categories) > 1 and rows:
        used = {row["category_id"] for row in rows}
        categories = [category for category in categories if category["id"] in used]
        if len(categories) != 1 or len(used) != 1:
            raise InputError(f"annotations are of the categories {sorted(used)}; leave in those of one that is listed.")
    named = tuple(str(name) for name in categories[0].get("keypoints") or ())
    if named and points and len(named) != points:
        raise InputError(f"the category names {len(named)} keypoints, the annotations have {points}; make them agree.")
    if named or not points:
        return named
    if points == WITHOUT_LATISSIMUS:  # as the paper lists them
        return tuple(name for name in load_skeleton("spinetrack37").names if not name.endswith("latissimus"))
    return skeleton_of_size(points).names


def read_coco_results(path: Path, named: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """COCO's results, an entry a detected person. image_id: texts; keypoints: (people, points, 3); score: (people,).

    named: points of the labels' category, in whose order results with as many are.
    """
    with naming_content(path, "a list of COCO keypoint results"):
        rows = load_json(read_bytes(path))
        points = len(rows[0]["keypoints"]) // 3
        return {
            "image_id": np.array([str(row["image_id"]) for row in rows]),
            "keypoints": np.array([row["keypoints"] for row in rows], float).reshape(len(rows), points, 3),
            "score": np.array([row["score"] for row in rows], float),
            "names": np.array(named if len(named) == points else _category_names([{}], points)),
        }


def annotation_file(root: str | os.PathLike) -> Path:
    """Path of the annotations of SpineTrack's evaluation split in a copy; `InputError` if they are missing."""
    path = Path(root) / "annotations" / "person_keypoints_val2017.json"
    if not path.is_file():
        raise InputError(f"{path}: no such file. Name the folder of a SpineTrack copy, with annotations/ and images/.")
    return path


def in_spinetrack_order(keypoints: np.ndarray, names: tuple[str, ...], where: str, missing: float = 0.0) -> np.ndarray:
    """Keypoints (people, points, 3) in SpineTrack's order, or `missing`. names: SpineTrack's or SIMSPINE's."""
    table = load_skeleton("spinetrack37")
    native = {simspine: name for name, simspine in table.to_simspine.items()}
    if keypoints.ndim != 3 or keypoints.shape[1:] != (len(names), 3):
        raise InputError(f"{where}: {len(names)} names for keypoints of shape {keypoints.shape}.")
    native_names = [native.get(name, name) for name in names]
    require_known("point", native_names, table.names, where)
    return columns_by_name(keypoints, native_names, table.names, missing)


POINT_STATUSES = ("unseen", "accepted", "corrected", "derived")  # by number: what a person did with a point
DIGITS = 3  # decimals of px in files


@dataclass(frozen=True, eq=False)
class LabelledImages(Frozen):
    """One person per image.

    names: of the points. file_names: of the images. sizes: (images, 2) width, height px. points: (images, points, 3)
    x, y px and v: 2 visible, 1 hidden, 0 absent. status: (images, points) index in `POINT_STATUSES`.
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
        self._set_arrays({"sizes": (images, 2), "status": (images, points)}, int)
        self._set_arrays({"points": (images, points, 3)})
        if (self.sizes < 1).any():
            raise InputError("LabelledImages.sizes: expected at least one px.")
        if not np.isfinite(self.points).all() or not np.isin(self.points[..., 2], (0, 1, 2)).all():
            raise InputError("LabelledImages.points: expected finite px, and a visibility of 0, 1 or 2.")
        if self.status.size and not 0 <= self.status.min() <= self.status.max() < len(POINT_STATUSES):
            raise InputError(f"LabelledImages.status: expected 0…{len(POINT_STATUSES) - 1}.")

    def select(self, names: tuple[str, ...]) -> "LabelledImages":
        """The images with these points in this order; a point that is not in them is absent (v = 0) and 'unseen'."""
        points, status = (columns_by_name(array, self.names, names, 0) for array in (self.points, self.status))
        return replace(self, names=names, points=points, status=status)


def to_spinetrack(images: LabelledImages) -> LabelledImages:
    """The images with SIMSPINE's points under SpineTrack's names, in its order; skin markers are left out."""
    table = load_skeleton("spinetrack37")
    chosen = images.select(tuple(table.to_simspine[name] for name in table.names))
    return replace(chosen, names=table.names)


def to_simspine(images: LabelledImages) -> LabelledImages:
    """The images with SpineTrack's points under SIMSPINE's names; other points keep theirs."""
    table = load_skeleton("spinetrack37").to_simspine
    return replace(images, names=tuple(table.get(name, name) for name in images.names))


def write_coco_labels(path: str | os.PathLike, images: LabelledImages, first_images: Sequence[str] = ()) -> None:
    """Write COCO keypoints in SpineTrack's layout, 37 points with the `status` of each, a record per line.

    first_images: digests of the recording's first images, kept in `info`; none where it is not known.
    """
    renamed = to_spinetrack(images)
    rows: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for name, (width, height), points, status in zip(
        renamed.file_names, renamed.sizes.tolist(), renamed.points, renamed.status, strict=True
    ):
        if (points[:, 2] > 0).any():
            person = _coco_annotation(points, DIGITS) | {"status": [POINT_STATUSES[k] for k in status]}
            rows.append(({"width": width, "height": height, "file_name": name}, person))
    more = {"first_images": list(first_images)} if first_images else {}
    write_coco_people(path, rows, "", description="simspine: points placed by people, SpineTrack's 37", **more)


def read_coco_labels(path: str | os.PathLike, first_images: Sequence[str] = ()) -> LabelledImages:
    """COCO keypoints, one person per image. Without a `status` every point is `unseen`.

    first_images: as of `write_coco_labels`; `InputError` for a file with others: names of images are often the same.
    """
    content = read_coco(Path(path))
    whole = load_json(read_bytes(path))
    info = whole.get("info")
    said = info.get("first_images") if isinstance(info, dict) else None
    if first_images and said not in (None, list(first_images)):
        raise InputError(f"{path}: labels of another recording, or of images stored anew (then remove `first_images`).")
    names = tuple(map(str, content["names"]))
    if several := repeated_names(content["file_name"].tolist()):
        raise InputError(f"{path}: several people in {several}; one per image is expected. Split the file by person.")
    points = np.where(content["keypoints"][..., 2:] > 0, content["keypoints"], 0.0)
    count = points.shape[1]
    status = np.zeros((len(points), count), int)
    for i, words in enumerate(row.get("status") for row in whole["annotations"]):
        if words is None:
            continue
        if not isinstance(words, list) or len(words) != count or any(word not in POINT_STATUSES for word in words):
            found = f"{path}, image {content['file_name'][i]}: `status` is {words!r:.80}"
            raise InputError(f"{found}; expected {count} of {', '.join(POINT_STATUSES)}.")
        status[i] = [POINT_STATUSES.index(word) for word in words]
    with naming_content(path, "points of people in images"):
        files, sizes = tuple(content["file_name"].tolist()), content["size"].reshape(-1, 2)
        return LabelledImages(names, files, sizes, points, status=status)
