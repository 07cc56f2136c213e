"""A labelled picture of somebody, with everything around them drawn at random."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simspine.capture.random_streams import stream
from simspine.capture.rendered.appearance import recoloured
from simspine.capture.rendered.cameras import draw_camera
from simspine.capture.rendered.labels import PictureLabels, label
from simspine.capture.rendered.motions import Performer
from simspine.capture.rendered.people import person_mesh
from simspine.capture.rendered.picture import finer, take_picture
from simspine.capture.rendered.scenes import draw_light, draw_room, draw_things
from simspine.capture.rendered.sensor import Sensor, draw_sensor, expose
from simspine.rendering.mesh import Light, joined
from simspine.rendering.room import room_seen, with_shadow
from simspine.rendering.shade import ShadowMap, shadow_map
from simspine.types import Camera

_BEHIND = 0.5  # px of a room for one of the picture: out of focus behind the person
_SOFT = 0.7  # px of the room, one standard deviation
_ATTEMPTS = 20  # until somebody is in sight
_OWN_BACKGROUND = 0.7  # share of pictures before the user's images, where there are any


@dataclass(frozen=True, eq=False)
class Sample:
    """image: (height, width, 3) uint8 BGR, not compressed yet. frame: of the performer's motion."""

    image: np.ndarray
    labels: PictureLabels
    camera: Camera
    sensor: Sensor
    frame: int


@dataclass(frozen=True)
class Style:
    """size: (width, height) px. samples: a side of each pixel. backgrounds: image files to put people before."""

    size: tuple[int, int] = (192, 256)
    samples: int = 2
    backgrounds: tuple[Path, ...] = ()


def draw_sample(who: Performer, style: Style, seed: int, number: int) -> Sample:
    """RenderedPicture `number` of a set; equal arguments give equal pixels and labels."""
    for attempt in range(_ATTEMPTS):
        sample = _attempt(who, style, stream(seed, "picture", str(number), str(attempt)))
        if sample is not None:
            return sample
    raise AssertionError(f"picture {number} shows nobody after {_ATTEMPTS} cameras")  # every camera looks at them


def _attempt(who: Performer, style: Style, rng: np.random.Generator) -> Sample | None:
    frame = int(rng.integers(who.frames))
    dressed = replace(who.person, appearance=recoloured(who.person.appearance, rng))
    body = person_mesh(dressed, who.maps[frame], float(rng.uniform(-1, 1)))
    camera = draw_camera(rng, body.points[::40], who.floor, style.size)
    light, sensor = draw_light(rng), draw_sensor(rng)
    things = draw_things(rng, camera.centre, body.points[::300])
    mesh = joined([body, *things])
    shadow = shadow_map(body.points, body.triangles, light.way)
    behind = _behind(rng, camera, light, shadow, who.floor, style.backgrounds)
    picture = take_picture(camera, mesh, len(body.triangles), light, shadow, behind, style.samples)
    labels = label(picture, camera, who.names, who.points[frame], who.reach)
    if labels is None:
        return None
    return Sample(expose(picture.colours, sensor, rng), labels, camera, sensor, frame)


def _behind(
    rng: np.random.Generator, camera: Camera, light: Light, shadow: ShadowMap, floor: float, images: Sequence[Path]
) -> np.ndarray:
    """(height, width, 3) linear: a part of one of the user's images, or a room."""
    import cv2

    if images and rng.random() < _OWN_BACKGROUND:
        return _part_of(images[int(rng.integers(len(images)))], camera.size, rng)
    room = draw_room(rng, camera.centre[None], floor)
    view = room_seen(room, finer(camera, _BEHIND), *room_light(light))
    soft = cv2.GaussianBlur(with_shadow(view, shadow), (0, 0), _SOFT)
    return cv2.resize(soft, camera.size, interpolation=cv2.INTER_LINEAR)


def room_light(light: Light) -> tuple[np.ndarray, np.ndarray]:
    """(3,) linear colours that a room gets from everywhere, and from the lamp."""
    return 0.5 * (light.sky + light.ground), light.strength * max(float(light.way[2]), 0.3)


def _part_of(path: Path, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A random part of an image, as linear colours."""
    import cv2

    from simspine.errors import InputError

    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"background {path} cannot be read as an image; take it out of the folder.")
    width, height = size
    largest = min(image.shape[1] / width, image.shape[0] / height)
    scale = largest * rng.uniform(0.5, 1.0)
    wide, high = max(int(scale * width), 1), max(int(scale * height), 1)
    left, top = (
        int(rng.integers(0, most - part + 1)) for most, part in ((image.shape[1], wide), (image.shape[0], high))
    )
    part = image[top : top + high, left : left + wide]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    shown = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR)
    srgb = shown[..., ::-1].astype(np.float32) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)
