"""Who may have what."""

import pytest
from small_dataset import small_trial

from simspine.core.errors import InputError
from simspine.dataset.recordings import (
    HUMAN36M_NOTICE,
    drop_licensed_places,
    drop_licensed_points,
    licence_notice,
    refuse_public,
)


@pytest.mark.parametrize(("configuration", "virtual", "restricted"), [
    ({}, False, False), ({"capture": None}, False, False), ({"capture": {"human36m": "/data/h36m"}}, False, True),
    ({"capture": {"human36m": "/data/h36m"}, "virtual": {"seed": 1}}, False, True),  # a section proves nothing
    ({"capture": {"human36m": "results/virtual"}, "virtual": {"seed": 1}}, True, False),
])  # fmt: skip
def test_notice(configuration, virtual, restricted):
    assert licence_notice(configuration, virtual) == (HUMAN36M_NOTICE if restricted else "")


def test_public_copies_do_not_name_folders():
    provenance = {
        "configuration": {"results": "/home/me", "capture": {"human36m": "/h"}, "ik": {"engine": "x"}},
        "a": 1,
    }
    assert drop_licensed_places(provenance) == {"configuration": {"ik": {"engine": "x"}}, "a": 1}
    assert drop_licensed_places({}) == {}


def test_public_copies():
    refuse_public("", "npz", "all")
    refuse_public(HUMAN36M_NOTICE, "hdf5", "angles")
    with pytest.raises(InputError, match="--contents angles"):
        refuse_public(HUMAN36M_NOTICE, "hdf5", "all")


def test_without_points_keeps_angles_and_nothing_of_place():
    whole = small_trial(20, 0)
    thin = drop_licensed_points(whole)
    assert not thin.markers.present.any()
    assert thin.markers.covariance is None
    assert thin.poses == {}
    assert thin.withheld
    assert thin.motion == whole.motion
    assert (thin.lla == whole.lla).sum() == 19  # NaN in one frame
    assert thin.status == whole.status
