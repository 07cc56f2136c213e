"""The interface of the package spinepose, so that a program that uses it needs to change one import only.

`from simspine import SpinePoseEstimator, infer_image, infer_video` replaces `from spinepose import …`.
"""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path

import numpy as np

from simspine.core.errors import InputError
from simspine.io.image_streams import Photographs, open_camera, read_image, require_image, write_picture
from simspine.report.body_video import video_writer
from simspine.report.overlay import draw
from simspine.vision import lifting, one_camera
from simspine.vision.options import DetectionOptions
from simspine.vision.spinepose import SPINEPOSE_SIZES, check_weights, fastest_device

PEOPLE_FINDERS = ("rfdetr", "yolox")


@dataclass(eq=False)
class SpinePoseEstimator:
    """SpinePose's estimator: `keypoints, scores = estimator(image)`, `estimator.visualize(image, keypoints, scores)`.

    People are found by BlazePose, whichever finder `detector` names. Without the package spinepose and its weights
    BlazePose gives the points as well; its nine along the spine are inferred, and a warning says so.

    Attributes
    ----------
    mode : str
        'small', 'medium', 'large', 'xlarge'; an ONNX file; or a model of `detect_image`.
    model_version : str
        'latest', 'v2' or 'v1', of a size.
    detector : str
        'rfdetr' or 'yolox'; without effect.
    enable_lifting : bool
        Give points in space as well: in the camera's axes, or by `infer_image` and `infer_video` in the world.
    lifting_thr : float
        Lifting: points with a lower score are ignored.
    camera_intrinsics : (3, 3) array
        Lifting: focal lengths and principal point, px.
    camera_field_of_view : float
        Lifting: degrees along the image's diagonal; by default 60 along the longer side.
    estimate_metric_scale, estimate_camera_pose, estimate_ground_plane : bool
        Lifting: False leaves out the scale, the camera's pose, or the ground.
    primary_subject_height : float
        Lifting: height of the first person, m; unknown by default.
    device : str
        'auto' and 'cpu': the processor; 'cuda'.
    hardware_acceleration : bool
        With the device 'auto': a GPU where onnxruntime has one.
    max_detections : int
        Largest number of people in an image.
    lifter : str
        ONNX file of a lifter, SpinePose's own for instance; the packaged one if left out.
    warmup_frames : int
        Lifting: number of images from which the world frame is estimated.
    mixed_precision, show_lifting_panel : bool
        Only False: networks run in full precision, and no panel is drawn.
    """

    SPINE_IDS = list(one_camera.FILE_SPINE_INDICES)  # noqa: RUF012 - SpinePose's own constant: S1, L5, L3, L1, T8, T3, C7, C4, C1

    mode: str = "large"
    model_version: str = "latest"
    detector: str = "rfdetr"
    enable_lifting: bool = False
    lifting_thr: float = 0.0
    camera_intrinsics: np.ndarray | None = None
    camera_field_of_view: float | None = None
    estimate_metric_scale: bool = True
    primary_subject_height: float | None = None
    device: str = "auto"
    hardware_acceleration: bool = True
    mixed_precision: bool = False
    max_detections: int = 4
    lifter: str | PathLike = lifting.PACKAGED_LIFTER
    estimate_camera_pose: bool = True
    estimate_ground_plane: bool = True
    warmup_frames: int = lifting.WARM_UP_FRAMES
    show_lifting_panel: bool = False

    def __post_init__(self):
        for name in ("mixed_precision", "show_lifting_panel"):
            if getattr(self, name):
                raise InputError(f"{name} is True, but has no effect here; leave it out.")
        self._options = self._detection_options()
        self._people: tuple[one_camera.DetectedPerson, ...] = ()

    @cached_property
    def _watcher(self) -> one_camera.PeopleWatcher:
        return self.open_watcher(smooth=False)

    def open_watcher(self, smooth: bool) -> one_camera.PeopleWatcher:
        """A watcher that detects people in successive images with the estimator's networks; close it in the end."""
        return one_camera.PeopleWatcher(one_camera.WatchSettings(self._options, smooth))

    def _detection_options(self) -> DetectionOptions:
        if self.detector not in PEOPLE_FINDERS:
            raise InputError(f"detector is {self.detector!r}, expected {' or '.join(PEOPLE_FINDERS)}.")
        model = str(self.mode)
        if model in SPINEPOSE_SIZES and self.model_version != "latest":
            model = f"{self.model_version}/{model}"
        if one_camera.options_of_model(model, self.max_detections).detector == "spinepose":
            try:
                check_weights(model)
            except InputError as error:
                if self.mode not in SPINEPOSE_SIZES:
                    raise
                warnings.warn(f"{error} BlazePose is used; its spine is inferred.", stacklevel=4)
                model = "blazepose"
        options = one_camera.options_of_model(model, self.max_detections)
        device = self.device
        if device == "auto":
            device = (fastest_device() if self.hardware_acceleration else None) or "cpu"
        on_gpu = device.startswith("cuda") and options.detector == "spinepose"
        return options.model_copy(update={"device": "cuda" if on_gpu else "cpu"})

    def find_people(self, image: np.ndarray, bboxes: np.ndarray | None = None) -> tuple[one_camera.DetectedPerson, ...]:
        """The people, with inferred points marked. bboxes: (people, 4) x0 y0 x1 y1 px, if their boxes are known."""
        self._watcher.reset_identities()
        self._people = self._watcher.watch_image(require_image(image), time=0.0, boxes=bboxes)
        return self._people

    def __call__(self, image: np.ndarray, bboxes: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        """Points (people, 37, 2) px in SpinePose's order, and scores (people, 37).

        A missing point is 0 0 with score 0. With `enable_lifting` also points (people, 37, 3) m in the camera's axes.
        bboxes: as in `find_people`.
        """
        people = self.find_people(image, bboxes)
        if not self.enable_lifting:
            return _keypoints_and_scores(people)
        placer = self.open_placer(camera_pose=False)
        placer.push(people, (image.shape[1], image.shape[0]))
        return *_keypoints_and_scores(people), _rows_in_space(people, placer.flush()[0], False)[..., :3]

    def open_placer(self, camera_pose: bool) -> lifting.PeoplePlacer:
        """A placer of people in space, image by image. camera_pose: in a world frame, not in the camera's axes."""
        lens = lifting.LiftingLens(diagonal_deg=self.camera_field_of_view, K=self.camera_intrinsics)
        choices = lifting.WorldChoices(
            self.primary_subject_height,
            metric_scale=self.estimate_metric_scale,
            camera_pose=camera_pose and self.estimate_camera_pose,
            ground_plane=self.estimate_ground_plane or not camera_pose,
            warm_up=self.warmup_frames,
        )
        return lifting.PeoplePlacer(
            lifting.PeopleLifter(lifting.Lifter(Path(self.lifter)), lens, self.lifting_thr), choices
        )

    estimate = __call__

    def visualize(self, image: np.ndarray, keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """A picture with the people drawn; inferred points are marked if `keypoints` are those of the last call."""
        if np.array_equal(_keypoints_and_scores(self._people)[0], keypoints):
            return draw(image, self._people)
        scores, unmarked = np.asarray(scores), np.zeros(len(one_camera.FILE_POINT_NAMES), bool)
        places = np.where(scores[..., None] > 0, keypoints, np.nan)
        people = [
            one_camera.DetectedPerson(own, certainty, estimated=unmarked, inferred=unmarked, number=number)
            for number, (own, certainty) in enumerate(zip(places, scores, strict=True), 1)
        ]
        return draw(image, people)

    def close(self) -> None:
        """Release networks and threads."""
        if "_watcher" in vars(self):
            self._watcher.close()


def _keypoints_and_scores(people: Sequence[one_camera.DetectedPerson]) -> tuple[np.ndarray, np.ndarray]:
    """Points (people, 37, 2) px and scores (people, 37); a missing point is 0 0 with score 0."""
    count = len(one_camera.FILE_POINT_NAMES)
    places = np.nan_to_num(np.array([one.points for one in people]).reshape(-1, count, 2))
    return places, np.array([one.scores for one in people]).reshape(-1, count)


def _result_rows(people: Sequence[one_camera.DetectedPerson], spine_only: bool) -> np.ndarray:
    """(people, 37 or 9, 3) x px, y px, score; empty without people."""
    if not people:
        return np.array([])
    places, scores = _keypoints_and_scores(people)
    rows = np.concatenate([places, scores[..., None]], -1)
    return rows[:, list(one_camera.FILE_SPINE_INDICES)] if spine_only else rows


def _rows_in_space(
    people: Sequence[one_camera.DetectedPerson], placed: Mapping[int, lifting.FramedPose], spine_only: bool
) -> np.ndarray:
    """(people, 37 or 9, 4) x y z m, score; 0 for points that were not placed."""
    chosen = one_camera.FILE_SPINE_INDICES if spine_only else range(len(one_camera.FILE_POINT_NAMES))
    rows = np.zeros((len(people), len(one_camera.FILE_POINT_NAMES), 4))
    for row, one in zip(rows, people, strict=True):
        if one.number in placed:
            row[:] = placed[one.number].rows(one_camera.FILE_POINT_NAMES, one.scores)[0]
    return rows[:, list(chosen)]


def infer_image(
    input_path: str | PathLike,
    mode: str = "medium",
    spine_only: bool = False,
    vis_path: str | PathLike | None = None,
    model_version: str = "latest",
    detector: str = "rfdetr",
    **others,
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Detect people in an image file; same result as of spinepose's function of this name.

    Parameters
    ----------
    input_path : path
    mode : str
    spine_only : bool
        Only the nine points along the spine, from S1 to C1.
    vis_path : path, optional
        Picture to write. No window is opened.
    model_version, detector, others
        As of `SpinePoseEstimator`.

    Returns
    -------
    array
        (people, 37 or 9, 3): x px, y px, score; empty without people. With `enable_lifting` a pair: this array, and
        (people, 37 or 9, 4): x y z m in the world, score.

    Raises
    ------
    InputError
        If the file is no image, and as of `SpinePoseEstimator`.
    """
    image = read_image(Path(input_path))
    with closing(SpinePoseEstimator(mode, model_version, detector, **others)) as estimator:
        people = estimator.find_people(image)
        placer = estimator.open_placer(camera_pose=True) if estimator.enable_lifting else None
    if vis_path is not None:
        write_picture(Path(vis_path), draw(image, people, spine_only))
    if placer is None:
        return _result_rows(people, spine_only)
    placer.push(people, (image.shape[1], image.shape[0]))
    return _result_rows(people, spine_only), _rows_in_space(people, placer.flush()[0], spine_only)


def infer_video(
    input_path: str | PathLike,
    mode: str = "medium",
    spine_only: bool = False,
    use_smoothing: bool = True,
    vis_path: str | PathLike | None = None,
    model_version: str = "latest",
    detector: str = "rfdetr",
    **others,
) -> list:
    """Detect people in a video, image by image; same result as of spinepose's function of this name.

    Parameters
    ----------
    input_path : path
        A video, or 'webcam'.
    use_smoothing : bool
        Smooth the points over time.
    mode, spine_only, vis_path, model_version, detector, others
        As of `infer_image`; `vis_path` is a video.

    Returns
    -------
    list
        As of `infer_image`, for each image.

    Raises
    ------
    InputError
        If the file is no video, and as of `SpinePoseEstimator`.
    """
    camera = open_camera(fspath(input_path))
    if isinstance(camera, Photographs):
        raise InputError(f"{input_path} is no video; `infer_image` takes an image.")
    with ExitStack() as stack:
        estimator = SpinePoseEstimator(mode, model_version, detector, **others)
        watcher = stack.enter_context(closing(estimator.open_watcher(use_smoothing)))
        video = None if vis_path is None else stack.enter_context(video_writer(vis_path, camera.rate))
        placer = estimator.open_placer(camera_pose=True) if estimator.enable_lifting else None
        found, everybody, placed = [], [], []
        for shot, people in one_camera.watch_camera(camera, watcher):
            found.append(_result_rows(people, spine_only))
            everybody.append(people)
            if placer is not None:
                placed += placer.push(people, (shot.image.shape[1], shot.image.shape[0]))
            if video is not None:
                video.add(draw(shot.image, people, spine_only))
        if placer is None:
            return found
        placed += placer.flush()
        space = [_rows_in_space(people, own, spine_only) for people, own in zip(everybody, placed, strict=True)]
        return list(zip(found, space, strict=True))
