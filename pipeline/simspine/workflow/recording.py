"""A Rerun recording of a trial, out of results' files."""

from pathlib import Path

from simspine.config import read_config
from simspine.errors import InputError
from simspine.geometry import change_frame, project_one
from simspine.pipeline.overlay import shown_in
from simspine.pipeline.scene import scene_of
from simspine.pipeline.solved_trial import SolvedTrial, body_edges
from simspine.report.recording import CameraView, write_recording
from simspine.spine.levels import CHAIN
from simspine.workflow.context import Context
from simspine.workflow.paths import Paths
from simspine.workflow.trials import read_trial
from simspine.workflow.viewing import find_results, read_scene


def record(result: Path, out: Path, subject: str | None = None, trial: str | None = None) -> Path:
    """Write the recording of a trial; with cameras and videos where the result has them."""
    if out.suffix != ".rrd":
        raise InputError(f"{out}: Rerun's recordings end in .rrd; name the file so.")
    place = find_results(result, subject, trial)
    if place is None:
        write_recording(out, read_scene(result, subject, trial))
        return out
    found = read_trial(*place)
    seen = () if found.keypoints is None else (_views(found, _videos(*place)), shown_in(found, slice(None)))
    write_recording(out, scene_of(found), *seen)
    return out


def _views(found: SolvedTrial, videos: dict[int, Path]) -> list[CameraView]:
    model = found.model_points
    lines = [(model.names.index(a), model.names.index(b)) for a, b in body_edges() if {a, b} <= set(model.names)]
    spine = [model.names.index(name) for name in CHAIN if name in model.names]
    xyz = change_frame(model.xyz, model.frame, "z_up")
    return [
        CameraView(camera, videos.get(v), project_one(camera, xyz), lines, spine, found.video_frames(v))
        for v, camera in enumerate(found.cameras)
    ]


def _videos(paths: Paths, trial: str) -> dict[int, Path]:
    """Videos by number of the camera, as the run's own configuration names them; those that are gone are left out."""
    file = paths.results / "config.yaml"
    if not file.is_file():
        return {}
    try:
        videos = Context(read_config(file), paths.subject).capture(trial).videos
    except (InputError, KeyError):
        return {}
    return {v: path for v, path in enumerate(videos) if path.is_file()}
