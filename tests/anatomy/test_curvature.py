import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from simspine.anatomy.clinical import CURVATURE_OF_ADULTS
from simspine.anatomy.curvature import (
    CORNER_SD,
    SVA_PARAMETER,
    TILT_SD,
    Endplate,
    Vertebra,
    cobb_angle,
    curvature_sd_of_people,
    lumbar_lordosis,
    signed_angle,
    thoracic_kyphosis,
)
from simspine.core.errors import InputError

RADIUS = 0.25
UP = (0.0, 1.0, 0.0)
angle = st.floats(-1.2, 1.2)


def arc(total, vertebrae=6, hollow_behind=True):
    """Poses of vertebrae on a circular arc from the lowest up: total angle between lowest and highest (rad)."""
    steps = np.linspace(0, total, vertebrae) * (1 if hollow_behind else -1)  # extension: up turns backwards
    side = 1 if hollow_behind else -1
    poses = {}
    for k, turn in enumerate(steps):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler("z", turn).as_matrix()
        pose[:3, 3] = side * RADIUS * np.array([np.cos(turn) - 1, np.sin(turn), 0])
        poses[f"v{k}"] = pose[None]
    return poses


def plates(upper="v5", lower="v0"):
    return Endplate(upper, (0, 0, 0), UP), Endplate(lower, (0, 0, 0), UP)


@given(st.floats(0.01, 1.5), st.booleans())
def test_circular_arc_has_its_own_angle(total, lordotic):
    got = cobb_angle(arc(total, hollow_behind=lordotic), *plates())
    np.testing.assert_allclose(got, total if lordotic else -total, atol=1e-9)


def test_signs_are_anatomical():
    """Lordosis is positive in LLA, kyphosis in TKA."""
    vertebrae = {
        "L1": Vertebra("L1", "v5", (0, 0, 0), superior=Endplate("v5", (0, 0, 0), UP)),
        "S1": Vertebra("S1", "v0", (0, 0, 0), superior=Endplate("v0", (0, 0, 0), UP)),
        "T3": Vertebra("T3", "v5", (0, 0, 0), superior=Endplate("v5", (0, 0, 0), UP)),
        "T12": Vertebra("T12", "v0", (0, 0, 0), inferior=Endplate("v0", (0, 0, 0), UP)),
    }
    np.testing.assert_allclose(lumbar_lordosis(arc(0.8), vertebrae), 0.8)
    np.testing.assert_allclose(thoracic_kyphosis(arc(0.8, hollow_behind=False), vertebrae), 0.8)


@settings(max_examples=30)
@given(st.floats(0.1, 1.2), st.tuples(angle, angle, angle), st.tuples(angle, angle, angle))
def test_moving_the_subject_changes_nothing(total, turn, shift):
    move = np.eye(4)
    move[:3, :3] = Rotation.from_euler("ZXY", turn).as_matrix()
    move[:3, 3] = shift
    moved = {name: move @ pose for name, pose in arc(total).items()}
    np.testing.assert_allclose(cobb_angle(moved, *plates()), total, atol=1e-9)


def test_side_bending_and_twisting_alone_do_not_show():
    for turn, want in (([0, 0.4, 0], 0.0), ([0, 0, 0.5], 0.0), ([0.3, 0, 0], 0.3)):
        upper = np.eye(4)
        upper[:3, :3] = Rotation.from_euler("ZXY", turn).as_matrix()
        got = cobb_angle({"v0": np.eye(4)[None], "v5": upper[None]}, *plates())
        np.testing.assert_allclose(got, want, atol=1e-9)


def test_default_plane_does_not_favour_either_end():
    """Naming the ends the other way round gives the same angle with the other sign, whatever the posture."""
    rng = np.random.default_rng(1)
    poses = {name: np.tile(np.eye(4), (50, 1, 1)) for name in ("v0", "v5")}
    for pose in poses.values():
        pose[:, :3, :3] = Rotation.from_euler("ZXY", rng.normal(0, 0.4, (50, 3))).as_matrix()
    upper, lower = plates()
    np.testing.assert_allclose(cobb_angle(poses, upper, lower), -cobb_angle(poses, lower, upper), atol=1e-12)


def test_missing_frames_and_names():
    poses = {name: np.repeat(pose, 3, 0) for name, pose in arc(0.5).items()}
    poses["v5"][1] = np.nan
    got = cobb_angle(poses, *plates())
    assert np.isnan(got[1])
    np.testing.assert_allclose(got[[0, 2]], 0.5)
    with pytest.raises(InputError, match=r"v9.*Available: v0"):
        cobb_angle(poses, *plates(upper="v9"))


def test_the_spread_of_adults_has_a_primary_source():
    assert set(CURVATURE_OF_ADULTS) == {"lla", "tka"}
    for adults in CURVATURE_OF_ADULTS.values():
        assert 0 < adults.sd < adults.mean < 90
        assert adults.grade == "A"
        assert not adults.population  # the endplates are others: no norm


def test_an_angle_is_seen_along_its_axis():
    """What either vector has along the axis does not count: the angle is that of their shadows on the plane."""
    axis = np.array([0.0, 0.6, 0.8])
    across = np.array([1.0, 0.0, 0.0])
    turned = Rotation.from_rotvec(0.7 * axis).apply(across)
    for along_a, along_b in ((0.0, 0.0), (2.0, 0.5), (-1.0, 3.0)):
        assert signed_angle(across + along_a * axis, 2 * turned + along_b * axis, axis) == pytest.approx(0.7)


def test_people_differ_by_the_tilts_of_the_endplates_that_a_figure_counts():
    sacral = 0.12
    assert curvature_sd_of_people("lla", sacral) == pytest.approx(np.hypot(sacral, TILT_SD))
    assert curvature_sd_of_people("tka", sacral) == pytest.approx(np.sqrt(2) * TILT_SD)
    assert curvature_sd_of_people("sacral_slope", sacral) == pytest.approx(sacral)
    assert curvature_sd_of_people(SVA_PARAMETER, sacral) == CORNER_SD
    assert curvature_sd_of_people("knee_flexion_r", sacral) == 0
