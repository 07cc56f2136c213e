"""A scene as a short JSON header and one block of numbers, small enough for a page."""

import base64
import json
from dataclasses import dataclass

import numpy as np

from simspine.errors import InputError
from simspine.report.player.block import Block
from simspine.report.player.bones import MOVING, thinned
from simspine.report.player.film import Film
from simspine.report.player.scene import MOST_FRAMES, Scene, frustum, step_of, tube_radius
from simspine.report.player.skin import pack_skin
from simspine.skeletons.skin_names import on_skin
from simspine.types import Markers, Origin


@dataclass(frozen=True)
class Packed:
    """header: JSON text that stays inside a <script> element. block: base64 text. summary: for screen readers.

    cameras: names of those whose pictures come along; films: the pictures of each, one after another, base64 text.
    curves: how many there are beside the 3D view.
    """

    header: str
    block: str
    name: str
    summary: str
    frames: int
    rejected: int
    cameras: tuple[str, ...] = ()
    films: tuple[str, ...] = ()
    curves: int = 0


def pack(scene: Scene, most: int = MOST_FRAMES) -> Packed:
    """The scene for a page; of more than `most` frames every second, third … is kept.

    Raises `InputError` where the scene has poses of fewer frames than that.
    """
    step = step_of(scene.frames, most)
    if step % scene.step:
        raise InputError(f"{scene.name}: poses are of one frame in {scene.step}, while one in {step} is kept.")
    at = slice(None, None, step)
    block = Block()
    header: dict[str, object] = {
        "name": scene.name, "rate": scene.spine.rate / step, "start": scene.spine.start, "step": step,
        "frames": len(range(scene.frames)[at]), "total": scene.frames,
    }  # fmt: skip
    block.lengths("spine", scene.spine.xyz[at])
    header["spine"] = list(scene.spine.names)
    radius = tube_radius(scene.spine)
    if radius is not None:
        block.lengths("tube", radius[at])
    if scene.points is not None:
        block.lengths("points", scene.points.xyz[at])
        header["points"] = list(scene.points.names)
        header["origin"] = _origins(scene.points)
        at_name = scene.points.names.index
        header["links"] = [[at_name(a), at_name(b)] for a, b in scene.links if {a, b} <= set(scene.points.names)]
        if scene.points.filled is not None:
            block.whole("filled", scene.points.filled[at])
    if scene.poses:
        names = list(scene.poses)
        poses = np.stack([scene.poses[name][:: step // scene.step] for name in names], 1)
        block.lengths("place", poses[..., :3, 3])
        block.lengths("turn", quaternions(poses[..., :3, :3]))
        header["bodies"] = names
        header["segments"] = [[names.index(a), names.index(b)] for a, b in scene.segments if {a, b} <= set(names)]
        if scene.skin is not None:
            header["skin"] = pack_skin(scene.skin, names, block)
        bones = [bone for bone in scene.bones if bone.body in names]
        header["bones"] = [[names.index(bone.body), bone.kind] for bone in bones]
        for i, bone in enumerate(bones):
            block.lengths(f"bone/{i}", bone.points)
            block.whole(f"face/{i}", bone.triangles)
            points, triangles = thinned(bone.points, bone.triangles, MOVING[bone.kind])
            block.lengths(f"bone-moving/{i}", points)
            block.whole(f"face-moving/{i}", triangles)
    header["floor"] = scene.floor
    header["cameras"] = [{"name": c.name, "frustum": np.round(frustum(c), 4).tolist()} for c in scene.cameras]
    reasons = [f"{s}|{r}" for s, r in zip(scene.status or (), scene.reasons or scene.status or (), strict=True)][at]
    kinds = list(dict.fromkeys(reasons))
    if reasons:
        block.whole("status", np.array([kinds.index(reason) for reason in reasons]))
        header["status"] = [kind.split("|", 1) for kind in kinds]
    for i, curve in enumerate(scene.curves):
        block.lengths(f"curve/{i}", curve.values[at])
        if curve.sd is not None:
            block.lengths(f"sd/{i}", curve.sd[at])
    header["films"] = [_filmed(film, i, step, block) for i, film in enumerate(scene.films)]
    said = ("name", "label", "band", "note", "forced", "panel", "chosen", "unit")
    header["curves"] = [{key: getattr(curve, key) for key in said} for curve in scene.curves]
    header["arrays"] = block.entries
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return Packed(
        text, base64.b64encode(b"".join(block.parts)).decode("ascii"), scene.name, scene.summary,
        scene.frames, int(scene.rejected.sum()), tuple(film.name for film in scene.films),
        tuple(base64.b64encode(b"".join(film.pictures)).decode("ascii") for film in scene.films),
        len(scene.curves),
    )  # fmt: skip


def _filmed(film: Film, number: int, step: int, block: Block) -> dict[str, object]:
    """A film's part of the header; where its points lie goes to the block. step: of the frames kept."""
    if film.every % step or step % film.step:
        raise InputError(f"film {film.name}: one picture in {film.every} frames, while every {step}th frame is kept.")
    block.lengths(f"body/{number}", film.body[:: step // film.step])
    block.lengths(f"seen/{number}", film.seen[:: step // film.step])
    ends = np.cumsum([0, *map(len, film.pictures)]).tolist()
    return {
        "name": film.name, "size": list(film.size), "every": film.every // step, "ends": ends,
        "lines": [list(pair) for pair in film.lines], "spine": list(film.spine),
    }  # fmt: skip


def _origins(points: Markers) -> list[str]:
    """What each point is coloured by: its origin; 'skin' of detected markers on the skin, as on the overlays."""
    skin = set(on_skin(points.names_of(Origin.DETECTED)))
    origins = zip(points.names, points.origins, strict=True)
    return ["skin" if name in skin else str(origin) for name, origin in origins]


def quaternions(rotations: np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotations → (..., 4) unit quaternions x y z w; NaN where a rotation is."""
    from scipy.spatial.transform import Rotation

    flat = rotations.reshape(-1, 3, 3)
    known = np.isfinite(flat).all((1, 2))
    out = np.full((len(flat), 4), np.nan)
    if known.any():
        out[known] = Rotation.from_matrix(flat[known]).as_quat()
    return out.reshape(*rotations.shape[:-2], 4)
