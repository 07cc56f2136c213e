"""Lordosis and kyphosis of a trial as figures, in the form of the clinical parameters."""

from collections.abc import Mapping

import numpy as np

from simspine.quality.clinical_figures import ClinicalFigure
from simspine.quality.observability import Observability, word
from simspine.spine.bands import bands

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


def known_share(sd: float, before: float) -> float:
    """Share of an angle that the data decided, where only its standard deviation is known: 1 − (sd / before)².

    sd, before: standard deviations with the data and without (any unit). The share of a Gaussian estimate (Rodgers
    2000, Inverse Methods, ch. 2); 0 where the estimate is no surer than before. NaN = not known.
    """
    return float(np.clip(1 - (sd / before) ** 2, 0, 1)) if np.isfinite(sd) and before > 0 else float("nan")


def spread_of_adults(quantity: str) -> float:
    """How much standing adults differ in 'lla' or 'tka': half the width of the first published band, degrees."""
    band = bands(quantity)[0]
    return (band.high - band.low) / 2


def share_of_curvature(quantity: str, sd: float | None) -> float:
    """`known_share` of 'lla' or 'tka' beside the spread among standing adults. sd: degrees; NaN of None."""
    return known_share(float("nan") if sd is None else sd, spread_of_adults(quantity))


def curvature_verdict(share: float, forced: bool = False, estimated: bool = False) -> Observability:
    """What decided LLA or TKA: the one verdict of summary, figures, player and tables. share: of `share_of_curvature`;
    where nothing is left of it the angle is very uncertain. forced: the model sets it.
    estimated: points of the spine were.
    """
    return Observability.VERY_UNCERTAIN if share <= 0 and not forced else word(share, forced, estimated=estimated)
