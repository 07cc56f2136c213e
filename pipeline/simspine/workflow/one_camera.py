"""`simspine detect IMAGE | FOLDER | VIDEO | NUMBER`: images of one camera in, points and pictures out."""

import re
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from simspine.core.errors import InputError, require_ending
from simspine.core.types import Origin
from simspine.io.atomic import atomic_folder, require_new
from simspine.io.image_streams import CameraImage, OneCameraSource, Photographs, Webcam, write_picture
from simspine.io.keypoint_json import write_people_json
from simspine.report.body_video import CODECS_BY_SUFFIX, video_writer
from simspine.report.overlay import LiveWindow, draw_with_world, legend_below
from simspine.vision.lifting import (
    FramedPose,
    Lifter,
    LiftingLens,
    PeopleLifter,
    PeoplePlacer,
    WorldChoices,
    check_lifter_points,
)
from simspine.vision.one_camera import (
    FILE_POINT_NAMES,
    FILE_POINT_ORDER,
    FILE_SPINE_INDICES,
    DetectedPerson,
    PeopleWatcher,
    WatchSettings,
    watch_camera,
)
from simspine.vision.person_frame import PersonFrame
from simspine.workflow.inputs import progress_bar
from simspine.workflow.jobs import check_writable

SCALE_UNKNOWN_NOTE = (
    "one camera does not show how large somebody is: lengths are those of the people the lifter learnt from, fitted to "
    "what is seen, and depth is the least certain. Not triangulated, no measurement"
)
WORLD_AXES = "z up, origin on the floor between the feet, x to where the person faces when most upright"
CAMERA_AXES = "the camera's own axes, x right, y down, z ahead"
PLACED_NOTE = "estimated from the person's size and stance, with standard deviations (pose_keypoints_3d_sd)"


@dataclass(frozen=True, eq=False)
class LiftingTask:
    """Lifter, lens of the camera, options of the world frame. panel: draw people in the world next to the picture."""

    lifter: Lifter
    lens: LiftingLens
    world: WorldChoices
    panel: bool = False

    def open_placer(self) -> PeoplePlacer:
        """A placer of people in space, image by image."""
        return PeoplePlacer(PeopleLifter(self.lifter, self.lens), self.world)

    @property
    def about(self) -> dict:
        card = self.lifter.card
        return {
            "origin": str(Origin.ESTIMATED),
            "point_names": list(card.points),
            "root": card.points[0],
            "unit": "m",
            "axes": "camera: x right, y down, z ahead; relative to the root",
            "lens": self.lens.words,
            "scale": SCALE_UNKNOWN_NOTE,
            "lifter": self.lifter.path.name,
            "sha256": self.lifter.sha256,
            "method": card.method,
            "image_points": list(card.seen),
            "trained_on": card.trained_on,
            "training_data_sha256": card.data,
        }

    def lines(self) -> list[str]:
        """Description of the lifting, for the terminal."""
        card = self.lifter.card
        return [
            f"lifted by {self.lifter.path.name} ({card.method}; learnt from {card.trained_on}): "
            f"{len(card.points)} points of a person in space, relative to {card.points[0]}, all of them estimated",
            f"field of view: {self.lens.words}",
            f"world: m, {WORLD_AXES if self.world.camera_pose else CAMERA_AXES}; {PLACED_NOTE}.",
        ]


def space_entry(seen: DetectedPerson, found: FramedPose, chosen: Sequence[int]) -> dict[str, list[float]]:
    """A person's entry in a JSON file: x y z score of the chosen points, 0 for those not placed, as SpinePose has them;
    and x y z of all lifted points, to 0.01 mm. Each has standard deviations."""
    rows, sd = found.rows(FILE_POINT_NAMES, seen.scores)
    values = {
        "pose_keypoints_3d": rows[list(chosen)], "pose_keypoints_3d_sd": sd[list(chosen)],
        "lifted_points_3d": found.pose.xyz, "lifted_points_3d_sd": found.pose.sd,
    }  # fmt: skip
    return {name: np.round(part, 5).ravel().tolist() for name, part in values.items() if part is not None}


def frame_entry(frame: PersonFrame | None) -> dict:
    """Entry of a file with placed points: their world frame; {} without one."""
    if frame is None:
        return {}
    axes = CAMERA_AXES if np.array_equal(frame.R, np.eye(3)) else WORLD_AXES
    return {"world": {
        "axes": f"m, {axes}; {PLACED_NOTE}", "camera_position_m": np.round(-frame.R @ frame.origin, 4).tolist(),
        "camera_axes": np.round(frame.R.T, 6).tolist(),
        "scale_sd": round(frame.scale_sd, 4), "scale_from": frame.scale_from, "height_known": frame.height_known,
        "vertical_from": frame.vertical_from, "tilt_sd_deg": round(float(np.degrees(frame.tilt_sd)), 2),
    }}  # fmt: skip


PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
DEFAULT_PICTURE_SUFFIX = ".jpg"  # of a folder of pictures

PointsSink = Callable[[CameraImage, Sequence[DetectedPerson]], None]
PictureSink = Callable[[CameraImage, np.ndarray], None]  # of an image with people drawn


@dataclass(frozen=True)
class DetectionTask:
    """Outputs of a detection. picture: image, folder or video with people drawn. points: JSON file, or folder of them.
    frames: most images to read. live: in a window. spine_only: only the nine points of the spine."""

    picture: Path | None = None
    points: Path | None = None
    frames: int | None = None
    live: bool = False
    spine_only: bool = False
    lifting: LiftingTask | None = None


@dataclass
class DetectionSummary:
    """Running counts of a detection. shown: images with a person. people: number of different people. detected,
    estimated, inferred: largest number of such points of one person."""

    images: int = 0
    shown: int = 0
    people: int = 0
    detected: int = 0
    estimated: int = 0
    inferred: int = 0
    stopped: bool = False

    def count(self, people: Sequence[DetectedPerson], chosen: Sequence[int]) -> None:
        self.images += 1
        self.shown += bool(people)
        for seen in people:
            self.detected = max(self.detected, int(seen.detected[list(chosen)].sum()))
            self.estimated = max(self.estimated, int(seen.estimated[list(chosen)].sum()))
            self.inferred = max(self.inferred, int(seen.inferred[list(chosen)].sum()))

    def lines(self, name: str, detector: str) -> list[str]:
        """Text for the terminal."""
        images = f"{self.images} {'image' if self.images == 1 else 'images'}"
        people = "nobody" if not self.shown else "1 person" if self.people == 1 else f"{self.people} people"
        text = [f"{name}: {images}, {people}, by {detector}"]
        if self.shown:
            estimated = f"{self.estimated} estimated, " if self.estimated else ""
            text.append(f"points of a person: up to {self.detected} detected, {estimated}{self.inferred} inferred")
        return text


def default_picture(camera: OneCameraSource) -> Path:
    """Default path of the pictures or the video, in the working directory."""
    if isinstance(camera, Photographs):
        return Path(f"{camera.name}_detected" + ("" if camera.path.is_dir() else ".png"))
    return Path(f"{camera.name}_detected.webm")


def watch_source(
    camera: OneCameraSource, looking: WatchSettings, wanted: DetectionTask, quiet: bool = False
) -> DetectionSummary:
    """Detect people and write the outputs image by image; ctrl-C ends it, and the files hold all images until then."""
    check_outputs(camera, wanted)
    chosen = FILE_SPINE_INDICES if wanted.spine_only else tuple(range(len(FILE_POINT_NAMES)))
    found = DetectionSummary()
    with ExitStack() as stack:
        watcher = stack.enter_context(closing(PeopleWatcher(looking)))
        if wanted.spine_only and not looking.infer_spine and not watcher.sees_spine:
            text = f"{watcher.detector} sees no point of the spine"
            raise InputError(f"{text}, and --no-infer infers none; leave out that, or --spine-only.")
        if wanted.lifting is not None:
            check_lifter_points(wanted.lifting.lifter, watcher.given, watcher.detector)
        write_points = stack.enter_context(_points_sink(camera, looking, wanted, chosen)) if wanted.points else None
        write_drawn = stack.enter_context(_picture_sink(camera, wanted.picture)) if wanted.picture else None
        stopped = stack.enter_context(ctrl_c_noted())
        window = stack.enter_context(closing(LiveWindow(camera.name))) if wanted.live else None
        total = min(camera.frames or 0, wanted.frames or camera.frames or 0)
        show = stack.enter_context(progress_bar(f"{camera.name}, images", quiet or total < 2))
        drawer = _Drawer(camera, looking, watcher, wanted)
        for shot, people in islice(watch_camera(camera, watcher), wanted.frames):
            drawn = drawer.draw(shot, people) if write_drawn or window else None
            if write_points:
                write_points(shot, people)
            if write_drawn and drawn is not None:
                write_drawn(shot, drawn)
            found.count(people, chosen)
            found.people = max(found.people, watcher.people)
            show(found.images, total)
            if stopped() or (window and drawn is not None and not window.show(drawn)):
                found.stopped = found.images < total
                break
        if stopped() and not found.images:
            raise KeyboardInterrupt
    return found


def check_outputs(camera: OneCameraSource, wanted: DetectionTask) -> None:
    """`InputError` for paths that cannot take the outputs; called before any image is read."""
    for path in filter(None, (wanted.picture, wanted.points)):
        if not isinstance(camera, Webcam) and path.resolve() == camera.path.resolve():
            raise InputError(f"{path}: it would replace what is looked at; name another one.")
        if path != default_picture(camera):
            require_new(path)
        check_writable(path.parent)
    picture, points = wanted.picture, wanted.points
    if picture is not None and picture == points:
        raise InputError(f"{picture} is named for the picture and for the points; name two files.")
    if _is_single(camera):
        require_ending(points, "the points of an image", (".json",))
        require_ending(picture, "the picture of an image", PICTURE_SUFFIXES)
        return
    _needs_none(points, "points of several images are a folder with a JSON file for each", (".json",))
    if isinstance(camera, Photographs):
        _needs_none(picture, "pictures of a folder's images are a folder")
    else:
        require_ending(picture, "the video with people drawn on it", CODECS_BY_SUFFIX)


def _needs_none(path: Path | None, what: str, allowed: tuple[str, ...] = ()) -> None:
    """`InputError` for a file, or an ending of files. allowed: endings that a folder may have, such as SpinePose's."""
    endings = {".json", *PICTURE_SUFFIXES, *CODECS_BY_SUFFIX}.difference(allowed)
    if path is not None and (path.suffix.lower() in endings or path.is_file()):
        raise InputError(f"{path}: {what}; name a folder.")


def _names_of(camera: OneCameraSource, ending: str) -> re.Pattern[str]:
    """Pattern of the names of the files that are written, one for each image."""
    if isinstance(camera, Photographs):
        return re.compile("|".join(re.escape(file.stem + ending) for file in camera.files))
    return re.compile(r"frame_\d+" + re.escape(ending))


def _is_single(camera: OneCameraSource) -> bool:
    return isinstance(camera, Photographs) and not camera.path.is_dir()


@contextmanager
def _points_sink(
    camera: OneCameraSource, looking: WatchSettings, wanted: DetectionTask, chosen: Sequence[int]
) -> Iterator[PointsSink]:
    """Writer of point files; an image's file waits until the world frame of its lifted points is known."""
    path, lifting = wanted.points, wanted.lifting
    assert path is not None
    photographs = isinstance(camera, Photographs)
    about = {
        "skeleton": FILE_POINT_ORDER.name, "point_names": [FILE_POINT_ORDER.names[i] for i in chosen],
        "detector": looking.detection.detector, "model": looking.detection.network,
        "smoothed": looking.smooth and not photographs,
        "source": camera.name, "cameras": "one camera: places in the image, no places in space",
        **({} if lifting is None else {"lifted": lifting.about}),
    }  # fmt: skip
    waiting: deque[tuple[CameraImage, tuple[int, int], Sequence[DetectedPerson]]] = deque()
    placer = None if lifting is None else lifting.open_placer()

    def write(folder: Path | None, poses: Mapping[int, FramedPose]) -> None:
        shot, size, people = waiting.popleft()
        entries, world = [], {}
        for seen in people:
            found = poses.get(seen.number)
            entry = image_entry(seen, chosen)
            if found is not None:
                entry |= space_entry(seen, found, chosen)
                world = frame_entry(found.frame)
            entries.append(entry)
        file = path if folder is None else folder / f"{shot.name}.json"
        where = {"image": shot.name, "image_size": list(size), "time_s": shot.time}
        write_people_json(file, entries, about | world | where)

    def sink(folder: Path | None, shot: CameraImage, people: Sequence[DetectedPerson]) -> None:
        size = (shot.image.shape[1], shot.image.shape[0])
        waiting.append((shot._replace(image=np.empty(0)), size, people))  # images would fill the memory
        if placer is None:
            write(folder, {})
            return
        done = placer.push(people, size)
        for poses in [*done, *(placer.flush() if photographs else ())]:  # photographs are separate
            write(folder, poses)

    with nullcontext() if _is_single(camera) else atomic_folder(path, _names_of(camera, ".json")) as folder:
        yield partial(sink, folder)
        for poses in [] if placer is None else placer.flush():
            write(folder, poses)


def image_entry(seen: DetectedPerson, chosen: Sequence[int]) -> dict:
    """One person of a JSON file: detected points as OpenPose has them, the others under keys of their own."""
    points = np.column_stack([np.nan_to_num(seen.points), seen.scores])
    kinds = {"pose": seen.detected, "estimated": seen.estimated, "inferred": seen.inferred}
    return {"person_id": [seen.number]} | {
        f"{kind}_keypoints_2d": np.where(which[:, None], points, 0.0)[list(chosen)].ravel().tolist()
        for kind, which in kinds.items()
    }


@contextmanager
def _picture_sink(camera: OneCameraSource, path: Path) -> Iterator[PictureSink]:
    """Writer of a picture, a folder of them, or a video; of a webcam's images as many as keep it in real time."""
    if _is_single(camera):
        yield lambda shot, drawn: write_picture(path, drawn, sync=False)
    elif isinstance(camera, Photographs):
        with atomic_folder(path, _names_of(camera, DEFAULT_PICTURE_SUFFIX)) as folder:
            yield lambda shot, drawn: write_picture(folder / f"{shot.name}{DEFAULT_PICTURE_SUFFIX}", drawn, sync=False)
    else:
        with video_writer(path, camera.rate) as video:

            def write(shot: CameraImage, drawn: np.ndarray) -> None:
                due = round(shot.time * camera.rate) + 1 - video.frames if isinstance(camera, Webcam) else 1
                for _ in range(due):
                    video.add(drawn)

            yield write


class _Drawer:
    """Draws the pictures of one recording; the legend below them is drawn once for pictures of one width."""

    def __init__(self, camera: OneCameraSource, looking: WatchSettings, watcher: PeopleWatcher, wanted: DetectionTask):
        self._camera, self._looking, self._watcher, self._spine_only = camera, looking, watcher, wanted.spine_only
        self._placer = wanted.lifting.open_placer() if wanted.lifting and wanted.lifting.panel else None
        self._strip: np.ndarray | None = None

    def draw(self, shot: CameraImage, people: Sequence[DetectedPerson]) -> np.ndarray:
        count = f"{len(people)} {'person' if len(people) == 1 else 'people'}"
        photograph = isinstance(self._camera, Photographs)
        name = shot.name if photograph else f"{self._camera.name} #{shot.number}"
        text = f"{name} · {count} · {self._looking.detection.detector}"
        picture = draw_with_world(shot.image, people, self._placer, self._spine_only, caption=text)
        if self._placer is not None and photograph:  # each has a world of its own
            self._placer.flush()
        if self._strip is None or self._strip.shape[1] != picture.shape[1]:
            infers, watcher = self._looking.infer_spine, self._watcher
            legend = {"detected", "unsure"} | (set() if self._spine_only else {"left", "right"})
            legend |= {"spine"} if watcher.sees_spine else set()
            legend |= {"estimated"} if self._placer or (infers and watcher.estimates_spine) else set()
            self._strip = legend_below(picture, legend | ({"inferred"} if infers else set()))
        return np.vstack([picture, self._strip])


@contextmanager
def ctrl_c_noted() -> Iterator[Callable[[], bool]]:
    """In the block the first ctrl-C is only noted (the callable returns True), and a second one interrupts at once."""
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # only the main thread can handle signals
        yield lambda: False
        return

    def note(number, frame) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(noted)
    finally:
        signal.signal(signal.SIGINT, before)
