"""A person in 3D as pictures, drawn without a browser: bones or skin on a floor, seen from a chosen side."""

from dataclasses import dataclass

import numpy as np

from simspine.errors import InputError, unknown_name
from simspine.geometry import change_frame, project_one
from simspine.report import canvas
from simspine.report.player.scene import Scene
from simspine.report.solid import Solid, solid_bones, solid_skin
from simspine.types import Camera

SIDES = ("oblique", "front", "side", "back", "top")
SHOWN = ("bones", "skin", "both")
SIZE = (1280, 720)
# As the player's: turn about the vertical from where the pelvis faces, tilt upwards (rad).
_TURNS = {"front": 0.0, "side": np.pi / 2, "back": np.pi, "oblique": 0.7 * np.pi, "top": 0.0}
_TILT, _TILT_TOP = 0.08, 1.5
_ANGLE = np.radians(32.0)  # of view, upwards
_DISTANCE, _MIDDLE = 3.7, 0.88  # m from the person, and above the floor
_ROAMS = 0.9  # m from the middle beyond which the view goes with the person
_THROUGH = 0.5  # opacity of skin over bones
_SKY, _GROUND, _LINE, _INK = (249, 246, 243), (232, 225, 218), (203, 193, 182), (40, 33, 28)  # BGR
_TILE, _TILES = 0.5, 6  # m between the floor's lines, and how many on either side
_FINE = 2  # samples a side of each pixel


@dataclass(frozen=True, eq=False)
class Portrait:
    """What is drawn of a scene. solids: from the inside outwards. view: one of `SIDES`, or the name of a camera."""

    scene: Scene
    solids: tuple[Solid, ...]
    view: str

    def picture(self, frame: int, size: tuple[int, int] = SIZE) -> np.ndarray:
        """One frame, (height, width, 3) uint8 BGR; size: (width, height) px. Parts that are not known are left out."""
        import cv2

        camera = self._camera(frame, (_FINE * size[0], _FINE * size[1]))
        image = _ground(camera, self.scene.floor, self._middle(frame))
        for number, solid in enumerate(self.solids):
            solid.draw(image, camera, frame, _THROUGH if number else 1.0)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        text = "   ".join([f"{self.scene.spine.time[frame]:.2f} s", *self._readings(frame)])
        letters = max(11, size[1] // 36)
        strip = canvas.write(image[: 3 * letters], (letters, 1.5 * letters), text, letters, _INK)
        return np.concatenate([strip, image[3 * letters :]])

    def _readings(self, frame: int) -> list[str]:
        """LLA and TKA where they are known, and what is to be said of the frame."""
        curves = [curve for curve in self.scene.curves if curve.name in ("LLA", "TKA")]
        said = [f"{c.name} {c.values[frame]:.0f}{c.unit}" for c in curves if np.isfinite(c.values[frame])]
        status = "kept" if self.scene.status is None else self.scene.status[frame]
        return said + [status] * (status != "kept")

    def _middle(self, frame: int) -> np.ndarray:
        """(3,) m, y up: the place on the floor that the view turns about."""
        path = _path(self.scene)
        middle = np.nanmean(path, 0)
        roams = np.nanmax(np.linalg.norm((path - middle)[:, [0, 2]], axis=1)) > _ROAMS
        if roams:
            known = np.flatnonzero(np.isfinite(path[:, 0]))
            middle = path[known[np.abs(known - frame).argmin()]]
        return np.array([middle[0], self.scene.floor, middle[2]])

    def _camera(self, frame: int, size: tuple[int, int]) -> Camera:
        for camera in self.scene.cameras:
            if camera.name == self.view:
                return _fitted(camera, size)
        turn = _facing(self.scene) + _TURNS[self.view]
        tilt = _TILT_TOP if self.view == "top" else _TILT
        away = np.array([np.cos(tilt) * np.cos(turn), np.sin(tilt), np.cos(tilt) * np.sin(turn)])
        return _looking(self._middle(frame) + np.array([0.0, _MIDDLE, 0.0]), away * _DISTANCE, size)


def portrait(scene: Scene, view: str = "oblique", show: str = "bones") -> Portrait:
    """A scene to be drawn. view: one of `SIDES`, or the name of one of its cameras. show: one of `SHOWN`.

    Raises `InputError` for other words, and for a result without a body, or without skin where that is to be shown.
    """
    views = [*SIDES, *(camera.name for camera in scene.cameras)]
    if view not in views:
        raise unknown_name("view", view, views)
    solids = [solid_bones(scene.bones, scene.poses)] if show in ("bones", "both") else []
    if show in ("skin", "both"):
        if scene.skin is None:
            raise InputError(
                f"{scene.name}: there is no skin for it, which needs the model of a body with every vertebra, such as "
                "the articulated one. Show bones."
            )
        solids.append(solid_skin(scene.skin, scene.poses))
    if not np.isfinite(_path(scene)).any():
        raise InputError(f"{scene.name}: no frame has a pose of the body; there is nothing to draw.")
    return Portrait(scene, tuple(solids), view)


def _path(scene: Scene) -> np.ndarray:
    """(frames, 3) m: where the pelvis is, or the first body."""
    return scene.poses.get("pelvis", next(iter(scene.poses.values())))[:, :3, 3]


def _facing(scene: Scene) -> float:
    """Where the pelvis faces in the first known frame, about the vertical, rad: OpenSim's pelvis looks along its x."""
    ahead = scene.poses["pelvis"][:, :3, 0] if "pelvis" in scene.poses else np.empty((0, 3))
    known = ahead[np.isfinite(ahead).all(1)]
    return float(np.arctan2(known[0, 2], known[0, 0])) if len(known) else 0.0


def _looking(target: np.ndarray, away: np.ndarray, size: tuple[int, int]) -> Camera:
    """A camera at target + away (3,) m, y up, that looks at the target."""
    ahead = -away / np.linalg.norm(away)
    right = np.cross(ahead, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    R = change_frame(np.stack([right, np.cross(ahead, right), ahead]), "y_up", "z_up")
    focal = size[1] / 2 / np.tan(_ANGLE / 2) * min(1.0, size[0] / size[1] / 0.62)
    K = np.array([[focal, 0, (size[0] - 1) / 2], [0, focal, (size[1] - 1) / 2], [0, 0, 1]])
    return Camera("view", size, K, np.zeros(5), R, -R @ change_frame(target + away, "y_up", "z_up"))


def _fitted(camera: Camera, size: tuple[int, int]) -> Camera:
    """The camera with its whole image inside a picture of another size."""
    scale = min(size[0] / camera.size[0], size[1] / camera.size[1])
    K = camera.K * np.array([[scale], [scale], [1.0]])
    K[:2, 2] += (np.array(size) - scale * np.array(camera.size)) / 2 + (scale - 1) / 2
    return camera.with_(size=size, K=K)


def _ground(camera: Camera, floor: float, middle: np.ndarray) -> np.ndarray:
    """The picture behind the person: light above, and lines on the floor."""
    width, height = camera.size
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.linspace(_SKY, _GROUND, height)[:, None].round()
    reach, start = _TILE * _TILES, np.round(middle[[0, 2]] / _TILE) * _TILE
    ends = np.arange(-_TILES, _TILES + 1) * _TILE
    along = np.linspace(-reach, reach, 4 * _TILES + 1)  # in pieces: a lens bends them, and some lie behind the camera
    for offset in ends:
        for x, z in ((np.full_like(along, offset), along), (along, np.full_like(along, offset))):
            line = np.stack([start[0] + x, np.full_like(along, floor), start[1] + z], -1)
            px = project_one(camera, change_frame(line, "y_up", "z_up"))
            canvas.line(image, px[np.isfinite(px).all(1)], _LINE, _FINE)
    return image
