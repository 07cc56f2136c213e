"""Drawing on images, and figures as markup for the page: SVG that follows the page's theme.

Shapes are anti-aliased at fractions of a pixel, text has a real typeface. Images: uint8, BGR.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simspine.core.geometry import distances_along
from simspine.report.figure_style import GREEN, INK_COLOUR, NAMED_COLOURS, ORANGE, VERMILLION, matplotlib_style, to_bgr

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_SUBPIXEL_BITS = 4  # OpenCV takes coordinates in 1/16 px
_MAX_COORDINATE_PX = 30000  # px: beyond this, coordinates in 1/16 px overflow OpenCV's drawing
WHITE, DARK = "#ffffff", "#14171a"  # background of pictures, and edges of lines and signs: visible on any image
_EDGE_WIDTH = 1.7  # width of a line with its edge, in widths of the line

_TURNS = 2 * np.pi * np.arange(24) / 24
_SHAPES = {
    "disc": np.column_stack([np.cos(_TURNS), np.sin(_TURNS)]),
    "diamond": np.array([[0, -1], [1, 0], [0, 1], [-1, 0]]),
    "square": np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]),
    "cross": np.array([[-1, -1], [1, 1], [0, 0], [1, -1], [-1, 1]]),
}
# Signs of a point by its origin or state: shapes from the bottom up, each with its radius and the width of its line
# (0: filled) in sizes of the point, and its colour (None: the point's own); all colours here are '#rrggbb'.
SIGNS: dict[str, tuple[tuple[str, float, float, str | None], ...]] = {
    "detected": (("disc", 1.3, 0, DARK), ("disc", 1.0, 0, None)),
    "spine": (("disc", 1.3, 0, WHITE), ("disc", 1.0, 0, None)),
    "estimated": (("diamond", 1.5, 0, None), ("diamond", 1.1, 0, DARK)),
    "inferred": (("disc", 1.7, 0, DARK), ("disc", 1.5, 0, ORANGE), ("disc", 1.0, 0, DARK)),
    "body": (("square", 1.1, 0, DARK), ("square", 0.8, 0, None)),
    "body_spine": (("square", 1.2, 0, WHITE), ("square", 0.8, 0, None)),
    "swapped": (("disc", 1.9, 0.8, DARK), ("disc", 1.9, 0.45, GREEN)),
    "pruned": (("cross", 1.5, 1.0, DARK), ("cross", 1.5, 0.55, VERMILLION)),
}

GRID_GAP_PX = 4  # px: between pictures


def _fixed_points(points) -> np.ndarray:
    """(n, 1, 2) points as integers in units of 1/16 px."""
    points = np.clip(np.asarray(points, float).reshape(-1, 1, 2), -_MAX_COORDINATE_PX, _MAX_COORDINATE_PX)
    return np.round(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _draw_path(image: np.ndarray, corners: np.ndarray, colour: str, width: float, closed: bool) -> None:
    """Lines through corners of `_fixed_points`, closed to a ring or not; a filled polygon where width is 0."""
    import cv2

    paint = to_bgr(colour)
    if width:
        cv2.polylines(image, [corners], closed, paint, max(1, round(width)), cv2.LINE_AA, _SUBPIXEL_BITS)
    else:
        cv2.fillPoly(image, [corners], paint, cv2.LINE_AA, _SUBPIXEL_BITS)


def draw_line(image: np.ndarray, points, colour: str, width: float, dash: float = 0.0) -> None:
    """Draw a polyline with a dark edge through (n, 2) points. dash: px, length of dashes and of gaps; 0: unbroken."""
    points = np.asarray(points, float).reshape(-1, 2)
    _draw_path(image, _fixed_points(points), DARK, max(_EDGE_WIDTH * width, width + 1), closed=False)
    parts = points[None]
    if dash:
        along = distances_along(points)
        places = np.arange(0, along[-1], 2 * dash)[:, None] + np.linspace(0, dash, 4)
        parts = np.stack([np.interp(places, along, axis) for axis in points.T], -1)
    for part in parts:
        _draw_path(image, _fixed_points(part), colour, width, closed=False)


def draw_sign(image: np.ndarray, at: np.ndarray, sign: str, size: float, colour: str = WHITE) -> None:
    """Draw one of `SIGNS` at a point (2,) px. size: px, about the radius of a disc."""
    for shape, reach, width, paint in SIGNS[sign]:
        corners = _fixed_points(at + reach * size * _SHAPES[shape])
        _draw_path(image, corners, paint or colour, width * size, closed=shape != "cross")


def blank_picture(width: int, height: int) -> np.ndarray:
    """An empty dark picture."""
    return np.full((height, width, 3), to_bgr(DARK), np.uint8)


def cut_out_part(image: np.ndarray, box: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    """A copy of the box (x0, y0, x1, y1) px of an image, scaled to (width, height); dark where it reaches beyond."""
    import cv2

    x0, y0, x1, y1 = box
    h, w = image.shape[:2]
    inside = image[max(y0, 0) : min(y1, h), max(x0, 0) : min(x1, w)]
    border = (max(-y0, 0), max(y1 - h, 0), max(-x0, 0), max(x1 - w, 0))
    picture = cv2.copyMakeBorder(inside, *border, cv2.BORDER_CONSTANT, value=to_bgr(DARK))
    if picture.shape[1::-1] == size:
        return picture
    while picture.shape[0] >= 2 * size[1]:  # halving is four times as fast as other factors
        picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    shrinks = size[1] < picture.shape[0]
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR if shrinks else cv2.INTER_CUBIC)


def pixels_in_part(xy: np.ndarray, box: Sequence[float], scale: float) -> np.ndarray:
    """Points (…, 2) px of an image as pixels of a part cut out of it; centres of pixels are whole numbers."""
    return scale * (xy + 0.5 - np.array(box[:2])) - 0.5


def picture_grid(cells: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Pictures in a grid of `columns`, whose cells fit the largest of them; a single picture unchanged."""
    if len(cells) == 1:
        return cells[0]
    tall, wide = (max(cell.shape[axis] for cell in cells) + GRID_GAP_PX for axis in (0, 1))
    out = blank_picture(wide * min(columns, len(cells)), tall * -(-len(cells) // columns))
    for number, cell in enumerate(cells):
        y, x = tall * (number // columns), wide * (number % columns)
        out[y : y + cell.shape[0], x : x + cell.shape[1]] = cell
    return out[:-GRID_GAP_PX, :-GRID_GAP_PX]


@lru_cache(maxsize=16)
def _font_of_size(size: int):
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)


def text_size(image: np.ndarray) -> int:
    """Font size, px, for a picture of this size."""
    return max(13, round(0.0125 * max(image.shape[:2])))


def text_width(text: str, size: int) -> int:
    """Width of `text` in px."""
    return int(np.ceil(_font_of_size(size).getlength(text)))


def draw_text(image: np.ndarray, position: tuple[float, float], text: str, size: int) -> np.ndarray:
    """A copy with text whose left end and middle height lie at `position`."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    ImageDraw.Draw(picture).text(position, text, font=_font_of_size(size), fill=WHITE, anchor="lm")
    return np.ascontiguousarray(np.asarray(picture)[..., ::-1])


def draw_tag(picture: np.ndarray, at, text: str) -> None:
    """Draw a line of text on a dark background into `picture`, its left end and middle height at a point (2,) px.

    The text is moved into the picture, and shortened with '…' where it is wider than the picture.
    """
    size, (height, width) = text_size(picture), picture.shape[:2]
    text = text[:width]  # a foreign name may have a million characters
    while len(text) > 1 and tag_width(text, size) > width:
        text = text.rstrip("…")[:-1] + "…"
    half = round(0.75 * size)
    x = round(np.clip(at[0], 0, max(width - tag_width(text, size), 0)))
    y = round(np.clip(at[1], half, max(height - half, half)))
    ground = picture[y - half : y + half, x : x + tag_width(text, size)]
    ground[:] = draw_text(np.full_like(ground, to_bgr(DARK)), (size // 4, half), text, size)


def tag_width(text: str, size: int) -> int:
    """Width of the background of `draw_tag`, px. size: of the font, px."""
    return text_width(text, size) + size // 2


def figure_svg(figure: "Figure", prefix: str) -> str:
    """An `<svg>` element to put into HTML.

    prefix: an id, put before every other one, so that several figures fit on one page. Ink becomes `currentColor`
    and the named colours become CSS variables, which the page brightens on dark backgrounds. Metadata and namespaces
    are removed, so that the element holds no address.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = BytesIO()
    with matplotlib_style():
        FigureCanvasSVG(figure)
        if engine := figure.get_layout_engine():  # laid out by hand, or saving would draw everything twice
            engine.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    # A style element would apply to the whole page: its two properties go to the root, whose children inherit them.
    text = re.sub(r"<style[^>]*>.*?</style>\s*", "", text, count=1, flags=re.DOTALL)
    head, body = text.split(">", 1)
    head = re.sub(r'\s(xmlns(:\w+)?|width|height|version)="[^"]*"', "", head)  # HTML knows the namespaces
    # Matplotlib names a clip by a hash of its rectangle, whose last digit may change from one drawing to the next.
    for number, name in enumerate(re.findall(r'<clipPath id="(\w+)"', body)):
        body = body.replace(f'"{name}"', f'"clip{number}"').replace(f"url(#{name})", f"url(#clip{number})")
    body = re.sub(r'(\bid=")', rf"\1{prefix}-", body)
    body = re.sub(r'(xlink:href="#|url\(#)', rf"\1{prefix}-", body)
    body = body.replace("xlink:href=", "href=")
    # Only inside attributes: a name that happens to spell a colour stays as it is.
    body = re.sub(r'(?:style|fill|stroke)="[^"]*"', lambda m: _theme_colours(m.group(0)), body)
    return f'{head} stroke-linejoin="round" stroke-linecap="butt">{body}'.strip()


def _theme_colours(attribute: str) -> str:
    attribute = attribute.replace(INK_COLOUR, "currentColor")
    if attribute.startswith("style"):  # var() is understood there, not in plain SVG attributes
        for name, colour in NAMED_COLOURS.items():
            attribute = attribute.replace(colour, f"var(--{name}, {colour})")
    return attribute
