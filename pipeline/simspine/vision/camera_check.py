"""Whether each camera agrees with the others about what they saw: signed, per camera, with standard deviations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from simspine.core.arrays import evenly_spread
from simspine.core.errors import InputError
from simspine.core.skeletons import without_skin_markers
from simspine.core.types import Camera, Keypoints
from simspine.vision.bundle_adjustment import (
    GEOMETRY_PARAMETERS,
    CameraPrior,
    LinearisedResiduals,
    linearised_residuals,
)
from simspine.vision.camera_refine import Refined, refine_cameras, sample_frames_seen
from simspine.vision.side_swaps import exchange_sides, mirror_indices
from simspine.vision.triangulation import triangulate_with_report

FRAMES_BETWEEN_RECORDINGS = 10  # frames without points between two recordings, so that nothing moves across


def join_recordings(recordings: Sequence[Keypoints]) -> Keypoints:
    """Recordings of the same views and points as one, with frames without points between them.

    Markers on the skin are left out: not every recording has them, and they are to test what comes of it.
    """
    names = without_skin_markers(recordings[0].names)
    first = recordings[0].select(names)
    xy, confidence = [], []
    for keypoints in recordings:
        same = keypoints.select(names)
        shape = (FRAMES_BETWEEN_RECORDINGS, *same.xy.shape[1:])
        xy += [same.xy, np.full(shape, np.nan)]
        confidence += [same.confidence, np.zeros(shape[:-1])]
    return first.with_(xy=np.concatenate(xy[:-1]), confidence=np.concatenate(confidence[:-1]))


def same_rig(a: Sequence[Camera], b: Sequence[Camera]) -> bool:
    """Whether two recordings were calibrated alike."""
    fields = ("K", "distortion", "R", "t")
    return len(a) == len(b) and all(
        (x.name, x.lens, x.distortion.shape) == (y.name, y.lens, y.distortion.shape)
        and all(np.allclose(getattr(x, field), getattr(y, field)) for field in fields)
        for x, y in zip(a, b, strict=True)
    )


def select_views(keypoints: Keypoints, views: Sequence[int]) -> Keypoints:
    """What some of the views saw."""
    chosen = list(views)
    return keypoints.with_(xy=keypoints.xy[:, chosen], confidence=keypoints.confidence[:, chosen])


# Two views of one point: how far they are from agreeing.


def epipolar_distances_px(a: Camera, b: Camera, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(...) px, signed: Sampson distances of normalised points (..., 2) in both views, as long as in an image of
    either (Hartley, Zisserman 2004, section 11.4.3)."""
    R = b.R @ a.R.T
    x, y, z = b.t - R @ a.t
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ R
    first, second = (np.concatenate([p, np.ones((*p.shape[:-1], 1))], -1) for p in (first, second))
    line_b, line_a = first @ essential.T, second @ essential
    slope = np.sqrt((line_b[..., :2] ** 2).sum(-1) + (line_a[..., :2] ** 2).sum(-1))
    return float(np.sqrt(a.K[0, 0] * b.K[0, 0])) * ((second * line_b).sum(-1) / slope)


# How a camera's image differs from where chosen other cameras put the points: shift, turn, growth.


IMAGE_ERROR_QUANTITIES = ("shift_x_px", "shift_y_px", "roll", "scale", "late", "drift")
MIN_RELATIVE_EIGENVALUE = 1e-6  # of the largest: directions of a point with less than this are unknown


@dataclass(frozen=True)
class ImageErrors:
    """What a refinement says of the given cameras' images. The world's frame and scale, which nobody can see, drop out:
    a motion of all cameras together moves the points with it."""

    refined: Refined

    def errors_relative_to(self, view: int, others: Sequence[int]) -> tuple[dict[str, float], dict[str, float]]:
        """`IMAGE_ERROR_QUANTITIES` of a view, and standard deviations: how its image differs from where `others`, as
        calibrated, put the points. The clock's are relative to the first view, whoever the others are.

        Raises `InputError` where the view shares fewer than two points with them.
        """
        refined = self.refined
        seen = self._shared_with(view, others)
        basis, scale = _image_field_basis(refined.seen.xy[:, view][seen])
        fit = (np.linalg.pinv(basis) / scale[:, None]).reshape(len(scale), -1, 2)
        by_parameter = self._fields_by_parameters(view, others, fit, seen)
        spread = np.sqrt(np.diag(by_parameter @ refined.adjustment.covariance @ by_parameter.T))
        clock = slice(GEOMETRY_PARAMETERS, None)
        values = np.r_[by_parameter @ refined.change.ravel(), refined.change[view, clock]]
        spread = np.r_[spread, refined.deviation[view, clock]]
        return dict(zip(IMAGE_ERROR_QUANTITIES, values.tolist(), strict=True)), dict(
            zip(IMAGE_ERROR_QUANTITIES, spread.tolist(), strict=True)
        )

    def _shared_with(self, view: int, others: Sequence[int]) -> np.ndarray:
        """(frames, points) bool: what a view saw that two of the others saw as well, or, where there is less than that,
        one of them."""
        there = self._there
        seen = there[:, view] & (there[:, others].sum(1) >= 2)
        return seen if seen.sum() >= 2 else there[:, view] & there[:, others].any(1)

    def _fields_by_parameters(self, view: int, others: Sequence[int], fit: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Derivatives (fields, views · parameters) of image fields by the cameras' parameters, where the points follow
        the others. fit: (fields, points seen, 2), from the image's errors to the fields."""
        _, by_camera, by_point = self._slopes
        normal = sum(self._normal[other][seen] for other in others)
        onto = np.einsum("qnx,nxi->qni", fit, by_point[:, view][seen])
        pull = np.einsum("qni,nij->qnj", onto, np.linalg.pinv(normal, rcond=MIN_RELATIVE_EIGENVALUE, hermitian=True))
        by = np.zeros((len(fit), *self.refined.change.shape))
        by[:, view] = np.einsum("qnx,nxk->qk", fit, by_camera[:, view][seen])
        for other in others:
            slope = np.where(self._there[:, other][seen][:, None, None], by_point[:, other][seen], 0.0)
            by[:, other] -= np.einsum("qnj,nxj,nxk->qk", pull, slope, by_camera[:, other][seen], optimize=True)
        return by.reshape(len(fit), -1)

    @cached_property
    def _there(self) -> np.ndarray:
        """(frames, views, points) bool: what counted."""
        refined = self.refined
        return np.isfinite(refined.seen.xy).all(-1) & np.isfinite(refined.adjustment.xyz).all(-1)[:, None]

    @cached_property
    def _slopes(self) -> LinearisedResiduals:
        """Derivatives of what each given camera shows, by its parameters and by the points."""
        refined, still = self.refined, np.zeros_like(self.refined.change)
        xyz = np.nan_to_num(refined.adjustment.xyz)
        return linearised_residuals(
            refined.seen, refined.original_cameras, still, xyz=xyz, deviation=np.ones_like(still)
        )

    @cached_property
    def _normal(self) -> list[np.ndarray]:
        """Of each view, (frames, points, 3, 3): what it tells of each point."""
        slopes = self._slopes.by_point
        return [
            np.einsum("fpxi,fpxj->fpij", slopes[:, view], slopes[:, view]) * self._there[:, view, :, None, None]
            for view in range(slopes.shape[1])
        ]


def _image_field_basis(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image fields (2 n, 4) at points (n, 2) px: shift right, shift down, turn, growth about their middle."""
    if len(points) < 2:
        raise InputError("a camera saw too few points to be checked.")
    x, y = (points - points.mean(0)).T
    size = max(float(np.hypot(x, y).mean()), 1.0)
    one, none = np.ones_like(x), np.zeros_like(x)
    fields = [(one, none), (none, one), (-y / size, x / size), (x / size, y / size)]
    return np.stack([np.stack(field, -1).ravel() for field in fields], 1), np.array([1.0, 1.0, size, size])


# Views that are mixed up: another reading of the images under which what they saw agrees.


MIX_UP_FRAMES = 40  # frames on which mixed-up views are looked for
MIX_UP_IMAGE_SHARE = 0.03  # of the longer image side: an observation further off does not agree
# Either so many more of the observations of the views concerned agree with the other reading, or so little of their
# errors remains: of people who stand in the middle other readings nearly fit.
MIN_MIX_UP_GAIN, MAX_REMAINING_ERROR_SHARE = 0.3, 0.4
MIX_UP_CLOSE_PX = 5.0  # views with smaller errors are not mixed up
MIN_MIX_UP_AGREEMENT = 0.6  # share of them that must agree then
MIN_MIX_UP_OBSERVATIONS = 20  # observations of the views concerned
IMAGE_SIZE_RATIOS = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 4 / 3, 3 / 2, 2.0, 3.0, 4.0)  # between usual sizes of videos
UNIT_RATIOS = (0.3048, 1 / 0.3048)  # one camera in feet, or all others; inches and the like are refused on reading


@dataclass(frozen=True)
class MixUp:
    """Another reading of the views under which more of what they saw agrees.

    kind: 'mirrored' (images exchanged left with right), 'turned' (upside down), 'turned_left' or 'turned_right' (by a
    quarter), 'scaled' (points of images `size_ratio` times as large as those calibrated), 'exchanged' (two views
    belong to one another's camera), 'transposed' (a camera's rotation) or 'unit' (its translation is `size_ratio` times
    as long as the others'). used, used_if_exchanged: share of the observations of these views that agree with the
    others, as given and so.
    """

    kind: str
    views: tuple[str, ...]
    used: float
    used_if_exchanged: float
    size_ratio: float = 1.0


def find_mix_ups(keypoints: Keypoints, cameras: Sequence[Camera], min_confidence: float = 0.3) -> list[MixUp]:
    """Readings of the views under which much more agrees. Best first.

    keypoints: of one person, in the cameras' order. Only the views concerned count: the others agree or do not, and a
    view of which little is left since nothing in it fitted weighs little among them.
    """
    rows = evenly_spread(keypoints.frames, MIX_UP_FRAMES)
    some = keypoints.with_(xy=keypoints.xy[rows], confidence=keypoints.confidence[rows])

    def fit(read: Keypoints, cameras: Sequence[Camera]) -> _Agreement:
        limit = MIX_UP_IMAGE_SHARE * max(max(camera.size) for camera in cameras)
        report = triangulate_with_report(read, cameras, min_confidence=min_confidence, max_error_px=limit)[1]
        seen = read.confidence >= min_confidence
        return _Agreement(report.used & seen, seen, np.where(np.isfinite(report.error_px), report.error_px, np.inf))

    given, found = fit(some, cameras), []
    for kind, views, read, seen_by, size_ratio in _other_readings(some, cameras):
        before, error = given.of(views)
        if given.seen[:, views].sum() < MIN_MIX_UP_OBSERVATIONS or (
            before > 1 - MIN_MIX_UP_GAIN and error < MIX_UP_CLOSE_PX
        ):
            continue
        after, error_then = (then := fit(read, seen_by)).of(views)
        better = after > before + MIN_MIX_UP_GAIN or error_then < MAX_REMAINING_ERROR_SHARE * error
        if better and after > MIN_MIX_UP_AGREEMENT and then.used.sum() >= given.used.sum():
            names = tuple(cameras[view].name for view in views)
            found.append((error_then, MixUp(kind, names, before, after, size_ratio=size_ratio)))
    return [mix for _, mix in sorted(found, key=lambda entry: entry[0])]


@dataclass(frozen=True)
class _Agreement:
    """used, seen: (frames, views, points) bool, observations that agree and that there are. error: of each, px."""

    used: np.ndarray
    seen: np.ndarray
    error: np.ndarray

    def of(self, views: Sequence[int]) -> tuple[float, float]:
        """Share of the observations of these views that agree, and the median of their errors."""
        seen = self.seen[:, views]
        if not seen.any():
            return 0.0, np.inf
        return float(self.used[:, views].sum() / seen.sum()), float(np.median(self.error[:, views][seen]))


def _other_readings(
    some: Keypoints, cameras: Sequence[Camera]
) -> Iterator[tuple[str, tuple[int, ...], Keypoints, Sequence[Camera], float]]:
    """Each other reading of the views: kind, views concerned, what would have been seen, by which cameras, and the
    ratio of sizes."""
    for views in [(view,) for view in range(len(cameras))] + [tuple(range(len(cameras)))]:
        for kind in ("mirrored", "turned", "turned_left", "turned_right"):
            swapped = np.zeros(some.confidence.shape, bool)
            swapped[:, list(views)] = kind == "mirrored"  # a detector takes a mirrored person's left for their right
            other = exchange_sides(some, swapped)
            xy = other.xy.copy()
            for view in views:
                xy[:, view] = _turned_back(xy[:, view], kind, cameras[view].size)
            yield kind, views, other.with_(xy=xy), cameras, 1.0
        for size_ratio in IMAGE_SIZE_RATIOS:
            xy = some.xy.copy()
            xy[:, list(views)] /= size_ratio
            yield "scaled", views, some.with_(xy=xy), cameras, size_ratio
    for a, b in combinations(range(len(cameras)), 2):
        order = list(range(len(cameras)))
        order[a], order[b] = b, a
        yield "exchanged", (a, b), select_views(some, order), cameras, 1.0
    for view, camera in enumerate(cameras):
        inverse = camera.R.T
        read = [("transposed", camera.with_(R=inverse, t=t), 1.0) for t in (camera.t, -inverse @ camera.centre)]
        read += [("unit", camera.with_(t=camera.t / ratio), ratio) for ratio in UNIT_RATIOS]
        for kind, changed, ratio in read:
            yield kind, (view,), some, [*cameras[:view], changed, *cameras[view + 1 :]], ratio


def _turned_back(xy: np.ndarray, kind: str, size: tuple[int, int]) -> np.ndarray:
    """Where points (..., 2) px of an image that was turned or mirrored were in the image that the camera took."""
    x, y = xy[..., 0], xy[..., 1]
    width, height = size
    back = {
        "mirrored": (width - 1 - x, y),
        "turned": (width - 1 - x, height - 1 - y),
        "turned_left": (width - 1 - y, x),
    }
    return np.stack(back.get(kind, (y, height - 1 - x)), -1)


# Wide enough for a calibration that belongs to the set-up but is off; a camera that was moved shows at its limits.
UNTRUSTED_CAMERA_PRIOR = CameraPrior(
    rotation=np.radians(2.0), position=0.05, focal=0.03, centre_px=20.0, time=3.0, drift=1.0
)
SURE_DISAGREEMENT_SD = 3.0  # standard deviations from which a camera's disagreement is no accident of the detections
CLEAR_AGREEMENT_RATIO = 0.7  # a camera is set aside where the others then agree this much better than without any other
MIN_JUDGING_VIEWS = 2  # cameras that must be left to judge one another


@dataclass(frozen=True)
class CameraCheck:
    """One camera compared with others.

    Attributes
    ----------
    camera : str
    value, deviation : {str: float}
        By quantity, with standard deviation: how far right and down the camera shows things, px; turned clockwise, rad;
        too large, relative; how many frames late compared with the first camera, and how many later from first to last
        frame.
    judging_views : tuple of str
        The cameras that it is compared with, without those that disagree with all.
    error_px : float
        Median of its reprojection errors, px.
    used_observations : float
        Share of its observations that agree with the others.
    swapped : float
        Share with left and right exchanged, of the observations of points that have a side.
    """

    camera: str
    value: dict[str, float]
    deviation: dict[str, float]
    judging_views: tuple[str, ...]
    error_px: float
    used_observations: float
    swapped: float


@dataclass(frozen=True)
class CameraChecks:
    """How the cameras of a recording agree.

    Attributes
    ----------
    checks : tuple of CameraCheck
        One per camera, in their order; none where views are mixed up.
    mixed_up : tuple of MixUp
        Views that are mirrored, turned or exchanged, likeliest first; nothing else can be said then.
    refinement : Refined or None
        The cameras as they agree best, from which the checks are read; None where views are mixed up.
    """

    checks: tuple[CameraCheck, ...]
    mixed_up: tuple[MixUp, ...]
    refinement: Refined | None


def check_cameras(
    keypoints: Keypoints,
    cameras: Sequence[Camera],
    min_confidence: float = 0.3,
    tolerated: Mapping[str, float] | None = None,
) -> CameraChecks:
    """How each camera disagrees with the others, and whether views are mixed up.

    Parameters
    ----------
    keypoints : Keypoints
        Of one person, in the cameras' order and SIMSPINE names.
    cameras : sequence of Camera
    min_confidence : float
        Detected points below it are not used.
    tolerated : {str: float}, optional
        By quantity, errors that are no fault. A camera without which the others agree is set aside, so that its error
        does not count as theirs.

    Returns
    -------
    CameraChecks

    Raises
    ------
    InputError
        For fewer than two views, and for a view that saw too little.
    """
    if mixed := find_mix_ups(keypoints, cameras, min_confidence):
        return CameraChecks((), tuple(mixed), None)
    refined = refine_cameras(keypoints, cameras, UNTRUSTED_CAMERA_PRIOR, min_confidence)
    report = sample_frames_seen(keypoints, min_confidence).triangulated(cameras)[1]
    images = ImageErrors(refined)
    agreeing = _agreeing_views(images, len(cameras), tolerated or {})
    checks, mirrors = [], mirror_indices(report.names)
    paired = mirrors != np.arange(len(mirrors))
    for view, camera in enumerate(cameras):
        judges = [other for other in agreeing if other != view]
        value, deviation = images.errors_relative_to(view, judges)
        errors = report.error_px[:, view]
        there = np.isfinite(errors)
        count = max(int(there.sum()), 1)
        checks.append(
            CameraCheck(
                camera=camera.name,
                value=value,
                deviation=deviation,
                judging_views=tuple(cameras[other].name for other in judges),
                error_px=float(np.median(errors[there])) if there.any() else float("nan"),
                used_observations=float(report.used[:, view].sum() / count),
                swapped=float((report.swapped[:, view] & there).sum() / max(int(there[:, paired].sum()), 1)),
            )
        )
    return CameraChecks(tuple(checks), (), refined)


def _agreeing_views(images: ImageErrors, views: int, tolerated: Mapping[str, float]) -> list[int]:
    """Views that judge: all, less those without which the rest agrees clearly better than without any other."""
    left = list(range(views))
    while len(left) > MIN_JUDGING_VIEWS and _largest_disagreement(images, left, tolerated) > 1:
        without = [[other for other in left if other != view] for view in left]
        scores = [_largest_disagreement(images, rest, tolerated) for rest in without]
        best, second = np.argsort(scores)[:2]
        if scores[second] <= 1 or scores[best] > CLEAR_AGREEMENT_RATIO * scores[second]:
            break
        left = without[best]
    return left


def _largest_disagreement(images: ImageErrors, views: Sequence[int], tolerated: Mapping[str, float]) -> float:
    """The largest error of these views, each compared with the others of them; 1: just a fault."""
    worst = 0.0
    for view in views:
        value, deviation = images.errors_relative_to(view, [other for other in views if other != view])
        for quantity in ("shift_x_px", "shift_y_px", "roll", "scale"):
            limit = max(tolerated.get(quantity, 0.0), SURE_DISAGREEMENT_SD * deviation[quantity], 1e-12)
            worst = max(worst, abs(value[quantity]) / limit)
    return worst
