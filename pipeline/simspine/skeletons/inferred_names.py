"""How a marker's name shows that it was inferred."""

from simspine.types import Markers, Origin

INFERRED = "_inferred"
SILHOUETTE = "_silhouette"  # of a point placed behind the trunk's outline


def label_inferred(markers: Markers) -> Markers:
    """Markers of origin INFERRED get `_inferred` in their name, so that a format without room for origins shows it."""
    inferred = markers.names_of(Origin.INFERRED)
    return markers.with_(names=tuple(base_name(n) + INFERRED if n in inferred else n for n in markers.names))


def base_name(name: str) -> str:
    """The point's name without the mark of how it was placed."""
    return name.removesuffix(INFERRED).removesuffix(SILHOUETTE)
