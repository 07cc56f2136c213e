"""What each published point rests on: an observation of its own, or a rule and the body."""

from collections.abc import Mapping, Sequence

from simspine.skeletons.inferred_names import base_name
from simspine.skeletons.vertebrae import VERTEBRA_OF
from simspine.types import Origin


def point_origins(names: Sequence[str], fitted: Sequence[str], origins: Sequence[Origin] | None) -> list[Origin] | None:
    """Origin of each of the points `names`; None where that of the fitted markers is not known.

    A point's place always comes from the body. *detected* and *given* say that inverse kinematics fitted an observation
    of this very point; *inferred*, that it had none: a marker placed by rule, or nothing at all.
    """
    if origins is None:
        return None
    of: Mapping[str, Origin] = {base_name(name): Origin(o) for name, o in zip(fitted, origins, strict=True)}
    return [of.get(name, Origin.INFERRED) for name in names]


def centre_origins(
    levels: Sequence[str], fitted: Sequence[str], origins: Sequence[Origin] | None
) -> list[Origin] | None:
    """Origin of the centroids of vertebrae (`levels`): that of the point named after the vertebra, else *inferred*."""
    named = {level: point for point, level in VERTEBRA_OF.items()}
    return point_origins([named.get(level, level) for level in levels], fitted, origins)
