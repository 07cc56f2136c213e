"""What inverse kinematics is told about the markers: weights by origin, standard deviations, errors they share."""

from collections.abc import Mapping

import numpy as np

from simspine.body.model import Body
from simspine.config import InverseKinematics
from simspine.ik.result import Derive, Result
from simspine.ik.solve import inverse_kinematics
from simspine.ik.solver import Solver
from simspine.priors.assumptions import MarkerErrors, Prior, SharedError, Smoothness
from simspine.skeletons.regions import SPINE_REGIONS
from simspine.types import Markers, Origin

GIVEN = 9.0  # (0.03 m / 0.01 m)²: defaults of ik.marker_sd_m and ik.given_sd_m
# Views that agree to a millimetre come from a source that knows its points (marked by hand, projected), not from a
# detector whose idea of a point is centimetres off. Three times what their disagreement says, since some errors are
# common to all views; and never less than what a body's markers are off by at the least.
BEYOND_VIEWS, LEAST = 3.0, 0.003


def fit(
    options: InverseKinematics,
    body: Body,
    markers: Markers,
    weights: np.ndarray,
    prior: Prior,
    tasks: Mapping[str, tuple[float, float]],
    derive: Derive | None = None,
    starts: int = 1,
) -> Result:
    """Inverse kinematics as configured. prior, starts (unless configured): of the recipe, for the trajectory engine;
    tasks: for the frame-wise ones."""
    if options.engine != "trajectory":
        return inverse_kinematics(
            body,
            markers,
            weights,
            solver=Solver(engine=options.engine, tolerance=options.accuracy, coordinate_tasks=tasks),
        )
    return inverse_kinematics(
        body,
        markers,
        weights,
        Smoothness(acceleration=options.acceleration_sd),
        prior,
        derive=derive,
        errors=MarkerErrors(
            sd=options.marker_sd_m,
            correlation_time=options.error_correlation_s,
            shared=shared_errors(options, markers),
            use_covariance=options.use_covariance,
            loss=options.loss,
            loss_from=options.loss_from_sd,
        ),
        solver=Solver(tolerance=options.accuracy, starts=options.starts or starts),
    )


def as_views_agree(options: InverseKinematics, markers: Markers) -> InverseKinematics:
    """The options with smaller standard deviations of detected points where the views agree better than these say."""
    detected = _of(markers, Origin.DETECTED)
    if markers.covariance is None or not detected.any():
        return options
    variance = np.einsum("tmii->tm", markers.covariance[:, detected]) / 3
    if not np.isfinite(variance).any():
        return options
    sd = max(LEAST, BEYOND_VIEWS * float(np.sqrt(np.nanmedian(variance))))
    smaller = {"marker_sd_m": min(sd, options.marker_sd_m), "region_sd_m": min(sd, options.region_sd_m)}
    return options.model_copy(update=smaller)


def observed(options: InverseKinematics, markers: Markers, by_name: dict[str, float]) -> tuple[Markers, np.ndarray]:
    """Markers and weights (frames, markers) as inverse kinematics takes them. by_name: weights of the marker set."""
    weights = fit_weights(markers, by_name, options.engine, (options.marker_sd_m / options.given_sd_m) ** 2)
    if options.engine != "trajectory" or not options.use_covariance or markers.covariance is None:
        return markers, weights
    told = fit_covariance(markers, by_name, options.marker_sd_m, options.given_sd_m)
    return told, (weights > 0).astype(float)


def fit_weights(markers: Markers, by_name: dict[str, float], engine: str, given: float = GIVEN) -> np.ndarray:
    """(frames, markers): weight of the marker set × confidence.

    An inferred marker is no measurement. The trajectory engine, which has beliefs for what is not seen, leaves it out;
    the frame-wise ones, which have none, keep it with its low weight. given: how many times as much a marker from
    motion capture is worth, the ratio of the variances; the frame-wise engines take the marker set's word instead.
    """
    weights = np.tile([by_name.get(name, 1.0) for name in markers.names], (markers.frames, 1))
    confidence = np.ones(weights.shape) if markers.weight is None else markers.weight
    if engine != "trajectory":
        return np.where(_of(markers, Origin.INFERRED), weights, weights * confidence)
    worth = np.where(_of(markers, Origin.INFERRED), 0.0, np.where(_of(markers, Origin.GIVEN), given, 1.0))
    return worth * weights * confidence


def shared_errors(options: InverseKinematics, markers: Markers) -> tuple[SharedError, ...]:
    """What the detected points of each region of the spine may be off by together; motion capture errs by itself."""
    detected = [n for n, own in zip(markers.names, _of(markers, Origin.DETECTED), strict=True) if own]
    members = {region: tuple(n for n in detected if n in names) for region, names in SPINE_REGIONS.items()}
    sd = options.region_sd_m
    return tuple(SharedError(region, names, sd) for region, names in members.items() if len(names) > 1 and sd > 0)


def fit_covariance(markers: Markers, by_name: dict[str, float], marker_sd: float, given_sd: float) -> Markers:
    """The markers with what each of them is off by in all, as `inverse_kinematics` takes it with `use_covariance`.

    That is the covariance of its position plus sd²/w (sd: marker_sd, of motion capture given_sd, m; w: the marker set's
    weight), of which inverse kinematics adds marker_sd² itself. Confidence is in the covariance already.
    """
    w = np.array([by_name.get(name, 1.0) for name in markers.names])
    own = np.where(_of(markers, Origin.GIVEN), given_sd, marker_sd) ** 2 / np.maximum(w, 1e-6) - marker_sd**2
    return markers.with_(covariance=markers.covariance + own[:, None, None] * np.eye(3))


def _of(markers: Markers, kind: Origin) -> np.ndarray:
    """(markers,) bool: those of an origin."""
    return np.array([o is kind for o in markers.origin or (Origin.DETECTED,) * len(markers.names)])
