"""Lordosis and kyphosis of a trial as figures, in the form of the clinical parameters."""

from collections.abc import Mapping

import numpy as np

from simspine.quality.clinical_figures import ClinicalFigure
from simspine.validation.uncertainty import curvature_verdict, share_of_curvature

LABELS = {"lla": "Lumbar lordosis, L1–S1", "tka": "Thoracic kyphosis, T3–T12"}


def curvature_figures(
    angles: Mapping[str, tuple[np.ndarray, np.ndarray | None]],
    kept: np.ndarray,
    forced: Mapping[str, bool],
    estimated: bool = False,
) -> tuple[ClinicalFigure, ...]:
    """A figure of 'lla' and 'tka', whichever are there. angles: {name: (values, standard deviation)}, (frames,) rad.

    kept: (frames,) bool. forced: whether the model sets it. estimated: points of the spine were.
    """
    return tuple(_figure(name, *angles[name], kept, forced[name], estimated) for name in LABELS if name in angles)


def _figure(
    name: str, values: np.ndarray, deviation: np.ndarray | None, kept: np.ndarray, forced: bool, estimated: bool
) -> ClinicalFigure:
    known, sd = np.degrees(values[kept & np.isfinite(values)]), None
    if deviation is not None and known.size and not forced:
        sd = float(np.degrees(np.nanmedian(deviation[kept])))
    mean, low, high = (float(f(known)) for f in (np.mean, np.min, np.max)) if known.size else (None, None, None)
    decided = str(curvature_verdict(share_of_curvature(name, sd), forced, estimated))
    part = len(known) / int(kept.sum()) if kept.any() else 0.0
    return ClinicalFigure(name, LABELS[name], "deg", mean, sd, low, high, part, decided)
