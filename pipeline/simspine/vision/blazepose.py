"""BlazePose: 33 points of each person in an image, offline, on the CPU; no spine points.

The networks, MediaPipe's, come with this package (`networks/README.md`). MediaPipe also smooths points over time, with
a lag; here each image's points stay as detected, because the later filter of the pipeline has no lag.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np

from simspine.core.errors import InputError
from simspine.core.settings import packaged_file
from simspine.core.skeletons import load_skeleton


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hide output of compiled code on file descriptor 2, whose loggers obey no level; exceptions pass through."""
    sys.stderr.flush()
    saved, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


def weighted_nms(found: np.ndarray, overlap: float) -> np.ndarray:
    """Weighted non-maximum suppression of detections (n, 5 + k), score x0 y0 x1 y1 …: (m, 5 + k), highest score first.

    Detections that overlap one of a higher score by more than `overlap` (intersection over union) are averaged with it,
    weighted by score."""
    rest, kept = found[np.argsort(-found[:, 0], kind="stable")], []
    while len(rest):
        near = intersection_over_union(rest[0, 1:5], rest[:, 1:5]) > overlap
        near[0] = True
        kept.append(np.r_[rest[0, 0], np.average(rest[near, 1:], axis=0, weights=rest[near, 0])])
        rest = rest[~near]
    return np.array(kept).reshape(-1, found.shape[1])


def intersection_over_union(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(n,) of a box (4,) and boxes (n, 4), x0 y0 x1 y1; 0 where they do not meet."""
    shared = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return np.divide(shared, areas - shared, out=np.zeros(len(boxes)), where=areas > shared)


# BlazePose's two networks: one finds people in an image, the other places 39 landmarks of one person in a crop.
# Bazarevsky et al. 2020, "BlazePose: on-device real-time body pose tracking". Files and licence:
# `networks/README.md`. MediaPipe's graphs define inputs and outputs (version 0.10.21,
# `mediapipe/modules/pose_detection` and `mediapipe/modules/pose_landmark`, options of the calculators named in
# each function here).


FINDER_SIZE, LANDMARK_SIZE = 224, 256  # px, sides of the networks' square inputs
LANDMARK_COUNT = 39  # the last six are auxiliary: 33 and 34 predict the person's circle in the next image
POSE_POINT_COUNT = 33
ANCHOR_STRIDES_PX = (8, 16, 32, 32, 32)  # px, of the finder's anchors
MIN_SCORE, MIN_OVERLAP = 0.5, 0.3  # least score of a person; least overlap of two detections of one person
MIN_POSE = 0.5  # least value of the landmark network's output that a person is in the crop
CROP_PADDING = 1.25  # side of a crop, relative to the diameter of the circle around the person
HEAT_KERNEL_CELLS = 9  # side of the window of a heat map around a landmark
MIN_LANDMARK_HEAT = 0.5  # least maximum in the window that moves the landmark


class Region(NamedTuple):
    """A square crop: centre px, side px, and its rotation, rad (clockwise in the displayed image)."""

    x: float
    y: float
    side: float
    turn: float

    def to_image(self, crop: np.ndarray) -> np.ndarray:
        """Points (..., 2) from shares 0…1 of the crop to px of the image."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        return (crop - 0.5) * self.side @ np.array([[c, s], [-s, c]]) + [self.x, self.y]

    def to_crop(self, size: int) -> np.ndarray:
        """(2, 3) affine map from px of the image to px of a crop of `size`, as OpenCV takes it."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        rotation = np.array([[c, s], [-s, c]]) * (size / self.side)
        return np.column_stack([rotation, size / 2 - rotation @ [self.x, self.y]])


class Pose(NamedTuple):
    """One person: points (33, 3) x px, y px, visibility 0…1. region: the crop for the next image.

    looked_in: the crop that the network saw. mask: (256, 256) logits over it, the silhouette, positive on the body.
    depth: (33,) of the points behind the mid-hips along the line of sight, in px of the crop.
    """

    points: np.ndarray
    region: Region
    mask: np.ndarray
    looked_in: Region
    depth: np.ndarray


def region_of(centre: np.ndarray, rim: np.ndarray) -> Region:
    """The crop around a person with mid-hip `centre` px, turned so that `rim` px, on the circle, is straight above.

    `AlignmentPointsRectsCalculator` (start 0, end 1, target 90°), `RectTransformationCalculator` (scale 1.25).
    """
    x, y = map(float, centre)
    across, down = rim[0] - x, rim[1] - y
    return Region(x, y, 2 * CROP_PADDING * float(np.hypot(across, down)), float(np.arctan2(across, -down)))


def region_of_box(box: np.ndarray) -> Region:
    """The upright crop for a person within x0 y0 x1 y1 px; the circle in it reaches beyond head and feet."""
    low, high = np.asarray(box[:2], float), np.asarray(box[2:], float)
    x, y = (low + high) / 2
    return Region(float(x), float(y), CROP_PADDING * float((high - low).max()), 0.0)


def finder_anchors() -> np.ndarray:
    """(2254, 2) centres as shares of the image: two per cell and layer (`SsdAnchorsCalculator`, fixed anchor size).

    Layers of equal stride share their cells: six anchors in each of the three of stride 32.
    """
    rows = []
    for stride in sorted(set(ANCHOR_STRIDES_PX)):
        cells = FINDER_SIZE // stride
        y, x = np.mgrid[:cells, :cells]
        centres = (np.stack([x, y], -1).reshape(-1, 2) + 0.5) / cells
        rows.append(np.repeat(centres, 2 * ANCHOR_STRIDES_PX.count(stride), 0))
    return np.concatenate(rows)


def decode_people(raw: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The finder's outputs (2254, 12) and (2254,) → (n, 13): score, x0 y0 x1 y1, four points x y; shares of its input.

    Points: mid-hip, a point on the circle around the whole body, mid-shoulder, one around the upper body.
    `TensorsToDetectionsCalculator` and `NonMaxSuppressionCalculator` (weighted, IoU 0.3).
    """
    score = 1 / (1 + np.exp(-np.clip(score.astype(float), -100, 100)))
    sure = np.flatnonzero(score >= MIN_SCORE)
    values = raw[sure].reshape(-1, 6, 2) / FINDER_SIZE
    anchors = _FINDER_ANCHORS[sure, None]
    centre, extent, points = values[:, :1] + anchors, values[:, 1:2], values[:, 2:] + anchors
    boxes = np.concatenate([centre - extent / 2, centre + extent / 2, points], 1).reshape(-1, 12)
    return weighted_nms(np.column_stack([score[sure], boxes]), MIN_OVERLAP)


def search_squares(width: int, height: int) -> list[Region]:
    """The whole image padded to a square, and squares of its shorter side that cover it, at least half overlapping."""
    short, long = sorted((width, height))
    whole = Region(width / 2, height / 2, float(long), 0.0)
    count = int(np.ceil(2 * (long - short) / short)) + 1
    if count == 1:
        return [whole]
    along = np.linspace(short / 2, long - short / 2, count)
    centres = [(float(a), short / 2) if width > height else (short / 2, float(a)) for a in along]
    return [whole, *(Region(x, y, float(short), 0.0) for x, y in centres)]


def refine_landmarks(landmarks: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Landmarks (n, 2), shares of the crop, moved to the mean of the heat (rows, columns, n; logits) around them.

    `RefineLandmarksFromHeatmapCalculator` (least confidence 0.5): only where the heat is high. MediaPipe's graph states
    a kernel of 7 cells, but MediaPipe's points are those of 9, the calculator's default.
    """
    size, out, reach = np.array(heat.shape[1::-1]), landmarks.copy(), (HEAT_KERNEL_CELLS - 1) // 2
    for i, (column, row) in enumerate((landmarks * size).astype(int)):
        if not (0 <= column < size[0] and 0 <= row < size[1]):
            continue
        rows = slice(max(row - reach, 0), row + reach + 1)
        columns = slice(max(column - reach, 0), column + reach + 1)
        window = 1 / (1 + np.exp(-heat[rows, columns, i].astype(float)))
        if window.max() >= MIN_LANDMARK_HEAT:
            y, x = np.mgrid[rows.start : rows.start + window.shape[0], columns.start : columns.start + window.shape[1]]
            out[i] = [(x * window).sum(), (y * window).sum()] / window.sum() / size
    return out


class PoseNetworks:
    """Both networks on one thread of the CPU; not to be shared among threads.

    model: which network places the landmarks, of `BLAZEPOSE_MODELS`.
    """

    def __init__(self, model: str = "full") -> None:
        self._finder = _run_network("pose_detection.tflite")
        self._landmarks = _run_network(f"pose_landmark_{model}.tflite")

    def find(self, image: np.ndarray) -> list[Region]:
        """Crops of an RGB image (height, width, 3) uint8 that may show people, highest score first.

        The network sees the whole image, then overlapping squares as wide as its shorter side: in the whole image a
        small person has few px, and two people side by side are taken for one.
        """
        height, width = image.shape[:2]
        found = np.concatenate([self.found_in(image, square) for square in search_squares(width, height)])
        best = weighted_nms(found, MIN_OVERLAP)
        return [region_of(*person) for person in best[:, 5:9].reshape(-1, 2, 2)]

    def found_in(self, image: np.ndarray, square: Region) -> np.ndarray:
        """People in a square of an RGB image: (n, 13) as `decode_people`, in px of the image."""
        raw, score = self._finder(_padded_crop(image, square, FINDER_SIZE, padded=True) * np.float32(2) - 1)
        found = decode_people(raw[0], score[0, :, 0])
        points = square.to_image(found[:, 1:].reshape(-1, 6, 2))
        return np.column_stack([found[:, 0], points.reshape(-1, 12)])

    def pose(self, image: np.ndarray, region: Region) -> Pose | None:
        """The person in a region of an RGB image; None where the network sees nobody."""
        values, flag, mask, heat, _ = self._landmarks(_padded_crop(image, region, LANDMARK_SIZE))
        if flag[0, 0] < MIN_POSE:
            return None
        values = values.reshape(LANDMARK_COUNT, 5)  # x, y, z, visibility, presence
        xy = region.to_image(refine_landmarks(values[:, :2] / LANDMARK_SIZE, heat[0]))
        visibility = 1 / (1 + np.exp(-values[:POSE_POINT_COUNT, 3].astype(float)))
        points = np.column_stack([xy[:POSE_POINT_COUNT], visibility])
        depth = values[:POSE_POINT_COUNT, 2].astype(float)
        ahead = region_of(xy[POSE_POINT_COUNT], xy[POSE_POINT_COUNT + 1])
        return Pose(points=points, region=ahead, mask=mask[0, ..., 0], looked_in=region, depth=depth)


def _padded_crop(image: np.ndarray, region: Region, size: int, padded: bool = False) -> np.ndarray:
    """(1, size, size, 3) float32, 0…1; outside the image its edge pixels are repeated, or black if `padded`.

    `ImageToTensorCalculator`.
    """
    import cv2

    border = cv2.BORDER_CONSTANT if padded else cv2.BORDER_REPLICATE
    crop = cv2.warpAffine(image, region.to_crop(size), (size, size), flags=cv2.INTER_LINEAR, borderMode=border)
    return crop[None].astype(np.float32) / np.float32(255)


def _run_network(name: str):
    """A function from the network's input to its outputs in their order."""
    from ai_edge_litert.interpreter import Interpreter

    path = packaged_file(Path(__file__).with_name("networks") / name)
    network = Interpreter(str(path), num_threads=1)
    with quiet_stderr():
        network.allocate_tensors()
    source = network.get_input_details()[0]["index"]
    outputs = [detail["index"] for detail in network.get_output_details()]

    def run(tensor: np.ndarray) -> list[np.ndarray]:
        network.set_tensor(source, tensor)
        network.invoke()
        return [network.get_tensor(i) for i in outputs]

    return run


_FINDER_ANCHORS = finder_anchors()
SEARCH_INTERVAL_IMAGES = 6  # from one search for new people to the next; a search takes as long as three people's poses
SAME_POSE_DISTANCE = 0.12  # of the crop's side: two poses whose points lie nearer than this on average are one person


class BlazePoseTracker:
    """Up to `people` people of one view, each followed from image to image. The one followed longest comes first."""

    def __init__(self, people: int):
        self._most, self._images = people, 0
        self._regions: list[Region] = []

    def step(self, networks: PoseNetworks, image: np.ndarray, boxes: np.ndarray | None = None) -> list[Pose]:
        """The people in the next RGB image (height, width, 3) uint8.

        boxes: (people, 4) x0 y0 x1 y1 px, the only places searched; without boxes, last places and the whole image.
        """
        poses: list[Pose] = []
        for region in self._regions if boxes is None else ():
            _add_unless_known(poses, networks.pose(image, region))
        places = [] if boxes is None else [region_of_box(box) for box in boxes[: self._most]]
        if boxes is None and (not poses or (len(poses) < self._most and self._images % SEARCH_INTERVAL_IMAGES == 0)):
            places = networks.find(image)
        for region in places:
            if len(poses) < self._most and not _is_followed(region, poses):
                _add_unless_known(poses, settled_pose(networks, image, region))
        self._regions = [pose.region for pose in poses]
        self._images += 1
        return poses


def settled_pose(networks: PoseNetworks, image: np.ndarray, region: Region) -> Pose | None:
    """The person in an approximate region: the first pose gives the region for the second, which is returned."""
    first = networks.pose(image, region)
    return None if first is None else networks.pose(image, first.region)


def _is_followed(region: Region, poses: Sequence[Pose]) -> bool:
    """Whether the hips of a person found are those of one of the poses, so that no network need run again."""
    apart = [np.hypot(region.x - pose.region.x, region.y - pose.region.y) for pose in poses]
    reach = [SAME_POSE_DISTANCE * min(region.side, pose.region.side) for pose in poses]
    return bool(np.less(apart, reach).any())


def _add_unless_known(poses: list[Pose], pose: Pose | None) -> None:
    """Append `pose` to `poses`, unless it is None or shows the same person as one of them."""
    if pose is None:
        return
    for other in poses:
        apart = np.linalg.norm(pose.points[:, :2] - other.points[:, :2], axis=1).mean()
        if apart < SAME_POSE_DISTANCE * min(pose.region.side, other.region.side):
            return
    poses.append(pose)


class BlazePose:
    """One tracker per view, for up to `people` people in it; `threads` views are processed in parallel.

    The confidence is BlazePose's `visibility`. BlazePose extrapolates points outside the image; these are kept. model:
    of `BLAZEPOSE_MODELS`.
    """

    skeleton = "blazepose33"

    def __init__(self, people: int = 4, threads: int = 2, model: str = "full"):
        self.people = people
        self._trackers: list[BlazePoseTracker] = []
        self._pool = ThreadPoolExecutor(max_workers=max(threads, 1))
        self._networks: SimpleQueue[PoseNetworks] = SimpleQueue()  # a pair for each thread, taken for one image
        for _ in range(max(threads, 1)):
            self._networks.put(PoseNetworks(model))

    def detect(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray | None] | None = None
    ) -> list[np.ndarray]:
        """See `Detector.detect`. In a view with boxes, people are looked for in these only, and then followed."""
        if not self._trackers:
            self._trackers = [BlazePoseTracker(self.people) for _ in images]
        if len(images) != len(self._trackers):
            text = f"BlazePose follows {len(self._trackers)} views, got {len(images)} images"
            raise InputError(f"{text}. Use a new detector for each capture, or call `forget` in between.")
        boxes_by_view = [None] * len(images) if boxes is None else boxes
        return list(self._pool.map(self._poses_in_view, self._trackers, images, boxes_by_view))

    def forget(self) -> None:
        self._trackers = []

    def close(self) -> None:
        self._pool.shutdown()
        self._trackers = []

    def _poses_in_view(self, tracker: BlazePoseTracker, image: np.ndarray, boxes: np.ndarray | None) -> np.ndarray:
        """(people, points, 3) of one view."""
        import cv2

        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # a tenth of the time of NumPy's copy
        networks = self._networks.get()
        try:
            poses = tracker.step(networks, rgb, boxes)
        finally:
            self._networks.put(networks)
        return np.array([self.points_of(pose) for pose in poses]).reshape(-1, len(load_skeleton(self.skeleton)), 3)

    def points_of(self, pose: Pose) -> np.ndarray:
        """(points, 3) of one person."""
        return pose.points
