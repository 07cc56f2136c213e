"""MediaPipe's BlazePose: 33 points of one person per image, offline, on the CPU (Apache-2.0; weights in the wheel).

Bazarevsky et al. 2020, "BlazePose: on-device real-time body pose tracking". It has no spine points.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

import numpy as np

from simspine.errors import InputError

POINTS = 33


class BlazePose:
    """One tracker per view: it looks for the person anew only where the last image's was lost.

    complexity: 0 (fast), 1 or 2 (its largest network, whose weights MediaPipe downloads). threads: views worked on at
    once. The confidence is BlazePose's `visibility`; points outside the image are extrapolated by it and kept.
    """

    skeleton = "blazepose33"
    people = 1

    def __init__(self, complexity: int = 1, threads: int = 2):
        if complexity not in (0, 1, 2):
            raise InputError(f"BlazePose's model complexity is {complexity}, expected 0, 1 or 2.")
        self._complexity = complexity
        self._trackers: list = []  # of MediaPipe's `Pose`, which has no types
        self._pool = ThreadPoolExecutor(max_workers=threads) if threads > 1 else None

    def detect(self, images: Sequence[np.ndarray], boxes=None) -> list[np.ndarray]:
        """See `Detector.detect`. Boxes cannot be given: a tracker keeps its own."""
        if boxes is not None:
            raise InputError("BlazePose finds its person itself; person boxes need another detector (spinepose).")
        first = not self._trackers
        if first:
            self._trackers = self._start(len(images))
        if len(images) != len(self._trackers):
            raise InputError(
                f"BlazePose follows {len(self._trackers)} views, got {len(images)} images. "
                "Use a new detector for each capture."
            )
        if self._pool is None or first:  # networks are loaded, noisily, with the first image
            with _silence() if first else nullcontext():
                return [_points(tracker, image) for tracker, image in zip(self._trackers, images, strict=True)]
        return list(self._pool.map(_points, self._trackers, images))

    def close(self) -> None:
        for tracker in self._trackers:
            tracker.close()
        self._trackers = []
        if self._pool is not None:
            self._pool.shutdown()

    def _start(self, views: int) -> list:
        with _silence():
            from mediapipe.python.solutions.pose import Pose

            try:
                return [Pose(model_complexity=self._complexity) for _ in range(views)]
            except OSError as error:
                raise InputError(
                    f"MediaPipe could not load BlazePose of complexity {self._complexity} ({error}). "
                    "It downloads any but complexity 1, which its package holds."
                ) from None


def _points(tracker, image: np.ndarray) -> np.ndarray:
    landmarks = tracker.process(np.ascontiguousarray(image[..., ::-1])).pose_landmarks
    if landmarks is None:
        return np.empty((0, POINTS, 3))
    height, width = image.shape[:2]
    return np.array([[[p.x * width, p.y * height, min(max(p.visibility, 0.0), 1.0)] for p in landmarks.landmark]])


@contextmanager
def _silence():
    """Hide what TensorFlow Lite and MediaPipe's C++ logger write to file descriptor 2 while networks load.

    Their loggers obey no level before they are initialised, so the descriptor itself is turned away; Python's warnings
    about deprecated protobuf calls go too. Exceptions pass through.
    """
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)
