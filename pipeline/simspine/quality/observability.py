"""What decided each angle of a trial (data, assumptions or the model), and clinical figures labelled with it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from simspine.anatomy.alignment import RHYTHM_PARAMETERS, TRUNK_VERTEBRAE
from simspine.anatomy.clinical import CLINICAL_DEFINITIONS, CURVATURE_OF_ADULTS, PUBLISHED_ADULTS, SPINAL_DEFINITIONS
from simspine.anatomy.curvature import MOTION_PLANES, Level, curvature_sd_of_people
from simspine.anatomy.priors import Prior
from simspine.anatomy.vertebrae import ClinicalParameters, joints_between
from simspine.core.skeletons import SPINE_REGIONS
from simspine.core.types import Forced, ForcedKind, Origin
from simspine.quality.findings import THRESHOLDS


class Observability(StrEnum):
    """What decided an angle. SUM: one coordinate turns several levels; the data decided their sum only.

    ESTIMATED, PARTLY_ESTIMATED: the data decided as much as for MEASURED and PARTLY, but hold points of the spine
    that a network estimated and no camera saw.
    """

    MEASURED = "measured"
    PARTLY = "partly measured"
    ESTIMATED = "estimated"
    PARTLY_ESTIMATED = "partly estimated"
    ASSUMED = "assumed"  # from publications on other people; also where the SD is as large as their spread
    SUM = "measured as a sum"
    FORCED = "set by the model"
    UNKNOWN = ""


def estimated_of_spine(names: Iterable[str], origins: Iterable[Origin] | None) -> tuple[str, ...]:
    """Names of the fitted points in `SPINE_REGIONS` that were estimated; with any, no angle of the spine is measured.
    names, origins: of the fitted points; without origins the result is empty."""
    spine = {name for region in SPINE_REGIONS.values() for name in region}
    pairs = () if origins is None else zip(names, origins, strict=True)
    return tuple(name for name, origin in pairs if origin == Origin.ESTIMATED and name in spine)


def forced_mask(levels: Sequence[str], forced: Mapping[str, Sequence[Forced]]) -> np.ndarray:
    """(levels, 3) bool: which angles the model sets, from `SpineKinematics.forced`.

    Where several levels share one coordinate, the data decide their sum, so `ForcedKind.SUM` marks nothing here.
    """
    mask = np.zeros((len(levels), 3), bool)
    for i, level in enumerate(levels):
        for fact in forced.get(level, ()):
            if fact.kind is not ForcedKind.SUM:
                mask[i, [k for k, plane in enumerate(MOTION_PLANES) if plane in fact.planes]] = True
    return mask


def driving_coordinates(forced: Mapping[str, Sequence[Forced]]) -> set[str]:
    """Coordinates that other levels' coordinates are coupled to."""
    return {fact.driver for facts in forced.values() for fact in facts if fact.kind is ForcedKind.COUPLED}


def level_shares(
    levels: Sequence[str], table: Sequence[Level], coordinates: Sequence[str], response: np.ndarray | None
) -> np.ndarray:
    """(levels, 3): share of each angle that the data decided, 0…1; NaN where not known.

    table: levels with their coordinates (flexion, bending, rotation). response: (coordinates,), see
    `simspine.estimation.result.Posterior`; None where the solver gave none. Sums and segments in space have no
    coordinate of their own and stay NaN; `with_shares_of_sums` fills in the sums.
    """
    shares = np.full((len(levels), 3), np.nan)
    if response is None:
        return shares
    share_of = dict(zip(coordinates, np.asarray(response, float), strict=True))
    for level in table:
        if level.name in levels and level.coordinates:
            shares[levels.index(level.name)] = [share_of.get(name, np.nan) for name in level.coordinates]
    return shares


def with_shares_of_sums(
    levels: Sequence[str], table: Sequence[Level], shares: np.ndarray, angles_sd: np.ndarray, prior: Prior
) -> np.ndarray:
    """`level_shares` with those of sums over levels, see `share_by_deviation`; segments in space keep NaN.

    angles_sd: (frames, levels, 3) rad. prior: what was known of the coordinates without data. The widest sum, the
    trunk's, counts as known in the prior of the others: their published share in it is no measurement. A sum about
    whose levels the prior says nothing, since they share a coordinate, has their mean share.
    """
    filled, joints = shares.copy(), [level for level in table if level.coordinates]
    spans = [level for level in table if not level.coordinates]
    sums = {span.name: joints_between(joints, span.parent, span.child) for span in spans if span.parent}
    sums = {name: parts for name, parts in sums.items() if parts and name in levels}
    widest = max(sums.values(), key=len, default=[])
    for name, parts in sums.items():
        row, rows = levels.index(name), [levels.index(part.name) for part in parts]
        for plane in range(3):
            known = angles_sd[np.isfinite(angles_sd[:, row, plane]), row, plane]
            given = () if parts is widest else [part.coordinates[plane] for part in widest]
            before = prior.deviation_of_sum([part.coordinates[plane] for part in parts], given)
            share = share_by_deviation(float(np.median(known)) if known.size else float("nan"), before)
            filled[row, plane] = share if np.isfinite(share) else shares[rows, plane].mean()
    return filled


def observability_of(
    levels: Sequence[str],
    shares: np.ndarray,
    forced: Mapping[str, Sequence[Forced]] | None = None,
    table: Sequence[Level] = (),
    estimated: bool = False,
) -> tuple[tuple[Observability, Observability, Observability], ...]:
    """What decided the angle of each level in each plane.

    shares: (levels, 3) of `level_shares`. forced: of the spine kinematics. table: levels with their coordinates.
    estimated: whether points of the spine were estimated.
    """
    forced = forced or {}
    mask, drivers = forced_mask(levels, forced), driving_coordinates(forced)
    coordinates = {level.name: level.coordinates for level in table}

    def decided(i: int, k: int) -> Observability:
        names = coordinates.get(levels[i], ())
        return observability_word(
            shares[i, k], bool(mask[i, k]), bool(names) and names[k] in drivers, estimated=estimated
        )

    return tuple((decided(i, 0), decided(i, 1), decided(i, 2)) for i in range(len(levels)))


def observability_word(share: float, forced: bool, drives: bool = False, estimated: bool = False) -> Observability:
    """What decided one angle. drives: its coordinate turns other levels too, so the data decided their sum.
    estimated: the angle is of the spine, and points of the spine were estimated."""
    if forced:
        return Observability.FORCED
    if not np.isfinite(share):
        return Observability.UNKNOWN
    if share < THRESHOLDS["assumed"].value_si:
        return Observability.ASSUMED
    if share < THRESHOLDS["measured"].value_si and not drives:
        return Observability.PARTLY_ESTIMATED if estimated else Observability.PARTLY
    if estimated:
        return Observability.ESTIMATED
    return Observability.SUM if drives else Observability.MEASURED


def observed_share_text(share: float) -> str:
    """A share 0…1 in whole percent, '–' of NaN; '<20 %' where rounding would reach a limit of the verdicts."""
    if not np.isfinite(share):
        return "–"
    rounded = round(100 * share)
    limits = (THRESHOLDS[name] for name in ("assumed", "measured"))
    limit = next((limit.value for limit in limits if share < limit.value_si and rounded >= limit.value), None)
    return f"{rounded} %" if limit is None else f"<{limit:g} %"


# A trial's clinical parameters as figures with what decided them: means over the frames that can be trusted.
GIVEN_BY_MODEL = "given by the model"
SET_BY_OTHER_ANGLES = "set by the model from the joint's other angles"
ONE_COORDINATE_FOR_LEVELS = "one coordinate for all levels"
IMPRECISE = "imprecise"  # measured, with a large standard deviation
NO_LARGER = "no larger than its error"
CONTRADICTED = "contradicted by markers"
ARM_HANGS = "not known: the arm hangs"
NOT_KNOWN = "not known"
NO_LABEL = "no label"  # the share that the data decided is not known
TILT_UNSEEN = ": pelvis tilt not seen"  # added to the verdict on an angle that counts from the pelvis
_IMPRECISE_DEG = THRESHOLDS["imprecise"].value  # degrees
CUT_FRAMES = 2  # so near an end of the trial, an extreme may be none of the movement
WRITTEN_UNITS = {"rad": ("deg", 180 / np.pi), "m": ("mm", 1e3)}  # as figures are written


@dataclass(frozen=True)
class ClinicalFigure:
    """One parameter of a trial.

    unit: 'deg' or 'mm'. mean, minimum, maximum: over the frames, None where no frame is known; sd: typical (median)
    standard deviation, None where there is none or the model gives the value. known_share: share of frames with a
    value. decided_by: what decided the figure, in words. range_sd: standard deviation of the range (maximum − minimum),
    None where that is 0. It takes the errors of both frames as independent, except the tilt of the person's endplates,
    which cancels. share: share of the figure that the data decided, 0…1; NaN = not known, or set by the model. ends:
    frames of minimum and maximum. cut: whether each is at an end of the trial, so that the movement may go on.
    is_change: whether it counts from its mean. doubts, is_unreadable: see `simspine.quality.doubts`. excluded: errors
    that its standard deviations leave out, in words.
    """

    name: str
    label: str
    unit: str
    mean: float | None
    sd: float | None
    minimum: float | None
    maximum: float | None
    known_share: float
    decided_by: str
    range_sd: float | None = None
    share: float = float("nan")
    ends: tuple[int, ...] = ()
    cut: tuple[bool, ...] = ()
    is_change: bool = False
    doubts: tuple[str, ...] = ()
    is_unreadable: bool = False
    excluded: str = ""

    @property
    def verdict(self) -> Observability:
        """`decided_by` in one word; UNKNOWN where nothing is known of the share that the data decided."""
        return next((word for start, word in _VERDICT_OF_WORDS.items() if self.decided_by.startswith(start)),
                    Observability.UNKNOWN)  # fmt: skip

    @property
    def is_assumed(self) -> bool:
        """Whether the recording did not decide it: it is drawn dashed and has no norm."""
        return self.verdict is Observability.ASSUMED or self.decided_by == NO_LARGER

    @property
    def is_of_person(self) -> bool:
        """Whether the figure is known and depends on the person, not on the model alone."""
        return self.mean is not None and self.verdict is not Observability.FORCED

    @property
    def is_decided(self) -> bool:
        """Whether it is known, neither assumed nor set by the model, and no markers contradict it."""
        return self.is_of_person and not self.is_assumed and self.decided_by != CONTRADICTED


_VERDICT_OF_WORDS = {
    **{str(word): word for word in sorted(filter(None, Observability), key=len, reverse=True)},
    GIVEN_BY_MODEL: Observability.FORCED,
    IMPRECISE: Observability.MEASURED,
    ONE_COORDINATE_FOR_LEVELS: Observability.SUM,
}
_FROM_WEAKEST = (
    Observability.FORCED, Observability.ASSUMED, Observability.UNKNOWN, Observability.PARTLY_ESTIMATED,
    Observability.PARTLY, Observability.SUM, Observability.ESTIMATED, Observability.MEASURED,
)  # fmt: skip


def counted_from_unseen_tilt(figure: ClinicalFigure) -> ClinicalFigure:
    """A flexion that counts from the pelvis, where no point shows the pelvis' tilt: decided in part at most."""
    estimated = figure.verdict in (Observability.ESTIMATED, Observability.PARTLY_ESTIMATED)
    verdict = Observability.PARTLY_ESTIMATED if estimated else Observability.PARTLY
    return replace(figure, decided_by=f"{verdict}{TILT_UNSEEN}") if figure.is_decided else figure


def rhythm_verdict(figures: Iterable[ClinicalFigure]) -> Observability:
    """The verdict on the lumbopelvic rhythm: the weaker of the verdicts on its two angles."""
    verdicts = [figure.verdict for figure in figures if figure.name in RHYTHM_PARAMETERS]
    return min(verdicts, key=_FROM_WEAKEST.index, default=Observability.UNKNOWN)


def composed_shares(lordosis_share: float, levels: Sequence[str], level_shares: np.ndarray) -> dict[str, float]:
    """{parameter: share that the data decided} for parameters that are computed from other angles.

    Lumbar flexion has the share of lordosis, of which it is the mirror image. The coronal Cobb angle has the mean of
    the lateral bending of its levels. level_shares: (levels, 3).
    """
    trunk_levels = [i for i, level in enumerate(levels) if set(level.split("-")) <= set(TRUNK_VERTEBRAE)]
    bending = level_shares[trunk_levels, MOTION_PLANES.index("lateral bending")]
    cobb_share = float(np.nanmean(bending)) if np.isfinite(bending).any() else float("nan")
    return {"lumbar_flexion": lordosis_share, "coronal_cobb": cobb_share}


def clinical_figures(
    clinical: ClinicalParameters,
    kept: np.ndarray | None = None,
    shares: Mapping[str, float] | None = None,
    estimated: bool = False,
    sacral_tilt_sd: float = 0.0,
) -> tuple[ClinicalFigure, ...]:
    """A figure of each parameter.

    kept: (frames,) bool, all by default. shares: {parameter: share that the data decided, 0…1} where known. None with a
    spread of people has more than 1 − (sd / spread)². estimated: whether points of the spine were estimated, so that
    its parameters are no measurements. sacral_tilt_sd: rad, of the endplate of S1, see `SizedBody`.
    """
    frames = np.ones(len(clinical.values), bool) if kept is None else kept
    return tuple(
        _clinical_figure(
            clinical,
            name,
            frames,
            share=(shares or {}).get(name, np.nan),
            estimated=estimated and name in SPINAL_DEFINITIONS,
            constant_sd=curvature_sd_of_people(name, sacral_tilt_sd),
        )
        for name in clinical.names
    )


def _clinical_figure(
    clinical: ClinicalParameters, name: str, kept: np.ndarray, share: float, estimated: bool, constant_sd: float
) -> ClinicalFigure:
    definition = CLINICAL_DEFINITIONS[name]
    unit, factor = WRITTEN_UNITS[definition.unit]
    kinds = {fact.kind for fact in clinical.forced.get(name, ())}
    deviation = None if kinds - {ForcedKind.SUM} else clinical.sd(name)
    scaled = None if deviation is None else factor * deviation
    changing = None if scaled is None else np.sqrt(np.maximum(scaled**2 - (factor * constant_sd) ** 2, 0.0))
    statistics = angle_statistics(factor * clinical.of(name), scaled, kept, changing)
    forced = "" if kinds == {ForcedKind.SUM} and np.isfinite(share) else _set_by_model(kinds)
    sd, mean = statistics["sd"], statistics["mean"]
    if sd is not None and name in PUBLISHED_ADULTS:
        share = float(np.fmin(share, share_by_deviation(sd, PUBLISHED_ADULTS[name].sd)))
    share = float("nan") if forced or mean is None else share
    decided_by = forced or _decided_by_text(name, mean, sd, share=share, estimated=estimated)
    return ClinicalFigure(name, definition.label, unit, decided_by=decided_by, share=share, **statistics)


def angle_statistics(
    values: np.ndarray,
    deviation: np.ndarray | None,
    kept: np.ndarray,
    change_deviation: np.ndarray | None = None,
) -> dict[str, Any]:
    """{field of `ClinicalFigure`: statistic} over the kept frames; values, deviation, kept: (frames,).

    change_deviation: (frames,), without the errors that all frames share; by default `deviation`. Frames without a
    deviation are left out where others have one: there an angle is undefined, such as the plane of an arm that hangs.
    """
    used = kept & np.isfinite(values)
    if deviation is not None and np.isfinite(deviation[used]).any():
        used &= np.isfinite(deviation)
    known = values[used]
    if not known.size:
        return dict.fromkeys(("mean", "sd", "minimum", "maximum", "range_sd")) | {"known_share": 0.0}
    spread = np.full(known.shape, np.nan) if deviation is None else deviation[used]
    places = [known.argmin(), known.argmax()]
    ends = (spread if change_deviation is None else change_deviation[used])[places]
    ends_at = np.flatnonzero(used)[places]
    return {
        "mean": float(known.mean()),
        "sd": float(np.nanmedian(spread)) if np.isfinite(spread).any() else None,
        "minimum": float(known.min()),
        "maximum": float(known.max()),
        "known_share": len(known) / int(kept.sum()),
        "range_sd": float(np.hypot(*ends)) if np.isfinite(ends).all() and np.ptp(known) else None,
        "ends": tuple(ends_at.tolist()),
        "cut": tuple((np.minimum(ends_at, len(values) - 1 - ends_at) < CUT_FRAMES).tolist()),
    }


def _set_by_model(kinds: set[ForcedKind]) -> str:
    if ForcedKind.COUPLED in kinds:
        return SET_BY_OTHER_ANGLES
    return ONE_COORDINATE_FOR_LEVELS if kinds == {ForcedKind.SUM} else GIVEN_BY_MODEL if kinds else ""


def _decided_by_text(name: str, mean: float | None, sd: float | None, share: float, estimated: bool) -> str:
    if mean is None:
        return ARM_HANGS if name.startswith(("shoulder_plane", "shoulder_rotation")) else NOT_KNOWN
    if name == "coronal_cobb" and sd is not None and mean < 2 * sd:
        return NO_LARGER
    decided = observability_word(share, forced=False, estimated=estimated)
    is_wide = sd is not None and CLINICAL_DEFINITIONS[name].unit == "rad" and sd > _IMPRECISE_DEG
    return IMPRECISE if is_wide and decided is Observability.MEASURED else str(decided) or NO_LABEL


LABELS = {"lla": "Lumbar lordosis, L1–S1", "tka": "Thoracic kyphosis, T3–T12"}
ERROR_IN_PEOPLE_DEG = {"lla": 8.2, "tka": 8.0}  # RMSE in 192 people with radiographs: docs/accuracy.md


def curvature_figures(spine: Any, kept: np.ndarray, estimated: bool = False) -> tuple[ClinicalFigure, ...]:
    """A figure of 'lla' and 'tka', where known. spine: `SpineKinematics`, or `TrialData`. kept: (frames,) bool.

    estimated: as of `clinical_figures`.
    """
    figures = []
    for name, label in LABELS.items():
        values, deviation, change = (getattr(spine, f"{name}{kind}") for kind in ("", "_sd", "_change_sd"))
        if values is None:
            continue
        forced = bool(forced_mask([name], spine.forced).any())
        known = None if deviation is None or forced else np.degrees(deviation)
        change = None if known is None or change is None else np.degrees(change)
        statistics = angle_statistics(np.degrees(values), known, kept, change)
        statistics["sd"] = stated_sd(name, statistics["sd"])
        share = share_of_curvature(name, statistics["sd"])
        decided_by = str(observability_word(share, forced, estimated=estimated))
        figures.append(ClinicalFigure(name, label, "deg", decided_by=decided_by, share=share, **statistics))
    return tuple(figures)


def share_by_deviation(sd: float, before: float) -> float:
    """Share of an angle that the data decided, where only its standard deviation is known: 1 − (sd / before)².

    sd, before: standard deviations with the data and without (any unit). The share of a Gaussian estimate (Rodgers
    2000, Inverse Methods, ch. 2); 0 where the estimate is no surer than before. NaN = not known.
    """
    return 1 - min(sd / before, 1.0) ** 2 if np.isfinite(sd) and before > 0 else float("nan")


def stated_sd(name: str, sd: Any) -> Any:
    """A figure's standard deviation (degrees or mm, a number or an array, or None), not below `ERROR_IN_PEOPLE_DEG`."""
    return sd if sd is None else np.maximum(sd, ERROR_IN_PEOPLE_DEG.get(name, 0.0))


def narrowing_text(share: float) -> str:
    """By how much of its spread without the recording a value was narrowed, in whole percent: 1 − √(1 − share)."""
    return f"{100 * (1 - np.sqrt(1 - share)):.0f} %"


def share_of_curvature(quantity: str, sd: float | None) -> float:
    """`share_by_deviation` of 'lla' or 'tka' given the spread among standing adults. sd: degrees; NaN of None."""
    return share_by_deviation(float("nan") if sd is None else stated_sd(quantity, sd), CURVATURE_OF_ADULTS[quantity].sd)
