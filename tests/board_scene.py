"""A board moved about between cameras whose places and lenses are known: its corners, and rendered images of it."""

from functools import lru_cache

import cv2
import numpy as np
from aimed import aimed
from scipy.interpolate import RectBivariateSpline
from scipy.spatial.transform import Rotation

from simspine.core.geometry import project_one, undistort_pixels
from simspine.core.types import Camera
from simspine.vision.board import Board
from simspine.workflow.camera_files import board_picture

LENSES = {
    "perspective": ("perspective", (-0.2, 0.12, 1e-3, -8e-4, 0.01), 640.0),
    "rational": ("perspective", (0.5, 0.2, 1e-3, -5e-4, 0.01, 0.75, 0.3, 0.02), 520.0),
    "fisheye": ("fisheye", (0.04, -0.01, 0.002, -0.0005), 480.0),
}
SIZE = (960, 720)
SHARP, GREY_NOISE = 0.6, 3.0  # px: blur of the images; grey levels of noise
_TEXELS = 48  # of a square's side in the printed board


def ring(count=4, lens="perspective", seed=0, radius=2.6):
    """Cameras round the origin, z up, level, at eye height, each a little different."""
    rng = np.random.default_rng(seed)
    model, distortion, focal = LENSES[lens]
    cameras = []
    for i in range(count):
        angle = 2 * np.pi * i / count + rng.normal(0, 0.1)
        centre = np.array([radius * np.cos(angle), radius * np.sin(angle), 1.4 + rng.normal(0, 0.2)])
        R, f = aimed(centre, [0, 0, 0.9]), focal * rng.uniform(0.95, 1.05)
        K = [[f, 0, SIZE[0] / 2 + rng.normal(0, 6)], [0, f * 1.001, SIZE[1] / 2 + rng.normal(0, 6)], [0, 0, 1]]
        cameras.append(Camera(f"cam{i + 1}", SIZE, K, distortion, R, -R @ centre, model))
    return cameras


def shown_to(cameras, board: Board, frames: int, seed=1):
    """Places of the board (R, t): by turns close to one camera, and in the middle between two neighbours."""
    rng, middle = np.random.default_rng(seed), board.corners.mean(0)
    places = []
    for k in range(frames):
        a = cameras[(k // 2) % len(cameras)]
        b = cameras[(k // 2 + 1) % len(cameras)]
        if k % 2:
            pixel = rng.uniform(0.12, 0.88, 2) * SIZE
            ray = np.r_[undistort_pixels(a, pixel), 1.0]
            place = a.centre + a.R.T @ (ray / np.linalg.norm(ray) * rng.uniform(0.9, 1.6))
            away = place - a.centre
        else:
            place = rng.uniform([-0.7, -0.7, 0.5], [0.7, 0.7, 1.5])
            away = place - (a.centre + b.centre) / 2
        turn = Rotation.from_rotvec(rng.normal(0, [0.35, 0.35, 0.5])).as_matrix()
        R = aimed(np.zeros(3), away).T @ turn  # the board's z points away from who looks at it
        places.append((R, place - R @ middle))
    return places


def on_the_floor(board: Board, place=(0.2, -0.3), degrees=30.0):
    """(R, t) of a board that lies on the floor with its printed side up."""
    R = Rotation.from_euler("z", degrees, degrees=True).as_matrix() @ np.diag([1.0, -1.0, -1.0])
    return R, np.array([*place, 0.0])


def corners_seen(cameras, board: Board, places, noise_px: float, seed=2):
    """(frames, cameras, corners, 2) px, NaN = not seen: outside the image, from behind or at a grazing angle."""
    rng = np.random.default_rng(seed)
    xy = np.full((len(places), len(cameras), len(board.corners), 2), np.nan)
    for f, (R, t) in enumerate(places):
        world = board.corners @ R.T + t
        for v, camera in enumerate(cameras):
            away = world.mean(0) - camera.centre
            if R[:, 2] @ away < 0.35 * np.linalg.norm(away):
                continue
            pixels = project_one(camera, world)
            inside = ((pixels > 3) & (pixels < np.array(camera.size) - 4)).all(-1)
            if inside.sum() >= 6:
                xy[f, v, inside] = pixels[inside] + rng.normal(0, noise_px, (int(inside.sum()), 2))
    return xy


def render(camera: Camera, board: Board, R, t, rng) -> np.ndarray:
    """(h, w, 3) uint8: what the camera sees of the board before a grey room; nine rays a pixel, blur, noise.

    Each ray comes through the lens backwards and meets the board's plane: nothing of the calibration's way there.
    """
    width, height = camera.size
    rim = np.array([[-1, -1], [board.columns + 1, -1], [board.columns + 1, board.rows + 1], [-1, board.rows + 1]])
    edge = np.concatenate([np.linspace(a, b, 9) for a, b in zip(rim, np.roll(rim, -1, 0), strict=True)])
    outline = project_one(camera, np.c_[edge * board.square, 0 * edge[:, :1]] @ R.T + t)
    low = np.clip(np.floor(np.nan_to_num(outline.min(0), nan=0.0)) - 3, 0, [width - 1, height - 1]).astype(int)
    high = np.clip(np.ceil(np.nan_to_num(outline.max(0), nan=9999.0)) + 4, low + 1, [width, height]).astype(int)
    rays = _rays(camera)[3 * low[1] : 3 * high[1], 3 * low[0] : 3 * high[0]]
    toward = rays @ (camera.R @ R)  # directions in the board's frame
    origin = (camera.centre - t) @ R
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = -origin[2] / toward[..., 2]
        place = origin[:2] + depth[..., None] * toward[..., :2]
    place = np.where((depth > 0)[..., None] & np.isfinite(place), place, -9.0)
    texel = ((place / board.square + 1) * _TEXELS - 0.5).astype(np.float32)
    seen = cv2.remap(_paper(board), texel[..., 0], texel[..., 1], cv2.INTER_LINEAR, borderValue=105)
    image = np.full((height, width), 105, np.float32)
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    image[low[1] : high[1], low[0] : high[0]] = cv2.resize(seen.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    image = cv2.GaussianBlur(image, (0, 0), SHARP) + rng.normal(0, GREY_NOISE, camera.size[::-1])
    return cv2.cvtColor(np.clip(image, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)


@lru_cache(maxsize=4)
def _paper(board: Board) -> np.ndarray:
    """The board as printed, with a margin of one square."""
    paper = (30 + board_picture(board, _TEXELS).astype(int) * 195 // 255).astype(np.uint8)
    return paper


_KEPT: dict = {}


def _rays(camera: Camera) -> np.ndarray:
    """(3 h, 3 w, 3) directions in the camera's frame: a spline through those of every eighth pixel."""
    if camera.name not in _KEPT or _KEPT[camera.name][0] != camera:
        width, height = camera.size
        x, y = np.arange(-8, width + 9, 8.0), np.arange(-8, height + 9, 8.0)
        ideal = undistort_pixels(camera, np.stack(np.meshgrid(x, y), -1))
        fine_x, fine_y = ((np.arange(3 * pixels) - 1) / 3 for pixels in camera.size)
        splines = [RectBivariateSpline(y, x, ideal[..., axis])(fine_y, fine_x) for axis in (0, 1)]
        _KEPT[camera.name] = camera, np.stack([*splines, np.ones_like(splines[0])], -1)
    return _KEPT[camera.name][1]
