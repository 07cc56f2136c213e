"""Scenes of files that came from anywhere: markers (.trc, .c3d), and motions (.mot, .sto) with their model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simspine.body.kinematics import body_poses, forward_kinematics
from simspine.body.model import Body
from simspine.errors import InputError
from simspine.formats.marker_file import MARKER_FILES, read_markers
from simspine.formats.mot import read_mot
from simspine.geometry import change_frame
from simspine.pipeline.scene import anatomy, skin_of
from simspine.report.player.scene import Curve, Scene
from simspine.skeletons import available, load
from simspine.spine.clinical import SIDES
from simspine.spine.levels import CHAIN
from simspine.types import Markers, Motion, Origin

MOTIONS = (".mot", ".sto")
LOOSE = (*MARKER_FILES, *MOTIONS)
_STILL = 1e-6  # rad: angles that change less stay as they are
_CHOSEN = ("pelvis_tilt", "hip_flexion", "knee_angle", "ankle_angle")  # shown from the start


def scene_of_file(path: Path, model: Path | None = None) -> Scene:
    """The scene of a file of markers, or of a motion and its model (.osim).

    Raises `InputError` for a motion without a model, and a model without a motion.
    """
    if path.suffix.lower() in MARKER_FILES:
        if model is not None:
            raise InputError(f"{path}: holds markers; --model goes with a motion (.mot, .sto).")
        return _scene_of_markers(path)
    if model is None:
        raise InputError(f"{path}: holds coordinates of a model; name it with --model MODEL.osim.")
    body = Body.from_osim(model)
    motion = read_mot(path, dict(zip(body.coordinates.names, map(bool, body.coordinates.rotational), strict=True)))
    shapes, pairs = anatomy(body.osim)
    markers = forward_kinematics(body, motion)
    return Scene(
        path.stem, _spine(markers), None, body_poses(body, motion), shapes, pairs, curves=_curves(motion),
        skin=skin_of(body, shapes),
    )  # fmt: skip


def _scene_of_markers(path: Path) -> Scene:
    markers = read_markers(path)
    if not markers.present.any():
        raise InputError(f"{path}: no marker is known in any of {markers.frames} frames; there is nothing to show.")
    turned = change_frame(markers.xyz, markers.frame, "y_up")
    given = (Origin.GIVEN,) * len(markers.names)  # who made the file may have detected them, or not
    markers = Markers(markers.names, markers.rate, turned, "y_up", origin=given, start=markers.start)
    return Scene(path.stem, _spine(markers), markers, links=links_among(markers.names))


def links_among(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of names that one of our skeletons joins, of the one that joins most of them; () of other markers."""
    pairs = []
    for skeleton in map(load, available()):
        joined = ((skeleton.names[p], n) for n, p in zip(skeleton.names, skeleton.parents, strict=True) if p >= 0)
        pairs.append(tuple(pair for pair in joined if set(pair) <= set(names)))
    return max(pairs, key=len)


def _curves(motion: Motion) -> tuple[Curve, ...]:
    """The angles of a motion that change, right and left of one joint in one panel."""
    found = []
    for name, values, angle in zip(motion.names, motion.values.T, motion.rotational, strict=True):
        if not angle or not np.ptp(values) > _STILL:
            continue
        title, _, side = name.rpartition("_")
        sided = side in SIDES and any(f"{title}_{other}" in motion.names for other in SIDES if other != side)
        label = (title if sided else name).replace("_", " ")
        found.append(
            Curve(
                SIDES[side] if sided else label,
                label,
                np.degrees(values),
                panel=label if sided else "",
                chosen=name.startswith(_CHOSEN),
            )
        )
    return tuple(found)


def _spine(markers: Markers) -> Markers:
    """The points of the spine among some markers; none where there are none."""
    return markers.select([name for name in CHAIN if name in markers.names])
