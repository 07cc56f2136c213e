"""A trial as a still or a video of the person in 3D, out of results' files."""

from pathlib import Path

from simspine.errors import InputError
from simspine.report.picture_file import write_picture
from simspine.report.player.scene import Scene
from simspine.report.portrait import Portrait, portrait
from simspine.report.video import CODECS, video_writer

STILLS = (".png", ".jpg")


def write_portrait(scene: Scene, out: Path, view: str, show: str, frame: int | None = None) -> Path:
    """Write a picture (.png, .jpg) of one frame, the first if None, or a video of all; returns its path.

    view, show: see `report.portrait.portrait`. Raises `InputError` for another ending, a frame that the trial does not
    have, and a frame of a video.
    """
    ending = out.suffix.lower()
    if ending not in (*STILLS, *CODECS):
        raise InputError(f"{out}: expected a picture ({', '.join(STILLS)}) or a video ({', '.join(CODECS)}).")
    if frame is not None and ending in CODECS:
        raise InputError(f"{out}: a video holds all frames; --frame goes with a picture ({', '.join(STILLS)}).")
    if frame is not None and frame >= scene.frames:
        raise InputError(f"{scene.name} has no frame {frame}: it has {scene.frames}, counted from 0.")
    drawn = portrait(scene, view, show)
    if ending in STILLS:
        write_picture(out, drawn.picture(frame or 0))
    else:
        _write_video(out, drawn)
    return out


def _write_video(out: Path, drawn: Portrait) -> None:
    with video_writer(out, drawn.scene.spine.rate) as video:
        for frame in range(drawn.scene.frames):
            video.add(drawn.picture(frame))
