"""`inverse_kinematics`: checks what is handed in, brings it into the body's frame, and gives it to an engine."""

from collections.abc import Mapping, Sequence

import numpy as np

from simspine.body.model import Body
from simspine.errors import InputError, unknown_name
from simspine.ik.assumptions import CommonError, Prior, Smoothness
from simspine.ik.result import Derive, Result
from simspine.merging import in_frame
from simspine.types import Markers

TOLERANCES = {"frames": 1e-5, "trajectory": 5e-5, "opensim": 1e-5}  # by engine


def inverse_kinematics(
    body: Body,
    markers: Markers,
    weights: Mapping[str, float] | np.ndarray | None = None,
    smoothness: Smoothness | None = None,
    prior: Prior | None = None,
    *,
    engine: str | None = None,
    coordinate_tasks: Mapping[str, tuple[float, float]] | None = None,
    tolerance: float | None = None,
    min_markers: int = 3,
    marker_sd: float = 0.02,
    correlation_s: float = 0.0,
    common_errors: Sequence[CommonError] = (),
    use_covariance: bool = False,
    loss: str = "square",
    loss_scale: float = 3.0,
    uncertainty: bool = True,
    derive: Derive | None = None,
    starts: int = 1,
    threads: int = 1,
    window: int = 600,
    overlap: int = 50,
) -> Result:
    """Coordinates of `body` whose markers fit the ones given.

    Without smoothness and prior: in each frame the least squares of weights × squared distances, exactly the objective
    of OpenSim's tool, locked coordinates and couplers respected (engine 'frames', or 'opensim' itself for reference).
    With either: the whole trial at once (engine 'trajectory'), with standard deviations if `uncertainty`.

    markers: of frame z_up (turned to y_up) or y_up; NaN = missing. weights: {marker: w}, 1 where absent, or (frames,
    markers); by default `markers.weight`, else 1. coordinate_tasks (frame-wise engines): {coordinate: (target,
    weight)}, target in rad or m; see docs/body.md for how hard they pull. tolerance: relative decrease of the cost at
    which to stop, by default 1e-5 (trajectory: 5e-5); OpenSim's `accuracy`. min_markers: frames with fewer are not
    solved and say so (trajectory: carried by the frames around).

    Trajectory only. marker_sd: m, standard deviation of a coordinate of a marker of weight 1. correlation_s: s, for
    how long a marker's error lasts; errors that last do not average out over frames. common_errors: what neighbouring
    markers may be off by together; see `CommonError`. use_covariance: take `markers.covariance` plus marker_sd²
    instead. loss: 'square', 'huber' or 'geman-mcclure', from loss_scale standard deviations on. derive: called for each
    window with the coordinates z (frames, free) and their posterior covariance (frames, free, free), which is too large
    to keep; what it returns, {name: (frames, …)}, is in `result.posterior.derived`. Angles in z may be on another
    branch than in the result; the poses are the same. starts: 1 to 5 rough paths to begin from, of which the one that
    ends lowest counts; more help where no belief holds the posture. threads, window, overlap (frames): how long trials
    are cut; see `simspine.ik.trajectory`.

    Raises `InputError` for names that do not match, weights of the wrong shape, markers that are all missing, and terms
    the engine does not have. One bad frame never raises: its reason is in the result.
    """
    engine = engine or ("frames" if smoothness is None and prior is None else "trajectory")
    if engine not in TOLERANCES:
        raise unknown_name("engine", engine, TOLERANCES)
    if engine != "trajectory":
        for term, value in (("smoothness", smoothness), ("prior", prior)):
            if value is not None:
                raise InputError(
                    f"the engine {engine!r} solves frame by frame and has no term for {term}; leave {term}=None."
                )
    elif coordinate_tasks:
        raise InputError("the engine 'trajectory' has no coordinate tasks; state a prior (simspine.ik.assumptions).")
    tolerance = TOLERANCES[engine] if tolerance is None else tolerance
    for name, value in (("marker_sd", marker_sd), ("loss_scale", loss_scale), ("tolerance", tolerance)):
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"{name} is {value}, expected a positive number.")
    if markers.frames == 0:
        raise InputError("the markers have no frames; nothing to solve.")
    _check_names(body, markers)
    if not markers.present.any():
        raise InputError(
            f"all {len(markers.names)} markers are missing in all {markers.frames} frames; nothing to solve."
        )
    turned = in_frame(markers, "y_up")
    w = marker_weights(markers, weights)
    enough = ((w > 0) & markers.present).sum(1) >= min_markers
    if not ((w > 0) & markers.present).any():
        raise InputError("no marker that is present has a weight above zero; nothing to solve.")
    for name in coordinate_tasks or {}:
        body.coordinates.index(name)
    if engine == "opensim":
        from simspine.ik import opensim_engine

        return opensim_engine.solve(body, turned, w, coordinate_tasks, tolerance, min_markers)
    if engine == "frames":
        from simspine.ik import frame_engine

        return frame_engine.solve(body, turned, w, coordinate_tasks, tolerance, min_markers)
    if not enough.any():
        raise InputError(f"no frame has {min_markers} markers or more; nothing to solve.")
    from simspine.ik import trajectory_engine

    return trajectory_engine.solve(
        body, turned, w, smoothness, prior,
        marker_sd=marker_sd, correlation_s=correlation_s, common_errors=common_errors, use_covariance=use_covariance,
        loss=loss, loss_scale=loss_scale, tolerance=tolerance, min_markers=min_markers, uncertainty=uncertainty,
        derive=derive, starts=starts, threads=threads, window=window, overlap=overlap,
    )  # fmt: skip


def marker_weights(markers: Markers, weights: Mapping[str, float] | np.ndarray | None) -> np.ndarray:
    """Weights (frames, markers) ≥ 0 from what `inverse_kinematics` takes. Names in a mapping must be in `markers`."""
    shape = markers.xyz.shape[:2]
    if weights is None:
        return np.ones(shape) if markers.weight is None else np.array(markers.weight)
    if isinstance(weights, Mapping):
        for name in weights:
            if name not in markers.names:
                raise unknown_name("marker", name, markers.names, "the weights")
        array = np.tile(np.array([float(weights.get(name, 1.0)) for name in markers.names]), (shape[0], 1))
    else:
        array = np.array(weights, float)
        if array.shape != shape:
            raise InputError(f"weights have shape {array.shape}, expected (frames, markers) = {shape}.")
    if not np.isfinite(array).all() or (array < 0).any():
        raise InputError("weights must be finite and not negative; use 0 to leave a marker out.")
    return array


def _check_names(body: Body, markers: Markers) -> None:
    unknown = [name for name in markers.names if name not in body.marker_names]
    if unknown:
        raise InputError(
            f"{len(unknown)} of {len(markers.names)} markers do not exist in body {body.name!r}: {', '.join(unknown)}. "
            f"The body has: {', '.join(body.marker_names) or 'none'}. "
            "Rename the markers, choose another marker set for the body, or leave them out "
            "(simspine.body.recipes.fit_markers)."
        )
