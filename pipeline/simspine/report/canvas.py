"""Anti-aliased shapes at fractions of a pixel, text in a real typeface, grids of pictures. Images: uint8, BGR."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.report.style import GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, YELLOW, bgr

_SHIFT = 4  # OpenCV takes coordinates in 1/16 px
_LIMIT = 30000  # px: beyond this, coordinates in 1/16 px overflow OpenCV's drawing
BACKGROUND = (28, 24, 22)
DARK = (24, 20, 18)
SIDES = {"left": SKY, "right": PURPLE}  # of the body, where the two are told apart
# What a legend explains, in its order.
SYMBOLS = {
    "detected": "detected point", "skin": "marker on the skin", "estimated": "estimated, not seen",
    "inferred": "inferred, not detected",
    "swapped": "left/right exchanged", "pruned": "left out as inconsistent", "model": "body, reprojected",
    "spine": "spine, reprojected", "left": "left side", "right": "right side", "unsure": "small: not sure",
    "spine_seen": "spine, detected", "spine_estimated": "spine, estimated, not seen",
    "spine_inferred": "spine, inferred, not detected",
}  # fmt: skip


def _fixed(point) -> tuple[int, int]:
    x, y = (round(min(max(float(value), -_LIMIT), _LIMIT) * (1 << _SHIFT)) for value in point)
    return x, y


def line(image: np.ndarray, points: np.ndarray, colour: tuple[int, ...], width: float) -> None:
    """A polyline through (n, 2) points."""
    import cv2

    points = np.asarray(points, float).reshape(-1, 2)
    if len(points) > 1:
        chain = np.round(np.clip(points, -_LIMIT, _LIMIT) * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(image, [chain], False, colour, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def disc(image: np.ndarray, centre, radius: float, colour, edge=None, edge_width: float = 1.0) -> None:
    """A filled circle, with an edge around it."""
    import cv2

    if edge is not None:
        cv2.circle(image, _fixed(centre), round((radius + edge_width) * (1 << _SHIFT)), edge, -1, cv2.LINE_AA, _SHIFT)
    cv2.circle(image, _fixed(centre), round(radius * (1 << _SHIFT)), colour, -1, cv2.LINE_AA, _SHIFT)


def ring(image: np.ndarray, centre, radius: float, colour, width: float) -> None:
    """A hollow circle."""
    import cv2

    cv2.circle(image, _fixed(centre), round(radius * (1 << _SHIFT)), colour, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def square(image: np.ndarray, centre, half: float, colour, edge, edge_width: float) -> None:
    """A filled square standing on its side."""
    import cv2

    for reach, paint in ((half + edge_width, edge), (half, colour)):
        corners = np.asarray(centre, float) + reach * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        cv2.fillPoly(image, [np.array([_fixed(c) for c in corners], np.int32)], paint, cv2.LINE_AA, _SHIFT)


def diamond(image: np.ndarray, centre, half: float, colour, edge, edge_width: float) -> None:
    """A filled square standing on a corner."""
    import cv2

    for reach, paint in ((half + edge_width, edge), (half, colour)):
        corners = np.asarray(centre, float) + reach * np.array([[0, -1], [1, 0], [0, 1], [-1, 0]])
        cv2.fillPoly(image, [np.array([_fixed(c) for c in corners], np.int32)], paint, cv2.LINE_AA, _SHIFT)


def cross(image: np.ndarray, centre, half: float, colour, width: float) -> None:
    """A diagonal cross."""
    centre = np.asarray(centre, float)
    for direction in (np.array([1, 1]), np.array([1, -1])):
        line(image, np.array([centre - half * direction, centre + half * direction]), colour, width)


def dashes(image: np.ndarray, points: np.ndarray, colour: tuple[int, ...], width: float, dash: float) -> None:
    """A dashed polyline through (n, 2) points; dash: px, of a dash and of the gap after it."""
    points = np.asarray(points, float).reshape(-1, 2)
    if len(points) < 2:
        return
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    for start in np.arange(0.0, along[-1], 2 * dash):
        at = np.linspace(start, min(start + dash, along[-1]), 4)
        line(image, np.column_stack([np.interp(at, along, points[:, axis]) for axis in (0, 1)]), colour, width)


def checked(image: np.ndarray) -> np.ndarray:
    """The image, or an error where it is none."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(
            f"image has shape {image.shape} and type {image.dtype}, expected (height, width, 3) uint8, BGR."
        )
    return image


def blend(below: np.ndarray, above: np.ndarray, opacity: float) -> np.ndarray:
    """`above` over `below` at an opacity of 0…1."""
    import cv2

    return cv2.addWeighted(above, opacity, below, 1 - opacity, 0)


def blank(width: int, height: int) -> np.ndarray:
    """An empty dark picture."""
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def fit(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture scaled to fit (width, height), centred on dark."""
    import cv2

    width, height = size
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = (min(width, max(1, round(image.shape[1] * scale))), min(height, max(1, round(image.shape[0] * scale))))
    if inner != (image.shape[1], image.shape[0]):
        image = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    out = blank(width, height)
    x, y = (width - inner[0]) // 2, (height - inner[1]) // 2
    out[y : y + inner[1], x : x + inner[0]] = image
    return out


def part(image: np.ndarray, box: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    """A copy of the box (x0, y0, x1, y1) px of an image, scaled to (width, height); dark where it reaches beyond."""
    import cv2

    x0, y0, x1, y1 = box
    h, w = image.shape[:2]
    inside = image[max(y0, 0) : min(y1, h), max(x0, 0) : min(x1, w)]
    border = (max(-y0, 0), max(y1 - h, 0), max(-x0, 0), max(x1 - w, 0))
    picture = cv2.copyMakeBorder(inside, *border, cv2.BORDER_CONSTANT, value=DARK)
    if picture.shape[1::-1] == size:
        return picture
    shrinks = size[1] < picture.shape[0]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def grid(rows: Sequence[Sequence[np.ndarray]], gap: int) -> np.ndarray:
    """Pictures of one size side by side and one above the other, `gap` px apart."""
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    out = blank(columns * (width + gap) - gap, len(rows) * (height + gap) - gap)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            out[i * (height + gap) : i * (height + gap) + height, j * (width + gap) : j * (width + gap) + width] = cell
    return out


@lru_cache(maxsize=16)
def _font(size: int):
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)


def text_width(text: str, size: int) -> int:
    """Width of `text` in px."""
    return int(np.ceil(_font(size).getlength(text)))


def write(image: np.ndarray, position: tuple[float, float], text: str, size: int, colour=(255, 255, 255)) -> np.ndarray:
    """A copy with text whose left end and middle height lie at `position`."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    ImageDraw.Draw(picture).text(position, text, font=_font(size), fill=tuple(colour[::-1]), anchor="lm")
    return np.ascontiguousarray(np.asarray(picture)[..., ::-1])


def tag_width(text: str, size: int) -> int:
    """Width of the ground of `tag` in px; it is 1.4 times as high as its letters."""
    return text_width(text, size) + size // 2


def tag(picture: np.ndarray, at: np.ndarray, text: str, size: int, colour: tuple[int, ...]) -> None:
    """Text on a dark ground right of a place (2,) px, in the picture handed in; none where it would reach beyond."""
    x, y = np.round(at).astype(int)
    width, half = tag_width(text, size), round(0.7 * size)
    if x >= 0 and y >= half and x + width <= picture.shape[1] and y + half <= picture.shape[0]:
        ground = np.full((2 * half, width, 3), BACKGROUND, np.uint8)
        picture[y - half : y + half, x : x + width] = write(ground, (size // 4, half), text, size, colour)


def caption(image: np.ndarray, text: str) -> np.ndarray:
    """A line of text on a translucent dark bar at the upper edge; shortened with '…' to fit."""
    height, width = image.shape[:2]
    size = max(9, round(0.026 * height))
    bar = min(height, round(1.9 * size))
    text = " ".join(text.split())
    if text_width(text, size) > width - size:
        while text and text_width(text + "…", size) > width - size:
            text = text[:-1]
        text += "…"
    out = image.copy()
    ground = blend(out[:bar], np.full_like(out[:bar], BACKGROUND), 0.72)
    out[:bar] = write(ground, (size // 2, bar / 2), text, size)
    return out


def legend(image: np.ndarray, kinds: Collection[str]) -> np.ndarray:
    """The picture with a strip below it that holds symbols and their meaning, in as many lines as they need.

    kinds: of `SYMBOLS`, in any order.
    """
    if not kinds:
        return image
    width = image.shape[1]
    size = int(np.clip(round(0.0125 * width), 11, 20))
    placed, x, row = [], 0.6 * size, 0
    for kind, text in SYMBOLS.items():
        if kind not in kinds:
            continue
        need = 2.2 * size + text_width(text, size) + 1.4 * size
        if x > size and x + need > width:
            x, row = 0.6 * size, row + 1
        placed.append((kind, text, x, row))
        x += need
    out = np.vstack([image, blank(width, round(1.8 * size * (row + 1) + 0.3 * size))])
    for kind, text, x, row in placed:
        y = image.shape[0] + (1.05 + 1.8 * row) * size
        _symbol(out, kind, np.array([x + 0.9 * size, y]), size / 6)
        out = write(out, (x + 2.2 * size, y), text, size)
    return out


def _symbol(image: np.ndarray, kind: str, at: np.ndarray, unit: float) -> None:
    across = np.array([[-4.2, 0], [4.2, 0]]) * unit + at
    if kind in ("detected", "swapped", "pruned"):
        disc(image, at, 2.2 * unit, bgr(SKY))
    if kind == "skin":
        disc(image, at, 2.2 * unit, bgr(YELLOW))
    if kind == "estimated":
        diamond(image, at, 2.4 * unit, BACKGROUND, bgr(SKY), 0.9 * unit)
    if kind == "inferred":
        ring(image, at, 2.6 * unit, bgr(ORANGE), unit)
    if kind == "swapped":
        ring(image, at, 4.0 * unit, bgr(GREEN), unit)
    if kind == "pruned":
        cross(image, at, 3.0 * unit, bgr(PURPLE), 1.3 * unit)
    if kind == "model":
        line(image, across, (255, 255, 255), 1.1 * unit)
        square(image, at, 1.7 * unit, (255, 255, 255), BACKGROUND, 0.5 * unit)
    if kind in SIDES:
        line(image, across, DARK, 2.6 * unit)
        line(image, across, bgr(SIDES[kind]), 1.4 * unit)
        disc(image, at, 2.0 * unit, bgr(SIDES[kind]), DARK, 0.7 * unit)
    if kind in ("spine_inferred", "spine_estimated"):
        colour = bgr(ORANGE if kind == "spine_inferred" else VERMILLION)
        for end in across:
            line(image, np.array([end, at + 0.75 * (end - at)]), colour, unit)
        if kind == "spine_inferred":
            ring(image, at, 1.9 * unit, colour, 0.8 * unit)
        else:
            diamond(image, at, 1.9 * unit, BACKGROUND, colour, 0.8 * unit)
    if kind == "unsure":
        for step, radius in ((-3.8, 0.7), (-1.2, 1.2), (2.6, 1.9)):
            disc(image, at + np.array([step * unit, 0]), radius * unit, bgr(GREY), DARK, 0.5 * unit)
    if kind in ("spine", "spine_seen"):
        line(image, across, bgr(VERMILLION), 2.2 * unit)
        disc(image, at, 2.0 * unit, bgr(VERMILLION), (255, 255, 255), 0.7 * unit)
