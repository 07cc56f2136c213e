"""Simulated 2D detections of a person whose points are known.

A detection is the projection of the point that the detector *localises*. It differs from the true point by an offset
fixed in the body (for example, a spinous process in place of a vertebral body). Noise in pixels is added, in
proportion to the person's size in the image: a bias of the view, a slow and a fast drift (Ornstein–Uhlenbeck), and
jitter (docs/research/virtual-detections.md).

Each part is partly common to all points of a region, since detectors move neighbours together. The last three grow with
foreshortening and occlusion. Then come outliers, exchanged sides and drop-outs, all in spells; Ronchi & Perona 2017
report these kinds of errors (jitter, misses, inversions). Confidence depends on foreshortening, occlusion and noise,
not on offsets, biases and exchanged sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from pydantic import Field, field_validator

from simspine.anatomy.occlusion import BODY_PART_RADII, flesh_in_front
from simspine.core.errors import InputError, require_known
from simspine.core.geometry import project_points
from simspine.core.settings import Section, SettingsError, read_yaml
from simspine.core.skeletons import POINTS_BY_REGION, load_skeleton, point_axes
from simspine.core.types import Camera, Keypoints, Markers
from simspine.synthesis import signals
from simspine.synthesis.population import Stream, SyntheticSubject
from simspine.vision.side_swaps import exchange_sides

# The body as capsules (a segment with a radius for each part), from which occlusion is computed.


@dataclass(frozen=True, eq=False)
class Capsules:
    """The body's parts. ends: (frames, n, 2, 3) m, of the axes; radii: (n,) m."""

    ends: np.ndarray
    radii: np.ndarray


def capsules_of(subject: SyntheticSubject, markers: Markers) -> Capsules:
    """The capsules of a subject's body. markers: all markers of the true body, in any frame."""
    parts = signals.read_sided_table("capsules.yaml")
    size = subject.stature / 1.7
    relative_bmi = subject.mass / subject.stature**2 / 23.0
    ends = np.stack(
        [np.stack([markers.xyz[:, markers.indices(m)].mean(1) for m in part[:2]], 1) for part in parts.values()], 1
    )
    radius = {name: BODY_PART_RADII[name.removesuffix("_r").removesuffix("_l")] for name in parts}
    radii = np.array([radius[name] * size * relative_bmi ** (0.5 * growth) for name, (_, _, growth) in parts.items()])
    return Capsules(ends, radii)


# A point is harder to localise where its segment points at the camera (foreshortening) or the body hides it.


HIDING_FLESH_M = 0.06  # m of flesh in front of a point that hide it fully; less flesh hides it in proportion
CROP_ASPECT = 4 / 3  # height / width of a top-down detector's crop (256 × 192)


def segment_foreshortening(points: Markers, cameras: Sequence[Camera]) -> np.ndarray:
    """(frames, views, points) 0…1: 1 − apparent / true length of the segment from a point to its parent.

    points: the 37 points, in their order. The root has the segment to its first child.
    """
    skeleton = load_skeleton("simspine37")
    xyz = points.xyz
    parent = list(skeleton.parents)
    root = parent.index(-1)
    parent[root] = parent.index(root)
    segment = xyz - xyz[:, parent]
    length = np.linalg.norm(segment, axis=-1)
    out = np.empty((len(xyz), len(cameras), xyz.shape[1]))
    for v, camera in enumerate(cameras):
        sight = xyz - camera.centre
        along = (segment * sight).sum(-1) / (length * np.linalg.norm(sight, axis=-1))
        out[:, v] = 1 - np.sqrt(np.clip(1 - along**2, 0, 1))
    return out


def occlusion_of_points(points: Markers, cameras: Sequence[Camera], capsules: Capsules) -> np.ndarray:
    """(frames, views, points): how far each point is hidden, from 0 (visible) to 1."""
    centres = np.stack([camera.centre for camera in cameras])
    return np.clip(flesh_in_front(centres, points.xyz, capsules.ends, capsules.radii) / HIDING_FLESH_M, 0, 1)


def person_size_in_image(xy: np.ndarray) -> np.ndarray:
    """(frames, views) px: size of the person, from true points xy (frames, views, points, 2).

    It is the height of the box around the points, or 4/3 of its width if that is larger. It sets the scale of a
    top-down detector's crop, and so the size of a map's pixel in the image.
    """
    with np.errstate(invalid="ignore"):
        width, height = np.moveaxis(np.nanmax(xy, 2) - np.nanmin(xy, 2), -1, 0)
    return np.maximum(height, CROP_ASPECT * width)


EXACT_PRESET = "exact"


class RegionErrors(Section):
    offset_m: float = Field(ge=0, lt=10)
    """Distance of the point that the detector localises from the true point."""
    noise: float = Field(ge=0, lt=10)
    """Standard deviation of an image coordinate of a visible point without foreshortening, as a share of the person's
    size in the image. Biases of the view are included."""


class Preset(Section):
    """Error model of a detector."""

    name: str
    """Name of the preset."""
    regions: Mapping[str, RegionErrors]
    """{region: errors}; empty for a detector without errors."""
    foreshortened: float = Field(0.0, ge=0, lt=10)
    """Relative increase of the noise of a segment that points at the camera."""
    occluded: float = Field(0.0, ge=0, lt=10)
    """Relative increase of the noise of a hidden point."""
    outliers: float = Field(0.0, ge=0, lt=0.5)
    """Share of detections that are outliers."""
    swaps: float = Field(0.0, ge=0, lt=0.5)
    """Share of frames and views in which left and right of a pair of limbs are exchanged."""
    dropouts: float = Field(0.0, ge=0, lt=0.5)
    """Share of detections missing although the point is in the image."""
    confidence: float = 40.0
    """Log-odds of a typical detection."""

    @field_validator("regions")
    @classmethod
    def _regions_are_there(cls, regions: Mapping[str, RegionErrors]) -> Mapping[str, RegionErrors]:
        require_known("region", regions, POINTS_BY_REGION)
        if regions and len(regions) < len(POINTS_BY_REGION):
            raise ValueError(f"expected offset_m and noise of {', '.join(POINTS_BY_REGION)}; some are lacking.")
        return regions


def preset_names() -> tuple[str, ...]:
    return (EXACT_PRESET, *signals.read_table("presets.yaml"))


def read_preset(name: str) -> Preset:
    """Read a preset by its name, or the only preset of a YAML file in the layout of presets.yaml.

    Raises `InputError` for an unknown name or key, a missing figure or one out of range.
    """
    if name == EXACT_PRESET:
        return Preset(name=EXACT_PRESET, regions={})
    if str(name).endswith((".yaml", ".yml")):
        table = read_yaml(name)
        if not isinstance(table, dict) or len(table) != 1:
            raise InputError(f"preset {name}: expected one name with its figures below it, as in presets.yaml.")
        [(title, row)] = table.items()
        return parse_preset(str(title), row, str(name))
    table = signals.read_table("presets.yaml")
    require_known("preset of detections", [name], preset_names())
    return parse_preset(name, table[name], "presets.yaml")


def parse_preset(name: str, row: Mapping, where: str) -> Preset:
    try:
        return Preset.model_validate({"name": name, "regions": None} | dict(row if isinstance(row, Mapping) else {}))
    except SettingsError as wrong:
        faults = "\n".join(f"  - {fault}" for fault in wrong.faults)
        raise InputError(f"{where}: preset {name!r} cannot be used:\n{faults}") from None


# Shares of the noise's variance, each with its correlation time (s).
BIAS_VARIANCE_SHARE = 0.35
NOISE_VARIANCE_SHARES = ((0.35, 2.0), (0.22, 0.15), (0.08, 0.0))
COMMON_VARIANCE_SHARE = 0.3  # share of the variance that is common to a region
INDIVIDUAL_OFFSET_SHARE = 0.4  # sd per axis of subjects' own offsets, as a share of the detector's offset
# Directions (forward, up, right) of a region's offset: along the spine, where images hardly show which level is seen,
# and between the back's surface and the vertebral body. The directions of limb joints are random.
OFFSET_DIRECTIONS = {"cervical": (0.5, 0.8, 0.0), "thoracic": (0.6, 0.8, 0.0), "lumbar": (0.6, 0.8, 0.0)}
OUTLIER_DURATION_S, SWAP_DURATION_S, DROPOUT_DURATION_S = 0.06, 0.2, 0.1  # mean lengths of spells
OUTLIER_DISTANCES = (0.1, 0.3)  # distances of outliers, as shares of the person's size: up to a limb's length
LOW_CONFIDENCE_SHARE = 0.5  # share of outliers whose confidence is low
SWAPPED_LIMB_PAIRS = (  # points of a limb; the two sides of all of them are exchanged together
    ("Hip", "Knee", "Ankle", "BigToe", "SmallToe", "Heel"),
    ("Shoulder", "Elbow", "Wrist"),
)


@dataclass(frozen=True, eq=False)
class Detected:
    """Simulated detections and their errors.

    keypoints: of the 37 points. exact: true image points (frames, views, points, 2) px, also outside the image. hidden:
    (frames, views, points), 0…1. outlier: (frames, views, points) bool. swapped: (frames, views, pairs of limbs) bool.
    """

    keypoints: Keypoints
    exact: np.ndarray
    hidden: np.ndarray
    outlier: np.ndarray
    swapped: np.ndarray


def simulate_detections(
    points: Markers, cameras: Sequence[Camera], capsules: Capsules, preset: Preset, seed: int, subject: str, trial: str
) -> Detected:
    """Simulate the 2D points of a detector with the errors of `preset`.

    points: the 37 SIMSPINE points, frame z_up, none missing. capsules: the body's parts.
    Equal arguments give equal detections; a subject's biases are the same in all trials. Points outside an image are
    missing (NaN, confidence 0); the preset `exact` adds no errors, and all its confidences are 1.
    """
    points = points.select(load_skeleton("simspine37").names)
    exact = np.moveaxis(project_points(cameras, points.xyz), 0, 1)
    hidden = occlusion_of_points(points, cameras, capsules)
    size, rate = person_size_in_image(exact), points.rate
    if not preset.regions:  # the preset has no errors
        found, outlier = Keypoints(points.names, rate, exact, np.ones(hidden.shape)), np.zeros(hidden.shape, bool)
        swapped, missing = outlier[..., : len(SWAPPED_LIMB_PAIRS)], ~_inside_image(exact, cameras)
    else:
        draw = partial(signals.random_stream, seed, "detections", preset.name)
        harder = 1 + preset.foreshortened * segment_foreshortening(points, cameras) + preset.occluded * hidden
        noise = _wandering_noise(partial(draw, "noise", subject, trial), exact.shape, rate) * harder[..., None]
        xy = _places_with_noise(points, cameras, preset, draw=draw, subject=subject, size=size, noise=noise)
        outlier = signals.rare_spells(
            draw("outliers", subject, trial), harder, preset.outliers, rate=rate, duration=OUTLIER_DURATION_S
        )
        xy += np.where(outlier[..., None], _outlier_displacements(draw("places", subject, trial), size, outlier), 0.0)
        confidence = _simulated_confidence(
            draw("confidence", subject, trial), preset, harder, noise=noise, outlier=outlier, rate=rate
        )
        swapped = _limb_swaps(draw("swaps", subject, trial), exact, size, preset=preset, rate=rate)
        found = exchange_sides(Keypoints(points.names, rate, xy, confidence), _swapped_points(points, swapped))
        missing = ~_inside_image(exact, cameras) | ~_inside_image(found.xy, cameras)
        missing |= signals.rare_spells(
            draw("dropouts", subject, trial), 1 + 3 * hidden, preset.dropouts, rate=rate, duration=DROPOUT_DURATION_S
        )
    xy = np.where(missing[..., None], np.nan, found.xy)
    return Detected(keypoints=found.with_(xy=xy), exact=exact, hidden=hidden, outlier=outlier, swapped=swapped)


def _wandering_noise(draw: Stream, shape: tuple[int, ...], rate: float) -> np.ndarray:
    """(frames, views, points, 2): slow and fast drift and jitter, in standard deviations of a preset's noise."""
    noise = np.zeros(shape)
    for share, correlation_time in NOISE_VARIANCE_SHARES:
        rng = draw(str(correlation_time))
        noise += np.sqrt(share) * _with_common(rng, shape[0], shape[1], rate=rate, correlation_time=correlation_time)
    return noise


def _places_with_noise(
    points: Markers,
    cameras: Sequence[Camera],
    preset: Preset,
    draw: Stream,
    subject: str,
    size: np.ndarray,
    noise: np.ndarray,
) -> np.ndarray:
    """(frames, views, points, 2) px: projections of the points that the detector localises, with biases and noise."""
    offsets = _detector_offsets(points, preset, draw, subject)
    localised = np.moveaxis(project_points(cameras, points.xyz + offsets), 0, 1)
    sd = np.array([preset.regions[_REGION_OF[name]].noise for name in points.names])
    bias = np.sqrt(BIAS_VARIANCE_SHARE) * _with_common(
        draw("bias", subject), 1, len(cameras), rate=points.rate, correlation_time=0.0
    )
    return localised + (sd * size[..., None])[..., None] * (bias + noise)


def _swapped_points(points: Markers, swapped: np.ndarray) -> np.ndarray:
    """(frames, views, points) bool: points of the pairs of limbs that are swapped."""
    mask = np.zeros((*swapped.shape[:2], len(points.names)), bool)
    for k, limb in enumerate(SWAPPED_LIMB_PAIRS):
        mask[:, :, points.indices(side + part for side in "LR" for part in limb)] = swapped[..., k, None]
    return mask


_REGION_OF = {name: region for region, members in POINTS_BY_REGION.items() for name in members}


def _inside_image(xy: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """(frames, views, points) bool: within the image."""
    size = np.array([camera.size for camera in cameras], float)[:, None]
    with np.errstate(invalid="ignore"):
        return np.all((xy >= 0) & (xy <= size), axis=-1)


def _detector_offsets(points: Markers, preset: Preset, draw: Stream, subject: str) -> np.ndarray:
    """(frames, points, 3) m from the true points to those that the detector localises; they rotate with the body.

    One offset for each region of the spine, one for each limb joint (mirrored from side to side).
    """
    local = np.zeros((len(points.names), 3))
    for region, members in POINTS_BY_REGION.items():
        groups = [(region, members)] if region in OFFSET_DIRECTIONS else [(name, (name,)) for name in members]
        for name, group in groups:
            if region in OFFSET_DIRECTIONS:
                direction = np.array(OFFSET_DIRECTIONS[region])
            else:
                direction = draw("offset", name.lstrip("LR")).standard_normal(3)
                direction[2] *= -1 if name.startswith("L") else 1
            offset = direction / np.linalg.norm(direction) + draw("offset", subject, name).normal(
                0, INDIVIDUAL_OFFSET_SHARE, 3
            )
            # the root mean square length of the offsets is offset_m
            length = preset.regions[region].offset_m / np.sqrt(1 + 3 * INDIVIDUAL_OFFSET_SHARE**2)
            local[[points.index(member) for member in group]] = length * offset
    return np.einsum("fpij,pj->fpi", point_axes(points.names, points.xyz), local)


def _with_common(rng: np.random.Generator, frames: int, views: int, rate: float, correlation_time: float) -> np.ndarray:
    """(frames, views, points, 2) of variance one; `COMMON_VARIANCE_SHARE` of it is common to a region's points."""
    names = load_skeleton("simspine37").names
    regions = list(POINTS_BY_REGION)
    region_index = [regions.index(_REGION_OF[name]) for name in names]
    own = signals.correlated_drift(rng, frames, (views, len(names), 2), rate=rate, correlation_time=correlation_time)
    shared = signals.correlated_drift(
        rng, frames, (views, len(regions), 2), rate=rate, correlation_time=correlation_time
    )
    limbs = np.array(region_index) == regions.index("body")  # joints with independent noise
    part = np.where(limbs, 0.0, COMMON_VARIANCE_SHARE)[:, None]
    return np.sqrt(1 - part) * own + np.sqrt(part) * shared[:, :, region_index]


def _outlier_displacements(rng: np.random.Generator, size: np.ndarray, spells: np.ndarray) -> np.ndarray:
    """Displacements (frames, views, points, 2) px in random directions, constant within a spell."""
    share, turn = np.moveaxis(signals.uniform_per_spell(rng, spells), -1, 0)
    distance = size[..., None] * (OUTLIER_DISTANCES[0] + share * (OUTLIER_DISTANCES[1] - OUTLIER_DISTANCES[0]))
    return distance[..., None] * np.stack([np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)], -1)


def _simulated_confidence(rng, preset: Preset, harder: np.ndarray, noise: np.ndarray, outlier: np.ndarray, rate: float):
    """(frames, views, points), 0…1: lower for hard points and large noise, with an independent drift."""
    far = np.linalg.norm(noise, axis=-1) / harder
    noticed = signals.uniform_per_spell(rng, outlier)[..., 0] < LOW_CONFIDENCE_SHARE
    far = np.where(outlier, np.where(noticed, 15.0, np.median(far)), far)
    drift = 0.5 * signals.correlated_drift(rng, len(harder), harder.shape[1:], rate=rate, correlation_time=0.3)
    odds = preset.confidence - 2.0 * np.log(harder) - 0.8 * np.log((0.3 + far) / 1.1) + drift
    return 1 / (1 + np.exp(-odds))


def _limb_swaps(rng, exact: np.ndarray, size: np.ndarray, preset: Preset, rate: float) -> np.ndarray:
    """(frames, views, pairs of limbs) bool: more likely where left and right are close in the image."""
    names = load_skeleton("simspine37").names
    pairs = []
    for limb in SWAPPED_LIMB_PAIRS:
        apart = exact[:, :, names.index(f"L{limb[0]}")] - exact[:, :, names.index(f"R{limb[0]}")]
        pairs.append(0.1 + np.exp(-((np.linalg.norm(apart, axis=-1) / (0.05 * size)) ** 2)))
    return signals.rare_spells(rng, np.stack(pairs, -1), preset.swaps, rate=rate, duration=SWAP_DURATION_S)
