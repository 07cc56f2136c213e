"""BlazePose: 33 points of each person in an image, offline, on the CPU; no spine points.

The networks come with this package (`networks/README.md`). MediaPipe, whose they are, smooths points over time on top,
with a lag; here they stay as seen, image by image: the filter of this pipeline has no lag.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np

from simspine.detection.pose_networks import Pose, PoseNetworks
from simspine.detection.pose_tracker import PoseTracker
from simspine.errors import InputError
from simspine.skeletons import load


class BlazePose:
    """One tracker per view, for up to `people` people in it; `threads` views are worked on at once.

    The confidence is BlazePose's `visibility`; points outside the image are extrapolated by it and kept.
    """

    skeleton = "blazepose33"

    def __init__(self, people: int = 4, threads: int = 2):
        if people < 1:
            raise InputError(f"people is {people}, expected the most to look for in an image, 1 or more.")
        self.people = people
        self._trackers: list[PoseTracker] = []
        self._pool = ThreadPoolExecutor(max_workers=max(threads, 1))
        self._networks: SimpleQueue[PoseNetworks] = SimpleQueue()  # a pair for each thread, taken for one image
        for _ in range(max(threads, 1)):
            self._networks.put(PoseNetworks())

    def detect(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray | None] | None = None
    ) -> list[np.ndarray]:
        """See `Detector.detect`. In a view with boxes nobody else is looked for, and whom they show is followed on."""
        if not self._trackers:
            self._trackers = [PoseTracker(self.people) for _ in images]
        if len(images) != len(self._trackers):
            raise InputError(
                f"BlazePose follows {len(self._trackers)} views, got {len(images)} images. "
                "Use a new detector for each capture, or call `forget` in between."
            )
        given = [None] * len(images) if boxes is None else list(boxes)
        if len(given) != len(images):
            raise InputError(f"{len(images)} images, but boxes for {len(given)}.")
        return list(self._pool.map(self._look, self._trackers, images, given))

    def forget(self) -> None:
        """See `Detector.forget`."""
        self._trackers = []

    def close(self) -> None:
        self._pool.shutdown()
        self._trackers = []

    def _look(self, tracker: PoseTracker, image: np.ndarray, boxes: np.ndarray | None) -> np.ndarray:
        """(people, points, 3) of one view."""
        rgb = np.ascontiguousarray(image[..., ::-1])
        networks = self._networks.get()
        try:
            poses = tracker.step(networks, rgb) if boxes is None else tracker.step_in(networks, rgb, boxes)
        finally:
            self._networks.put(networks)
        return np.array([self.points_of(pose) for pose in poses]).reshape(-1, len(load(self.skeleton)), 3)

    def points_of(self, pose: Pose) -> np.ndarray:
        """(points, 3) of one person."""
        return pose.points
