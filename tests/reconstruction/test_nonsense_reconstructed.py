"""Nonsense handed to the library's whole chain ends in a finding or an error that names it."""

import numpy as np
import pytest
from small_project import dance, of_size

from simspine.anatomy.body import forward_kinematics
from simspine.anatomy.recipes import VIRTUAL_SUFFIX
from simspine.core.errors import InputError
from simspine.core.skeletons import INFERRED_SUFFIX
from simspine.reconstruction.reconstruct import fit_trials

FRAME = 8


@pytest.fixture(scope="module")
def sound():
    body = of_size(1.0)
    markers = forward_kinematics(body, dance(body, 20))
    return markers.select([name for name in markers.names if not name.endswith((INFERRED_SUFFIX, VIRTUAL_SUFFIX))])


def away(xyz, names):
    xyz[FRAME] += [10, 0, 0]


def one_away(xyz, names):
    xyz[FRAME, names.index("LWrist")] += [10, 0, 0]


def mirrored(xyz, names):
    xyz[..., 2] *= -1


def turned_over(xyz, names):
    xyz[..., :2] *= -1


@pytest.mark.parametrize(
    ("change", "codes", "rejected"),
    [
        (away, {"marker_jump", "frame_rmse"}, True),
        (one_away, {"marker_jump", "frame_rmse", "bone_length"}, True),
        (mirrored, {"feet_backwards", "marker_flagged"}, False),
        (turned_over, {"upside_down"}, False),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_odd_is_named(sound, change, codes, rejected):
    xyz = np.array(sound.xyz)
    change(xyz, sound.names)
    found = fit_trials({"t": sound.with_(xyz=xyz)}, "coupled", "spinetrack37")["t"]
    assert codes <= {finding.code for finding in found.findings}
    if rejected:
        assert found.rejected[FRAME]
        assert FRAME in next(finding for finding in found.findings if finding.code == "marker_jump").frames


@pytest.mark.parametrize("factor", [0.3048, 1 / 0.3048])
def test_feet_of_a_seated_person_are_refused(factor):
    """A seated person of 4 feet may be a standing one of 1.2 m in extent, but not in the lengths of segments."""
    body = of_size(1.04)
    seated = dance(body, 12)
    values = np.array(seated.values)
    for side in "rl":
        values[:, seated.names.index(f"hip_flexion_{side}")] += 1.4
        values[:, seated.names.index(f"knee_angle_{side}")] += 1.5
    markers = forward_kinematics(body, seated.with_(values=values))
    with pytest.raises(InputError, match="Are the points in metres"):
        fit_trials({"t": markers.with_(xyz=factor * markers.xyz)}, "coupled", "spinetrack37")


def test_another_unit_is_refused(sound):
    with pytest.raises(InputError, match="Is the unit metres"):
        fit_trials({"t": sound.with_(xyz=1000 * sound.xyz)}, "coupled", "spinetrack37")
