"""Drawing on images, and figures as markup for the page: SVG that follows the page's theme.

Shapes are anti-aliased at fractions of a pixel, text has a real typeface. Images: uint8, BGR.
"""

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simspine.core.errors import InputError
from simspine.core.geometry import distances_along
from simspine.report.figure_style import (
    GREEN,
    GREY,
    INK_COLOUR,
    KHAKI,
    LILAC,
    NAMED_COLOURS,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
    matplotlib_style,
    to_bgr,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_SUBPIXEL_BITS = 4  # OpenCV takes coordinates in 1/16 px
_MAX_COORDINATE_PX = 30000  # px: beyond this, coordinates in 1/16 px overflow OpenCV's drawing
BACKGROUND = (28, 24, 22)
DARK_GROUND = (24, 20, 18)
SIDE_COLOURS = {"left": KHAKI, "right": LILAC}  # colours of the two sides of the body
# What a legend explains, in its order.
LEGEND_SYMBOLS = {
    "detected": "detected point", "skin": "marker on the skin", "estimated": "estimated, not seen",
    "inferred": "inferred, not detected",
    "swapped": "left/right exchanged", "pruned": "rejected as inconsistent", "model": "body, reprojected",
    "spine": "spine, reprojected", "left": "left side", "right": "right side", "unsure": "small: not sure",
    "spine_seen": "spine, detected", "spine_estimated": "spine, estimated, not seen",
    "spine_inferred": "spine, inferred, not detected",
}  # fmt: skip


def _fixed_points(points) -> np.ndarray:
    """(n, 1, 2) whole numbers of 1/16 px."""
    points = np.clip(np.asarray(points, float).reshape(-1, 1, 2), -_MAX_COORDINATE_PX, _MAX_COORDINATE_PX)
    return np.round(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def draw_line(image: np.ndarray, points: np.ndarray, colour: tuple[int, ...], width: float) -> None:
    """A polyline through (n, 2) points."""
    import cv2

    chain = _fixed_points(points)
    if len(chain) > 1:
        cv2.polylines(image, [chain], False, colour, max(1, round(width)), cv2.LINE_AA, _SUBPIXEL_BITS)


def draw_disc(image: np.ndarray, centre, radius: float, colour, edge=None, edge_width: float = 1.0) -> None:
    """A filled circle, with an edge around it."""
    if edge is not None:
        _draw_circle(image, centre, radius + edge_width, edge, width=-1)
    _draw_circle(image, centre, radius, colour, width=-1)


def draw_ring(image: np.ndarray, centre, radius: float, colour, width: float) -> None:
    """A hollow circle."""
    _draw_circle(image, centre, radius, colour, width=max(1, round(width)))


def _draw_circle(image: np.ndarray, centre, radius: float, colour, width: int) -> None:
    """width: px; −1 fills it."""
    import cv2

    at, size = tuple(_fixed_points(centre).ravel().tolist()), round(radius * (1 << _SUBPIXEL_BITS))
    cv2.circle(image, at, size, colour, width, cv2.LINE_AA, _SUBPIXEL_BITS)


def draw_square(image: np.ndarray, centre, half: float, colour, edge, edge_width: float, tilted: bool = False) -> None:
    """A filled square standing on its side, or tilted on a corner."""
    import cv2

    corners = np.array([[0, -1], [1, 0], [0, 1], [-1, 0]] if tilted else [[-1, -1], [1, -1], [1, 1], [-1, 1]])
    for reach, paint in ((half + edge_width, edge), (half, colour)):
        cv2.fillPoly(image, [_fixed_points(centre + reach * corners)], paint, cv2.LINE_AA, _SUBPIXEL_BITS)


def draw_point(image: np.ndarray, at, size: float, colour, how: str = "", edge=DARK_GROUND) -> None:
    """A point as it became known: a disc, of 'estimated' a hollow diamond, of 'inferred' an orange ring. size: px."""
    if how == "inferred":
        draw_ring(image, at, 1.2 * size, colour=DARK_GROUND, width=0.6 * size)
        draw_ring(image, at, 1.2 * size, colour=to_bgr(ORANGE), width=0.35 * size)
    elif how == "estimated":
        draw_square(image, at, 1.1 * size, DARK_GROUND, edge=colour, edge_width=0.35 * size, tilted=True)
    else:
        draw_disc(image, at, size, colour=colour, edge=edge, edge_width=0.3 * size)


def draw_cross(image: np.ndarray, centre, half: float, colour, width: float) -> None:
    """A diagonal cross."""
    centre = np.asarray(centre, float)
    for direction in (np.array([1, 1]), np.array([1, -1])):
        draw_line(image, np.array([centre - half * direction, centre + half * direction]), colour, width)


def draw_dashes(image: np.ndarray, points: np.ndarray, colour: tuple[int, ...], width: float, dash: float) -> None:
    """A dashed polyline through (n, 2) points; dash: px, of a dash and of the gap after it."""
    points = np.asarray(points, float).reshape(-1, 2)
    if len(points) < 2:
        return
    along = distances_along(points)
    for start in np.arange(0.0, along[-1], 2 * dash):
        at = np.linspace(start, min(start + dash, along[-1]), 4)
        draw_line(image, np.column_stack([np.interp(at, along, points[:, axis]) for axis in (0, 1)]), colour, width)


def blend_images(below: np.ndarray, above: np.ndarray, opacity: float) -> np.ndarray:
    """`above` over `below` at an opacity of 0…1."""
    import cv2

    return cv2.addWeighted(above, opacity, below, 1 - opacity, 0)


def blank_picture(width: int, height: int) -> np.ndarray:
    """An empty dark picture."""
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def fit_into(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture scaled to fit (width, height), centred on dark."""
    import cv2

    width, height = size
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = (min(width, max(1, round(image.shape[1] * scale))), min(height, max(1, round(image.shape[0] * scale))))
    if inner != (image.shape[1], image.shape[0]):
        image = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    out = blank_picture(width, height)
    x, y = (width - inner[0]) // 2, (height - inner[1]) // 2
    out[y : y + inner[1], x : x + inner[0]] = image
    return out


def cut_out_part(image: np.ndarray, box: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    """A copy of the box (x0, y0, x1, y1) px of an image, scaled to (width, height); dark where it reaches beyond."""
    import cv2

    x0, y0, x1, y1 = box
    h, w = image.shape[:2]
    inside = image[max(y0, 0) : min(y1, h), max(x0, 0) : min(x1, w)]
    border = (max(-y0, 0), max(y1 - h, 0), max(-x0, 0), max(x1 - w, 0))
    picture = cv2.copyMakeBorder(inside, *border, cv2.BORDER_CONSTANT, value=DARK_GROUND)
    if picture.shape[1::-1] == size:
        return picture
    while picture.shape[0] >= 2 * size[1]:  # halves are four times as fast as other shares of a picture
        picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    shrinks = size[1] < picture.shape[0]
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR if shrinks else cv2.INTER_CUBIC)


def picture_grid(rows: Sequence[Sequence[np.ndarray]], gap: int) -> np.ndarray:
    """Pictures of one size side by side and one above the other, `gap` px apart."""
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    out = blank_picture(columns * (width + gap) - gap, len(rows) * (height + gap) - gap)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            out[i * (height + gap) : i * (height + gap) + height, j * (width + gap) : j * (width + gap) + width] = cell
    return out


@lru_cache(maxsize=16)
def _font_of_size(size: int):
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)


def text_width(text: str, size: int) -> int:
    """Width of `text` in px."""
    return int(np.ceil(_font_of_size(size).getlength(text)))


def draw_text(
    image: np.ndarray, position: tuple[float, float], text: str, size: int, colour=(255, 255, 255)
) -> np.ndarray:
    """A copy with text whose left end and middle height lie at `position`."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    ImageDraw.Draw(picture).text(position, text, font=_font_of_size(size), fill=tuple(colour[::-1]), anchor="lm")
    return np.ascontiguousarray(np.asarray(picture)[..., ::-1])


def tag_width(text: str, size: int) -> int:
    """Width of the ground of `draw_tag` in px; it is 1.4 times as high as its letters."""
    return text_width(text, size) + size // 2


def draw_tag(picture: np.ndarray, at: np.ndarray, text: str, size: int, colour: tuple[int, ...]) -> None:
    """Text on a dark ground right of a place (2,) px, in the picture handed in; none where it would reach beyond."""
    x, y = np.round(at).astype(int)
    width, half = tag_width(text, size), round(0.7 * size)
    if x >= 0 and y >= half and x + width <= picture.shape[1] and y + half <= picture.shape[0]:
        ground = np.full((2 * half, width, 3), BACKGROUND, np.uint8)
        picture[y - half : y + half, x : x + width] = draw_text(
            ground, (size // 4, half), text, size=size, colour=colour
        )


def add_caption(image: np.ndarray, text: str) -> np.ndarray:
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
    ground = blend_images(out[:bar], np.full_like(out[:bar], BACKGROUND), 0.72)
    out[:bar] = draw_text(ground, (size // 2, bar / 2), text, size)
    return out


def add_legend(image: np.ndarray, kinds: Collection[str]) -> np.ndarray:
    """The picture with a strip below it that holds symbols and their meaning, in as many lines as they need.

    kinds: of `LEGEND_SYMBOLS`, in any order.
    """
    if not kinds:
        return image
    width = image.shape[1]
    size = int(np.clip(round(0.0125 * width), 11, 20))
    placed, x, row = [], 0.6 * size, 0
    for kind, text in LEGEND_SYMBOLS.items():
        if kind not in kinds:
            continue
        need = 2.2 * size + text_width(text, size) + 1.4 * size
        if x > size and x + need > width:
            x, row = 0.6 * size, row + 1
        placed.append((kind, text, x, row))
        x += need
    out = np.vstack([image, blank_picture(width, round(1.8 * size * (row + 1) + 0.3 * size))])
    for kind, text, x, row in placed:
        y = image.shape[0] + (1.05 + 1.8 * row) * size
        _draw_symbol(out, kind, np.array([x + 0.9 * size, y]), size / 6)
        out = draw_text(out, (x + 2.2 * size, y), text, size)
    return out


def _draw_symbol(image: np.ndarray, kind: str, at: np.ndarray, unit: float) -> None:
    across = np.array([[-4.2, 0], [4.2, 0]]) * unit + at
    if kind in ("detected", "skin", "estimated", "inferred", "swapped", "pruned"):
        draw_point(image, at, 2.2 * unit, to_bgr(YELLOW if kind == "skin" else SKY), how=kind)
    if kind == "swapped":
        draw_ring(image, at, 4.0 * unit, colour=to_bgr(GREEN), width=unit)
    if kind == "pruned":
        draw_cross(image, at, 3.0 * unit, colour=to_bgr(PURPLE), width=1.3 * unit)
    if kind == "model":
        draw_line(image, across, (255, 255, 255), 1.1 * unit)
        draw_square(image, at, 1.7 * unit, colour=(255, 255, 255), edge=BACKGROUND, edge_width=0.5 * unit)
    if kind in SIDE_COLOURS:
        draw_line(image, across, DARK_GROUND, 2.6 * unit)
        draw_line(image, across, to_bgr(SIDE_COLOURS[kind]), 1.4 * unit)
        draw_point(image, at, 2.0 * unit, to_bgr(SIDE_COLOURS[kind]))
    if kind in ("spine_inferred", "spine_estimated"):
        colour = to_bgr(ORANGE if kind == "spine_inferred" else VERMILLION)
        for end in across:
            draw_line(image, np.array([end, at + 0.75 * (end - at)]), colour, unit)
        draw_point(image, at, 1.7 * unit, colour, how=kind.removeprefix("spine_"))
    if kind == "unsure":
        for step, radius in ((-3.8, 0.7), (-1.2, 1.2), (2.6, 1.9)):
            place = at + np.array([step * unit, 0])
            draw_point(image, place, radius * unit, to_bgr(GREY))
    if kind in ("spine", "spine_seen"):
        draw_line(image, across, to_bgr(VERMILLION), 2.2 * unit)
        draw_point(image, at, 2.0 * unit, to_bgr(VERMILLION), edge=(255, 255, 255))


def figure_svg(figure: "Figure", prefix: str) -> str:
    """An `<svg>` element to put into HTML.

    prefix: put before every id, so that several figures fit on one page without clashes. Ink becomes `currentColor`
    and the named colours CSS variables, so that the page can brighten them on dark; metadata and namespaces go, so the
    element names no address.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", prefix):
        raise InputError(f"figure prefix {prefix!r} is not an id; use letters, digits, '-' and '_', a letter first.")
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
    # A style element would hold for the whole page: its two properties go to the root, from where they are inherited.
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
