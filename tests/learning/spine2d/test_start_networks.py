"""Training that starts from networks of other programs: stand-ins with the layers of RTMPose, HRNet and ViTPose."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from pose_networks import KINDS, SIZE, write_pose_network
from tools.start_network.__main__ import start_network, write_program
from tools.start_network.from_onnx import OnnxNetwork

from simspine.core.errors import InputError
from simspine.learning.options import spine_options
from simspine.learning.spine_network import StartedNetwork, best_places, maps_of_outputs, read_weights
from simspine.learning.spine_runs import train_detector
from simspine.learning.spine_training import POINTS_BY_COUNT
from simspine.vision.spinepose import SpinePose, decode_heatmaps

pytestmark = pytest.mark.learn


@pytest.fixture(scope="module")
def crops():
    return torch.as_tensor(np.random.default_rng(2).standard_normal((3, 3, *SIZE)), dtype=torch.float32)


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("kind", KINDS)
def test_an_onnx_network_is_the_one_it_was_written_from(kind, opset, crops, tmp_path):
    original = write_pose_network(tmp_path / "own.onnx", kind, opset=opset)
    network = OnnxNetwork(tmp_path / "own.onnx", POINTS_BY_COUNT[17], POINTS_BY_COUNT[17], 1)
    with torch.no_grad():
        wanted = original(crops)
        for found, own in zip(network(crops), wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
            torch.testing.assert_close(found, own, atol=1e-5, rtol=1e-4)
    learnt = sum(part.numel() for part in original.parameters())
    shifts = sum(part.numel() for name, part in original.named_parameters() if name.endswith("bias"))
    assert abs(sum(part.numel() for part in network.parameters()) - learnt) <= shifts + 100  # norms are folded


@pytest.mark.parametrize("kind", ["hrnet", "vitpose"])
def test_points_that_it_has_stay_and_others_are_added(kind, crops, tmp_path):
    original = write_pose_network(tmp_path / "own.onnx", kind)
    network = start_network(str(tmp_path / "own.onnx"), None, "all", 1)
    write_program(tmp_path / "start.pt2", network)
    with torch.no_grad():
        (maps,), own = network(crops), original(crops)
        torch.testing.assert_close(maps[:, :17], own, atol=1e-5, rtol=1e-4)
        found = StartedNetwork(str(tmp_path / "start.pt2"), 37)(crops).maps
        torch.testing.assert_close(found.x[:, :17], maps_of_outputs([own], False).x, atol=1e-5, rtol=1e-4)
    rows = original.final.weight.detach()
    drawn = dict(network.named_parameters())
    new = next(part.detach() for part in drawn.values() if part.shape == (37, *rows.shape[1:]))[17:]
    assert abs(float(new.mean() - rows.mean())) < 4 * float(rows.std()) / new.numel() ** 0.5


@pytest.mark.parametrize("unbiased", [False, True])
def test_heat_maps_become_maps_along_the_axes(unbiased):
    y, x = np.mgrid[:64, :48]
    places = np.random.default_rng(3).uniform([8, 8], [39, 55], (9, 2))
    heat = np.stack([np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) for a, b in places])[None]
    wanted = decode_heatmaps(heat, SIZE, unbiased)[0]
    found = best_places(maps_of_outputs([torch.as_tensor(heat)], unbiased))
    np.testing.assert_allclose(found, wanted, atol=2.1)  # half a cell


def test_a_detector_is_trained_from_it_with_its_teacher(dotted, tmp_path):
    """Frozen, the backbone keeps its weights and the head learns; the written detector has all 37 points."""
    teacher, start = tmp_path / "rtmpose.onnx", tmp_path / "start.pt2"
    write_pose_network(teacher, "rtmpose")
    write_program(start, start_network(str(teacher), None, "all", 1))
    changes = {"training.epochs": 2, "training.batch": 8, "training.average": 0.0, "network.start": str(start)}
    options = spine_options(
        "tiny", data={"train": [{"folder": str(dotted)}]}, teacher=str(teacher), curriculum=[{"frozen": "backbone"}],
        **changes,
    )  # fmt: skip
    train_detector(options, tmp_path / "out")
    header, first, last = (tmp_path / "out" / "losses.csv").read_text().splitlines()
    total = header.split(",").index("total")
    assert "distill" in header
    assert float(last.split(",")[total]) < float(first.split(",")[total])
    before = StartedNetwork(str(start), 37).state_dict()
    after = read_weights(tmp_path / "out" / "weights.pt").state
    same = {name: torch.equal(before[name], after[name]) for name in before}
    assert all(held for name, held in same.items() if "backbone" in name)
    assert not all(held for name, held in same.items() if "head" in name)
    detector = SpinePose(tmp_path / "out" / "detector.onnx")
    assert detector.skeleton == "spinetrack37"
    detector.close()
    assert json.loads((tmp_path / "out" / "options.json").read_text())["network"]["start"] == str(start)


def test_what_is_no_start_is_refused(tmp_path):
    write_pose_network(tmp_path / "own.onnx", "hrnet")
    write_program(tmp_path / "start.pt2", start_network(str(tmp_path / "own.onnx"), None, "body", 1))
    with pytest.raises(InputError, match=r"gives 26 points, data\.points asks for 37"):
        StartedNetwork(str(tmp_path / "start.pt2"), 37)
    (tmp_path / "text.pt2").write_text("no network")
    with pytest.raises(InputError, match=r"text\.pt2 is no network to start from"):
        StartedNetwork(str(tmp_path / "text.pt2"), 37)
    with pytest.raises(InputError, match="both give weights"):
        spine_options("tiny", network={"start": "a.pt2"}, teacher="weights.pt")
    with pytest.raises(InputError, match="Leave them out"):
        start_network(str(tmp_path / "own.onnx"), tmp_path / "a.pth", "all", 1)


class _Evil:
    def __reduce__(self):
        return open, ("ran", "w")


def _pickled() -> bytes:
    buffer = io.BytesIO()
    torch.save(_Evil(), buffer)
    return buffer.getvalue()


def _with_node(content: bytes, **changes) -> bytes:
    program = json.loads(content)
    nodes = program["graph_module"]["graph"]["nodes"]
    nodes.insert(0, nodes[0] | {"outputs": [], "metadata": {}} | changes)
    return json.dumps(program).encode()


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("data/sample_inputs/model.pt", lambda _: _pickled(), "sample_inputs/model.pt, which can be a program"),
        ("models/model.json", lambda c: _with_node(c, target="torch.os.system"), "it calls torch.os.system"),
        ("models/model.json", lambda c: _with_node(c, target="torch.ops.aten.save.default"), "it calls torch.ops"),
        ("models/model.json", lambda c: c.replace(b"Symbol(", b"open(", 1), "it has the size open"),
        ("models/model.json", lambda c: c.replace(b'"guards_code": []', b'"guards_code": ["x"]'), "code of Python"),
        ("data/constants/model_constants_config.json", lambda _: b'{"config": {"a": {"use_pickle": true}}}', "code of"),
        ("data/aotinductor/model/a.so", lambda _: b"", "a.so, which can be a program"),
    ],
)  # fmt: skip
def test_no_code_in_a_start_is_run(part, change, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pose_network(tmp_path / "own.onnx", "hrnet")
    write_program(tmp_path / "start.pt2", start_network("own.onnx", None, "all", 1))
    with zipfile.ZipFile("start.pt2") as own, zipfile.ZipFile("evil.pt2", "w") as evil:
        root = own.namelist()[0].partition("/")[0]
        parts = {name: own.read(name) for name in own.namelist()}
        parts[f"{root}/{part}"] = change(parts.get(f"{root}/{part}", b""))
        for name, content in parts.items():
            evil.writestr(name, content)
    with pytest.raises(InputError, match=f"evil.pt2 is no network to start from: .*{words}"):
        StartedNetwork("evil.pt2", 37)
    assert not (tmp_path / "ran").exists()
