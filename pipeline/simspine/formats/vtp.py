"""Read surfaces from VTK's XML polygon files (.vtp), as OpenSim's models name them for their bones. ASCII only.

Format: VTK File Formats, "XML file formats, PolyData". OpenSim's own reader takes points and polygons and nothing else
(Simbody `PolygonalMesh::loadVtpFile`); so does this one.
"""

import os
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np

from simspine.errors import InputError
from simspine.formats._text import parsed, read_bytes


def read_vtp(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) as `read_polygons`, and triangles (t, 3) of point numbers: its polygons split into fans."""
    points, polygons = read_polygons(path)
    fans = [(polygon[0], b, c) for polygon in polygons for b, c in pairwise(polygon[1:])]
    return points, np.array(fans, int).reshape(-1, 3)


def read_polygons(path: str | os.PathLike) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Points (n, 3) in the file's unit (OpenSim: m), and polygons of point numbers.

    Raises `InputError` for what is no ASCII .vtp file.
    """
    piece = parsed(ET.fromstring, read_bytes(path), "readable as XML", path).find("PolyData/Piece")
    if piece is None:
        raise InputError(f"mesh {path} holds no <PolyData><Piece>; expected a .vtp file of polygons.")
    points = _numbers(path, piece.find("Points/DataArray"), float)
    polygons = {array.get("Name"): array for array in piece.findall("Polys/DataArray")}
    corners = _numbers(path, polygons.get("connectivity"), int)
    ends = _numbers(path, polygons.get("offsets"), int)
    inside = not corners.size or (corners.min() >= 0 and 3 * corners.max() < points.size)
    bounds = np.array([0, *ends])
    if points.size % 3 or not inside or bounds[-1] != len(corners) or (np.diff(bounds) < 0).any():
        raise InputError(f"mesh {path}: its polygons name points that are not there; the file is damaged.")
    return points.reshape(-1, 3), tuple(np.split(corners, ends[:-1])) if len(ends) else ()


def _numbers(path: str | os.PathLike, array: ET.Element | None, dtype: type) -> np.ndarray:
    if array is None:
        raise InputError(f"mesh {path} lacks points or polygons; expected a .vtp file of polygons.")
    if array.get("format", "ascii") != "ascii":
        raise InputError(f"mesh {path} is stored as {array.get('format')}; save it as ASCII .vtp.")
    try:
        return np.array((array.text or "").split(), dtype)
    except (ValueError, OverflowError) as error:
        raise InputError(f"mesh {path} holds text among its numbers: {error}.") from None
