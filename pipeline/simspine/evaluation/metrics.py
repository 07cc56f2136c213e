"""Errors of points, angles and motion, how well their means are known, and scores of people in images.

Missing values (NaN) count nowhere.
"""

import contextlib
import io
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from simspine.core.arrays import mean_of_known
from simspine.core.errors import InputError, needing_extra
from simspine.core.geometry import rigid_fit, wrap_angles

NORMAL_90 = 1.6448536269514722  # standard deviations that hold 90 % of a normal distribution
MIN_MOVEMENT_RANGE = np.radians(3.0)  # least true range in a trial for a correlation with its motion to mean something
BOOTSTRAP_QUANTILES, BOOTSTRAP_DRAWS = (0.025, 0.975), 2000


def finite_values(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """All finite values of the arrays, (n,)."""
    flat = [np.ravel(array) for array in arrays]
    values = np.concatenate(flat) if flat else np.zeros(0)
    return values[np.isfinite(values)]


def mean_or_nan(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def rms_or_nan(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")


def scale_aligned(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The estimate (frames, points, 3) after the best scale per frame about the origin; NaN where there is none."""
    present = (np.isfinite(estimate).all(-1) & np.isfinite(reference).all(-1))[..., None]
    along = np.where(present, estimate * reference, 0).sum((1, 2), keepdims=True)
    size = np.where(present, estimate**2, 0).sum((1, 2), keepdims=True)
    return estimate * (along / np.where(size > 0, size, np.nan))


def similarity_aligned(estimate: np.ndarray, reference: np.ndarray, scaled: bool = True) -> np.ndarray:
    """The estimate (frames, points, 3) after the best similarity per frame onto the reference; NaN where none.

    Frames with fewer than three points in common have none. Umeyama 1991, no reflection. scaled: if False, without
    scale.
    """
    present = np.isfinite(estimate).all(-1) & np.isfinite(reference).all(-1)
    out = np.full(estimate.shape, np.nan)
    enough = present.sum(1) >= 3
    if not enough.any():
        return out
    present, source, target = present[enough, :, None], estimate[enough], reference[enough]
    count = present.sum(1, keepdims=True)
    source = source - np.where(present, source, 0).sum(1, keepdims=True) / count
    middle = np.where(present, target, 0).sum(1, keepdims=True) / count
    target = target - middle
    rotation, _ = rigid_fit(source, target)
    turned = source @ np.swapaxes(rotation, 1, 2)
    out[enough] = (scale_aligned(turned, target) if scaled else turned) + middle
    return out


def point_distances(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Distance of each point, (frames, points); NaN where either is missing."""
    return np.linalg.norm(estimate - reference, axis=-1)


def angle_figures(
    estimates: Sequence[np.ndarray], references: Sequence[np.ndarray], deviations: Sequence[np.ndarray] | None = None
) -> dict[str, float]:
    """Error figures of one angle over trials, rad. Arguments: lists of (frames,) rad, one per trial; NaN = missing.

    `rmse`; `bias`: mean error; `spread`: standard deviation of the error, all trials together; `change_rmse`: RMSE
    after subtracting each trial's mean error; `correlation`: mean over the trials whose true range is
    `MIN_MOVEMENT_RANGE` or more; `coverage`: share of errors within the 90 % interval of a normal distribution, NaN
    without deviations; `found`: share of the true values that have an estimate.
    """
    errors = [wrap_angles(a - b) for a, b in zip(estimates, references, strict=True)]
    pooled, changes = finite_values(errors), finite_values(map(errors_about_mean, errors))
    shares = [np.isfinite(e[np.isfinite(r)]) for e, r in zip(errors, references, strict=True)]
    moving = [_course_correlation(e, r) for e, r in zip(errors, references, strict=True)]
    inside = [] if deviations is None else [abs(e) / np.asarray(d) for e, d in zip(errors, deviations, strict=True)]
    return {
        "rmse": rms_or_nan(pooled),
        "bias": mean_or_nan(pooled),
        "spread": float(pooled.std()) if pooled.size else float("nan"),
        "change_rmse": rms_or_nan(changes),
        "correlation": mean_or_nan(finite_values([np.array(moving)])),
        "coverage": mean_or_nan(finite_values(inside) <= NORMAL_90),
        "found": mean_or_nan(np.concatenate(shares)) if shares else float("nan"),
    }


def errors_about_mean(values: np.ndarray) -> np.ndarray:
    """Values (frames, …) minus their mean over the frames that are known."""
    return values - mean_of_known(values, 0)


def _course_correlation(error: np.ndarray, reference: np.ndarray) -> float:
    """Correlation of an estimate with its reference over a trial; NaN where either is at rest."""
    known = np.isfinite(error)
    true = reference[known]
    estimate = true + error[known]
    if len(true) < 3 or np.ptp(true) < MIN_MOVEMENT_RANGE or np.ptp(estimate) < 1e-9:
        return float("nan")
    return float(np.corrcoef(estimate, true)[0, 1])


# Intervals of means whose values come in clusters. Frames of one person err alike: how well a mean is known depends on
# the number of people, not of frames. So whole clusters are drawn with replacement.


def bootstrap_mean(
    values: Sequence[float] | np.ndarray,
    clusters: Sequence[Hashable],
    weights: Sequence[float] | np.ndarray | None = None,
) -> tuple[float, float]:
    """95 % percentile interval of the mean of `values` (n,), clusters drawn with replacement; NaN left out.

    clusters: (n,) labels, such as the subject of each value. weights: (n,) ≥ 0, such as the number of
    frames that each value is the mean of; 1 each by default. With one cluster there is no interval: NaN twice. With
    two it spans from one cluster's mean to the other's, and says no more than that.
    """
    values = np.asarray(values, float)
    weight = np.ones(values.shape) if weights is None else np.asarray(weights, float)
    if values.shape != (len(clusters),) or weight.shape != values.shape:
        raise InputError(
            f"{values.shape} values, {weight.shape} weights for {len(clusters)} clusters; give a label for each value."
        )
    names, index = np.unique([str(label) for label in clusters], return_inverse=True)
    known = np.isfinite(values) & (weight > 0)
    sums = np.bincount(index[known], weight[known] * values[known], len(names))
    counts = np.bincount(index[known], weight[known], len(names))
    sums, counts = sums[counts > 0], counts[counts > 0]
    if len(counts) < 2:
        return float("nan"), float("nan")
    chosen = np.random.default_rng(0).integers(len(counts), size=(BOOTSTRAP_DRAWS, len(counts)))
    low, high = np.quantile(sums[chosen].sum(1) / counts[chosen].sum(1), BOOTSTRAP_QUANTILES)
    return float(low), float(high)


# Points of people in images (px) compared with labels, as shares: OKS, PCK, and average precision by pycocotools.


# Thresholds of the area under the PCK curve. The papers do not state them; MMPose's default is the first set.
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
    distance = np.linalg.norm(found - labels[..., :2], axis=-1) / np.asarray(size, float)[:, None]
    labelled = labels[..., 2] > 0
    count = labelled.sum(0)
    return (labelled & (distance < threshold)).sum(0) / np.where(count > 0, count, np.nan)


def pck_auc(found: np.ndarray, labels: np.ndarray, size: np.ndarray, thresholds: tuple[float, ...]) -> float:
    """Mean over the thresholds of the mean over the points of `correct_keypoint_share`: MMPose's area under the
    curve."""
    shares = np.stack([correct_keypoint_share(found, labels, size, threshold) for threshold in thresholds])
    known = np.isfinite(shares).all(0)
    return float(shares[:, known].mean()) if known.any() else float("nan")


# In pycocotools' order.
PRECISION_FIGURES = tuple(f"{kind}{case}" for kind in ("AP", "AR") for case in ("", ".5", ".75", "(M)", "(L)"))
MISSING_POINT_PX = -1e6  # px, coordinates written for a point that was not found


@dataclass(frozen=True)
class ImagePeople:
    """People in images, labelled or found. Pixels.

    image: (people,) labels of images. keypoints: (people, points, 3): x, y and, labelled, v (0 none, 1 hidden, 2
    visible), or found, the confidence. box: (people, 4) left, top, width, height. area: (people,) px². score: (people,)
    of found people, what they are ranked by. crowd: (people,) bool, labels of many at once, which are ignored.
    size: (people, 2) width, height of the image by its labels.
    """

    image: tuple[str, ...]
    keypoints: np.ndarray
    box: np.ndarray
    area: np.ndarray
    score: np.ndarray
    crowd: np.ndarray
    size: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))

    def __post_init__(self):
        people, points = len(self.image), np.shape(self.keypoints)[1] if np.ndim(self.keypoints) == 3 else -1
        shapes = {"keypoints": (people, points, 3), "box": (people, 4)}
        for name in ("keypoints", "box", "area", "score", "crowd"):
            array, wanted = np.asarray(getattr(self, name)), shapes.get(name, (people,))
            if array.shape != wanted:
                raise InputError(f"people in images: {name} has shape {array.shape}, expected {wanted}.")
            object.__setattr__(self, name, array)

    def select(self, points: Sequence[int]) -> "ImagePeople":
        """The people with only these points, by index."""
        return replace(self, keypoints=self.keypoints[:, list(points)])


def average_precision(
    labels: ImagePeople, found: ImagePeople, sigmas: Sequence[float] | np.ndarray
) -> dict[str, float]:
    """`PRECISION_FIGURES`, each a share; NaN where no label is of that size. Images without labels are ignored.

    sigmas: (points,). Medium: areas of 32² to 96² px, large: above. Of each image the 20 best people count. A label
    without a labelled point is ignored. Found people in images that the labels lack are left out.
    """
    numbers = {image: i for i, image in enumerate(dict.fromkeys(labels.image), 1)}
    results = _coco_results(found, numbers)
    if not results:
        raise InputError("nobody was found in any image that has labels; do the names of the images agree?")
    with needing_extra("average precision", "benchmark"):
        from pycocotools import coco, cocoeval
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints each of its steps
        truth = coco.COCO()
        truth.dataset = _coco_dataset(labels, numbers)
        truth.createIndex()
        loaded = truth.loadRes(results)
        for entry in loaded.anns.values():  # the area of the box, in which pycocotools includes `MISSING_POINT_PX`
            places = np.reshape(entry["keypoints"], (-1, 3))[:, :2]
            places = places[(places != MISSING_POINT_PX).all(1)]
            entry["area"] = float(np.prod(np.ptp(places, axis=0))) if len(places) else 0.0
        run = cocoeval.COCOeval(truth, loaded, "keypoints")
        run.params.kpt_oks_sigmas = np.asarray(sigmas, float)
        for step in (run.evaluate, run.accumulate, run.summarize):
            step()
    return {name: float(v) if v >= 0 else float("nan") for name, v in zip(PRECISION_FIGURES, run.stats, strict=True)}


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
    """x, y, v of all points in one list; unknown positions are moved far outside, where they match nothing."""
    known = np.isfinite(keypoints[:, :2]).all(1)
    return np.where(known[:, None], np.nan_to_num(keypoints), [MISSING_POINT_PX, MISSING_POINT_PX, 0]).ravel().tolist()
