"""Do the views agree on a tape with dots: on the numbers of its dots, and on how far they are apart?"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from simspine.arrays import median_of_rows
from simspine.body.tape import Tape
from simspine.cameras.epipolar import apart_px, usually_apart_px
from simspine.detection.crops import Crops
from simspine.detection.tape import clicked_rows
from simspine.errors import InputError
from simspine.geometry import undistort
from simspine.sources.video import Video
from simspine.triangulation.solve import triangulate
from simspine.types import Camera, Keypoints

SHIFTS = (-3, -2, -1, 1, 2, 3)  # dots by which clicks of two views may be misnumbered, looked for
FITS_BETTER = 0.5  # of how far the views are apart as numbered: below it, other numbers are the right ones
MISNUMBERED = 0.5  # of a step in the image: views that are nearer agree on the numbers
OTHER_SPACING = 0.25  # share by which the spacing measured may differ
ANY_PX = 100.0  # error of a dot up to which it is placed, for its spacing: before a refinement of the cameras


def check_clicked_images(video: Video, view: str, tape: Tape) -> None:
    """`InputError` unless the clicked images of a view show a row of evenly spaced dots between the clicks.

    Needs those images only, and no person in them: so wrong clicks are found out before any detection.
    """
    clicks = tape.clicks_in(view)
    frames = sorted({frame for at in clicks.values() for frame in at})
    with Crops() as crops:
        for frame, image in zip(frames, video.at(frames), strict=True):
            crops.add(image, None, frame)
        try:
            clicked_rows(crops, clicks, tape.radius)
        except InputError as error:
            raise InputError(f"{view}: {error}") from None


def check_views_of_tape(seen: Keypoints, cameras: Sequence[Camera], tape: Tape) -> None:
    """`InputError` where two views number the dots differently, or the dots are not as far apart as the tape says.

    seen: the person's points and the dots, of simultaneous images. What the person's other points differ by between two
    views is the calibration's, and is taken off.
    """
    rays = np.stack([undistort(camera, seen.xy[:, v]) for v, camera in enumerate(cameras)], 1)
    dots = seen.indices(tape.names)
    others = [i for i in range(len(seen.names)) if i not in dots]
    for a, b in combinations(range(len(cameras)), 2):
        pair = cameras[a], cameras[b]
        calibration = usually_apart_px(*pair, rays[:, a, others], rays[:, b, others])
        step = np.linalg.norm(np.diff(seen.xy[:, a, dots], axis=1), axis=-1)
        apart = {
            shift: _apart(apart_px(*pair, *_shifted(rays[:, a, dots], rays[:, b, dots], shift)) - calibration)
            for shift in (0, *SHIFTS)
        }
        best = min(apart, key=lambda shift: apart[shift])
        if best and apart[0] > MISNUMBERED * np.nanmedian(step) and apart[best] < FITS_BETTER * apart[0]:
            raise InputError(
                f"the dots of the tape in {cameras[a].name} and {cameras[b].name} are {apart[0]:.0f} px apart "
                f"(epipolar distance), and {apart[best]:.0f} px if dot 10 of {cameras[a].name} is dot {10 + best} of "
                f"{cameras[b].name}. The clicks of one of them are on other dots than they say: count again."
            )
    _check_spacing(seen.select(tape.names), cameras, tape)


def _shifted(a: np.ndarray, b: np.ndarray, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Dots (frames, dots, 2) of a with those of b whose numbers are `shift` higher."""
    return (a[:, : a.shape[1] - shift], b[:, shift:]) if shift >= 0 else (a[:, -shift:], b[:, :shift])


def _apart(distances: np.ndarray) -> float:
    """Median; infinite where nothing is seen in both views."""
    return float(np.nanmedian(np.abs(distances))) if np.isfinite(distances).any() else np.inf


def _check_spacing(dots: Keypoints, cameras: Sequence[Camera], tape: Tape) -> None:
    placed = triangulate(dots, cameras, max_error_px=ANY_PX).xyz
    spacing = np.linalg.norm(np.diff(placed, axis=1), axis=-1)
    measured = float(np.nanmedian(median_of_rows(spacing.T))) if np.isfinite(spacing).any() else np.nan
    if np.isnan(measured):
        raise InputError(
            f"no two neighbouring dots of the tape are seen by two views ({', '.join(tape.views)}) at the same time. "
            "Click the tape in a frame and a view where it is in sight."
        )
    if abs(measured / tape.spacing - 1) > OTHER_SPACING:
        raise InputError(
            f"the dots of the tape are {1000 * measured:.1f} mm apart by the cameras, and {1000 * tape.spacing:g} mm "
            "by `spacing_mm`. Is it their distance from middle to middle, and is the calibration in metres?"
        )
