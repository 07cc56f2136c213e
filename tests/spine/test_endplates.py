import importlib.util
from pathlib import Path

import numpy as np
import pytest
from tools.measure_endplates import BoneMesh, as_yaml, find_endplate, measure_model

from simspine.errors import InputError
from simspine.spine.endplates import Endplate, endplate, read_endplates, scaled

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
                assert plate.normal[1] > 0.85, level  # endplates of a standing spine lie within 30° of horizontal
                assert abs(plate.normal[2]) < 1e-2
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


def test_scaling_moves_centres_and_keeps_normals():
    vertebrae = read_endplates()
    big = scaled(vertebrae, {"torso": 1.1})
    np.testing.assert_allclose(big["T8"].centroid, 1.1 * np.array(vertebrae["T8"].centroid))
    np.testing.assert_allclose(big["T3"].superior.centre, 1.1 * np.array(vertebrae["T3"].superior.centre))
    assert big["T3"].superior.normal == vertebrae["T3"].superior.normal
    assert big["L3"] == vertebrae["L3"]
    with pytest.raises(InputError, match=r"torso.*-1"):
        scaled(vertebrae, {"torso": -1})


def test_what_is_missing_is_named(tmp_path):
    vertebrae = read_endplates()
    with pytest.raises(InputError, match=r"L6.*Available"):
        endplate(vertebrae, "L6", "superior")
    with pytest.raises(InputError, match=r"C1 has no superior"):
        endplate(vertebrae, "C1", "superior")
    with pytest.raises(InputError, match=r"upper.*superior, inferior"):
        endplate(vertebrae, "L1", "upper")
    with pytest.raises(InputError, match=r"length 2"):
        Endplate("torso", (0, 0, 0), (0, 2, 0))
    for text in ("vertebrae: 3", "vertebrae: {L1: {body: a}}", "a: [", "[]"):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(InputError, match=r"bad.yaml"):
            read_endplates(tmp_path / "bad.yaml")


def test_file_round_trip(tmp_path):
    (tmp_path / "e.yaml").write_text(as_yaml(read_endplates()), encoding="utf-8")
    assert read_endplates(tmp_path / "e.yaml") == read_endplates()


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
