import os
import re

import numpy as np
import pytest

from simspine.anatomy import osim as _opensim
from simspine.anatomy.body import Body
from simspine.core.errors import InputError

TABLE = (
    """pelvis_tilt r, pelvis_ty t, hip_flexion_r r, knee_angle_r_beta r, Abs_t1 t, L4_L5_Flex_Ext r, wrist_dev_l r"""
)


def test_coordinates_of_the_built_model(blazepose):
    c = blazepose.coordinates
    assert len(c) == 62
    assert c.free.sum() == 40
    assert c.locked.sum() == 2
    assert c.dependent.sum() == 20
    assert (~c.rotational).sum() == 5
    for entry in TABLE.split(", "):
        name, kind = entry.split()
        assert c.rotational[c.index(name)] == (kind == "r")
    assert c.names[c.depends_on[c.index("L3_L4_Lat_Bending")]] == "L5_S1_Lat_Bending"
    assert c.names[c.depends_on[c.index("knee_angle_l_beta")]] == "knee_angle_l"
    assert c.lower[c.index("L5_S1_Flex_Ext")] == pytest.approx(-0.1954769)
    assert c.clamped[c.index("knee_angle_r")]
    assert not c.clamped[c.index("L5_S1_Flex_Ext")]
    assert c.default[c.index("pelvis_ty")] == pytest.approx(0.94)


def test_couplers_are_those_that_opensim_reads(blazepose):
    osim = _opensim.opensim_api()
    model, read = _opensim.load_opensim_model(blazepose.osim), {}
    for constraint in model.getConstraintSet():
        coupler = osim.CoordinateCouplerConstraint.safeDownCast(constraint)
        line = osim.LinearFunction.safeDownCast(coupler.getFunction())
        driver = coupler.getIndependentCoordinateNames().get(0)
        read[coupler.getDependentCoordinateName()] = (driver, None if line is None else line.getSlope())
    assert {c.dependent: (c.independent, c.slope) for c in blazepose.couplers} == read
    assert len(read) == 20


def test_arrays_cannot_be_changed(blazepose):
    for array in (blazepose.marker_offsets, blazepose.coordinates.default, blazepose.coordinates.depends_on):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_write_and_read_round_trip(blazepose, tmp_path):
    path = tmp_path / "deep" / "model.osim"
    blazepose.write_osim(path)
    again = Body.from_osim(path)
    assert again == blazepose
    assert hash(again) == hash(blazepose)
    assert again.marker_names == blazepose.marker_names
    np.testing.assert_array_equal(again.marker_offsets, blazepose.marker_offsets)
    assert [p.name for p in path.parent.iterdir()] == ["model.osim"]


def test_built_model_loads_in_opensim_without_forces(release, tmp_path):
    osim = _opensim.opensim_api()
    release.write_osim(tmp_path / "model.osim")
    model = osim.Model(str(tmp_path / "model.osim"))
    state = model.initSystem()
    assert model.getCoordinateSet().getSize() == 62
    assert sum(not c.isDependent(state) and not c.getLocked(state) for c in model.getCoordinateSet()) == 40
    assert model.getForceSet().getSize() == 0
    assert model.getControllerSet().getSize() == 0
    assert model.getContactGeometrySet().getSize() == 0
    assert model.getMarkerSet().getSize() == len(release.marker_names)


def test_opensim_leaves_no_log_file(tmp_path, monkeypatch, blazepose):
    monkeypatch.chdir(tmp_path)
    Body.from_text(blazepose.osim)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "telling"),
    [
        ("not XML at all", "not XML"),
        ("", "not XML"),
        ("<OpenSimDocument Version='40000'><MarkerSet name='m'><objects/></MarkerSet></OpenSimDocument>", "MarkerSet"),
        ("<html><body>404</body></html>", "html"),
        ("<OpenSimDocument Version='40000'><Model name='m'/></OpenSimDocument>", "without bodies"),
        # What OpenSim's parser never sees: it ends the process on elements nested without end.
        (
            f"<OpenSimDocument><Model>{'<a>' * 200_000}{'</a>' * 200_000}</Model></OpenSimDocument>",
            "nested deeper than",
        ),
        (f"<OpenSimDocument><Model>{'<a/>' * 600_000}</Model></OpenSimDocument>", "more than 250000 elements"),
        ("<?xml version='1.0' encoding='UTFnan'?><OpenSimDocument/>", "holding nothing"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&d;</a>", "document type"),
    ],
)
def test_a_file_that_is_not_a_model(tmp_path, content, telling):
    path = tmp_path / "model.osim"
    path.write_text(content)
    with pytest.raises(InputError, match=telling) as error:
        Body.from_osim(path)
    assert str(path) in str(error.value)


def test_a_file_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Body.from_osim(tmp_path / "none.osim")


def test_a_model_of_which_opensim_can_make_nothing(blazepose):
    with pytest.raises(InputError, match="OpenSim cannot make a model"):
        Body.from_text(blazepose.osim.replace("/bodyset/torso", "/bodyset/nobody"))


def test_unknown_names_list_the_others(blazepose):
    with pytest.raises(InputError, match="Did you mean 'LKnee'"):
        blazepose.marker_index("LKnees")
    with pytest.raises(InputError, match="knee_angle_r"):
        blazepose.coordinates.index("knee_angle")


def with_mesh(osim: str, named: str) -> str:
    begin, _, rest = osim.partition("<mesh_file>")
    return f"{begin}<mesh_file>{named}</mesh_file>{rest.partition('</mesh_file>')[2]}"


def test_parts_in_other_files_are_not_read(blazepose, tmp_path):
    """OpenSim reads an element with the attribute `file` from there: markers of other models would come along."""
    markers = re.search(r"<MarkerSet.*?</MarkerSet>", blazepose.osim, re.S)[0]
    (tmp_path / "others.xml").write_text(f"<OpenSimDocument Version='40600'>{markers}</OpenSimDocument>")
    outside = f"<MarkerSet name='markerset' file='{tmp_path}/others.xml'/>"
    with pytest.raises(InputError, match=r"<MarkerSet> is in another file .*others\.xml"):
        Body.from_text(blazepose.osim.replace(markers, outside))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_meshes_in_other_folders_are_not_opened(blazepose, tmp_path):
    """OpenSim would wait for the content of a pipe, and fetch a mesh from another computer."""
    pipe = tmp_path / "x.vtp"
    os.mkfifo(pipe)
    found = Body.from_text(with_mesh(blazepose.osim, str(pipe)))
    assert "<mesh_file>x.vtp</mesh_file>" in found.osim
    np.testing.assert_array_equal(found.tree.to_joint, blazepose.tree.to_joint)
    for hidden in (str(pipe).replace("/", "&#47;"), f"<![CDATA[{pipe}]]>"):
        with pytest.raises(InputError, match="<mesh_file> is in another file"):
            Body.from_text(with_mesh(blazepose.osim, hidden))
