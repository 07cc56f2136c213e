"""What the model decides before any data: couplers, locked coordinates, vertebrae that share one rigid body.

A trend that a coupler forces is reported as forced, never as a finding.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from simspine.spine.curvature import LLA_LEVELS, TKA_LEVELS
from simspine.spine.endplates import Vertebra, endplate
from simspine.spine.levels import LEVELS, PLANES, Level
from simspine.types import Forced, ForcedKind

LOCKED, COUPLED, RIGID, SUM = ForcedKind


@dataclass(frozen=True)
class Coupler:
    """A dependent coordinate: a straight line of the independent one (slope None: coupled by another function)."""

    dependent: str
    independent: str
    slope: float | None = None


def forced_by_model(
    couplers: Iterable[Coupler],
    vertebrae: Mapping[str, Vertebra],
    *,
    locked: Iterable[str] = (),
    levels: Sequence[Level] = LEVELS,
) -> dict[str, tuple[Forced, ...]]:
    """{level, 'lla', 'tka': what the model forces there}, () where it is free.

    couplers: of the model (`simspine.body.model.Body.couplers`). locked: names of coordinates.
    """
    by_name = {coupler.dependent: coupler for coupler in couplers}
    locked = set(locked)
    found = {level.name: _of_joint(level, by_name, locked) for level in levels}
    joints = [level for level in levels if level.coordinates]
    for level in levels:
        if level.parent and not level.coordinates:
            found[level.name] = _of_span(_between(joints, level.parent, level.child), by_name)
    for name, ends in (("lla", LLA_LEVELS), ("tka", TKA_LEVELS)):
        upper, lower = (endplate(vertebrae, *end) for end in ends)
        if upper.body == lower.body:
            found[name] = (Forced(RIGID, PLANES, spans=(ends[0][0], ends[1][0]), body=upper.body),)
        else:
            found[name] = _of_span(_between(joints, lower.body, upper.body), by_name, planes=PLANES[:1])
    return found


def forced_between(
    couplers: Iterable[Coupler], levels: Sequence[Level], lower: str, upper: str
) -> dict[str, tuple[Forced, ...]]:
    """{plane: what the model forces of the body `upper` on the body `lower` below it}, () where it is free or no chain
    of joints joins them. levels: of the body, with their coordinates.
    """
    by_name = {coupler.dependent: coupler for coupler in couplers}
    facts = _of_span(_between([level for level in levels if level.coordinates], lower, upper), by_name)
    return {plane: tuple(fact for fact in facts if plane in fact.planes) for plane in PLANES}


def sentence(facts: Iterable[Forced]) -> str:
    """What the model forces at one place, for people; '' where nothing."""
    return "; ".join(_in_words(fact) for fact in facts)


def _in_words(fact: Forced) -> str:
    planes = " and ".join(fact.planes)
    if fact.kind is LOCKED:
        return f"{planes} locked"
    if fact.kind is COUPLED:
        factor = "a function of" if fact.ratio is None else f"{fact.ratio:.4g} ×"
        return f"{planes} = {factor} {fact.driver}"
    if fact.kind is RIGID:
        return f"constant: {' and '.join(fact.spans)} are on the same rigid body {fact.body!r}"
    total = "" if fact.ratio is None else f", sum of ratios {fact.ratio:.4g}"
    return f"{planes} of all {len(fact.spans)} levels from the one coordinate {fact.driver}{total}"


def _of_joint(level: Level, couplers: Mapping[str, Coupler], locked: set[str]) -> tuple[Forced, ...]:
    facts = []
    for plane, coordinate in zip(PLANES, level.coordinates, strict=False):
        if coordinate in locked:
            facts.append(Forced(LOCKED, (plane,)))
        elif coordinate in couplers:
            coupler = couplers[coordinate]
            facts.append(Forced(COUPLED, (plane,), coupler.independent, coupler.slope))
    return tuple(facts)


def _between(joints: Sequence[Level], lower: str, upper: str) -> list[Level]:
    """Joints on the way up from the body `lower` to the body `upper`; empty where they do not form a chain."""
    by_child = {joint.child: joint for joint in joints}
    foot = "sacrum" if lower == "pelvis" else lower  # the sacrum is welded to the pelvis
    way: list[Level] = []
    body: str | None = upper
    while body != foot and body in by_child:
        way.append(by_child[body])
        body = way[-1].parent
    return way if body == foot else []


def _of_span(
    joints: Sequence[Level], couplers: Mapping[str, Coupler], planes: Sequence[str] = PLANES
) -> tuple[Forced, ...]:
    facts = []
    for k, plane in enumerate(planes):
        names = [joint.coordinates[k] for joint in joints]
        drivers = {couplers[name].independent if name in couplers else name for name in names}
        if len(names) > 1 and len(drivers) == 1:
            slopes = [couplers[name].slope if name in couplers else 1.0 for name in names]
            known = [slope for slope in slopes if slope is not None]
            total = sum(known) if len(known) == len(slopes) else None
            facts.append(Forced(SUM, (plane,), drivers.pop(), total, tuple(joint.name for joint in joints)))
    return tuple(facts)
