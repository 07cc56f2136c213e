"""Points along the spine at the centroids of the vertebrae they are named after."""

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.core.skeletons import VERTEBRA_OF, points_at_vertebrae
from simspine.core.types import Markers

LEVELS = ("C1", "C4", "C7", "T3", "T8", "L1", "L3", "L5", "S1")


def numbered(names, start, **more):
    """Marker i stands at x = start + i in both frames."""
    xyz = np.zeros((2, len(names), 3))
    xyz[:, :, 0] = start + np.arange(len(names))
    return Markers(tuple(names), 50, xyz, "y_up", **more)


def test_the_nine_points_of_the_papers():
    """SpinePose's page: sacrum, L5, L3, L1, T8, T3, C7, C4, C1."""
    assert list(VERTEBRA_OF.values()) == ["S1", "L5", "L3", "L1", "T8", "T3", "C7", "C4", "C1"]
    assert list(VERTEBRA_OF)[:2] == ["Hip", "Spine_01"]


def test_only_points_along_the_spine_move():
    found = points_at_vertebrae(numbered(("Nose", "Spine_02", "Hip"), 0), numbered(LEVELS, 100))
    assert found.names == ("Nose", "Spine_02", "Hip")
    assert found.xyz[1, :, 0].tolist() == [0, 106, 108]
    assert found.covariance is None


def test_covariances_follow_where_both_have_them():
    one, other = (np.tile(sd * np.eye(3), (2, n, 1, 1)) for sd, n in ((1.0, 2), (4.0, 9)))
    markers, centres = numbered(("Nose", "Hip"), 0, covariance=one), numbered(LEVELS, 100, covariance=other)
    found = points_at_vertebrae(markers, centres)
    assert found.covariance[0, :, 0, 0].tolist() == [1, 4]
    assert points_at_vertebrae(markers, centres.with_(covariance=None)).covariance is None


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(InputError, match="2 frames in 'y_up', centres 2 in 'z_up'"):
        points_at_vertebrae(numbered(("Hip",), 0), numbered(LEVELS, 0).with_(frame="z_up"))
    with pytest.raises(InputError, match="S1"):
        points_at_vertebrae(numbered(("Hip",), 0), numbered(LEVELS[:-1], 0))
