"""What the 3D player shows of a trial, and how it is packed for a page: a short JSON header and one block of numbers.

The player's library is three.js (MIT), cut down by `tools/vendor_three.py` to what the player uses.
"""

import base64
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files

import numpy as np

from simspine.core.arrays import NORMAL_95, frame_ranges
from simspine.core.geometry import change_frame
from simspine.core.skeletons import is_skin_marker
from simspine.core.types import Camera, Markers, Origin
from simspine.io.dataset_write import is_rejected
from simspine.report.bones import MOVING_CELL_SIZES_M, Block, Bone, thin_triangles

_SCRIPT_NAMES = ("1-data", "2-orbit", "3-names", "3-tube", "4-stage", "5-plot", "6-film", "7-player")


@cache
def _packaged_text(name: str) -> str:
    return files("simspine.report").joinpath(name).read_text(encoding="utf-8")


def page_scripts(player: bool, table: bool = False) -> dict[str, str]:
    """{name: script} that a page carries. player, table: whether it has a player, and a table of trials.

    theme: the button that switches between light and dark. table: sorts and filters. three: the global `THREE`.
    """
    scripts = {"theme": _packaged_text("theme.js")}
    if table:
        scripts["table"] = _packaged_text("table.js")
    if player:
        # One script, whose only trace outside is the property `player` of its elements.
        parts = [_packaged_text(f"player/script/{name}.js") for name in _SCRIPT_NAMES]
        player_script = "(() => {\n'use strict';\n" + "\n".join(parts) + "})();"
        scripts |= {"three": _packaged_text("player/three.js"), "player": player_script}
    return scripts


def content_security_policy(carried: dict[str, str]) -> str:
    """Content security policy: no request to the network, and only these scripts, by their SHA-256."""
    digests = (hashlib.sha256(script.encode()).digest() for script in carried.values())
    sums = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {sums}"


@dataclass(frozen=True, eq=False)
class Film:
    """One camera's pictures of a trial next to the 3D view. size: (width, height) px.

    pictures: JPEG images of the trial's frames 0, `every`, 2 · `every` … body: (frames, points, 2) px in them, points
    of the reprojected body; lines: pairs of points to join; spine: points of the spine from below upwards. seen:
    (frames, points, 2) px, detected points. NaN = missing. line_colours, seen_colours: one for each line and detected
    point. body and seen hold the frames of `Scene.poses`.
    """

    name: str
    size: tuple[int, int]
    pictures: Sequence[bytes]
    every: int
    body: np.ndarray
    lines: Sequence[tuple[int, int]]
    spine: Sequence[int]
    seen: np.ndarray
    line_colours: Sequence[str]
    seen_colours: Sequence[str]


MOST_FRAMES = 3000  # largest number of frames of a trial on a page, about 4 MB; longer trials are thinned
TRUNK_M = (0.45, 1.2)  # height of a trunk's lowest point above the floor, sitting or standing
_IMAGE_CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
_IMAGE_DISTANCE_M = 0.35  # from a camera drawn to its image


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity over time. values, sd: (frames,), in `unit`. band: (low, high, people) of a norm. note: its verdict.

    forced: the model sets it, so that it is no measurement. panel: title of the panel that several curves share; ''
    for a panel of its own. chosen: shown from the start. assumed: the recording did not decide it; it is drawn dashed.
    stated: text of the mean, or of the range in a movement, with its interval. least: smallest possible value, at which
    the drawn interval ends. result: whether it is one, as in the tables; else its values are in brackets. doubts:
    places of the findings on which it rests. change: whether it counts from its mean.
    """

    name: str
    label: str
    values: np.ndarray
    sd: np.ndarray | None = None
    band: tuple[float, float, str] | None = None
    note: str = ""
    forced: bool = False
    panel: str = ""
    chosen: bool = True
    unit: str = "°"
    assumed: bool = False
    stated: str = ""
    least: float | None = None
    result: bool = True
    doubts: Sequence[str] = ()
    change: bool = False


@dataclass(frozen=True, eq=False)
class Scene:
    """One trial, y up, metres.

    points: measured points with origin, NaN = missing. spine: points of the spine from below upwards, with covariance
    where known. poses: {body: (frames, 4, 4)}. bones: each in the frame of its body. segments: pairs of bodies whose
    origins (joint centres) a line joins. cameras: world z up. status, reasons: one text per frame. films: pictures from
    cameras. step: poses hold the first frame and every step-th after it. assumed: spine points below assumed parts.
    """

    name: str
    spine: Markers
    points: Markers | None = None
    poses: Mapping[str, np.ndarray] = field(default_factory=dict)
    bones: Sequence[Bone] = ()
    segments: Sequence[tuple[str, str]] = ()
    cameras: Sequence[Camera] = ()
    status: Sequence[str] | None = None
    reasons: Sequence[str] | None = None
    curves: Sequence[Curve] = ()
    films: Sequence[Film] = ()
    step: int = 1
    assumed: Collection[str] = ()

    @property
    def frames(self) -> int:
        return self.spine.frames

    @property
    def rejected(self) -> np.ndarray:
        """(frames,) bool: rejected frames, including those that were filled in."""
        return is_rejected(self.status, self.frames)

    @property
    def summary(self) -> str:
        """Text on the content of the player, for screen readers."""
        parts = [f"{self.frames} frames at {self.spine.rate:g} per second", f"{len(self.cameras)} cameras"]
        for curve in (curve for curve in self.curves if curve.chosen):
            known = curve.values[np.isfinite(curve.values) & ~self.rejected]
            if known.size:
                unit = " degrees" if curve.unit == "°" else curve.unit
                reach = f"{known.min():.0f} to {known.max():.0f}{unit}"
                parts.append(f"{curve.label} {reach}" + f" ({curve.note})" * bool(curve.note))
        if self.rejected.any():
            parts.append(f"rejected frames: {frame_ranges(np.flatnonzero(self.rejected))}")
        return f"{self.name}: {', '.join(parts)}."


def frame_step(frames: int, most: int) -> int:
    """Smallest step n such that every n-th of `frames` frames gives at most `most` frames."""
    return max(1, -(-frames // most))


def tube_radius(spine: Markers) -> np.ndarray | None:
    """(frames, points) m: half of each point's 95 % interval in a typical direction; None where not known."""
    if spine.covariance is None:
        return None
    variance = np.diagonal(spine.covariance, axis1=-2, axis2=-1).mean(-1)
    return NORMAL_95 * np.sqrt(np.maximum(variance, 0))


def floor_height(poses: Mapping[str, np.ndarray], bones: Sequence[Bone], points: Markers | None) -> float:
    """Height (m) of the floor: the lowest place of the feet's bones in a few frames, else the lowest measured point.

    A lowest point within `TRUNK_M` belongs to a trunk without limbs: then the floor is at the frame's origin, as in
    motion capture.
    """
    lowest = []
    for bone in bones:
        if bone.body.startswith(("calcn", "toes")) and bone.body in poses:
            pose = poses[bone.body]
            thinned = pose[:: max(1, len(pose) // 40)]
            lowest.append(np.einsum("fj,pj->fp", thinned[:, 1, :3], bone.points) + thinned[:, 1, 3, None])
    if lowest:
        least = np.concatenate([a.min(1) for a in lowest])
        if np.isfinite(least).any():
            return float(np.nanpercentile(least, 5))
    if points is not None and points.present.any():
        low = float(np.nanpercentile(points.xyz[..., 1], 0.5))
        return 0.0 if TRUNK_M[0] < low < TRUNK_M[1] else low
    return 0.0


def camera_frustum(camera: Camera) -> np.ndarray:
    """(5, 3) m, y up: the optical centre and the corners of the image in front of it; distortion left out."""
    pixels = _IMAGE_CORNERS * camera.size
    normal = (pixels - camera.K[:2, 2]) @ np.linalg.inv(camera.K[:2, :2]).T
    rays = np.concatenate([normal, np.ones((4, 1))], 1) * _IMAGE_DISTANCE_M
    corners = (rays - camera.t) @ camera.R  # R.T (x − t), rows
    return change_frame(np.concatenate([camera.centre[None], corners]), "z_up", "y_up")


@dataclass(frozen=True)
class PackedScene:
    """A scene as text. header: JSON that is safe in a <script> element. block: base64. summary: for screen readers.

    cameras: names of those with pictures; films: all pictures of each camera, one after another, base64 text. curves:
    their number next to the 3D view. still: the body as an SVG path in cm, for browsers without WebGL.
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
    still: str = ""


def pack_scene(scene: Scene, most: int = MOST_FRAMES) -> PackedScene:
    """The scene for a page, thinned to at most `most` frames by a step that is a multiple of `scene.step`."""
    step = frame_step(scene.frames, most)
    kept = slice(None, None, step)
    block = Block()
    header: dict[str, object] = {
        "name": scene.name, "rate": scene.spine.rate / step, "start": scene.spine.start, "step": step,
        "frames": len(range(scene.frames)[kept]), "total": scene.frames,
    }  # fmt: skip
    block.lengths("spine", scene.spine.xyz[kept])
    header["spine"] = list(scene.spine.names)
    header["assumed"] = [name in scene.assumed for name in scene.spine.names[:-1]]
    radius = tube_radius(scene.spine)
    if radius is not None:
        block.lengths("tube", radius[kept])
    if scene.points is not None:
        block.lengths("points", scene.points.xyz[kept])
        header["points"] = list(scene.points.names)
        header["origin"] = colour_kinds(scene.points)
        if scene.points.filled is not None:
            block.whole("filled", scene.points.filled[kept])
    if scene.poses:
        names = list(scene.poses)
        poses = np.stack([scene.poses[name][:: step // scene.step] for name in names], 1)
        block.lengths("place", poses[..., :3, 3])
        block.lengths("turn", unit_quaternions(poses[..., :3, :3]))
        header["bodies"] = names
        header["segments"] = [[names.index(a), names.index(b)] for a, b in scene.segments if {a, b} <= set(names)]
        bones = [bone for bone in scene.bones if bone.body in names]
        header["bones"] = [[names.index(bone.body), bone.kind] for bone in bones]
        for i, bone in enumerate(bones):
            block.lengths(f"bone/{i}", bone.points)
            block.whole(f"face/{i}", bone.triangles)
            points, triangles = thin_triangles(bone.points, bone.triangles, MOVING_CELL_SIZES_M[bone.kind])
            block.lengths(f"bone-moving/{i}", points)
            block.whole(f"face-moving/{i}", triangles)
    header["floor"] = floor_height(scene.poses, scene.bones, scene.points)
    header["cameras"] = [{"name": c.name, "frustum": np.round(camera_frustum(c), 4).tolist()} for c in scene.cameras]
    reasons = [f"{s}|{r}" for s, r in zip(scene.status or (), scene.reasons or scene.status or (), strict=True)][kept]
    kinds = list(dict.fromkeys(reasons))
    if reasons:
        block.whole("status", np.array([kinds.index(reason) for reason in reasons]))
        header["status"] = [kind.split("|", 1) for kind in kinds]
    for i, curve in enumerate(scene.curves):
        block.lengths(f"curve/{i}", curve.values[kept])
        if curve.sd is not None:
            block.lengths(f"sd/{i}", curve.sd[kept])
    header["films"] = [_film_header(scene, i, step, block) for i in range(len(scene.films))]
    plain = [one.name for one in fields(Curve) if one.name not in ("values", "sd")]
    header["curves"] = [{key: getattr(curve, key) for key in plain} for curve in scene.curves]
    header["arrays"] = block.entries
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return PackedScene(
        header=text,
        block=base64.b64encode(b"".join(block.parts)).decode("ascii"),
        name=scene.name,
        summary=scene.summary,
        frames=scene.frames,
        rejected=int(scene.rejected.sum()),
        cameras=tuple(film.name for film in scene.films),
        films=tuple(base64.b64encode(b"".join(film.pictures)).decode("ascii") for film in scene.films),
        curves=len(scene.curves),
        still=_still_path(scene),
    )


def _still_path(scene: Scene) -> str:
    """SVG path of the body's segments and spine in the first frame, seen obliquely; unknown lines are left out."""
    across = np.array([1.0, 0.0, -1.0]) / np.sqrt(2)
    pairs = [pair for pair in scene.segments if set(pair) <= set(scene.poses)]
    lines = [np.stack([scene.poses[name][0, :3, 3] for name in pair]) for pair in pairs] + [scene.spine.xyz[0]]
    flat = [
        100 * np.column_stack([line @ across, -line[:, 1]]) for line in lines if len(line) and np.isfinite(line).all()
    ]
    corner = np.vstack(flat).min(0) if flat else 0.0
    return "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in line - corner) for line in flat)


def _film_header(scene: Scene, number: int, step: int, block: Block) -> dict[str, object]:
    """A film's part of the header; adds its points to the block. step: that of the frames kept."""
    film = scene.films[number]
    block.lengths(f"body/{number}", film.body[:: step // scene.step])
    block.lengths(f"seen/{number}", film.seen[:: step // scene.step])
    ends = np.cumsum([0, *map(len, film.pictures)]).tolist()
    return {
        "name": film.name, "size": list(film.size), "every": film.every // step, "ends": ends,
        "lines": [list(pair) for pair in film.lines], "spine": list(film.spine),
        "paints": {"lines": list(film.line_colours), "seen": list(film.seen_colours)},
    }  # fmt: skip


def colour_kinds(points: Markers) -> list[str]:
    """The kind of each point for its colour: its origin, or 'skin' for detected skin markers, as on the overlays."""
    skin = set(is_skin_marker(points.names_of(Origin.DETECTED)))
    origins = zip(points.names, points.origins, strict=True)
    return ["skin" if name in skin else str(origin) for name, origin in origins]


def unit_quaternions(rotations: np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotations → (..., 4) unit quaternions x y z w; NaN for rotations with NaN."""
    from scipy.spatial.transform import Rotation

    known = np.isfinite(rotations).all((-2, -1))
    turns = Rotation.from_matrix(np.where(known[..., None, None], rotations, np.eye(3)).reshape(-1, 3, 3))
    return np.where(known[..., None], turns.as_quat().reshape(*known.shape, 4), np.nan)
