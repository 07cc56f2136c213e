"""Videos of the virtual capture: each trial as its cameras would have filmed it, a Pose2Sim project that the whole
workflow can start from, beside the truth that the capture has written."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.body.kinematics import forward_kinematics
from simspine.capture.random_streams import stream
from simspine.capture.rendered.crops import room_light
from simspine.capture.rendered.motions import Performer, performer
from simspine.capture.rendered.people import RenderedPerson, make_person, person_mesh
from simspine.capture.rendered.picture import take_picture
from simspine.capture.rendered.scenes import draw_light, draw_room
from simspine.capture.rendered.sensor import Sensor, expose
from simspine.capture.rig import rig
from simspine.capture.subjects import SyntheticSubject, make_subject
from simspine.capture.trial_files import motion_of
from simspine.capture.truth import RATE, make_trial, truth_body
from simspine.capture.writer import CaptureSettings, write_capture
from simspine.errors import InputError
from simspine.formats.atomic import atomic_path
from simspine.formats.calibration import write_calibration
from simspine.rendering.mesh import Light
from simspine.rendering.room import RoomView, room_seen, with_shadow
from simspine.rendering.shade import shadow_map
from simspine.sources.human36m.names import select_trials
from simspine.types import Camera

VIDEOS, BREATHS = "videos", 0.25  # folder; breaths a second
_CODEC = b"mp4v"  # MPEG-4 part 2, which is quick to write; nothing here is for browsers
# A good camera, not a perfect one. The videos' own compression comes on top.
_SENSOR = Sensor(exposure=1.0, blur=0.6, noise=(0.012, 0.003))
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FilmSettings:
    """seed, subjects, actions, frames: as in `CaptureSettings`, whose capture is filmed. samples: a side of a pixel."""

    seed: int = 1
    subjects: int = 1
    actions: tuple[str, ...] = ("Walking_1",)
    frames: int | None = 150
    samples: int = 1


def project_folder(folder: Path, subject: str, trial: str) -> Path:
    """Where the videos and the calibration of a trial are."""
    return folder / VIDEOS / subject / trial


def write_videos(folder: Path, settings: FilmSettings, progress: Progress | None = None) -> list[Path]:
    """Write a virtual capture with its truth, and film it; returns the project folder of each trial.

    Equal settings give equal pixels before the video's encoder, and equal truth. Raises `InputError` as `write_capture`
    does.
    """
    capture = CaptureSettings(settings.seed, settings.subjects, settings.actions, settings.frames, "exact")
    write_capture(folder, capture)
    trials, made = select_trials(settings.actions), []
    for index in range(settings.subjects):
        subject = make_subject(settings.seed, index)
        body = truth_body(subject).body
        rng = stream(settings.seed, "person", str(index))
        person = make_person(body, subject.sex == "female", subject.mass, rng)
        cameras = rig(settings.seed, subject.name)
        for trial in trials:
            out = project_folder(folder, subject.name, trial)
            who = _performer(subject, person, trial, settings.frames)
            _film(out, who, cameras, settings, trial, progress)
            write_calibration(out / "calibration" / "Calib.toml", cameras)
            made.append(out)
    return made


def _performer(subject: SyntheticSubject, person: RenderedPerson, trial: str, frames: int | None) -> Performer:
    made = make_trial(subject, *motion_of(trial), frames)
    return performer(subject.name, person, made.motion, forward_kinematics(made.body, made.motion))


def _film(
    out: Path, who: Performer, cameras: list[Camera], settings: FilmSettings, trial: str, progress: Progress | None
) -> None:
    """The videos of one trial; light and room stay the same."""
    rng = stream(settings.seed, "film", who.name, trial)
    light = draw_light(rng)
    room = draw_room(rng, np.stack([camera.centre for camera in cameras]), who.floor)
    for number, camera in enumerate(cameras):
        view = room_seen(room, camera, *room_light(light))
        with _recording(out / VIDEOS / f"{camera.name}.mp4", camera) as video:
            for frame, image in enumerate(_images(who, camera, light, view, settings, trial)):
                video.write(image)
                if progress is not None:
                    progress(number * who.frames + frame + 1, len(cameras) * who.frames)


@contextmanager
def _recording(path: Path, camera: Camera):
    """An open video of a camera's size, which becomes `path` when the block ends well."""
    import cv2

    with atomic_path(path) as temporary:
        video = cv2.VideoWriter(str(temporary), int.from_bytes(_CODEC, "little"), RATE, camera.size)
        if not video.isOpened():
            raise InputError(f"{path}: the installed OpenCV cannot write MPEG-4; install opencv-python-headless.")
        try:
            yield video
        finally:
            video.release()


def _images(
    who: Performer, camera: Camera, light: Light, view: RoomView, settings: FilmSettings, trial: str
) -> Iterator[np.ndarray]:
    """(height, width, 3) uint8 BGR, frame by frame."""
    rng = stream(settings.seed, "film", who.name, trial, camera.name)
    for frame in range(who.frames):
        breath = float(np.sin(2 * np.pi * BREATHS * frame / RATE))
        mesh = person_mesh(who.person, who.maps[frame], breath)
        shadow = shadow_map(mesh.points, mesh.triangles, light.way)
        behind = with_shadow(view, shadow)
        picture = take_picture(camera, mesh, [len(mesh.triangles)], light, shadow, behind, settings.samples)
        yield expose(picture.colours, _SENSOR, rng)
