"""Figures and images as bytes for the page: scalable SVG that follows the page's theme, PNG, WebP."""

import re
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from simspine.errors import InputError
from simspine.report import canvas
from simspine.report.style import INK, NAMED, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def svg(figure: "Figure", prefix: str) -> str:
    """An `<svg>` element to put into HTML.

    prefix: put before every id, so that several figures fit on one page without clashes. Ink becomes `currentColor`
    and the named colours CSS variables, so that the page can brighten them on dark; metadata and namespaces go, so the
    element names no address.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", prefix):
        raise InputError(f"figure prefix {prefix!r} is not an id; use letters, digits, '-' and '_', a letter first.")
    buffer = BytesIO()
    with styled():
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
    body = re.sub(r'(?:style|fill|stroke)="[^"]*"', lambda m: _themed(m.group(0)), body)
    return f'{head} stroke-linejoin="round" stroke-linecap="butt">{body}'.strip()


def _themed(attribute: str) -> str:
    attribute = attribute.replace(INK, "currentColor")
    if attribute.startswith("style"):  # var() is understood there, not in plain SVG attributes
        for name, colour in NAMED.items():
            attribute = attribute.replace(colour, f"var(--{name}, {colour})")
    return attribute


def png(figure: "Figure", dpi: int = 150) -> bytes:
    """The figure as PNG on white, for papers and slides. The same figure gives the same bytes."""
    buffer = BytesIO()
    with styled():
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def webp(image: np.ndarray, quality: int = 82) -> bytes:
    """A BGR image (height, width, 3) uint8 as lossy WebP, about a third of the size of PNG for photographs."""
    import cv2

    done, buffer = cv2.imencode(".webp", canvas.checked(image), [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise InputError(f"an image of {image.shape[1]} x {image.shape[0]} px could not be encoded as WebP.")
    return buffer.tobytes()
