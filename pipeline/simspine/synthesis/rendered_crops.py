"""A labelled picture of somebody, with everything around them drawn at random."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from simspine.anatomy.body import Body, body_poses, forward_kinematics
from simspine.anatomy.occlusion import BODY_PART_RADII
from simspine.anatomy.skin import posed_points
from simspine.core.errors import InputError
from simspine.core.geometry import change_frame, markers_in_frame, project_one
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Camera, Markers, Motion
from simspine.dataset.recordings import Recordings, open_dataset
from simspine.io.coco import COCO_HIDDEN, COCO_VISIBLE
from simspine.io.text_tables import warn_assumed
from simspine.synthesis import virtual_trial
from simspine.synthesis.actions import ACTION_NAMES
from simspine.synthesis.population import make_subject
from simspine.synthesis.raster import NO_TRIANGLE, Light, Mesh, join_meshes
from simspine.synthesis.rendered_people import RenderedPerson, make_person, person_mesh, recolour_clothes
from simspine.synthesis.rendered_scenes import (
    RenderedPicture,
    Sensor,
    draw_camera,
    draw_light,
    draw_room,
    draw_sensor,
    draw_things,
    expose_picture,
    finer_camera,
    take_picture,
)
from simspine.synthesis.shading import ShadowMap, add_floor_shadow, see_room, shadow_map
from simspine.synthesis.signals import random_stream

# What is known of a person in a picture: 37 points, which of them are in sight, the outline, the box.
# A point inside the body counts as in sight as long as nothing but its own flesh covers it: what the z-buffer
# shows in front of it may be as far before it as the point is deep under the skin, and a radius of its part more
# (the rule of `simspine.anatomy.skin`, with a surface in the place of capsules).


_POINT_BODY_PARTS = {
    "belly": ("Hip", "Spine_01", "Spine_02", "Spine_03"), "neck": ("Neck", "Neck_02", "Neck_03"),
    "chest": ("Spine_04", "Spine_05", "LLatissimus", "RLatissimus", "LClavicle", "RClavicle"),
    "head": ("Head", "Nose", "LEye", "REye", "LEar", "REar"), "shoulders": ("LShoulder", "RShoulder"),
    "upper_arm": ("LElbow", "RElbow"), "forearm": ("LWrist", "RWrist"), "thigh": ("LHip", "RHip"),
    "shank": ("LKnee", "RKnee", "LAnkle", "RAnkle"),
    "foot": ("LBigToe", "RBigToe", "LSmallToe", "RSmallToe", "LHeel", "RHeel"),
}  # fmt: skip
MIN_VISIBLE_PX = 30  # px of a person in sight; fewer and the picture is no use


@dataclass(frozen=True, eq=False)
class PictureLabels:
    """keypoints: (37, 3) x, y, v in SpineTrack's order; v 2: in sight, 1: hidden, 0: outside the image, or not known.
    camera_xyz: (37, 3) m in the camera's frame, 0 where not known. mask: (height, width) bool. box: (4,) left, top,
    width, height px of the mask.
    """

    keypoints: np.ndarray
    camera_xyz: np.ndarray
    mask: np.ndarray
    box: tuple[float, float, float, float]


def flesh_depths(names: tuple[str, ...], points: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """(points,) m: how far before each point its own flesh may be. points: (points, 3), skin: (n, 3), in one pose."""
    radius = {name: BODY_PART_RADII[part] for part, members in _POINT_BODY_PARTS.items() for name in members}
    under = cKDTree(skin).query(np.nan_to_num(points))[0]
    return under + np.array([radius[name] for name in names])


def label_picture(
    picture: RenderedPicture,
    camera: Camera,
    names: tuple[str, ...],
    xyz: np.ndarray,
    reach: np.ndarray,
    person: int = 0,
) -> PictureLabels | None:
    """Labels of one person of a picture; None where hardly anything of them is in it.

    names: SIMSPINE's 37 of xyz (points, 3) m in the world; reach: as from `flesh_depths`.
    """
    mask = np.asarray(picture.masks[person] > 0.5)
    if mask.sum() < MIN_VISIBLE_PX:
        return None
    px = project_one(camera, xyz)
    local = xyz @ camera.R.T + camera.t
    width, height = camera.size
    inside = np.all((px >= -0.5) & (px < np.array([width, height]) - 0.5), axis=1)
    v = np.where(
        inside,
        np.where(points_in_sight(picture, camera, xyz, reach=reach, person=person), COCO_VISIBLE, COCO_HIDDEN),
        0,
    )
    order = [names.index(_SPINETRACK_TO_SIMSPINE[name]) for name in load_skeleton("spinetrack37").names]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0])
    found = np.column_stack([np.where(inside[:, None], px, 0.0), v])
    local = np.nan_to_num(local)
    left, top, wide, high = (float(value) for value in box)
    return PictureLabels(found[order], local[order], mask, (left, top, wide, high))


def points_in_sight(
    picture: RenderedPicture, camera: Camera, xyz: np.ndarray, reach: np.ndarray, person: int = 0
) -> np.ndarray:
    """(points,) bool: nothing lies farther before a person's point than its reach, and nobody else before it at all.

    Points outside the image count as hidden.
    """
    fine = finer_camera(camera, picture.scale)
    px, local = project_one(fine, xyz), xyz @ camera.R.T + camera.t
    at = np.round(np.nan_to_num(px, nan=-1.0)).astype(int)
    inside = ((at >= 0) & (at < fine.size)).all(1)
    column, row = np.where(inside[:, None], at, 0).T
    slant = np.linalg.norm(local, axis=1) / local[:, 2]  # depth is along the axis, flesh along the line of sight
    before = (local[:, 2] - picture.seen.depth[row, column]) * slant
    triangle, (start, end) = picture.seen.triangle[row, column], picture.first[person : person + 2]
    others = (triangle >= 0) & (triangle < picture.first[-1]) & ((triangle < start) | (triangle >= end))
    clear = (triangle == NO_TRIANGLE) | (before <= np.where(others, 0.0, reach))
    return inside & clear


_SPINETRACK_TO_SIMSPINE = dict(load_skeleton("spinetrack37").to_simspine)


# Whose motion is rendered: people of the virtual capture, or of a data set of ours.


VIRTUAL_MARKER_SUFFIX = "_virtual"
_JOINT_BODIES = {
    "Shoulder": "humerus",
    "Elbow": "ulna",
    "Wrist": "hand",
    "Hip": "femur",
    "Knee": "tibia",
    "Ankle": "talus",
}
GENERATED_MOTION_FRAMES = 300  # frames of each motion that is made up


@dataclass(frozen=True, eq=False)
class Performer:
    """Somebody and what they do. name: of the person. points: (frames, 37, 3) m, z up, in the order of `names`; NaN
    where not known. maps: (frames, segments, 3, 4), rest → world. reach: (37,) m, see `labels`. floor: m, its height.
    rate: frames/s. takes: (frames,) number of the unbroken stretch that a frame belongs to, ascending.
    """

    name: str
    person: RenderedPerson
    names: tuple[str, ...]
    points: np.ndarray
    maps: np.ndarray
    reach: np.ndarray
    floor: float
    rate: float
    takes: np.ndarray

    @property
    def frames(self) -> int:
        return len(self.points)

    def maps_at(self, frame: int, later: float = 0.0) -> np.ndarray:
        """(segments, 3, 4) maps `later` s after a frame, linear between frames; a take's ends hold."""
        if later == 0.0:
            return self.maps[frame]
        first, last = np.searchsorted(self.takes, [self.takes[frame], self.takes[frame] + 1]) - [0, 1]
        at = float(np.clip(frame + later * self.rate, first, last))
        low = min(int(at), int(last) - 1) if last > first else int(first)
        share = at - low
        return (1 - share) * self.maps[low] + share * self.maps[min(low + 1, int(last))]


def make_performer(
    name: str, person: RenderedPerson, motion: Motion, points: Markers, lengths: Sequence[int] = ()
) -> Performer:
    """A person in a motion of their body; frames that are not known are left out. `InputError` without any.

    points: of the 37 those that are known, in the motion's frames; the others are NaN. lengths: frames of each of the
    trials that the motion is made of, where it is more than one.
    """
    known = np.isfinite(motion.values).all(1)
    if not known.any():
        raise InputError(f"{name}: no frame of the motion is known in all coordinates; there is nothing to render.")
    whole = motion.with_(values=motion.values[known], deviation=None)
    trial = np.repeat(np.arange(len(lengths)), lengths) if len(lengths) else np.zeros(len(known), int)
    takes = (trial + np.cumsum(~known))[known]  # a gap parts what is before from what is after
    there = [point for point in load_skeleton("simspine37").names if point in points.names]
    shown = points.select(there)
    shown = shown.with_(xyz=shown.xyz[known], weight=None)
    maps = person.maps(body_poses(person.body, whole))
    names = load_skeleton("simspine37").names
    xyz = np.full((len(maps), len(names), 3), np.nan)
    xyz[:, [names.index(point) for point in there]] = markers_in_frame(shown, "z_up").xyz
    some = np.linspace(0, len(maps) - 1, min(len(maps), 12)).astype(int)
    skins = [posed_points(person.skin, maps[k]) for k in some]
    reach = np.median([flesh_depths(names, xyz[k], skin) for k, skin in zip(some, skins, strict=True)], 0)
    floor = float(np.median([skin[:, 2].min() for skin in skins]))
    return Performer(
        name=name,
        person=person,
        names=names,
        points=xyz,
        maps=maps,
        reach=reach,
        floor=floor,
        rate=points.rate,
        takes=takes,
    )


def virtual_performer(seed: int, index: int, actions: Sequence[str] | None = None) -> Performer:
    """Person number `index` of the virtual capture of this seed, doing all actions, one after the other."""
    subject = make_subject(seed, index)
    body = virtual_trial.truth_body(subject).body
    person = make_person(body, subject.sex == "female", subject.mass, random_stream(seed, "person", str(index)))
    trials = [
        virtual_trial.make_trial(subject, action, 1, GENERATED_MOTION_FRAMES) for action in actions or ACTION_NAMES
    ]
    motion = _one_after_the_other([trial.motion for trial in trials])
    lengths = [trial.motion.frames for trial in trials]
    return make_performer(subject.name, person, motion, points=forward_kinematics(body, motion), lengths=lengths)


def dataset_performers(path: Path, seed: int) -> Iterator[Performer]:
    """Everybody in a data set of ours, with all their trials; sex and build are drawn, since nobody states them."""
    with open_dataset(path) as data:
        for name in data.subjects:
            body = Body.from_text(stored_model(data, name), f"{path}: the model of {name}")
            rng = random_stream(seed, "person", name)
            trials = [data.file.trial(name, recording.name) for recording in data.trials(name)]
            person = make_person(body, bool(rng.random() < 0.5), None, rng)
            motion = _one_after_the_other([trial.motion for trial in trials])
            warn_assumed(f"{path}: sex, build and looks of {name} are drawn; only bones and motion are {name}'s.")
            points = _points_of(body, motion, [trial.vertebral or trial.markers for trial in trials])
            yield make_performer(name, person, motion, points=points, lengths=[trial.motion.frames for trial in trials])


def stored_model(data: Recordings, subject: str) -> str:
    """A subject's model file as text; `InputError` where the data set has none."""
    text = data.file.model(subject)
    if not text:
        raise InputError(f"{data.path}: subject {subject} has no model in the file, so no body to put a skin on.")
    return text


def _points_of(body: Body, motion: Motion, stored: Sequence[Markers]) -> Markers:
    """Of the 37 points, z up: limb joints at the joints' centres, what the data set holds (of the spine the centres of
    vertebrae, where they are known), and else what the body has a marker for."""
    found: dict[str, np.ndarray] = {}
    poses, markers = body_poses(body, motion), markers_in_frame(forward_kinematics(body, motion), "z_up")
    for name in load_skeleton("simspine37").names:
        for marker in (f"{name}{VIRTUAL_MARKER_SUFFIX}", name):  # a detector's own place of the point goes first
            if marker in markers.names:
                found[name] = markers.xyz[:, markers.index(marker)]
    for joint, carrier in _JOINT_BODIES.items():
        for side in "LR":
            place = poses[f"{carrier}_{side.lower()}"][:, :3, 3]
            found[f"{side}{joint}"] = change_frame(place, "y_up", "z_up")
    known = np.concatenate([markers_in_frame(own, "z_up").xyz for own in stored])
    found |= {name: known[:, i] for i, name in enumerate(stored[0].names) if name in load_skeleton("simspine37").names}
    return Markers(tuple(found), motion.rate, np.stack(list(found.values()), 1))


def _one_after_the_other(motions: Sequence[Motion]) -> Motion:
    """Motions of one body as one."""
    first, values = motions[0], np.concatenate([motion.values for motion in motions])
    return Motion(first.names, first.rate, values, first.rotational)


# People at an instant: where they stand, beside whom, and how they blur while a shutter is open.


_MIN_DISTANCE_M, _MAX_DISTANCE_M = 0.35, 1.8  # m between somebody and who stands beside them
_MIN_CLEARANCE_M = 0.06  # m between two skins at least, by every `_CLEARANCE_POINT_STEP`-th point of each
_CLEARANCE_POINT_STEP, _PLACING_ATTEMPTS = 13, 12
_BLUR_STEP_PX = 1.0  # px that a point may go between two instants of a blurred picture
_MAX_BLUR_INSTANTS = 24  # instants of a blurred picture


@dataclass(frozen=True, eq=False)
class Actor:
    """Somebody at a frame of their motion. breath: −1 … 1. turn (3, 3), shift (3,) m: from where they were filmed to
    where they stand, z up.
    """

    who: Performer
    person: RenderedPerson
    frame: int
    breath: float
    turn: np.ndarray = field(default_factory=lambda: np.eye(3))
    shift: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def mesh(self, later: float = 0.0) -> Mesh:
        """Their surface `later` s after the frame."""
        maps = self.turn @ self.who.maps_at(self.frame, later)
        maps[..., 3] += self.shift
        return person_mesh(self.person, maps, self.breath)

    def points(self) -> np.ndarray:
        """(37, 3) m, in the order of the performer's names."""
        return self.who.points[self.frame] @ self.turn.T + self.shift


def place_beside(
    who: Performer, rng: np.random.Generator, floor: float, bodies: Sequence[Mesh]
) -> tuple[Actor, Mesh] | None:
    """Somebody put beside the first of `bodies`, clear of all of them, and their surface; None where no place is found.

    floor: m, the height of the picture's.
    """
    person = replace(who.person, appearance=recolour_clothes(who.person.appearance, rng))
    frame, breath = int(rng.integers(who.frames)), float(rng.uniform(-1, 1))
    middle = bodies[0].points[::_CLEARANCE_POINT_STEP].mean(0)
    trees = [cKDTree(body.points[::_CLEARANCE_POINT_STEP]) for body in bodies]
    own = Actor(who, person, frame, breath).mesh().points[::_CLEARANCE_POINT_STEP].mean(0)
    for _ in range(_PLACING_ATTEMPTS):
        a, way, far = (
            rng.uniform(0, 2 * np.pi),
            rng.uniform(0, 2 * np.pi),
            rng.uniform(_MIN_DISTANCE_M, _MAX_DISTANCE_M),
        )
        turn = np.array([[np.cos(a), -np.sin(a), 0.0], [np.sin(a), np.cos(a), 0.0], [0.0, 0.0, 1.0]])
        shift = middle + far * np.array([np.cos(way), np.sin(way), 0.0]) - turn @ own
        shift[2] = floor - who.floor
        actor = Actor(who=who, person=person, frame=frame, breath=breath, turn=turn, shift=shift)
        mesh = actor.mesh()
        if all(tree.query(mesh.points[::_CLEARANCE_POINT_STEP])[0].min() > _MIN_CLEARANCE_M for tree in trees):
            return actor, mesh
    return None


def motion_blurred(
    actors: Sequence[Actor],
    things: Sequence[Mesh],
    exposure: float,
    camera: Camera,
    light: Light,
    behind: np.ndarray,
    picture: RenderedPicture,
) -> np.ndarray:
    """(height, width, 3) float32: mean of the light that comes in while the shutter is open, `exposure` s in all.

    picture: that of the middle instant, which is returned where nobody moves by more than a pixel. Instants are so
    close that no point goes farther than a pixel between two, but for the fastest. Breath stays, and the shadow on
    what is behind.
    """
    ends = [
        np.concatenate([a.mesh(side * exposure / 2).points[::_CLEARANCE_POINT_STEP] for a in actors])
        for side in (-1, 1)
    ]
    gone = np.linalg.norm(project_one(camera, ends[1]) - project_one(camera, ends[0]), axis=1)
    count = int(np.clip(np.ceil(np.nanmax(gone, initial=0.0) / _BLUR_STEP_PX), 1, _MAX_BLUR_INSTANTS))
    if count == 1:
        return picture.colours
    total = np.zeros_like(picture.colours)
    for instant in range(count):
        later = ((instant + 0.5) / count - 0.5) * exposure
        bodies = [actor.mesh(later) for actor in actors]
        counts = [len(body.triangles) for body in bodies]
        people, mesh = join_meshes(bodies), join_meshes([*bodies, *things])
        shadow = shadow_map(people.points, people.triangles, light.way)
        total += take_picture(
            camera, mesh, counts, light=light, shadow=shadow, behind=behind, scale=picture.scale
        ).colours
    return total / np.float32(count)


_BACKGROUND_SCALE = 0.5  # px of a room for one of the picture: out of focus behind the person
_BACKGROUND_BLUR_PX = 0.7  # px of the room, one standard deviation
_MAX_CROP_ATTEMPTS = 20  # until somebody is in sight
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
    for attempt in range(_MAX_CROP_ATTEMPTS):
        labels = ("picture", str(number), str(attempt))
        company = _draw_company(who, others, style.together, random_stream(seed, *labels, "others"))
        sample = _attempt_crop(company, style, random_stream(seed, *labels))
        if sample is not None:
            return sample
    raise AssertionError(
        f"picture {number} shows nobody after {_MAX_CROP_ATTEMPTS} cameras"
    )  # every camera looks at them


def _draw_company(
    who: Performer, others: Sequence[Performer], most: int, rng: np.random.Generator
) -> list[tuple[Performer, np.random.Generator | None]]:
    """Who is in a picture, the one whom it is of first; each other one with random numbers of their own."""
    count = int(rng.integers(1, most + 1)) - 1 if most > 1 and others else 0
    chosen = rng.permutation(len(others))[:count]
    return [(who, None), *((others[int(i)], np.random.default_rng(rng.integers(2**63))) for i in chosen)]


def _attempt_crop(
    company: Sequence[tuple[Performer, np.random.Generator | None]], style: Style, rng: np.random.Generator
) -> Sample | None:
    who = company[0][0]
    frame = int(rng.integers(who.frames))
    dressed = replace(who.person, appearance=recolour_clothes(who.person.appearance, rng))
    actors = [Actor(who, dressed, frame, float(rng.uniform(-1, 1)))]
    bodies = [actors[0].mesh()]
    for other, own in company[1:]:
        if own is not None and (placed := place_beside(other, own, who.floor, bodies)) is not None:
            actors.append(placed[0])
            bodies.append(placed[1])
    camera = draw_camera(rng, bodies[0].points[::40], who.floor, style.size)
    light, sensor = draw_light(rng), draw_sensor(rng)
    things = draw_things(rng, camera.centre, bodies[0].points[::300])
    people = join_meshes(bodies)
    shadow = shadow_map(people.points, people.triangles, light.way)
    behind = _draw_background(rng, camera, light, shadow=shadow, floor=who.floor, images=style.backgrounds)
    mesh, counts = join_meshes([*bodies, *things]), [len(body.triangles) for body in bodies]
    picture = take_picture(camera, mesh, counts, light=light, shadow=shadow, behind=behind, scale=style.samples)
    found = [
        label_picture(picture, camera, actor.who.names, xyz=actor.points(), reach=actor.who.reach, person=k)
        for k, actor in enumerate(actors)
    ]
    if found[0] is None:
        return None
    colours = picture.colours
    if style.exposure > 0:
        colours = motion_blurred(
            actors, things, style.exposure, camera=camera, light=light, behind=behind, picture=picture
        )
    seen = tuple((a.who.name, a.frame, own) for a, own in zip(actors[1:], found[1:], strict=True) if own is not None)
    return Sample(
        image=expose_picture(colours, sensor, rng),
        labels=found[0],
        camera=camera,
        sensor=sensor,
        frame=frame,
        others=seen,
    )


def _draw_background(
    rng: np.random.Generator, camera: Camera, light: Light, shadow: ShadowMap, floor: float, images: Sequence[Path]
) -> np.ndarray:
    """(height, width, 3) linear: a part of one of the user's images, or a room."""
    import cv2

    if images and rng.random() < _OWN_BACKGROUND:
        return _part_of(images[int(rng.integers(len(images)))], camera.size, rng)
    room = draw_room(rng, camera.centre[None], floor)
    view = see_room(room, finer_camera(camera, _BACKGROUND_SCALE), *room_light(light))
    soft = cv2.GaussianBlur(add_floor_shadow(view, shadow), (0, 0), _BACKGROUND_BLUR_PX)
    return cv2.resize(soft, camera.size, interpolation=cv2.INTER_LINEAR)


def room_light(light: Light) -> tuple[np.ndarray, np.ndarray]:
    """(3,) linear colours that a room gets from everywhere, and from the lamp."""
    return 0.5 * (light.sky + light.ground), light.strength * max(float(light.way[2]), 0.3)


def _part_of(path: Path, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A random part of an image, as linear colours."""
    import cv2

    from simspine.core.errors import InputError

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
