"""Surfaces in VTK's XML polygon files (.vtp, ASCII), as OpenSim's models name them for their bones.

Format: VTK File Formats, "XML file formats, PolyData". OpenSim's own reader takes points and polygons and nothing else
(Simbody `PolygonalMesh::loadVtpFile`); so does this one.
"""

import os
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np

from simspine.core.errors import InputError
from simspine.io.text_tables import parse_content, read_bytes


def read_vtp(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) as `read_polygons`, and triangles (t, 3) of point numbers: its polygons split into fans."""
    points, polygons = read_polygons(path)
    fans = [(polygon[0], b, c) for polygon in polygons for b, c in pairwise(polygon[1:])]
    return points, np.array(fans, int).reshape(-1, 3)


def read_polygons(path: str | os.PathLike) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Points (n, 3) in the file's unit (OpenSim: m), and polygons of point numbers.

    Raises `InputError` for what is no ASCII .vtp file.
    """
    piece = parse_content(ET.fromstring, read_bytes(path), "readable as XML", path).find("PolyData/Piece")
    if piece is None:
        raise InputError(f"mesh {path} holds no <PolyData><Piece>; expected a .vtp file of polygons.")
    points = _array_numbers(path, piece.find("Points/DataArray"), float)
    polygons = {array.get("Name"): array for array in piece.findall("Polys/DataArray")}
    corners = _array_numbers(path, polygons.get("connectivity"), int)
    ends = _array_numbers(path, polygons.get("offsets"), int)
    inside = not corners.size or (corners.min() >= 0 and 3 * corners.max() < points.size)
    bounds = np.array([0, *ends])
    if points.size % 3 or not inside or bounds[-1] != len(corners) or (np.diff(bounds) < 0).any():
        raise InputError(f"mesh {path}: its polygons name points that are not there; the file is damaged.")
    return points.reshape(-1, 3), tuple(np.split(corners, ends[:-1])) if len(ends) else ()


def _array_numbers(path: str | os.PathLike, array: ET.Element | None, dtype: type) -> np.ndarray:
    if array is None:
        raise InputError(f"mesh {path} lacks points or polygons; expected a .vtp file of polygons.")
    if array.get("format", "ascii") != "ascii":
        raise InputError(f"mesh {path} is stored as {array.get('format')}; save it as ASCII .vtp.")
    try:
        return np.array((array.text or "").split(), dtype)
    except (ValueError, OverflowError) as error:
        raise InputError(f"mesh {path} holds text among its numbers: {error}.") from None
