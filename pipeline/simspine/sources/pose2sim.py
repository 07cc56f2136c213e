"""Pose2Sim projects: their videos and calibration; which camera of a calibration took which video.

Layout: github.com/perfanalytics/pose2sim. Two of its recordings are packaged with simspine.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simspine.data_files import pose2sim_folder
from simspine.errors import InputError, unknown_name
from simspine.sources.video import Video
from simspine.types import Camera

VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".mpg", ".mpeg", ".webm")
CALIBRATION_ENDINGS = (".toml", ".qca.txt")  # in order of preference; Pose2Sim writes the first out of the others
BLOCK = 16  # px: video is coded in squares of this size; what pads the last ones lies at the right and the bottom
SIZE_TOLERANCE = 0.1  # of width or height; beyond it an image was rotated or rescaled after calibration


@dataclass(frozen=True)
class Pose2SimProject:
    """Files of one trial: videos in the order of their names, and the calibration of the cameras."""

    videos: tuple[Path, ...]
    calibration: Path


def find_project(folder: str | Path) -> Pose2SimProject:
    """The videos and the calibration file of a Pose2Sim project, or of one trial of a session.

    Videos: `<folder>/videos/`. Calibration: the newest file in the first folder with 'calib' in its name, in the
    project or above it (a session keeps one for all its trials); TOML is preferred to Qualisys `.qca.txt`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"project folder {folder} does not exist.")
    videos = _files(folder / "videos", VIDEO_ENDINGS)
    if not videos:
        raise InputError(f"no videos ({', '.join(VIDEO_ENDINGS)}) in {folder / 'videos'}. Put one per camera there.")
    searched = []
    for place in (folder, folder.resolve().parent):
        for calibration in sorted(p for p in place.iterdir() if p.is_dir() and "calib" in p.name.lower()):
            searched.append(str(calibration))
            for ending in CALIBRATION_ENDINGS:
                found = _files(calibration, (ending,))
                if found:
                    return Pose2SimProject(videos, max(found, key=lambda p: (p.stat().st_mtime, p.name)))
    raise InputError(
        f"no calibration ({', '.join(CALIBRATION_ENDINGS)}) for {folder}; searched "
        f"{', '.join(searched) or 'for a folder with calib in its name, there and one level up'}."
    )


def demo_folder(name: str = "Demo_SinglePerson") -> Path:
    """A packaged demonstration project of Pose2Sim's: four real videos and their calibration."""
    folder = pose2sim_folder() / name
    if not (folder / "videos").is_dir():
        known = sorted(path.parent.name for path in pose2sim_folder().glob("*/videos"))
        raise unknown_name("packaged recording", name, known, "simspine")
    return folder


def match_cameras(views: Sequence[Video | Path | str], cameras: Sequence[Camera]) -> list[Camera]:
    """The camera of each view, in the order of the views.

    A view (a video, a folder of detections, or a name) belongs to the camera of the same name, else to the only camera
    whose name ends with the same number (`cam01.mp4`, `cam1_json` ↔ `camera_1`). Order never decides. `InputError`
    lists both sides where a view finds no camera or two views find the same. Image sizes of videos are checked too
    (`check_sizes`); small differences are issued as warnings.
    """
    names = [_view_name(view) for view in views]
    chosen = [_camera_of(name, cameras) for name in names]
    faults = [f"{name} has none" for name, camera in zip(names, chosen, strict=True) if camera is None]
    found = [camera for camera in chosen if camera is not None]
    taken: dict[str, str] = {}
    for name, camera in zip(names, chosen, strict=True):
        if camera is not None and taken.setdefault(camera.name, name) != name:
            faults.append(f"{taken[camera.name]} and {name} both match {camera.name}")
    if len(set(names)) < len(names):
        faults.append("two views have the same name")
    if faults:
        raise InputError(
            f"views and calibrated cameras do not match: {'; '.join(faults)}.\n"
            f"  views:   {', '.join(names) or 'none'}\n"
            f"  cameras: {', '.join(camera.name for camera in cameras) or 'none'}\n"
            "Rename the files, or the cameras in the calibration file, so that names or their last numbers agree."
        )
    videos = [(view, camera) for view, camera in zip(views, found, strict=True) if isinstance(view, Video)]
    for note in check_sizes([view for view, _ in videos], [camera for _, camera in videos]):
        warnings.warn(note, stacklevel=2)
    return found


def check_sizes(videos: Sequence[Video], cameras: Sequence[Camera]) -> list[str]:
    """Remarks on videos whose image size differs a little from the calibration's; `InputError` beyond 10 %.

    None where one is the other padded to whole blocks of the coding: then it is known where the images differ.
    """
    notes, faults = [], []
    for video, camera in zip(videos, cameras, strict=True):
        if video.size == camera.size or _padded(video.size) == _padded(camera.size):
            continue
        text = (
            f"{video.path.name} is {video.size[0]}×{video.size[1]} px, "
            f"the calibration of {camera.name} is for {camera.size[0]}×{camera.size[1]} px"
        )
        if any(abs(a - b) > SIZE_TOLERANCE * b for a, b in zip(video.size, camera.size, strict=True)):
            turned = video.size[::-1]
            rotated = all(abs(a - b) <= SIZE_TOLERANCE * b for a, b in zip(turned, camera.size, strict=True))
            faults.append(f"{text} ({'rotated' if rotated else 'rescaled or cropped'} after calibration)")
        else:
            notes.append(f"{text}; taken as cropped at the right and bottom.")
    if faults:
        raise InputError("; ".join(faults) + ". Use the videos as they were calibrated, or calibrate again.")
    return notes


def _padded(size: Sequence[int]) -> tuple[int, ...]:
    return tuple(-(-length // BLOCK) * BLOCK for length in size)


def _files(folder: Path, endings: Sequence[str]) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    files = (p for p in folder.iterdir() if p.is_file() and p.name[0] != ".")
    return tuple(sorted(p for p in files if p.name.lower().endswith(tuple(endings))))


def _view_name(view: Video | Path | str) -> str:
    if isinstance(view, Video):
        return view.name
    name = Path(view).name
    for ending in VIDEO_ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name.removesuffix("_json")  # folders of Pose2Sim's detections


def _last_number(name: str) -> int | None:
    numbers = re.findall(r"\d+", name)
    return int(numbers[-1]) if numbers else None


def _camera_of(view: str, cameras: Sequence[Camera]) -> Camera | None:
    same = [camera for camera in cameras if camera.name.lower() == view.lower()]
    if not same:
        number = _last_number(view)
        same = [camera for camera in cameras if number is not None and _last_number(camera.name) == number]
    return same[0] if len(same) == 1 else None
