"""The stage that fits the body to the person: what all trials say together of anatomy, standing curve and noise."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from simspine.arrays import mean_of_known
from simspine.body.anatomy import moves_of, varied
from simspine.body.recipes import Recipe, fit_markers, place_inferred, vertebra_markers, virtual_spine_markers
from simspine.body.scaling import ScaleFactors
from simspine.geometry import off_vertical
from simspine.ik.options import KinematicsOptions
from simspine.ik.person_fit import PersonProblem, fit_person
from simspine.pipeline.fast_errors import fast_variance, smoothed, with_fast
from simspine.pipeline.noise import BURST, RANGE, detectors_share, lasting_part, learnt_noise, seen_shares
from simspine.pipeline.options import Options
from simspine.pipeline.person import Displacement, Person
from simspine.pipeline.point_places import LASTING_SD, carried_along, own_centroids, places_of
from simspine.pipeline.sized_body import SizedBody, size_body
from simspine.pipeline.weights import as_views_agree, marker_errors, observations
from simspine.priors.assumptions import LinearPrior, Prior
from simspine.priors.rhythm import LevelPrior, level_priors
from simspine.priors.standing_curve import SACRAL_TILT, about_curve, curve_names, on_curve
from simspine.priors.standing_pelvis import OWN
from simspine.quality.side_checks import exchanged
from simspine.spine.levels import SPINE_MARKERS
from simspine.types import Markers, Origin

FRAMES = 150  # of all trials together
LEAST, MOST = 6, 60  # of one trial
MARKERS = 3  # that a posture takes at least
ROUNDS = 5
POSTURE = 1.0  # s: as long as a posture lasts, the body is wrong in the same way
# What a detector is off by in all trials, over what its offsets differ by from trial to trial. A half lies between what
# suits a detector that errs alike in everybody (1 or more) and one that errs anew in each trial (0): with 0, a half and
# 1 the former's points are 28.8, 25.6 and 23.3 mm off, vertebrae by the latter's 9.3, 10.7 and 13.8 mm
# (docs/accuracy-of-recordings.md).
ALWAYS = 0.5
TELLING = 0.5  # of the variance of lasting errors, from where on a detector's offset in all trials tells of its others
THIGH, TRUNK = np.radians(20.0), np.radians(15.0)  # from upright, of who stands
UPRIGHT = tuple(side + name for side in "LR" for name in ("Knee", "Hip", "Shoulder"))


def body_of_person(
    trials: Sequence[Markers],
    recipe: str | Recipe,
    marker_set: str,
    options: Options,
    height: float | None = None,
    mass: float | None = None,
) -> tuple[SizedBody, ScaleFactors]:
    """The recipe's body at a person's size, fitted to all their trials. Arguments as of `size_body`.

    Markers of weight 0 take no part.
    """
    trials = [markers.without_zero_weights() for markers in trials]
    sized, factors = size_body(
        trials, recipe, marker_set, options.scaling, height, mass, options.body.skin_marker_height_m
    )
    if options.scaling.anatomy:
        sized = fit_to_person(sized, trials, marker_set, options.ik)
    return sized, factors


def fit_to_person(
    sized: SizedBody, trials: Sequence[Markers], marker_set: str, options: KinematicsOptions
) -> SizedBody:
    """The body with its joints where all trials of the person put them, and what is known of the person.

    trials: y_up. A recipe without `anatomy`, and engines without priors, leave the body as it is.
    """
    recipe = sized.recipe
    if not recipe.anatomy or recipe.articulation is None or options.engine != "trajectory":
        return sized
    base = sized.weights(marker_set) | dict(options.weights)
    seen = _sound([(t, _shown(options, t, base)) for t in _alike([fit_markers(sized.body, t) for t in trials])])
    if not seen:
        return sized  # the solver says so, trial by trial
    known = [trial for trial, _ in seen]
    smooth = [smoothed(trial) for trial in known]
    fast = mean_of_known(np.array([fast_variance(a, b) for a, b in zip(known, smooth, strict=True)]), 0)
    some = [_some(trial, shown, len(known)) for trial, (_, shown) in zip(smooth, seen, strict=True)]
    chosen, bursts = [part for part, _ in some], [burst for _, burst in some]
    moves = moves_of(sized.body, recipe.anatomy, recipe.articulation.chain)
    levels = level_priors(recipe.articulation.regions)
    places = places_of(chosen[0])
    own, (others, assumed, upright) = curve_names(levels), _of_anyone(recipe, levels)
    names = (*(v.name for v in recipe.anatomy), *places.names, *places.region_names, *own, *others)
    at = slice(len(moves), len(names) - len(own) - len(others))
    curve = slice(at.stop, at.stop + len(own))
    stands = [_stands(part) for part in chosen]
    options = as_views_agree(options, chosen[0])
    found, noise, worth = None, options, dict.fromkeys(chosen[0].names, 1.0)
    lasting_sd = LASTING_SD
    on_bones = (*virtual_spine_markers(sized.body).values(), *vertebra_markers(sized.body).values())
    points = [name for name in SPINE_MARKERS if name in sized.body.marker_names]
    followed = dict.fromkeys(on_bones, ()) | {point: places.region_of(point) for point in points}
    for _ in range(ROUNDS):
        by_name = {name: weight * worth.get(name, 1.0) for name, weight in base.items()}
        # Where the body itself is wrong it stays so for a while, whatever the detector's errors do. Were every frame
        # taken to say something new, what points are off by together would bend and lengthen the body.
        time = max(noise.error_correlation_s, options.error_correlation_s, POSTURE)
        held = noise.model_copy(update={"error_correlation_s": time})
        weighted = [observations(held, trial, by_name) for trial in chosen]
        lasting = Prior([*assumed, *places.priors(lasting_sd, _always_sd(places.regions, noise))])
        problem = PersonProblem(
            sized.body, [m for m, _ in weighted], [w for _, w in weighted], moves, places.points, names, lasting,
            Prior([*recipe.priors, *about_curve(levels)]), marker_errors(held, chosen[0]),
            [trial.frames / trial.rate for trial in known], followed, upright, stands,
        )  # fmt: skip
        found = fit_person(problem, None if found is None else found.found)
        offsets, variance, always, unsure = places.apart(found.found.stays[at], found.covariance[at, at])
        tell = _telling(places.regions, noise, always**2 + unsure)
        part, memory = lasting_part(problem, found, bursts, options.error_correlation_s)
        noise, factor = learnt_noise(held, problem, found, options, 2 * part * memory, tell)
        worth = {name: float(np.clip(worth[name] * factor[name], 1 / RANGE, RANGE)) for name in worth}
        lasting_used, lasting_sd = lasting_sd, places.lasting_sd(offsets, variance)
    assert found is not None
    count = len(moves)
    limbs = len(places.sd)
    centroids = own_centroids(sized.body, places.spine, offsets[limbs:], variance[limbs:], lasting_used)
    moved = dict(zip(places.points, offsets, strict=True)) | carried_along(sized.body, centroids)
    body = varied(sized.body, moves, found.found.stays[:count].tolist(), moved)
    body = place_inferred(body, recipe)
    shares, lasting_shared = seen_shares(problem, found)
    learnt, worth, lasts, misfit = with_fast(noise, worth, base, known, fast, shares, part)
    sd = np.sqrt(np.diag(found.covariance))[:count]
    in_everybody = np.array([noise.off_in_everybody(region) for region in places.regions]).reshape(-1, 3)
    varied_by = {
        v.name: (float(x), float(s)) for v, x, s in zip(recipe.anatomy, found.found.stays[:count], sd, strict=True)
    }
    anyone = np.linalg.inv(np.linalg.inv(found.assumed)[curve, curve])
    person = Person(
        own, found.found.stays[curve], found.covariance[curve, curve], anyone, len(known),
        learnt, worth, varied_by, dict(zip(body.free_names, found.carried.tolist(), strict=True)), centroids,
        lasts, misfit, lasting_shared,
        _displacements(places.regions, always + in_everybody, unsure),
        dict(zip(followed, found.unsure.tolist(), strict=True)), found.left,
    )  # fmt: skip
    return replace(sized, body=body, person=person)


def _always_sd(regions: Iterable[str], noise: KinematicsOptions) -> dict[str, float]:
    """m: how far what a region's points are off by in all trials of a person may be from what they are in everybody, or
    from nothing where that was not measured."""
    told = noise.detector_offsets
    # Points without lasting errors of their own were marked by hand, or projected, by one who knows their places.
    assumed = ALWAYS * noise.region_sd_m * detectors_share(noise.marker_sd_m) ** 0.5
    return {region: told[region].sd_m if region in told else assumed for region in regions}


def _telling(regions: Iterable[str], noise: KinematicsOptions, squares: np.ndarray) -> np.ndarray:
    """m²: what squares of what regions are off by in all trials, (regions, 3), say of what they are off by in one."""
    detectors = detectors_share(noise.marker_sd_m)
    if detectors <= TELLING:
        return np.empty(0)
    return squares[[region not in noise.detector_offsets for region in regions]].ravel() / (ALWAYS**2 * detectors)


def _of_anyone(recipe: Recipe, levels: Sequence[LevelPrior]) -> tuple[tuple[str, ...], list[LinearPrior], Prior]:
    """What stays beside variations, places and curve; priors on all that stays but places, and on frames in which the
    person stands."""
    priors, pelvis = [LinearPrior({v.name: 1.0}, 0.0, v.sd, v.source) for v in recipe.anatomy], recipe.pelvis
    if pelvis is None:
        return (), [*priors, *on_curve(levels, {})], Prior()
    priors += [*on_curve(levels, pelvis.incidence), pelvis.of_anyone(SACRAL_TILT in curve_names(levels))]
    return (OWN,), priors, Prior([pelvis.about_own()])


def _stands(markers: Markers) -> np.ndarray:
    """(frames,) bool: thighs and trunk upright, within `THIGH` and `TRUNK`; where they are not seen, not."""
    if not set(UPRIGHT) <= set(markers.names):
        return np.zeros(markers.frames, bool)
    thighs, trunk = (
        np.maximum(*(off_vertical(markers, side + lower, side + upper) for side in "LR"))
        for lower, upper in (("Knee", "Hip"), ("Hip", "Shoulder"))
    )
    return (thighs < THIGH) & (trunk < TRUNK)


def _displacements(names: Iterable[str], found: np.ndarray, variance: np.ndarray) -> dict[str, Displacement]:
    """By name, of (names, 3) m, and m²."""
    each = zip(names, found.tolist(), variance.mean(1).tolist(), strict=True)
    return {name: Displacement((x, y, z), v**0.5) for name, (x, y, z), v in each}


def _some(markers: Markers, shown: np.ndarray, trials: int) -> tuple[Markers, np.ndarray]:
    """Frames evenly over those that show a posture, in bursts where the trial is long enough; and which of them make a
    burst, (bursts, 3).
    """
    wanted = int(np.clip(FRAMES // trials, LEAST, MOST))
    steps = np.round(np.array(BURST) * markers.rate).astype(int)
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


def _shown(options: KinematicsOptions, markers: Markers, weights: Mapping[str, float]) -> np.ndarray:
    """Indices of the frames that show enough for a posture."""
    weighted, w = observations(options, markers, weights)
    return np.flatnonzero(((w > 0) & weighted.present).sum(1) >= MARKERS)


def _sound(seen: Sequence[tuple[Markers, np.ndarray]]) -> list[tuple[Markers, np.ndarray]]:
    """Trials with the indices of the frames to fit, if any: those in which left and right, or head and feet, are
    exchanged tell of another body than the person's. Where all are such, all are left."""
    sound = [(trial, shown[~exchanged(trial)[shown]]) for trial, shown in seen]
    return [pair for pair in sound if pair[1].size] or [pair for pair in seen if pair[1].size]


def _alike(trials: Sequence[Markers]) -> list[Markers]:
    """With the same names: a marker that a trial lacks is missing in all its frames."""
    origin = {name: of for trial in trials for name, of in zip(trial.names, trial.origins, strict=True)}
    return [_with_all(trial, origin) for trial in trials]


def _with_all(markers: Markers, origin: Mapping[str, Origin]) -> Markers:
    lacking = [name for name in origin if name not in markers.names]

    def padded(values: np.ndarray | None, fill: float) -> np.ndarray | None:
        if values is None:
            return None
        return np.concatenate([values, np.full((len(values), len(lacking), *values.shape[2:]), fill, values.dtype)], 1)

    fills = {"xyz": np.nan, "weight": 0.0, "covariance": np.nan, "filled": False}
    arrays = {field: padded(getattr(markers, field), fill) for field, fill in fills.items()}
    origins = (*markers.origins, *(origin[name] for name in lacking))
    return markers.with_(names=(*markers.names, *lacking), origin=origins, **arrays).select(list(origin))
