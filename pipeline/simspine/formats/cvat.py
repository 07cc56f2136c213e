"""CVAT for images 1.1: a skeleton per image, whose points say whether they are occluded or outside.

Format: docs.cvat.ai, XML annotation format and "CVAT for images". Flat <points> elements, as CVAT writes them for
labels that are no skeletons, are read as well. What a person did about a point is its attribute `status`. A person's
outline is one <polygon> a part, or a <mask> where it has holes.
"""

import math
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

import numpy as np

from simspine.errors import InputError
from simspine.formats.atomic import atomic_path
from simspine.formats.coco import run_lengths
from simspine.formats.labelled_images import DIGITS, STATUSES, LabelledImages, read_as
from simspine.formats.outlines import PersonOutline, Ring, filled, from_file, has_holes, to_file, traced, unrolled
from simspine.formats.safe_xml import read_xml

LABEL, OUTLINE = "person", "person_outline"


def write_cvat(path: str | os.PathLike, images: LabelledImages, task: str = "simspine") -> None:
    """One <image> with one <skeleton> each, all points in their order; `outside` says that one is absent."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    root.append(_meta(images, task))
    for i, name in enumerate(images.file_names):
        width, height = images.sizes[i].tolist()
        image = ElementTree.SubElement(root, "image", id=str(i), name=name, width=str(width), height=str(height))
        skeleton = ElementTree.SubElement(image, "skeleton", label=LABEL, source="manual", z_order="0")
        for point, (x, y, see), status in zip(images.names, images.points[i], images.status[i], strict=True):
            element = ElementTree.SubElement(
                skeleton, "points", label=point, source="manual", outside=str(int(see == 0)),
                occluded=str(int(see == 1)), points=f"{x:.{DIGITS}f},{y:.{DIGITS}f}",
            )  # fmt: skip
            ElementTree.SubElement(element, "attribute", name="status").text = STATUSES[status]
        _write_outline(image, images.outline(i), (width, height))
    ElementTree.indent(root)
    with atomic_path(path) as temporary:
        ElementTree.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)


def _write_outline(image: ElementTree.Element, outline: PersonOutline | None, size: tuple[int, int]) -> None:
    """A <polygon> per part; with holes a <mask>, runs of the box around it, row by row."""
    if outline is None:
        return
    common = {"label": OUTLINE, "source": "manual", "occluded": "0", "z_order": "0"}
    if has_holes(outline.rings, size):
        mask = filled(outline.rings, size)
        rows, columns = np.nonzero(mask)
        top, left = int(rows.min()), int(columns.min())
        part = mask[top : rows.max() + 1, left : columns.max() + 1]
        runs = ", ".join(map(str, run_lengths(part.T)["counts"]))
        box = {"left": left, "top": top, "width": part.shape[1], "height": part.shape[0]}
        elements = [ElementTree.SubElement(image, "mask", common | {k: str(v) for k, v in box.items()} | {"rle": runs})]
    else:
        corners = [";".join(f"{x:.{DIGITS}f},{y:.{DIGITS}f}" for x, y in to_file(ring)) for ring in outline.rings]
        elements = [ElementTree.SubElement(image, "polygon", common | {"points": text}) for text in corners]
    for element in elements:
        ElementTree.SubElement(element, "attribute", name="status").text = STATUSES[outline.status]


def _meta(images: LabelledImages, task: str) -> ElementTree.Element:
    """What CVAT needs to make the task's labels: the skeleton and its points."""
    meta = ElementTree.Element("meta")
    entry = ElementTree.SubElement(meta, "task")
    ElementTree.SubElement(entry, "name").text = task
    ElementTree.SubElement(entry, "size").text = str(len(images.file_names))
    ElementTree.SubElement(entry, "mode").text = "annotation"
    labels = ElementTree.SubElement(entry, "labels")
    outlined = ((OUTLINE, "any", ""),) if images.outlines else ()
    points = ((name, "points", LABEL) for name in images.names)
    for name, kind, parent in ((LABEL, "skeleton", ""), *points, *outlined):
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = name
        ElementTree.SubElement(label, "type").text = kind
        attributes = ElementTree.SubElement(label, "attributes")
        if kind != "skeleton":
            attribute = ElementTree.SubElement(attributes, "attribute")
            for key, text in (
                ("name", "status"), ("mutable", "True"), ("input_type", "select"), ("default_value", STATUSES[0]),
                ("values", "\n".join(STATUSES)),
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
    rows, names = [], dict[str, int]()
    for image in images:
        where = f"{path}, image {image.get('name')}"
        row: dict[str, tuple[float, float, int, int]] = {}
        for element in _points_of(image, where):
            name = element.get("label", "")
            if not name or name in row:
                raise InputError(f"{where}: point {name!r} stands there twice or has no label; one person is expected.")
            row[name] = _point(element, f"{where}, {name}")
            names.setdefault(name, len(names))
        rows.append(row)
    points, status = np.zeros((len(rows), len(names), 3)), np.zeros((len(rows), len(names)), int)
    for i, row in enumerate(rows):
        for name, (x, y, see, how) in row.items():
            points[i, names[name]], status[i, names[name]] = (x, y, see), how
    sizes = [[_whole(image, key, path) for key in ("width", "height")] for image in images]
    outlines = [_read_outline(image, f"{path}, image {image.get('name')}") for image in images]
    return read_as(path, names, [image.get("name", "") for image in images], sizes, points, status, outlines)


def _read_outline(image: ElementTree.Element, where: str) -> PersonOutline | None:
    """Of all <polygon> and <mask> of an image together; None where there are none."""
    rings: list[Ring] = []
    elements = [*image.findall("polygon"), *image.findall("mask")]
    for element in elements:
        if element.tag == "polygon":
            corners = [corner.split(",") for corner in element.get("points", "").split(";")]
            rings.append(from_file(corners, where))
            continue
        left, top, width, height = (_number(element, key, where) for key in ("left", "top", "width", "height"))
        runs = element.get("rle", "").split(",")
        part = unrolled(runs, (height, width), where)
        rings += [tuple((x + left, y + top) for x, y in ring) for ring in traced(part)]
    if not rings:
        return None
    return PersonOutline(tuple(rings), STATUSES.index(_status_of(elements[0], "corrected", where)))


def _points_of(image: ElementTree.Element, where: str) -> Iterator[ElementTree.Element]:
    skeletons = image.findall("skeleton")
    if len(skeletons) > 1:
        raise InputError(f"{where}: {len(skeletons)} skeletons; one person per image is expected.")
    yield from (skeletons[0] if skeletons else image).findall("points")


def _point(element: ElementTree.Element, where: str) -> tuple[float, float, int, int]:
    """x, y, v and the status of a <points> element."""
    try:
        x, y = (float(number) for number in element.get("points", "").split(","))
    except ValueError:
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InputError(f"{where}: points={element.get('points')!r}; expected one 'x,y' in px.")
    see = 0 if element.get("outside") == "1" else 1 if element.get("occluded") == "1" else 2
    word = _status_of(element, "corrected" if see else "unseen", where)
    return x, y, see, STATUSES.index(word)


def _status_of(element: ElementTree.Element, otherwise: str, where: str) -> str:
    """The attribute `status` of an element."""
    word = next((a.text for a in element.findall("attribute") if a.get("name") == "status"), None) or otherwise
    if word not in STATUSES:
        raise InputError(f"{where}: status {word!r}; expected one of {', '.join(STATUSES)}.")
    return word


def _whole(image: ElementTree.Element, key: str, path) -> int:
    return _number(image, key, f"{path}, image {image.get('name')}")


def _number(element: ElementTree.Element, key: str, where: str) -> int:
    text = element.get(key, "")
    if not text.isdecimal() or len(text) > 6:
        raise InputError(f"{where}: {key}={text!r}; expected a number of px.")
    return int(text)
