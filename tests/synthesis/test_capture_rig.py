import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.core.geometry import project_points, undistort_pixels
from simspine.io.calibration import write_calibration
from simspine.synthesis.virtual_trial import look_at_rotation, virtual_rig

SUBJECTS = ("S1", "S5", "S11")


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_like_human36m(seed):
    for subject in SUBJECTS:
        cameras = virtual_rig(seed, subject)
        assert [(c.name, c.size) for c in cameras] == [
            ("54138969", (1000, 1002)),
            ("55011271", (1000, 1000)),
            ("58860488", (1000, 1000)),
            ("60457274", (1000, 1002)),
        ]
        for camera in cameras:
            x, y, z = camera.centre
            assert 4.8 < np.hypot(x, y) < 6.0
            assert 1.4 <= z <= 1.7
            assert camera.K[[0, 1], [0, 1]] == pytest.approx(1147, abs=12)
            assert camera.K[:2, 2] == pytest.approx(510, abs=30)
            assert camera.distortion[:2] == pytest.approx([-0.2, 0.24], abs=0.08)
            assert np.all(camera.distortion != 0)


def test_a_person_in_the_hall_is_seen_by_all():
    """Feet to raised hands, within 1.2 m of the middle; and the lens can be undone everywhere."""
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    places = np.array([[1.2 * np.cos(a), 1.2 * np.sin(a), z] for a in turn for z in (0.0, 1.0, 2.1)])
    for subject in SUBJECTS:
        cameras = virtual_rig(3, subject)
        for camera, xy in zip(cameras, project_points(cameras, places), strict=True):
            assert ((xy > 0) & (xy < camera.size)).all()
            corners = np.array([[0, 0], [camera.size[0], 0], [0, camera.size[1]], camera.size], float)
            assert np.isfinite(undistort_pixels(camera, corners)).all()


def test_lenses_are_the_same_places_are_not():
    for a, b in zip(virtual_rig(1, "S1"), virtual_rig(1, "S9"), strict=True):
        np.testing.assert_array_equal(a.K, b.K)
        np.testing.assert_array_equal(a.distortion, b.distortion)
        assert 0.005 < np.linalg.norm(a.centre - b.centre) < 0.7
        again = next(c for c in virtual_rig(1, "S1") if c.name == a.name)
        np.testing.assert_array_equal(a.t, again.t)
        assert not np.array_equal(a.K, next(c for c in virtual_rig(2, "S1") if c.name == a.name).K)


def test_looking_at():
    centre, aim = np.array([3.0, -4.0, 1.5]), np.array([0.2, 0.1, 0.5])
    for roll in (0.0, 0.2):
        R = look_at_rotation(centre, aim, roll)
        assert R @ (aim - centre) == pytest.approx([0, 0, np.linalg.norm(aim - centre)], abs=1e-12)
    up = look_at_rotation(centre, aim) @ [0, 0, 1]
    assert up[0] == pytest.approx(0, abs=1e-12)
    assert up[1] < -0.9  # image y points down


def test_any_other_rig(tmp_path):
    path = tmp_path / "mine.toml"
    write_calibration(path, virtual_rig(5, "S1")[:2])
    assert [c.name for c in virtual_rig(1, "S9", path)] == ["54138969", "55011271"]
    with pytest.raises(InputError):
        virtual_rig(1, "S1", tmp_path / "absent.toml")
    with pytest.raises(InputError, match=r"absent\.json"):
        virtual_rig(1, "S1", tmp_path / "absent.json")
