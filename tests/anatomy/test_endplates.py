import importlib.util
from pathlib import Path

import numpy as np
import pytest
import yaml
from tools.measure_endplates import (
    BoneMesh,
    across_the_curve,
    as_yaml,
    find_endplate,
    find_sacral_endplate,
    measure_model,
)

from simspine.anatomy.body import neutral_poses
from simspine.anatomy.curvature import Endplate, Vertebra, endplate_of, read_endplates, scale_vertebrae, tilt_endplate
from simspine.anatomy.recipes import build_body
from simspine.core.errors import InputError
from simspine.core.settings import models_folder
from simspine.report.bones import read_polygons

LEVELS = [f"C{k}" for k in range(1, 8)] + [f"T{k}" for k in range(1, 13)] + [f"L{k}" for k in range(1, 6)] + ["S1"]
SETUP = Path(importlib.util.find_spec("Pose2Sim").submodule_search_locations[0]) / "OpenSim_Setup"
MODEL = SETUP / "Model_Pose2Sim_muscles_flex.osim"


def box(tilt, notch=0.0):
    """A box whose top is tilted by `tilt` rad (front up), triangulated, with a point in the middle of the top sunk by
    `notch`.
    """
    x, z = [0, 0.04, 0.04, 0], [-0.02, -0.02, 0.02, 0.02]
    top = [[a, 0.02 + a * np.tan(tilt), b] for a, b in zip(x, z, strict=True)]
    bottom = [[a, 0, b] for a, b in zip(x, z, strict=True)]
    points = np.array([*bottom, *top, np.mean(top, 0) - [0, notch, 0]])
    faces = [
        [0, 1, 2, 3],
        [4, 5, 1, 0],
        [5, 6, 2, 1],
        [6, 7, 3, 2],
        [8, 5, 4],
        [8, 6, 5],
        [8, 7, 6],
        [8, 4, 7],
    ]
    # the back face, and a separate tail as a spinous process, so that the box is the front half
    points = np.vstack([points, [[-0.06, 0, 0], [-0.05, 0, 0], [-0.05, 0.01, 0], [-0.05, 0, 0.01]]])
    faces += [[7, 4, 0, 3], [9, 11, 10], [9, 12, 11], [9, 10, 12], [10, 11, 12]]
    return BoneMesh("L1", "body", "box", points, tuple(np.array(f) for f in faces))


@pytest.mark.parametrize("tilt", [-0.4, 0.0, 0.3])
@pytest.mark.parametrize("notch", [0.0, 0.002])
def test_plane_of_a_known_box(tilt, notch):
    top, bottom = find_endplate(box(tilt, notch), "superior"), find_endplate(box(tilt, notch), "inferior")
    np.testing.assert_allclose(top.normal, [-np.sin(tilt), np.cos(tilt), 0], atol=1e-4)
    np.testing.assert_allclose(top.centre, [0.02, 0.02 + 0.02 * np.tan(tilt), 0], atol=1e-4)
    np.testing.assert_allclose(bottom.normal, [0, 1, 0], atol=1e-4)
    np.testing.assert_allclose(bottom.centre, [0.02, 0, 0], atol=1e-4)


def test_shipped_spine_is_anatomical():
    """Neutral model, whose bodies are all aligned with the ground: spacing and order as in people, all on the
    mid-plane.
    """
    vertebrae = read_endplates()
    assert list(vertebrae) == LEVELS
    for level, vertebra in vertebrae.items():
        assert abs(vertebra.centroid[2]) < 2e-3
        for plate in (vertebra.superior, vertebra.inferior):
            if plate:
                # a standing spine's lie within 30° of horizontal, the sacrum's slopes by 41 ± 8° (Vialle 2005)
                assert plate.normal[1] > (0.85 if level != "S1" else 0.57), level
                assert abs(plate.normal[2]) < 1e-2
                assert np.linalg.norm(plate.normal) == pytest.approx(1, abs=1e-3)
        if vertebra.superior and vertebra.inferior:
            height = np.dot(np.subtract(vertebra.superior.centre, vertebra.inferior.centre), vertebra.superior.normal)
            assert 0.010 < height < 0.032, level
            wedge = np.degrees(np.arccos(np.dot(vertebra.superior.normal, vertebra.inferior.normal)))
            assert wedge < 11, level
    thorax = np.array([vertebrae[level].centroid for level in LEVELS[2:19]])
    spacing = np.linalg.norm(np.diff(thorax, axis=0), axis=1)
    assert (np.diff(thorax[:, 1]) < 0).all()
    assert spacing.min() > 0.012
    assert spacing.max() < 0.036


@pytest.fixture(scope="module")
def standing():
    """From a body's point to the ground, m, in the neutral model, whose bodies are all aligned with the ground."""
    poses = neutral_poses(build_body("coupled", "centres"))
    return lambda body, point: (poses[body] @ [*point, 1])[:3]


def backward(normal):
    """How far a plate slopes down to the front, degrees."""
    return np.degrees(np.arctan2(normal[0], normal[1]))


def test_sacral_endplate_is_the_face_of_the_first_sacral_body(standing):
    """Its ends are points of the mesh: the promontory, foremost of all, and the rear corner at the canal. So far apart
    they lie in people: depth 34 ± 3 mm.
    """
    points, _ = read_polygons(SETUP / "Geometry" / "sacrum.vtp")  # in the frame of the pelvis
    points = points + standing("pelvis", (0, 0, 0)) - standing("sacrum", (0, 0, 0))
    plate = read_endplates()["S1"].superior
    promontory = points[points[:, 0] == points[:, 0].max()][0]
    along = np.array([plate.normal[1], -plate.normal[0], 0])
    half = (promontory - plate.centre) @ along
    assert 0.028 < 2 * half < 0.040
    for end in (half, -half):
        place = plate.centre + end * along
        assert np.linalg.norm(points - place, axis=1).min() < 0.004
    profile = points[np.abs(points[:, 2]) < 1e-3]
    below = profile[profile[:, 0] > plate.centre[0] - half * along[0]] - plate.centre
    assert (below @ plate.normal < 0.004).all(), "the bone lies below its endplate"


def test_sacrum_faces_the_hips_and_l5_as_in_people(standing):
    """Pelvic incidence 52 ± 10° and hip axis to endplate 108 ± 8 mm (Legaye 1998, Jackson & McManus 1994). The
    meshes' last disc is more wedged than most people's.
    """
    s1, l5 = read_endplates()["S1"].superior, read_endplates()["L5"].inferior
    axis = (standing("femur_r", (0, 0, 0)) + standing("femur_l", (0, 0, 0))) / 2
    from_hips = standing("sacrum", s1.centre) - axis
    incidence = backward(s1.normal) + np.degrees(np.arctan2(-from_hips[0], from_hips[1]))
    assert 40 < incidence < 65
    assert 0.092 < np.linalg.norm(from_hips) < 0.124
    assert 8 < backward(s1.normal) - backward(l5.normal) < 32
    middle = np.add(s1.normal, l5.normal) / np.linalg.norm(np.add(s1.normal, l5.normal))
    assert 0.005 < (standing("lumbar5", l5.centre) - standing("sacrum", s1.centre)) @ middle < 0.020


SPANS = (  # standing people, degrees, lordosis positive; none of them was used
    ("T1", "superior", "T12", "inferior", -44.2),  # Harrison 2002, n = 80
    ("T2", "superior", "T11", "inferior", -39.9),
    ("T3", "superior", "T10", "inferior", -33.3),
    ("T3", "superior", "T12", "inferior", -36.0),  # Bernhardt & Bridwell 1989, n = 102
    ("T12", "inferior", "L4", "superior", 15.6),  # T12–S1 less L4–S1, Asian Spine J 2019, n = 627
)


@pytest.mark.parametrize(("upper", "above", "lower", "below", "published"), SPANS)
def test_vertebrae_stand_as_peoples_do(upper, above, lower, below, published):
    plates = read_endplates()
    span = backward(getattr(plates[lower], below).normal) - backward(getattr(plates[upper], above).normal)
    assert abs(span - published) < 5


def test_vertebrae_are_turned_across_an_arc():
    """On a circle the direction of the spine is known in each vertebra; endplates differ from it by half the wedge."""
    levels = [f"C{k}" for k in range(3, 8)] + LEVELS[7:]
    angle = np.linspace(0.8, -0.8, len(levels))  # of the direction towards the head, forward
    places = 0.3 * np.column_stack([-np.cos(angle), np.sin(angle), np.zeros(len(levels))])
    drawn = {
        level: Vertebra(level, level, (0, 0, 0), flat if level != "S1" else top, flat if level != "S1" else None, "")
        for level in levels
        for flat, top in [(Endplate(level, (0, 0, 0), (0, 1, 0)), Endplate(level, (0, 0, 0), (0.6, 0.8, 0)))]
    }
    turned = across_the_curve(drawn, dict(zip(levels, places, strict=True)))
    assert turned["S1"] == drawn["S1"]
    assert turned["C5"] == drawn["C5"]
    for level, lean in zip(levels, np.degrees(angle), strict=True):
        if level in ("T3", "L2", "T12"):
            above, below = (backward(getattr(turned[level], side).normal) for side in ("superior", "inferior"))
            assert (above + below) / 2 == pytest.approx(lean, abs=0.5)
            assert above - below == pytest.approx({"T3": 0.0, "T12": 4.2, "L2": 1.65}[level], abs=1e-3)


def sacrum():
    """A roof along the mid-plane: canal, rear corner, promontory, and the front of the bone, between two sides."""
    ridge = [(-0.06, 0.07), (-0.04, 0.05), (-0.03, 0.06), (-0.015, 0.045), (0.0, 0.03), (-0.03, 0.0)]
    points = [(x, y, z) for z, shift in ((0, 0), (-0.02, -0.01), (0.02, -0.01)) for x, y in np.add(ridge, [0, shift])]
    strips = [[a, a + 1, side + a + 1, side + a] for side in (6, 12) for a in range(5)]
    return BoneMesh("S1", "sacrum", "roof", np.array(points, float), tuple(np.array(f) for f in strips))


def test_sacral_endplate_of_a_known_ridge():
    """It ends where the profile falls into the canal, although the bone rises again behind it."""
    plate = find_sacral_endplate(sacrum())
    np.testing.assert_allclose(plate.centre, [-0.015, 0.045, 0], atol=1e-6)
    np.testing.assert_allclose(plate.normal, [np.sqrt(0.5), np.sqrt(0.5), 0], atol=1e-6)


def test_scaling_moves_centres_and_keeps_normals():
    vertebrae = read_endplates()
    big = scale_vertebrae(vertebrae, {"torso": 1.1})
    np.testing.assert_allclose(big["T8"].centroid, 1.1 * np.array(vertebrae["T8"].centroid))
    np.testing.assert_allclose(big["T3"].superior.centre, 1.1 * np.array(vertebrae["T3"].superior.centre))
    assert big["T3"].superior.normal == vertebrae["T3"].superior.normal
    assert big["L3"] == vertebrae["L3"]


def test_what_is_missing_is_named():
    vertebrae = read_endplates()
    with pytest.raises(InputError, match=r"L6.*Available"):
        endplate_of(vertebrae, "L6", "superior")
    with pytest.raises(InputError, match=r"C1 has no superior"):
        endplate_of(vertebrae, "C1", "superior")


def test_the_file_is_written_as_it_is_read():
    shipped = (models_folder() / "endplates.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(as_yaml(read_endplates())) == yaml.safe_load(shipped)


@pytest.mark.slow
def test_shipped_file_is_what_the_meshes_say():
    measured, shipped = measure_model(MODEL, SETUP / "Geometry"), read_endplates()
    assert list(measured) == list(shipped)
    for level in shipped:
        assert measured[level].body == shipped[level].body
        np.testing.assert_allclose(measured[level].centroid, shipped[level].centroid, atol=2e-6)
        for side in ("superior", "inferior"):
            a, b = getattr(measured[level], side), getattr(shipped[level], side)
            assert (a is None) == (b is None)
            if a:
                np.testing.assert_allclose(a.centre, b.centre, atol=2e-6)
                np.testing.assert_allclose(a.normal, b.normal, atol=2e-6)
                assert (a.rear is None) == (b.rear is None) == ((level, side) != ("S1", "superior"))
                if a.rear is not None:
                    np.testing.assert_allclose(a.rear, b.rear, atol=2e-6)


def test_the_rear_corner_of_s1_goes_where_the_endplate_goes():
    """Half the plate's depth behind its centre, in the plate; grown with the body and turned about the centre."""
    plate = read_endplates()["S1"].superior
    behind = np.array(plate.rear) - plate.centre
    assert np.linalg.norm(behind) == pytest.approx(0.016, abs=5e-4)
    assert behind @ plate.normal == pytest.approx(0, abs=1e-6)
    assert behind[0] < 0
    grown = scale_vertebrae(read_endplates(), {plate.body: 1.2})["S1"].superior
    np.testing.assert_allclose(np.array(grown.rear) - grown.centre, 1.2 * behind)
    leant = tilt_endplate(plate, np.radians(90))
    np.testing.assert_allclose(np.array(leant.rear) - leant.centre, [-behind[1], behind[0], 0], atol=1e-12)
