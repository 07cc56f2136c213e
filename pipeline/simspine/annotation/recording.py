"""A recording for annotation: its views, their cameras if calibrated, the first guess of its points, and its images."""

import hashlib
import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from simspine.anatomy.marker_sets import read_skin_table
from simspine.annotation.labels import IMAGES_DIGITS, JOURNAL_SUFFIX, Labels, pseudo_labels, read_journal
from simspine.core import skeletons
from simspine.core.errors import InputError, require_distinct_files, require_known, safe_file_name
from simspine.core.geometry import markers_in_frame, project_points
from simspine.core.skeletons import SKIN_SUFFIX, points_at_vertebrae
from simspine.core.types import Camera, Keypoints, Markers
from simspine.io import video
from simspine.io.atomic import sha256_of_file
from simspine.io.calibration import read_calibration
from simspine.io.hdf5 import read_store
from simspine.io.image_streams import IMAGE_SUFFIXES as IMAGE_ENDINGS
from simspine.io.image_streams import ImagesInAnyOrder, Stills, encode_jpeg, open_recording, open_recordings
from simspine.io.keypoint_json import files_by_frame, read_keypoints
from simspine.io.video import VIDEO_ENDINGS, Video, files_with_endings, match_cameras_to_views
from simspine.vision.merge_mocap import resample_markers
from simspine.vision.synchronise import Timing
from simspine.workflow.config import read_config
from simspine.workflow.inputs import PACKAGED_PREFIX, capture_of_config, timing_in
from simspine.workflow.jobs import warn_if_trial_is_stale
from simspine.workflow.up_to_date import RunPaths
from simspine.workflow.views import choose_trial

INFERRED_POINT_CONFIDENCE = 0.3  # confidence of a point that comes from the solved spine: a first guess to be corrected
FINGERPRINT_BYTES = 1 << 20  # at the start of a video or photograph, in its digest
PHOTOGRAPHS_RATE = 1.0  # frames/s of photographs, which have none


@dataclass(frozen=True, eq=False)
class RecordedViews:
    """Views of one person at the same instants.

    name: of the trial or folder. views: their names. sources: a video or photographs per view. rows: (frames, views),
    number of the image in its view. cameras: one per view, or None. start: pseudo-labels. rate: frames/s. home: folder
    of the annotations. note: points missing among the pseudo-labels, and the way to get them; '' for none.
    """

    name: str
    views: tuple[str, ...]
    sources: tuple[Video | Stills, ...]
    rows: np.ndarray
    cameras: tuple[Camera, ...] | None
    start: Labels
    rate: float
    home: Path
    note: str = ""

    @property
    def frames(self) -> int:
        return len(self.rows)

    @cached_property
    def images(self) -> tuple[str, ...]:
        """Digests of each view: of its first image's first bytes, and of which image a frame's number means."""
        digests = []
        for source, rows in zip(self.sources, self.rows.T, strict=True):
            stills = source.files if isinstance(source, Stills) else ()
            with open(stills[0] if stills else source.path, "rb") as file:
                first = file.read(FINGERPRINT_BYTES)
            named = [[still.name, sha256_of_file(still)] for still in stills]
            parts = first, json.dumps([np.unique(rows - np.arange(len(rows))).tolist(), named]).encode()
            digests.append("".join(hashlib.sha256(part).hexdigest()[:IMAGES_DIGITS] for part in parts))
        return tuple(digests)

    @property
    def first_images(self) -> list[str]:
        """A digest of each view's first image, as files of labels hold them."""
        return [digest[:IMAGES_DIGITS] for digest in self.images]

    @property
    def first_guess(self) -> Keypoints:
        """The pseudo-labels as points."""
        return Keypoints(self.start.names, self.rate, self.start.xy, self.start.confidence)

    @property
    def photographs(self) -> bool:
        """Whether every view is a folder of photographs, which have no times."""
        return all(isinstance(source, Stills) for source in self.sources)

    def image_name(self, frame: int, view: int) -> str:
        """Name of an image for other programs: the photograph's own, or `<view>/<view>_000012.jpg` of a video."""
        source, row = self.sources[view], int(self.rows[frame, view])
        folder = safe_file_name(self.views[view])
        if isinstance(source, Stills):
            return f"{folder}/{source.files[row].name}"
        return f"{folder}/{folder}_{row:06d}.jpg"


@dataclass(frozen=True)
class Target:
    """The recording to open. path: a results folder, a folder of videos or images, or 'pose2sim:NAME'. config: of
    results without config.yaml. home: folder of annotations; next to the recording if None. skin: levels of markers."""

    path: str
    config: Path | None = None
    subject: str | None = None
    trial: str | None = None
    home: Path | None = None
    skin: tuple[str, ...] = ()


def open_target(target: Target) -> RecordedViews:
    """The recording in a results folder, or in a folder of videos or images."""
    recording = _recording_of_target(target)
    require_distinct_files("views", recording.views)
    known = read_skin_table().places
    require_known("marker on the skin", target.skin, known)
    if twice := [level for level in known if target.skin.count(level) > 1]:
        raise InputError(f"markers on the skin: {twice[0]} is named more than once; name each marker once.")
    added = [name for name in (level + SKIN_SUFFIX for level in target.skin) if name not in recording.start.names]
    if not added:
        return recording
    shape = (*recording.start.xy.shape[:2], len(added))
    absent = Keypoints(tuple(added), recording.rate, np.full((*shape, 2), np.nan), np.zeros(shape))
    guessed = np.concatenate([recording.start.guessed, np.zeros(shape, bool)], 2)
    return replace(recording, start=pseudo_labels(skeletons.with_points_added(recording.first_guess, absent), guessed))


def _recording_of_target(target: Target) -> RecordedViews:
    if target.path.startswith(PACKAGED_PREFIX):
        packaged = video.demo_folder(target.path.removeprefix(PACKAGED_PREFIX))
        return _of_folder(packaged, target.home or Path("annotations"))
    folder = Path(target.path)
    if not folder.exists():
        raise InputError(f"{folder} does not exist. Name a results folder, or a folder of videos or images.")
    if folder.is_file():
        return _of_folder(folder, target.home or folder.parent / "annotations")
    if any(folder.glob("*/keypoints/*.h5")):
        return _of_results(folder, target)
    return _of_folder(folder, target.home or folder / "annotations")


def _of_results(folder: Path, target: Target) -> RecordedViews:
    trials = [
        (path.parent.parent.name, path.stem)
        for path in sorted(folder.glob("*/keypoints/*.h5"))
        if not (path.stem.endswith("_people") and path.with_name(path.name.replace("_people.h5", ".h5")).is_file())
    ]
    person, name = choose_trial(trials, target.subject, target.trial, str(folder))
    paths = RunPaths(folder, person)
    warn_if_trial_is_stale(folder, person, name)
    stored = read_store(paths.keypoints(name))
    cameras = stored["cameras"]
    if paths.cameras(name).is_file():
        cameras = read_store(paths.cameras(name), ["cameras"])["cameras"]
    sources = _videos_of(folder, target, person, name, cameras=cameras)
    keypoints, timing = stored["keypoints"], timing_in(stored)
    if not isinstance(keypoints, Keypoints) or len(sources) != keypoints.views:
        raise InputError(f"{paths.keypoints(name)} has other views than the configuration has videos.")
    detected = pseudo_labels(keypoints)
    note = (
        f"{paths.vertebrae(name)} does not exist: points of the spine that the detector did not see have no first "
        "guess, and are left out. `simspine run` makes it."
    )
    if paths.vertebrae(name).is_file():
        note = ""
        solved = read_store(paths.vertebrae(name), ["spine_markers", "centres"])
        times = keypoints.rate, 0.0 if timing is None else timing.first / keypoints.rate, keypoints.frames
        known = {part: points and resample_markers(points, *times) for part, points in solved.items()}  # at the images'
        keypoints = with_spine(keypoints, cameras, known["spine_markers"], known["centres"])
    rows = _rows_of_views(keypoints.frames, keypoints.views, timing)
    views = tuple(camera.name for camera in cameras)
    start = pseudo_labels(keypoints, detected.inferred | ~detected.labelled)
    home = target.home or Path("annotations") / folder.resolve().name / person / name
    return _naming_older_decisions(
        RecordedViews(
            name, views, sources, rows, cameras=tuple(cameras), start=start, rate=keypoints.rate, home=home, note=note
        ),
        target,
    )


def _naming_older_decisions(found: RecordedViews, target: Target) -> RecordedViews:
    """The recording with a note on decisions under another name of the results, where there are none under this one."""
    if target.home is not None or any(found.home.glob(f"*{JOURNAL_SUFFIX}")):
        return found
    for journal in sorted(found.home.parents[2].glob(f"*/*/*/*{JOURNAL_SUFFIX}")):
        with suppress(InputError):
            if read_journal(journal, found.name, found.views, found.images):
                place = journal.parent
                text = f"{place} holds decisions about the same images; --out {place} continues them."
                return replace(found, note=f"{found.note} {text}".strip())
    return found


def _videos_of(
    folder: Path, target: Target, subject: str, trial: str, cameras: Sequence[Camera]
) -> tuple[Video | Stills, ...]:
    path = target.config or folder / "config.yaml"
    if not path.is_file():
        raise InputError(f"{path} does not exist. Name the configuration of the results, for their videos (--config).")
    config = read_config(path)
    config.trials(subject, trial)  # both must exist
    videos = capture_of_config(config.subject(subject).trials[trial], subject, config).videos
    if not videos:
        raise InputError(f"{subject}/{trial} has no videos: there is nothing to annotate in.")
    by_camera = dict(zip([camera.name for camera in match_cameras_to_views(videos, cameras)], videos, strict=True))
    return tuple(open_recording(by_camera[camera.name]) for camera in cameras if camera.name in by_camera)


def with_spine(keypoints: Keypoints, cameras: Sequence[Camera], markers: Markers, centres: Markers | None) -> Keypoints:
    """Keypoints, missing ones filled by the solved spine's projection, Hip to Neck_03 at the centroids of S1 to C1."""
    markers = markers if centres is None else points_at_vertebrae(markers, centres)
    projected = np.moveaxis(project_points(cameras, markers_in_frame(markers, "z_up").xyz), 0, 1)
    guess = Keypoints(markers.names, keypoints.rate, projected, np.full(projected.shape[:3], INFERRED_POINT_CONFIDENCE))
    return laid_over(laid_over(keypoints, guess), keypoints)


def laid_over(below: Keypoints, above: Keypoints) -> Keypoints:
    """The points `below`, replaced by points of the same names in `above` where these have a position."""
    xy, confidence = below.xy.copy(), below.confidence.copy()
    for k, name in enumerate(above.names):
        if name in below.names:
            i, known = below.names.index(name), np.isfinite(above.xy[:, :, k]).all(-1)
            xy[:, :, i][known], confidence[:, :, i][known] = above.xy[:, :, k][known], above.confidence[:, :, k][known]
    return below.with_(xy=xy, confidence=confidence)


def _rows_of_views(frames: int, views: int, timing: Timing | None) -> np.ndarray:
    if timing is None:
        return np.repeat(np.arange(frames)[:, None], views, 1)
    return np.stack([timing.nearest_frames(v)[:frames] for v in range(views)], 1).astype(int)


def _of_folder(folder: Path, home: Path) -> RecordedViews:
    sources = open_recordings(_view_paths(folder))
    videos = [source for source in sources if isinstance(source, Video)]
    video.check_whole(videos)
    calibration = _calibration(folder)
    cameras = None
    if calibration is not None and len(sources) > 1:
        named = [source if isinstance(source, Video) else source.path for source in sources]
        cameras = tuple(match_cameras_to_views(named, calibration))
    views = tuple(c.name for c in cameras) if cameras else tuple(source.name for source in sources)
    rate = videos[0].rate if videos else PHOTOGRAPHS_RATE
    rows = _rows_of_views(sources[0].frames, len(sources), None)
    keypoints = at_images(keypoints_of_files(folder / "pose", views, rate, rows), rows, rate)
    name = folder.stem if folder.is_file() else folder.name
    start = pseudo_labels(keypoints)
    return RecordedViews(name, views, sources, rows, cameras=cameras, start=start, rate=rate, home=home)


def _view_paths(folder: Path) -> list[Path]:
    """The views: videos in `videos/` or the folder; else folders of images; else the folder's own images; or a file."""
    if folder.is_file():
        return [folder]
    for place in (folder / "videos", folder):
        if videos := files_with_endings(place, VIDEO_ENDINGS):
            return list(videos)
    if inside := sorted(p for p in folder.iterdir() if files_with_endings(p, IMAGE_ENDINGS)):
        return inside
    if files_with_endings(folder, IMAGE_ENDINGS):
        return [folder]
    wanted = f"a results folder; videos ({', '.join(VIDEO_ENDINGS)}) in it or in videos/; or images"
    raise InputError(f"{folder} holds nothing to annotate. Expected {wanted}, in a folder per camera or alone.")


def _calibration(folder: Path) -> list[Camera] | None:
    """Cameras of the newest calibration file, in a folder with calib in its name or next to the views; None without."""
    if folder.is_file():
        return None
    places = [p for p in sorted(folder.iterdir()) if p.is_dir() and "calib" in p.name.lower()]
    for place in (*places, folder):
        for ending in video.CALIBRATION_ENDINGS:
            if files := [p for p in files_with_endings(place, (ending,)) if "calib" in p.name.lower()]:
                return read_calibration(video.latest_calibration(files))
    return None


def keypoints_of_files(folder: Path, views: Sequence[str], rate: float, rows: np.ndarray) -> Keypoints | None:
    """Points in `<view>_json/` of a folder, by number of the image; None where a view has no such folder. Numbers of
    files count images from 0, unless they exceed those of the images, `rows`: then from the first file on."""
    folders = [folder / f"{safe_file_name(view)}_json" for view in views]
    if not all(path.is_dir() for path in folders):
        return None
    keypoints = read_keypoints(folders, rate=rate)
    numbers = [number for path in folders for number in files_by_frame(path)]
    before = min(numbers) if max(numbers) <= rows.max() else 0
    xy = np.pad(keypoints.xy, ((before, 0), (0, 0), (0, 0), (0, 0)), constant_values=np.nan)
    keypoints = keypoints.with_(xy=xy, confidence=np.pad(keypoints.confidence, ((before, 0), (0, 0), (0, 0))))
    return skeletons.translate(keypoints, skeletons.skeleton_of_names(keypoints.names))


def at_images(found: Keypoints | None, rows: np.ndarray, rate: float) -> Keypoints:
    """Keypoints by number of the image at the frames of a recording, NaN where there is none. rows: (frames, views)."""
    names = skeletons.load_skeleton(skeletons.SIMSPINE_SKELETON).names if found is None else found.names
    xy, confidence = np.full((*rows.shape, len(names), 2), np.nan), np.zeros((*rows.shape, len(names)))
    if found is not None:
        frame, view = np.nonzero(rows < found.frames)
        xy[frame, view] = found.xy[rows[frame, view], view]
        confidence[frame, view] = found.confidence[rows[frame, view], view]
    return Keypoints(names, rate, xy, confidence)


KEPT_IMAGES = 64  # encoded images kept in memory: 256 MiB for 4 MiB each, as of large 4K images


class Images:
    """Encoded images of a recording in any order, the latest cached. One thread at a time uses a decoder."""

    def __init__(self, recording: RecordedViews):
        self._rows = recording.rows
        self._decoders = [ImagesInAnyOrder(source) for source in recording.sources]
        self._locks = [threading.Lock() for _ in recording.sources]
        self._closed = False
        self._encoded = lru_cache(KEPT_IMAGES)(self._encode)

    def jpeg(self, frame: int, view: int) -> bytes:
        """An image of the recording; `InputError` where there is no such frame or view, or it cannot be decoded."""
        frames, views = self._rows.shape
        if not (0 <= frame < frames and 0 <= view < views):
            raise InputError(f"no frame {frame} in view {view} (from 0): there are {frames} in {views} views.")
        return self._encoded(int(self._rows[frame, view]), view)

    def close(self) -> None:
        """Close the videos, each after the image that is being decoded; later requests are refused."""
        for lock, decoder in zip(self._locks, self._decoders, strict=True):
            with lock:
                self._closed = True
                decoder.close()

    def _encode(self, row: int, view: int) -> bytes:
        with self._locks[view]:
            if self._closed:
                raise InputError("the recording is closed: the program is about to end.")
            return encode_jpeg(self._decoders[view].at(row))
