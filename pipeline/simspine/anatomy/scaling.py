"""Segment sizes from marker distances: measured, checked, solved together, applied.

A distance between two markers often spans several segments (shoulder to hip: thorax, lumbar spine, pelvis), so the
factors are solved together: the scaled body, in the measuring pose, has exactly the measured distances.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Real

import numpy as np

from simspine.anatomy import osim as _opensim
from simspine.anatomy.body import Body, neutral_motion
from simspine.anatomy.marker_sets import Segment, read_skin_table
from simspine.anatomy.options import ScalingOptions
from simspine.anatomy.recipes import Recipe, place_inferred, read_recipe
from simspine.anatomy.tree import all_poses, scaled_tree
from simspine.core.errors import InputError
from simspine.core.skeletons import is_skin_marker
from simspine.core.types import Markers

MASS_LIMITS_KG = (5.0, 300.0)
PLAUSIBLE_STATURES_M = (1.0, 2.3)  # m; outside this range the unit or the points are wrong
MIN_FRAMES = 5  # fewest frames of a measured distance
DEFAULT_OPTIONS = ScalingOptions()


@dataclass(frozen=True)
class Side:
    """One measured distance between two markers, m. spread: half the interquartile range of the frames used."""

    markers: tuple[str, str]
    measured: float
    spread: float
    model: float
    frames: int


@dataclass(frozen=True)
class SegmentFactor:
    """Size of a segment relative to the unscaled body. sides: the distances that measure it; empty where `assumed`."""

    segment: str
    bodies: tuple[str, ...]
    factor: float
    assumed: bool
    reason: str
    sides: tuple[Side, ...] = ()
    asymmetry: float | None = None


@dataclass(frozen=True)
class ScaleFactors:
    """Factors of all segments; stature (m) of the scaled body, its ratio to the unscaled one's; the height given.

    doubt: why the stature may be wrong; '' without a reason.
    """

    factors: tuple[SegmentFactor, ...]
    stature: float
    stature_factor: float
    height: float | None = None
    doubt: str = ""

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


# kg/m², chosen: pounds taken for kilograms make 21 to 25 into 46 to 55; the thinnest children have some 12.
_USUAL_MASS_INDICES = (10.0, 45.0)
_UPRIGHT_SEGMENTS = {"torso", "thigh", "shank"}  # that make up most of the stature
# Of the height that is given, by which the measured stature may be smaller or larger without a warning. A bent trunk is
# shorter: of 40 synthetic people, 4 ± 2 % who walk and 7 ± 2 % who sit.
_HEIGHT_TOLERANCE_SHARES = (0.1, 0.05)
# m: medians of women and men in the United States (NHANES 2003–2006: McDowell 2008, National Health Statistics Reports
# 10, tables 10 and 12; grade B), less and plus twice their standard deviations. For others, a height confirms it.
_USUAL_STATURES_M = (1.62 - 2 * 0.07, 1.76 + 2 * 0.075)
_OTHER_LIMITS = (
    "If so, set scaling.min_factor or scaling.max_factor (in Python Options(scaling={'min_factor': 0.5}), for "
    "`simspine add-spine` --min-factor 0.5); body and priors are an adult's."
)


def check_stature(height: float | None) -> None:
    """`InputError` for a height (m) that no person has; None is not known."""
    shortest, tallest = PLAUSIBLE_STATURES_M
    if height is not None and not (isinstance(height, Real) and height is not True and shortest <= height <= tallest):
        raise InputError(f"height is {height!s:.9} m, expected {shortest} to {tallest} m. Is the unit right?")


def measure_factors(
    body: Body,
    markers: Markers,
    recipe: str | Recipe = "coupled",
    *,
    height: float | None = None,
    limits: ScalingOptions = DEFAULT_OPTIONS,
) -> ScaleFactors:
    """Scale factors of the segments of `recipe` from the distances between markers.

    body: unscaled. markers: in any frame of reference; interpolated points are not used. Each distance is the median
    over the frames that have both markers, without extremes; a segment's sides are averaged. Distances across the
    trunk are those of its straighter frames: bending shortens them. A segment without enough frames gets the stature
    factor (height / stature of the unscaled body, if `height` in m is given), else the mean of those measured, and is
    marked `assumed`.

    Raises `InputError` naming segment and numbers for a factor beyond the limits, for sides that differ by more than
    they allow, and where nothing can be measured.
    """
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    check_stature(height)
    sides_by_segment = {segment.name: _measured_sides(body, markers, segment, recipe) for segment in recipe.segments}
    measured = {name: sides for name, sides in sides_by_segment.items() if sides}
    if not measured:
        wanted = "; ".join(f"{s.name}: {', '.join('–'.join(pair) for pair in s.pairs)}" for s in recipe.segments)
        raise InputError(
            f"no segment can be measured: no pair of markers is present together in at least "
            f"{MIN_FRAMES} frames. Pairs wanted: {wanted}. Markers given: {', '.join(markers.names)}."
        )
    unscaled = model_stature(body, recipe, {})
    sizes = _solve_segment_sizes(body, recipe, measured, None if height is None else height / unscaled)
    middle = float(np.median([sizes[name] for name in measured]))
    if len(measured) > 2 and not limits.min_factor <= middle <= limits.max_factor:
        raise InputError(
            f"all segments together would be scaled by {middle:.2f} (median), outside {limits.min_factor:g}…"
            f"{limits.max_factor:g}. Are the points in metres? Is the calibration of these images: unit, image size, "
            f"focal lengths of all cameras? {_OTHER_LIMITS}"
        )
    factors = tuple(_segment_factor(s, sizes[s.name], sides_by_segment[s.name], limits) for s in recipe.segments)
    stature = model_stature(body, recipe, {name: f.factor for f in factors for name in f.bodies})
    size = stature / unscaled
    small = min(1.0, size) if size >= limits.min_factor else 1.0  # a child's segments differ in proportion as well
    for factor in factors:
        _check_segment_factor(factor, limits.min_factor * small, limits.max_factor)
    doubt = _doubt_of_stature(stature, height, limits) if measured.keys() >= _UPRIGHT_SEGMENTS else ""
    if doubt:
        warnings.warn(f"{doubt} Is the unit right, and with cameras the length of the board's squares?", stacklevel=2)
    return ScaleFactors(factors, stature, stature / unscaled, height=height, doubt=doubt)


def _doubt_of_stature(stature: float, height: float | None, limits: ScalingOptions) -> str:
    """Why a measured stature (m) may be wrong; '' without a reason."""
    (shortest, tallest), (less, more) = _USUAL_STATURES_M, _HEIGHT_TOLERANCE_SHARES
    expects_adult = height is None and limits.min_factor >= DEFAULT_OPTIONS.min_factor
    if height is not None and not -less <= stature / height - 1 <= more:
        reason = f"the height given is {height:g} m"
    elif expects_adult and not shortest <= stature <= tallest:
        reason = f"most adults are {shortest:.2f} to {tallest:.2f} m, and no height is given"
    else:
        return ""
    return f"the points make the person {stature:.2f} m tall; {reason}."


def scale_body(body: Body, factors: ScaleFactors, mass: float | None = None, recipe: str | Recipe = "coupled") -> Body:
    """The body with its segments scaled (geometry, joints, markers, inertia) by OpenSim's `Model.scale`.

    mass: kg; shared among the bodies as in the unscaled model; by default it grows with the cube of the stature. The
    inferred markers are placed anew (see `recipes.place_inferred`).
    """
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    model = _opensim.load_opensim_model(body.osim)
    state = model.initSystem()
    if mass is None:
        mass = model.getTotalMass(state) * factors.stature_factor**3
    elif not (isinstance(mass, Real) and MASS_LIMITS_KG[0] < mass < MASS_LIMITS_KG[1]):
        raise InputError(f"mass is {mass} kg, expected one between {MASS_LIMITS_KG[0]:g} and {MASS_LIMITS_KG[1]:g} kg.")
    elif not _USUAL_MASS_INDICES[0] < (index := mass / factors.stature**2) < _USUAL_MASS_INDICES[1]:
        text = f"{mass:g} kg at a stature of {factors.stature:.2f} m make a body-mass index of {index:.3g} kg/m²"
        warnings.warn(f"{text}. Is the mass right, in kilograms?", stacklevel=2)
    if not _opensim.scale_opensim_model(model, factors.by_body, mass):
        raise InputError(f"OpenSim could not scale body {body.name!r} with factors {factors.by_segment}.")
    _keep_skin_depth(model, factors.by_body)
    scaled = Body.of_model(model, f"scaled model {body.name!r}")
    return place_inferred(scaled, recipe)


def _keep_skin_depth(model, factors: Mapping[str, float]) -> None:
    """Keep the distance of skin markers behind the bone as in the unscaled body: a person's size does not predict
    the depth of the tissue (opensim_models/skin.yaml)."""
    osim, markers = _opensim.opensim_api(), model.updMarkerSet()
    table = read_skin_table()
    for name in is_skin_marker([markers.get(i).getName() for i in range(markers.getSize())]):
        marker = markers.get(name)
        body = marker.getParentFrameName().split("/")[-1]
        offset, (place,) = marker.get_location(), table.of([name]).values()
        forward = offset.get(0) + (factors.get(body, 1.0) - 1.0) * place.depth
        marker.set_location(osim.Vec3(forward, offset.get(1), offset.get(2)))


def _measured_sides(body: Body, markers: Markers, segment: Segment, recipe: Recipe) -> tuple[Side, ...]:
    """The measured distances of a segment; () if a side cannot be measured."""
    known = set(markers.names) & set(body.marker_names)
    if not all(set(pair) <= known for pair in segment.pairs):
        return ()
    lengths = np.array([marker_distances(markers, *pair) for pair in segment.pairs])
    if segment.bends:
        # sideways bending lengthens one side and shortens the other: take the mean in each frame; forward bending
        # shortens both: take the longer half of the frames
        mean = lengths.mean(0)
        with np.errstate(invalid="ignore"):
            lengths = np.where(mean >= np.nanmedian(mean) if np.isfinite(mean).any() else False, lengths, np.nan)
    sides = []
    model_lengths = _model_distances(body, recipe, segment.pairs, {}).tolist()
    for pair, length, model in zip(segment.pairs, lengths, model_lengths, strict=True):
        kept = length[np.isfinite(length)]
        if len(kept) < MIN_FRAMES:
            return ()
        low, middle, high = np.percentile(kept, [25, 50, 75])
        sides.append(
            Side(markers=pair, measured=float(middle), spread=float(high - low) / 2, model=model, frames=len(kept))
        )
    return tuple(sides)


def marker_distances(markers: Markers, a: str, b: str) -> np.ndarray:
    i, j = markers.indices((a, b))
    length = np.linalg.norm(markers.xyz[:, i] - markers.xyz[:, j], axis=-1)
    if markers.filled is not None:
        length = np.where(markers.filled[:, [i, j]].any(1), np.nan, length)
    return length


def _solve_segment_sizes(
    body: Body, recipe: Recipe, measured: Mapping[str, Sequence[Side]], stature_factor: float | None
) -> dict[str, float]:
    """Size of each segment such that the model's mean distance over a segment's sides is the measured one.

    Fixed-point iteration; it converges since each distance depends most on its own segment.
    """
    sizes = {segment.name: 1.0 for segment in recipe.segments}
    carried = {name: s.name for s in recipe.segments for name in s.bodies}
    for _ in range(200):
        by_body = {name: sizes[segment] for name, segment in carried.items()}
        step = {}
        for name, sides in measured.items():
            model_length = _model_distances(body, recipe, [side.markers for side in sides], by_body).mean()
            step[name] = float(sizes[name] * np.mean([side.measured for side in sides]) / model_length)
        rest = stature_factor or float(np.mean(list(step.values())))
        new = {name: step.get(name, rest) for name in sizes}
        change = max(abs(new[name] - sizes[name]) for name in sizes)
        sizes = new
        if change < 1e-12:
            return sizes
        if not all(np.isfinite(list(sizes.values()))) or max(sizes.values()) > 1e3 or min(sizes.values()) < 1e-3:
            break
    distances = ", ".join(f"{'–'.join(s.markers)} {s.measured:.3f} m" for sides in measured.values() for s in sides)
    raise InputError(f"no body has these distances between its markers: {distances}. Is the unit metres?")


def _model_distances(
    body: Body, recipe: Recipe, pairs: Sequence[tuple[str, str]], by_body: Mapping[str, float]
) -> np.ndarray:
    """(pairs,) m between the markers of each pair in the measuring pose, bodies scaled by `by_body`."""
    x = _scaled_poses(body, recipe.measuring_pose, by_body)[2]
    indices = np.array([[body.marker_index(name) for name in pair] for pair in pairs])
    return np.linalg.norm(x[indices[:, 1]] - x[indices[:, 0]], axis=-1)


def _scaled_poses(body: Body, pose: Mapping[str, float], by_body: Mapping[str, float]):
    """Rotations and origins of the bodies, ground first, and markers (markers, 3) m of the scaled body in a pose."""
    factors = np.array([1.0, *(by_body.get(name, 1.0) for name in body.bodies)])
    R, p, x = all_poses(scaled_tree(body.tree, factors), neutral_motion(body, pose).values)
    return R[0], p[0], x[0]


def _segment_factor(segment: Segment, size: float, sides: tuple[Side, ...], limits: ScalingOptions) -> SegmentFactor:
    asymmetry = None
    if len(sides) == 2:
        left, right = (side.measured for side in sides)
        asymmetry = abs(left - right) / ((left + right) / 2)
        limit = max(limits.max_asymmetry, segment.max_asymmetry or 0.0)
        if asymmetry > limit and not segment.bends:
            raise InputError(
                f"segment {segment.name!r}: {'–'.join(sides[0].markers)} measures {left:.3f} m and "
                f"{'–'.join(sides[1].markers)} {right:.3f} m, a difference of {100 * asymmetry:.1f} % "
                f"(allowed: {100 * limit:.1f} %). Look at the points of that segment (exchanged sides? wrong person?), "
                "or raise scaling.max_asymmetry (`simspine add-spine` --max-asymmetry)."
            )
    reason = "" if sides else "its markers are missing; sized like the rest of the body"
    return SegmentFactor(
        segment.name, segment.bodies, factor=size, assumed=not sides, reason=reason, sides=sides, asymmetry=asymmetry
    )


def _check_segment_factor(factor: SegmentFactor, low: float, high: float) -> None:
    if low <= factor.factor <= high:
        return
    numbers = ", ".join(f"{'–'.join(s.markers)} {s.measured:.3f} m (model {s.model:.3f} m)" for s in factor.sides)
    raise InputError(
        f"segment {factor.segment!r} would be scaled by {factor.factor:.3f}, outside {low:.2g}…{high:g}: "
        f"{numbers or factor.reason}. Are the points in metres, of one person, its sides never exchanged? "
        f"{_OTHER_LIMITS}"
    )


def model_stature(body: Body, recipe: Recipe, by_body: Mapping[str, float]) -> float:
    """Height (m) of the vertex over the soles in the neutral pose, of the body scaled by `by_body`."""
    R, p, _ = _scaled_poses(body, {}, by_body)
    top, soles = recipe.stature_top, [1 + body.bodies.index(name) for name in recipe.sole_bodies]
    carrier = 1 + body.bodies.index(top.body)
    vertex = p[carrier] + by_body.get(top.body, 1.0) * R[carrier] @ np.array(top.offset)
    return float(np.mean(vertex[1] - p[soles, 1])) + recipe.sole_height
