"""How a marker's name shows that it was inferred."""

import numpy as np

from simspine.types import Markers, Origin

INFERRED = "_inferred"


def label_inferred(markers: Markers) -> Markers:
    """Markers of origin INFERRED get `_inferred` in their name, so that a format without room for origins shows it."""
    inferred = markers.names_of(Origin.INFERRED)
    return markers.with_(names=tuple(base_name(n) + INFERRED if n in inferred else n for n in markers.names))


def part_inferred(markers: Markers, frames: np.ndarray) -> Markers:
    """Frames (frames,) bool of all markers moved to columns of their own, whose names end in `_inferred`; unchanged
    where there are none. For formats that cannot mark a frame."""
    if not frames.any():
        return markers
    at = frames[:, None, None]
    return Markers(
        (*markers.names, *(base_name(name) + INFERRED for name in markers.names)),
        markers.rate,
        np.concatenate([np.where(at, np.nan, markers.xyz), np.where(at, markers.xyz, np.nan)], 1),
        markers.frame,
        start=markers.start,
    )


def base_name(name: str) -> str:
    """The point's name without the mark of how it was placed."""
    return name.removesuffix(INFERRED)
