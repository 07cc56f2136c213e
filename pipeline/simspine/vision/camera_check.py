"""Errors of each camera compared with the others: signed, with standard deviations; and views that are mixed up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import combinations

import numpy as np
import scipy

from simspine.core.arrays import evenly_spread
from simspine.core.errors import InputError
from simspine.core.geometry import undistort_pixels
from simspine.core.skeletons import without_skin_markers
from simspine.core.types import Camera, Keypoints
from simspine.vision import bundle_adjustment
from simspine.vision.camera_refine import Refined, refine_cameras, sample_frames_seen
from simspine.vision.side_swaps import exchange_sides, mirror_indices
from simspine.vision.triangulation import triangulate_with_report

FRAMES_BETWEEN_RECORDINGS = 10  # frames without points between two recordings, so that nothing moves across


def join_recordings(recordings: Sequence[Keypoints]) -> Keypoints:
    """Recordings of the same views and points as one, with frames without points between them.

    Skin markers are left out: not every recording has them, and they serve to test the result.
    """
    names = without_skin_markers(recordings[0].names)
    first = recordings[0].select(names)
    frames = sum(keypoints.frames + FRAMES_BETWEEN_RECORDINGS for keypoints in recordings) - FRAMES_BETWEEN_RECORDINGS
    xy = np.full((frames, *first.xy.shape[1:]), np.nan)
    confidence = np.zeros(xy.shape[:-1])
    start = 0
    for keypoints in recordings:
        selected = keypoints.select(names)
        rows = slice(start, start + keypoints.frames)
        xy[rows], confidence[rows] = selected.xy, selected.confidence
        start = rows.stop + FRAMES_BETWEEN_RECORDINGS
    for array in (xy, confidence):
        array.setflags(write=False)  # need not be copied
    return first.with_(xy=xy, confidence=confidence)


def same_rig(a: Sequence[Camera], b: Sequence[Camera]) -> bool:
    fields = ("K", "distortion", "R", "t")
    return len(a) == len(b) and all(
        (x.name, x.lens, x.distortion.shape) == (y.name, y.lens, y.distortion.shape)
        and all(np.allclose(getattr(x, field), getattr(y, field)) for field in fields)
        for x, y in zip(a, b, strict=True)
    )


def select_views(keypoints: Keypoints, views: Sequence[int]) -> Keypoints:
    if list(views) == list(range(keypoints.views)):
        return keypoints  # recordings may be large
    return keypoints.with_(xy=keypoints.xy[:, list(views)], confidence=keypoints.confidence[:, list(views)])


def epipolar_distances_px(a: Camera, b: Camera, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Signed Sampson distances (...) px of normalised points (..., 2) in both views, scaled by the geometric mean of
    both focal lengths (Hartley, Zisserman 2004, section 11.4.3)."""
    R = b.R @ a.R.T
    x, y, z = b.t - R @ a.t
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ R
    first, second = (np.concatenate([p, np.ones((*p.shape[:-1], 1))], -1) for p in (first, second))
    line_b, line_a = first @ essential.T, second @ essential
    slope = np.sqrt((line_b[..., :2] ** 2).sum(-1) + (line_a[..., :2] ** 2).sum(-1))
    return float(np.sqrt(a.K[0, 0] * b.K[0, 0])) * ((second * line_b).sum(-1) / slope)


IMAGE_ERROR_QUANTITIES = ("shift_x_px", "shift_y_px", "roll", "scale", "late", "drift")
MIN_RELATIVE_EIGENVALUE = 1e-6  # of the largest: a point's directions with a smaller eigenvalue are unknown


@dataclass(frozen=True)
class ImageErrors:
    """Errors of the given cameras' images by a refinement. They do not depend on the world's frame and scale, which no
    image shows: a motion of all cameras together moves the points with it."""

    refined: Refined

    def errors_relative_to(self, view: int, others: Sequence[int]) -> tuple[dict[str, float], dict[str, float]]:
        """`IMAGE_ERROR_QUANTITIES` of a view and their standard deviations: differences of its image from the points by
        `others`, as calibrated. Errors of the clock are relative to the first view, whatever `others` are.

        Raises `InputError` where the view shares fewer than two points with the others.
        """
        refined = self.refined
        seen = self._seen_with(view, others)
        basis, scale = _image_field_basis(refined.seen.xy[:, view][seen])
        fit = (np.linalg.pinv(basis) / scale[:, None]).reshape(len(scale), -1, 2)
        by_parameter = self._fields_by_parameters(view, others, fit, seen)
        deviations = np.sqrt(np.diag(by_parameter @ refined.adjustment.covariance @ by_parameter.T))
        clock = slice(bundle_adjustment.GEOMETRY_PARAMETERS, None)
        values = np.r_[by_parameter @ refined.change.ravel(), refined.change[view, clock]]
        deviations = np.r_[deviations, refined.deviation[view, clock]]
        found, sd = (dict(zip(IMAGE_ERROR_QUANTITIES, each.tolist(), strict=True)) for each in (values, deviations))
        return found, sd

    def _seen_with(self, view: int, others: Sequence[int]) -> np.ndarray:
        """(frames, points) bool: points that the view and at least two of the others saw; if these are fewer than two,
        points that the view and at least one of the others saw."""
        used = self._used
        seen = used[:, view] & (used[:, others].sum(1) >= 2)
        return seen if seen.sum() >= 2 else used[:, view] & used[:, others].any(1)

    def _fields_by_parameters(self, view: int, others: Sequence[int], fit: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Derivatives (fields, views · parameters) of image fields by the cameras' parameters, if the others determine
        the points. fit: (fields, points seen, 2), from the image's errors to the fields."""
        _, by_camera, by_point = (np.moveaxis(each, 1, 2)[seen] for each in self._slopes)
        used = np.where(np.moveaxis(self._used, 1, 2)[seen][..., None, None], by_point, 0.0)
        normal = np.einsum("nvxi,nvxj->nij", used[:, others], used[:, others])
        by_xyz = np.einsum("qnx,nxi->qni", fit, by_point[:, view])
        gain = np.einsum("qni,nij->qnj", by_xyz, np.linalg.pinv(normal, rcond=MIN_RELATIVE_EIGENVALUE, hermitian=True))
        derivatives = np.zeros((len(fit), *self.refined.change.shape))
        derivatives[:, view] = np.einsum("qnx,nxk->qk", fit, by_camera[:, view])
        for other in others:
            moved = np.einsum("qnj,nxj,nxk->qk", gain, used[:, other], by_camera[:, other], optimize=True)
            derivatives[:, other] -= moved
        return derivatives.reshape(len(fit), -1)

    @cached_property
    def _used(self) -> np.ndarray:
        """(frames, views, points) bool: observations that the refinement used."""
        refined = self.refined
        return np.isfinite(refined.seen.xy).all(-1) & np.isfinite(refined.adjustment.xyz).all(-1)[:, None]

    @cached_property
    def _slopes(self) -> bundle_adjustment.LinearisedResiduals:
        """Derivatives of the points in each given camera's image by its parameters and by the points in space."""
        refined, no_change = self.refined, np.zeros_like(self.refined.change)
        xyz = np.nan_to_num(refined.adjustment.xyz)
        return bundle_adjustment.linearised_residuals(
            refined.seen, refined.original_cameras, no_change, xyz=xyz, deviation=np.ones_like(no_change)
        )


def _image_field_basis(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image fields (2 n, 4) at points (n, 2) px: shift right, shift down, turn and scale about their mean; units."""
    if len(points) < 2:
        raise InputError("a camera saw too few points to be checked.")
    x, y = (points - points.mean(0)).T
    size = max(float(np.hypot(x, y).mean()), 1.0)
    one, none = np.ones_like(x), np.zeros_like(x)
    fields = [(one, none), (none, one), (-y / size, x / size), (x / size, y / size)]
    return np.stack([np.stack(field, -1).ravel() for field in fields], 1), np.array([1.0, 1.0, size, size])


MIX_UP_FRAMES = 40  # number of frames in which mixed-up views are looked for
MIX_UP_IMAGE_SHARE = 0.03  # of the longer image side: largest error of an observation that agrees
# A mix-up must either raise the share of agreeing observations of its views by the first, or leave at most the second
# of their errors: if a person stands in the middle of the images, the wrong assignment nearly fits as well.
MIN_MIX_UP_GAIN, MAX_REMAINING_ERROR_SHARE = 0.3, 0.4
MIX_UP_CLOSE_PX = 5.0  # views with smaller errors are not mixed up
MIN_MIX_UP_AGREEMENT = 0.6  # least share of the observations that agree once the mix-up is undone
MIN_AGREEING_VIEWS = 2.4  # of three cameras one of which is shifted, two agree, and it does with each of them in part
ONE_SHIFTED = "shifted alone"  # one view: fewer observations agree if another one is shifted, too
MIN_AGREEMENT = {ONE_SHIFTED: 0.85}
MIN_MIX_UP_OBSERVATIONS = 20  # least number of observations of the views concerned
CROP_POINTS = 60  # number of points, of all frames, from which a crop is found
MAX_SHIFT_STEPS = 40  # of a fit of shifts: those that explain the points converge in 35 or fewer
# How often a mix-up fitted to the points must be clearly better
FITTED_SHIFTS = {"cropped": 1, "shifted": 2, ONE_SHIFTED: 1}
IMAGE_SIZE_RATIOS = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 4 / 3, 3 / 2, 2.0, 3.0, 4.0)  # between usual sizes of videos


@dataclass(frozen=True)
class MixUp:
    """A mix-up of views; once it is undone, more of their observations agree.

    kind: 'axes_exchanged' (x and y of points), 'y_upwards' (y from the lower edge), 'centred' (origin in the image's
    centre), 'cropped' (or resized, all images alike), 'shifted' (each image in another way), 'mirrored' (images
    exchanged left with right), 'turned' (upside down), 'turned_left' or 'turned_right' (by a quarter), 'scaled' (points
    of images `size_ratio` times as large as those calibrated), 'exchanged' (two views belong to one another's camera),
    'order' (the views are of the cameras in order of `views`); of calibrations: 'transposed' (R), 'centre' (t is the
    camera's place), 'inverse' (R and t lead to the world), 'graphics' (camera axes) or 'unit' (t in another one).
    used, used_if_exchanged: share of these views' observations that agree with the others, as given and with the
    mix-up undone. shift_px: of 'shifted', by how much the points of each of these views lie too far right and down.
    """

    kind: str
    views: tuple[str, ...]
    used: float
    used_if_exchanged: float
    size_ratio: float = 1.0
    shift_px: tuple[tuple[float, ...], ...] = ()


def find_mix_ups(keypoints: Keypoints, cameras: Sequence[Camera], min_confidence: float = 0.3) -> list[MixUp]:
    """Mix-ups without which many more observations agree, best first.

    keypoints: of one person, in the cameras' order. Only observations of the views concerned are counted: among all
    observations, those of a view with few left, because the others did not fit, have little weight.
    """
    rows = evenly_spread(keypoints.frames, MIX_UP_FRAMES)
    keypoints = keypoints.with_(xy=keypoints.xy[rows], confidence=keypoints.confidence[rows])

    def fit(points: Keypoints, cameras: Sequence[Camera], fix_swaps: bool = True) -> _Agreement:
        limit = MIX_UP_IMAGE_SHARE * max((max(camera.size) for camera in cameras), default=1)
        options = {"min_confidence": min_confidence, "max_error_px": limit, "fix_swaps": fix_swaps}
        report = triangulate_with_report(points, cameras, **options)[1]
        seen = points.confidence >= min_confidence
        return _Agreement(report.used & seen, seen, np.where(np.isfinite(report.error_px), report.error_px, np.inf))

    given = fit(keypoints, cameras)
    found: list[tuple[float, MixUp]] = []
    for kind, views, undone, seen_by, size_ratio in _possible_mix_ups(
        keypoints, cameras, found, agreement=given.of(range(len(cameras)))[0]
    ):
        before, error = given.of(views)
        if given.seen[:, views].sum() < MIN_MIX_UP_OBSERVATIONS or (
            before > 1 - MIN_MIX_UP_GAIN and error < MIX_UP_CLOSE_PX
        ):
            continue
        corrected = fit(undone, seen_by, fix_swaps=False)  # exchanged sides add to no mix-up's agreement
        after, error_after = corrected.of(views)
        better = after > before + MIN_MIX_UP_GAIN
        # A shift or a size chosen for two views makes up for an inexact calibration of one of them.
        if len(cameras) > 2 or kind not in ("cropped", "scaled"):
            better |= error_after < MAX_REMAINING_ERROR_SHARE * error
        # If few of all observations agree, the view agrees with another one by chance.
        better &= min(after, corrected.of(range(len(cameras)))[0]) > MIN_AGREEMENT.get(kind, MIN_MIX_UP_AGREEMENT)
        if better and corrected.used.sum() >= given.used.sum():
            shifts = _shifts_px(keypoints, undone) if kind in ("shifted", ONE_SHIFTED) else {}
            views = tuple(shifts) or views
            mix = MixUp(kind, tuple(cameras[view].name for view in views), given.of(views)[0], corrected.of(views)[0])
            mix = replace(mix, kind=kind.removesuffix(" alone"), size_ratio=size_ratio, shift_px=tuple(shifts.values()))
            # What was fitted to the points must be clearly better.
            found.append((error_after / CLEAR_AGREEMENT_RATIO ** FITTED_SHIFTS.get(kind, 0), mix))
    found.sort(key=lambda entry: entry[0])  # a shift, which explains much else in part, counts only as the best
    return [mix for _, mix in found[:1]] + [mix for _, mix in found[1:] if mix.kind != "shifted"]


def _shifts_px(sample: Keypoints, undone: Keypoints) -> dict[int, tuple[float, ...]]:
    """{view: px by which its points lie too far right and down}, of the views that were shifted."""
    px = np.nanmedian(sample.xy - undone.xy, (0, 2))
    return {view: tuple(px[view].tolist()) for view in np.flatnonzero(np.hypot(*px.T) > MIX_UP_CLOSE_PX).tolist()}


def _uncropped(sample: Keypoints, cameras: Sequence[Camera], shift_of: Sequence[int]) -> Keypoints:
    """The points shifted so that lines of sight come closest. shift_of: index of each view's shift, -1: none.

    This also makes up for most of a change of size, which looks like another distance of the cameras.
    """
    frames, points = np.nonzero(np.isfinite(sample.xy).all(-1).sum(1) > 1)
    rows = evenly_spread(len(frames), CROP_POINTS)
    px = sample.xy[frames[rows], :, points[rows]]

    @cache  # a step of a derivative shifts one view
    def seen_by(view: int, right: float, down: float) -> np.ndarray:
        return undistort_pixels(cameras[view], px[:, view] + [right, down])

    def distances(shifts: np.ndarray) -> np.ndarray:
        shift_of_view = np.append(shifts, [0, 0]).reshape(-1, 2)[shift_of].tolist()
        normal = [seen_by(view, right, down) for view, (right, down) in enumerate(shift_of_view)]
        pairs = combinations(range(len(cameras)), 2)
        found = [epipolar_distances_px(cameras[a], cameras[b], normal[a], normal[b]) for a, b in pairs]
        return np.nan_to_num(np.concatenate(found))

    start = np.zeros(2 * max(shift_of) + 2)
    fit = scipy.optimize.least_squares(
        distances, start, loss="soft_l1", f_scale=MIX_UP_CLOSE_PX, x_scale="jac", max_nfev=MAX_SHIFT_STEPS
    )
    return sample.with_(xy=sample.xy + np.append(fit.x, [0, 0]).reshape(-1, 2)[shift_of][:, None])


@dataclass(frozen=True)
class _Agreement:
    """(frames, views, points) arrays. seen: observations; used: those that agree. error: reprojection error, px."""

    used: np.ndarray
    seen: np.ndarray
    error: np.ndarray

    def of(self, views: Sequence[int]) -> tuple[float, float]:
        """Share of the observations of these views that agree, and the median of their errors."""
        seen = self.seen[:, views]
        if not seen.any():
            return 0.0, np.inf
        return float(self.used[:, views].sum() / seen.sum()), float(np.median(self.error[:, views][seen]))


_GRAPHICS = np.diag([1.0, -1.0, -1.0])  # a camera's axes in computer graphics: y up, z backwards
_CAMERAS_AS_MEANT = (  # kind of mix-up; R and t of the camera
    ("transposed", lambda camera: (camera.R.T, camera.t)),
    ("transposed", lambda camera: (camera.R.T, -camera.R.T @ camera.centre)),
    ("inverse", lambda camera: (camera.R.T, camera.centre)),
    ("centre", lambda camera: (camera.R, -camera.R @ camera.t)),
    ("centre", lambda camera: (camera.R, camera.R @ camera.t)),  # of the place with its sign lost
    ("graphics", lambda camera: (_GRAPHICS @ camera.R, _GRAPHICS @ camera.t)),
    ("graphics", lambda camera: (_GRAPHICS @ camera.R.T, _GRAPHICS @ camera.centre)),
    ("unit", lambda camera: (camera.R, camera.t * 0.3048)),  # in feet; inches and the like are refused on reading
    ("unit", lambda camera: (camera.R, camera.t / 0.3048)),  # or all others
)
_POINTS_AS_MEANT = (  # kind of mix-up; place in the camera's image, px, of a point at x, y; w, h: size of the image
    ("axes_exchanged", lambda x, y, w, h: (y, x)),
    ("y_upwards", lambda x, y, w, h: (x, h - 1 - y)),
    ("mirrored", lambda x, y, w, h: (w - 1 - x, y)),
    ("turned", lambda x, y, w, h: (w - 1 - x, h - 1 - y)),
    ("turned_left", lambda x, y, w, h: (w - 1 - y, x)),
    ("turned_right", lambda x, y, w, h: (y, h - 1 - x)),
    ("centred", lambda x, y, w, h: (x + w / 2, y + h / 2)),
    ("centred", lambda x, y, w, h: (x + w / 2, h / 2 - y)),
)


def _possible_mix_ups(
    sample: Keypoints, cameras: Sequence[Camera], found: Sequence[tuple[float, MixUp]], agreement: float
) -> Iterator[tuple[str, tuple[int, ...], Keypoints, Sequence[Camera], float]]:
    """Each possible mix-up: kind, views concerned, keypoints and cameras with the mix-up undone, ratio of sizes."""
    for views in [(view,) for view in range(len(cameras))] + [tuple(range(len(cameras)))]:
        for kind, point in _POINTS_AS_MEANT:
            swapped = np.zeros(sample.confidence.shape, bool)
            swapped[:, list(views)] = kind == "mirrored"  # a detector takes a mirrored person's left for their right
            other = exchange_sides(sample, swapped)
            xy = other.xy.copy()
            for view in views:
                xy[:, view] = np.stack(point(xy[:, view, :, 0], xy[:, view, :, 1], *cameras[view].size), -1)
            yield kind, views, other.with_(xy=xy), cameras, 1.0
        for size_ratio in IMAGE_SIZE_RATIOS:
            xy = sample.xy.copy()
            xy[:, list(views)] /= size_ratio
            yield "scaled", views, sample.with_(xy=xy), cameras, size_ratio
        for kind, pose in _CAMERAS_AS_MEANT:
            meant = list(cameras)
            for view in views:
                R, t = pose(cameras[view])
                meant[view] = cameras[view].with_(R=R, t=t)
            yield kind, views, sample, meant, 1.0
    yield "cropped", tuple(range(len(cameras))), _uncropped(sample, cameras, [0] * len(cameras)), cameras, 1.0
    for pair in combinations(range(len(cameras)), 2):
        order = [pair[1 - pair.index(view)] if view in pair else view for view in range(len(cameras))]
        yield "exchanged", pair, select_views(sample, order), cameras, 1.0
    for first in range(len(cameras) if len(cameras) > 2 else 0):
        for step in (1, -1):  # of a ring of cameras, in another order
            order = [(first + step * view) % len(cameras) for view in range(len(cameras))]
            yield "order", tuple(np.argsort(order).tolist()), select_views(sample, order), cameras, 1.0
    if len(cameras) > 2 and (found or agreement < max(MIN_MIX_UP_AGREEMENT, MIN_AGREEING_VIEWS / len(cameras))):
        yield from _possible_shifts(sample, cameras, found)


def _possible_shifts(sample: Keypoints, cameras: Sequence[Camera], found: Sequence[tuple[float, MixUp]]):
    """As `_possible_mix_ups`: each view alone, then all, if the best mix-up is not fitted to the points, too."""
    every = tuple(range(len(cameras)))
    for view in every:
        alone = [-(other != view) for other in every]
        yield ONE_SHIFTED, (view,), _uncropped(sample, cameras, alone), cameras, 1.0
    if not found or min(found, key=lambda entry: entry[0])[1].kind not in FITTED_SHIFTS:
        yield "shifted", every, _uncropped(sample, cameras, list(every)), cameras, 1.0


# Wide enough for an inexact calibration of this set-up; a camera that was moved reaches the limits.
UNTRUSTED_CAMERA_PRIOR = bundle_adjustment.CameraPrior(
    rotation=np.radians(2.0), position=0.05, focal=0.03, centre_px=20.0, time=3.0, drift=1.0
)
SURE_DISAGREEMENT_SD = 3.0  # standard deviations from which detection errors do not explain a camera's disagreement
CLEAR_AGREEMENT_RATIO = 0.7  # largest ratio of the rest's disagreement without a camera to that without any other
MIN_JUDGING_VIEWS = 2  # least number of cameras that are compared with one another


@dataclass(frozen=True)
class CameraCheck:
    """One camera compared with others.

    Attributes
    ----------
    camera : str
    value, deviation : {str: float}
        Errors by quantity, and standard deviations: shift of the image to the right and down, px; rotation clockwise,
        rad; relative scale; delay behind the first camera, frames, and its increase over the recording.
    judging_views : tuple of str
        The cameras that it is compared with, without those that disagree with all.
    error_px : float
        Median of its reprojection errors, px.
    used_observations, swapped : float
        Share of its observations that agree with the others; of those of left and right points, share exchanged.
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
    """Agreement of the cameras of a recording.

    Attributes
    ----------
    checks : tuple of CameraCheck
        One per camera, in their order; empty where views are mixed up.
    mixed_up : tuple of MixUp
        Views that are mirrored, turned, scaled or exchanged, most probable first.
    """

    checks: tuple[CameraCheck, ...]
    mixed_up: tuple[MixUp, ...]


def check_cameras(
    keypoints: Keypoints,
    cameras: Sequence[Camera],
    min_confidence: float = 0.3,
    tolerated: Mapping[str, float] | None = None,
) -> CameraChecks:
    """Compare each camera with the others, and find views that are mixed up.

    Parameters
    ----------
    keypoints : Keypoints
        Of one person, in the cameras' order and SIMSPINE names.
    cameras : sequence of Camera
    min_confidence : float
        Detected points below it are not used.
    tolerated : {str: float}, optional
        Errors by quantity that count as no fault. A camera without which the others agree is set aside, so that its
        error does not count as theirs.

    Returns
    -------
    CameraChecks

    Raises
    ------
    InputError
        For fewer than two views, and for a view that saw too little.
    """
    if mixed := find_mix_ups(keypoints, cameras, min_confidence):
        return CameraChecks((), tuple(mixed))
    refined = refine_cameras(keypoints, cameras, UNTRUSTED_CAMERA_PRIOR, min_confidence, start_turned=True)
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
    return CameraChecks(tuple(checks), ())


def _agreeing_views(images: ImageErrors, views: int, tolerated: Mapping[str, float]) -> list[int]:
    """Views to compare with: all but those without which the rest agrees clearly better than without any other."""
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
    """Largest error among these views, each compared with the others, relative to the smallest that is a fault."""
    worst = 0.0
    for view in views:
        value, deviation = images.errors_relative_to(view, [other for other in views if other != view])
        for quantity in ("shift_x_px", "shift_y_px", "roll", "scale"):
            limit = max(tolerated.get(quantity, 0.0), SURE_DISAGREEMENT_SD * deviation[quantity], 1e-12)
            worst = max(worst, abs(value[quantity]) / limit)
    return worst
