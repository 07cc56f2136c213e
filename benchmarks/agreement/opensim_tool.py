"""OpenSim's InverseKinematicsTool itself, files and all: what a user of OpenSim gets."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from simspine.anatomy import osim as _opensim
from simspine.anatomy.body import Body
from simspine.core.types import Markers
from simspine.io.atomic import atomic_path


@dataclass(frozen=True, eq=False)
class ToolResult:
    """values: (frames, coordinates) rad and m, as the tool wrote them. squared_error: (frames,) m², Σ w d² over the
    markers by the tool's own account. seconds: of processor time."""

    values: np.ndarray
    squared_error: np.ndarray
    seconds: float


def tool_result(
    body: Body, markers: Markers, weights: np.ndarray, folder: Path, coordinate_tasks=None, accuracy: float = 1e-6
) -> ToolResult:
    """`run_tool`, or what it gave for the same problem before: it takes minutes per hundred frames.

    folder: keeps the results, under names made from all that went in.
    """
    content = hashlib.sha256(body.osim.encode())
    content.update(repr((markers.names, markers.rate, sorted((coordinate_tasks or {}).items()), accuracy)).encode())
    content.update(np.ascontiguousarray(markers.xyz).tobytes() + np.ascontiguousarray(weights).tobytes())
    kept = folder / content.hexdigest()[:16]
    if not (kept / "result.npz").is_file():
        kept.mkdir(parents=True, exist_ok=True)
        found = run_tool(body, markers, weights, kept, coordinate_tasks, accuracy)
        with atomic_path(kept / "result.npz") as path:
            np.savez(path, **asdict(found))
    with np.load(kept / "result.npz") as stored:
        return ToolResult(stored["values"], stored["squared_error"], float(stored["seconds"]))


def run_tool(
    body: Body,
    markers: Markers,
    weights: np.ndarray,
    folder: Path,
    coordinate_tasks: Mapping[str, tuple[float, float]] | None = None,
    accuracy: float = 1e-6,
) -> ToolResult:
    """Solve a trial with the InverseKinematicsTool, its files in `folder`.

    markers: frame y_up, names all in `body`, none missing. weights: (markers,) > 0, the same in all frames: the tool
    knows no other. coordinate_tasks: {coordinate: (target in rad or m, weight)}.
    """
    osim = _opensim.opensim_api()
    body.write_osim(folder / "model.osim")
    (folder / "markers.trc").write_text(_trc(markers), encoding="utf-8")
    tool = osim.InverseKinematicsTool()
    tool.set_model_file(str(folder / "model.osim"))
    tool.setMarkerDataFileName(str(folder / "markers.trc"))
    tool.setOutputMotionFileName(str(folder / "found.mot"))
    tool.setResultsDir(str(folder))
    tool.setStartTime(float(markers.time[0]))
    tool.setEndTime(float(markers.time[-1]))
    tool.set_accuracy(accuracy)
    tool.set_report_errors(True)
    for name, weight in zip(markers.names, weights, strict=True):
        task = osim.IKMarkerTask()
        task.setName(name)
        task.setApply(True)
        task.setWeight(float(weight))
        tool.upd_IKTaskSet().cloneAndAppend(task)
    for name, (target, weight) in (coordinate_tasks or {}).items():
        task = osim.IKCoordinateTask()
        task.setName(name)
        task.setApply(True)
        task.setWeight(weight)
        task.setValueType(osim.IKCoordinateTask.ManualValue)
        task.setValue(target)
        tool.upd_IKTaskSet().cloneAndAppend(task)
    begin = time.process_time()
    if not tool.run():
        raise RuntimeError(f"OpenSim's InverseKinematicsTool failed; its files are in {folder}.")
    seconds = time.process_time() - begin
    found = _columns(osim, folder / "found.mot", body.coordinates.names)
    # OpenSim writes coordinates that splines drive in radians into a file of degrees (opensim-core#3936).
    degrees = body.coordinates.rotational & ~np.array([name.endswith("_beta") for name in body.coordinates.names])
    errors = _columns(osim, folder / "_ik_marker_errors.sto", ["total_squared_error"])
    return ToolResult(np.where(degrees, np.radians(found), found), errors[:, 0], seconds)


def _columns(osim, path: Path, names) -> np.ndarray:
    table = osim.TimeSeriesTable(str(path))
    labels = list(table.getColumnLabels())
    return table.getMatrix().to_numpy()[:, [labels.index(name) for name in names]]


def _trc(markers: Markers) -> str:
    """A TRC file with all digits, which `simspine.io.trc` leaves off."""
    rate, frames, count = markers.rate, markers.frames, len(markers.names)
    lines = [
        "PathFileType\t4\t(X/Y/Z)\tmarkers.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{frames}\t{count}\tm\t{rate}\t1\t{frames}",
        "Frame#\tTime\t" + "\t\t\t".join(markers.names) + "\t\t",
        "\t\t" + "\t".join(f"X{i}\tY{i}\tZ{i}" for i in range(1, count + 1)),
        "",
    ]
    for t, (at, row) in enumerate(zip(markers.time, markers.xyz, strict=True), 1):
        lines.append(f"{t}\t{at:.9f}\t" + "\t".join(f"{v:.12f}" for v in row.ravel()))
    return "\n".join(lines) + "\n"
