"""Scenes of files that came from anywhere: markers (.trc, .c3d), and motions (.mot, .sto) with their model."""

from pathlib import Path

from simspine.body.kinematics import body_poses, forward_kinematics
from simspine.body.model import Body
from simspine.errors import InputError
from simspine.formats.c3d import read_c3d
from simspine.formats.mot import read_mot
from simspine.formats.trc import read_trc
from simspine.geometry import change_frame
from simspine.pipeline.scene import anatomy, skin_of
from simspine.report.player.scene import Scene
from simspine.spine.levels import CHAIN
from simspine.types import Markers

MARKERS, MOTIONS = (".trc", ".c3d"), (".mot", ".sto")
LOOSE = (*MARKERS, *MOTIONS)


def scene_of_file(path: Path, model: Path | None = None) -> Scene:
    """The scene of a file of markers, or of a motion and its model (.osim).

    Raises `InputError` for a motion without a model, and a model without a motion.
    """
    if path.suffix.lower() in MARKERS:
        if model is not None:
            raise InputError(f"{path}: holds markers; --model goes with a motion (.mot, .sto).")
        return _scene_of_markers(path)
    if model is None:
        raise InputError(f"{path}: holds coordinates of a model; name it with --model MODEL.osim.")
    body = Body.from_osim(model)
    motion = read_mot(path, dict(zip(body.coordinates.names, map(bool, body.coordinates.rotational), strict=True)))
    shapes, pairs = anatomy(body.osim)
    markers = forward_kinematics(body, motion)
    return Scene(path.stem, _spine(markers), None, body_poses(body, motion), shapes, pairs, skin=skin_of(body))


def _scene_of_markers(path: Path) -> Scene:
    markers = read_trc(path) if path.suffix.lower() == ".trc" else read_c3d(path)
    if markers.frame != "y_up":
        turned = change_frame(markers.xyz, markers.frame, "y_up")
        markers = Markers(markers.names, markers.rate, turned, "y_up", start=markers.start)
    return Scene(path.stem, _spine(markers), markers)


def _spine(markers: Markers) -> Markers:
    """The points of the spine among some markers; none where there are none."""
    return markers.select([name for name in CHAIN if name in markers.names])
