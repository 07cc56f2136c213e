"""People of one view from image to image: each is looked for where they were, and new ones every few images."""

import numpy as np

from simspine.detection.pose_networks import Pose, PoseNetworks, Region, region_of_box

EVERY = 6  # images from one search for new people to the next: a search takes as long as the points of three people
SAME = 0.12  # of the crop's side: two poses whose points lie nearer than this on average are one person


class PoseTracker:
    """Up to `people` people of one view. Who has been followed longest comes first."""

    def __init__(self, people: int):
        self._most = people
        self._regions: list[Region] = []
        self._images = 0

    def step(self, networks: PoseNetworks, image: np.ndarray) -> list[Pose]:
        """The people in the next RGB image (height, width, 3) uint8."""
        poses: list[Pose] = []
        for region in self._regions:
            _join(poses, networks.pose(image, region))
        if len(poses) < self._most and (not poses or self._images % EVERY == 0):
            for region in networks.find(image):
                if len(poses) < self._most:
                    _join(poses, settled(networks, image, region))
        return self._follow(poses)

    def step_in(self, networks: PoseNetworks, image: np.ndarray, boxes: np.ndarray) -> list[Pose]:
        """The people in the next image, looked for in boxes (people, 4) x0 y0 x1 y1 px and nowhere else."""
        poses: list[Pose] = []
        for box in boxes[: self._most]:
            _join(poses, settled(networks, image, region_of_box(box)))
        return self._follow(poses)

    def _follow(self, poses: list[Pose]) -> list[Pose]:
        self._regions = [pose.region for pose in poses]
        self._images += 1
        return poses


def settled(networks: PoseNetworks, image: np.ndarray, region: Region) -> Pose | None:
    """The person in a region that is only roughly right: looked at twice, then where the first look says."""
    first = networks.pose(image, region)
    return None if first is None else networks.pose(image, first.region)


def is_same(a: Pose, b: Pose) -> bool:
    """Whether two poses of an image are of one person."""
    apart = np.linalg.norm(a.points[:, :2] - b.points[:, :2], axis=1).mean()
    return bool(apart < SAME * min(a.region.side, b.region.side))


def _join(poses: list[Pose], pose: Pose | None) -> None:
    """`pose` joins the others unless it is one of them, or there is none."""
    if pose is not None and not any(is_same(pose, other) for other in poses):
        poses.append(pose)
