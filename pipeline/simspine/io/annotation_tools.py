"""Labels of images for CVAT (XML) and Label Studio (JSON), and back."""

import json
import math
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any

import numpy as np

from simspine.core.errors import InputError
from simspine.io.atomic import atomic_path, write_text
from simspine.io.coco import DIGITS, POINT_STATUSES, LabelledImages, read_as_kind
from simspine.io.guarded import read_xml
from simspine.io.text_tables import parse_content, read_bytes

# CVAT for images 1.1: a skeleton per image, whose points say whether they are occluded or outside.
# Format: docs.cvat.ai, XML annotation format and "CVAT for images". Flat <points> elements, as CVAT writes them
# for labels that are no skeletons, are read as well. What a person did about a point is its attribute `status`.


CVAT_LABEL = "person"
PointEntry = tuple[float, float, int, int]  # x, y px; how it shows; number of the status


def write_cvat(path: str | os.PathLike, images: LabelledImages, task: str = "simspine") -> None:
    """One <image> with one <skeleton> each, all points in their order; `outside` says that one is absent."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    root.append(_cvat_meta(images, task))
    for i, name in enumerate(images.file_names):
        width, height = images.sizes[i].tolist()
        image = ElementTree.SubElement(root, "image", id=str(i), name=name, width=str(width), height=str(height))
        skeleton = ElementTree.SubElement(image, "skeleton", label=CVAT_LABEL, source="manual", z_order="0")
        for point, (x, y, see), status in zip(images.names, images.points[i], images.status[i], strict=True):
            element = ElementTree.SubElement(
                skeleton, "points", label=point, source="manual", outside=str(int(see == 0)),
                occluded=str(int(see == 1)), points=f"{x:.{DIGITS}f},{y:.{DIGITS}f}",
            )  # fmt: skip
            ElementTree.SubElement(element, "attribute", name="status").text = POINT_STATUSES[status]
    ElementTree.indent(root)
    with atomic_path(path) as temporary:
        ElementTree.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)


def _cvat_meta(images: LabelledImages, task: str) -> ElementTree.Element:
    """What CVAT needs to make the task's labels: the skeleton and its points."""
    meta = ElementTree.Element("meta")
    entry = ElementTree.SubElement(meta, "task")
    ElementTree.SubElement(entry, "name").text = task
    ElementTree.SubElement(entry, "size").text = str(len(images.file_names))
    ElementTree.SubElement(entry, "mode").text = "annotation"
    labels = ElementTree.SubElement(entry, "labels")
    points = ((name, "points", CVAT_LABEL) for name in images.names)
    for name, kind, parent in ((CVAT_LABEL, "skeleton", ""), *points):
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = name
        ElementTree.SubElement(label, "type").text = kind
        attributes = ElementTree.SubElement(label, "attributes")
        if kind != "skeleton":
            attribute = ElementTree.SubElement(attributes, "attribute")
            for key, text in (
                ("name", "status"), ("mutable", "True"), ("input_type", "select"), ("default_value", POINT_STATUSES[0]),
                ("values", "\n".join(POINT_STATUSES)),
            ):  # fmt: skip
                ElementTree.SubElement(attribute, key).text = text
        if parent:
            ElementTree.SubElement(label, "parent").text = parent
    return meta


def read_cvat(path: str | os.PathLike) -> LabelledImages:
    """The points of all images, in the order in which labels first occur.

    A point without our attribute `status` counts as corrected where it is placed. Raises `InputError` for what is no
    CVAT file for images, two people in an image, and numbers that are none.
    """
    root = read_xml(path)
    images = root.findall("image")
    if root.tag != "annotations" or not images:
        raise InputError(f"{path}: no <annotations> with <image> elements; export from CVAT as 'CVAT for images 1.1'.")
    rows = []
    for image in images:
        where = f"{path}, image {image.get('name')}"
        row: dict[str, PointEntry] = {}
        for element in _points_of(image, where):
            name = element.get("label", "")
            if not name or name in row:
                raise InputError(f"{where}: point {name!r} stands there twice or has no label; one person is expected.")
            row[name] = _cvat_point(element, f"{where}, {name}")
        rows.append(row)
    sizes = [[_whole_px(image, key, path) for key in ("width", "height")] for image in images]
    files = [image.get("name", "") for image in images]
    return _labelled_images(path, rows, files, sizes)


def _labelled_images(path: str | os.PathLike, rows: list[dict[str, PointEntry]], files, sizes) -> LabelledImages:
    """Images of which each has a row of points by name, in the order in which the names first occur."""
    names = {name: i for i, name in enumerate(dict.fromkeys(name for row in rows for name in row))}
    points, status = np.zeros((len(rows), len(names), 3)), np.zeros((len(rows), len(names)), int)
    for i, row in enumerate(rows):
        for name, (*point, how) in row.items():
            points[i, names[name]], status[i, names[name]] = point, how
    return read_as_kind(path, names, files, sizes=sizes, points=points, status=status)


def _points_of(image: ElementTree.Element, where: str) -> Iterator[ElementTree.Element]:
    skeletons = image.findall("skeleton")
    if len(skeletons) > 1:
        raise InputError(f"{where}: {len(skeletons)} skeletons; one person per image is expected.")
    yield from (skeletons[0] if skeletons else image).findall("points")


def _cvat_point(element: ElementTree.Element, where: str) -> PointEntry:
    try:
        x, y = (float(number) for number in element.get("points", "").split(","))
    except ValueError:
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InputError(f"{where}: points={element.get('points')!r}; expected one 'x,y' in px.")
    see = 0 if element.get("outside") == "1" else 1 if element.get("occluded") == "1" else 2
    word = _status_of(element, "corrected" if see else "unseen", where)
    return x, y, see, POINT_STATUSES.index(word)


def _status_of(element: ElementTree.Element, otherwise: str, where: str) -> str:
    """The attribute `status` of an element."""
    word = next((a.text for a in element.findall("attribute") if a.get("name") == "status"), None) or otherwise
    if word not in POINT_STATUSES:
        raise InputError(f"{where}: status {word!r}; expected one of {', '.join(POINT_STATUSES)}.")
    return word


def _whole_px(image: ElementTree.Element, key: str, path) -> int:
    text = image.get(key, "")
    if not text.isdecimal() or len(text) > 6:
        raise InputError(f"{path}, image {image.get('name')}: {key}={text!r}; expected a number of px.")
    return int(text)


# Label Studio's JSON of tasks: key points in percent of the image.
# Format: labelstud.io, tag KeyPointLabels and "Label Studio task format". Whether a point is hidden, and what a person
# did about it, stand in the region's `meta.text`, where Label Studio keeps notes; absent points, which have no region,
# in the task's data.


POINT_SIZE = 0.5  # % of the image's width, as drawn
HIDDEN_LABEL = "hidden"
LOCAL_FILES_PREFIX = "/data/local-files/?d="  # how Label Studio names files of its own disk
LEFT_COLOUR, RIGHT_COLOUR, MIDDLE_COLOUR = "#0072b2", "#e69f00", "#009e73"
PERCENT_DIGITS = 6  # of percent: a thousandth of a px in an image of 10,000


def write_label_studio(path: str | os.PathLike, images: LabelledImages) -> None:
    """A task per image: points somebody has decided as annotation, an image without any as prediction to start from."""
    tasks = []
    for i, name in enumerate(images.file_names):
        regions = [_point_region(images, i, k) for k in range(len(images.names)) if images.points[i, k, 2] > 0]
        decided = bool(images.status[i].any())
        task: dict[str, Any] = {"id": i + 1, "data": _task_data(images, i, name)}
        task["annotations"] = [{"id": str(i + 1), "result": regions}] if decided else []
        task["predictions"] = [] if decided else [{"model_version": "simspine", "result": regions}]
        tasks.append(task)
    write_text(path, json.dumps(tasks, indent=1) + "\n")


def labelling_setup(names: tuple[str, ...]) -> str:
    """Label Studio's labelling set-up (XML) with these points."""
    labels = "\n".join(f'    <Label value="{name}" background="{_label_colour(name)}"/>' for name in names)
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true" zoomControl="true"/>\n'
        f'  <KeyPointLabels name="point" toName="image" strokeWidth="3">\n{labels}\n  </KeyPointLabels>\n</View>\n'
    )


def read_label_studio(path: str | os.PathLike) -> LabelledImages:
    """The points of all tasks, in the order in which labels first occur; of several annotations the last.

    Points of predictions count as not looked at, others without our note as corrected. Raises `InputError` for what is
    no list of tasks, and for a label that stands in an image twice.
    """
    tasks = parse_content(json.loads, read_bytes(path), "valid JSON", path)
    if not isinstance(tasks, list) or not tasks:
        raise InputError(f"{path}: expected a list of tasks, as Label Studio exports with 'JSON'.")
    files, sizes, rows = [], [], []
    for number, task in enumerate(tasks, 1):
        where = f"{path}, task {number}"
        try:
            row, size = _task_points(task, where)
            files.append(str(task["data"]["image"]).removeprefix(LOCAL_FILES_PREFIX))
        except (TypeError, LookupError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{where}: not a task with key points ({error!r}).") from None
        if len({name for name, _ in row}) < len(row):
            raise InputError(f"{where}: a point stands there twice; one person per image is expected.")
        rows.append(dict(row))
        sizes.append(size)
    return _labelled_images(path, rows, files, sizes)


def _task_points(task: dict[str, Any], where: str) -> tuple[list[tuple[str, PointEntry]], tuple[int, int]]:
    """Points of a task by name, and the size of its image; 0 0 where nothing tells it."""
    every, decided = _given_regions(task)
    regions = [region for region in every if region["type"] == "keypointlabels"]
    row = [_label_studio_point(region, decided, where) for region in regions]
    data = task["data"]
    for name, word in (data.get("absent") or {}).items():
        row.append((str(name), (0.0, 0.0, 0, POINT_STATUSES.index(word))))
    first = every[0] if every else {}
    width, height = (first.get(f"original_{side}", data.get(side, 0)) for side in ("width", "height"))
    return row, (int(width), int(height))


def _given_regions(task: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """Regions of a task's last annotation, or else of its last prediction, and whether somebody has decided them."""
    if task.get("annotations"):
        return task["annotations"][-1]["result"], True
    return (task["predictions"][-1]["result"], False) if task.get("predictions") else ([], False)


def _task_data(images: LabelledImages, i: int, name: str) -> dict[str, Any]:
    width, height = images.sizes[i].tolist()
    absent = {
        point: POINT_STATUSES[images.status[i, k]]
        for k, point in enumerate(images.names)
        if images.points[i, k, 2] == 0
    }
    return {"image": LOCAL_FILES_PREFIX + name, "width": width, "height": height, "absent": absent}


def _label_colour(name: str) -> str:
    left = name.startswith("left_") or (name[0] == "L" and name[1:2].isupper())
    right = name.startswith("right_") or (name[0] == "R" and name[1:2].isupper())
    return LEFT_COLOUR if left else RIGHT_COLOUR if right else MIDDLE_COLOUR


def _point_region(images: LabelledImages, i: int, k: int) -> dict[str, Any]:
    (width, height), (x, y, see) = images.sizes[i].tolist(), images.points[i, k].tolist()
    notes = [POINT_STATUSES[images.status[i, k]]] + ([HIDDEN_LABEL] if see == 1 else [])
    return {
        "id": f"{i + 1}_{images.names[k]}",
        "from_name": "point",
        "to_name": "image",
        "type": "keypointlabels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "meta": {"text": notes},
        "value": {
            "x": round(100 * x / width, PERCENT_DIGITS),
            "y": round(100 * y / height, PERCENT_DIGITS),
            "width": POINT_SIZE,
            "keypointlabels": [images.names[k]],
        },
    }


def _label_studio_point(region: dict[str, Any], decided: bool, where: str) -> tuple[str, PointEntry]:
    value, (name,) = region["value"], region["value"]["keypointlabels"]
    x = float(value["x"]) * int(region["original_width"]) / 100
    y = float(value["y"]) * int(region["original_height"]) / 100
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InputError(f"{where}: {name} is at {value['x']!r}, {value['y']!r} %; expected two numbers.")
    notes = (region.get("meta") or {}).get("text") or []
    known = [POINT_STATUSES.index(note) for note in notes if note in POINT_STATUSES]
    how = known[0] if known else POINT_STATUSES.index("corrected" if decided else "unseen")
    return str(name), (x, y, 1 if HIDDEN_LABEL in notes else 2, how)
