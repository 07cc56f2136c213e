"""The interface of the package spinepose, so that a program that uses it needs to change one import only.

`from simspine import SpinePoseEstimator, PoseTracker, infer_image, infer_video` replaces `from spinepose import …`.
"""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from simspine.core.errors import InputError, require_known
from simspine.io.image_streams import Photographs, open_camera, read_image, require_image, write_picture
from simspine.report.body_video import video_writer
from simspine.report.canvas import to_bgr
from simspine.report.overlay import body_lines, draw, draw_with_world, line_colour, point_colour
from simspine.vision import lifting, one_camera
from simspine.vision.detector import extent_boxes
from simspine.vision.options import DetectionOptions
from simspine.vision.spinepose import SPINEPOSE_SIZES, check_weights, fastest_device, known_weights

PEOPLE_FINDERS = ("rfdetr", "yolox")
WITHOUT_EFFECT = {  # SpinePose's defaults; other values are a warning
    "backend": "onnxruntime", "mixed_precision": False, "det_frequency": 1, "tracking": True,
    "smoothing_mincutoff": 0.1, "smoothing_beta": 0.1, "smoothing_dcutoff": 1.0,
}  # fmt: skip
FOLLOWING_THRESHOLD = 0.3  # of a score: with it SpinePose follows people, and lifts those whom it follows
NOBODY = one_camera.DetectedPerson(np.full((37, 2), np.nan), np.zeros(37), np.zeros(37, bool), np.zeros(37, bool))


def points_metainfo() -> dict[str, Any]:
    """Names, colours (red, green, blue) and lines of the 37 points in MMPose's layout, in simspine's colours."""
    table, names, points, lines = one_camera.FILE_POINT_ORDER, one_camera.FILE_POINT_ORDER.names, {}, {}
    for i, name in enumerate(names):
        colour = list(reversed(to_bgr(point_colour(one_camera.FILE_POINT_NAMES[i]))))
        half = "lower" if name.endswith(("hip", "knee", "ankle", "toe", "heel")) else "upper"
        swap = "" if table.swaps[i] == i else names[table.swaps[i]]
        points[i] = {"name": name, "id": i, "color": colour, "type": half, "swap": swap}
    limbs, spine = body_lines(one_camera.FILE_POINT_NAMES)
    for i, (a, b) in enumerate((*limbs, *pairwise(spine))):
        colour = list(reversed(to_bgr(line_colour(one_camera.FILE_POINT_NAMES[a], one_camera.FILE_POINT_NAMES[b]))))
        lines[i] = {"link": (names[a], names[b]), "id": i, "color": colour}
    weights = {"joint_weights": list(table.weights), "sigmas": list(table.sigmas)}
    return {"dataset_name": "spinetrack", "keypoint_info": points, "skeleton_info": lines, **weights}


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
        Lifting: points of SpinePose's networks with a lower score are ignored. BlazePose's score is its visibility.
    camera_intrinsics : (3, 3) array
        Lifting: focal lengths and principal point, px. If left out: those taken for the image lifted last.
    camera_field_of_view : float
        Lifting: degrees along the image's diagonal; None: 60 along the longer side.
    estimate_metric_scale, estimate_camera_pose, estimate_ground_plane : bool
        Lifting: False leaves out the scale, the camera's pose, or the ground.
    primary_subject_height : float
        Lifting: height of the first person, m; None: unknown.
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
    show_lifting_panel : bool
        Lifting: `infer_image` and `infer_video` draw the world next to the image.
    mixed_precision, backend
        Without effect; other values than the defaults are a warning.
    """

    SPINE_IDS = list(one_camera.FILE_SPINE_INDICES)  # noqa: RUF012 - SpinePose's own constant: S1, L5, L3, L1, T8, T3, C7, C4, C1
    num_keypoints = len(one_camera.FILE_POINT_NAMES)
    metainfo = points_metainfo()

    mode: str | PathLike = "large"
    model_version: str = "latest"
    detector: str = "rfdetr"
    enable_lifting: bool = False
    lifting_thr: float = 0.5
    camera_intrinsics: np.ndarray | None = None
    camera_field_of_view: float | None = 84.0
    estimate_metric_scale: bool = True
    primary_subject_height: float | None = 1.84
    device: str = "auto"
    hardware_acceleration: bool = True
    mixed_precision: bool = False
    max_detections: int = 10
    lifter: str | PathLike = lifting.PACKAGED_LIFTER
    estimate_camera_pose: bool = True
    estimate_ground_plane: bool = True
    warmup_frames: int = lifting.WARM_UP_FRAMES
    show_lifting_panel: bool = True
    backend: str = "onnxruntime"

    def __post_init__(self):
        _warn_without_effect({"backend": self.backend, "mixed_precision": self.mixed_precision})
        self._options = self._detection_options()
        self._lens = lifting.LiftingLens(diagonal_deg=self.camera_field_of_view, K=self.camera_intrinsics)
        self._people: tuple[one_camera.DetectedPerson, ...] = ()

    @cached_property
    def _watcher(self) -> one_camera.PeopleWatcher:
        return self.open_watcher(smooth=False)

    def open_watcher(self, smooth: bool) -> one_camera.PeopleWatcher:
        """A watcher that detects people in successive images with the estimator's networks; close it in the end."""
        return one_camera.PeopleWatcher(one_camera.WatchSettings(self._options, smooth))

    def _detection_options(self) -> DetectionOptions:
        require_known("detector", [self.detector], PEOPLE_FINDERS)
        model = str(self.mode)
        if model in SPINEPOSE_SIZES and self.model_version != "latest":
            model = f"{self.model_version}/{model}"
        if one_camera.options_of_model(model, self.max_detections).detector == "spinepose":
            known_weights(model)
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

    def detect(self, image: np.ndarray) -> np.ndarray:
        """Boxes around people, (people, 4) x0 y0 x1 y1 px."""
        points = [np.column_stack([person.points, person.scores]) for person in self.find_people(image)]
        return extent_boxes(points, (image.shape[1], image.shape[0]))[: len(points)]

    def find_people(self, image: np.ndarray, bboxes: np.ndarray | None = None) -> tuple[one_camera.DetectedPerson, ...]:
        """The people, with inferred points marked. bboxes: (people, 4) x0 y0 x1 y1 px, if their boxes are known: one
        person is given for each, without any point where nobody is in it."""
        if bboxes is None:
            self._people = self._look_at(image)
        else:
            people = [next(iter(self._look_at(image, box)), NOBODY) for box in np.reshape(bboxes, (-1, 1, 4))]
            self._people = tuple(replace(person, number=number) for number, person in enumerate(people, 1))
        return self._people

    def _look_at(self, image: np.ndarray, boxes: np.ndarray | None = None) -> tuple[one_camera.DetectedPerson, ...]:
        self._watcher.reset_identities()
        return self._watcher.watch_image(require_image(image), time=0.0, boxes=boxes)

    def __call__(self, image: np.ndarray, bboxes: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        """Points (people, 37, 2) px in SpinePose's order, and scores (people, 37).

        A missing point is 0 0 with score 0. With `enable_lifting` also points (people, 37, 3) m in the camera's axes.
        bboxes: as in `find_people`.
        """
        people = self.find_people(image, bboxes)
        return self.in_spinepose_form(people, image, self.open_placer(camera_pose=False))

    def in_spinepose_form(
        self, people: Sequence[one_camera.DetectedPerson], image: np.ndarray, placer: lifting.PeoplePlacer | None
    ) -> tuple[np.ndarray, ...]:
        """Points and scores of an image's people, and their points in space where there is a placer."""
        flat = self.postprocess(*_keypoints_and_scores(people))
        return flat if placer is None else (*flat, self.lift(placer, people, image))

    def lift(
        self, placer: lifting.PeoplePlacer, people: Sequence[one_camera.DetectedPerson], image: np.ndarray
    ) -> np.ndarray:
        """Points (people, 37, 3) m of an image's people in the placer's axes."""
        size = (image.shape[1], image.shape[0])
        self.camera_intrinsics = self._lens.of(size).K
        return _rows_in_space(people, placer.place_at_once(people, size))[..., :3]

    def open_placer(self, camera_pose: bool) -> lifting.PeoplePlacer | None:
        """A placer of people in space, image by image, where they are lifted. camera_pose: in a world frame, not in
        the camera's axes."""
        if not self.enable_lifting:
            return None
        choices = lifting.WorldChoices(
            self.primary_subject_height if self.estimate_metric_scale else None,
            metric_scale=self.estimate_metric_scale,
            camera_pose=camera_pose and self.estimate_camera_pose,
            ground_plane=self.estimate_ground_plane,
            warm_up=self.warmup_frames,
        )
        least = self.lifting_thr if self._options.detector == "spinepose" else 0.0
        return lifting.PeoplePlacer(lifting.PeopleLifter(lifting.Lifter(Path(self.lifter)), self._lens, least), choices)

    def open_panel(self) -> lifting.PeoplePlacer | None:
        """The placer of people in the world next to a picture; None where none is drawn."""
        return self.open_placer(camera_pose=True) if self.show_lifting_panel and self.estimate_camera_pose else None

    estimate = predict = __call__

    def postprocess(self, keypoints: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points and scores as they are. A subclass may change those in the image; lifting takes them before."""
        return keypoints, scores

    def visualize(self, image: np.ndarray, keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """A picture with the people drawn; inferred points are marked if `keypoints` are those of the last call."""
        if np.array_equal(_keypoints_and_scores(self._people)[0], keypoints):
            return draw(image, self._people)
        scores = np.asarray(scores)
        places = np.where(scores[..., None] > 0, keypoints, np.nan)
        people = [
            replace(NOBODY, points=own, scores=certainty, number=number)
            for number, (own, certainty) in enumerate(zip(places, scores, strict=True), 1)
        ]
        return draw(image, people)

    def close(self) -> None:
        """Release networks and threads."""
        if "_watcher" in vars(self):
            self._watcher.close()


def _warn_without_effect(given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if value != WITHOUT_EFFECT[name]:
            warnings.warn(f"{name} = {value!r} has no effect here.", stacklevel=4)


@dataclass(init=False, eq=False)
class PoseTracker:
    """SpinePose's tracker of the people in a video: `keypoints, scores = tracker(image)` of one image after the other.

    With `enable_lifting` a third array follows, (people, 37, 3) m in the world. The images until then determine the
    world, up to `warmup_frames` of them. SpinePose's `tracking_thr` is `lifting_thr`. Other values of its
    `det_frequency`, `tracking` and filter have no effect, and are a warning: people are always followed.

    Attributes
    ----------
    solution : SpinePoseEstimator
        To be given as class; all other arguments are for it.
    smoothing : bool
        Smooth the points over time (One-Euro filter).
    smoothing_freq : float
        Images per second.
    """

    solution: SpinePoseEstimator
    smoothing: bool = False
    smoothing_freq: float = 30.0

    def __init__(
        self,
        solution: type[SpinePoseEstimator],
        mode: str | PathLike = "large",
        *,
        smoothing: bool = False,
        smoothing_freq: float = 30.0,
        **others,
    ):
        unused = WITHOUT_EFFECT.keys() - {"backend", "mixed_precision"}  # the solution's
        _warn_without_effect({name: others.pop(name) for name in unused & others.keys()})
        threshold = others.pop("tracking_thr", FOLLOWING_THRESHOLD)
        self.solution = solution(mode, **{"lifting_thr": threshold} | others)
        self.smoothing, self.smoothing_freq = smoothing, smoothing_freq
        self._watcher = self.solution.open_watcher(smoothing)
        self.reset()

    def reset(self) -> None:
        """Forget people and world; the next image begins another video."""
        self._watcher.reset_identities()
        self._images = 0
        self._placer = self.solution.open_placer(camera_pose=True)

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, ...]:
        """Points (people, 37, 2) px in SpinePose's order, scores (people, 37), and those in the world if lifted."""
        people = self._watcher.watch_image(require_image(image), self._images / self.smoothing_freq)
        self._images += 1
        self.solution._people = people
        return self.solution.in_spinepose_form(people, image, self._placer)

    def visualize(self, image: np.ndarray, keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """As of `SpinePoseEstimator`."""
        return self.solution.visualize(image, keypoints, scores)

    def close(self) -> None:
        """Release networks and threads."""
        self._watcher.close()
        self.solution.close()


def _keypoints_and_scores(people: Sequence[one_camera.DetectedPerson]) -> tuple[np.ndarray, np.ndarray]:
    """Points (people, 37, 2) px and scores (people, 37); a missing point is 0 0 with score 0."""
    places = np.nan_to_num(np.array([one.points for one in people]).reshape(-1, 37, 2))
    return places, np.array([one.scores for one in people]).reshape(-1, 37)


def _results(
    people: Sequence[one_camera.DetectedPerson],
    spine_only: bool,
    placed: Mapping[int, lifting.FramedPose] | None = None,
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """(people, 37 or 9, 3) x px, y px, score, and with `placed` also (…, 4) x y z m, score; empty without people."""
    if not people:
        return np.array([]) if placed is None else (np.array([]), np.array([]))
    chosen = list(one_camera.FILE_SPINE_INDICES if spine_only else range(len(one_camera.FILE_POINT_NAMES)))
    places, scores = _keypoints_and_scores(people)
    rows = np.concatenate([places, scores[..., None]], -1)[:, chosen]
    return rows if placed is None else (rows, _rows_in_space(people, placed)[:, chosen])


def _rows_in_space(people: Sequence[one_camera.DetectedPerson], placed: Mapping[int, lifting.FramedPose]) -> np.ndarray:
    """(people, 37, 4) x y z m, score; 0 for points that were not placed."""
    nowhere = np.zeros((len(one_camera.FILE_POINT_NAMES), 4))
    found = {one.number: placed[one.number].rows_y_up(one.names, one.scores) for one in people if one.number in placed}
    return np.array([found.get(one.number, nowhere) for one in people]).reshape(-1, *nowhere.shape)


def infer_image(
    input_path: str | PathLike,
    mode: str | PathLike = "medium",
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
        (people, 37 or 9, 4): x y z m in the world, score. Its x leads to the camera's right, y up from the floor.

    Raises
    ------
    InputError
        If the file is no image, and as of `SpinePoseEstimator`.
    """
    image = read_image(Path(input_path))
    chosen = {"lifting_thr": FOLLOWING_THRESHOLD} | others
    with closing(SpinePoseEstimator(mode, model_version, detector, **chosen)) as estimator:
        people = estimator.find_people(image)
        placer = estimator.open_placer(camera_pose=True)
    if vis_path is not None:
        write_picture(Path(vis_path), draw_with_world(image, people, estimator.open_panel(), spine_only))
    placed = None if placer is None else placer.place_at_once(people, (image.shape[1], image.shape[0]))
    return _results(people, spine_only, placed)


def infer_video(
    input_path: str | PathLike,
    mode: str | PathLike = "medium",
    spine_only: bool = False,
    use_smoothing: bool = True,
    vis_path: str | PathLike | None = None,
    model_version: str = "latest",
    detector: str = "rfdetr",
    max_detections: int = 10,
    **others,
) -> list:
    """Detect people in a video, image by image; same result as of spinepose's function of this name.

    Parameters
    ----------
    input_path : path
        A video, or 'webcam'.
    use_smoothing : bool
        Smooth the points over time.
    mode, spine_only, vis_path, model_version, detector, max_detections, others
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
        chosen = {"lifting_thr": FOLLOWING_THRESHOLD, "max_detections": max_detections} | others
        estimator = SpinePoseEstimator(mode, model_version, detector, **chosen)
        watcher = stack.enter_context(closing(estimator.open_watcher(use_smoothing)))
        video = None if vis_path is None else stack.enter_context(video_writer(vis_path, camera.rate))
        placer = estimator.open_placer(camera_pose=True)
        panel = estimator.open_panel()
        detected, placed = [], []
        for shot, people in one_camera.watch_camera(camera, watcher):
            detected.append(people)
            if placer is not None:
                placed += placer.push(people, (shot.image.shape[1], shot.image.shape[0]))
            if video is not None:
                video.add(draw_with_world(shot.image, people, panel, spine_only))
        if placer is None:
            return [_results(people, spine_only) for people in detected]
        placed += placer.flush()
        return [_results(people, spine_only, own) for people, own in zip(detected, placed, strict=True)]
