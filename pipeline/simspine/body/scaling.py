"""Segment sizes from marker distances: measured, checked, solved together, applied.

A distance between two markers often spans several segments (shoulder to hip: thorax, lumbar spine, pelvis), so the
factors are solved together: the scaled body, in the measuring pose, has exactly the measured distances.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from simspine.body import _opensim
from simspine.body.model import Body
from simspine.body.paths import Path, distance, marker_paths, vector
from simspine.body.recipes import Recipe, Segment, place_inferred, read_recipe
from simspine.errors import InputError
from simspine.types import Markers

STATURES = (1.0, 2.3)  # m; outside of it a unit is wrong or the points are


@dataclass(frozen=True)
class Side:
    """One measured distance between two markers, m. spread: half the interquartile range of the frames used."""

    markers: tuple[str, str]
    measured: float
    spread: float
    model: float
    frames: int


@dataclass(frozen=True)
class Factor:
    """Size of a segment relative to the unscaled body. sides: what it was measured by; empty where `assumed`."""

    segment: str
    bodies: tuple[str, ...]
    factor: float
    assumed: bool
    reason: str
    sides: tuple[Side, ...] = ()
    asymmetry: float | None = None


@dataclass(frozen=True)
class ScaleFactors:
    """Factors of all segments; stature (m) of the scaled body, its ratio to the unscaled one's; the height given."""

    factors: tuple[Factor, ...]
    stature: float
    stature_factor: float
    height: float | None = None

    @property
    def by_body(self) -> dict[str, float]:
        """{body: factor}; bodies of no segment are left out (factor 1)."""
        return {name: f.factor for f in self.factors for name in f.bodies}

    @property
    def by_segment(self) -> dict[str, float]:
        return {f.segment: f.factor for f in self.factors}

    def as_dict(self) -> dict:
        """For a JSON file."""
        return asdict(self)


def measure_factors(
    body: Body,
    markers: Markers,
    recipe: str | Recipe = "coupled",
    *,
    height: float | None = None,
    min_factor: float = 0.7,
    max_factor: float = 1.4,
    max_asymmetry: float = 0.08,
    trim: float = 0.2,
    min_frames: int = 5,
) -> ScaleFactors:
    """Scale factors of the segments of `recipe` from the distances between markers.

    body: unscaled. markers: in any frame of reference; interpolated points are not used. Each distance is the median
    over the frames that have both markers, without the share `trim` of extremes (half at each end); a segment's sides
    are averaged. Distances across the trunk are those of its straighter frames: bending shortens them. A segment
    without `min_frames` frames gets the stature factor (height / stature of the unscaled body, if `height` in m is
    given), else the mean of those measured, and is marked `assumed`.

    Raises `InputError` naming segment and numbers for a factor outside min_factor … max_factor, for sides that differ
    by more than max_asymmetry of their mean, and where nothing can be measured.
    """
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    if not 0 <= trim < 1:
        raise InputError(f"trim is {trim}, expected a share from 0 up to (not including) 1.")
    if height is not None and not STATURES[0] <= height <= STATURES[1]:
        raise InputError(f"height is {height:g} m, expected {STATURES[0]} to {STATURES[1]} m. Is the unit right?")
    measured = {}
    for segment in recipe.segments:
        sides = _sides(body, markers, segment, trim, min_frames)
        if sides:
            measured[segment.name] = sides
    if not measured:
        wanted = "; ".join(f"{s.name}: {', '.join('–'.join(pair) for pair in s.pairs)}" for s in recipe.segments)
        raise InputError(
            f"no segment can be measured: no pair of markers is present together in at least {min_frames} frames. "
            f"Pairs wanted: {wanted}. Markers given: {', '.join(markers.names)}."
        )
    paths = marker_paths(body, recipe.measuring_pose)
    sizes = _solve(recipe, measured, paths, None if height is None else height / _stature(body, recipe))
    factors = tuple(_factor(s, sizes[s.name], measured.get(s.name, ()), paths, max_asymmetry) for s in recipe.segments)
    for factor in factors:
        _check(factor, min_factor, max_factor)
    by_body = {name: f.factor for f in factors for name in f.bodies}
    stature = _stature(body, recipe, by_body)
    return ScaleFactors(factors, stature, stature / _stature(body, recipe), height)


def scale(body: Body, factors: ScaleFactors, mass: float | None = None, recipe: str | Recipe = "coupled") -> Body:
    """The body with its segments scaled (geometry, joints, markers, inertia) by OpenSim's `Model.scale`.

    mass: kg; shared among the bodies as in the unscaled model; by default it grows with the cube of the stature. The
    inferred markers are placed anew (see `recipes.place_inferred`).
    """
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    osim = _opensim.api()
    model = _opensim.load(body.osim)
    state = model.initSystem()
    if mass is None:
        mass = model.getTotalMass(state) * factors.stature_factor**3
    if not (np.isfinite(mass) and mass > 0):
        raise InputError(f"mass is {mass} kg, expected a positive number.")
    scale_set = osim.ScaleSet()
    for name, factor in factors.by_body.items():
        entry = osim.Scale()
        entry.setSegmentName(name)
        entry.setScaleFactors(osim.Vec3(factor, factor, factor))
        entry.setApply(True)
        scale_set.cloneAndAppend(entry)
    if not model.scale(state, scale_set, True, float(mass)):
        raise InputError(f"OpenSim could not scale body {body.name!r} with factors {factors.by_segment}.")
    scaled = Body.from_text(_opensim.text(model), f"scaled model {body.name!r}")
    return place_inferred(scaled, recipe)


def _sides(body: Body, markers: Markers, segment: Segment, trim: float, min_frames: int) -> list[tuple]:
    """(pair, measured length, spread, frames) of each side, or nothing if a side cannot be measured."""
    known = set(markers.names) & set(body.marker_names)
    if not all(set(pair) <= known for pair in segment.pairs):
        return []
    lengths = np.array([_lengths(markers, *pair) for pair in segment.pairs])
    if segment.bends:
        # sideways bending lengthens one side and shortens the other: take the mean in each frame; forward bending
        # shortens both: take the longer half of the frames
        mean = lengths.mean(0)
        with np.errstate(invalid="ignore"):
            lengths = np.where(mean >= np.nanmedian(mean) if np.isfinite(mean).any() else False, lengths, np.nan)
    sides = []
    for pair, length in zip(segment.pairs, lengths, strict=True):
        kept = _trimmed(length[np.isfinite(length)], trim)
        if len(kept) < min_frames:
            return []
        low, middle, high = np.percentile(kept, [25, 50, 75])
        sides.append((pair, float(middle), float(high - low) / 2, len(kept)))
    return sides


def _lengths(markers: Markers, a: str, b: str) -> np.ndarray:
    i, j = markers.indices((a, b))
    length = np.linalg.norm(markers.xyz[:, i] - markers.xyz[:, j], axis=-1)
    if markers.filled is not None:
        length = np.where(markers.filled[:, [i, j]].any(1), np.nan, length)
    return length


def _trimmed(values: np.ndarray, share: float) -> np.ndarray:
    """The values without the lowest and highest share/2."""
    cut = int(len(values) * share / 2)
    return np.sort(values)[cut : len(values) - cut]


def _solve(
    recipe: Recipe, measured: Mapping, paths: Mapping[str, Path], stature_factor: float | None
) -> dict[str, float]:
    """Factor of each segment such that the model's mean distance over a segment's sides is the measured one.

    Fixed-point iteration; it converges since each distance depends most on its own segment.
    """
    sizes = {segment.name: 1.0 for segment in recipe.segments}
    carried = {name: s.name for s in recipe.segments for name in s.bodies}
    for _ in range(200):
        by_body = {name: sizes[segment] for name, segment in carried.items()}
        step = {}
        for name, sides in measured.items():
            now = np.mean([distance(paths[a], paths[b], by_body) for (a, b), *_ in sides])
            step[name] = float(sizes[name] * np.mean([side[1] for side in sides]) / now)
        rest = stature_factor or float(np.mean(list(step.values())))
        new = {name: step.get(name, rest) for name in sizes}
        change = max(abs(new[name] - sizes[name]) for name in sizes)
        sizes = new
        if change < 1e-12:
            return sizes
        if not all(np.isfinite(list(sizes.values()))) or max(sizes.values()) > 1e3 or min(sizes.values()) < 1e-3:
            break
    found = ", ".join(f"{a}–{b} {length:.3f} m" for sides in measured.values() for (a, b), length, *_ in sides)
    raise InputError(f"no body has these distances between its markers: {found}. Is the unit metres?")


def _factor(segment: Segment, size: float, sides: Sequence, paths: Mapping[str, Path], max_asymmetry: float) -> Factor:
    if not sides:
        return Factor(
            segment.name, segment.bodies, size, True, "its markers are missing; sized like the rest of the body"
        )
    reported = tuple(
        Side(pair, measured, spread, distance(paths[pair[0]], paths[pair[1]], {}), frames)
        for pair, measured, spread, frames in sides
    )
    asymmetry = None
    if len(reported) == 2:
        left, right = (side.measured for side in reported)
        asymmetry = abs(left - right) / ((left + right) / 2)
        limit = max_asymmetry if segment.max_asymmetry is None else max(max_asymmetry, segment.max_asymmetry)
        if asymmetry > limit and not segment.bends:
            raise InputError(
                f"segment {segment.name!r}: {'–'.join(reported[0].markers)} measures {left:.3f} m and "
                f"{'–'.join(reported[1].markers)} {right:.3f} m, a difference of {100 * asymmetry:.1f} % "
                f"(allowed: {100 * limit:.1f} %). Look at the points of that segment (exchanged sides? wrong person?), "
                "or raise max_asymmetry."
            )
    return Factor(segment.name, segment.bodies, size, False, "", reported, asymmetry)


def _check(factor: Factor, low: float, high: float) -> None:
    if low <= factor.factor <= high:
        return
    numbers = ", ".join(f"{'–'.join(s.markers)} {s.measured:.3f} m (model {s.model:.3f} m)" for s in factor.sides)
    raise InputError(
        f"segment {factor.segment!r} would be scaled by {factor.factor:.3f}, outside {low:g}…{high:g}: "
        f"{numbers or factor.reason}. Are the points in metres, and of one person? "
        "If so, change min_factor or max_factor."
    )


def _stature(body: Body, recipe: Recipe, by_body: Mapping[str, float] | None = None) -> float:
    """Height (m) of the vertex over the soles in the neutral pose, of the body scaled by `by_body`."""
    top, sole = recipe.stature_top, recipe.sole_bodies
    paths = marker_paths(body, {}, {"top": (top.body, top.offset)} | {name: (name, (0.0, 0.0, 0.0)) for name in sole})
    factors = by_body or {}
    vertical = [vector(paths[name], paths["top"], factors)[1] for name in sole]
    return float(np.mean(vertical)) + recipe.sole_height
