"""A Rerun recording of a trial, out of results' files."""

from pathlib import Path

from simspine.config import read_config
from simspine.errors import InputError
from simspine.geometry import change_frame, project_one
from simspine.report.recording import CameraView, write_recording
from simspine.spine.levels import CHAIN
from simspine.workflow.context import Context
from simspine.workflow.results import TrialResults, body_edges, model_points
from simspine.workflow.viewing import find_results, read_scene, scene_of


def record(result: Path, out: Path, subject: str | None = None, trial: str | None = None) -> Path:
    """Write the recording of a trial; with cameras and videos where the result has them."""
    if out.suffix != ".rrd":
        raise InputError(f"{out}: Rerun's recordings end in .rrd; name the file so.")
    results = find_results(result, subject, trial)
    if results is None:
        write_recording(out, read_scene(result, subject, trial))
    else:
        seen = results.paths.keypoints(results.name).is_file() and results.paths.points(results.name).is_file()
        write_recording(
            out, scene_of(results), _views(results) if seen else (), results.shown if seen else None
        )  # fmt: skip
    return out


def _views(results: TrialResults) -> list[CameraView]:
    model = model_points(results)
    lines = [(model.names.index(a), model.names.index(b)) for a, b in body_edges() if {a, b} <= set(model.names)]
    spine = [model.names.index(name) for name in CHAIN if name in model.names]
    xyz = change_frame(model.xyz, model.frame, "z_up")
    videos = _videos(results)
    return [
        CameraView(camera, videos.get(v), project_one(camera, xyz), lines, spine)
        for v, camera in enumerate(results.cameras)
    ]


def _videos(results: TrialResults) -> dict[int, Path]:
    """Videos by number of the camera, as the run's own configuration names them; those that are gone are left out."""
    file = results.paths.results / "config.yaml"
    if not file.is_file():
        return {}
    try:
        videos = Context(read_config(file), results.paths.subject).capture(results.name).videos
    except (InputError, KeyError):
        return {}
    return {v: path for v, path in enumerate(videos) if path.is_file()}
