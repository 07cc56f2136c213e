"""OpenSim's InverseKinematicsSolver, called through its API: what the engine 'frames' is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from simspine.anatomy.body import Body, follow_couplers
from simspine.anatomy.osim import load_opensim_model, opensim_api
from simspine.core.errors import InputError
from simspine.core.types import Markers
from simspine.estimation.result import Result, result_of, rigid_start


def solve_with_opensim(
    body: Body,
    markers: Markers,
    weights: np.ndarray,
    coordinate_tasks: Mapping[str, tuple[float, float]] | None = None,
    accuracy: float = 1e-5,
    min_markers: int = 3,
    start: np.ndarray | None = None,
) -> Result:
    """Coordinates that minimise, in each frame, OpenSim's objective.

    markers: in frame y_up, names all in `body`. weights: (frames, markers) ≥ 0. coordinate_tasks: {coordinate: (target
    in rad or m, weight)}. accuracy: of the assembly solver. min_markers: frames with fewer present and weighted markers
    are not solved. start: (coordinates,) to begin with; by default a rigid fit of the trunk. Each frame continues from
    the one before. A frame that fails is tried once more from a fresh start, then given up as NaN with a reason.

    OpenSim divides the markers' part by the sum of the weights of the markers present, and both parts by two, so a
    coordinate task of weight w pulls like w·Σ weights; `Result.cost` is Σ w d² + Σ w_c (Σ w) (q − q₀)².
    """
    tasks = dict(coordinate_tasks or {})
    xyz = np.where((weights > 0)[..., None], markers.xyz, np.nan)
    present = np.isfinite(xyz).all(-1).sum(1)
    engine = _Engine(body, markers, xyz, weights=weights, tasks=tasks, accuracy=accuracy)
    values = np.full((markers.frames, len(body.coordinates)), np.nan)
    reasons, row = [], None
    for t in range(markers.frames):
        if present[t] < min_markers:
            reasons.append(f"only {present[t]} markers present, {min_markers} needed")
            row = None
            continue
        row, failure = engine.attempt(t) if row is not None else (None, "")
        if row is None:
            fresh = start if start is not None and t == 0 else rigid_start(body, markers.names, xyz[t], weights[t])
            row, again = engine.attempt(t, fresh)
            failure = again or (failure and f"solved after a restart ({failure})")
        reasons.append(failure)
        if row is not None:
            values[t] = row
    values = follow_couplers(body, values)
    result = result_of(body, markers, values, weights=weights, reasons=reasons, tasks=tasks)
    return replace(result, converged=np.isfinite(values).all(1))  # a frame solved after a restart has a reason too


class _Engine:
    """One OpenSim solver over one trial."""

    def __init__(self, body: Body, markers: Markers, xyz, weights, tasks, accuracy: float):
        osim = opensim_api()
        self.model = load_opensim_model(body.osim)
        self._state = self.model.initSystem()
        self._coordinates = list(self.model.getCoordinateSet())
        self._time, self._names, self._weights = markers.time, markers.names, weights
        self._varying = bool((weights != weights[:1]).any())
        table = _marker_table(osim, markers, xyz)
        weight_set = osim.SetMarkerWeights()
        for name, weight in zip(markers.names, weights.max(0, initial=0.0), strict=True):
            weight_set.cloneAndAppend(osim.MarkerWeight(name, float(weight)))
        references = osim.SimTKArrayCoordinateReference()
        for name, (target, weight) in tasks.items():
            body.coordinates.index(name)
            reference = osim.CoordinateReference(name, osim.Constant(float(target)))
            reference.setWeight(float(weight))
            references.push_back(reference)
        self._kept = (table, weight_set, references, osim.MarkersReference(table, weight_set))
        self._solver = osim.InverseKinematicsSolver(self.model, self._kept[-1], references, float("inf"))
        self._solver.setAccuracy(accuracy)

    def attempt(self, t: int, start: np.ndarray | None = None) -> tuple[np.ndarray | None, str]:
        """Coordinates of frame t, or None and OpenSim's reason. start: values to assemble from, else the last pose."""
        self._state.setTime(float(self._time[t]))
        try:
            if start is not None:
                set_coordinates(self._coordinates, start.tolist(), self._state)
                self._solver.assemble(self._state)  # with each marker's largest weight
            if self._varying:  # only now: before the first assembly OpenSim crashes, and each assembly resets weights
                for name, weight in zip(self._names, self._weights[t].tolist(), strict=True):
                    self._solver.updateMarkerWeight(name, weight)
            self._solver.track(self._state)
        except RuntimeError as error:
            return None, "OpenSim: " + _last_line(error)
        return np.array([coordinate.getValue(self._state) for coordinate in self._coordinates]), ""


def _last_line(error: RuntimeError) -> str:
    """What an OpenSim exception says in the end, without its address."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "Thrown at" not in line]
    return (lines[-1] if lines else "no reason given").split("': ")[-1][:200]


def _marker_table(osim, markers: Markers, xyz: np.ndarray):
    table = osim.TimeSeriesTableVec3()
    # A list, not OpenSim's StdVectorString: after that one's `append` ezc3d takes its own strings for OpenSim's (SWIG).
    table.setColumnLabels(list(markers.names))
    for time, row in zip(markers.time.tolist(), xyz.tolist(), strict=True):
        table.appendRow(time, osim.RowVectorVec3([osim.Vec3(*point) for point in row]))
    return table


def set_coordinates(coordinates: Sequence, row: Sequence[float], state) -> None:
    """Set `opensim.Coordinate`s to values (rad, m) without enforcing constraints; locked ones too."""
    for coordinate, value in zip(coordinates, row, strict=True):
        if coordinate.getLocked(state):
            if value == coordinate.getDefaultValue():
                continue
            raise InputError(
                f"the coordinate {coordinate.getName()!r} is locked at {coordinate.getDefaultValue():g} in the model, "
                f"but the motion has {value:g}. Unlock it in the model or leave it out of the motion."
            )
        coordinate.setValue(state, value, False)
