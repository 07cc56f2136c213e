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
from simspine.synthesis.population import Stream, SyntheticSubject
from simspine.synthesis.signals import (
    correlated_drift,
    random_stream,
    rare_spells,
    read_sided_table,
    read_table,
    uniform_per_spell,
)
from simspine.vision.side_swaps import exchange_sides

# The body as capsules, for what hides what: a segment with a radius for each part.


@dataclass(frozen=True, eq=False)
class Capsules:
    """names (n,); ends: (frames, n, 2, 3) m, of the axes; radii: (n,) m."""

    names: tuple[str, ...]
    ends: np.ndarray
    radii: np.ndarray


def capsules_of(subject: SyntheticSubject, markers: Markers) -> Capsules:
    """markers: all of the truth body's, in any frame."""
    parts = read_sided_table("capsules.yaml")
    size = subject.stature / 1.7
    stout = subject.mass / subject.stature**2 / 23.0
    ends = np.stack(
        [np.stack([markers.xyz[:, markers.indices(m)].mean(1) for m in part[:2]], 1) for part in parts.values()], 1
    )
    radius = {name: BODY_PART_RADII[name.removesuffix("_r").removesuffix("_l")] for name in parts}
    radii = np.array([radius[name] * size * stout ** (0.5 * growth) for name, (_, _, growth) in parts.items()])
    return Capsules(tuple(parts), ends, radii)


# What makes a point hard to place in an image: its segment points at the camera, or something hides it.


HIDING_FLESH_M = 0.06  # m of flesh in front of a point that hide it fully; less counts in proportion
CROP_ASPECT = 4 / 3  # height / width of the crop that top-down detectors look at (256 × 192)


def segment_foreshortening(points: Markers, cameras: Sequence[Camera]) -> np.ndarray:
    """1 − apparent / true length of the segment to the point's parent, 0…1: (frames, views, points).

    points: the 37, in their order. A point without parent takes the segment to its first child.
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
    """How hidden each point is, 0 (in sight) … 1: (frames, views, points)."""
    centres = np.stack([camera.centre for camera in cameras])
    return np.clip(flesh_in_front(centres, points.xyz, capsules.ends, capsules.radii) / HIDING_FLESH_M, 0, 1)


def person_size_in_image(xy: np.ndarray) -> np.ndarray:
    """The person's size in px, (frames, views), from true points xy (frames, views, points, 2).

    The longer side of the box around them, its width counted 4/3: what decides the scale of a top-down detector's crop,
    and with it how many pixels of the image a pixel of its maps is.
    """
    with np.errstate(invalid="ignore"):
        width, height = np.moveaxis(np.nanmax(xy, 2) - np.nanmin(xy, 2), -1, 0)
    return np.maximum(height, CROP_ASPECT * width)


# How a virtual detector errs: the figures of one preset, by name or from a YAML file of one's own.


EXACT_PRESET = "exact"


class RegionErrors(Section):
    """Errors of a region's points."""

    offset_m: float = Field(ge=0, lt=10)
    """How far the place the detector means lies from the one meant by the truth."""
    noise: float = Field(ge=0, lt=10)
    """Standard deviation of an image coordinate, as a share of the person's size in the image, of a point neither
    foreshortened nor hidden; biases of the view are part of it."""


class Preset(Section):
    """One way of erring."""

    name: str
    """What it is called."""
    regions: Mapping[str, RegionErrors]
    """By name; none for a detector without any error."""
    foreshortened: float = Field(0.0, ge=0, lt=10)
    """By what share the noise grows when a segment points at the camera."""
    occluded: float = Field(0.0, ge=0, lt=10)
    """By what share it grows when a point is hidden."""
    outliers: float = Field(0.0, ge=0, lt=0.5)
    """Share of detections far off."""
    swaps: float = Field(0.0, ge=0, lt=0.5)
    """Share of frames and views with left and right of a pair of limbs exchanged."""
    dropouts: float = Field(0.0, ge=0, lt=0.5)
    """Share of detections missing although in the image."""
    confidence: float = 40.0
    """Log-odds of a typical detection."""

    @field_validator("regions")
    @classmethod
    def _regions_are_there(cls, regions: Mapping[str, RegionErrors]) -> Mapping[str, RegionErrors]:
        require_known("region", regions, POINTS_BY_REGION)
        if regions and len(regions) < len(POINTS_BY_REGION):
            raise ValueError(f"expected offset_m and noise of {', '.join(POINTS_BY_REGION)}; some are lacking.")
        return regions

    @property
    def exact(self) -> bool:
        """Whether there is no error at all."""
        return not self.regions


def preset_names() -> tuple[str, ...]:
    """Names of the presets there are."""
    return (EXACT_PRESET, *read_table("presets.yaml"))


def read_preset(name: str) -> Preset:
    """A preset by its name, or the only one of a YAML file laid out as presets.yaml.

    Raises `InputError` for an unknown name or key, a missing figure or one out of range.
    """
    if name == EXACT_PRESET:
        return Preset(name=EXACT_PRESET, regions={})
    if str(name).endswith((".yaml", ".yml")):
        table = read_yaml(name)
        if not isinstance(table, dict) or len(table) != 1:
            raise InputError(f"preset {name}: expected one name with its figures below it, as in presets.yaml.")
        [(own, row)] = table.items()
        return parse_preset(str(own), row, str(name))
    table = read_table("presets.yaml")
    require_known("preset of detections", [name], preset_names())
    return parse_preset(name, table[name], "presets.yaml")


def parse_preset(name: str, row: Mapping, where: str) -> Preset:
    """A preset out of a plain mapping."""
    try:
        return Preset.model_validate({"name": name, "regions": None} | dict(row if isinstance(row, Mapping) else {}))
    except SettingsError as wrong:
        faults = "\n".join(f"  - {fault}" for fault in wrong.faults)
        raise InputError(f"{where}: preset {name!r} cannot be used:\n{faults}") from None


# Shares of the noise's variance, each with its correlation time (s).
BIAS_VARIANCE_SHARE = 0.35
NOISE_VARIANCE_SHARES = ((0.35, 2.0), (0.22, 0.15), (0.08, 0.0))
COMMON_VARIANCE_SHARE = 0.3  # share of the variance common to a region
INDIVIDUAL_OFFSET_SHARE = 0.4  # deviation of a subject's offset from the detector's, per axis, as a share of the offset
# Directions (forward, up, right) of a region's offset: along the spine, where an image tells least which level it
# shows, and between the back's surface and the vertebral body. Limb joints have directions of their own, drawn.
OFFSET_DIRECTIONS = {"cervical": (0.5, 0.8, 0.0), "thoracic": (0.6, 0.8, 0.0), "lumbar": (0.6, 0.8, 0.0)}
OUTLIER_DURATION_S, SWAP_DURATION_S, DROPOUT_DURATION_S = 0.06, 0.2, 0.1  # mean lengths of spells
OUTLIER_DISTANCES = (0.1, 0.3)  # how far outliers are off, as shares of the person's size: up to a limb's length
LOW_CONFIDENCE_SHARE = 0.5  # share of outliers whose confidence is low
SWAPPED_LIMB_PAIRS = (  # pairs of limbs whose sides are taken for one another together
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


def simulate_detections(
    points: Markers, cameras: Sequence[Camera], capsules: Capsules, preset: Preset, seed: int, subject: str, trial: str
) -> Detected:
    """2D points as a detector with the errors of `preset` would give them.

    points: the 37 SIMSPINE points, frame z_up, none missing. capsules: the body's parts.
    Equal arguments give equal detections; a subject's biases are the same in all trials. Points outside an image are
    missing (NaN, confidence 0); with the preset `exact` nothing else is changed, and all confidences are 1.
    """
    points = points.select(load_skeleton("simspine37").names)
    exact = np.moveaxis(project_points(cameras, points.xyz), 0, 1)
    hidden = occlusion_of_points(points, cameras, capsules)
    size, rate = person_size_in_image(exact), points.rate
    if preset.exact:
        found, outlier = Keypoints(points.names, rate, exact, np.ones(hidden.shape)), np.zeros(hidden.shape, bool)
        swapped, missing = outlier[..., : len(SWAPPED_LIMB_PAIRS)], ~_inside_image(exact, cameras)
    else:
        draw = partial(random_stream, seed, "detections", preset.name)
        harder = 1 + preset.foreshortened * segment_foreshortening(points, cameras) + preset.occluded * hidden
        noise = _wandering_noise(partial(draw, "noise", subject, trial), exact.shape, rate) * harder[..., None]
        xy = _places_with_noise(points, cameras, preset, draw=draw, subject=subject, size=size, noise=noise)
        outlier = rare_spells(
            draw("outliers", subject, trial), harder, preset.outliers, rate=rate, duration=OUTLIER_DURATION_S
        )
        xy += np.where(outlier[..., None], _outlier_displacements(draw("places", subject, trial), size, outlier), 0.0)
        confidence = _simulated_confidence(
            draw("confidence", subject, trial), preset, harder, noise=noise, outlier=outlier, rate=rate
        )
        swapped = _limb_swaps(draw("swaps", subject, trial), exact, size, preset=preset, rate=rate)
        found = exchange_sides(Keypoints(points.names, rate, xy, confidence), _swapped_points(points, swapped))
        missing = ~_inside_image(exact, cameras) | ~_inside_image(found.xy, cameras)
        missing |= rare_spells(
            draw("dropouts", subject, trial), 1 + 3 * hidden, preset.dropouts, rate=rate, duration=DROPOUT_DURATION_S
        )
    xy = np.where(missing[..., None], np.nan, found.xy)
    return Detected(
        keypoints=found.with_(xy=xy),
        exact=exact,
        size=size,
        hidden=hidden,
        outlier=outlier,
        missing=missing,
        swapped=swapped,
    )


def _wandering_noise(draw: Stream, shape: tuple[int, ...], rate: float) -> np.ndarray:
    """(frames, views, points, 2): slow and fast wandering and jitter, in standard deviations of a preset's noise."""
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
    """(frames, views, points, 2) px: the places that the detector means, with the biases of the views and the noise."""
    offsets = _detector_offsets(points, preset, draw, subject)
    meant = np.moveaxis(project_points(cameras, points.xyz + offsets), 0, 1)
    sd = np.array([preset.regions[_REGION_OF[name]].noise for name in points.names])
    bias = np.sqrt(BIAS_VARIANCE_SHARE) * _with_common(
        draw("bias", subject), 1, len(cameras), rate=points.rate, correlation_time=0.0
    )
    return meant + (sd * size[..., None])[..., None] * (bias + noise)


def _swapped_points(points: Markers, swapped: np.ndarray) -> np.ndarray:
    """(frames, views, points) bool: those of the pairs of limbs that are swapped."""
    found = np.zeros((*swapped.shape[:2], len(points.names)), bool)
    for k, limb in enumerate(SWAPPED_LIMB_PAIRS):
        found[:, :, points.indices(side + part for side in "LR" for part in limb)] = swapped[..., k, None]
    return found


_REGION_OF = {name: region for region, members in POINTS_BY_REGION.items() for name in members}


def _inside_image(xy: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """(frames, views, points) bool: within the image."""
    size = np.array([camera.size for camera in cameras], float)[:, None]
    with np.errstate(invalid="ignore"):
        return np.all((xy >= 0) & (xy <= size), axis=-1)


def _detector_offsets(points: Markers, preset: Preset, draw: Stream, subject: str) -> np.ndarray:
    """(frames, points, 3) m from the true place to the one that the detector means, turning with the body.

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
            # the mean square of the sum is that of the preset
            length = preset.regions[region].offset_m / np.sqrt(1 + 3 * INDIVIDUAL_OFFSET_SHARE**2)
            local[[points.index(member) for member in group]] = length * offset
    return np.einsum("fpij,pj->fpi", point_axes(points.names, points.xyz), local)


def _with_common(rng: np.random.Generator, frames: int, views: int, rate: float, correlation_time: float) -> np.ndarray:
    """(frames, views, points, 2) of variance one, of which `COMMON_VARIANCE_SHARE` is shared by the points of a
    region."""
    names = load_skeleton("simspine37").names
    regions = list(POINTS_BY_REGION)
    of = [regions.index(_REGION_OF[name]) for name in names]
    own = correlated_drift(rng, frames, (views, len(names), 2), rate=rate, correlation_time=correlation_time)
    shared = correlated_drift(rng, frames, (views, len(regions), 2), rate=rate, correlation_time=correlation_time)
    limbs = np.array(of) == regions.index("body")  # each joint for itself
    part = np.where(limbs, 0.0, COMMON_VARIANCE_SHARE)[:, None]
    return np.sqrt(1 - part) * own + np.sqrt(part) * shared[:, :, of]


def _outlier_displacements(rng: np.random.Generator, size: np.ndarray, spells: np.ndarray) -> np.ndarray:
    """Displacements (frames, views, points, 2) px in any direction, the same throughout a spell."""
    share, turn = np.moveaxis(uniform_per_spell(rng, spells), -1, 0)
    distance = size[..., None] * (OUTLIER_DISTANCES[0] + share * (OUTLIER_DISTANCES[1] - OUTLIER_DISTANCES[0]))
    return distance[..., None] * np.stack([np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)], -1)


def _simulated_confidence(rng, preset: Preset, harder: np.ndarray, noise: np.ndarray, outlier: np.ndarray, rate: float):
    """(frames, views, points), 0…1: lower for hard points and large noise, and wandering by itself."""
    far = np.linalg.norm(noise, axis=-1) / harder
    noticed = uniform_per_spell(rng, outlier)[..., 0] < LOW_CONFIDENCE_SHARE
    far = np.where(outlier, np.where(noticed, 15.0, np.median(far)), far)
    moods = 0.5 * correlated_drift(rng, len(harder), harder.shape[1:], rate=rate, correlation_time=0.3)
    odds = preset.confidence - 2.0 * np.log(harder) - 0.8 * np.log((0.3 + far) / 1.1) + moods
    return 1 / (1 + np.exp(-odds))


def _limb_swaps(rng, exact: np.ndarray, size: np.ndarray, preset: Preset, rate: float) -> np.ndarray:
    """(frames, views, pairs of limbs) bool: likelier where left and right are close together in the image."""
    names = load_skeleton("simspine37").names
    pairs = []
    for limb in SWAPPED_LIMB_PAIRS:
        apart = exact[:, :, names.index(f"L{limb[0]}")] - exact[:, :, names.index(f"R{limb[0]}")]
        pairs.append(0.1 + np.exp(-((np.linalg.norm(apart, axis=-1) / (0.05 * size)) ** 2)))
    return rare_spells(rng, np.stack(pairs, -1), preset.swaps, rate=rate, duration=SWAP_DURATION_S)
