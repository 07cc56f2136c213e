"""Models pass to OpenSim and back by files: what the system has against them is said in a line."""

import errno
import os
import re
import tempfile
from pathlib import Path

import pytest
from full_disk import limited
from tools.split_models import opensim_text

from simspine.anatomy import osim
from simspine.anatomy.body import Body
from simspine.core.errors import InputError, Remark
from simspine.io.guarded import opensim_xml

pytestmark = pytest.mark.skipif(os.name == "nt", reason="limits of a file's size are POSIX")


def test_a_model_that_cannot_be_handed_over_names_the_folder(release):
    with limited(1000), pytest.raises(OSError, match="for OpenSim in") as caught:
        osim.load_opensim_model(release.osim)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename.endswith(tempfile.gettempdir())


def test_a_model_that_opensim_cannot_write_names_the_folder(release):
    model = osim.load_opensim_model(release.osim)
    whole = osim.opensim_model_xml(model)
    said = f"{tempfile.gettempdir()}: OpenSim could not write"
    with limited(len(whole) // 2), pytest.raises(InputError, match=said):
        osim.opensim_model_xml(model)
    assert osim.opensim_model_xml(model) == whole


def test_a_decimal_comma_is_refused(release, monkeypatch):
    """As a program with Qt sets it. OpenSim would read 0.5 as 0: measured with de_DE, which few machines have."""
    monkeypatch.setattr("locale.localeconv", lambda: {"decimal_point": ","})
    with pytest.raises(InputError, match=r"a decimal comma in the locale C.*setlocale\(locale.LC_NUMERIC, 'C'\) first"):
        osim.load_opensim_model(release.osim)


def _tetrahedron() -> str:
    """A mesh file in the working folder; its name."""
    corners, faces = ["0 0 0", "0.1 0 0", "0 0.1 0", "0 0 0.1"], ["1 3 2", "1 2 4", "1 4 3", "2 3 4"]
    lines = [f"v {corner}" for corner in corners] + [f"f {face}" for face in faces]
    Path("solid.obj").write_text("\n".join(lines) + "\n")
    return "solid.obj"


def _add_contact(model, kind: str) -> None:
    """Contact geometry on the right foot and the floor, and a force of OpenSim's between them."""
    import opensim

    foot, floor, zero = model.getBodySet().get("calcn_r"), model.getGround(), opensim.Vec3(0)
    heel = opensim.ContactSphere(0.03, zero, foot, "heel")
    plane = opensim.ContactHalfSpace(zero, opensim.Vec3(0, 0, -1.57), floor, "floor")
    model.addContactGeometry(heel)
    model.addContactGeometry(plane)
    if kind == "SmoothSphereHalfSpaceForce":
        force = opensim.SmoothSphereHalfSpaceForce("force", heel, plane)
    elif kind == "ExponentialContactForce":
        force = opensim.ExponentialContactForce(opensim.Transform(), foot, zero)
    elif kind == "MeyerFregly2016Force":
        station, force = opensim.Station(foot, zero), opensim.MeyerFregly2016Force()
        station.setName("sole")
        model.addComponent(station)
        force.connectSocket_station(station)
    elif kind == "components":  # where Moco's examples keep their forces
        model.addComponent(opensim.SmoothSphereHalfSpaceForce("force", heel, plane))
        return
    elif kind.startswith("Contact"):
        solids = {
            "ContactMesh": lambda: opensim.ContactMesh(_tetrahedron(), zero, zero, foot, "solid"),
            "ContactEllipsoid": lambda: opensim.ContactEllipsoid(
                opensim.Vec3(0.1, 0.2, 0.1), zero, zero, foot, "solid"
            ),
            "ContactCylinder": lambda: opensim.ContactCylinder(0.1, zero, zero, foot, "solid"),
            "ContactTorus": lambda: opensim.ContactTorus(0.1, 0.02, zero, zero, foot, "solid"),
        }
        model.addContactGeometry(solids[kind]())
        return
    else:
        force = getattr(opensim, kind)()
        force.addGeometry("heel")
        force.addGeometry("floor")
        force.setStaticFriction(0.77)
    force.setName("contact")
    model.addForce(force)


@pytest.mark.parametrize(
    "kind",
    [
        "HuntCrossleyForce", "ElasticFoundationForce", "SmoothSphereHalfSpaceForce", "ExponentialContactForce",
        "MeyerFregly2016Force", "ContactEllipsoid", "ContactCylinder", "ContactTorus", "ContactMesh", "components",
    ],
)  # fmt: skip
def test_models_with_contact_are_read(release, tmp_path, kind, monkeypatch):
    """As OpenSim writes them, with names of elements that are none in XML; edited, OpenSim still reads the contact."""
    import opensim

    opensim.Logger.setLevelString("off")
    monkeypatch.chdir(tmp_path)
    release.write_osim(tmp_path / "plain.osim")
    model = opensim.Model(str(tmp_path / "plain.osim"))
    _add_contact(model, kind)
    model.finalizeConnections()
    model.printToXML(str(tmp_path / "contact.osim"))
    body = Body.from_osim(tmp_path / "contact.osim")
    assert body.coordinates.names == release.coordinates.names
    edited = tmp_path / "edited.osim"
    edited.write_text(opensim_text(opensim_xml(body.osim)), encoding="utf-8")
    again = opensim.Model(str(edited))
    assert again.getContactGeometrySet().getSize() == model.getContactGeometrySet().getSize()
    assert again.getForceSet().getSize() == model.getForceSet().getSize()
    if kind in ("HuntCrossleyForce", "ElasticFoundationForce"):
        force = getattr(opensim, kind).safeDownCast(again.getForceSet().get("contact"))
        assert force.getStaticFriction() == 0.77


def test_comments_that_xml_does_not_allow_are_read_as_opensim_reads_them(release):
    """`--` in a comment, and a comment begun twice, as in osim-rl's arm model; both end at the first -->."""
    assert release.osim.count("<MarkerSet ") == 1
    text = release.osim.replace("<MarkerSet ", "<!--\n<!--Markers -- of the skin-->\n<MarkerSet ")
    body = Body.from_text(text)
    assert body.osim == text
    assert body.marker_names == release.marker_names
    assert len(opensim_xml(text).findall(".//Marker")) == len(release.marker_names)
    wrong = text.replace("</OpenSimDocument>", "</End>").rstrip()
    with pytest.raises(InputError, match=f"not XML .*line {len(wrong.splitlines())}, "):
        Body.from_text(wrong)


def test_comments_that_never_end_take_no_time():
    """Searching each comment's end anew would take hours."""
    with pytest.raises(InputError, match="not XML"):
        Body.from_text("<OpenSimDocument>" + "<!--" * 500_000)


@pytest.mark.parametrize("file", ["solid.obj", "../Geometry/solid.obj", ""])
@pytest.mark.parametrize("kind", ["HuntCrossleyForce", "ElasticFoundationForce"])
def test_contact_of_a_mesh_that_is_not_found_is_left_out(release, tmp_path, kind, file):
    """Its force is left out as well; a force between other shapes stays."""

    def force(name, shape):
        pair = f"<objects><{kind}::ContactParameters><geometry>{shape} floor</geometry></{kind}::ContactParameters>"
        sets = (
            f'<{kind}::ContactParametersSet name="contact_parameters">{pair}</objects></{kind}::ContactParametersSet>'
        )
        return f'<{kind} name="{name}">{sets}</{kind}>'

    place = "<socket_frame>/bodyset/calcn_r</socket_frame>"
    shapes = (
        '<ContactHalfSpace name="floor"><socket_frame>/ground</socket_frame></ContactHalfSpace>'
        f'<ContactSphere name="heel">{place}<radius>0.03</radius></ContactSphere>'
        f'<ContactMesh name="sole">{place}<filename>{file}</filename></ContactMesh>'
    )
    sets = (
        f'<ForceSet name="forceset"><objects>{force("kept", "heel")}{force("lost", "sole")}</objects></ForceSet>'
        f'<ContactGeometrySet name="contactgeometryset"><objects>{shapes}</objects></ContactGeometrySet>'
    )
    kept = re.sub(r"<(ForceSet|ContactGeometrySet)[ >].*?</\1>", "", release.osim, flags=re.DOTALL)
    (tmp_path / "contact.osim").write_text(kept.replace("</Model>", f"{sets}</Model>"))
    with pytest.warns(Remark, match="contact of the mesh sole is left out"):
        body = Body.from_osim(tmp_path / "contact.osim")
    assert body.coordinates.names == release.coordinates.names
    model = osim.load_opensim_model(body.osim)
    assert [one.getName() for one in model.getForceSet()] == ["kept"]
    assert [one.getName() for one in model.getContactGeometrySet()] == ["floor", "heel"]
