"""Points of people in images against labels: OKS, PCK, average precision by pycocotools, and their intervals.

Pixels in, shares out. Intervals: images of one trial or person are alike, so whole clusters of images are drawn.
"""

import contextlib
import io
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np

from simspine.core.errors import InputError
from simspine.evaluation.metrics import drawn_counts, percentile_interval

# What the area under the curve of PCK runs over. The papers do not say; MMPose's default is the first.
PCK_THRESHOLDS = MappingProxyType({
    "0–0.95": tuple(i / 20 for i in range(20)),
    "0–0.19": tuple(i / 100 for i in range(20)),
})  # fmt: skip


def object_keypoint_similarity(
    found: np.ndarray, labels: np.ndarray, area: np.ndarray, sigmas: np.ndarray
) -> np.ndarray:
    """(people,) object keypoint similarity: mean over labelled points of exp(−d² / (2 area (2 sigma)²)).

    found: (people, points, 2) px; labels: (people, points, 3) x, y px and v > 0 where labelled; area: (people,) px²;
    sigmas: (points,). A point that was not found counts 0; NaN for people without a labelled point.
    """
    found, labels = _checked_keypoint_pair(found, labels)
    area, sigmas = np.asarray(area, float), np.asarray(sigmas, float)
    if area.shape != found.shape[:1] or sigmas.shape != found.shape[1:2]:
        raise InputError(f"area {area.shape} and sigmas {sigmas.shape} do not suit points of shape {found.shape}.")
    squared = ((found - labels[..., :2]) ** 2).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        similar = np.exp(-squared / (2 * (area[:, None] + np.spacing(1)) * (2 * sigmas) ** 2))
    labelled = labels[..., 2] > 0
    count = labelled.sum(1)
    return np.where(labelled & np.isfinite(similar), similar, 0).sum(1) / np.where(count > 0, count, np.nan)


def correct_keypoint_share(found: np.ndarray, labels: np.ndarray, size: np.ndarray, threshold: float) -> np.ndarray:
    """(points,) share of a point's labels with a found point nearer than `threshold` times the person's size.

    found, labels: as for `object_keypoint_similarity`. size: (people,) px, such as the shorter side of the box. A
    point that was not found is wrong; NaN for a point that is nowhere labelled.
    """
    hits, labelled = pck_hits(found, labels, size, (threshold,))
    count = labelled.sum(0)
    return hits[..., 0].sum(0) / np.where(count > 0, count, np.nan)


def pck_auc(found: np.ndarray, labels: np.ndarray, size: np.ndarray, thresholds: tuple[float, ...]) -> float:
    """Mean over the thresholds of the mean over the points of `correct_keypoint_share`: MMPose's area under the
    curve."""
    shares = np.stack([correct_keypoint_share(found, labels, size, threshold) for threshold in thresholds])
    known = np.isfinite(shares).all(0)
    return float(shares[:, known].mean()) if known.any() else float("nan")


def pck_hits(
    found: np.ndarray, labels: np.ndarray, size: np.ndarray, thresholds: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """(people, points, thresholds) and (people, points) bool: labels with a found point near enough; labels at all.

    The arguments as for `pck_auc`.
    """
    found, labels = _checked_keypoint_pair(found, labels)
    distance = np.linalg.norm(found - labels[..., :2], axis=-1) / np.asarray(size, float)[:, None]
    labelled = labels[..., 2] > 0
    return labelled[..., None] & (distance[..., None] < np.asarray(thresholds)), labelled


def _checked_keypoint_pair(found: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found, labels = np.asarray(found, float), np.asarray(labels, float)
    if found.ndim != 3 or found.shape[-1] != 2 or labels.shape != (*found.shape[:2], 3):
        raise InputError(
            f"points {found.shape} and labels {labels.shape}, expected (people, points, 2) and (people, points, 3)."
        )
    return found, labels


# Average precision and recall over OKS, by pycocotools, which defines them (extra `benchmark`).


# In pycocotools' order.
PRECISION_FIGURES = tuple(f"{kind}{of}" for kind in ("AP", "AR") for of in ("", ".5", ".75", "(M)", "(L)"))
MISSING_POINT_PX = -1e6  # px, in the place of a point that was not found


@dataclass(frozen=True)
class ImagePeople:
    """People in images, labelled or found. Pixels.

    image: (people,) labels of images. keypoints: (people, points, 3): x, y and, labelled, v (0 none, 1 hidden, 2
    visible), or found, the confidence. box: (people, 4) left, top, width, height. area: (people,) px². score: (people,)
    of found people, what they are ranked by. crowd: (people,) bool, labels of many at once, which are ignored.
    """

    image: tuple[str, ...]
    keypoints: np.ndarray
    box: np.ndarray
    area: np.ndarray
    score: np.ndarray
    crowd: np.ndarray

    def __post_init__(self):
        people, points = len(self.image), np.shape(self.keypoints)[1] if np.ndim(self.keypoints) == 3 else -1
        shapes = {"keypoints": (people, points, 3), "box": (people, 4)}
        for name in ("keypoints", "box", "area", "score", "crowd"):
            array, wanted = np.asarray(getattr(self, name)), shapes.get(name, (people,))
            if array.shape != wanted:
                raise InputError(f"people in images: {name} has shape {array.shape}, expected {wanted}.")
            object.__setattr__(self, name, array)

    def select(self, points: Sequence[int]) -> "ImagePeople":
        """The same people with some of their points, by index."""
        return replace(self, keypoints=self.keypoints[:, list(points)])


@dataclass(frozen=True, eq=False)
class MatchedPeople:
    """People found, matched with those labelled, of all sizes: what average precision is computed from.

    figures: `PRECISION_FIGURES`, each a share; NaN where no label is of that size. images: names of the images with
    labels; labels: (images,) how many people count in each. Of the people found, by falling score: image: (found,)
    index of the image; hit, counted: (thresholds, found) bool, matched with a label at that OKS, and not ignored.
    """

    figures: dict[str, float]
    images: tuple[str, ...]
    labels: np.ndarray
    image: np.ndarray
    hit: np.ndarray
    counted: np.ndarray


def matched_people(labels: ImagePeople, found: ImagePeople, sigmas: Sequence[float] | np.ndarray) -> MatchedPeople:
    """Average precision, and the matches behind it. Images without labels count nothing.

    sigmas: (points,). Medium: areas of 32² to 96² px, large: above. Of each image the 20 best people count. A label
    without a labelled point is ignored. Found people in images that the labels lack are left out.
    """
    if labels.keypoints.shape[1:] != found.keypoints.shape[1:] or labels.keypoints.shape[1] != len(sigmas):
        raise InputError(
            f"{labels.keypoints.shape[1]} points are labelled, {found.keypoints.shape[1]} found, for {len(sigmas)} "
            "sigmas; the three must agree."
        )
    numbers = {image: i for i, image in enumerate(dict.fromkeys(labels.image), 1)}
    results = _coco_results(found, numbers)
    if not results:
        raise InputError("nobody was found in any image that has labels; do the names of the images agree?")
    coco, evaluation = _pycocotools("coco"), _pycocotools("cocoeval")
    with contextlib.redirect_stdout(io.StringIO()):  # it reports each of its steps
        truth = coco.COCO()
        truth.dataset = _coco_dataset(labels, numbers)
        truth.createIndex()
        loaded = truth.loadRes(results)
        for entry in loaded.anns.values():  # it would count places that are not known
            entry["area"] = _known_box_area(entry["keypoints"])
        run = evaluation.COCOeval(truth, loaded, "keypoints")
        run.params.kpt_oks_sigmas = np.asarray(sigmas, float)
        for step in (run.evaluate, run.accumulate, run.summarize):
            step()
    figures = {name: float(v) if v >= 0 else float("nan") for name, v in zip(PRECISION_FIGURES, run.stats, strict=True)}
    return _matches_of_image(figures, tuple(numbers), run.evalImgs[: len(numbers)])


def _matches_of_image(figures: dict[str, float], images: tuple[str, ...], whole: Sequence[Any]) -> MatchedPeople:
    """whole: pycocotools' matches of each image, people of all sizes; None for one without anybody."""
    own = [(i, entry) for i, entry in enumerate(whole) if entry is not None]
    labels = np.zeros(len(images), int)
    for i, entry in own:
        labels[i] = int((np.asarray(entry["gtIgnore"]) == 0).sum())
    score = np.concatenate([entry["dtScores"] for _, entry in own])
    order = np.argsort(-score, kind="mergesort")
    return MatchedPeople(
        figures=figures,
        images=images,
        labels=labels,
        image=np.repeat([i for i, _ in own], [len(entry["dtScores"]) for _, entry in own])[order],
        hit=np.concatenate([entry["dtMatches"] for _, entry in own], 1)[:, order] > 0,
        counted=~np.concatenate([entry["dtIgnore"] for _, entry in own], 1)[:, order].astype(bool),
    )


def _coco_dataset(labels: ImagePeople, numbers: Mapping[str, int]) -> dict[str, Any]:
    annotations = [
        {
            "id": i + 1,
            "image_id": numbers[image],
            "category_id": 1,
            "iscrowd": int(labels.crowd[i]),
            "area": float(labels.area[i]),
            "bbox": labels.box[i].tolist(),
            "keypoints": _flat_keypoints(labels.keypoints[i]),
            "num_keypoints": int((labels.keypoints[i, :, 2] > 0).sum()),
        }
        for i, image in enumerate(labels.image)
    ]
    images = [{"id": number} for number in numbers.values()]
    return {"info": {}, "images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}


def _coco_results(found: ImagePeople, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": numbers[image], "category_id": 1, "score": float(found.score[i]),
            "keypoints": _flat_keypoints(found.keypoints[i]),
        }
        for i, image in enumerate(found.image)
        if image in numbers
    ]  # fmt: skip


def _flat_keypoints(keypoints: np.ndarray) -> list[float]:
    """x, y, v one after another; a place that is not known becomes one far outside, which matches nothing."""
    known = np.isfinite(keypoints[:, :2]).all(1)
    return np.where(known[:, None], np.nan_to_num(keypoints), [MISSING_POINT_PX, MISSING_POINT_PX, 0]).ravel().tolist()


def _known_box_area(flat: Sequence[float]) -> float:
    """Area of the box around the known places, px²; 0 for none."""
    places = np.reshape(flat, (-1, 3))[:, :2]
    places = places[(places != MISSING_POINT_PX).all(1)]
    return float(np.prod(np.ptp(places, axis=0))) if len(places) else 0.0


def _pycocotools(part: str) -> ModuleType:
    try:
        return import_module(f"pycocotools.{part}")
    except ImportError:
        raise InputError(
            "average precision needs the package pycocotools, which is not installed. Install simspine[benchmark]."
        ) from None


PRECISION_DRAWS = 1000
_RECALL_LEVELS = np.linspace(0, 1, 101)  # at which pycocotools reads precision
FigureInterval = tuple[float, float]


def precision_intervals(
    people: MatchedPeople, clusters: Sequence[Hashable], draws: int = PRECISION_DRAWS
) -> dict[str, FigureInterval] | None:
    """{'AP', 'AR': 95 % interval}, whole clusters drawn with replacement; None with fewer than two clusters, and
    where nobody is labelled.

    clusters: of each image of `people`, such as its trial. Raises `InputError` for another number of them.
    """
    index, count = _cluster_numbers(clusters, len(people.images))
    if count < 2:
        return None
    found = np.array([drawn_precision(people, drawn[index]) for drawn in drawn_counts(count, draws)])
    known = found[np.isfinite(found).all(1)]
    if not len(known):
        return None
    return {name: percentile_interval(values) for name, values in zip(("AP", "AR"), known.T, strict=True)}


def drawn_precision(people: MatchedPeople, times: np.ndarray) -> FigureInterval:
    """(AP, AR) with each image there so many times, (images,) whole numbers; NaN twice where nobody is labelled.

    As pycocotools has them: precision at 101 recalls, where it is the best at that recall or any above, and the recall
    of all that was found, both as means over the thresholds of OKS.
    """
    labels = int(times @ people.labels)
    if not labels:
        return float("nan"), float("nan")
    weight = times[people.image] * people.counted
    right, wrong = (np.cumsum(weight * hit, 1) for hit in (people.hit, ~people.hit))
    recall = right / labels
    precision = right / np.maximum(right + wrong, 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    best = np.concatenate([best, np.zeros((len(best), 1))], 1)  # recalls that are never reached
    read = [own[np.searchsorted(r, _RECALL_LEVELS)] for own, r in zip(best, recall, strict=True)]
    return float(np.mean(read)), float(recall[:, -1].mean()) if recall.size else 0.0


def pck_auc_interval(
    found: np.ndarray,
    labels: np.ndarray,
    size: np.ndarray,
    thresholds: tuple[float, ...],
    clusters: Sequence[Hashable],
    draws: int = PRECISION_DRAWS,
) -> FigureInterval | None:
    """95 % interval of `pck_auc`; None with fewer than two clusters. clusters: of each person. The rest as there."""
    index, count = _cluster_numbers(clusters, len(labels))
    if count < 2:
        return None
    hits, labelled = pck_hits(found, labels, size, thresholds)
    right, there = np.zeros((count, hits.shape[1])), np.zeros((count, hits.shape[1]))
    np.add.at(right, index, hits.mean(2))
    np.add.at(there, index, labelled)
    drawn = np.array(list(drawn_counts(count, draws)), float)
    with np.errstate(invalid="ignore"):
        shares = (drawn @ right) / (drawn @ there)
    known = np.isfinite(shares)
    kept = known.any(1)
    means = np.where(known, shares, 0).sum(1)[kept] / known.sum(1)[kept]
    return percentile_interval(means) if means.size else None


def _cluster_numbers(clusters: Sequence[Hashable], expected: int) -> tuple[np.ndarray, int]:
    """Number of each item's cluster, and how many clusters there are."""
    if len(clusters) != expected:
        raise InputError(f"{len(clusters)} clusters for {expected} items; give one for each.")
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in clusters], int), len(numbers)
