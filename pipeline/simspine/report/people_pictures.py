"""Pictures of people: points and spine drawn on an image."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter

import numpy as np

from simspine.core.errors import InputError
from simspine.core.geometry import smooth_curve
from simspine.io.image_streams import require_image
from simspine.report import canvas
from simspine.report.canvas import DARK_GROUND, SIDE_COLOURS
from simspine.report.figure_style import ORANGE, VERMILLION, to_bgr
from simspine.vision.one_camera import FILE_SPINE_INDICES, DetectedPerson

# People drawn on an image of one camera: sides in colours, the spine as a curve, what was not seen hollow.


LABEL_WHITE = (255, 255, 255)
SPINE_CURVE_POINTS = ("Hip", "Spine_01", "Spine_02", "Spine_03", "Spine_04", "Spine_05", "Neck", "Neck_02", "Neck_03")
_DRAWN_LIMBS = (
    ("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Hip", "Knee"), ("Knee", "Ankle"), ("Ankle", "Heel"),
    ("Heel", "BigToe"), ("Ankle", "BigToe"), ("Shoulder", "Hip"), ("Ear", "Eye"),
)  # fmt: skip
DRAWN_BONES = (
    *((side + a, side + b) for side in "LR" for a, b in _DRAWN_LIMBS),
    ("LShoulder", "RShoulder"), ("LHip", "RHip"), ("LEye", "Nose"), ("REye", "Nose"),
)  # fmt: skip
POSE_LEGEND = ("left", "right", "unsure")


@dataclass(frozen=True)
class DrawnPerson:
    """points: {SIMSPINE point: (3,) x px, y px, confidence}, those that are there. inferred: names among them that a
    rule placed. label: written above the head. estimated: names among them that a detector gave without seeing them.
    """

    points: Mapping[str, np.ndarray]
    inferred: frozenset[str] = frozenset()
    label: str = ""
    estimated: frozenset[str] = frozenset()

    @property
    def extent(self) -> float:
        """px: the larger side of the box around the points; 0 for none."""
        xy = np.array([point[:2] for point in self.points.values()]).reshape(-1, 2)
        return float(np.ptp(xy, axis=0).max()) if len(xy) else 0.0


def draw(
    image: np.ndarray, people: Sequence[DetectedPerson], spine_only: bool = False, caption: str = ""
) -> np.ndarray:
    """Draw people on an image: sides in colours, the spine as a curve, what was not seen hollow and dashed.

    Parameters
    ----------
    image : (height, width, 3) array of uint8
        BGR, as OpenCV reads it.
    people : sequence of DetectedPerson
        As of `detect_image`.
    spine_only : bool
        Draw only the nine points along the spine.
    caption : str
        Written into a corner.

    Returns
    -------
    array
        (height, width, 3) uint8: a new picture; the image stays as it is.

    Raises
    ------
    InputError
        For what is no image.

    Examples
    --------
    >>> frame = next(ss.detect_video("person.avi"))
    >>> ss.draw(frame.image, frame.people).shape == frame.image.shape
    True
    """
    return draw_people(image, [_drawn_person(person, spine_only) for person in people], caption)


def _drawn_person(seen: DetectedPerson, spine_only: bool) -> DrawnPerson:
    there = [i for i in range(len(seen.names)) if np.isfinite(seen.points[i]).all()]
    if spine_only:
        there = [i for i in FILE_SPINE_INDICES if i in there]
    points = {seen.names[i]: np.append(seen.points[i], seen.scores[i]) for i in there}
    estimated, inferred = (
        frozenset(seen.names[i] for i in there if which[i]) for which in (seen.estimated, seen.inferred)
    )
    return DrawnPerson(
        points, inferred, estimated=estimated, label=f"person {seen.number} · {seen.mean_confidence:.2f}"
    )


def draw_people(image: np.ndarray, people: Sequence[DrawnPerson], caption: str = "") -> np.ndarray:
    """A new picture of the image's size with people and caption. Lines follow the size of each person."""
    picture = require_image(image).copy()
    finest = max(image.shape[:2]) / 1200
    for person in people:
        unit = max(1.0, finest, person.extent / 330)
        _draw_body(picture, person, unit)
        _draw_spine(picture, person, unit)
        _draw_label(picture, person, max(12, round(0.016 * max(image.shape[:2]))), unit)
    return canvas.add_caption(picture, caption) if caption else picture


def with_legend(picture: np.ndarray, spine: Iterable[str]) -> np.ndarray:
    """The picture with what its signs mean below it. spine: of 'spine_seen', 'spine_estimated',
    'spine_inferred'."""
    return canvas.add_legend(picture, (*POSE_LEGEND, *spine))


def _draw_body(picture: np.ndarray, person: DrawnPerson, unit: float) -> None:
    there = {name: point for name, point in person.points.items() if name not in SPINE_CURVE_POINTS}
    lines = [(a, b, there[a], there[b]) for a, b in DRAWN_BONES if a in there and b in there]
    for _, _, start, end in lines:
        width = unit * (_confidence_weight(start, end) * 2.2 + 1.4)
        canvas.draw_line(picture, np.array([start[:2], end[:2]]), DARK_GROUND, width)
    for a, b, start, end in lines:
        colour = _point_colour(a) if a[0] == b[0] else LABEL_WHITE
        canvas.draw_line(picture, np.array([start[:2], end[:2]]), colour, unit * _confidence_weight(start, end) * 2.2)
    for name, point in there.items():
        how = _known_how(person, name)
        size = unit * 3.0 * (1.0 if how else _confidence_weight(point))
        canvas.draw_point(picture, point[:2], size, _point_colour(name), how=how)


def _draw_spine(picture: np.ndarray, person: DrawnPerson, unit: float) -> None:
    """The curve through the points of the spine; dashed between points of which one was not seen."""
    chain = [name for name in SPINE_CURVE_POINTS if name in person.points]
    if not chain:
        return
    places = np.array([person.points[name][:2] for name in chain])
    span = 12
    curve = smooth_curve(places, span)
    spans = [curve[i * span : (i + 1) * span + 1] for i in range(len(chain) - 1)] if len(curve) > len(chain) else []
    seen = [_known_how(person, a, b) for a, b in pairwise(chain)]
    for how, stretch in groupby(zip(seen, spans, strict=False), key=itemgetter(0)):
        line = np.concatenate([part for _, part in stretch])
        if not how:
            canvas.draw_line(picture, line, DARK_GROUND, unit * 4.4)
            canvas.draw_line(picture, line, to_bgr(VERMILLION), unit * 2.6)
        else:
            canvas.draw_line(picture, line, DARK_GROUND, unit * 3.0)
            colour = to_bgr(ORANGE if how == "inferred" else VERMILLION)
            canvas.draw_dashes(picture, line, colour, width=unit * 2.0, dash=unit * 5.0)
    for name, place in zip(chain, places, strict=True):
        how = _known_how(person, name)
        size = unit * 3.2 * (1.0 if how else _confidence_weight(person.points[name]))
        if how == "inferred":
            canvas.draw_disc(picture, place, size, DARK_GROUND)  # over the curve
        canvas.draw_point(picture, place, size, to_bgr(VERMILLION), how=how, edge=LABEL_WHITE)


def _known_how(person: DrawnPerson, *names: str) -> str:
    """'inferred', 'estimated', or '' of what was seen: as the least known of some points."""
    return "inferred" if {*names} & person.inferred else "estimated" if {*names} & person.estimated else ""


def _draw_label(picture: np.ndarray, person: DrawnPerson, size: int, unit: float) -> None:
    if not person.label or not person.points:
        return
    xy = np.array([point[:2] for point in person.points.values()])
    width, margin = canvas.tag_width(person.label, size), 0.8 * size
    x = np.clip(np.median(xy[:, 0]) - width / 2, 0, max(picture.shape[1] - width, 0))
    y = np.clip(xy[:, 1].min() - 14 * unit - margin, margin, picture.shape[0] - margin)
    canvas.draw_tag(picture, np.array([x, y]), person.label, size=size, colour=LABEL_WHITE)


def _confidence_weight(*points: np.ndarray) -> float:
    """0.35…1 by the least confidence of the points."""
    return 0.35 + 0.65 * float(min(point[2] for point in points))


def _point_colour(name: str) -> tuple[int, ...]:
    side = {"L": "left", "R": "right"}.get(name[0])
    return LABEL_WHITE if side is None else to_bgr(SIDE_COLOURS[side])


# A window that shows pictures as they come.


QUIT_KEYS = (27, ord("q"))  # escape, q


class LiveWindow:
    """Opened at once. `InputError` where the installed OpenCV has no windows, or there is no screen."""

    def __init__(self, name: str):
        import cv2

        self._name = name
        try:
            cv2.namedWindow(name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error:
            raise InputError(
                "no window can be opened: the installed OpenCV is a build without windows, or there is no screen. Say "
                "--no-view and name files to write (--output, --save-path), or install opencv-python in place of "
                "opencv-python-headless."
            ) from None

    def show(self, picture: np.ndarray) -> bool:
        """False once the window was closed, or q or escape was pressed."""
        import cv2

        cv2.imshow(self._name, picture)
        pressed = cv2.waitKey(1) & 0xFF
        return pressed not in QUIT_KEYS and cv2.getWindowProperty(self._name, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Close the window."""
        import cv2

        cv2.destroyWindow(self._name)
