"""How a marker's name shows that it was inferred."""

from simspine.types import Markers, Origin

SUFFIX = "_inferred"


def label_inferred(markers: Markers) -> Markers:
    """Markers of origin INFERRED get `_inferred` in their name, so that a format without room for origins shows it."""
    origin = markers.origin or (Origin.DETECTED,) * len(markers.names)
    names = [base_name(n) + SUFFIX if o is Origin.INFERRED else n for n, o in zip(markers.names, origin, strict=True)]
    return markers.with_(names=tuple(names))


def base_name(name: str) -> str:
    """The point's name without the mark of an inferred one."""
    return name.removesuffix(SUFFIX)
