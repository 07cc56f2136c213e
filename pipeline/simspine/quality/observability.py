"""What decided each level's angle: the data, the assumptions, or the model's couplers."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import numpy as np

from simspine.errors import InputError
from simspine.quality.thresholds import THRESHOLDS, Thresholds
from simspine.skeletons.regions import SPINE_REGIONS
from simspine.spine.levels import PLANES, Level
from simspine.types import Forced, ForcedKind, Origin


class Observability(StrEnum):
    """Who decided an angle. SUM: one coordinate moves several levels; the data decided their sum only.

    ESTIMATED, PARTLY_ESTIMATED: the data did, as much as for MEASURED and PARTLY, but of the spine they hold points
    that a network estimated and no camera saw.
    """

    MEASURED = "measured"
    PARTLY = "partly measured"
    ESTIMATED = "estimated"
    PARTLY_ESTIMATED = "partly estimated"
    ASSUMED = "assumed"
    SUM = "measured as a sum"
    FORCED = "set by the model"
    VERY_UNCERTAIN = "very uncertain"  # its standard deviation is as large as people differ, or as the range it is of
    UNKNOWN = ""


def is_estimated(names: Iterable[str], origins: Iterable[Origin] | None) -> bool:
    """Whether points along the spine were estimated: what the data decided of it is then no measurement.

    names, origins: of the points fitted; False where their origins are not known.
    """
    return bool(estimated_of_spine(names, origins))


def estimated_of_spine(names: Iterable[str], origins: Iterable[Origin] | None) -> tuple[str, ...]:
    """Names of the points of the trunk, of `SPINE_REGIONS`, that were estimated."""
    spine = {name for region in SPINE_REGIONS.values() for name in region}
    pairs = () if origins is None else zip(names, origins, strict=True)
    return tuple(name for name, origin in pairs if origin == Origin.ESTIMATED and name in spine)


def forced_mask(levels: Sequence[str], forced: Mapping[str, Sequence[Forced]]) -> np.ndarray:
    """(levels, 3) bool: which curves the model sets, from `SpineKinematics.forced`.

    That several levels share one coordinate does not make their *sum* the model's, so a sum marks nothing here.
    """
    mask = np.zeros((len(levels), 3), bool)
    for i, level in enumerate(levels):
        for fact in forced.get(level, ()):
            if fact.kind is not ForcedKind.SUM:
                mask[i, [k for k, plane in enumerate(PLANES) if plane in fact.planes]] = True
    return mask


def driving(forced: Mapping[str, Sequence[Forced]]) -> set[str]:
    """Coordinates that other levels' coordinates are coupled to."""
    return {fact.driver for facts in forced.values() for fact in facts if fact.kind is ForcedKind.COUPLED}


def level_shares(
    levels: Sequence[str], table: Sequence[Level], coordinates: Sequence[str], response: np.ndarray | None
) -> np.ndarray:
    """(levels, 3): share of each angle that the data decided, 0…1; NaN where that is not known.

    table: levels with their coordinates (flexion, bending, rotation). response: (coordinates,), see
    `simspine.ik.result.Posterior`; None where the solver gave none. Sums and segments in space have no coordinate of
    their own, so nothing is known of them here.
    """
    shares = np.full((len(levels), 3), np.nan)
    if response is None:
        return shares
    if len(response) != len(coordinates):
        raise InputError(f"response has {len(response)} entries, expected one for each of {len(coordinates)} names.")
    of = dict(zip(coordinates, np.asarray(response, float), strict=True))
    for level in table:
        if level.name in levels and level.coordinates:
            shares[levels.index(level.name)] = [of.get(name, np.nan) for name in level.coordinates]
    return shares


def observability_of(
    levels: Sequence[str],
    shares: np.ndarray,
    forced: Mapping[str, Sequence[Forced]] | None = None,
    table: Sequence[Level] = (),
    thresholds: Thresholds = THRESHOLDS,
    estimated: bool = False,
) -> tuple[tuple[Observability, Observability, Observability], ...]:
    """For each level and plane who decided the angle.

    shares: (levels, 3) of `level_shares`. forced: of the spine kinematics. table: as above; tells which level's
    coordinate moves others too. estimated: `is_estimated` of the points fitted.
    """
    forced = forced or {}
    mask, drivers = forced_mask(levels, forced), driving(forced)
    own = {level.name: level.coordinates for level in table}

    def decided(i: int, k: int) -> Observability:
        names = own.get(levels[i], ())
        return word(shares[i, k], bool(mask[i, k]), bool(names) and names[k] in drivers, thresholds, estimated)

    return tuple((decided(i, 0), decided(i, 1), decided(i, 2)) for i in range(len(levels)))


def word(
    share: float,
    forced: bool,
    drives: bool = False,
    thresholds: Thresholds = THRESHOLDS,
    estimated: bool = False,
) -> Observability:
    """Who decided one angle. drives: its own coordinate moves other levels too, so the data decided their sum.
    estimated: it is one of the spine, of which points were estimated."""
    if forced:
        return Observability.FORCED
    if not np.isfinite(share):
        return Observability.UNKNOWN
    if share < thresholds["assumed"].si:
        return Observability.ASSUMED
    if share < thresholds["measured"].si and not drives:
        return Observability.PARTLY_ESTIMATED if estimated else Observability.PARTLY
    if estimated:
        return Observability.ESTIMATED
    return Observability.SUM if drives else Observability.MEASURED


def share_text(share: float, thresholds: Thresholds = THRESHOLDS) -> str:
    """A share 0…1 in whole percent, '–' of NaN; '<20 %' where rounding would reach a limit of the verdicts."""
    if not np.isfinite(share):
        return "–"
    rounded = round(100 * share)
    limits = (thresholds[name] for name in ("assumed", "measured"))
    limit = next((limit.value for limit in limits if share < limit.si and rounded >= limit.value), None)
    return f"{rounded} %" if limit is None else f"<{limit:g} %"
