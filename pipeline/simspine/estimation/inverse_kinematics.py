"""`inverse_kinematics`: checks its input, turns it into the body's frame (y_up), and calls an engine."""

from collections.abc import Mapping

import numpy as np

from simspine.anatomy.body import Body, neutral_markers
from simspine.anatomy.priors import MarkerErrors, Prior, Smoothness
from simspine.core.arrays import require_numbers
from simspine.core.errors import InputError, require_known
from simspine.core.geometry import markers_in_frame, rms_radius, unit_of_ratio
from simspine.core.types import MAX_FRAME_RATE_HZ, MAX_WEIGHT, MIN_FRAME_RATE_HZ, Markers
from simspine.estimation import frame_engine, trajectory_engine
from simspine.estimation.observations import Observations
from simspine.estimation.result import DEFAULT_TOLERANCES, DerivedFigures, Result, Solver

# Markers spread so little, or so far, in relation to those on the body, are in another unit.
LEAST_SPREAD_RATIO, MOST_SPREAD_RATIO = 0.1, 2.5
# From the origin. Map coordinates reach 10⁷ m, where rounding leaves the normal equations indefinite; at 10⁵ m it adds
# 1 % to standard deviations, at 10⁴ m nothing.
MAX_MARKER_DISTANCE_M = 10_000.0


def inverse_kinematics(
    body: Body,
    markers: Markers,
    weights: Mapping[str, float] | np.ndarray | None = None,
    smoothness: Smoothness | None = None,
    prior: Prior | None = None,
    *,
    errors: MarkerErrors | None = None,
    solver: Solver | None = None,
    derive: DerivedFigures | None = None,
) -> Result:
    """Coordinates with which a body's markers fit the given ones.

    Without smoothness and prior, each frame is solved by weighted least squares of the distances. That is exactly the
    objective of OpenSim's tool; locked coordinates and couplers are respected. With either, the whole trial is solved
    at once, with standard deviations (docs/method.md). A frame that fails never raises; the result has its reason.

    Parameters
    ----------
    body : Body
    markers : Markers
        m, in the frame z_up (turned to y_up) or y_up; NaN = missing.
    weights : {marker: float} or (frames, markers) array, optional
        1 for markers that a mapping lacks. By default `markers.weight`, else 1.
    smoothness : Smoothness, optional
        Standard deviations of accelerations (trajectory).
    prior : Prior, optional
        Gaussian priors on combinations of coordinates (trajectory).
    errors : MarkerErrors, optional
        Standard deviations and correlations of the markers' errors (trajectory).
    solver : Solver, optional
        Engine, tolerance and other settings.
    derive : callable, optional
        Called with coordinates z (frames, free) every 80 ms and their posterior covariance (frames, free, free), which
        is too large to keep (trajectory). It returns {name: (frames, …)}, which `result.posterior.derived` has for all
        frames (`simspine.estimation.result`). Angles in z may be on another branch than in the result; poses are equal.

    Returns
    -------
    Result

    Raises
    ------
    InputError
        For unknown names, weights of the wrong shape, markers that are all missing or not in metres, a frame rate
        that no camera has, and arguments that the engine does not support.

    Examples
    --------
    >>> body, markers = ss.Body.from_osim("person.osim"), ss.read_trc("bow.trc")
    >>> result = ss.inverse_kinematics(body, markers)
    >>> float(result.motion.column("knee_angle_r")[-1].round(2))  # rad
    0.6
    """
    errors, solver = errors or MarkerErrors(), solver or Solver()
    engine = solver.engine or ("frames" if smoothness is None and prior is None else "trajectory")
    if engine == "trajectory" and solver.coordinate_tasks:
        raise InputError("the engine 'trajectory' has no coordinate tasks; state a prior (simspine.anatomy.priors).")
    if engine != "trajectory" and not (smoothness is None and prior is None):
        raise InputError(f"the engine {engine!r} solves frame by frame, without smoothness and prior; leave them out.")
    turned, w = markers_in_frame(markers, "y_up"), marker_weights(markers, weights)
    _check_markers(body, markers, w)
    _check_unit(body, turned)
    require_near_origin(turned)
    for name in solver.coordinate_tasks:
        body.coordinates.index(name)
    if engine != "trajectory":
        tolerance = solver.tolerance or DEFAULT_TOLERANCES[engine]
        tasks, minimum = solver.coordinate_tasks, solver.min_markers
        return frame_engine.solve_frames(body, turned, w, tasks, tolerance=tolerance, min_markers=minimum)
    if not (((w > 0) & markers.present).sum(1) >= solver.min_markers).any():
        raise InputError(f"no frame has {solver.min_markers} markers or more; nothing to solve.")
    observations = Observations(turned, w, errors)
    return trajectory_engine.solve_with_trajectory(body, observations, smoothness, prior, solver=solver, derive=derive)


def _check_markers(body: Body, markers: Markers, weights: np.ndarray) -> None:
    """Raise for unknown names, nothing seen, and a rate above that of any camera, at which standard deviations fail."""
    if unknown := [name for name in markers.names if name not in body.marker_names]:
        where = f"{len(unknown)} of {len(markers.names)} markers do not exist in body {body.name!r}"
        has = f"It has {', '.join(body.marker_names) or 'none'}"
        raise InputError(f"{where}: {', '.join(unknown)}. {has}. Rename them, or leave them out (`fit_markers`).")
    if not markers.present.any():
        raise InputError(
            f"all {len(markers.names)} markers are missing in all {markers.frames} frames; nothing to solve."
        )
    if not ((weights > 0) & markers.present).any():
        raise InputError("no marker that is present has a weight above zero; nothing to solve.")
    if not MIN_FRAME_RATE_HZ <= markers.rate <= MAX_FRAME_RATE_HZ:
        range_text = f"faster than {MAX_FRAME_RATE_HZ:g} or slower than {MIN_FRAME_RATE_HZ:g}"
        found = f"the markers have {markers.rate:g} frames per second"
        raise InputError(f"{found}; no camera films people {range_text}. Correct the rate.")


def require_near_origin(markers: Markers) -> None:
    """`InputError` for a marker beyond `MAX_MARKER_DISTANCE_M`."""
    distances = np.nan_to_num(np.abs(markers.xyz)).max(-1, initial=0.0)
    if (distances > MAX_MARKER_DISTANCE_M).any():
        frame, marker = np.unravel_index(distances.argmax(), distances.shape)
        raise InputError(
            f"marker {markers.names[marker]} is {distances.max():.3g} m from the origin in frame {frame}; expected up "
            f"to {MAX_MARKER_DISTANCE_M:g} m. Subtract the place of the recording if these are map coordinates; mark "
            "a missing point as missing."
        )


def _check_unit(body: Body, markers: Markers) -> None:
    """Raise where the markers spread ten times as far as on the body, or a tenth as far: they are in another unit."""
    present = markers.present
    usable = present.sum(1) >= 3
    if not usable.any():
        return
    places = neutral_markers(body)[[body.marker_index(name) for name in markers.names]]
    spread = rms_radius(markers.xyz[usable], present[usable])
    on_body = rms_radius(np.broadcast_to(places, (int(usable.sum()), *places.shape)), present[usable])
    ratio = float(np.median(spread / np.maximum(on_body, 1e-3)))
    if LEAST_SPREAD_RATIO < ratio < MOST_SPREAD_RATIO or np.median(on_body) < 0.01:
        return
    name = unit_of_ratio(ratio)
    unit = f" They seem to be in {name}." if name else ""
    raise InputError(
        f"the markers are spread over {np.median(spread):.3g} m (RMS from their centre), those of body {body.name!r} "
        f"over {np.median(on_body):.3g} m.{unit} Convert them to metres."
    )


def marker_weights(markers: Markers, weights: Mapping[str, float] | np.ndarray | None) -> np.ndarray:
    """Weights (frames, markers) ≥ 0 from those that `inverse_kinematics` accepts; raises `InputError` for others."""
    shape = markers.xyz.shape[:2]
    if weights is None:
        return np.ones(shape) if markers.weight is None else np.array(markers.weight)
    if isinstance(weights, Mapping):
        require_known("marker", weights, markers.names, "the weights")
        array = np.tile(require_numbers("weights", [weights.get(name, 1.0) for name in markers.names]), (shape[0], 1))
    else:
        array = require_numbers("weights", weights, shape)
    if not ((array >= 0) & (array <= MAX_WEIGHT)).all():
        raise InputError(f"weights must be finite and not negative, at most {MAX_WEIGHT:g}; 0 leaves a marker out.")
    return array
