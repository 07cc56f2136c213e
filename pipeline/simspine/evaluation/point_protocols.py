"""The papers' protocols for points: from one view, from several views, and in images. Predictions in, tables out."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from simspine.anatomy.curvature import SPINE_MARKERS
from simspine.core.arrays import mean_of_known
from simspine.core.errors import InputError
from simspine.core.skeletons import SPINETRACK_REGIONS, load_skeleton
from simspine.evaluation import metrics
from simspine.evaluation.metrics import ImagePeople
from simspine.evaluation.pairs import (
    INTERVAL_ROW,
    MEAN_OVER_ACTIONS,
    MEAN_OVER_FRAMES,
    PointPair,
    column_errors,
    distance_rows,
    found_points_notes,
    pair_methods_with_truth,
)
from simspine.evaluation.point_sources import PointSequence
from simspine.evaluation.tables import (
    LIFTING_FRAME_STEP,
    POINT_COLUMNS,
    PROTOCOL_SPINE_POINTS,
    ROOT_POINT,
    SPINE_COLUMNS,
    EvaluationTable,
    TableColumn,
    TableRow,
    in_row_order,
    noted_table,
    published_rows,
)
from simspine.io.coco import in_spinetrack_order, read_coco, read_coco_results
from simspine.io.human36m.names import HUMAN36M_ACTIONS
from simspine.io.text_tables import read_bytes, warn_assumed

# Points from one view, by the SIMSPINE paper's protocol: fifteen spine points relative to the root, at 1 Hz.

ALL_POINTS_COLUMN = "all"
ERROR_MEASURES = {"P-MPJPE": "aligned", "MPJPE": "rooted", "N-MPJPE": "scaled"}


def evaluate_lifting(
    predictions: Mapping[str, Sequence[PointSequence]], truth: Sequence[PointSequence], step: int = LIFTING_FRAME_STEP
) -> tuple[EvaluationTable, ...]:
    """Tables of methods, {name: predicted points}, with the published ones: by region, and P-MPJPE by action.

    truth: the same trials, and the same cameras where predictions are in a camera's axes. Only frames whose number is a
    multiple of `step` count. The fifteen spine points are needed; a prediction without the root has it at zero.
    Raises `InputError` where a method predicts none of the trials.
    """
    thinned = [true.select(true.names, true.frames[true.frames % step == 0]) for true in truth]
    pairs = pair_methods_with_truth(
        {m: [_with_root(s) for s in sequences] for m, sequences in predictions.items()}, thinned, PROTOCOL_SPINE_POINTS
    )
    coverage = found_points_notes(pairs, PROTOCOL_SPINE_POINTS)
    used = f"Every {step}th frame of the truth is used." if step > 1 else "Every frame of the truth is used."
    notes = (used, *coverage)
    return _region_table(pairs, notes), _action_table(pairs, notes)


def _with_root(sequence: PointSequence) -> PointSequence:
    """The sequence with its root point, at zero where a network left it out."""
    if ROOT_POINT in sequence.names:
        return sequence
    present = np.isfinite(sequence.values).all(-1).any(1)
    root = np.where(present[:, None, None], np.zeros((len(sequence.frames), 1, 3)), np.nan)
    values = np.concatenate([root, sequence.values], 1)
    return replace(sequence, names=(ROOT_POINT, *sequence.names), values=values, deviation=None)


def _region_table(pairs: Mapping[str, Sequence[PointPair]], notes: tuple[str, ...]) -> EvaluationTable:
    """The paper's Table 6 with N-MPJPE, and without the root."""
    rootless = {f"{name}, no root": [p for p in SPINE_COLUMNS[name] if p != ROOT_POINT] for name in ("lumbar", "spine")}
    columns = [TableColumn(f"{kind} {name}") for kind in ERROR_MEASURES for name in SPINE_COLUMNS]
    columns += [TableColumn(f"MPJPE {name}") for name in rootless]
    rows = []
    for method, method_pairs in pairs.items():
        errors = {
            f"{kind} {name}": values
            for kind, measure in ERROR_MEASURES.items()
            for name, values in column_errors(method_pairs, SPINE_COLUMNS, measure).items()
        }
        errors |= {f"MPJPE {name}": values for name, values in column_errors(method_pairs, rootless, "rooted").items()}
        for row in distance_rows(method, method_pairs, errors)[:3]:
            rows.append(replace(row, label=ALL_POINTS_COLUMN if row.label == MEAN_OVER_FRAMES else row.label))
    rows += published_rows("lifting_regions", columns)
    return noted_table("lifting_regions", columns, rows, notes, root=ROOT_POINT)


def _action_table(pairs: Mapping[str, Sequence[PointPair]], notes: tuple[str, ...]) -> EvaluationTable:
    """The paper's Table 5: P-MPJPE of the spine by action, a row a method."""
    predicted = [pair.action for method_pairs in pairs.values() for pair in method_pairs]
    actions = in_row_order([*HUMAN36M_ACTIONS, *predicted])
    columns = tuple(TableColumn(name) for name in (*actions, MEAN_OVER_FRAMES, MEAN_OVER_ACTIONS))
    rows = []
    for method, method_pairs in pairs.items():
        errors = column_errors(method_pairs, {"spine": PROTOCOL_SPINE_POINTS}, "aligned")
        by_label = {row.label: row for row in distance_rows(method, method_pairs, errors)}
        cells = tuple(by_label[column.name].cells[0] if column.name in by_label else float("nan") for column in columns)
        rows.append(TableRow(method, ALL_POINTS_COLUMN, cells))
        interval = by_label[INTERVAL_ROW]
        rows.append(replace(interval, cells=(*[None] * len(actions), *interval.cells, None)))
    rows += published_rows("lifting_actions", columns)
    return noted_table("lifting_actions", columns, rows, notes, root=ROOT_POINT)


def evaluate_multiview(
    predictions: Mapping[str, Sequence[PointSequence]], truth: Sequence[PointSequence]
) -> tuple[EvaluationTable, ...]:
    """Tables of methods, {name: predicted points}, with the published one: MPJPE and P-MPJPE.

    truth: the same trials in the world, m. Raises `InputError` where a method predicts none of them.
    """
    pairs = pair_methods_with_truth(predictions, truth)
    columns = tuple(TableColumn(name) for name in POINT_COLUMNS)
    coverage = found_points_notes(pairs, truth[0].names)
    sizes = ", ".join(f"{name} {len(points)}" for name, points in POINT_COLUMNS.items())
    tables = []
    for name, measure in (("multiview_mpjpe", "world"), ("multiview_p_mpjpe", "aligned")):
        rows: list[TableRow] = []
        for method, method_pairs in pairs.items():
            rows += distance_rows(method, method_pairs, column_errors(method_pairs, POINT_COLUMNS, measure))
        rows += published_rows(name, columns)
        tables.append(noted_table(name, columns, rows, coverage, sizes=sizes))
    return tuple(tables)


SPINETRACK_TABLE = load_skeleton("spinetrack37")
_SPINETRACK_NAME_OF = {simspine: native for native, simspine in SPINETRACK_TABLE.to_simspine.items()}
POINT_SETS = {
    "9": SPINETRACK_REGIONS["spine"],
    "15": tuple(_SPINETRACK_NAME_OF[name] for name in SPINE_MARKERS),
    "37": SPINETRACK_TABLE.names,
}
MOST_CENTRE_DISTANCE = 0.5  # of a person's box, its diagonal: between the mean points of found and labelled people
OTHER_LABELS = {"COCO": 17, "Halpe26": 26}  # label sets: their points are the first ones of SpineTrack's
ALL_SUBSETS, PUBLISHED_AUC_COLUMN = "all", "AUC"
_THRESHOLDS_TEXT = "; ".join(
    f"{name}: {values[0]:g}, {values[1]:g}, …, {values[-1]:g}" for name, values in metrics.PCK_THRESHOLDS.items()
)


def read_labelled_people(path: Path) -> ImagePeople:
    """Labelled people of a COCO file, also SpineTrack's, in SpineTrack's order of points; images by file name."""
    stored = read_coco(path)
    if not len(stored["file_name"]):
        raise InputError(f"{path}: nobody is labelled in it.")
    keypoints = in_spinetrack_order(stored["keypoints"], tuple(stored["names"].tolist()), str(path))
    names, box = tuple(stored["file_name"].tolist()), stored["bbox"]
    odd = ~np.isfinite(box).all(1) | (~np.isfinite(keypoints[..., :2]).all(-1) & (keypoints[..., 2] != 0)).any(1)
    if odd.any():
        raise InputError(f"{path}: box or points of a person in {names[odd.argmax()]!r} are not finite numbers.")
    about = {name: stored[name] for name in ("area", "score", "crowd", "size")}
    return ImagePeople(names, keypoints, box, **about)


def read_found_people(path: Path, labels: Path) -> ImagePeople:
    """People found: COCO results, whose images are numbered as in `labels`, or a file of annotations, by file name."""
    if read_bytes(path).lstrip()[:1] == b"[":
        truth = read_coco(labels)
        stored = read_coco_results(path, tuple(truth["names"].tolist()))
        name_by_number = dict(zip(truth["image_id"].tolist(), truth["file_name"].tolist(), strict=True))
        numbered = np.array([number in name_by_number for number in stored["image_id"].tolist()], bool)
        if not numbered.any():
            raise InputError(f"{path}: none of its images is numbered as one of {labels}.")
        if not numbered.all():
            text = f"{path}: {(~numbered).sum()} of {len(numbered)} people are in images that {labels} lacks"
            warnings.warn(f"{text}; they do not count. Are images numbered as there?", stacklevel=2)
        keypoints, score = stored["keypoints"][numbered], stored["score"][numbered]
        images = tuple(name_by_number[number] for number in stored["image_id"][numbered].tolist())
    else:
        stored = read_coco(path)
        keypoints, score, images = stored["keypoints"], stored["score"], tuple(stored["file_name"].tolist())
    keypoints = in_spinetrack_order(keypoints, tuple(stored["names"].tolist()), str(path), missing=np.nan)
    seen = [(image, person.tobytes()) for image, person in zip(images, keypoints, strict=True) if np.nansum(person) > 0]
    if again := len(seen) - len(set(seen)):
        raise InputError(f"{path}: {again} people are listed twice; keep one of each.")
    low, high = np.nanmin(keypoints[..., :2], 1), np.nanmax(keypoints[..., :2], 1)
    box = np.concatenate([low, high - low], 1)
    nobody = np.zeros(len(images), bool)
    return ImagePeople(images, keypoints, box=box, area=box[:, 2] * box[:, 3], score=score, crowd=nobody)


class JudgedPoints(NamedTuple):
    """The points of each subset and of each area under the curve that a method is judged by. remark: why not all."""

    subsets: Mapping[str, Sequence[str]] = SPINETRACK_REGIONS
    point_sets: Mapping[str, Sequence[str]] = POINT_SETS
    remark: str = ""


def evaluate_images(predictions: Mapping[str, ImagePeople], labels: ImagePeople) -> tuple[EvaluationTable, ...]:
    """Tables of methods, {name: people found}: AP and AR of subsets, all their figures, AUC. Points in SpineTrack's
    order. Where labels or a method have the 17 points of COCO or the 26 of Halpe alone, the method is judged by one
    subset of that name. Raises `InputError` where a method has nobody in any of the images.
    """
    for method, people in predictions.items():
        _warn_of_other_places(method, people, labels)
    judged = {method: _judged_points(people, labels) for method, people in predictions.items()}
    sigmas = np.array(SPINETRACK_TABLE.sigmas)
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for method, people in predictions.items():
        figures[method] = {}
        for name, points in judged[method].subsets.items():
            columns = [SPINETRACK_TABLE.index(point) for point in points]
            figures[method][name] = metrics.average_precision(
                labels.select(columns), people.select(columns), sigmas[columns]
            )
    return _precision_summary(figures, judged), _precision_details(figures), _auc_table(predictions, labels, judged)


def _warn_of_other_places(method: str, people: ImagePeople, labels: ImagePeople) -> None:
    """Warn where most people found are elsewhere than those labelled: of other images, or in another unit."""
    found_in: dict[str, list[int]] = {}
    for i, image in enumerate(people.image):
        found_in.setdefault(image, []).append(i)
    found = np.where(people.keypoints[..., 2:] > 0, people.keypoints[..., :2], np.nan)
    distances = []
    for i, image in enumerate(labels.image):
        seen = labels.keypoints[i, :, 2] > 0
        if image in found_in and seen.any():
            centre = labels.keypoints[i, seen, :2].mean(0)
            others = mean_of_known(found[found_in[image]][:, seen], 1)
            distances.append(
                np.nanmin(np.linalg.norm(others - centre, axis=1), initial=np.inf) / np.linalg.norm(labels.box[i, 2:])
            )
    usual = float(np.median(distances)) if distances else 0.0
    if MOST_CENTRE_DISTANCE < usual < np.inf:
        text = f"{method}: the people found are {usual:.1f} of a person's size from those labelled (median)"
        warn_assumed(f"{text}. Are points in px of the whole image, x before y, and images numbered as the labels'?")


def _judged_points(people: ImagePeople, labels: ImagePeople) -> JudgedPoints:
    labelled = np.asarray((labels.keypoints[..., 2] > 0).any(0))
    found = np.isfinite(people.keypoints[..., :2]).all(-1).any(0)
    for name, count in OTHER_LABELS.items():
        if not (labelled & found)[count:].any():
            points = SPINETRACK_TABLE.names[:count]
            remark = f"gives the {count} points of {name} only: judged by these" if labelled[count:].any() else ""
            return JudgedPoints({name: points}, {str(count): points}, remark)
    return JudgedPoints()


def _precision_summary(
    found: Mapping[str, Mapping[str, Mapping[str, float]]], judged: Mapping[str, JudgedPoints]
) -> EvaluationTable:
    """found: {method: {subset: figures of `average_precision`}}."""
    subsets = {name: len(points) for own in judged.values() for name, points in own.subsets.items()}
    keys = [(name, figure) for name in subsets for figure in ("AP", "AR")]
    columns = tuple(TableColumn(f"{name} {figure}", "", 3) for name, figure in keys)
    rows = []
    for method, by_subset in found.items():
        cells = tuple(by_subset[name][figure] if name in by_subset else None for name, figure in keys)
        rows.append(TableRow(method, ALL_SUBSETS, cells, remark=judged[method].remark))
    rows += published_rows("images_ap", columns)
    sizes = ", ".join(f"{name} {count} points" for name, count in subsets.items())
    return noted_table("images_ap", columns, rows, subsets=sizes)


def _precision_details(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> EvaluationTable:
    columns = tuple(TableColumn(figure, "", 3) for figure in metrics.PRECISION_FIGURES)
    rows = tuple(
        TableRow(method, name, tuple(figures[figure] for figure in metrics.PRECISION_FIGURES))
        for method, by_subset in found.items()
        for name, figures in by_subset.items()
    )
    return noted_table("images_details", columns, rows)


def _auc_table(
    predictions: Mapping[str, ImagePeople], labels: ImagePeople, judged: Mapping[str, JudgedPoints]
) -> EvaluationTable:
    counts = dict.fromkeys(count for own in judged.values() for count in own.point_sets)
    names = [f"{count} points, {span}" for count in counts for span in metrics.PCK_THRESHOLDS]
    if POINT_SETS.keys() <= counts.keys():
        names.append(PUBLISHED_AUC_COLUMN)
    columns = [TableColumn(name, "", 3) for name in names]
    people = np.flatnonzero(~labels.crowd)
    size = labels.box[people, 2:].min(1)
    rows = []
    for method, found in predictions.items():
        places = match_people(found, labels)[people]
        areas: dict[str, float] = {}
        for count, points in judged[method].point_sets.items():
            indices = [SPINETRACK_TABLE.index(point) for point in points]
            labelled = labels.keypoints[people][:, indices]
            for span, thresholds in metrics.PCK_THRESHOLDS.items():
                areas[f"{count} points, {span}"] = metrics.pck_auc(places[:, indices], labelled, size, thresholds)
        cells = tuple(areas.get(name) for name in names)
        rows.append(TableRow(method, ALL_SUBSETS, cells, remark=judged[method].remark))
    rows += published_rows("images_auc", columns)
    return noted_table("images_auc", columns, rows, thresholds=_THRESHOLDS_TEXT)


def match_people(found: ImagePeople, labels: ImagePeople) -> np.ndarray:
    """(people, points, 2) px: for each label the found person with the highest OKS, each used once; NaN without one."""
    out = np.full((len(labels.image), labels.keypoints.shape[1], 2), np.nan)
    found_rows, label_rows = (pd.RangeIndex(len(one.image)).groupby(np.array(one.image)) for one in (found, labels))
    sigmas = np.array(SPINETRACK_TABLE.sigmas)
    for image, rows in label_rows.items():
        candidates = found_rows.get(image, [])
        points, count = found.keypoints[candidates, :, :2], len(candidates)
        score = np.empty((len(rows), count))
        for row, i in enumerate(rows):
            label = np.tile(labels.keypoints[i], (count, 1, 1))
            score[row] = metrics.object_keypoint_similarity(points, label, np.full(count, labels.area[i]), sigmas)
        for _ in range(min(score.shape)):
            if not np.isfinite(score).any():
                break
            a, b = np.unravel_index(np.nanargmax(score), score.shape)
            out[rows[a]] = found.keypoints[candidates[b], :, :2]
            score[a], score[:, b] = np.nan, np.nan
    return out
