"""The network of the trunk's points: its samples, a training that is killed and goes on, and what is written of it."""

import numpy as np
import pytest
import torch
from tools.spine_detector import batches
from tools.spine_detector.batches import POSE_SWAPS, SWAPS, SampleReader, Samples, elsewhere, in_trunks, varied
from tools.spine_detector.network import TrunkNetwork, export
from tools.spine_detector.train import SETTINGS, begun, judged, losses, made_honest

from simspine.learning.descent import Descent, DescentRun, TrainingIdentity, train_by_descent
from simspine.learning.spine_network import covariances_of_spread
from simspine.vision.blazepose_spine import (
    HIP_INDICES,
    MASK_PX,
    SHOULDER_INDICES,
    PoseFeatures,
    to_trunk_frame,
    trunk_frame,
)
from simspine.vision.spinepose import open_session

pytestmark = pytest.mark.learn


def drawn(count: int, seed: int = 1) -> Samples:
    """People whose spine lies between hips and shoulders, with an error of a tenth of the trunk's length across."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0.3, 0.7, (count, 33, 4)).astype(np.float32)
    for pair, y in ((HIP_INDICES, 0.62), (SHOULDER_INDICES, 0.4)):
        points[:, pair, 1] = y + 0.02 * rng.standard_normal((count, 2))
    low, high = points[:, HIP_INDICES, :2].mean(1), points[:, SHOULDER_INDICES, :2].mean(1)
    share = np.linspace(0, 1, 13)[:, None]
    places = low[:, None] + share * (high - low)[:, None] + 0.02 * rng.standard_normal((count, 13, 2))
    image = rng.integers(0, 256, (count, MASK_PX, MASK_PX), np.uint8)
    known = rng.random((count, 13)) < 0.9
    ahead, axes = rng.uniform(-0.4, 0.4, (count, 9, 2)), rng.uniform(-0.4, 0.4, (count, 3, 2))
    return Samples(points, image, places.astype(np.float32), known, ahead, axes)


class Mirror:
    """Random numbers that mirror everybody and move nothing."""

    def random(self, count):
        return np.zeros(count)

    def standard_normal(self, size, dtype=float):
        return np.zeros(size, dtype)


def test_samples_are_seen_as_a_detector_sees_them():
    some = drawn(3)
    seen = in_trunks(some)
    for i in range(3):
        own = to_trunk_frame(PoseFeatures(some.points[i], some.image[i] / np.float32(255)))
        np.testing.assert_array_equal(seen.points[i], own.points)
        np.testing.assert_array_equal(seen.image[i, 0], own.mask)
        back = trunk_frame(some.points[i]).shares(seen.places[i])
        np.testing.assert_allclose(back, some.places[i], atol=1e-6)


def test_a_mirrored_sample_is_the_mirror_image_in_the_trunk(monkeypatch):
    monkeypatch.setattr(batches, "DEPTHS", batches.RENDERED_DEPTHS)
    some = drawn(4)
    plain, turned = in_trunks(some), in_trunks(varied(some, Mirror()))
    np.testing.assert_allclose(turned.places, plain.places[:, SWAPS] * [-1, 1], atol=1e-5)
    np.testing.assert_allclose(turned.points[..., :2], plain.points[:, POSE_SWAPS, :2] * [-1, 1], atol=1e-5)
    np.testing.assert_array_equal(turned.known, plain.known[:, SWAPS])
    assert np.abs(turned.image - plain.image[..., ::-1]).mean() < 0.05 * plain.image.mean()


def test_variation_has_the_stated_size():
    some = drawn(4000)
    off = varied(some, np.random.default_rng(3))
    straight = np.isclose(off.places[:, 9, 0], some.places[:, 9, 0])  # not mirrored
    assert 0.45 < straight.mean() < 0.55
    alone = (off.points - some.points)[straight][:, 0, :2]
    assert alone.std() == pytest.approx(0.003, rel=0.06)
    np.testing.assert_array_equal(off.points[straight][..., 3], some.points[straight][..., 3])


@pytest.mark.parametrize("pair", batches.JOINTS)
@pytest.mark.parametrize("axis", range(3))
def test_joints_move_in_space_as_stated(pair, axis):
    """Seen along the other two axes of the trunk, the movement is that along one; both of a pair move alike."""
    some = drawn(4000)
    only = np.zeros_like(some.axes)
    only[:, axis] = [0.3, 0.4]
    off = elsewhere(some._replace(axes=only), np.random.default_rng(4)).points - some.points
    left, right = off[:, pair, :2].swapaxes(0, 1)
    np.testing.assert_allclose(left, right, atol=1e-6)
    np.testing.assert_allclose(left[:, 1], left[:, 0] * 4 / 3, atol=1e-6)
    assert np.linalg.norm(left, axis=1).std() < 0.5 * batches.JOINTS[pair][axis]
    assert np.sqrt((left**2).sum(1).mean()) == pytest.approx(0.5 * batches.JOINTS[pair][axis], rel=0.06)
    assert not off[:, [i for i in range(33) if not any(i in known for known in batches.JOINTS)]].any()


def test_the_spine_is_as_deep_under_the_skin_as_published():
    some = drawn(4000)
    straight = np.broadcast_to([0.5, 0.0], some.ahead.shape)  # 1 m forward is half a crop to the right
    off = 2 * (elsewhere(some._replace(ahead=straight), np.random.default_rng(5)).places - some.places)[..., 0]
    forward = batches.DEPTHS - batches.RENDERED_DEPTHS
    assert off[:, :9].mean(0) == pytest.approx(forward, abs=0.0005)
    assert off[:, :9].std(0) == pytest.approx(np.hypot(batches.PERSON_DEPTH, batches.LEVEL_DEPTH), rel=0.06)
    assert off[:, :9].mean(1).std() == pytest.approx(np.hypot(batches.PERSON_DEPTH, batches.LEVEL_DEPTH / 3), rel=0.06)
    assert not off[:, 9:].any()


@pytest.fixture(scope="module")
def goal():
    settings = SETTINGS.model_copy(update={"epochs": 3, "batch": 16})
    reader = SampleReader(drawn(70), seed=5, batch=16)
    return Descent(reader.epoch, reader.count, losses, settings)


def run(folder, **changes):
    return DescentRun(folder, TrainingIdentity({}, "data"), 5, **changes)


def fresh():
    return begun(TrunkNetwork(), drawn(70))


def test_a_killed_training_ends_with_the_very_weights(goal, tmp_path):
    whole, history = train_by_descent(fresh, goal, run(tmp_path / "whole"))
    train_by_descent(fresh, goal, run(tmp_path / "cut", until=1))
    torch.manual_seed(9)  # what else draws random numbers does not matter
    resumed, after = train_by_descent(fresh, goal, run(tmp_path / "cut"))
    assert after.losses == history.losses
    assert history.losses[-1]["total"] < history.losses[0]["total"]
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_ellipses_hold_nine_in_ten_of_the_people_held_out():
    network, held = fresh(), in_trunks(drawn(200, seed=2))
    made_honest(network, held)
    assert "in 90 % 0.900" in judged(network, held)


def test_what_is_written_is_what_was_trained(tmp_path):
    torch.manual_seed(2)
    network = TrunkNetwork().eval()
    with torch.no_grad():
        network.prior[:, 2:] = torch.tensor([-3.0, -2.5, 0.6])
    seen = in_trunks(drawn(3))
    export(network, tmp_path / "spine.onnx")
    session = open_session(tmp_path / "spine.onnx")
    (found,) = session.run(None, {"points": seen.points, "mask": seen.image})
    with torch.no_grad():
        places, spread = network(torch.as_tensor(seen.points), torch.as_tensor(seen.image))
    np.testing.assert_allclose(found[..., :2], places.numpy(), atol=1e-5)
    a, b, c = np.moveaxis(found[..., 2:], -1, 0)
    white = np.stack([np.stack([np.exp(a), 0 * a], -1), np.stack([c, np.exp(b)], -1)], -2)
    turned = white @ covariances_of_spread(spread).numpy() @ np.swapaxes(white, -1, -2)
    np.testing.assert_allclose(turned, np.broadcast_to(np.eye(2), turned.shape), atol=1e-4)
