"""The stage that fits the body to the person: what all trials say together of anatomy, standing curve and noise."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from simspine.anatomy.articulation import carried_vertebrae, spine_levels
from simspine.anatomy.body import Body, neutral_poses
from simspine.anatomy.curvature import (
    LUMBAR_LEVELS,
    SACRAL_TILT_SD,
    SPINE_LEVELS,
    SPINE_MARKERS,
    THORACIC_LEVELS,
    Level,
    VertebraeOfBody,
    displace_vertebrae,
    read_endplates,
    scale_vertebrae,
    with_tilted_sacrum,
)
from simspine.anatomy.person_variation import (
    OWN_TILT_NAME,
    SACRAL_TILT,
    curve_names,
    curve_prior,
    joint_moves_of,
    levels_given_curve,
    vary_joint_places,
)
from simspine.anatomy.priors import LevelPrior, LinearPrior, Prior, level_priors
from simspine.anatomy.recipes import (
    Recipe,
    build_body,
    default_weights,
    fit_markers,
    place_inferred,
    read_prior,
    read_recipe,
    vertebra_markers,
    virtual_spine_markers,
)
from simspine.anatomy.scaling import ScaleFactors, ScalingLimits, measure_factors, scale_body
from simspine.anatomy.vertebrae import forced_by_model
from simspine.core.errors import mean_of_known
from simspine.core.geometry import off_vertical
from simspine.core.skeletons import is_skin_marker
from simspine.core.types import Forced, Markers, Origin
from simspine.estimation.noise import (
    BURST_TIMES_S,
    MAX_WEIGHT_FACTOR,
    add_white_noise,
    detector_error_share,
    ik_inputs,
    lasting_error_share,
    learnt_noise,
    marker_errors_of,
    seen_shares_by_marker,
    smooth_positions,
    tightened_by_view_agreement,
    white_noise_variance,
)
from simspine.estimation.options import KinematicsOptions, ScalingOptions
from simspine.estimation.person import (
    LASTING_PLACE_SD_M,
    Displacement,
    Person,
    carried_along,
    own_centroids,
    personal_prior,
    point_places_of,
)
from simspine.estimation.person_fit import PersonProblem, solve_person

# The stage that sizes the body: markers of all trials of a person → the recipe's body at the person's size.


@dataclass(frozen=True, eq=False)
class SizedBody:
    """A body at a person's size, and what its recipe says of it. factors: {body: scale}, 1 where absent. person: what
    else all trials said, where the body was fitted to them.
    """

    body: Body
    recipe: Recipe
    factors: Mapping[str, float]
    person: Person | None = None

    @cached_property
    def vertebrae(self) -> VertebraeOfBody:
        """Centroids and endplates on the bodies that carry them, the sacrum's as far as the person's is known."""
        found = scale_vertebrae(carried_vertebrae(self.recipe.partition, read_endplates()), self.factors)
        if self.person is None:
            return found
        return with_tilted_sacrum(displace_vertebrae(found, self.person.places), self.person.sacral_tilt[0])

    @property
    def sacral_tilt_sd(self) -> float:
        """rad: how unsure the tilt of the sacrum's endplate is."""
        return SACRAL_TILT_SD if self.person is None else self.person.sacral_tilt[1]

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """The levels of the spine, with their coordinates."""
        return spine_levels_of(self.recipe)

    @cached_property
    def trunk(self) -> tuple[str, ...]:
        """Free coordinates of the lumbar and thoracic levels."""
        trunk = (level for level in self.levels if level.name in (*LUMBAR_LEVELS, *THORACIC_LEVELS))
        return tuple(name for level in trunk for name in level.coordinates if name in self.ranges)

    @cached_property
    def limbs(self) -> tuple[str, ...]:
        """Free coordinates that move no part of the spine: those of arms, legs and shoulder girdle."""
        tree, bodies = self.body.tree, self.body.bodies
        spine = {body for level in self.levels for body in (level.parent, level.child)} & set(bodies)
        moving = {int(k) for body in spine for k in tree.columns_of(bodies.index(body) + 1)}
        return tuple(self.body.coordinates.names[c] for k, c in enumerate(tree.free) if k not in moving)

    @cached_property
    def forced(self) -> dict[str, tuple[Forced, ...]]:
        """What the model leaves no freedom, see `simspine.anatomy.vertebrae`."""
        coordinates = self.body.coordinates
        locked = [name for name, held in zip(coordinates.names, coordinates.locked, strict=True) if held]
        return forced_by_model(self.body.couplers, self.vertebrae, locked=locked, levels=self.levels)

    @cached_property
    def prior(self) -> Prior:
        """The recipe's, about this person's standing curve where that is known."""
        return read_prior(self.recipe) if self.person is None else personal_prior(self.person, self.recipe)

    def weights(self, marker_set: str) -> dict[str, float]:
        """Weights of inverse kinematics by marker name."""
        return default_weights(self.recipe, marker_set)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """{free coordinate: (lower, upper)} rad or m."""
        c = self.body.coordinates
        return {c.names[i]: (float(c.lower[i]), float(c.upper[i])) for i in np.flatnonzero(c.free)}


def spine_levels_of(recipe: Recipe) -> tuple[Level, ...]:
    """The levels of a recipe's body, with their coordinates."""
    return SPINE_LEVELS if recipe.articulation is None else spine_levels(recipe.articulation)


def size_body(
    trials: Sequence[Markers],
    recipe: str | Recipe,
    marker_set: str,
    options: ScalingOptions,
    height: float | None = None,
    mass: float | None = None,
    skin_height: float = 0.007,
) -> tuple[SizedBody, ScaleFactors]:
    """The recipe's body at a person's size, by the distances of markers.

    trials: markers of all trials of the person, y_up. marker_set: where a detector's points are on the body. height (m)
    and mass (kg) where they are known. skin_height: how far centres of markers on the skin are above it, m.
    """
    recipe = read_recipe(recipe) if isinstance(recipe, str) else recipe
    skin = dict.fromkeys(name for markers in trials for name in is_skin_marker(markers.names))
    unscaled = build_body(recipe, marker_set, tuple(skin), skin_height)
    factors = measure_factors(
        unscaled,
        stack_trials(trials),
        recipe,
        height=height,
        limits=ScalingLimits(**options.model_dump(exclude={"anatomy"})),
    )
    return SizedBody(scale_body(unscaled, factors, mass, recipe), recipe, factors.by_body), factors


def stack_trials(trials: Sequence[Markers]) -> Markers:
    """All trials one after another, with the markers they share."""
    shared = [name for name in trials[0].names if all(name in markers.names for markers in trials)]
    chosen = [markers.select(shared) for markers in trials]
    filled = [np.zeros(m.present.shape, bool) if m.filled is None else m.filled for m in chosen]
    weight = [np.ones(m.present.shape) if m.weight is None else m.weight for m in chosen]
    return chosen[0].with_(
        xyz=np.concatenate([m.xyz for m in chosen]),
        weight=np.concatenate(weight),
        filled=np.concatenate(filled),
        covariance=None,
    )


def femur_lengths(body: Body) -> dict[str, float]:
    """{'left', 'right': hip centre to knee centre, m} in the model's default pose."""
    poses = neutral_poses(body)
    return {
        side: float(np.linalg.norm(poses[f"femur_{s}"][:3, 3] - poses[f"tibia_{s}"][:3, 3]))
        for side, s in (("left", "l"), ("right", "r"))
    }


MAX_POSTURES = 150  # of all trials together
MIN_POSTURES_PER_TRIAL, MAX_POSTURES_PER_TRIAL = 6, 60  # of one trial
MIN_MARKERS_PER_POSTURE = 3  # that a posture takes at least
NOISE_ROUNDS = 5
POSTURE_DURATION_S = 1.0  # s: as long as a posture lasts, the body is wrong in the same way
# What a detector is off by in all trials, over what its offsets differ by from trial to trial. A half lies between what
# suits a detector that errs alike in everybody (1 or more) and one that errs anew in each trial (0): with 0, a half and
# 1 the former's points are 28.8, 25.6 and 23.3 mm off, vertebrae by the latter's 9.3, 10.7 and 13.8 mm
# (docs/accuracy-of-recordings.md).
DETECTOR_BIAS_RATIO = 0.5
MIN_DETECTOR_SHARE_FOR_BIAS = (
    0.5  # of the variance of lasting errors, from where on a detector's offset in all trials tells of its others
)
MAX_THIGH_TILT_RAD, MAX_TRUNK_TILT_RAD = np.radians(20.0), np.radians(15.0)  # from upright, of who stands
FrameCheck = Callable[[Markers], np.ndarray]  # of markers to frames, (frames,) bool
UPRIGHT_POINTS = tuple(side + name for side in "LR" for name in ("Knee", "Hip", "Shoulder"))


def fit_to_person(
    sized: SizedBody, trials: Sequence[Markers], marker_set: str, options: KinematicsOptions, exchanged: FrameCheck
) -> SizedBody:
    """The body with its joints where all trials of the person put them, and what is known of the person.

    trials: y_up. exchanged: in which frames left and right, or head and feet, are exchanged. A recipe
    without `anatomy`, and engines without priors, leave the body as it is.
    """
    recipe = sized.recipe
    if not recipe.anatomy or recipe.articulation is None or options.engine != "trajectory":
        return sized
    base = sized.weights(marker_set) | dict(options.weights)
    seen = _without_swapped_frames(
        [
            (t, _frames_with_enough_markers(options, t, base))
            for t in _padded_to_common_markers([fit_markers(sized.body, t) for t in trials])
        ],
        exchanged,
    )
    if not seen:
        return sized  # the solver says so, trial by trial
    known = [trial for trial, _ in seen]
    smooth = [smooth_positions(trial) for trial in known]
    fast = mean_of_known(np.array([white_noise_variance(a, b) for a, b in zip(known, smooth, strict=True)]), 0)
    some = [_sampled_in_bursts(trial, shown, len(known)) for trial, (_, shown) in zip(smooth, seen, strict=True)]
    chosen, bursts = [part for part, _ in some], [burst for _, burst in some]
    moves = joint_moves_of(sized.body, recipe.anatomy, recipe.articulation.chain)
    levels = level_priors(recipe.articulation.regions)
    places = point_places_of(chosen[0])
    own, (others, assumed, upright) = curve_names(levels), _population_prior(recipe, levels)
    names = (*(v.name for v in recipe.anatomy), *places.names, *places.region_names, *own, *others)
    at = slice(len(moves), len(names) - len(own) - len(others))
    curve = slice(at.stop, at.stop + len(own))
    stands = [_is_standing(part) for part in chosen]
    options = tightened_by_view_agreement(options, chosen[0])
    found, noise, worth = None, options, dict.fromkeys(chosen[0].names, 1.0)
    lasting_sd = LASTING_PLACE_SD_M
    on_bones = (*virtual_spine_markers(sized.body).values(), *vertebra_markers(sized.body).values())
    points = [name for name in SPINE_MARKERS if name in sized.body.marker_names]
    followed = dict.fromkeys(on_bones, ()) | {point: places.region_of(point) for point in points}
    for _ in range(NOISE_ROUNDS):
        by_name = {name: weight * worth.get(name, 1.0) for name, weight in base.items()}
        # Where the body itself is wrong it stays so for a while, whatever the detector's errors do. Were every frame
        # taken to say something new, what points are off by together would bend and lengthen the body.
        time = max(noise.error_correlation_s, options.error_correlation_s, POSTURE_DURATION_S)
        held = noise.model_copy(update={"error_correlation_s": time})
        weighted = [ik_inputs(held, trial, by_name) for trial in chosen]
        lasting = Prior([*assumed, *places.priors(lasting_sd, _detector_bias_sd(places.regions, noise))])
        problem = PersonProblem(
            body=sized.body,
            trials=[m for m, _ in weighted],
            weights=[w for _, w in weighted],
            moves=moves,
            placed=places.points,
            names=names,
            lasting=lasting,
            posture=Prior([*recipe.priors, *levels_given_curve(levels)]),
            errors=marker_errors_of(held, chosen[0]),
            seconds=[trial.frames / trial.rate for trial in known],
            followed=followed,
            upright=upright,
            standing=stands,
        )
        found = solve_person(problem, None if found is None else found.found)
        offsets, variance, always, unsure = places.apart(found.found.stays[at], found.covariance[at, at])
        tell = _squared_bias_in_all_trials(places.regions, noise, always**2 + unsure)
        part, memory = lasting_error_share(problem, found, bursts, options.error_correlation_s)
        noise, factor = learnt_noise(
            held, problem, found, configured=options, correlation_s=2 * part * memory, always=tell
        )
        worth = {
            name: float(np.clip(worth[name] * factor[name], 1 / MAX_WEIGHT_FACTOR, MAX_WEIGHT_FACTOR)) for name in worth
        }
        lasting_used, lasting_sd = lasting_sd, places.lasting_sd(offsets, variance)
    assert found is not None
    count = len(moves)
    limbs = len(places.sd)
    centroids = own_centroids(
        sized.body, places.spine, offsets[limbs:], variance=variance[limbs:], lasting_sd=lasting_used
    )
    moved = dict(zip(places.points, offsets, strict=True)) | carried_along(sized.body, centroids)
    body = vary_joint_places(sized.body, moves, found.found.stays[:count].tolist(), moved)
    body = place_inferred(body, recipe)
    shares, lasting_shared = seen_shares_by_marker(problem, found)
    learnt, worth, lasts, misfit = add_white_noise(
        noise, worth, base, trials=known, fast=fast, seen=shares, lasting=part
    )
    sd = np.sqrt(np.diag(found.covariance))[:count]
    in_everybody = np.array([noise.off_in_everybody(region) for region in places.regions]).reshape(-1, 3)
    varied_by = {
        v.name: (float(x), float(s)) for v, x, s in zip(recipe.anatomy, found.found.stays[:count], sd, strict=True)
    }
    anyone = np.linalg.inv(np.linalg.inv(found.assumed)[curve, curve])
    person = Person(
        names=own,
        mean=found.found.stays[curve],
        covariance=found.covariance[curve, curve],
        assumed=anyone,
        trials=len(known),
        noise=learnt,
        worth=worth,
        anatomy=varied_by,
        carried=dict(zip(body.free_names, found.carried.tolist(), strict=True)),
        centroids=centroids,
        lasting=lasts,
        misfit=misfit,
        lasting_shared=lasting_shared,
        always=_displacements_by_name(places.regions, always + in_everybody, unsure),
        unsure=dict(zip(followed, found.unsure.tolist(), strict=True)),
        left=found.left,
    )
    return replace(sized, body=body, person=person)


def _detector_bias_sd(regions: Iterable[str], noise: KinematicsOptions) -> dict[str, float]:
    """m: how far what a region's points are off by in all trials of a person may be from what they are in everybody, or
    from nothing where that was not measured."""
    told = noise.detector_offsets
    # Points without lasting errors of their own were marked by hand, or projected, by one who knows their places.
    assumed = DETECTOR_BIAS_RATIO * noise.region_sd_m * detector_error_share(noise.marker_sd_m) ** 0.5
    return {region: told[region].sd_m if region in told else assumed for region in regions}


def _squared_bias_in_all_trials(regions: Iterable[str], noise: KinematicsOptions, squares: np.ndarray) -> np.ndarray:
    """m²: what squares of what regions are off by in all trials, (regions, 3), say of what they are off by in one."""
    detectors = detector_error_share(noise.marker_sd_m)
    if detectors <= MIN_DETECTOR_SHARE_FOR_BIAS:
        return np.empty(0)
    return squares[[region not in noise.detector_offsets for region in regions]].ravel() / (
        DETECTOR_BIAS_RATIO**2 * detectors
    )


def _population_prior(recipe: Recipe, levels: Sequence[LevelPrior]) -> tuple[tuple[str, ...], list[LinearPrior], Prior]:
    """What stays beside variations, places and curve; priors on all that stays but places, and on frames in which the
    person stands."""
    priors, pelvis = [LinearPrior({v.name: 1.0}, 0.0, v.sd, v.source) for v in recipe.anatomy], recipe.pelvis
    if pelvis is None:
        return (), [*priors, *curve_prior(levels, {})], Prior()
    priors += [*curve_prior(levels, pelvis.incidence), pelvis.population_prior(SACRAL_TILT in curve_names(levels))]
    return (OWN_TILT_NAME,), priors, Prior([pelvis.prior_about_own_tilt()])


def _is_standing(markers: Markers) -> np.ndarray:
    """(frames,) bool: thighs and trunk upright, within `MAX_THIGH_TILT_RAD` and `MAX_TRUNK_TILT_RAD`; where they are
    not seen, not."""
    if not set(UPRIGHT_POINTS) <= set(markers.names):
        return np.zeros(markers.frames, bool)
    thighs, trunk = (
        np.maximum(*(off_vertical(markers, side + lower, side + upper) for side in "LR"))
        for lower, upper in (("Knee", "Hip"), ("Hip", "Shoulder"))
    )
    return (thighs < MAX_THIGH_TILT_RAD) & (trunk < MAX_TRUNK_TILT_RAD)


def _displacements_by_name(names: Iterable[str], found: np.ndarray, variance: np.ndarray) -> dict[str, Displacement]:
    """By name, of (names, 3) m, and m²."""
    each = zip(names, found.tolist(), variance.mean(1).tolist(), strict=True)
    return {name: Displacement((x, y, z), v**0.5) for name, (x, y, z), v in each}


def _sampled_in_bursts(markers: Markers, shown: np.ndarray, trials: int) -> tuple[Markers, np.ndarray]:
    """Frames evenly over those that show a posture, in bursts where the trial is long enough; and which of them make a
    burst, (bursts, 3).
    """
    wanted = int(np.clip(MAX_POSTURES // trials, MIN_POSTURES_PER_TRIAL, MAX_POSTURES_PER_TRIAL))
    steps = np.round(np.array(BURST_TIMES_S) * markers.rate).astype(int)
    begin = shown[shown < markers.frames - steps[-1]]
    if not begin.size or markers.frames <= wanted:
        chosen = shown[np.unique(np.linspace(0, shown.size - 1, min(wanted, shown.size)).astype(int))]
        bursts = np.zeros((0, len(steps)), int)
    else:
        evenly = np.linspace(0, begin.size - 1, max(1, wanted // len(steps))).astype(int)
        together = begin[evenly][:, None] + steps
        chosen = np.unique(together)
        bursts = np.searchsorted(chosen, together)
    part = {"xyz": markers.xyz[chosen]}
    for name in ("weight", "filled", "covariance"):
        values = getattr(markers, name)
        part[name] = None if values is None else values[chosen]
    spacing = (markers.frames - 1) / markers.rate / max(1, len(chosen) - 1)
    return markers.with_(**part, rate=1 / max(spacing, 1 / markers.rate)), bursts


def _frames_with_enough_markers(
    options: KinematicsOptions, markers: Markers, weights: Mapping[str, float]
) -> np.ndarray:
    """Indices of the frames that show enough for a posture."""
    weighted, w = ik_inputs(options, markers, weights)
    return np.flatnonzero(((w > 0) & weighted.present).sum(1) >= MIN_MARKERS_PER_POSTURE)


def _without_swapped_frames(
    seen: Sequence[tuple[Markers, np.ndarray]], exchanged: FrameCheck
) -> list[tuple[Markers, np.ndarray]]:
    """Trials with the indices of the frames to fit, if any: those in which left and right, or head and feet, are
    exchanged tell of another body than the person's. Where all are such, all are left."""
    sound = [(trial, shown[~exchanged(trial)[shown]]) for trial, shown in seen]
    return [pair for pair in sound if pair[1].size] or [pair for pair in seen if pair[1].size]


def _padded_to_common_markers(trials: Sequence[Markers]) -> list[Markers]:
    """With the same names: a marker that a trial lacks is missing in all its frames."""
    origin = {name: of for trial in trials for name, of in zip(trial.names, trial.origins, strict=True)}
    return [_with_all_names(trial, origin) for trial in trials]


def _with_all_names(markers: Markers, origin: Mapping[str, Origin]) -> Markers:
    lacking = [name for name in origin if name not in markers.names]

    def padded(values: np.ndarray | None, fill: float) -> np.ndarray | None:
        if values is None:
            return None
        return np.concatenate([values, np.full((len(values), len(lacking), *values.shape[2:]), fill, values.dtype)], 1)

    fills = {"xyz": np.nan, "weight": 0.0, "covariance": np.nan, "filled": False}
    arrays = {field: padded(getattr(markers, field), fill) for field, fill in fills.items()}
    origins = (*markers.origins, *(origin[name] for name in lacking))
    return markers.with_(names=(*markers.names, *lacking), origin=origins, **arrays).select(list(origin))
