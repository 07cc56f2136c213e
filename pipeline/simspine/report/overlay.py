"""People drawn on images, so that a person can check the numbers by eye: points by how they are known, limbs by their
side, the spine, the fitted body, and the legend that explains them.

Images are OpenCV's: (height, width, 3) uint8, BGR. Points are pixels of the whole image as the camera gave it,
distorted. `draw` is for the people seen by one camera; a window shows such pictures live.
"""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from operator import itemgetter

import numpy as np

from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS
from simspine.core.errors import InputError
from simspine.core.geometry import in_image, smooth_curve
from simspine.core.skeletons import is_skin_marker, is_tape_dot, skin_landmark
from simspine.io.image_streams import require_image
from simspine.reconstruction.solved_trial import body_edges
from simspine.report import canvas
from simspine.report.figure_style import LILAC, MINT, NAMED_COLOURS, ORANGE, POINT_COLOURS, SKY, VERMILLION, YELLOW
from simspine.vision.lifting import FramedPose, PeoplePlacer
from simspine.vision.one_camera import FILE_SPINE_INDICES, DetectedPerson

SIDE_COLOURS = {"L": YELLOW, "R": LILAC}  # by the first letter of a point's name
_LIMBS = (
    ("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Hip", "Knee"), ("Knee", "Ankle"), ("Ankle", "Heel"),
    ("Heel", "BigToe"), ("Ankle", "BigToe"), ("Shoulder", "Hip"), ("Ear", "Eye"),
)  # fmt: skip
POINT_LINES = (  # between detected points; lines of the fitted body are `body_edges`
    *((side + a, side + b) for side in SIDE_COLOURS for a, b in _LIMBS),
    ("LShoulder", "RShoulder"), ("LHip", "RHip"), ("LEye", "Nose"), ("REye", "Nose"),
)  # fmt: skip
UNSURE_BELOW = 0.5  # confidence of points that the legend calls small
PERSON_BOX_MARGIN = 0.1  # margin around a person, as a share of their extent
SHEET_ASPECT = 3 / 4  # width / height of a picture cut to the person: somebody who stands, with room for the arms
SHEET_HEIGHT_PX = 560  # of a picture among others


def point_colour(name: str, kind: str = "detected") -> str:
    """'#rrggbb' of a point by its kind, as everywhere; blue and green are lighter on images."""
    colour = POINT_COLOURS["skin" if is_skin_marker([name]) else kind]
    return {"blue": SKY, "green": MINT}.get(colour, NAMED_COLOURS[colour])


def line_colour(a: str, b: str) -> str:
    """'#rrggbb' of a line between two points: by their side, or white between sides."""
    return SIDE_COLOURS.get(a[0], canvas.WHITE) if a[0] == b[0] else canvas.WHITE


def body_lines(names: Sequence[str]) -> tuple[list[tuple[int, int]], list[int]]:
    """Indices of points: pairs of the body that a line joins, and the spine from below upwards."""
    spine = [names.index(name) for name in SPINE_CHAIN_MARKERS if name in names]
    pairs = [(names.index(a), names.index(b)) for a, b in body_edges() if a in names and b in names]
    return [pair for pair in pairs if not set(pair) <= set(spine)], spine


@dataclass(frozen=True)
class PersonLayer:
    """Points of one person to draw on one image. Points with NaN are skipped.

    points: {SIMSPINE name: (x, y)} px as detected. confidence: {name: 0…1}, 1 where left out. estimated: names of
    points that a detector gave without seeing them; inferred: placed by a rule; pruned: rejected by triangulation;
    swapped: with left and right exchanged. body: {name: (x, y)} px of the fitted body; lines then join these instead of
    `points`. label: written above the head.
    """

    points: Mapping[str, np.ndarray] = field(default_factory=dict)
    confidence: Mapping[str, float] = field(default_factory=dict)
    estimated: AbstractSet[str] = frozenset()
    inferred: AbstractSet[str] = frozenset()
    pruned: AbstractSet[str] = frozenset()
    swapped: AbstractSet[str] = frozenset()
    body: Mapping[str, np.ndarray] = field(default_factory=dict)
    label: str = ""

    def __post_init__(self):
        for key in ("points", "body"):
            places = {name: np.asarray(place, float) for name, place in getattr(self, key).items()}
            object.__setattr__(self, key, {name: xy for name, xy in places.items() if np.isfinite(xy).all()})

    @property
    def xy(self) -> np.ndarray:
        """(n, 2) px: points of the fitted body, else the points that were not pruned."""
        kept = [place for name, place in self.points.items() if name not in self.pruned]
        return np.reshape(list(self.body.values()) or kept, (-1, 2))

    @property
    def signs(self) -> set[str]:
        """Keys of the `LEGEND` for all signs in the layer."""
        skin, spine = set(is_skin_marker(self.points)), set(SPINE_CHAIN_MARKERS)
        seen = self.points.keys() - {*skin, *self.estimated, *self.inferred}
        limbs = (seen | self.body.keys()) - spine
        held = {
            "left": [name for name in limbs if name[0] == "L"], "right": [name for name in limbs if name[0] == "R"],
            "detected": seen, "spine": seen & spine, "skin": skin,
            "unsure": [name for name in seen if self.confidence.get(name, 1.0) < UNSURE_BELOW],
            "body": self.body.keys() - spine, "body_spine": self.body.keys() & spine,
        }  # fmt: skip
        held |= {key: self.points.keys() & getattr(self, key) for key in ("estimated", "inferred", "swapped", "pruned")}
        return {key for key, names in held.items() if names}

    def moved(self, box: Sequence[float], scale: float) -> "PersonLayer":
        """The layer in pixels of a scaled part of the image that begins at `box` (x0, y0, …) px."""
        points, body = (
            {name: canvas.pixels_in_part(place, box, scale) for name, place in places.items()}
            for places in (self.points, self.body)
        )
        return replace(self, points=points, body=body)

    def known_as(self, *names: str) -> str:
        """Origin of the least certain of some points: 'detected', 'estimated' or 'inferred'."""
        kinds = (kind for kind in ("inferred", "estimated") if not getattr(self, kind).isdisjoint(names))
        return next(kinds, "detected")

    def weight(self, *names: str) -> float:
        """0.35…1, by the lowest confidence of those of the points that were detected."""
        seen = [self.confidence.get(name, 1.0) for name in names if self.known_as(name) == "detected"]
        return 0.35 + 0.65 * min(seen, default=1.0)


def person_box(xy: np.ndarray, size: tuple[int, int], aspect: float | None = None) -> tuple[int, ...]:
    """(x0, y0, x1, y1) px around a person, which may reach beyond the image of `size` (w, h).

    xy: (…, 2) px, points in one or many images; points outside the image do not count, and the box holds nearly all
    others. aspect: width / height; None: by the points. Without points, the box is the whole image.
    """
    inside = xy[in_image(xy, size)]
    if not len(inside):
        inside = np.array([[0, 0], size])
    low, high = np.percentile(inside, [0.5, 99.5], axis=0)
    centre, extent = (low + high) / 2, (high - low) * (1 + 2 * PERSON_BOX_MARGIN)
    if aspect is None:
        aspect = float(np.clip(extent[0] / max(extent[1], 1), SHEET_ASPECT, 16 / 9))
    height = max(extent[1], extent[0] / aspect, 32.0)
    half = np.array([height * aspect, height]) / 2
    # Shift back into the image where there is room for it.
    centre = np.where(half * 2 <= size, np.clip(centre, half, np.asarray(size) - half), centre)
    x0, y0 = np.floor(centre - half).astype(int)
    return int(x0), int(y0), int(x0 + round(height * aspect)), int(y0 + round(height))


def draw_layers(
    image: np.ndarray,
    layers: Sequence[PersonLayer],
    caption: str = "",
    box: tuple[int, ...] | None = None,
    height: int | None = None,
) -> np.ndarray:
    """A new picture of an image, or of a box (x0, y0, x1, y1) px of it, with people and caption.

    Widths of lines follow the size of each person. height: of the picture, px; None: that of the box.
    """
    size = require_image(image).shape[1::-1]
    x0, y0, x1, y1 = box or (0, 0, *size)
    height = height or y1 - y0
    scale = height / (y1 - y0)
    picture = canvas.cut_out_part(image, (x0, y0, x1, y1), (max(1, round((x1 - x0) * scale)), height))
    longest = max(picture.shape[:2])
    for layer in (layer.moved((x0, y0), scale) for layer in layers):
        extent = np.ptp(layer.xy, axis=0).max() if len(layer.xy) else 0.0
        unit = max(1.0, longest / 1200, min(extent, longest) / 330)
        _draw_person(picture, layer, unit)
        _draw_names(picture, layer, unit)
    if caption:
        canvas.draw_tag(picture, (0, 0), caption)
    return picture


def _draw_person(picture: np.ndarray, layer: PersonLayer, unit: float) -> None:
    """Draw lines, then the signs of the body and of the points. unit: px, unit of widths and sizes."""
    joined = PersonLayer(layer.body) if layer.body else layer
    for a, b in body_edges() if layer.body else POINT_LINES:
        if {a, b} <= joined.points.keys() and not {a, b} <= set(SPINE_CHAIN_MARKERS):
            ends, width = [joined.points[a], joined.points[b]], (1.5 if layer.body else 2.2) * joined.weight(a, b)
            canvas.draw_line(picture, ends, colour=line_colour(a, b), width=width * unit)
    for name in (layer.body.keys() & layer.points.keys()).difference(layer.pruned):
        canvas.draw_line(picture, [layer.points[name], layer.body[name]], canvas.WHITE, 0.6 * unit)
    _draw_spine(picture, joined, unit)
    for name, place in layer.body.items():
        sign, colour = ("body_spine", VERMILLION) if name in SPINE_CHAIN_MARKERS else ("body", canvas.WHITE)
        canvas.draw_sign(picture, place, sign, size=2.4 * unit, colour=colour)
    for name, place in layer.points.items():
        size, colour = 2.6 * unit, point_colour(name, layer.known_as(name))
        sign = "spine" if layer.known_as(name) == "detected" and name in SPINE_CHAIN_MARKERS else layer.known_as(name)
        canvas.draw_sign(picture, place, sign, size=size * layer.weight(name), colour=colour)
        for mark in ("swapped", "pruned"):
            if name in getattr(layer, mark):
                canvas.draw_sign(picture, place, mark, size=size)


def _draw_spine(picture: np.ndarray, layer: PersonLayer, unit: float) -> None:
    """Draw the curve through the points of the spine, dashed next to points that were not seen."""
    chain = [name for name in SPINE_CHAIN_MARKERS if name in layer.points]
    curve = smooth_curve(np.reshape([layer.points[name] for name in chain], (-1, 2)))
    step = max(1, (len(curve) - 1) // max(1, len(chain) - 1))
    parts = [curve[start : start + step + 1] for start in range(0, len(curve) - 1, step)]
    known = [layer.known_as(*pair) for pair in pairwise(chain)]
    for kind, stretch in groupby(zip(known, parts, strict=False), key=itemgetter(0)):
        line, seen = np.concatenate([part for _, part in stretch]), kind == "detected"
        colour = ORANGE if kind == "inferred" else VERMILLION
        width, dash = (2.6, 0.0) if seen else (2.0, 5.0)
        canvas.draw_line(picture, line, colour=colour, width=width * unit, dash=dash * unit)


def _draw_names(picture: np.ndarray, layer: PersonLayer, unit: float) -> None:
    """Write the person's label above the head, and the names of skin markers; of a tape, only those of its ends.

    From above downwards: a name that would cover one above it is moved below that.
    """
    skin, size = is_skin_marker(layer.points), canvas.text_size(picture)
    shown, written = [name for name in skin if name not in is_tape_dot(skin)[1:-1]], list[tuple[float, float, float]]()
    for name in sorted(shown, key=lambda name: layer.points[name][1]):
        text, (x, y) = skin_landmark(name), layer.points[name]
        width, away = canvas.tag_width(text, size), 9 * unit
        x += away if x + away + width <= picture.shape[1] else -away - width
        y = max([y, *(below for left, right, below in written if left < x + width and x < right)])
        canvas.draw_tag(picture, (x, y), text)
        written.append((x, x + width, y + 1.6 * size))
    if layer.label and len(layer.xy):
        middle = np.median(layer.xy[:, 0]) - canvas.tag_width(layer.label, size) / 2
        canvas.draw_tag(picture, (middle, layer.xy[:, 1].min() - 14 * unit - 0.8 * size), layer.label)


def _sample(*names: str) -> dict[str, np.ndarray]:
    """Points for a sample of the legend: one in the middle, or several in a row, in units of the drawing."""
    across = np.linspace(-6.0, 6.0, len(names)) if len(names) > 1 else np.zeros(1)
    return {name: np.array([x, 0.0]) for name, x in zip(names, across, strict=True)}


# Meaning of each sign, and a sample, which is drawn in the same way as people.
LEGEND = {
    "left": ("left side", PersonLayer(_sample("LElbow", "LWrist"))),
    "right": ("right side", PersonLayer(_sample("RElbow", "RWrist"))),
    "spine": ("spine, detected", PersonLayer(_sample("Hip", "Neck"))),
    "detected": ("by the detector", PersonLayer(_sample("Nose"))),
    "skin": ("marker on the skin", PersonLayer(_sample("C7_skin"))),
    "estimated": ("estimated, not seen", PersonLayer(_sample("Hip"), estimated={"Hip"})),
    "inferred": ("inferred, not detected", PersonLayer(_sample("Hip"), inferred={"Hip"})),
    "unsure": ("small: not sure", PersonLayer(_sample("none", "half", "full"), {"none": 0.0, "half": 0.5})),
    "swapped": ("left/right exchanged", PersonLayer(_sample("LWrist"), swapped={"LWrist"})),
    "pruned": ("rejected as inconsistent", PersonLayer(_sample("LWrist"), pruned={"LWrist"})),
    "body": ("body, fitted", PersonLayer(body=_sample("Head", "Nose"))),
    "body_spine": ("spine, fitted", PersonLayer(body=_sample("Hip", "Neck"))),
}


def legend_below(picture: np.ndarray, signs: Collection[str]) -> np.ndarray:
    """A legend as wide as a picture, in as many lines as needed. signs: keys of `LEGEND`."""
    size, width = canvas.text_size(picture), picture.shape[1]
    lines, x = [picture[:0]], width
    for text, sample in (entry for sign, entry in LEGEND.items() if sign in signs):
        entry = canvas.blank_picture(min(width, round(4.2 * size) + canvas.text_width(text, size)), 2 * size)
        _draw_person(entry, sample.moved((-11.5, -7.5), size / 8), size / 8)
        entry = canvas.draw_text(entry, (3 * size, size), text, size)
        if x + entry.shape[1] > width:
            lines.append(canvas.blank_picture(width, 2 * size))
            x = 0
        lines[-1][:, x : x + entry.shape[1]] = entry
        x += entry.shape[1]
    return np.vstack(lines)


def overlay_sheet(
    rows: Sequence[Sequence[tuple[np.ndarray, PersonLayer] | None]], cameras: Sequence[str], labels: Sequence[str]
) -> np.ndarray:
    """One picture with a row for each sample frame and a column for each camera, and one legend below.

    rows: (image, layer) per camera, None where a camera has no image. labels: one text per row, such as '0.83 s'.
    """
    missing = canvas.blank_picture(round(SHEET_HEIGHT_PX * SHEET_ASPECT), SHEET_HEIGHT_PX)
    cells: list[np.ndarray] = []
    signs: set[str] = set()
    for row, label in zip(rows, labels, strict=True):
        for cell, camera in zip(row, cameras, strict=True):
            if cell is None:
                cells.append(draw_layers(missing, (), f"{camera} · {label} · no image"))
                continue
            image, layer = cell
            box = person_box(layer.xy, image.shape[1::-1], SHEET_ASPECT)
            cells.append(draw_layers(image, [layer], f"{camera} · {label}", box=box, height=SHEET_HEIGHT_PX))
            signs |= layer.signs
    sheet = canvas.picture_grid(cells, len(cameras))
    return np.vstack([sheet, legend_below(sheet, signs)])


def sample_frames(frames: int, count: int = 3, avoid: np.ndarray | None = None) -> tuple[int, ...]:
    """`count` frames spread evenly over a trial, each moved to the nearest frame not in `avoid` (frames,) bool."""
    if frames <= 0:
        return ()
    wanted = np.unique(np.round((np.arange(count) + 0.5) / count * frames - 0.5).astype(int))
    free = np.arange(frames) if avoid is None or np.all(avoid) else np.flatnonzero(~np.asarray(avoid, bool))
    return tuple(sorted({int(free[np.abs(free - frame).argmin()]) for frame in wanted}))


def draw(
    image: np.ndarray, people: Sequence[DetectedPerson], spine_only: bool = False, caption: str = ""
) -> np.ndarray:
    """Draw people on an image: sides in colours, the spine as a curve, points that were not seen hollow and dashed.

    Parameters
    ----------
    image : (height, width, 3) array of uint8
        BGR, as OpenCV reads it.
    people : sequence of DetectedPerson
        As from `detect_image`.
    spine_only : bool
        Draw only the nine points along the spine.
    caption : str
        Written into a corner.

    Returns
    -------
    array
        (height, width, 3) uint8, BGR: a new picture; the image is not changed.

    Raises
    ------
    InputError
        If `image` is not such an array.

    Examples
    --------
    >>> frame = next(ss.detect_video("person.avi"))
    >>> ss.draw(frame.image, frame.people).shape == frame.image.shape
    True
    """
    return draw_layers(image, [_layer_of_person(person, spine_only) for person in people], caption)


def _layer_of_person(person: DetectedPerson, spine_only: bool) -> PersonLayer:
    chosen = FILE_SPINE_INDICES if spine_only else range(len(person.names))
    return PersonLayer(
        points={person.names[i]: person.points[i] for i in chosen},
        confidence=dict(zip(person.names, person.scores, strict=True)),
        estimated={person.names[i] for i in np.flatnonzero(person.estimated)},
        inferred={person.names[i] for i in np.flatnonzero(person.inferred)},
        label=f"person {person.number} · {person.mean_confidence:.2f}",
    )


WORLD_PANEL_SHARE = 1 / 3  # of the picture's width, as SpinePose's panel
MIN_WORLD_PANEL_PX = 320  # width, as SpinePose's
WORLD_PANEL_REACH_M = np.array([0.6, 1.2])  # m from the panel's middle, 1 m above the floor: room for an adult


def draw_with_world(
    image: np.ndarray,
    people: Sequence[DetectedPerson],
    placer: PeoplePlacer | None,
    spine_only: bool = False,
    caption: str = "",
) -> np.ndarray:
    """As `draw`; right of it the people as `placer` lifts them, on the floor, as a level camera shows them from far."""
    picture = draw(image, people, spine_only, caption)
    if placer is None:
        return picture
    placed = placer.place_at_once(people, (image.shape[1], image.shape[0]))
    shown = [one for one in people if one.number in placed and placed[one.number].placed is not None]
    width = max(MIN_WORLD_PANEL_PX, round(WORLD_PANEL_SHARE * picture.shape[1]))
    panel = canvas.blank_picture(width, picture.shape[0])
    if shown:
        panel = _draw_in_world(panel, shown, placed, spine_only)
    return np.hstack([picture, panel])


def _draw_in_world(
    panel: np.ndarray, shown: Sequence[DetectedPerson], placed: Mapping[int, FramedPose], spine_only: bool
) -> np.ndarray:
    """The panel with the floor and people who were placed, in one scale."""
    size = np.array([panel.shape[1], panel.shape[0]])
    rows = np.array([placed[one.number].rows_y_up(one.names, np.ones(len(one.names))) for one in shown])
    right_up = np.where(rows[..., 3:] > 0, rows[..., :2], np.nan)
    middle = np.array([np.nanmean(right_up[..., 0]), 1.0])
    reach = np.maximum(WORLD_PANEL_REACH_M, 1.1 * np.nanmax(abs(right_up - middle), (0, 1)))
    scale = float(min(size / (2 * reach)))
    floor = size[1] / 2 + scale * middle[1]
    canvas.draw_line(panel, [[0, floor], [size[0], floor]], canvas.WHITE, 1.0)
    layers = []
    for one, places in zip(shown, size / 2 + scale * (right_up - middle) * [1, -1], strict=True):
        lifted = replace(one, points=places, estimated=np.full(len(places), True), inferred=np.full(len(places), False))
        layers.append(replace(_layer_of_person(lifted, spine_only), label=f"person {one.number}"))
    return draw_layers(panel, layers, f"lifted; {size[0] / scale:.1f} m wide")


QUIT_KEYS = (27, ord("q"))  # escape, q


class LiveWindow:
    """An open window. `InputError` where the installed OpenCV has no windows, or there is no screen."""

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
        """Show a picture; False once the window was closed, or q or escape was pressed."""
        import cv2

        cv2.imshow(self._name, picture)
        pressed = cv2.waitKey(1) & 0xFF
        return pressed not in QUIT_KEYS and cv2.getWindowProperty(self._name, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Close the window."""
        import cv2

        cv2.destroyWindow(self._name)
