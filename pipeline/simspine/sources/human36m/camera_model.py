"""The data set's own lens as one of OpenCV's.

For ideal normalised coordinates u = (x, y), r² = x² + y² and q = (p2, p1) the data set projects with

    u' = u (1 + k1 r² + k2 r⁴ + k3 r⁶ + q·u) + q r²        (ProjectPointRadial of its release code)

where OpenCV, with the same numbers, has `2 q·u`. So OpenCV's tangential part with half of p1 and p2 is
u (q·u) + q r²/2, and its thin prism terms s1 = p2/2, s3 = p1/2 add the missing q r²/2: the lens is the same, to
rounding. How much it costs to take one lens for the other: docs/human36m.md.
"""

from simspine.errors import InputError
from simspine.types import Camera


def to_opencv(camera: Camera) -> Camera:
    """The camera whose lens is the data set's. camera: holds k1 k2 p1 p2 k3 as they stand in its metadata.xml."""
    if camera.lens != "perspective" or camera.distortion.size > 5:
        raise InputError(f"camera {camera.name!r} has more of a lens than Human3.6M's k1 k2 p1 p2 k3.")
    k1, k2, p1, p2, k3 = camera.distortion
    return camera.with_(distortion=[k1, k2, p1 / 2, p2 / 2, k3, 0, 0, 0, p2 / 2, 0, p1 / 2, 0])
