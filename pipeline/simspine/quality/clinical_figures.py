"""A trial's clinical parameters as figures with what decided them: means over the frames that can be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simspine.quality.observability import Observability, word
from simspine.quality.thresholds import THRESHOLDS
from simspine.spine.adults import ADULTS
from simspine.spine.clinical import DEFINITIONS, SPINAL
from simspine.spine.parameters import ClinicalParameters
from simspine.types import ForcedKind

GIVEN = "given by the model"
FOLLOWS = "set by the model from the joint's other angles"
TOGETHER = "one coordinate for all levels"
VERY_UNCERTAIN = str(Observability.VERY_UNCERTAIN)
IMPRECISE = "measured, but imprecise"
ESTIMATED_IMPRECISE = "estimated, and imprecise"
NO_LARGER = "no larger than its error"
HANGING = "not known: the arm hangs"
UNKNOWN = "not known"
SEVERAL = "several angles, more or less measured: read the ±"
SEVERAL_ESTIMATED = "several angles, more or less estimated: read the ±"
NO_DEVIATION = "several angles; the engine gives no ±"
_IMPRECISE = THRESHOLDS["imprecise"].value  # degrees
UNITS = {"rad": ("deg", 180 / np.pi), "m": ("mm", 1e3)}  # as figures are written


@dataclass(frozen=True)
class ClinicalFigure:
    """One parameter of a trial.

    unit: 'deg' or 'mm'. mean, low, high: over the frames, None where no frame is known; sd: typical (median) standard
    deviation, None where there is none or the model gives the value. known: share of the frames. decided: in words what
    the figure rests on.
    """

    name: str
    label: str
    unit: str
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    known: float
    decided: str


def clinical_figures(
    clinical: ClinicalParameters,
    kept: np.ndarray | None = None,
    shares: Mapping[str, float] | None = None,
    estimated: bool = False,
) -> tuple[ClinicalFigure, ...]:
    """A figure of each parameter. kept: (frames,) bool, all by default. shares: {parameter: share of it that the data
    decided, 0…1}, of those for which that is known. Others that adults are known to differ in have 1 − (sd / spread)².
    estimated: points of the spine were, so that its parameters are no measurements.
    """
    frames = np.ones(len(clinical.values), bool) if kept is None else kept
    return tuple(
        _figure(clinical, name, frames, (shares or {}).get(name, np.nan), estimated and name in SPINAL)
        for name in clinical.names
    )


def _figure(clinical: ClinicalParameters, name: str, kept: np.ndarray, share: float, estimated: bool) -> ClinicalFigure:
    definition = DEFINITIONS[name]
    unit, factor = UNITS[definition.unit]
    values, deviation = factor * clinical.of(name)[kept], clinical.sd(name)
    known = values[np.isfinite(values)]
    kinds = {fact.kind for fact in clinical.forced.get(name, ())}
    given = bool(kinds - {ForcedKind.SUM})
    sd = None if deviation is None or given or not known.size else float(factor * np.nanmedian(deviation[kept]))
    mean, low, high = (float(f(known)) for f in (np.mean, np.min, np.max)) if known.size else (None, None, None)
    decided = _set_by_model(kinds) or _in_words(name, mean, sd, share, estimated)
    part = len(known) / len(values) if len(values) else 0.0
    return ClinicalFigure(name, definition.label, unit, mean, sd, low, high, part, decided)


def _set_by_model(kinds: set[ForcedKind]) -> str:
    if ForcedKind.COUPLED in kinds:
        return FOLLOWS
    return TOGETHER if kinds == {ForcedKind.SUM} else GIVEN if kinds else ""


def _in_words(name: str, mean: float | None, sd: float | None, share: float, estimated: bool) -> str:
    if mean is None:
        return HANGING if name.startswith(("shoulder_plane", "shoulder_rotation")) else UNKNOWN
    adults = ADULTS.get(name)
    if sd is not None and adults is not None and adults.sd is not None:
        if sd >= adults.sd:
            unit = "°" if DEFINITIONS[name].unit == "rad" else " mm"
            return f"{VERY_UNCERTAIN}: adults differ by ± {adults.sd:.0f}{unit}"
        share = share if np.isfinite(share) else 1 - (sd / adults.sd) ** 2
    if name == "coronal_cobb" and sd is not None and mean < 2 * sd:
        return NO_LARGER
    decided = word(share, forced=False, estimated=estimated)
    if sd is not None and DEFINITIONS[name].unit == "rad" and sd > _IMPRECISE:
        worse = {Observability.MEASURED: IMPRECISE, Observability.ESTIMATED: ESTIMATED_IMPRECISE}
        return worse.get(decided) or str(decided) or (SEVERAL_ESTIMATED if estimated else SEVERAL)
    return str(decided) or (NO_DEVIATION if sd is None else SEVERAL_ESTIMATED if estimated else SEVERAL)
