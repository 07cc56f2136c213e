"""What the trunk's network learns from: how places move in a picture, and people without loose clothes."""

import numpy as np
import pytest
from tools.spine_detector.samples import NATIVE, SPINE, moves, without_top

from simspine.anatomy.skin import skin_asset
from simspine.core.types import Camera
from simspine.synthesis.population import make_subject
from simspine.synthesis.rendered_crops import PictureLabels, Sample, virtual_person
from simspine.synthesis.rendered_scenes import Sensor
from simspine.vision.blazepose import Pose, Region

pytestmark = pytest.mark.learn


def test_moves_are_those_of_a_person_who_stands_before_the_camera():
    """The back is seen from 4 m at 1000 px: forward is away, up is up, right is right; a crop of 500 px."""
    xyz = np.zeros((37, 3))
    xyz[:, 2] = 4.0  # x right, y down, z away
    xyz[SPINE, 1] = -np.linspace(0.0, 0.6, 9)
    for side, x in (("left_", -0.15), ("right_", 0.15)):
        xyz[NATIVE.index(f"{side}hip")] = x, 0.0, 4.0
        xyz[NATIVE.index(f"{side}shoulder")] = x, -0.5, 4.0
    K = np.array([[1000.0, 0, 320], [0, 1000, 240], [0, 0, 1]])
    camera = Camera("a", (640, 480), K, np.zeros(5), np.eye(3), np.zeros(3))
    labels = PictureLabels(np.zeros((37, 3)), xyz, np.zeros((1, 1), bool), (0, 0, 1, 1))
    region = Region(320.0, 240.0, 500.0, 0.0)
    pose = Pose(np.zeros((33, 3)), region, np.zeros((256, 256)), region, np.zeros(33))
    ahead, axes = moves(pose, Sample(np.zeros((1, 1, 3)), labels, camera, Sensor(), 0))
    assert axes[1:] == pytest.approx(np.array([[0, -0.5], [0.5, 0]]), abs=1e-3)  # 1 m is 250 px
    assert axes[0] == pytest.approx([0, 0.5 * 0.25 / 4.0], abs=1e-3)  # away: towards the horizon, from 0.25 m above
    assert ahead[:, 0] == pytest.approx(0, abs=1e-3)
    assert ahead[:, 1] == pytest.approx(0.5 * np.linspace(0.0, 0.6, 9) / 4.0, abs=1e-3)


@pytest.mark.parametrize("tight", [True, False])
def test_without_a_top_the_skin_is_the_outline(tight):
    person = virtual_person(make_subject(1, 2))
    bare = without_top(person, tight)
    cuts = [cut.kind for cut, _ in person.appearance.garments]
    top, skin = 2 + cuts.index("top"), len(person.skin.points)
    assert (person.worn.triangles[person.worn.material == top].min(1) >= skin).any()
    of_top = bare.worn.triangles[bare.worn.material == top]
    assert len(of_top) > 500 if tight else not len(of_top)
    assert (of_top < skin).all()
    high = skin_asset().triangles[
        person.skin.points[skin_asset().triangles, 1].min(1) > person.skin.landmarks["hip_r"][1]
    ]
    drawn = {tuple(row) for row in bare.worn.triangles.tolist()}
    assert all(tuple(row) in drawn for row in high.tolist())
