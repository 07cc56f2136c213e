"""Random lights, rooms, objects, cameras and sensors, and the picture that a camera takes of a person."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from simspine.core.geometry import project_one
from simspine.core.types import Camera
from simspine.synthesis.raster import Light, Material, Mesh, Pattern, Visible, rasterise_triangles, surface_looks
from simspine.synthesis.rendered_people import linear_rgb
from simspine.synthesis.shading import DrawnPixels, Room, ShadowMap, shade_pixels
from simspine.synthesis.virtual_trial import look_at_rotation


def draw_light(rng: np.random.Generator) -> Light:
    """Draw a lamp or sun from above and ambient light, with random colour temperature."""
    height, round_about = np.radians(rng.uniform(25, 75)), rng.uniform(0, 2 * np.pi)
    way = np.array([np.cos(height) * np.cos(round_about), np.cos(height) * np.sin(round_about), np.sin(height)])
    warm = rng.normal(0, 0.1)
    lamp = rng.uniform(0.35, 1.5) * np.array([1 + warm, 1.0, 1 - warm])
    cool = rng.normal(0, 0.06)
    sky = rng.uniform(0.35, 0.9) * np.array([1 - cool, 1.0, 1 + cool])
    ground = sky * rng.uniform(0.35, 0.8) * np.array([1.04, 1.0, 0.95])
    return Light(way, lamp, sky, ground)


def draw_room(rng: np.random.Generator, eyes: np.ndarray, floor: float) -> Room:
    """Draw a room that contains cameras at `eyes` (n, 3) m. floor: m, its height."""
    reach = np.abs(eyes[:, :2]).max(0) + 0.5
    half = np.maximum(reach, rng.uniform(2.5, 6.0, 2))
    low = np.array([-half[0], -half[1], floor])
    high = np.array([half[0], half[1], max(floor + rng.uniform(2.4, 4.5), eyes[:, 2].max() + 0.3)])
    wall, ground = _draw_wall_colour(rng), _draw_wall_colour(rng)
    colours = np.array([wall, wall, ground, wall, wall, np.clip(np.array(wall) * 0.3 + 0.6, 0, 0.9)])
    colours *= rng.uniform(0.85, 1.1, (6, 1))
    second = colours * rng.uniform(0.4, 1.2, (6, 1))
    tile = np.where(rng.random(6) < 0.25, rng.uniform(0.15, 0.9, 6), 0.0)
    tile[2] = rng.choice([0.0, rng.uniform(0.1, 0.25), rng.uniform(0.3, 0.6)])
    posters = [_draw_poster(rng, low, high) for _ in range(rng.integers(0, 14))]
    return Room(low=low, high=high, colours=colours, second=second, tile=tile, posters=np.array(posters).reshape(-1, 8))


def _draw_wall_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    base = rng.uniform(70, 245)
    return linear_rgb(np.clip(base + rng.normal(0, 14, 3), 20, 250))


def _draw_poster(rng: np.random.Generator, low: np.ndarray, high: np.ndarray) -> list[float]:
    """Draw a rectangle on a wall (picture, door, window or cupboard): a row of `Room.posters`."""
    wall = int(rng.choice([0, 1, 3, 4]))
    along = 1 if wall % 3 == 0 else 0
    width, height = rng.uniform(0.3, 1.6), rng.uniform(0.3, 2.1)
    left = rng.uniform(low[along], high[along] - width)
    bottom = low[2] + (0.0 if rng.random() < 0.4 else rng.uniform(0.3, 1.6))
    return [wall, left, bottom, width, height, *linear_rgb((rng.uniform(20, 235) + rng.normal(0, 40, 3)).clip(5, 250))]


def box_mesh(centre: np.ndarray, size: np.ndarray, turn: np.ndarray, material: Material) -> Mesh:
    """A block with edges `size` (3,) m, rotated by `turn` (3, 3)."""
    side = np.array([[-1, -1, 1], [1, -1, 1], [-1, 1, 1], [1, 1, 1]]) / 2  # the upper face, rotated to the others
    quarters = [[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [0, 1, 0], [0, 3, 0]]
    turns = np.rint(Rotation.from_rotvec(np.pi / 2 * np.array(quarters)).as_matrix())
    local = (side @ turns.swapaxes(1, 2)).reshape(-1, 3)
    triangles = np.array([[0, 1, 3], [0, 3, 2]]) + 4 * np.arange(len(turns))[:, None, None]
    count = len(local)
    return Mesh(
        points=centre + (local * size) @ turn.T,
        normals=np.repeat(turns[..., 2], 4, 0) @ turn.T,
        looks=surface_looks(local * size, np.ones((count, 3)), np.full(count, 0.9)),
        triangles=triangles.reshape(-1, 3).astype(np.int32),
        material=np.zeros(2 * len(turns), np.int64),
        materials=(material,),
    )


def draw_things(rng: np.random.Generator, eye: np.ndarray, body: np.ndarray) -> Sequence[Mesh]:
    """Draw objects between a camera at `eye` (3,) m and points of a person (n, 3) m; two thirds of calls give none."""
    if rng.random() > 0.35:
        return ()
    meshes = []
    for _ in range(rng.integers(1, 3)):
        target = body[rng.integers(len(body))]
        near = rng.uniform(0.2, 0.75)
        size = rng.uniform(0.05, 0.4, 3) * (1 - near)
        turn = Rotation.random(random_state=rng).as_matrix()
        place = target + near * (eye - target) + rng.normal(0, 0.12, 3)
        if np.linalg.norm(body - place, axis=1).min() > 0.5 * np.linalg.norm(size) + 0.05:
            one, two = (linear_rgb((rng.uniform(20, 230) + rng.normal(0, 35, 3)).clip(5, 250)) for _ in range(2))
            pattern = Pattern(rng.choice([0, 0, 1, 3, 4]))
            meshes.append(box_mesh(place, size, turn, Material(one, two, pattern, size=0.08, mottle=0.15)))
    return meshes


_MEAN_BRIGHTNESS = 0.24  # mean linear brightness after automatic exposure


@dataclass(frozen=True)
class Sensor:
    """A camera's sensor. exposure: factor of the automatic exposure. balance: (3,) factors of red, green, blue. blur:
    px, standard deviation. noise: standard deviations of shot noise at full brightness and of read noise, as shares of
    full brightness. quality: of the JPEG, 1…100.
    """

    exposure: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    blur: float = 0.0
    noise: tuple[float, float] = (0.0, 0.0)
    quality: int = 95


def draw_sensor(rng: np.random.Generator) -> Sensor:
    """Draw a sensor: mostly good, sometimes soft, noisy or strongly compressed."""
    bad = rng.random() < 0.3
    return Sensor(
        exposure=float(np.exp(rng.normal(0.0, 0.25))),
        balance=(float(np.exp(rng.normal(0, 0.05))), 1.0, float(np.exp(rng.normal(0, 0.05)))),
        blur=float(rng.uniform(0.0, 1.6 if bad else 0.7)),
        noise=(float(rng.uniform(0.0, 0.06 if bad else 0.025)), float(rng.uniform(0.0, 0.015 if bad else 0.005))),
        quality=int(rng.integers(30, 70) if bad else rng.integers(70, 97)),
    )


def expose_picture(colours: np.ndarray, sensor: Sensor, rng: np.random.Generator) -> np.ndarray:
    """The sensor's picture (height, width, 3) uint8 BGR of linear colours (height, width, 3)."""
    colours = np.nan_to_num(colours)  # NaN has no index in the sRGB curve
    chosen = _MEAN_BRIGHTNESS / max(float(colours[::4, ::4].mean()), 1e-3)
    image = colours * (sensor.exposure * chosen * np.array(sensor.balance, np.float32))
    if sensor.blur > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), sensor.blur)
    shot, read = sensor.noise
    if shot > 0 or read > 0:
        deviation = np.sqrt(np.float32(shot**2) * np.maximum(image, 0) + np.float32(read**2))
        image = image + deviation * rng.standard_normal(image.shape, np.float32)
    return to_srgb(image)


def to_srgb(colours: np.ndarray) -> np.ndarray:
    """(height, width, 3) uint8 BGR of linear RGB 0…1; larger values are clipped."""
    steps = np.clip(colours[..., ::-1] * (len(_SRGB_CURVE) - 1), 0, len(_SRGB_CURVE) - 1).astype(np.int32)
    return _SRGB_CURVE[steps]


_LINEAR = np.linspace(0, 1, 8192)
_SRGB_CURVE = np.where(_LINEAR <= 0.0031308, 12.92 * _LINEAR, 1.055 * _LINEAR ** (1 / 2.4) - 0.055)
_SRGB_CURVE = np.round(255 * _SRGB_CURVE).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class RenderedPicture:
    """A rendered picture. colours: (height, width, 3) float32, linear. mask: (height, width) 0…1, share of a pixel that
    the person covers. seen: the visible triangles, at `scale` times the picture's size.
    """

    colours: np.ndarray
    mask: np.ndarray
    seen: Visible
    scale: int


def finer_camera(camera: Camera, scale: float) -> Camera:
    """The camera with `scale` times as many pixels across; the middle of a pixel stays the middle of its block."""
    K = camera.K * np.array([[scale], [scale], [1.0]])
    K[:2, 2] += (scale - 1) / 2
    return camera.with_(size=tuple(round(scale * pixels) for pixels in camera.size), K=K)


def take_picture(
    camera: Camera, mesh: Mesh, person: int, light: Light, shadow: ShadowMap, behind: np.ndarray, scale: int = 1
) -> RenderedPicture:
    """Render a mesh whose first triangles are a person's. person: their number.

    behind: (height, width, 3) linear colours of the background. scale: samples per side of a pixel, which smooth the
    edges. Colours are computed once per pixel.
    """
    fine = finer_camera(camera, scale)
    px = project_one(fine, mesh.points).astype(np.float32)
    depth = np.where(np.isfinite(px).all(1), mesh.points @ fine.R[2] + fine.t[2], -1.0).astype(np.float32)
    seen = rasterise_triangles(px, depth, mesh.triangles, fine.size)
    colours, count = shade_pixels(
        mesh, DrawnPixels(px, depth, seen), camera.centre, light=light, shadow=shadow, behind=behind, person=person
    )
    return RenderedPicture(colours=colours, mask=count * np.float32(1 / scale**2), seen=seen, scale=scale)


# Cameras that look at a person from any side; their image is cropped to the person, as for a detector.


_CAMERA_DISTANCES_M = (2.0, 8.0)  # m
_CAMERA_HEIGHTS_M = (0.3, 2.4)  # m above the floor
_OFF_AXIS_SD_RAD = np.radians(9.0)  # standard deviation of the person's angle from the optical axis
_CLOSE_UP_SHARE = 0.15  # share of pictures that show only a part of the person

_Stand = tuple[np.random.Generator, np.ndarray]


def draw_camera(
    rng: np.random.Generator, points: np.ndarray, floor: float, size: tuple[int, int], fixed: _Stand | None = None
) -> Camera:
    """Draw a camera of `size` px that sees points (n, 3) m of a person, z up.

    It stands at any side, does not look exactly at the person, and its image is cropped to the person, so the principal
    point may lie outside. Its distortion is about that of Human3.6M's lenses. fixed: generator of its position and
    lens, and the position (3,) m round which it stands; default: `rng` and the person.
    """
    placing, middle = fixed or (rng, (points.min(0) + points.max(0)) / 2)
    turn, far = placing.uniform(0, 2 * np.pi), placing.uniform(*_CAMERA_DISTANCES_M)
    eye = np.array(
        [*(middle[:2] + far * np.array([np.cos(turn), np.sin(turn)])), floor + placing.uniform(*_CAMERA_HEIGHTS_M)]
    )
    aim = middle + np.linalg.norm(eye - middle) * np.tan(placing.normal(0, _OFF_AXIS_SD_RAD, 3).clip(-0.35, 0.35))
    R = look_at_rotation(eye, aim, np.radians(placing.normal(0, 5.0)))
    k1 = placing.normal(-0.12, 0.08)
    distortion = np.array([k1, -k1 * placing.uniform(0.5, 1.2), *placing.normal(0, 1e-3, 2), 0.0])
    unit = Camera(name="unit", size=size, K=np.eye(3), distortion=distortion, R=R, t=-R @ eye)
    if rng.random() < _CLOSE_UP_SHARE:  # head to hips, or a part about one point
        points = points[points[:, 2] > np.quantile(points[:, 2], rng.uniform(0.25, 0.55))]
    px = project_one(unit, points)
    low, high = px.min(0), px.max(0)
    focal = rng.uniform(0.6, 0.92) * float(np.min(np.array(size) / (high - low)))
    centre = np.array(size) / 2 + rng.normal(0, 0.03, 2) * size - focal * (low + high) / 2
    return unit.with_(name="crop", K=np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1.0]]))
