"""One picture of a trial for a README or a slide: the body on the images of one moment, the curvature below."""

from io import BytesIO

import numpy as np

from simspine.report import canvas
from simspine.report.figures.common import new_figure, shade_rejected, time_axis
from simspine.report.figures.curves import draw_curvature, shade_band
from simspine.report.style import styled
from simspine.spine.bands import bands
from simspine.spine.vertebrae import SpineKinematics

_DPI = 150
_TITLES = {"lla": "Lumbar lordosis, L1–S1 (°)", "tka": "Thoracic kyphosis, T3–T12 (°)"}


def poster(sheet: np.ndarray, spine: SpineKinematics, status: list[str] | None = None, credit: str = "") -> bytes:
    """PNG of at most 256 colours: `sheet` above, LLA and TKA with their 95 % band below.

    sheet: uint8, BGR, out of `overlay.overlay_sheet`. status: per frame kept, corrected or rejected. credit: a line at
    the lower edge, such as whose the images are.
    """
    from PIL import Image

    curves = _curves(spine, status, sheet.shape[1] / _DPI)
    gap = np.full((18, sheet.shape[1], 3), 255, np.uint8)
    parts = [sheet, gap, curves]
    if credit:
        strip = np.full((34, sheet.shape[1], 3), 255, np.uint8)
        parts.append(canvas.write(strip, (14, 15), credit, 15, (110, 100, 95)))
    picture = Image.fromarray(np.ascontiguousarray(np.vstack(parts)[..., ::-1]))
    buffer = BytesIO()
    picture.quantize(256, kmeans=1).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _curves(spine: SpineKinematics, status: list[str] | None, width: float) -> np.ndarray:
    """The curves as an image `width` inches wide, BGR."""
    from PIL import Image

    with styled():
        figure = new_figure(3.5, width)
        panels = figure.subplots(1, 2)
        for axes, key in zip(panels, _TITLES, strict=True):
            values, sd = getattr(spine, key), getattr(spine, f"{key}_sd")
            sd_deg = None if sd is None else np.degrees(sd)
            draw_curvature(axes, spine.time, np.degrees(values), spine.forced.get(key, ()), sd_deg, key, status)
            shade_rejected(axes, spine.time, status)
            band = bands(key)[0]
            shade_band(axes, band, f"standing adults, {band.low:g}–{band.high:g}° ({band.span})")
            axes.set_title(_TITLES[key])
            low, high = axes.get_ylim()
            axes.set_ylim(low - 0.1 * (high - low), high)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, columnspacing=1.2)
            time_axis(axes, spine.time)
        buffer = BytesIO()
        figure.savefig(buffer, format="png", dpi=_DPI, facecolor="white")
    image = np.asarray(Image.open(buffer).convert("RGB"))[..., ::-1]
    return canvas.fit(image, (round(width * _DPI), image.shape[0])) if image.shape[1] != round(width * _DPI) else image
