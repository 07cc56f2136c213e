"""`inverse_kinematics`: checks what is handed in, brings it into the body's frame, and gives it to an engine."""

from collections.abc import Mapping

import numpy as np

from simspine.body.model import Body
from simspine.errors import InputError, unknown_name
from simspine.geometry import change_frame
from simspine.ik.result import Result
from simspine.types import Markers

ENGINES = ("opensim",)


def inverse_kinematics(
    body: Body,
    markers: Markers,
    weights: Mapping[str, float] | np.ndarray | None = None,
    smoothness=None,
    prior=None,
    *,
    engine: str = "opensim",
    coordinate_tasks: Mapping[str, tuple[float, float]] | None = None,
    accuracy: float = 1e-5,
    min_markers: int = 3,
) -> Result:
    """Coordinates of `body` whose markers fit the ones given, in the least squares of weights × squared distances.

    markers: of frame z_up (turned to y_up) or y_up; NaN = missing. weights: {marker: w}, 1 where absent, or (frames,
    markers); by default `markers.weight`, else 1. Locked coordinates and couplers are respected. coordinate_tasks:
    {coordinate: (target, weight)}, target in rad or m; see docs/body.md for how hard they pull. accuracy: OpenSim's
    convergence criterion; at its usual 1e-5 markers that could be met exactly are met within a few millimetres only.
    min_markers: frames with fewer are not solved and say so.

    Raises `InputError` for names that do not match, weights of the wrong shape, markers that are all missing, and terms
    the engine does not have.
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    for term, value in (("smoothness", smoothness), ("prior", prior)):
        if value is not None:
            raise InputError(
                f"the engine {engine!r} solves frame by frame and has no term for {term}; leave {term}=None."
            )
    if markers.frames == 0:
        raise InputError("the markers have no frames; nothing to solve.")
    _check_names(body, markers)
    if coordinate_tasks:
        for name in coordinate_tasks:
            body.coordinates.index(name)
    if not markers.present.any():
        raise InputError(
            f"all {len(markers.names)} markers are missing in all {markers.frames} frames; nothing to solve."
        )
    from simspine.ik import opensim_engine

    turned = markers.with_(xyz=change_frame(markers.xyz, markers.frame, "y_up"), frame="y_up", covariance=None)
    w = marker_weights(markers, weights)
    if not (w * markers.present).any():
        raise InputError("no marker that is present has a weight above zero; nothing to solve.")
    return opensim_engine.solve(body, turned, w, coordinate_tasks, accuracy, min_markers)


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
