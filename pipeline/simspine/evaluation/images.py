"""Points in images, by the papers' protocol: average precision of subsets over OKS, and the area under PCK's curve."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.evaluation.published import published_rows
from simspine.evaluation.rows import INTERVALS, no_interval
from simspine.evaluation.tables import Cell, EvaluationTable, TableColumn, TableRow
from simspine.formats._text import read_bytes
from simspine.formats.coco import read_coco, read_coco_results
from simspine.formats.takes import take_of_image
from simspine.metrics import (
    PCK_THRESHOLDS,
    ImagePeople,
    MatchedPeople,
    matched_people,
    oks,
    pck_auc,
    pck_auc_interval,
    precision_intervals,
)
from simspine.metrics.image_intervals import DRAWS
from simspine.metrics.precision import FIGURES
from simspine.skeletons import load
from simspine.skeletons.regions import SPINETRACK_REGIONS
from simspine.sources.spinetrack import in_order
from simspine.spine.levels import SPINE_MARKERS

TABLE = load("spinetrack37")
_OF = {simspine: native for native, simspine in TABLE.to_simspine.items()}
POINT_SETS = {
    "9": SPINETRACK_REGIONS["spine"],
    "15": tuple(_OF[name] for name in SPINE_MARKERS),
    "37": TABLE.names,
}  # fmt: skip
ALL, PUBLISHED_AUC, BY_IMAGE = "all", "AUC", "95 % by image"
_INTERVAL_NOTE = (
    f"95 %: whole trials or people drawn anew {DRAWS} times, as the names of the images tell them; single images where "
    "they do not, which is too narrow where images are of one trial."
)
_AP_NOTES = (
    "Over OKS 0.50 to 0.95, by pycocotools, with SpineTrack's sigmas; medium 32² to 96² px, large above. Subsets: "
    + ", ".join(f"{name} {len(points)} points" for name, points in SPINETRACK_REGIONS.items())
    + ". Points that are not labelled count nowhere; people without a labelled point of the subset are left out.",
)
_AUC_NOTES = (
    "Area under the curve of PCK: mean over thresholds of the mean over points of the share of labels with a point "
    "found nearer than the threshold times the shorter side of the box. Thresholds: "
    + "; ".join(f"{name}: {values[0]:g}, {values[1]:g}, …, {values[-1]:g}" for name, values in PCK_THRESHOLDS.items())
    + ". The paper says neither its thresholds nor its points.",
    "Each labelled person is compared with the one found most like it, nobody twice; where nobody is left it is wrong.",
    _INTERVAL_NOTE,
)


def read_labels(path: Path) -> ImagePeople:
    """Labelled people of a COCO file, ours or SpineTrack's, in SpineTrack's order of points; images by file name."""
    found = read_coco(path)
    if not len(found["file_name"]):
        raise InputError(f"{path}: nobody is labelled in it.")
    keypoints = in_order(found["keypoints"], tuple(found["names"].tolist()), str(path))
    names = tuple(found["file_name"].tolist())
    return ImagePeople(names, keypoints, found["bbox"], found["area"], found["score"], found["crowd"])


def read_found(path: Path, labels: Path) -> ImagePeople:
    """People found: COCO results, whose images are numbered as in `labels`, or a file of annotations, by file name."""
    if read_bytes(path).lstrip()[:1] == b"[":
        found = read_coco_results(path)
        truth = read_coco(labels)
        of = dict(zip(truth["image_id"].tolist(), truth["file_name"].tolist(), strict=True))
        there = np.array([number in of for number in found["image_id"].tolist()], bool)
        if not there.any():
            raise InputError(f"{path}: none of its images is numbered as one of {labels}.")
        keypoints, score = found["keypoints"][there], found["score"][there]
        images = tuple(of[number] for number in found["image_id"][there].tolist())
    else:
        found = read_coco(path)
        keypoints, score, images = found["keypoints"], found["score"], tuple(found["file_name"].tolist())
    keypoints = in_order(keypoints, tuple(found["names"].tolist()), str(path))
    absent = [i for i, name in enumerate(TABLE.names) if name not in _native(found["names"].tolist())]
    keypoints[:, absent] = np.nan
    low, high = np.nanmin(keypoints[..., :2], 1), np.nanmax(keypoints[..., :2], 1)
    box = np.concatenate([low, high - low], 1)
    return ImagePeople(images, keypoints, box, box[:, 2] * box[:, 3], score, np.zeros(len(images), bool))


def _native(names: Sequence[str]) -> set[str]:
    return {_OF.get(name, name) for name in names}


def evaluate_images(predictions: Mapping[str, ImagePeople], labels: ImagePeople) -> tuple[EvaluationTable, ...]:
    """Tables of methods, {name: people found}: AP and AR of subsets, all their figures, AUC; with intervals. Points in
    SpineTrack's order. Raises `InputError` where a method has nobody in any of the images.
    """
    indices = {name: [TABLE.index(point) for point in points] for name, points in SPINETRACK_REGIONS.items()}
    sigmas = np.array(TABLE.sigmas)

    def matches(people: ImagePeople) -> dict[str, MatchedPeople]:
        return {
            name: matched_people(labels.select(own), people.select(own), sigmas[own]) for name, own in indices.items()
        }

    found = {method: matches(people) for method, people in predictions.items()}
    return _summary(found), _details(found), _auc(predictions, labels)


def image_clusters(images: Sequence[str]) -> dict[str, list]:
    """{row: what is drawn anew, of each image}: trial and person where all names tell them, else the image itself."""
    takes = [take for take in map(take_of_image, images) if take is not None]
    if len(takes) < len(images):
        return {BY_IMAGE: list(images)}
    by_trial, by_subject = INTERVALS
    return {by_trial: takes, by_subject: [subject for subject, _ in takes]}


def _summary(found: Mapping[str, Mapping[str, MatchedPeople]]) -> EvaluationTable:
    keys = [(name, figure) for name in SPINETRACK_REGIONS for figure in ("AP", "AR")]
    columns = tuple(TableColumn(f"{name} {figure}", "", 3) for name, figure in keys)
    rows = []
    for method, own in found.items():
        rows.append(TableRow(method, ALL, tuple(own[name].figures[figure] for name, figure in keys)))
        for label, clusters in image_clusters(own[ALL].images).items():
            ends = {name: precision_intervals(people, clusters) for name, people in own.items()}
            cells = tuple(None if (of := ends[name]) is None else of[figure] for name, figure in keys)
            rows.append(TableRow(method, label, cells, remark=_why_none(label, cells)))
    rows += published_rows("images_ap", columns)
    notes = (*_AP_NOTES, _INTERVAL_NOTE)
    return EvaluationTable("images_ap", "Average precision and recall by subset", columns, tuple(rows), notes)


def _why_none(label: str, cells: Sequence[Cell]) -> str:
    return no_interval(label) if all(cell is None for cell in cells) else ""


def _details(found: Mapping[str, Mapping[str, MatchedPeople]]) -> EvaluationTable:
    columns = tuple(TableColumn(figure, "", 3) for figure in FIGURES)
    rows = tuple(
        TableRow(method, name, tuple(own[name].figures[figure] for figure in FIGURES))
        for method, own in found.items()
        for name in SPINETRACK_REGIONS
    )
    return EvaluationTable("images_details", "All figures of average precision", columns, rows, _AP_NOTES)


def _auc(predictions: Mapping[str, ImagePeople], labels: ImagePeople) -> EvaluationTable:
    names = [f"{count} points, {span}" for count in POINT_SETS for span in PCK_THRESHOLDS]
    columns = (*(TableColumn(name, "", 3) for name in names), TableColumn(PUBLISHED_AUC, "", 3))
    people = np.flatnonzero(~labels.crowd)
    size = labels.box[people, 2:].min(1)
    clusters = image_clusters([labels.image[i] for i in people])
    rows = []
    for method, found in predictions.items():
        places = matched(found, labels)[people]
        cells: list[Cell] = []
        intervals: dict[str, list[Cell]] = {label: [] for label in clusters}
        for points in POINT_SETS.values():
            own = [TABLE.index(point) for point in points]
            exact = labels.keypoints[people][:, own]
            for thresholds in PCK_THRESHOLDS.values():
                cells.append(pck_auc(places[:, own], exact, size, thresholds))
                for label, drawn in clusters.items():
                    intervals[label].append(pck_auc_interval(places[:, own], exact, size, thresholds, drawn))
        rows.append(TableRow(method, ALL, (*cells, None)))
        for label, ends in intervals.items():
            rows.append(TableRow(method, label, (*ends, None), remark=_why_none(label, ends)))
    rows += published_rows("images_auc", columns)
    return EvaluationTable("images_auc", "Area under the curve of PCK", columns, tuple(rows), _AUC_NOTES)


def matched(found: ImagePeople, labels: ImagePeople) -> np.ndarray:
    """(people, points, 2) px: of each labelled person the found one most like it by OKS, nobody twice; NaN for none."""
    out = np.full((len(labels.image), labels.keypoints.shape[1], 2), np.nan)
    of: dict[str, list[int]] = {}
    for i, image in enumerate(found.image):
        of.setdefault(image, []).append(i)
    people: dict[str, list[int]] = {}
    for i, image in enumerate(labels.image):
        people.setdefault(image, []).append(i)
    sigmas = np.array(TABLE.sigmas)
    for image, own in people.items():
        there = of.get(image, [])
        score = np.array([
            oks(found.keypoints[there, :, :2], np.tile(labels.keypoints[i], (len(there), 1, 1)),
                np.full(len(there), labels.area[i]), sigmas)
            for i in own
        ]).reshape(len(own), len(there))  # fmt: skip
        for _ in range(min(score.shape)):
            if not np.isfinite(score).any():
                break
            a, b = np.unravel_index(np.nanargmax(score), score.shape)
            out[own[a]] = found.keypoints[there[b], :, :2]
            score[a], score[:, b] = np.nan, np.nan
    return out
