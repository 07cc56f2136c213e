"""Videos, read frame by frame; Pose2Sim projects; matching of videos to the cameras of a calibration."""

import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.core.errors import InputError, as_file_systems_compare, file_version, require_file, unknown_name
from simspine.core.settings import pose2sim_folder
from simspine.core.types import MAX_FRAME_RATE_HZ, Camera
from simspine.io.atomic import check_announced_bytes
from simspine.io.mp4 import capture_rate, fault_of_header, frame_times, packet_stamps
from simspine.io.text_tables import warn_assumed

_FILE_SIGNATURES = {  # first bytes of files: kind of file; the first match counts
    b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"GIF8": "a GIF picture",
    b"BM": "a BMP picture", b"%PDF": "a PDF document", b"PK\x03\x04": "a zip archive (or an Office document)",
    b"\x1f\x8b": "a gzip archive", b"\x89HDF": "an HDF5 file", b"\x93NUMPY": "a NumPy array",
    b"\x7fELF": "a program", b"version https://git-lfs": "a pointer of Git LFS, whose file was not fetched",
    **dict.fromkeys((b"ffconcat", b"#EXTM3U", b"v=0"), "a text file, which names other files to be played"),
}  # fmt: skip
_MAX_TEXT_SHOWN = 30  # characters of a text file that a message quotes
_HEAD_BYTES = 1024  # bytes read to recognise a file
_DAMAGED = "it is damaged, cut short, or trimmed without new encoding. Copy it from its source, or convert it (ffmpeg)."


def describe_foreign_file(path: Path) -> str:
    """Kind of a file by its first bytes: 'a text file, which begins with “…”', 'a PNG picture', …; '' if unknown."""
    with path.open("rb") as file:
        start = file.read(_HEAD_BYTES)
    if not start:
        return "empty"
    known = next((name for beginning, name in _FILE_SIGNATURES.items() if start.startswith(beginning)), "")
    if known:
        return known
    try:
        text = start.decode("utf-8", "strict" if len(start) < _HEAD_BYTES else "ignore")
    except UnicodeDecodeError:
        return ""
    if not all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text):
        return ""
    words = " ".join(text.replace("\ufeff", "").split())
    shown = words if len(words) <= _MAX_TEXT_SHOWN else words[:_MAX_TEXT_SHOWN].rstrip() + "…"
    return f"a text file, which begins with “{shown}”" if words else "a text file of blanks"


# Containers may announce a frame or two that no decoder delivers (edit lists, B-frames at the end).
TOLERATED_FRAMES = 2
RATE_TOLERANCE, _MAX_DRIFT_FRAMES = 1e-3, 0.5  # between videos: relative difference of rates, drift over their length
_KNOWN_DRIFT_RATE_TOLERANCE = 1e-2  # relative difference of rates, where delays and drift are given or estimated
_LEAST_SLOW_MOTION = 3.5  # frames taken a second to those shown; darkness alone halves a phone's rate
_LEAST_GAP_FRAMES = 1.5  # between two decoded images, after which the packets between them are counted
_MAX_UNEVENNESS = 0.6  # of a frame interval: range of the deviations of time stamps from an even rate
MOST_RESAMPLED = 40  # frames that resampling may make of one
_MAX_BRIDGED_GAP_S = 0.1  # s; frames farther apart than this, and than twice the usual step, are not bridged
DELAYS_HINT = (
    "Say by how many frames each view is late (`delays` of the trial, or `delays: find`; in Python simspine.Delayed), "
    "or trim them to the same instants (ffmpeg -ss, -frames:v)."
)


@dataclass(frozen=True)
class Video:
    """A readable video. Made by `open_video`, which checks it.

    size: (width, height) px of the decoded images, after the rotation that the file states. rate: frames per second.
    frames: as announced by the container.
    """

    path: Path
    size: tuple[int, int]
    rate: float
    frames: int

    @property
    def name(self) -> str:
        """File name without its ending."""
        return self.path.stem

    def __iter__(self) -> Iterator[np.ndarray]:
        """Images (height, width, 3) uint8, BGR, one at a time."""
        decoded = 0
        with _open_capture(self.path) as capture:
            for _ in self._grabbed(capture):
                decoded += 1
                yield capture.retrieve()[1]
        if decoded < self.frames - TOLERATED_FRAMES:
            text = f"announces {self.frames} frames, but only {decoded} could be decoded"
            raise InputError(f"video {self.path} {text}: {_DAMAGED}")

    def at(self, rows: Iterable[int]) -> Iterator[np.ndarray]:
        """Images of the frames `rows`, in ascending order; frames between them are skipped without conversion."""
        wanted = set(rows)
        with _open_capture(self.path) as capture:
            grabbed = self._grabbed(capture)
            for row in range(max(wanted, default=-1) + 1):
                if not next(grabbed, False):
                    raise InputError(f"video {self.path}: frame {row} of {self.frames} cannot be decoded; {_DAMAGED}")
                if row in wanted:
                    yield capture.retrieve()[1]

    def _grabbed(self, capture) -> Iterator[bool]:
        """True for each image decoded. `InputError` where one between two others was not: later ones would be early.
        Gaps without a packet are those of `describe_unevenness`. Where images share time stamps, the number counts."""
        import cv2

        before, number = np.inf, 0
        while capture.grab():
            now = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if now - before > _LEAST_GAP_FRAMES / self.rate:
                stamps, margin = packet_stamps(self.path, file_version(self.path)), 0.4 / self.rate
                first, end = np.searchsorted(stamps, [before + margin, now - margin])
                lacks_one = first < end if frame_times(self.path).size else now * self.rate > number + 0.5
                if lacks_one:
                    text = f"the image at {before + 1 / self.rate:.3f} s is missing, or cannot be decoded"
                    raise InputError(f"video {self.path}: {text}; {_DAMAGED}")
            before, number = now, number + 1
            yield True

    def shown_at(self, frames: Iterable[int]) -> Iterator[np.ndarray]:
        """Images of `frames`, whose numbers must not decrease; ends at the end of the video."""
        images, number, image = iter(self), -1, None
        for frame in frames:
            while number < frame:
                image, number = next(images, None), number + 1
                if image is None:
                    return
            if image is not None:
                yield image


def open_video(path: str | Path) -> Video:
    """The video at a path, after decoding its first frame. Raises `InputError` for a file that cannot be read."""
    import cv2

    path = Path(path)
    require_file(path)
    if fault := fault_of_header(path):
        raise InputError(f"video {path} {fault}")
    with _open_capture(path) as capture:
        size = 3 * capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        check_announced_bytes(f"video {path}", round(size), path.stat().st_size)
        ok, image = capture.read()
        if not ok:
            raise InputError(f"video {path} opens, but no frame of it can be decoded; is it empty? Else {_DAMAGED}")
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        frames = round(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    if not (np.isfinite(rate) and 0 < rate <= MAX_FRAME_RATE_HZ):
        raise InputError(f"video {path} states {rate:g} frames/s, which no camera has. Convert it with ffmpeg -r RATE.")
    if (taken := capture_rate(path)) > _LEAST_SLOW_MOTION * rate:
        speed = f"taken at {taken:g} frames/s and stamped at {rate:g}, so all is {taken / rate:.3g} times too slow"
        cure = f"ffmpeg -itsscale {rate / taken:.4g} -i OLD -c copy NEW"
        warn_assumed(f"video {path}: slow motion, {speed}. Restore it: {cure}.")
    if not 0 < frames < (size := path.stat().st_size):
        raise InputError(f"video {path} announces {frames} frames in {size} bytes: it is damaged. Convert it (ffmpeg).")
    return Video(path, (image.shape[1], image.shape[0]), rate, frames)


def check_whole(videos: Iterable[Video]) -> None:
    """Raise `InputError` for a video that is cut short. It is decoded from the start only if seeking its end fails."""
    import cv2

    for video in videos:
        last = max(video.frames - 1 - TOLERATED_FRAMES, 0)
        with _open_capture(video.path) as capture:
            capture.set(cv2.CAP_PROP_POS_FRAMES, last)
            end_decoded = capture.read()[0]
        if not end_decoded:
            list(video.at([last]))


def open_videos(paths: Sequence[str | Path]) -> tuple[Video, ...]:
    """The videos of a capture, after decoding their first frames. One `InputError` lists the faults of all of them."""
    videos, faults = [], []
    for path in paths:
        try:
            videos.append(open_video(path))
        except InputError as fault:
            faults.append(str(fault))
    if faults:
        raise InputError("\n".join(faults))
    return tuple(videos)


def describe_unevenness(video: Video) -> str:
    """How time stamps deviate from the frame rate; '' where they do not. `InputError` for an AVI that lacks a frame."""
    times = frame_times(video.path) if video.path.is_file() else np.zeros(0)
    count = len(times)
    if count < 2:
        return ""
    with video.path.open("rb") as file:
        is_avi = file.read(4) == b"RIFF"  # other containers state time stamps, or estimate the count
    if is_avi and round(times[-1] * video.rate) + 1 < video.frames:
        text = f"video {video.path} is damaged: it announces {video.frames} frames and holds {count}"
        raise InputError(
            f"{text}. Copy it anew; if it lacks its end only: ffmpeg -i {video.path.name} -c copy NEW.avi."
        )
    steps, usual_step = np.diff(times), float(np.median(np.diff(times)))
    even = np.linspace(0, times[-1], count)
    if np.ptp(times - even) > _MAX_UNEVENNESS * usual_step:
        return (
            f"{video.path.name} has an uneven frame rate, {1 / usual_step:.4g} frames/s usually, with steps of "
            f"{1000 * steps.min():.0f} to {1000 * steps.max():.0f} ms"
        )
    stamped_rate = (count - 1) / float(times[-1])
    if abs(stamped_rate / video.rate - 1) > max(RATE_TOLERANCE, 1 / count):
        return f"{video.path.name} states {video.rate:.5g} frames/s, its time stamps {stamped_rate:.5g}"
    return ""


def resampling_rate(videos: Sequence[Video]) -> int | None:
    """Frames/s to resample videos of uneven, or clearly different, frame rates at, with a warning; None for others."""
    uneven = [text for video in videos if (text := describe_unevenness(video))]
    rates = sorted(video.rate for video in videos)
    if not uneven and (not rates or rates[-1] / rates[0] - 1 < _KNOWN_DRIFT_RATE_TOLERANCE):
        return None
    rate = fastest_rate(videos)
    said = uneven[0] if uneven else f"the videos have {rates[0]:.5g} and {rates[-1]:.5g} frames/s"
    said += f"; {len(uneven)} of {len(videos)} videos are like that" if len(uneven) > 1 else ""
    advice = "If a trigger took the frames and only the time stamps are wrong, set `detection.resample` to 0"
    warn_assumed(f"{said}. The videos are resampled by their time stamps, at {rate} frames/s. {advice}.")
    return rate


def frames_at_rate(videos: Sequence[Video], rate: float) -> tuple[np.ndarray, ...]:
    """Frame numbers, with fractions, of each video at 0, 1 / rate, 2 / rate, … s by its time stamps; NaN in gaps."""
    numbers_of_videos = []
    for video in videos:
        times = frame_times(video.path)
        if not len(times):
            raise InputError(f"video {video.path} has no usable time stamps to resample by (detection.resample).")
        if times[-1] * rate > MOST_RESAMPLED * len(times):
            text = f"{len(times)} frames in {times[-1]:.3g} s, too few for {rate:g} frames/s (detection.resample)"
            raise InputError(f"video {video.path}: {text}. Is the rate right, and is the video whole?")
        numbers = np.interp(np.arange(int(times[-1] * rate + 0.05) + 1) / rate, times, np.arange(len(times)))
        numbers = np.where(np.abs(numbers - np.round(numbers)) < 1e-3, np.round(numbers), numbers)
        gap = np.diff(times) > max(_MAX_BRIDGED_GAP_S, 2 * float(np.median(np.diff(times))))
        in_gap = (numbers % 1 > 0) & gap[np.minimum(numbers.astype(int), len(gap) - 1)]
        numbers_of_videos.append(np.where(in_gap, np.nan, numbers))
    return tuple(numbers_of_videos)


def fastest_rate(videos: Sequence[Video]) -> int:
    """The highest frame rate of any video by its time stamps, in whole frames/s."""
    times = [frame_times(video.path) for video in videos if video.path.is_file()]
    rates = [1 / float(np.percentile(np.diff(stamps), 5)) for stamps in times if len(stamps) > 1]
    return round(max(rates, default=max(video.rate for video in videos)))


def rates_differ(videos: Sequence[Video]) -> bool:
    """Whether frame rates differ by more than 0.1 %, or by more than half a frame over the longest video."""
    rates = [video.rate for video in videos]
    apart = max(rates) / min(rates) - 1
    return apart > RATE_TOLERANCE or apart * max(video.frames for video in videos) > _MAX_DRIFT_FRAMES


def check_synchronised(
    videos: Sequence[Video], lengths_agree: bool = True, resample: float | None = None, delayed: bool = False
) -> None:
    """Raise one `InputError`, with a table of all videos, unless lengths and rates agree, and time stamps are even.

    lengths_agree: False where lengths may differ, since the videos start together, or their delays are given or to be
    estimated. delayed: True for such delays; rates may then differ by 1 %, because the drift is known. resample: of
    `DetectionOptions`.

    Without delays, frame k of each view is taken to show the same instant.
    """
    if not videos:
        raise InputError("no videos given.")
    lengths = {video.frames for video in videos}
    rates = [video.rate for video in videos]
    faults, cures = [], []
    if resample:
        lengths = {len(places) for places in frames_at_rate(videos, resample)}
        lengths = lengths if max(lengths) - min(lengths) > TOLERATED_FRAMES else {min(lengths)}
    if uneven := [text for video in videos if resample is None and (text := describe_unevenness(video))]:
        faults.append("; ".join(uneven))
    if lengths_agree and len(lengths) > 1:
        faults.append(f"their lengths differ ({min(lengths)} to {max(lengths)} frames)")
        cures.append(DELAYS_HINT)
    near = max(rates) / min(rates) - 1 < _KNOWN_DRIFT_RATE_TOLERANCE
    differ = not resample and rates_differ(videos) and not (delayed and near)
    if differ:
        faults.append(f"their frame rates differ ({min(rates):g} to {max(rates):g} frames/s)")
    if differ and near and DELAYS_HINT not in cures:
        cures.append("With `delays: find` of the trial the drift follows from the rates and is refined.")
    if uneven or differ:
        setting = f"`detection: {{resample: {fastest_rate(videos)}}}`"
        cures.append(
            f"Convert them to one even rate (ffmpeg -r), or write {setting} into the configuration: then they are "
            "resampled by their time stamps."
        )
    if uneven:
        cures.append("If a trigger took the frames and only the time stamps are wrong: `resample: 0`.")
    if faults:
        width = max(len(video.path.name) for video in videos)
        table = [f"  {'video':<{width}}  frames  frames/s  size"] + [
            f"  {v.path.name:<{width}}  {v.frames:>6}  {v.rate:>8.3f}  {v.size[0]}×{v.size[1]}" for v in videos
        ]
        head = f"the videos are not synchronised: {' and '.join(faults)}."
        raise InputError("\n".join([head, *table, " ".join(cures)]))


@contextmanager
def _open_capture(path: Path):
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg writes a message per macroblock
    kind = describe_foreign_file(path)
    is_playlist = kind.startswith("a text file")  # FFmpeg would play the files that it names
    capture = cv2.VideoCapture() if is_playlist else cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            kind = kind or "damaged, cut short (copy it again), or of a format that is not supported"
            raise InputError(f"{path} cannot be opened as a video: it is {kind}. Name another, or convert it (ffmpeg).")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        yield capture
    finally:
        capture.release()


VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".mpg", ".mpeg", ".webm")
_POINT_ENDINGS = ("_json", ".analysis.h5")  # and those of tables
_DEEPLABCUTS_NETWORK = re.compile("(?<=.)DLC_.*")  # is added to the name of a video
# In order of preference: Pose2Sim converts the other formats to the first.
CALIBRATION_ENDINGS = (".toml", ".qca.txt", ".xcp")
CODING_BLOCK_PX = 16  # video is coded in squares of this size; the padding of the last ones is at the right and bottom
SIZE_TOLERANCE_SHARE = 0.1  # of width or height; beyond it an image was rotated or rescaled after calibration


@dataclass(frozen=True)
class Pose2SimProject:
    """Files of one trial: videos in the order of their names, and the calibration of the cameras."""

    videos: tuple[Path, ...]
    calibration: Path


def find_project(folder: str | Path) -> Pose2SimProject:
    """The videos and the calibration file of a Pose2Sim project, or of one trial of a session.

    Videos: `<folder>/videos/`. Calibration: the newest file in the first folder with 'calib' in its name, in the
    project or above it (a session keeps one for all its trials); TOML is preferred to `.qca.txt` and `.xcp`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"project folder {folder} does not exist.")
    videos = files_with_endings(folder / "videos", VIDEO_ENDINGS)
    if not videos:
        raise InputError(f"no videos ({', '.join(VIDEO_ENDINGS)}) in {folder / 'videos'}. Put one per camera there.")
    if calibration := find_calibration(folder):
        return Pose2SimProject(videos, calibration)
    searched = ", ".join(map(str, _calibration_folders(folder))) or f"for a folder *calib* in or above {folder}"
    raise InputError(f"no calibration ({', '.join(CALIBRATION_ENDINGS)}) for {folder}; searched {searched}.")


def find_calibration(folder: Path) -> Path | None:
    """The calibration file of a Pose2Sim project or trial, chosen as in `find_project`; None where there is none."""
    for calibration in _calibration_folders(folder):
        for ending in CALIBRATION_ENDINGS:
            if found := files_with_endings(calibration, (ending,)):
                return latest_calibration(found)
    return None


def latest_calibration(found: Sequence[Path]) -> Path:
    """The calibration of a folder that was written last; a warning where there are several."""
    latest = max(found, key=lambda path: (path.stat().st_mtime, path.name))
    if len(found) > 1:
        warn_assumed(f"{latest.parent}: {len(found)} calibrations; read {latest.name}, written last.")
    return latest


def _calibration_folders(folder: Path) -> list[Path]:
    places = [sorted(path for path in place.iterdir() if path.is_dir()) for place in (folder, folder.resolve().parent)]
    return [path for paths in places for path in paths if "calib" in path.name.lower()]


def demo_folder(name: str = "Demo_SinglePerson") -> Path:
    """A packaged demonstration project of Pose2Sim's: four real videos and their calibration."""
    folder = pose2sim_folder() / name
    if not (folder / "videos").is_dir():
        known = sorted(path.parent.name for path in pose2sim_folder().glob("*/videos"))
        raise unknown_name("packaged recording", name, known, "simspine")
    return folder


def match_cameras_to_views(views: Sequence[Video | Path | str], cameras: Sequence[Camera]) -> list[Camera]:
    """The camera of each view, in the order of the views.

    A view (a video, a folder of detections, or a name) belongs to the camera of the same name, or named by a part of
    its name between dots (Vicon's `Walk.2110532.20240529.avi`). Else it belongs to the only camera with the same last
    number (`cam01.mp4`, `cam1_json` ↔ `camera_1`). Order never decides. `InputError` lists both sides where a view
    matches no camera or two views match the same. Image sizes of videos are checked, too (`check_sizes`); small
    differences are issued as warnings.
    """
    names = [view_name(view) for view in views]
    chosen = [matching_camera(name, cameras) for name in names]
    faults = [f"{name} has none" for name, camera in zip(names, chosen, strict=True) if camera is None]
    matched = [camera for camera in chosen if camera is not None]
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
    videos = [(view, camera) for view, camera in zip(views, matched, strict=True) if isinstance(view, Video)]
    for note in check_sizes([view for view, _ in videos], [camera for _, camera in videos]):
        warnings.warn(note, stacklevel=2)
    return matched


def check_sizes(videos: Sequence[Video], cameras: Sequence[Camera]) -> list[str]:
    """Remarks on videos whose image size differs a little from the calibration's; `InputError` beyond 10 %.

    There is no remark where one size is the other padded to whole coding blocks: the padding is at known sides.
    """
    notes, faults = [], []
    for video, camera in zip(videos, cameras, strict=True):
        if video.size == camera.size or _padded_size(video.size) == _padded_size(camera.size):
            continue
        text = (
            f"{video.path.name} is {video.size[0]}×{video.size[1]} px, "
            f"the calibration of {camera.name} is for {camera.size[0]}×{camera.size[1]} px"
        )
        if not np.allclose(video.size, camera.size, SIZE_TOLERANCE_SHARE, 0):
            rotated = np.allclose(video.size[::-1], camera.size, SIZE_TOLERANCE_SHARE, 0)
            faults.append(f"{text} ({'rotated' if rotated else 'rescaled or cropped'} after calibration)")
        else:
            notes.append(f"{text}; taken as cropped at the right and bottom.")
    if faults:
        raise InputError("; ".join(faults) + ". Use the videos as they were calibrated, or calibrate again.")
    return notes


def _padded_size(size: Sequence[int]) -> tuple[int, ...]:
    return tuple(-(-length // CODING_BLOCK_PX) * CODING_BLOCK_PX for length in size)


def files_with_endings(folder: Path, endings: Sequence[str]) -> tuple[Path, ...]:
    """Files of a folder that are not hidden, in the order of their names; () where there is no folder."""
    if not folder.is_dir():
        return ()
    files = (p for p in folder.iterdir() if p.is_file() and p.name[0] != ".")
    return tuple(sorted(p for p in files if p.name.lower().endswith(tuple(endings))))


def view_name(view: Video | Path | str) -> str:
    """Name of a video, or of 2D points without what Pose2Sim, DeepLabCut or SLEAP adds to the video's name."""
    from simspine.io.keypoint_json import TABLE_ENDINGS  # here, since every reconstruction would load it

    if isinstance(view, Video):
        return view.name
    name = _DEEPLABCUTS_NETWORK.sub("", Path(view).name)
    endings = (*VIDEO_ENDINGS, *_POINT_ENDINGS, *TABLE_ENDINGS)
    ending = next((ending for ending in endings if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]


def _last_number(name: str) -> int | None:
    numbers = re.findall(r"\d+", name)
    return int(numbers[-1]) if numbers else None


def matching_camera(view: str, cameras: Sequence[Camera]) -> Camera | None:
    """The camera of a view's name, as of `match_cameras_to_views`; None where there is none, or are several."""
    names = [view := as_file_systems_compare(view), *view.split(".")[1:]]
    matches = [camera for camera in cameras if as_file_systems_compare(camera.name) in names]
    if not matches:
        number = _last_number(view)
        matches = [camera for camera in cameras if number is not None and _last_number(camera.name) == number]
    return matches[0] if len(matches) == 1 else None
