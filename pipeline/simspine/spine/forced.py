"""What the model decides before any data: couplers, locked coordinates, vertebrae that share one rigid body.

A trend that a coupler forces is reported as forced, never as a finding.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from simspine.errors import InputError
from simspine.spine.curvature import LLA_LEVELS, TKA_LEVELS
from simspine.spine.endplates import Vertebra, endplate
from simspine.spine.levels import LEVELS, PLANES, Level


@dataclass(frozen=True)
class Coupler:
    """A dependent coordinate: dependent = slope · independent (slope None: coupled by another function)."""

    dependent: str
    independent: str
    slope: float | None = None


def forced_reasons(
    couplers: Iterable[Coupler],
    vertebrae: Mapping[str, Vertebra],
    *,
    locked: Iterable[str] = (),
    levels: Sequence[Level] = LEVELS,
) -> dict[str, str]:
    """{level, 'lla', 'tka': reason}, '' where the level is free. couplers, locked: of the model, by coordinate name."""
    by_name = {coupler.dependent: coupler for coupler in couplers}
    locked = set(locked)
    reasons = {level.name: _joint_reason(level, by_name, locked) for level in levels}
    joints = [level for level in levels if level.coordinates]
    for level in levels:
        if level.parent and not level.coordinates:
            reasons[level.name] = _span_reason(_between(joints, level.parent, level.child), by_name)
    for name, ends in (("lla", LLA_LEVELS), ("tka", TKA_LEVELS)):
        upper, lower = (endplate(vertebrae, *end) for end in ends)
        span = f"{ends[0][0]} and {ends[1][0]}"
        if upper.body == lower.body:
            reasons[name] = f"constant: {span} are on the same rigid body {upper.body!r}"
        else:
            reasons[name] = _span_reason(_between(joints, lower.body, upper.body), by_name, planes=slice(0, 1))
    return reasons


def _joint_reason(level: Level, couplers: Mapping[str, Coupler], locked: set[str]) -> str:
    parts = []
    for plane, coordinate in zip(PLANES, level.coordinates, strict=False):
        if coordinate in locked:
            parts.append(f"{plane} locked")
        elif coordinate in couplers:
            coupler = couplers[coordinate]
            factor = "a function of" if coupler.slope is None else f"{coupler.slope:.4g} ×"
            parts.append(f"{plane} = {factor} {coupler.independent}")
    return "; ".join(parts)


def _between(joints: Sequence[Level], lower: str, upper: str) -> list[Level]:
    """Joints on the way up from the body `lower` to the body `upper`; empty where they do not form a chain."""
    by_child = {joint.child: joint for joint in joints}
    foot = "sacrum" if lower == "pelvis" else lower  # the sacrum is welded to the pelvis
    way, body = [], upper
    while body != foot and body in by_child:
        way.append(by_child[body])
        body = way[-1].parent
    return way if body == foot else []


def _span_reason(joints: Sequence[Level], couplers: Mapping[str, Coupler], planes: slice = slice(None)) -> str:
    parts = []
    for k, plane in list(enumerate(PLANES))[planes]:
        names = [joint.coordinates[k] for joint in joints]
        drivers = {couplers[name].independent if name in couplers else name for name in names}
        if len(names) > 1 and len(drivers) == 1:
            slopes = [couplers[name].slope if name in couplers else 1.0 for name in names]
            total = "" if None in slopes else f", sum of ratios {sum(slopes):.4g}"
            parts.append(f"{plane} of all {len(names)} levels from the one coordinate {drivers.pop()}{total}")
    return "; ".join(parts)


def couplers_in(osim: str) -> list[Coupler]:
    """The enforced coordinate couplers in the text of an `.osim` file."""
    try:
        found = ET.fromstring(osim).iter("CoordinateCouplerConstraint")
    except ET.ParseError as error:
        raise InputError(f"the model is not XML ({error}); hand in the text of an .osim file.") from error
    return [_coupler(element) for element in found if element.findtext("isEnforced", "true").strip() == "true"]


def _coupler(element: ET.Element) -> Coupler:
    line = element.find("coupled_coordinates_function/LinearFunction")
    slope = None
    if line is not None:
        slope = float(line.findtext("coefficients").split()[0]) * float(element.findtext("scale_factor", "1"))
    return Coupler(
        element.findtext("dependent_coordinate_name").strip(),
        element.findtext("independent_coordinate_names").strip(),
        slope,
    )
