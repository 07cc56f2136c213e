"""Plain ratios: a body scaled evenly is found exactly, frames that move or bend are not measured."""

import numpy as np
import pytest
from tools.bench.baselines import plain_factors, slow_straight_frames
from tools.bench.engines import walking_motion

from simspine.anatomy.body import forward_kinematics
from simspine.anatomy.marker_sets import read_marker_set
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.anatomy.scaling import ScaleFactors, SegmentFactor, scale_body
from simspine.core.errors import InputError
from simspine.core.types import Markers, Motion


@pytest.fixture(scope="module")
def body():
    return build_body("coupled", "simspine-release")


def neutral(body, frames=60):
    motion = Motion(body.coordinates.names, 50.0, np.tile(body.coordinates.default, (frames, 1)),
                    body.coordinates.rotational)  # fmt: skip
    return forward_kinematics(body, motion).select(list(read_marker_set("simspine-release").places))


def test_an_evenly_larger_person_gets_that_factor_everywhere(body):
    recipe = read_recipe("coupled")
    even = ScaleFactors(tuple(SegmentFactor(s.name, s.bodies, 1.08, False, "") for s in recipe.segments), 1.9, 1.08)
    larger = scale_body(body, even, 70.0, recipe)
    found = plain_factors(body, [neutral(larger), neutral(larger)], recipe)
    assert set(found.by_segment) == {s.name for s in recipe.segments}
    np.testing.assert_allclose(list(found.by_segment.values()), 1.08, atol=1e-9)


def test_a_segment_nobody_sees_gets_the_mean_of_the_others(body):
    markers = neutral(body)
    xyz = np.array(markers.xyz)
    xyz[:, markers.indices(["Head", "Nose"])] = np.nan
    found = plain_factors(body, [markers.with_(xyz=xyz)], read_recipe("coupled"))
    by_segment = {f.segment: f for f in found.factors}
    assert by_segment["head"].assumed
    assert by_segment["head"].factor == pytest.approx(1.0)


def test_the_fifty_straightest_of_the_slow_frames_are_measured(body):
    still = neutral(body, 60)
    walking = forward_kinematics(body, walking_motion(body, 90, 50.0)).select(still.names)
    chosen = slow_straight_frames([walking, still])
    assert len(chosen) == 50
    assert chosen.min() >= 90  # all of the trial that stands still
    with pytest.raises(InputError, match="nothing to scale by"):
        slow_straight_frames([Markers(still.names, 50.0, np.full(still.xyz.shape, np.nan), "y_up")])
