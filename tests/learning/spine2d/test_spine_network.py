"""The network: its size, what it takes, widening it by a teacher's weights, and the same outputs as ONNX."""

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from simspine.core.errors import InputError
from simspine.learning.onnx_files import ONNX_TOLERANCE
from simspine.learning.options import POINT_CHOICES, SpineNetworkSize
from simspine.learning.spine_network import (
    NetworkWeights,
    SpineNetwork,
    best_places,
    build_network,
    covariances_of_spread,
    read_weights,
    save_weights,
)
from simspine.learning.spine_training import ONNX_OUTPUTS, POINT_ROW_WEIGHTS, export_onnx, read_teacher, student_weights
from simspine.vision.spinepose import SpinePose

pytestmark = pytest.mark.learn
SMALL = SpineNetworkSize(width=16, blocks=(1, 1, 1, 1), hidden=16)
BODY, ALL = POINT_CHOICES["body"], POINT_CHOICES["all"]


def weights(names=BODY, seed=1):
    torch.manual_seed(seed)
    network = SpineNetwork(len(names), SMALL)
    for _ in range(3):  # statistics of norms that are not those of the start
        network.train()(torch.randn(4, 3, 256, 192))
    return NetworkWeights(SMALL, names, network.eval().state_dict())


def test_the_default_network_is_of_the_size_it_is_meant_to_have():
    network = SpineNetwork(37, SpineNetworkSize()).eval()
    assert 1e6 < sum(p.numel() for p in network.parameters()) < 2e6
    with torch.no_grad():
        found = network(torch.zeros(2, 3, 256, 192))
    assert (found.maps.x.shape, found.maps.y.shape) == ((2, 37, 384), (2, 37, 512))
    assert (found.spread.shape, best_places(found.maps).shape) == ((2, 37, 3), (2, 37, 2))


def test_covariances_are_positive_and_have_the_deviations():
    spread = np.random.default_rng(1).normal(size=(50, 3))
    found = covariances_of_spread(torch.tensor(spread)).numpy()
    assert (np.linalg.eigvalsh(found) > 0).all()
    np.testing.assert_allclose(np.sqrt(found[:, 0, 0]), np.exp(spread[:, 0]))
    correlation = found[:, 0, 1] / np.sqrt(found[:, 0, 0] * found[:, 1, 1])
    np.testing.assert_allclose(correlation, np.tanh(spread[:, 2]))


def test_a_student_keeps_a_teachers_rows_and_draws_the_others():
    teacher = weights()
    state = student_weights(teacher.state, BODY, ALL, seed=3)
    student, own = build_network(NetworkWeights(SMALL, ALL, state)), build_network(teacher)
    crops = torch.randn(3, 3, 256, 192, generator=torch.manual_seed(4))
    with torch.no_grad():
        features = own.backbone(crops)
        assert torch.equal(student.backbone(crops), features)
        assert torch.allclose(student.points(features)[:, :26], own.points(features), atol=1e-6)
    for key in POINT_ROW_WEIGHTS:
        assert torch.equal(state[key][:26], teacher.state[key])
    old, new = teacher.state["points.weight"], state["points.weight"][26:]
    assert float(new.std()) == pytest.approx(float(old.std()), rel=0.25)
    assert abs(float(new.mean()) - float(old.mean())) < 0.25 * float(old.std())
    again = student_weights(teacher.state, BODY, ALL, seed=3)
    assert all(torch.equal(state[key], again[key]) for key in state)
    assert not torch.equal(student_weights(teacher.state, BODY, ALL, seed=4)["points.weight"][26:], new)


def test_weights_come_back_from_a_file(tmp_path):
    written = weights()
    save_weights(tmp_path / "weights.pt", written)
    found = read_weights(tmp_path / "weights.pt")
    assert (found.names, found.size) == (BODY, SMALL)
    assert all(torch.equal(value, found.state[name]) for name, value in written.state.items())


def test_onnx_gives_the_same_outputs(tmp_path):
    written = weights()
    assert export_onnx(tmp_path / "detector.onnx", written) <= ONNX_TOLERANCE == 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "detector.onnx"))
    assert tuple(entry.name for entry in session.get_outputs()) == ONNX_OUTPUTS
    crops = np.random.default_rng(5).normal(size=(3, 3, 256, 192)).astype(np.float32)  # another batch size
    x, y, covariance = session.run(None, {"crops": crops})
    with torch.no_grad():
        found = build_network(written)(torch.as_tensor(crops))
    np.testing.assert_allclose(x, found.maps.x, atol=1e-4)
    np.testing.assert_allclose(y, found.maps.y, atol=1e-4)
    np.testing.assert_allclose(covariance, covariances_of_spread(found.spread), rtol=1e-4)
    (names,) = [p.value for p in onnx.load(str(tmp_path / "detector.onnx")).metadata_props if p.key == "names"]
    assert tuple(json.loads(names)) == BODY
    assert [file.name for file in tmp_path.iterdir()] == ["detector.onnx"]


def test_an_exported_network_runs_where_spinepose_does(tmp_path):
    export_onnx(tmp_path / "detector.onnx", weights(ALL))
    detector = SpinePose(tmp_path / "detector.onnx")
    (found,) = detector.detect([np.zeros((300, 200, 3), np.uint8)], [np.array([[20.0, 20, 150, 280]])])
    assert detector.skeleton == "spinetrack37"
    assert found.shape == (1, 37, 3)


def test_teachers_that_cannot_teach_are_refused(tmp_path):
    save_weights(tmp_path / "weights.pt", weights())
    teacher = read_teacher(tmp_path / "weights.pt", SMALL, ALL)
    assert teacher.names == BODY
    with pytest.raises(InputError, match="has points that the student lacks: nose"):
        read_teacher(tmp_path / "weights.pt", SMALL, POINT_CHOICES["trunk"])
    with pytest.raises(InputError, match="they must be equal"):
        read_teacher(tmp_path / "weights.pt", SpineNetworkSize(), ALL)
    shape = {name: value[None] for name, value in weights().state.items()}
    infinite = {name: value * float("inf") for name, value in weights().state.items()}
    for state, words in ((shape, "not those of a network of its size"), (infinite, "weights that are not finite")):
        save_weights(tmp_path / "other.pt", replace(weights(), state=state))
        with pytest.raises(InputError, match=rf"other\.pt: .*{words}"):
            read_teacher(tmp_path / "other.pt", SMALL, ALL)
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(InputError, match="cannot be opened as an ONNX network"):
        read_teacher(tmp_path / "broken.onnx", SMALL, ALL)
    export_onnx(tmp_path / "trunk.onnx", weights(POINT_CHOICES["trunk"]))
    with pytest.raises(InputError, match=r"is no teacher: outputs .* 17 or 26 or 37 points"):
        read_teacher(tmp_path / "trunk.onnx", SMALL, ALL)


def test_an_onnx_teacher_sees_what_the_network_does(tmp_path):
    written = weights()
    export_onnx(tmp_path / "detector.onnx", written)
    teacher = read_teacher(tmp_path / "detector.onnx", SMALL, ALL)
    crops = torch.randn(2, 3, 256, 192, generator=torch.manual_seed(7))
    with torch.no_grad():
        np.testing.assert_allclose(teacher.see(crops).x, build_network(written)(crops).maps.x, atol=1e-4)
    assert teacher.state is None
    assert teacher.names == BODY
