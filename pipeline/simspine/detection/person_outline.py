"""A first guess of a person's outline: where BlazePose's mask has them."""

import numpy as np

from simspine.detection.pose_networks import LANDMARK_SIZE, Pose, PoseNetworks, region_of_box
from simspine.detection.pose_tracker import PoseTracker, settled
from simspine.formats.outlines import Ring

SMALL = 0.02  # share of the largest part below which another part is left out
STRAIGHT = 0.5  # of a cell of the mask: finer corners would say nothing
FEW = 5  # points below which they do not tell where the person is


class OutlineProposer:
    """BlazePose's networks, loaded once; for one thread at a time."""

    def __init__(self) -> None:
        self._networks = PoseNetworks()

    def outline(self, image: np.ndarray, xy: np.ndarray) -> tuple[Ring, ...]:
        """Rings of the person in a BGR image, at the points xy (n, 2) px that are known of them; () where nobody is
        found."""
        rgb = np.ascontiguousarray(image[..., ::-1])
        pose: Pose | None = None
        if len(xy) >= FEW:
            pose = settled(self._networks, rgb, region_of_box(np.r_[xy.min(0), xy.max(0)]))
        else:
            pose = next(iter(PoseTracker(1).step(self._networks, rgb)), None)
        return () if pose is None else outline_of(pose, (image.shape[1], image.shape[0]))


def outline_of(pose: Pose, size: tuple[int, int]) -> tuple[Ring, ...]:
    """Rings where the mask of a pose is positive in an image of size (width, height); small parts are left out."""
    import cv2

    logits = cv2.warpAffine(
        pose.mask.astype(np.float32), pose.looked_in.to_crop(LANDMARK_SIZE), size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT, borderValue=-10.0,
    )  # fmt: skip
    mask = (logits > 0).astype(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return ()
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = 1 + np.flatnonzero(areas >= SMALL * areas.max())
    straight = max(STRAIGHT * pose.looked_in.side / LANDMARK_SIZE, 1.0)
    found, _ = cv2.findContours(np.isin(parts, kept).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [cv2.approxPolyDP(contour, straight, True)[:, 0] for contour in found]
    return tuple(tuple((float(x), float(y)) for x, y in ring) for ring in rings if len(ring) > 2)
