"""The stage that fits the body to the person: what all trials say together of anatomy, standing curve and noise."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import brentq
from scipy.signal import savgol_filter

from simspine.body.anatomy import moves_of, varied
from simspine.body.recipes import Recipe, fit_markers, place_inferred
from simspine.body.scaling import ScaleFactors
from simspine.ik.person_fit import PersonFit, PersonProblem, fit_person
from simspine.pipeline.options import KinematicsOptions, Options
from simspine.pipeline.person import Person
from simspine.pipeline.sized_body import SizedBody, size_body
from simspine.pipeline.weights import as_views_agree, marker_errors, observations
from simspine.priors.assumptions import LinearPrior, Prior
from simspine.priors.rhythm import level_priors
from simspine.priors.standing_curve import about_curve, curve_names, on_curve
from simspine.skeletons.skin_names import on_skin
from simspine.spine.levels import CHAIN
from simspine.types import Markers, Origin

FRAMES = 150  # of all trials together
LEAST, MOST = 6, 60  # of one trial
BURST = (0.0, 0.3, 0.9)  # s: frames close together show how long errors last
ROUNDS = 5
SMOOTH, DEGREE = 0.3, 3  # s, of the polynomials that take out what changes from frame to frame (Savitzky & Golay 1964)


def body_of_person(
    trials: Sequence[Markers],
    recipe: str | Recipe,
    marker_set: str,
    options: Options,
    height: float | None = None,
    mass: float | None = None,
) -> tuple[SizedBody, ScaleFactors]:
    """The recipe's body at a person's size, fitted to all their trials. Arguments as of `size_body`."""
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
    known = _alike([fit_markers(sized.body, trial) for trial in trials])
    smooth = [_smooth(trial) for trial in known]
    fast = _mean(np.array([_fast(a, b) for a, b in zip(known, smooth, strict=True)]), 0)
    chosen = [_some(trial, len(trials)) for trial in smooth]
    moves = moves_of(sized.body, recipe.anatomy, recipe.articulation.chain)
    levels = level_priors(recipe.articulation.regions)
    own = curve_names(levels)
    placed = _place_sd(chosen[0])
    places = {f"place of {name}, {axis}": sd for name, sd in placed.items() for axis in "xyz"}
    names = (*(v.name for v in recipe.anatomy), *places, *own)
    anatomy = [LinearPrior({v.name: 1.0}, 0.0, v.sd, v.source) for v in recipe.anatomy]
    anatomy += [LinearPrior({name: 1.0}, 0.0, sd, "places of points") for name, sd in places.items()]
    lasting = Prior([*anatomy, *on_curve(levels)])
    base = sized.weights(marker_set) | dict(options.weights)
    options = as_views_agree(options, chosen[0])
    found, noise, worth = None, options, dict.fromkeys(chosen[0].names, 1.0)
    for _ in range(ROUNDS):
        by_name = {name: weight * worth.get(name, 1.0) for name, weight in base.items()}
        # Where the body itself is wrong it stays so while a posture lasts, whatever the detector's errors do.
        time = max(noise.error_correlation_s, options.error_correlation_s)
        held = noise.model_copy(update={"error_correlation_s": time})
        weighted = [observations(held, trial, by_name) for trial in chosen]
        problem = PersonProblem(
            sized.body, [m for m, _ in weighted], [w for _, w in weighted], moves, tuple(placed), names, lasting,
            Prior([*recipe.priors, *about_curve(levels)]), marker_errors(held, chosen[0]),
            [trial.frames / trial.rate for trial in trials],
        )  # fmt: skip
        found = fit_person(problem, None if found is None else found.found)
        noise, factor = _noise(held, problem, found, options)
        worth = {name: float(np.clip(worth[name] * factor[name], 1 / RANGE, RANGE)) for name in worth}
    assert found is not None
    count = len(moves)
    offsets = found.found.stays[count : count + len(places)].reshape(-1, 3)
    body = varied(sized.body, moves, found.found.stays[:count].tolist(), dict(zip(placed, offsets, strict=True)))
    body = place_inferred(body, recipe)
    learnt, worth = _with_fast(noise, worth, base, chosen[0], fast)
    sd = np.sqrt(np.diag(found.covariance))[:count]
    varied_by = {
        v.name: (float(x), float(s)) for v, x, s in zip(recipe.anatomy, found.found.stays[:count], sd, strict=True)
    }
    free = [body.coordinates.names[i] for i in body.tree.free]
    curve = slice(len(names) - len(own), None)
    person = Person(
        own, found.found.stays[curve], found.covariance[curve, curve], found.assumed[curve, curve], len(trials),
        learnt, worth, varied_by, dict(zip(free, found.carried.tolist(), strict=True)),
    )  # fmt: skip
    return replace(sized, body=body, person=person)


def _smooth(markers: Markers) -> Markers:
    """Positions without what changes from frame to frame; as they are where the window reaches over a gap or an end."""
    window = 2 * int(SMOOTH * markers.rate / 2) + 1
    if window <= DEGREE or window > markers.frames:
        return markers
    smooth = savgol_filter(markers.xyz, window, DEGREE, axis=0, mode="nearest")
    smooth[: window // 2] = smooth[-(window // 2) :] = np.nan
    return markers.with_(xyz=np.where(np.isfinite(smooth), smooth, markers.xyz))


def _fast(markers: Markers, smooth: Markers) -> np.ndarray:
    """(markers,) m²: variance of a coordinate that `_smooth` took out."""
    return _mean((markers.xyz - smooth.xyz) ** 2, (0, 2))


def _mean(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """Mean of what is there; NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis)
    return np.where(known, values, 0.0).sum(axis) / np.where(count > 0, count, np.nan)


def _with_fast(
    noise: KinematicsOptions, worth: Mapping[str, float], base: Mapping[str, float], markers: Markers, fast: np.ndarray
) -> tuple[dict[str, float], dict[str, float]]:
    """The options that were learnt, and factors on the weights, with the errors that had been taken out."""
    learnt = {"region_sd_m": noise.region_sd_m}
    found = dict(worth)
    shares = []
    for name, origin in (("marker_sd_m", Origin.DETECTED), ("given_sd_m", Origin.GIVEN)):
        slow = getattr(noise, name) ** 2
        learnt[name] = slow**0.5
        group = np.flatnonzero(markers.of_origin(origin) & np.isfinite(fast))
        if group.size:
            weight = np.array([base.get(markers.names[i], 1.0) for i in group])
            own = slow / np.array([worth[markers.names[i]] for i in group])  # of a marker of weight 1
            total = own + weight * fast[group]
            learnt[name] = float(np.sqrt(total.mean()))
            found |= {markers.names[i]: float(total.mean() / v) for i, v in zip(group, total, strict=True)}
            shares.append(float(np.mean(own / total)))
    learnt["error_correlation_s"] = noise.error_correlation_s * (shares[0] if shares else 1.0)
    return learnt, found


def _some(markers: Markers, trials: int) -> Markers:
    """Bursts of frames, evenly over the trial."""
    wanted = int(np.clip(FRAMES // trials, LEAST, MOST))
    steps = np.round(np.array(BURST) * markers.rate).astype(int)
    last = markers.frames - 1 - steps[-1]
    if last < 0 or markers.frames <= wanted:
        chosen = np.unique(np.linspace(0, markers.frames - 1, min(wanted, markers.frames)).astype(int))
    else:
        first = np.linspace(0, last, max(1, wanted // len(steps))).astype(int)
        chosen = np.unique(first[:, None] + steps)
    part = {"xyz": markers.xyz[chosen]}
    for name in ("weight", "filled", "covariance"):
        values = getattr(markers, name)
        part[name] = None if values is None else values[chosen]
    spacing = (markers.frames - 1) / markers.rate / max(1, len(chosen) - 1)
    return markers.with_(**part, rate=1 / max(spacing, 1 / markers.rate))


def _alike(trials: Sequence[Markers]) -> list[Markers]:
    shared = [name for name in trials[0].names if all(name in trial.names for trial in trials)]
    return [trial.select(shared) for trial in trials]


PLACE_SD = {Origin.DETECTED: 0.02, Origin.GIVEN: 0.012}  # m, of limbs and head
CHAIN_PLACE_SD = 0.005
ENDS_PLACE_SD = 0.015  # of the sacrum and the atlas, which have no body whose centre is agreed on
ENDS = ("Hip", "Neck_03")


def _place_sd(markers: Markers) -> dict[str, float]:
    """{marker: m}, how far off its place on a person's body a point may lie."""
    skin, found = on_skin(markers.names), {}
    for origin, sd in PLACE_SD.items():
        for name in markers.names_of(origin):
            if name not in skin:
                found[name] = ENDS_PLACE_SD if name in ENDS else CHAIN_PLACE_SD if name in CHAIN else sd
    return found


def _noise(
    options: KinematicsOptions, problem: PersonProblem, fit: PersonFit, configured: KinematicsOptions
) -> tuple[KinematicsOptions, dict[str, float]]:
    """Standard deviations and correlation time that make what was found likeliest, a step of expectation maximisation;
    and by which factor the weight of each marker changes.

    What was configured is assumed to be right within a factor `WITHIN`, and a marker to be like its group.
    """
    first = problem.trials[0]
    weights = np.concatenate(problem.weights) / problem.errors.sd**2
    w = np.where(weights > 0, weights, np.nan)[:, :, None]
    score = w * (np.minimum(fit.residual**2, options.loss_from_sd**2 / w) + fit.spread)
    frames = sum(trial.frames for trial in problem.trials)
    sharing = max(1.0, frames / float(problem.independent.sum()))
    update, factor = {}, dict.fromkeys(first.names, 1.0)
    for name, origin in (("marker_sd_m", Origin.DETECTED), ("given_sd_m", Origin.GIVEN)):
        group = np.flatnonzero(first.of_origin(origin) & np.isfinite(score).any((0, 2)))
        if group.size:
            own, assumed = getattr(options, name), getattr(configured, name)
            count = np.isfinite(score[:, group]).sum((0, 2)) / sharing
            total = np.nansum(score[:, group], (0, 2)) / sharing
            variance = _likeliest(total.sum() / count.sum(), count.sum(), (assumed / own) ** 2)
            update[name] = float(max(FLOOR, own * np.sqrt(variance)))
            each = [_likeliest(t / max(n, 1e-9), n, variance) for t, n in zip(total, count, strict=True)]
            factor |= {first.names[i]: float(variance / v) for i, v in zip(group, each, strict=True)}
    regions = [i for i, e in enumerate(problem.errors.shared) if len(e.markers) > 1]
    if regions:
        shape = (len(problem.trials), -1, 3)
        squares = (fit.found.offsets**2 + fit.offset_variance).reshape(shape)[:, regions].ravel()
        variance = _likeliest(float(squares.mean()), squares.size, configured.region_sd_m**2)
        update["region_sd_m"] = float(max(FLOOR, np.sqrt(variance)))
    detected = first.of_origin(Origin.DETECTED)
    along = np.isin(first.names, CHAIN) & detected
    along = along if along.any() else detected  # a detector that does not see the spine
    update["error_correlation_s"] = _correlation_time(problem, fit, along, configured.error_correlation_s)
    return options.model_copy(update=update), factor


WITHIN = np.e  # of a standard deviation, one standard deviation of its logarithm
RANGE = 4.0  # a marker is worth at most so many times more or less than its marker set says
# m: bodies are wrong by as much. With less, exact points along the spine draw so hard that wrists are given up.
FLOOR = 0.003


def _likeliest(mean_square: float, count: float, assumed: float) -> float:
    """The variance that is likeliest after `count` normal numbers of this mean square; log-normal about `assumed`."""

    def slope(log: float) -> float:
        return count * (1 - mean_square / np.exp(log)) + (log - np.log(assumed)) / (2 * np.log(WITHIN) ** 2)

    bounds = np.log(sorted((max(mean_square, 1e-12), assumed)))
    return float(np.exp(brentq(slope, bounds[0] - 1e-9, bounds[1] + 1e-9)))


def _correlation_time(problem: PersonProblem, fit: PersonFit, group: np.ndarray, default: float) -> float:
    """s: twice the integral of the autocorrelation of residuals, from frames of a burst."""
    size, first, bursts = len(BURST), 0, []
    if not group.any():
        return default
    for trial in problem.trials:
        own = fit.residual[first : first + trial.frames][:, group]
        first += trial.frames
        if trial.frames % size == 0:
            bursts.append(own.reshape(-1, size, *own.shape[1:]))
    if not bursts:
        return default
    burst = np.concatenate(bursts)
    products = _mean(burst[:, :1] * burst, (0, 3))  # (lags, markers)
    products = products[:, products[0] > 0]
    if not products.size:
        return default
    near, far = np.clip(np.nanmedian(products[1:] / products[0], axis=1), 1e-3, 0.999)
    longest = float(np.mean(problem.seconds)) / 2
    time = min(longest, (BURST[2] - BURST[1]) / max(np.log(max(near, far) / far), 1e-2))
    share = min(1.0, max(near, far) * np.exp(BURST[1] / time))
    return float(np.clip(2 * share * time, 0.02, 30.0))
