"""Simulated 2D detections of a person whose points are known.

An image coordinate of a detection is the projection of the place that the detector *means*, which differs from the
true place by an offset in the body (a spinous process instead of a vertebral body, say), plus noise in pixels that is
a share of the person's size in the image:

    bias of the view            constant for subject, view and point
    slow wandering              Ornstein–Uhlenbeck, 2 s: depends on posture and clothing
    fast wandering              Ornstein–Uhlenbeck, 0.15 s
    jitter                      white

each partly common to all points of a region, since detectors move neighbours together; the last three grow with
foreshortening and with what hides the point. Then come outliers, exchanged sides and drop-outs, all in spells (the
kinds of errors that Ronchi & Perona 2017 count on real detectors: jitter, misses, inversions). Confidence depends on
foreshortening, occlusion and noise, not on offsets, biases and exchanged sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simspine.capture import visibility
from simspine.capture.presets import REGIONS, Preset
from simspine.capture.random_streams import drift, held, runs, stream
from simspine.geometry import project
from simspine.skeletons import load
from simspine.skeletons.segment_axes import point_axes
from simspine.types import Camera, Keypoints, Markers

# Shares of the noise's variance, each with its correlation time (s).
BIAS = 0.35
NOISE = ((0.35, 2.0), (0.22, 0.15), (0.08, 0.0))
COMMON = 0.3  # share of the variance common to a region
INDIVIDUAL = 0.4  # deviation of a subject's offset from the detector's, per axis, as a share of the offset
# Directions (forward, up, right) of a region's offset: along the spine, where an image tells least which level it
# shows, and between the back's surface and the vertebral body. Limb joints have directions of their own, drawn.
OFFSETS = {"cervical": (0.5, 0.8, 0.0), "thoracic": (0.6, 0.8, 0.0), "lumbar": (0.6, 0.8, 0.0)}
OUTLIER_S, SWAP_S, DROPOUT_S = 0.06, 0.2, 0.1  # mean lengths of spells
ASTRAY = (0.1, 0.3)  # how far outliers are off, as shares of the person's size: up to a limb's length
NOTICED = 0.5  # share of outliers whose confidence is low
LIMBS = (  # pairs of limbs whose sides are taken for one another together
    ("Hip", "Knee", "Ankle", "BigToe", "SmallToe", "Heel"),
    ("Shoulder", "Elbow", "Wrist"),
)


@dataclass(frozen=True, eq=False)
class Detected:
    """Detections and how they came about.

    keypoints: of the 37 points. exact: true image points (frames, views, points, 2) px, also outside the image. size:
    (frames, views) px, of the person. hidden: (frames, views, points), 0…1. outlier, missing: (frames, views, points)
    bool. swapped: (frames, views, pairs of limbs) bool.
    """

    keypoints: Keypoints
    exact: np.ndarray
    size: np.ndarray
    hidden: np.ndarray
    outlier: np.ndarray
    missing: np.ndarray
    swapped: np.ndarray


def detect(
    points: Markers,
    cameras: Sequence[Camera],
    capsules: np.ndarray,
    radii: np.ndarray,
    preset: Preset,
    seed: int,
    subject: str,
    trial: str,
) -> Detected:
    """2D points as a detector with the errors of `preset` would give them.

    points: the 37 SIMSPINE points, frame z_up, none missing. capsules, radii: the body's parts (see `occlusion.cover`).
    Equal arguments give equal detections; a subject's biases are the same in all trials. Points outside an image are
    missing (NaN, confidence 0); with the preset `exact` nothing else is changed, and all confidences are 1.
    """
    names = load("simspine37").names
    points = points.select(names)
    exact = np.moveaxis(project(cameras, points.xyz), 0, 1)
    size = visibility.size_in_image(exact)
    hidden = visibility.hidden(points, cameras, capsules, radii)
    shape = exact.shape[:3]
    outside = ~_inside(exact, cameras)
    if preset.exact:
        none = np.zeros(shape, bool)
        xy = np.where(outside[..., None], np.nan, exact)
        keypoints = Keypoints(names, points.rate, xy, np.where(outside, 0.0, 1.0))
        return Detected(keypoints, exact, size, hidden, none, outside, none[..., : len(LIMBS)])

    def chance(*labels: str) -> np.random.Generator:
        return stream(seed, "detections", preset.name, *labels)

    meant = np.moveaxis(project(cameras, points.xyz + _offsets(points, preset, chance, subject)), 0, 1)
    harder = 1 + preset.foreshortened * visibility.foreshortening(points, cameras) + preset.occluded * hidden
    sd = np.array([preset.regions[_REGION_OF[name]].noise for name in names])
    bias = np.sqrt(BIAS) * _with_common(chance("bias", subject), 1, shape[1], points.rate, 0.0)
    noise = np.zeros_like(exact)
    for share, correlation_time in NOISE:
        rng = chance("noise", subject, trial, str(correlation_time))
        noise += np.sqrt(share) * _with_common(rng, shape[0], shape[1], points.rate, correlation_time)
    noise *= harder[..., None]
    xy = meant + (sd * size[..., None])[..., None] * (bias + noise)

    outlier = runs(chance("outliers", subject, trial), harder, preset.outliers, points.rate, OUTLIER_S)
    xy += np.where(outlier[..., None], _astray(chance("places", subject, trial), size, outlier), 0.0)
    confidence = _confidence(chance("confidence", subject, trial), preset, harder, noise, outlier, points.rate)

    swapped = _swaps(chance("swaps", subject, trial), exact, size, preset, points.rate)
    for k, limb in enumerate(LIMBS):
        left, right = ([names.index(side + part) for part in limb] for side in "LR")
        for array in (xy, confidence):
            flag = swapped[..., k, None, None] if array.ndim == 4 else swapped[..., k, None]
            array[:, :, left], array[:, :, right] = (
                np.where(flag, array[:, :, right], array[:, :, left]),
                np.where(flag, array[:, :, left], array[:, :, right]),
            )

    dropped = runs(chance("dropouts", subject, trial), 1 + 3 * hidden, preset.dropouts, points.rate, DROPOUT_S)
    missing = dropped | outside | ~_inside(xy, cameras)
    xy[missing] = np.nan
    keypoints = Keypoints(names, points.rate, xy, np.where(missing, 0.0, confidence))
    return Detected(keypoints, exact, size, hidden, outlier, missing, swapped)


_REGION_OF = {name: region for region, members in REGIONS.items() for name in members}


def _inside(xy: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """(frames, views, points) bool: within the image."""
    size = np.array([camera.size for camera in cameras], float)[:, None]
    with np.errstate(invalid="ignore"):
        return np.all((xy >= 0) & (xy <= size), axis=-1)


def _offsets(points: Markers, preset: Preset, chance, subject: str) -> np.ndarray:
    """(frames, points, 3) m from the true place to the one that the detector means, turning with the body.

    One offset for each region of the spine, one for each limb joint (mirrored from side to side).
    """
    local = np.zeros((len(points.names), 3))
    for region, members in REGIONS.items():
        groups = [(region, members)] if region in OFFSETS else [(name, (name,)) for name in members]
        for name, group in groups:
            if region in OFFSETS:
                direction = np.array(OFFSETS[region])
            else:
                direction = chance("offset", name.lstrip("LR")).standard_normal(3)
                direction[2] *= -1 if name.startswith("L") else 1
            offset = direction / np.linalg.norm(direction) + chance("offset", subject, name).normal(0, INDIVIDUAL, 3)
            # the mean square of the sum is that of the preset
            length = preset.regions[region].offset_m / np.sqrt(1 + 3 * INDIVIDUAL**2)
            local[[points.index(member) for member in group]] = length * offset
    return np.einsum("fpij,pj->fpi", point_axes(points.names, points.xyz), local)


def _with_common(rng: np.random.Generator, frames: int, views: int, rate: float, correlation_time: float) -> np.ndarray:
    """(frames, views, points, 2) of variance one, of which `COMMON` is shared by the points of a region."""
    names = load("simspine37").names
    regions = list(REGIONS)
    of = [regions.index(_REGION_OF[name]) for name in names]
    own = drift(rng, frames, (views, len(names), 2), rate, correlation_time)
    shared = drift(rng, frames, (views, len(regions), 2), rate, correlation_time)[:, :, of]
    part = np.where(np.array(of) == regions.index("body"), 0.0, COMMON)[:, None]  # limbs: each joint for itself
    return np.sqrt(1 - part) * own + np.sqrt(part) * shared


def _astray(rng: np.random.Generator, size: np.ndarray, spells: np.ndarray) -> np.ndarray:
    """Displacements (frames, views, points, 2) px in any direction, the same throughout a spell."""
    share, turn = np.moveaxis(held(rng, spells), -1, 0)
    distance = size[..., None] * (ASTRAY[0] + share * (ASTRAY[1] - ASTRAY[0]))
    return distance[..., None] * np.stack([np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)], -1)


def _confidence(rng, preset: Preset, harder: np.ndarray, noise: np.ndarray, outlier: np.ndarray, rate: float):
    """(frames, views, points), 0…1: lower for hard points and large noise, and wandering by itself."""
    far = np.linalg.norm(noise, axis=-1) / harder
    noticed = held(rng, outlier)[..., 0] < NOTICED
    far = np.where(outlier, np.where(noticed, 15.0, np.median(far)), far)
    moods = 0.5 * drift(rng, len(harder), harder.shape[1:], rate, 0.3)
    odds = preset.confidence - 2.0 * np.log(harder) - 0.8 * np.log((0.3 + far) / 1.1) + moods
    return 1 / (1 + np.exp(-odds))


def _swaps(rng, exact: np.ndarray, size: np.ndarray, preset: Preset, rate: float) -> np.ndarray:
    """(frames, views, pairs of limbs) bool: likelier where left and right are close together in the image."""
    names = load("simspine37").names
    pairs = []
    for limb in LIMBS:
        apart = exact[:, :, names.index(f"L{limb[0]}")] - exact[:, :, names.index(f"R{limb[0]}")]
        pairs.append(0.1 + np.exp(-((np.linalg.norm(apart, axis=-1) / (0.05 * size)) ** 2)))
    return runs(rng, np.stack(pairs, -1), preset.swaps, rate, SWAP_S)
