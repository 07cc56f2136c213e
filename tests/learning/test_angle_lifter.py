from dataclasses import replace

import numpy as np
import pytest
import torch

from simspine.body.kernels import all_poses, expand
from simspine.body.tree import scaled_tree
from simspine.errors import InputError
from simspine.learning.angle_body import angle_body
from simspine.learning.angles import AngleLifter
from simspine.learning.encoding import Encoding
from simspine.learning.lifted_angles import lifted_angles
from simspine.learning.lifters import FittedLifter, fit_lifter, of_subjects, samples_for
from simspine.learning.options import LiftingNetwork, preset_options
from simspine.metrics import aligned

pytestmark = pytest.mark.learn


@pytest.fixture(scope="module")
def encoded(tiny, views):
    data = samples_for(tiny, views, views[0].truth.names).usable()
    return data, Encoding.of(data)


def test_points_are_kinematics_of_the_angles_and_sizes(encoded):
    """Laid onto what the compiled kernels make of its angles and sizes, the output leaves float32's rounding."""
    data, code = encoded
    body = angle_body(code.names, "centroids")
    torch.manual_seed(1)
    network = AngleLifter(74, LiftingNetwork(width=16), code, body).eval()
    features = torch.as_tensor(code.features(data)[:4], dtype=torch.float32)
    with torch.no_grad():
        points = code.points(network(features).mean.numpy())
        angles, sizes = network.angles(features).double().numpy(), network.sizes(features).double().numpy()
    assert np.ptp(angles, 0).max() > 0.01
    for i in range(4):
        factors = np.append(sizes[i], 1.0)[body.group]  # −1, the ground, is the last
        expected = all_poses(scaled_tree(body.tree, factors), expand(body.tree, angles[i : i + 1])[0])[2]
        expected = expected - expected[:, :1]
        laid = aligned(points[i : i + 1], expected, scaled=False)
        np.testing.assert_allclose(laid, expected, atol=2e-5)


def test_the_untaught_body_stands_upright_before_the_camera(encoded):
    code = encoded[1]
    network = AngleLifter(74, LiftingNetwork(width=16), code, angle_body(code.names, "centroids")).eval()
    with torch.no_grad():
        network.last.weight.zero_()
        points = code.points(network(torch.zeros(1, 1, 74)).mean.numpy())[0]
    by_name = dict(zip(code.names, points, strict=True))
    assert by_name["Head"][1] < -0.6  # up is −y in a camera
    assert by_name["Nose"][2] < by_name["Neck"][2]  # looks towards the camera
    assert np.linalg.norm(by_name["RKnee"] - by_name["RAnkle"]) == pytest.approx(0.4, abs=0.06)


def test_the_spines_angles_are_the_bodys_coordinates(encoded, tiny, views):
    """A level's rotations are its coordinates, but for signs; a frame without any point has none."""
    _, code = encoded
    body = angle_body(code.names, "centroids")
    rng = np.random.default_rng(2)

    def angles(features):
        return body.tree.rest[body.tree.free] + rng.normal(0, 0.05, (len(features), len(body.names)))

    options = tiny.model_copy(update={"method": "angles"})
    values = angles(np.zeros(10))
    lifter = FittedLifter(options, code.names, code, apply=None, angles=lambda features: values)
    view = views[0]
    blind = view.seen.copy()
    blind[np.flatnonzero(view.scored)[3]] = np.nan
    ((camera, (found,)),) = lifted_angles(lifter, [replace(view, seen=blind)]).items()
    assert camera == view.truth.camera
    assert found.frames.tolist() == view.truth.frames[view.scored].tolist()
    for plane, coordinate in (("flexion", "Flex_Ext"), ("lateral bending", "Lat_Bending")):
        own = np.delete(found.angle[:, found.names.index(f"L3-L4 {plane}")], 3)
        drawn = np.delete(values[:, body.names.index(f"L3_L4_{coordinate}")], 3)
        np.testing.assert_allclose(np.abs(own), np.abs(drawn), atol=1e-9)
    assert np.isnan(found.angle[3]).all()
    with pytest.raises(InputError, match="the method ridge predicts no angles"):
        lifted_angles(replace(lifter, options=tiny.model_copy(update={"method": "ridge"}), angles=None), [view])


def test_the_released_family_lies_behind():
    own, released = (angle_body(("Hip", "Spine_03", "RKnee"), family).tree for family in ("centroids", "released"))
    forward = released.marker_offset[:, 0] - own.marker_offset[:, 0]
    assert forward[1] < -0.02
    assert forward[2] == 0


def test_intervals_are_scaled_on_people_left_out(tiny, views, tmp_path):
    options = preset_options("tiny", method="angles", **{"training.epochs": 2})
    lifter = fit_lifter(options, views, tmp_path)
    held = of_subjects(views, options.calibrate)
    data = lifter.samples(held)
    xyz, deviation = lifter.lift_samples(data)
    score = ((xyz - data.xyz)[:, 1:] / deviation[:, 1:]) ** 2
    np.testing.assert_allclose(np.nanmean(score, (0, 1)), 1, rtol=1e-6)
    assert (deviation[:, 0] == 0).all()
    assert lifter.coverage(held)[0.95] != lifter.coverage(held, raw=True)[0.95]
    sequence = lifter.lift(of_subjects(views, options.test))[0]
    assert sequence.deviation.shape == sequence.xyz.shape
