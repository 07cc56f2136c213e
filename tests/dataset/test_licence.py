"""Who may have what."""

import pytest
from small_dataset import small_trial

from simspine.dataset.licence import NOTICE, notice, refuse_public, without_points
from simspine.errors import InputError


@pytest.mark.parametrize(("configuration", "restricted"), [
    ({}, False), ({"capture": None}, False), ({"capture": {"human36m": "/data/h36m"}}, True),
    ({"capture": {"human36m": "/data/h36m"}, "virtual": None}, True),
    ({"capture": {"human36m": "results/virtual"}, "virtual": {"seed": 1}}, False),
])  # fmt: skip
def test_notice(configuration, restricted):
    assert notice(configuration) == (NOTICE if restricted else "")


def test_public_copies():
    refuse_public("", "npz", "all")
    refuse_public(NOTICE, "hdf5", "angles")
    with pytest.raises(InputError, match="--contents angles"):
        refuse_public(NOTICE, "hdf5", "all")


def test_without_points_keeps_angles_and_nothing_of_place():
    whole = small_trial(20, 0)
    thin = without_points(whole)
    assert not thin.markers.present.any()
    assert thin.markers.covariance is None
    assert thin.poses == {}
    assert thin.withheld
    assert thin.motion == whole.motion
    assert (thin.lla == whole.lla).sum() == 19  # NaN in one frame
    assert thin.status == whole.status
