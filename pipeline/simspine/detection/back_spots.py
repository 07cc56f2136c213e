"""Spots on a person's trunk in one image that may be markers on the skin."""

import numpy as np

from simspine.detection.blob_centre import Blob, find_centre
from simspine.detection.crops import Crops

DISK, AROUND = 0.6, 1.6  # widths of the two Gaussians, in radii of a marker
WIDER = 1.25  # the quadrangle of shoulders and hips, grown about its middle
MOST = 15  # spots of an image, those that differ most from their surroundings
APART = 2.0  # radii between two spots


def spots_on_trunk(image: np.ndarray, trunk: np.ndarray, radius: float, most: int = MOST) -> np.ndarray:
    """(spots, 3) x px, y px, how much stands out there, most first; none where the trunk is not known.

    image: (height, width, 3) BGR. trunk: (4, 2) px, left and right shoulder, left and right hip. radius: of a marker.
    """
    import cv2

    if not np.isfinite(trunk).all():
        return np.zeros((0, 3))
    middle = trunk.mean(0)
    corners = (middle + WIDER * (trunk - middle)).astype(np.float32)
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, np.round(cv2.convexHull(corners)).astype(np.int32), 1)
    colours = cv2.cvtColor(image, cv2.COLOR_BGR2LAB).astype(np.float32)
    blurred = [cv2.GaussianBlur(colours, (0, 0), width * radius) for width in (DISK, AROUND)]
    contrast = np.linalg.norm(blurred[0] - blurred[1], axis=-1) * mask
    peak = cv2.dilate(contrast, np.ones((2 * int(radius) + 1,) * 2, np.uint8))
    places = np.argwhere((contrast == peak) & (contrast > 0))[:, ::-1].astype(float)
    found: list[Blob] = []
    with Crops() as crops:
        crops.add(image, None)
        blobs = [find_centre(lambda p, half: crops.window(0, p, half), place, radius) for place in places]
    for blob in sorted(blobs, key=lambda blob: -blob.mass):
        if blob.mass > 0 and all(np.hypot(*(blob.xy - other.xy)) > APART * radius for other in found):
            found.append(blob)
    return np.array([(*blob.xy, blob.mass) for blob in found[:most]]).reshape(-1, 3)
