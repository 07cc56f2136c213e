"""What a marker is worth to inverse kinematics: its weight by origin, its standard deviation, errors that it shares."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from simspine.body.skin import read_skin_table
from simspine.ik.options import KinematicsOptions
from simspine.priors.assumptions import MarkerErrors, SharedError
from simspine.skeletons.regions import SPINE_REGIONS
from simspine.skeletons.skin_names import of_tape, on_skin
from simspine.types import FROM_DETECTOR, Markers, Origin

# Views that agree to a millimetre come from a source that knows its points (marked by hand, projected), not from a
# detector whose idea of a point is centimetres off. Three times what their disagreement says, since some errors are
# common to all views; and never less than what bodies are wrong by as a rule, unless a fit to the person learns better.
BEYOND_VIEWS = 3.0
MISFIT = 0.003  # m
# Of the error of a point behind the trunk's outline: the part that its levels share, and the part that is each one's.
# On synthetic subjects with four cameras the errors of two levels correlate by 0.8 to 0.9 (benchmarks/silhouettes.py).
SILHOUETTE_SHARED, SILHOUETTE_OWN = 0.9, 0.45


def as_views_agree(options: KinematicsOptions, markers: Markers) -> KinematicsOptions:
    """The options with smaller standard deviations of a detector's points where views agree better than these say."""
    detected = markers.of_origin(*FROM_DETECTOR) & ~_on_skin(markers)
    if markers.covariance is None or not detected.any():
        return options
    variance = np.einsum("tmii->tm", markers.covariance[:, detected]) / 3
    if not np.isfinite(variance).any():
        return options
    sd = max(MISFIT, BEYOND_VIEWS * float(np.sqrt(np.nanmedian(variance))))
    smaller = {"marker_sd_m": min(sd, options.marker_sd_m), "region_sd_m": min(sd, options.region_sd_m)}
    return options.model_copy(update=smaller)


def marker_errors(options: KinematicsOptions, markers: Markers, misfit_time: float = 0.0) -> MarkerErrors:
    """How far the markers are off, for the trajectory engine. misfit_time: see `MarkerErrors`."""
    return MarkerErrors(
        sd=options.marker_sd_m,
        correlation_time=options.error_correlation_s,
        counted_once=_spine_points(markers),
        misfit_time=misfit_time,
        shared=shared_errors(options, markers),
        use_covariance=options.use_covariance,
        loss=options.loss,
        loss_from=options.loss_from_sd,
    )


def _spine_points(markers: Markers) -> tuple[str, ...]:
    """Points of the spine from a detector, whose levels turn slowly."""
    spine = {name for names in SPINE_REGIONS.values() for name in names}
    return tuple(name for name in markers.names_of(*FROM_DETECTOR) if name in spine)


def shared_errors(options: KinematicsOptions, markers: Markers) -> tuple[SharedError, ...]:
    """What points of a detector may be off by throughout a recording; motion capture errs by itself.

    Points of one region of the spine err together, about what they are off by in everybody where that is known; a
    marker on the skin by how well the bone under it is known.
    """
    detected = markers.names_of(*FROM_DETECTOR)
    members = {region: tuple(n for n in detected if n in names) for region, names in SPINE_REGIONS.items()}
    sd = options.region_sd_m
    found = [
        SharedError(region, names, sd, mean=options.off_in_everybody(region), in_space=True)
        for region, names in members.items()
        if len(names) > 1 and sd > 0
    ]
    outlined = markers.names_of(Origin.SILHOUETTE)
    if outlined:
        found.append(SharedError("silhouette", outlined, SILHOUETTE_SHARED * float(silhouette_sd(markers).mean())))
    dots = of_tape(detected)
    single = read_skin_table().of(name for name in on_skin(detected) if name not in dots)
    return (*found, *(SharedError(name, (name,), place.sd) for name, place in single.items()), *_tape_errors(dots))


def _tape_errors(dots: Sequence[str]) -> Iterator[SharedError]:
    """Dots of a tape err alike with their neighbours: errors at knots along it, and in between a mixture of both."""
    if not dots:
        return
    table, knots = read_skin_table(), _knots(dots)
    along = np.array([table.along(name) for name in dots])
    for k, knot in enumerate(knots):
        shares = np.interp(along, knots, np.eye(len(knots))[k])
        level = table.landmark_at(float(knot))
        (place,) = table.of([level]).values()
        chosen = np.flatnonzero(shares)
        if chosen.size:
            names = tuple(dots[int(i)] for i in chosen)
            yield SharedError(f"tape at {level}", names, place.sd, shares=tuple(float(shares[i]) for i in chosen))


def _knots(dots: Sequence[str]) -> np.ndarray:
    """(knots,) m along the skin, from the first dot to the last, about one correlation length apart."""
    table = read_skin_table()
    along = [table.along(name) for name in dots]
    first, last = min(along), max(along)
    return np.linspace(first, last, max(2, round((last - first) / table.correlation) + 1))


def silhouette_sd(markers: Markers) -> np.ndarray:
    """(silhouette points,) m: standard deviation of a coordinate of each, over its frames."""
    assert markers.covariance is not None  # such points come with one
    variance = np.einsum("tmii->tm", markers.covariance[:, markers.of_origin(Origin.SILHOUETTE)]) / 3
    return np.sqrt(variance.mean(0))


def observations(
    options: KinematicsOptions, markers: Markers, by_name: Mapping[str, float]
) -> tuple[Markers, np.ndarray]:
    """Markers and weights (frames, markers) as inverse kinematics takes them. by_name: weights of the marker set."""
    weights = fit_weights(options, markers, by_name)
    if options.engine != "trajectory" or not options.use_covariance or markers.covariance is None:
        return markers, weights
    return _with_own_errors(options, markers, by_name), (weights > 0).astype(float)


def fit_weights(options: KinematicsOptions, markers: Markers, by_name: Mapping[str, float]) -> np.ndarray:
    """(frames, markers): weight of the marker set × confidence.

    A marker from motion capture is worth more by the ratio of the variances. An inferred marker is no measurement: the
    trajectory engine, which has priors for what is not observed, leaves it out; the frame-wise ones, which have none,
    keep it with its low weight. In the trajectory engine a marker on the skin, and one behind the trunk's outline, is
    worth what its own error says; the frame-wise engines take the marker set's word instead.
    """
    weights = np.tile([by_name.get(name, 1.0) for name in markers.names], (markers.frames, 1))
    confidence = np.ones(weights.shape) if markers.weight is None else markers.weight
    inferred = markers.of_origin(Origin.INFERRED)
    given = (options.marker_sd_m / options.given_sd_m) ** 2
    worth = np.where(markers.of_origin(Origin.GIVEN), given, 1.0)
    if options.engine != "trajectory":
        return np.where(inferred, weights, worth * weights * confidence)
    worth[inferred] = 0.0
    worth[_on_skin(markers)] = (options.marker_sd_m / read_skin_table().noise) ** 2
    dots = of_tape(markers.names)
    if dots:  # the skin moves over the bone with all dots of a knot, which together count as one marker
        worth[np.isin(markers.names, dots)] *= min(1.0, len(_knots(dots)) / len(dots))
    outlined = markers.of_origin(Origin.SILHOUETTE)
    if outlined.any():
        worth[outlined] = (options.marker_sd_m / (SILHOUETTE_OWN * silhouette_sd(markers))) ** 2
    return worth * weights * confidence


def _on_skin(markers: Markers) -> np.ndarray:
    """(markers,) bool."""
    return np.isin(markers.names, on_skin(markers.names))


def _with_own_errors(options: KinematicsOptions, markers: Markers, by_name: Mapping[str, float]) -> Markers:
    """The markers with the covariance of all their errors, as `MarkerErrors.use_covariance` takes it.

    That is the covariance of a position plus sd²/w (sd: marker_sd_m, of motion capture given_sd_m; w: the marker set's
    weight), of which inverse kinematics adds marker_sd_m² itself. Confidence is in the covariance already.
    """
    w = np.array([by_name.get(name, 1.0) for name in markers.names])
    sd = np.where(markers.of_origin(Origin.GIVEN), options.given_sd_m, options.marker_sd_m)
    own = sd**2 / np.maximum(w, 1e-6) - options.marker_sd_m**2
    return markers.with_(covariance=markers.covariance + own[:, None, None] * np.eye(3))
