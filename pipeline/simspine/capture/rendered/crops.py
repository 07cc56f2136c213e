"""A labelled picture of somebody, with everything around them drawn at random."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simspine.capture.random_streams import stream
from simspine.capture.rendered.actors import Actor, beside, blurred
from simspine.capture.rendered.appearance import recoloured
from simspine.capture.rendered.cameras import draw_camera
from simspine.capture.rendered.labels import PictureLabels, label
from simspine.capture.rendered.motions import Performer
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
    """image: (height, width, 3) uint8 BGR, not compressed yet. frame: of the performer's motion. others: who else is in
    sight, with their frames and labels.
    """

    image: np.ndarray
    labels: PictureLabels
    camera: Camera
    sensor: Sensor
    frame: int
    others: tuple[tuple[str, int, PictureLabels], ...] = ()


@dataclass(frozen=True)
class Style:
    """size: (width, height) px. samples: a side of each pixel. backgrounds: image files to put people before. together:
    most people in a picture. exposure: s that the shutter is open about the labelled instant; 0: nothing is blurred.
    """

    size: tuple[int, int] = (192, 256)
    samples: int = 2
    backgrounds: tuple[Path, ...] = ()
    together: int = 1
    exposure: float = 0.0


def draw_sample(who: Performer, style: Style, seed: int, number: int, others: Sequence[Performer] = ()) -> Sample:
    """RenderedPicture `number` of a set; equal arguments give equal pixels and labels.

    others: who may stand about, where the style has more than one person in a picture.
    """
    for attempt in range(_ATTEMPTS):
        labels = ("picture", str(number), str(attempt))
        company = _company(who, others, style.together, stream(seed, *labels, "others"))
        sample = _attempt(company, style, stream(seed, *labels))
        if sample is not None:
            return sample
    raise AssertionError(f"picture {number} shows nobody after {_ATTEMPTS} cameras")  # every camera looks at them


def _company(
    who: Performer, others: Sequence[Performer], most: int, rng: np.random.Generator
) -> list[tuple[Performer, np.random.Generator | None]]:
    """Who is in a picture, the one whom it is of first; each other one with random numbers of their own."""
    count = int(rng.integers(1, most + 1)) - 1 if most > 1 and others else 0
    chosen = rng.permutation(len(others))[:count]
    return [(who, None), *((others[int(i)], np.random.default_rng(rng.integers(2**63))) for i in chosen)]


def _attempt(
    company: Sequence[tuple[Performer, np.random.Generator | None]], style: Style, rng: np.random.Generator
) -> Sample | None:
    who = company[0][0]
    frame = int(rng.integers(who.frames))
    dressed = replace(who.person, appearance=recoloured(who.person.appearance, rng))
    actors = [Actor(who, dressed, frame, float(rng.uniform(-1, 1)))]
    bodies = [actors[0].mesh()]
    for other, own in company[1:]:
        if own is not None and (placed := beside(other, own, who.floor, bodies)) is not None:
            actors.append(placed[0])
            bodies.append(placed[1])
    camera = draw_camera(rng, bodies[0].points[::40], who.floor, style.size)
    light, sensor = draw_light(rng), draw_sensor(rng)
    things = draw_things(rng, camera.centre, bodies[0].points[::300])
    people = joined(bodies)
    shadow = shadow_map(people.points, people.triangles, light.way)
    behind = _behind(rng, camera, light, shadow, who.floor, style.backgrounds)
    mesh, counts = joined([*bodies, *things]), [len(body.triangles) for body in bodies]
    picture = take_picture(camera, mesh, counts, light, shadow, behind, style.samples)
    found = [
        label(picture, camera, actor.who.names, actor.points(), actor.who.reach, k) for k, actor in enumerate(actors)
    ]
    if found[0] is None:
        return None
    colours = picture.colours
    if style.exposure > 0:
        colours = blurred(actors, things, style.exposure, camera, light, behind, picture)
    seen = tuple((a.who.name, a.frame, own) for a, own in zip(actors[1:], found[1:], strict=True) if own is not None)
    return Sample(expose(colours, sensor, rng), found[0], camera, sensor, frame, seen)


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
