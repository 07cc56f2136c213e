"""Average precision and recall over OKS, by pycocotools, which defines them (extra `benchmark`)."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from simspine.errors import InputError

FIGURES = ("AP", "AP.5", "AP.75", "AP(M)", "AP(L)", "AR", "AR.5", "AR.75", "AR(M)", "AR(L)")  # pycocotools' order
NOWHERE = -1e6  # px, in the place of a point that was not found


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
        return ImagePeople(self.image, self.keypoints[:, list(points)], self.box, self.area, self.score, self.crowd)


@dataclass(frozen=True, eq=False)
class MatchedPeople:
    """People found, matched with those labelled, of all sizes: what average precision is computed from.

    figures: `FIGURES`, each a share; NaN where no label is of that size. images: names of the images with labels;
    labels: (images,) how many people count in each. Of the people found, by falling score: image: (found,) index of the
    image; hit, counted: (thresholds, found) bool, matched with a label at that OKS, and not ignored.
    """

    figures: dict[str, float]
    images: tuple[str, ...]
    labels: np.ndarray
    image: np.ndarray
    hit: np.ndarray
    counted: np.ndarray


def average_precision(
    labels: ImagePeople, found: ImagePeople, sigmas: Sequence[float] | np.ndarray
) -> dict[str, float]:
    """The figures of `matched_people`."""
    return matched_people(labels, found, sigmas).figures


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
    results = _results(found, numbers)
    if not results:
        raise InputError("nobody was found in any image that has labels; do the names of the images agree?")
    coco, evaluation = _pycocotools("coco"), _pycocotools("cocoeval")
    with contextlib.redirect_stdout(io.StringIO()):  # it reports each of its steps
        truth = coco.COCO()
        truth.dataset = _dataset(labels, numbers)
        truth.createIndex()
        loaded = truth.loadRes(results)
        for entry in loaded.anns.values():  # it would count places that are not known
            entry["area"] = _extent(entry["keypoints"])
        run = evaluation.COCOeval(truth, loaded, "keypoints")
        run.params.kpt_oks_sigmas = np.asarray(sigmas, float)
        for step in (run.evaluate, run.accumulate, run.summarize):
            step()
    figures = {name: float(v) if v >= 0 else float("nan") for name, v in zip(FIGURES, run.stats, strict=True)}
    return _matched(figures, tuple(numbers), run.evalImgs[: len(numbers)])


def _matched(figures: dict[str, float], images: tuple[str, ...], whole: Sequence[Any]) -> MatchedPeople:
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


def _dataset(labels: ImagePeople, numbers: Mapping[str, int]) -> dict[str, Any]:
    annotations = [
        {
            "id": i + 1, "image_id": numbers[image], "category_id": 1, "iscrowd": int(labels.crowd[i]),
            "area": float(labels.area[i]), "bbox": labels.box[i].tolist(), "keypoints": _flat(labels.keypoints[i]),
            "num_keypoints": int((labels.keypoints[i, :, 2] > 0).sum()),
        }
        for i, image in enumerate(labels.image)
    ]  # fmt: skip
    images = [{"id": number} for number in numbers.values()]
    return {"info": {}, "images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}


def _results(found: ImagePeople, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": numbers[image], "category_id": 1, "score": float(found.score[i]),
            "keypoints": _flat(found.keypoints[i]),
        }
        for i, image in enumerate(found.image)
        if image in numbers
    ]  # fmt: skip


def _flat(keypoints: np.ndarray) -> list[float]:
    """x, y, v one after another; a place that is not known becomes one far outside, which matches nothing."""
    known = np.isfinite(keypoints[:, :2]).all(1)
    return np.where(known[:, None], np.nan_to_num(keypoints), [NOWHERE, NOWHERE, 0]).ravel().tolist()


def _extent(flat: Sequence[float]) -> float:
    """Area of the box around the known places, px²; 0 for none."""
    places = np.reshape(flat, (-1, 3))[:, :2]
    places = places[(places != NOWHERE).all(1)]
    return float(np.prod(np.ptp(places, axis=0))) if len(places) else 0.0


def _pycocotools(part: str) -> ModuleType:
    try:
        return import_module(f"pycocotools.{part}")
    except ImportError:
        raise InputError(
            "average precision needs the package pycocotools, which is not installed. Install simspine[benchmark]."
        ) from None
