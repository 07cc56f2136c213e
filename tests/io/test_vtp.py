"""Surfaces of OpenSim's meshes."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.report.bones import read_vtp

# A unit cube: six squares.
CUBE = """<?xml version="1.0"?>
<VTKFile type="PolyData" version="0.1" byte_order="LittleEndian" compressor="vtkZLibDataCompressor">
<PolyData><Piece NumberOfPoints="8" NumberOfPolys="6">
<PointData Normals="Normals"><DataArray type="Float32" Name="Normals" format="ascii">1 2 3</DataArray></PointData>
<Points><DataArray type="Float32" NumberOfComponents="3" format="ascii">
0 0 0 1 0 0 1 1 0 0 1 0 0 0 1 1 0 1 1 1 1 0 1 1</DataArray></Points>
<Polys><DataArray type="Int32" Name="connectivity" format="ascii">
0 3 2 1 4 5 6 7 0 1 5 4 1 2 6 5 2 3 7 6 3 0 4 7</DataArray>
<DataArray type="Int32" Name="offsets" format="ascii">4 8 12 16 20 24</DataArray></Polys>
</Piece></PolyData></VTKFile>"""


def volume(points, triangles):
    """Enclosed by a closed surface wound outwards, by the divergence theorem."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    return np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6


def written(folder, text):
    path = folder / "mesh.vtp"
    path.write_text(text)
    return path


def test_squares_become_triangles_of_the_same_surface(tmp_path):
    points, triangles = read_vtp(written(tmp_path, CUBE))
    assert points.shape == (8, 3)
    assert triangles.shape == (12, 3)
    assert volume(points, triangles) == pytest.approx(1.0)


@pytest.mark.parametrize("mesh", ["lumbar3", "thoracic7_s", "femur_r"])
def test_bones_of_the_installed_model_are_closed_and_as_large_as_bones(mesh):
    folder = Path(find_spec("Pose2Sim").submodule_search_locations[0]) / "OpenSim_Setup" / "Geometry"
    points, triangles = read_vtp(folder / f"{mesh}.vtp")
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    _, sides = np.unique(edges, axis=0, return_counts=True)
    assert set(sides) == {2}  # every edge has a triangle on either side
    longest = np.ptp(points, axis=0).max()
    assert (0.35 if mesh == "femur_r" else 0.04) < longest < (0.5 if mesh == "femur_r" else 0.13)


@pytest.mark.parametrize(
    ("change", "message"),
    [(("<PolyData>", "<Other>"), "not readable as XML"), (("PolyData", "Other"), "PolyData"),
     (("Polys", "Strips"), "polygons"),
     (("1.0", "1.0\" encoding=\"none"), "not readable as XML"),
     (("0 3 2 1", "0 3 2 9"), "not there"), (("0 0 0 1", "0 0 x 1"), "text among"),
     (("0 0 0 1", "0 0 1"), "damaged"), (("0 3 2 1", f"0 3 2 {10**30}"), "text among|too large"),
     (("4 8 12 16 20 24", "4 8 12 16 20 23"), "damaged"), (("4 8 12 16 20 24", ""), "damaged"),
     (("4 8 12 16 20 24", "8 4 12 16 20 24"), "damaged"),
     (('NumberOfComponents="3" format="ascii"', 'NumberOfComponents="3" format="appended"'), "ASCII")],
)  # fmt: skip
def test_what_is_no_such_file_is_said(tmp_path, change, message):
    with pytest.raises(InputError, match=rf"mesh\.vtp.*({message})"):
        read_vtp(written(tmp_path, CUBE.replace(*change)))
