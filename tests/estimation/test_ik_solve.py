"""The way in: what may be handed over, and what is said when it may not."""

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.core.geometry import change_frame
from simspine.core.types import Markers
from simspine.estimation.inverse_kinematics import inverse_kinematics, marker_weights
from simspine.estimation.result import Solver


@pytest.fixture
def markers(walk, seen):
    return seen(walk(frames=1, heading=1.0))


def test_frame_of_the_markers_makes_no_difference(release, markers):
    turned = markers.with_(xyz=change_frame(markers.xyz, "y_up", "z_up"), frame="z_up", start=1.5)
    a, b = inverse_kinematics(release, markers), inverse_kinematics(release, turned)
    np.testing.assert_allclose(a.motion.values, b.motion.values, atol=1e-9)
    assert a.marker_error.max() < 0.02
    assert (b.motion.rate, b.motion.start) == (markers.rate, 1.5)


def test_covariance_and_origin_may_come_along(release, markers):
    rich = markers.with_(
        covariance=np.tile(np.eye(3), (*markers.xyz.shape[:2], 1, 1)), origin=("detected",) * len(markers.names)
    )
    np.testing.assert_array_equal(
        inverse_kinematics(release, rich).motion.values, inverse_kinematics(release, markers).motion.values
    )


def test_weights_name_or_number_or_come_with_the_markers():
    markers = Markers(("A", "B"), 50, np.zeros((2, 2, 3)))
    np.testing.assert_array_equal(marker_weights(markers, None), np.ones((2, 2)))
    np.testing.assert_array_equal(marker_weights(markers, {"B": 3}), [[1, 3], [1, 3]])
    np.testing.assert_array_equal(marker_weights(markers, [[1, 2], [0, 4]]), [[1, 2], [0, 4]])
    np.testing.assert_array_equal(marker_weights(markers.with_(weight=[[1, 2], [3, 4]]), None), [[1, 2], [3, 4]])


def test_a_marker_of_weight_zero_has_no_say(release, markers):
    off = markers.xyz.copy()
    off[:, markers.index("LKnee")] += 1.0
    result = inverse_kinematics(release, markers.with_(xyz=off), {"LKnee": 0.0})
    np.testing.assert_allclose(result.marker_error[0, markers.index("LKnee")], np.sqrt(3), atol=0.05)
    assert np.delete(result.marker_error[0], markers.index("LKnee")).max() < 0.02


def test_unmatched_names_list_both_sides(release, markers):
    renamed = markers.with_(names=tuple("Tail" if n == "LKnee" else n for n in markers.names))
    with pytest.raises(InputError, match=r"1 of 33 markers do not exist.*: Tail\. It has .*LKnee"):
        inverse_kinematics(release, renamed)


def test_all_missing(release, markers):
    with pytest.raises(InputError, match="all 33 markers are missing in all 1 frames"):
        inverse_kinematics(release, markers.with_(xyz=np.full_like(markers.xyz, np.nan)))
    with pytest.raises(InputError, match="missing in all 0 frames"):
        inverse_kinematics(release, markers.with_(xyz=np.empty((0, 33, 3))))


@pytest.mark.parametrize(
    ("weights", "telling"),
    [
        (np.ones((2, 33)), r"weights has shape \(2, 33\), expected \(1, 33\)"),
        ({"LKnees": 1.0}, "Did you mean 'LKnee'"),
        ({"LKnee": -1.0}, "not negative"),
        ({"LKnee": np.nan}, "finite"),
        (np.zeros((1, 33)), "weight above zero"),
    ],
)
def test_bad_weights(release, markers, weights, telling):
    with pytest.raises(InputError, match=telling):
        inverse_kinematics(release, markers, weights)


@pytest.mark.parametrize("term", ["smoothness", "prior"])
def test_terms_the_engine_does_not_have(release, markers, term):
    with pytest.raises(InputError, match="'frames' solves frame by frame, without"):
        inverse_kinematics(release, markers, **{term: object()}, solver=Solver(engine="frames"))


def test_a_task_of_an_unknown_coordinate(release, markers):
    with pytest.raises(InputError, match="Did you mean 'L5_S1_Flex_Ext'"):
        inverse_kinematics(release, markers, solver=Solver(coordinate_tasks={"L5_S1_Flex": (0.0, 0.1)}))
