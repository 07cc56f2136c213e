"""Label Studio's JSON of tasks: key points in percent of the image.

Format: labelstud.io, tag KeyPointLabels and "Label Studio task format". Whether a point is hidden, and what a person
did about it, stand in the region's `meta.text`, where Label Studio keeps notes; absent points, which have no region,
in the task's data.
"""

import json
import math
import os
from typing import Any

import numpy as np

from simspine.errors import InputError
from simspine.formats._text import parsed, read_bytes
from simspine.formats.atomic import write_text
from simspine.formats.labelled_images import STATUSES, LabelledImages, read_as
from simspine.formats.outlines import PersonOutline, Ring, from_file, to_file

POINT_SIZE = 0.5  # % of the image's width, as drawn
HIDDEN = "hidden"
OUTLINE = "person"
PREFIX = "/data/local-files/?d="  # how Label Studio names files of its own disk
LEFT, RIGHT, MIDDLE = "#0072b2", "#e69f00", "#009e73"
DIGITS = 6  # of percent: a thousandth of a px in an image of 10,000


def write_label_studio(path: str | os.PathLike, images: LabelledImages) -> None:
    """A task per image: points somebody has decided as annotation, an image without any as prediction to start from."""
    tasks = []
    for i, name in enumerate(images.file_names):
        regions = [_region(images, i, k) for k in range(len(images.names)) if images.points[i, k, 2] > 0]
        regions += _rings(images, i)
        decided = bool(images.status[i].any()) or images.outline(i) is not None
        task: dict[str, Any] = {"id": i + 1, "data": _data(images, i, name)}
        task["annotations"] = [{"id": str(i + 1), "result": regions}] if decided else []
        task["predictions"] = [] if decided else [{"model_version": "simspine", "result": regions}]
        tasks.append(task)
    write_text(path, json.dumps(tasks, indent=1) + "\n")


def labelling_setup(names: tuple[str, ...]) -> str:
    """Label Studio's labelling set-up (XML) with these points."""
    labels = "\n".join(f'    <Label value="{name}" background="{_colour(name)}"/>' for name in names)
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true" zoomControl="true"/>\n'
        f'  <KeyPointLabels name="point" toName="image" strokeWidth="3">\n{labels}\n  </KeyPointLabels>\n'
        f'  <PolygonLabels name="outline" toName="image">\n    <Label value="{OUTLINE}" background="{MIDDLE}"/>\n'
        "  </PolygonLabels>\n</View>\n"
    )


def read_label_studio(path: str | os.PathLike) -> LabelledImages:
    """The points of all tasks, in the order in which labels first occur; of several annotations the last.

    Points of predictions count as not looked at, others without our note as corrected. Raises `InputError` for what is
    no list of tasks, and for a label that stands in an image twice.
    """
    tasks = parsed(json.loads, read_bytes(path), "valid JSON", path)
    if not isinstance(tasks, list) or not tasks:
        raise InputError(f"{path}: expected a list of tasks, as Label Studio exports with 'JSON'.")
    files, sizes, rows, outlines, names = [], [], [], [], dict[str, int]()
    for number, task in enumerate(tasks, 1):
        where = f"{path}, task {number}"
        try:
            row, size = _row(task, where)
            outlines.append(_outline(_given(task)[0], where))
            files.append(str(task["data"]["image"]).removeprefix(PREFIX))
        except (TypeError, LookupError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{where}: not a task with key points ({error!r}).") from None
        if len({name for name, *_ in row}) < len(row):
            raise InputError(f"{where}: a point stands there twice; one person per image is expected.")
        rows.append(row)
        sizes.append(size)
        for name, *_ in row:
            names.setdefault(name, len(names))
    points, status = np.zeros((len(rows), len(names), 3)), np.zeros((len(rows), len(names)), int)
    for i, row in enumerate(rows):
        for name, x, y, see, how in row:
            points[i, names[name]], status[i, names[name]] = (x, y, see), how
    return read_as(path, names, files, sizes, points, status, outlines)


def _row(task: dict[str, Any], where: str) -> tuple[list[tuple[str, float, float, int, int]], tuple[int, int]]:
    """Points of a task (name, x, y, v, status), and the size of its image; 0 0 where nothing tells it."""
    every, decided = _given(task)
    regions = [region for region in every if region["type"] == "keypointlabels"]
    row = [_point(region, decided, where) for region in regions]
    data = task["data"]
    for name, word in (data.get("absent") or {}).items():
        row.append((str(name), 0.0, 0.0, 0, STATUSES.index(word)))
    told = every[0] if every else {}
    width, height = (told.get(f"original_{side}", data.get(side, 0)) for side in ("width", "height"))
    return row, (int(width), int(height))


def _given(task: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """Regions of a task's last annotation, or else of its last prediction, and whether somebody has decided them."""
    if task.get("annotations"):
        return task["annotations"][-1]["result"], True
    return (task["predictions"][-1]["result"], False) if task.get("predictions") else ([], False)


def _rings(images: LabelledImages, i: int) -> list[dict[str, Any]]:
    """A polygon per ring; those within others are holes, which Label Studio does not know."""
    outline = images.outline(i)
    width, height = images.sizes[i].tolist()
    return [
        {
            "id": f"{i + 1}_outline_{k}", "from_name": "outline", "to_name": "image", "type": "polygonlabels",
            "original_width": width, "original_height": height, "image_rotation": 0,
            "meta": {"text": [STATUSES[outline.status]]},
            "value": {
                "points": [[round(100 * x / width, DIGITS), round(100 * y / height, DIGITS)] for x, y in to_file(ring)],
                "closed": True, "polygonlabels": [OUTLINE],
            },
        }
        for k, ring in enumerate(outline.rings)
    ] if outline is not None else []  # fmt: skip


def _outline(regions: list[dict[str, Any]], where: str) -> PersonOutline | None:
    """Of all polygons of a task together; None where there are none."""
    rings: list[Ring] = []
    notes: list[str] = []
    for region in regions:
        if region["type"] == "brushlabels":
            raise InputError(f"{where}: an outline was painted with the brush; draw it as a polygon (PolygonLabels).")
        if region["type"] == "polygonlabels":
            width, height = int(region["original_width"]), int(region["original_height"])
            corners = [(float(x) * width / 100, float(y) * height / 100) for x, y in region["value"]["points"]]
            rings.append(from_file(corners, where))
            notes += (region.get("meta") or {}).get("text") or []
    known = [STATUSES.index(note) for note in notes if note in STATUSES]
    return PersonOutline(tuple(rings), known[0] if known else STATUSES.index("corrected")) if rings else None


def _data(images: LabelledImages, i: int, name: str) -> dict[str, Any]:
    width, height = images.sizes[i].tolist()
    absent = {
        point: STATUSES[images.status[i, k]] for k, point in enumerate(images.names) if images.points[i, k, 2] == 0
    }
    return {"image": PREFIX + name, "width": width, "height": height, "absent": absent}


def _colour(name: str) -> str:
    left = name.startswith("left_") or (name[0] == "L" and name[1:2].isupper())
    right = name.startswith("right_") or (name[0] == "R" and name[1:2].isupper())
    return LEFT if left else RIGHT if right else MIDDLE


def _region(images: LabelledImages, i: int, k: int) -> dict[str, Any]:
    (width, height), (x, y, see) = images.sizes[i].tolist(), images.points[i, k].tolist()
    notes = [STATUSES[images.status[i, k]]] + ([HIDDEN] if see == 1 else [])
    return {
        "id": f"{i + 1}_{images.names[k]}", "from_name": "point", "to_name": "image", "type": "keypointlabels",
        "original_width": width, "original_height": height, "image_rotation": 0, "meta": {"text": notes},
        "value": {
            "x": round(100 * x / width, DIGITS), "y": round(100 * y / height, DIGITS), "width": POINT_SIZE,
            "keypointlabels": [images.names[k]],
        },
    }  # fmt: skip


def _point(region: dict[str, Any], decided: bool, where: str) -> tuple[str, float, float, int, int]:
    value, (name,) = region["value"], region["value"]["keypointlabels"]
    x = float(value["x"]) * int(region["original_width"]) / 100
    y = float(value["y"]) * int(region["original_height"]) / 100
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InputError(f"{where}: {name} is at {value['x']!r}, {value['y']!r} %; expected two numbers.")
    notes = (region.get("meta") or {}).get("text") or []
    known = [STATUSES.index(note) for note in notes if note in STATUSES]
    how = known[0] if known else STATUSES.index("corrected" if decided else "unseen")
    return str(name), x, y, 1 if HIDDEN in notes else 2, how
