"""People drawn on an image of one camera: sides in colours, the spine as a curve, what was not seen hollow."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from simspine.report import canvas
from simspine.report.canvas import DARK, SIDES
from simspine.report.overlay import smooth_curve
from simspine.report.style import ORANGE, VERMILLION, bgr

WHITE = (255, 255, 255)
SPINE = ("Hip", "Spine_01", "Spine_02", "Spine_03", "Spine_04", "Spine_05", "Neck", "Neck_02", "Neck_03")
_LIMBS = (
    ("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Hip", "Knee"), ("Knee", "Ankle"), ("Ankle", "Heel"),
    ("Heel", "BigToe"), ("Ankle", "BigToe"), ("Shoulder", "Hip"), ("Ear", "Eye"),
)  # fmt: skip
BONES = (
    *((side + a, side + b) for side in "LR" for a, b in _LIMBS),
    ("LShoulder", "RShoulder"), ("LHip", "RHip"), ("LEye", "Nose"), ("REye", "Nose"),
)  # fmt: skip
LEGEND = ("left", "right", "unsure")


@dataclass(frozen=True)
class DrawnPerson:
    """points: {SIMSPINE point: (3,) x px, y px, confidence}, those that are there. inferred: names among them that a
    rule placed. label: written beside the head. estimated: names among them that a detector gave without seeing them.
    """

    points: Mapping[str, np.ndarray]
    inferred: frozenset[str] = frozenset()
    label: str = ""
    estimated: frozenset[str] = frozenset()

    @property
    def unseen(self) -> frozenset[str]:
        """Names of the points that no detector saw."""
        return self.inferred | self.estimated

    @property
    def extent(self) -> float:
        """px: the larger side of the box around the points; 0 for none."""
        xy = np.array([point[:2] for point in self.points.values()]).reshape(-1, 2)
        return float(np.ptp(xy, axis=0).max()) if len(xy) else 0.0


def draw_people(image: np.ndarray, people: Sequence[DrawnPerson], caption: str = "") -> np.ndarray:
    """A new picture of the image's size with people and caption. Lines follow the size of each person."""
    picture = canvas.checked(image).copy()
    finest = max(image.shape[:2]) / 1200
    for person in people:
        unit = max(1.0, finest, person.extent / 330)
        _draw_body(picture, person, unit)
        _draw_spine(picture, person, unit)
        _draw_label(picture, person, max(12, round(0.016 * max(image.shape[:2]))), unit)
    return canvas.caption(picture, caption) if caption else picture


def with_legend(picture: np.ndarray, spine: Iterable[str]) -> np.ndarray:
    """The picture with what its signs mean below it. spine: of 'spine_seen', 'spine_estimated',
    'spine_inferred'."""
    return canvas.legend(picture, (*LEGEND, *spine))


def _draw_body(picture: np.ndarray, person: DrawnPerson, unit: float) -> None:
    there = {name: point for name, point in person.points.items() if name not in SPINE}
    lines = [(a, b, there[a], there[b]) for a, b in BONES if a in there and b in there]
    for _, _, start, end in lines:
        canvas.line(picture, np.array([start[:2], end[:2]]), DARK, unit * (_weight(start, end) * 2.2 + 1.4))
    for a, b, start, end in lines:
        colour = _colour(a) if a[0] == b[0] else WHITE
        canvas.line(picture, np.array([start[:2], end[:2]]), colour, unit * _weight(start, end) * 2.2)
    for name, point in there.items():
        if name in person.inferred:
            canvas.ring(picture, point[:2], unit * 3.0, bgr(ORANGE), unit)
        elif name in person.estimated:
            canvas.diamond(picture, point[:2], unit * 3.4, DARK, _colour(name), unit)
        else:
            canvas.disc(picture, point[:2], unit * 3.0 * _weight(point), _colour(name), DARK, unit * 0.8)


def _draw_spine(picture: np.ndarray, person: DrawnPerson, unit: float) -> None:
    """The curve through the points of the spine; dashed between points of which one was not seen."""
    chain = [name for name in SPINE if name in person.points]
    if not chain:
        return
    places = np.array([person.points[name][:2] for name in chain])
    span = 12
    curve = smooth_curve(places, span)
    spans = [curve[i * span : (i + 1) * span + 1] for i in range(len(chain) - 1)] if len(curve) > len(chain) else []
    for start, stop, kind in _runs([_kind(person, a, b) for a, b in pairwise(chain)]) if spans else ():
        line = np.concatenate(spans[start:stop])
        if kind == "seen":
            canvas.line(picture, line, DARK, unit * 4.4)
            canvas.line(picture, line, bgr(VERMILLION), unit * 2.6)
        else:
            canvas.line(picture, line, DARK, unit * 3.0)
            canvas.dashes(picture, line, bgr(ORANGE if kind == "inferred" else VERMILLION), unit * 2.0, unit * 5.0)
    for name, place in zip(chain, places, strict=True):
        if name in person.inferred:
            canvas.disc(picture, place, unit * 2.6, DARK)
            canvas.ring(picture, place, unit * 2.6, bgr(ORANGE), unit * 1.3)
        elif name in person.estimated:
            canvas.diamond(picture, place, unit * 3.4, DARK, bgr(VERMILLION), unit * 1.3)
        else:
            size = unit * 3.2 * _weight(person.points[name])
            canvas.disc(picture, place, size, bgr(VERMILLION), WHITE, unit * 0.8)


def _kind(person: DrawnPerson, a: str, b: str) -> str:
    """How the curve between two points is drawn: as the less known of them."""
    return "inferred" if {a, b} & person.inferred else "estimated" if {a, b} & person.estimated else "seen"


def _runs(kinds: Sequence[str]) -> list[tuple[int, int, str]]:
    """Stretches of equal values: first, one after the last, value."""
    edges = [0, *(i for i in range(1, len(kinds)) if kinds[i] != kinds[i - 1]), len(kinds)]
    return [(a, b, kinds[a]) for a, b in pairwise(edges) if a < b]


def _draw_label(picture: np.ndarray, person: DrawnPerson, size: int, unit: float) -> None:
    if not person.label or not person.points:
        return
    xy = np.array([point[:2] for point in person.points.values()])
    width, margin = canvas.tag_width(person.label, size), 0.8 * size
    x = np.clip(np.median(xy[:, 0]) - width / 2, 0, max(picture.shape[1] - width, 0))
    y = np.clip(xy[:, 1].min() - 14 * unit - margin, margin, picture.shape[0] - margin)
    canvas.tag(picture, np.array([x, y]), person.label, size, WHITE)


def _weight(*points: np.ndarray) -> float:
    """0.35…1 by the least confidence of the points."""
    return 0.35 + 0.65 * float(min(point[2] for point in points))


def _colour(name: str) -> tuple[int, ...]:
    side = {"L": "left", "R": "right"}.get(name[0])
    return WHITE if side is None else bgr(SIDES[side])
