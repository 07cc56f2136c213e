import subprocess
import sys
import types

import numpy as np
import onnx
import pytest
from blob_network import SIZE, blob_network, save_network
from onnx import TensorProto, helper

from simspine.core.errors import InputError
from simspine.vision.blazepose import BlazePose
from simspine.vision.detector import Detector, extent_boxes
from simspine.vision.spinepose import SpinePose, decode_simcc, find_weights, frame_box


def blobs(positions, shape=(480, 640), sigma=6.0):
    """An image (BGR) with one Gaussian blob each in blue, green and red at positions (3, 2)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    layers = [255 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2)) for px, py in positions]
    return np.stack(layers, -1).astype(np.uint8)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return blob_network(tmp_path_factory.mktemp("onnx") / "blobs.onnx")


BLUE, GREEN, RED = np.array([[250.3, 150.6], [330.7, 301.2], [280.0, 260.0]])
BOX = np.array([[200.0, 110.0, 380.0, 350.0]])


def expected():
    return np.array([(RED, GREEN, BLUE)[k % 3] for k in range(37)])


def test_known_positions_come_back_through_crop_and_affine(network):
    detector = SpinePose(network)
    assert isinstance(detector, Detector)
    assert detector.skeleton == "spinetrack37"
    (people,) = detector.detect([blobs([BLUE, GREEN, RED])], [BOX])
    assert people.shape == (1, 37, 3)
    np.testing.assert_allclose(people[0, :, :2], expected(), atol=1)
    assert (people[0, :, 2] > 0.3).all()


@pytest.mark.parametrize("box", [[150, 60, 420, 420], [230, 100, 360, 330], [-60, -40, 500, 600]])
def test_boxes_of_any_size_and_beyond_the_image(network, box):
    detector = SpinePose(network)
    box = np.array([box], float)
    (people,) = detector.detect([blobs([BLUE, GREEN, RED])], [box])
    pixel = frame_box(box[0], SIZE)[2] / SIZE[1]
    np.testing.assert_allclose(people[0, :, :2], expected(), atol=max(1, pixel))


class _Counted:
    def __init__(self, session):
        self.session, self.calls = session, []

    def run(self, names, feed):
        self.calls.append(next(iter(feed.values())).shape[0])
        return self.session.run(names, feed)

    def get_inputs(self):
        return self.session.get_inputs()

    def get_outputs(self):
        return self.session.get_outputs()


@pytest.mark.parametrize(("batch", "calls"), [("batch", [4]), (1, [1, 1, 1, 1])])
def test_all_views_and_people_go_through_in_one_call_where_the_network_allows(tmp_path, batch, calls):
    detector = SpinePose(blob_network(tmp_path / "n.onnx", batch=batch))
    detector._session = _Counted(detector._session)
    shifts = np.array([[0, 0], [40, 10], [-30, 60]])
    images = [blobs(np.array([BLUE, GREEN, RED]) + s) for s in shifts]
    boxes = [BOX + np.tile(shift, 2) for shift in shifts]
    boxes[0] = np.concatenate([boxes[0], boxes[0] + 5])  # two people in the first view
    found = detector.detect(images, boxes)
    assert detector._session.calls == calls
    assert [len(f) for f in found] == [2, 1, 1]
    for people, shift in zip(found, shifts, strict=True):
        for person in people:
            np.testing.assert_allclose(person[:, :2], expected() + shift, atol=1)


def test_views_without_anybody_and_more_people_than_wanted(network):
    detector = SpinePose(network, people=1)
    image = blobs([BLUE, GREEN, RED])
    found = detector.detect([image, image], [np.empty((0, 4)), np.concatenate([BOX, BOX])])
    assert [f.shape for f in found] == [(0, 37, 3), (1, 37, 3)]
    assert [f.shape for f in detector.detect([image], [np.empty((0, 4))])] == [(0, 37, 3)]


def test_boxes_of_a_finder_where_none_are_given(network):
    calls = []

    class Finder:
        skeleton, people = "coco17", 1

        def detect(self, images, boxes=None):
            calls.append(len(images))
            corners = (BOX + 3).reshape(2, 2)
            inset = [[1, 1], [-1, -1]] * (corners[1] - corners[0]) / 12  # 1/10 of the extent is added on each side
            return [np.column_stack([corners + inset, np.ones(2)])[None]] * len(images)

    detector = SpinePose(network, finder=Finder())
    image = blobs([BLUE, GREEN, RED])
    found = detector.detect([image, image], [None, BOX])
    assert calls == [2]
    for people in found:
        np.testing.assert_allclose(people[0, :, :2], expected(), atol=1)
    with pytest.raises(InputError, match="x0 < x1"):
        detector.detect([image], [np.array([[10, 10, 5, 20]])])


def test_boxes_from_the_extent_of_another_detectors_points():
    person = np.array([[100.0, 50, 0.9], [300, 250, 0.9], [900, 900, 0.1]])
    np.testing.assert_allclose(extent_boxes(person[None], (640, 400)), [[80, 30, 320, 270]])
    np.testing.assert_allclose(extent_boxes(np.empty((0, 3, 3)), (640, 400)), [[0, 0, 640, 400]])
    unseen = np.full((1, 3, 3), np.nan)
    np.testing.assert_allclose(extent_boxes(unseen, (640, 400)), [[0, 0, 640, 400]])


@pytest.mark.slow
def test_blazepose_frames_the_person_where_nobody_says(network):
    from simspine.io.video import demo_folder, find_project, open_videos

    images = [next(iter(video)) for video in open_videos(find_project(demo_folder()).videos)]
    finder = BlazePose()
    frames = [
        extent_boxes(people, image.shape[1::-1]) for people, image in zip(finder.detect(images), images, strict=True)
    ]
    detector = SpinePose(network, finder=finder)
    for (x0, y0, x1, y1), image in zip(np.concatenate(frames), images, strict=True):
        assert 0 <= x0 < x1 <= image.shape[1]
        assert y1 - y0 > 1.2 * (x1 - x0)  # a standing person, not the whole room
        assert (x1 - x0) * (y1 - y0) < 0.5 * image.shape[0] * image.shape[1]
    assert [found.shape for found in detector.detect(images)] == [(1, 37, 3)] * 4
    detector.close()


def test_decoding_and_nothing_seen():
    x, y = np.zeros((1, 2, 384)), np.zeros((1, 2, 512))
    x[0, 0, 101], y[0, 0, 300] = 0.6, 0.8
    x[0, 1, 7], y[0, 1, 9] = 1.4, 1.2
    xy, confidence = decode_simcc(x, y, SIZE)
    np.testing.assert_allclose(xy[0], [[50.5, 150], [3.5, 4.5]])
    np.testing.assert_allclose(confidence[0], [0.7, 1.0])
    xy, confidence = decode_simcc(np.zeros((1, 1, 384)) - 1, np.zeros((1, 1, 512)), SIZE)
    assert np.isnan(xy).all()
    assert confidence == 0


def test_the_number_of_points_decides_the_skeleton(tmp_path):
    assert SpinePose(blob_network(tmp_path / "n.onnx", points=26)).skeleton == "halpe26"


def test_unusable_networks_and_devices_are_named(tmp_path, network):
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(
        InputError, match=r"text\.onnx cannot be opened as an ONNX network: it is a text file, .*“not a n"
    ):
        SpinePose(tmp_path / "text.onnx")
    (tmp_path / "cut.onnx").write_bytes(network.read_bytes()[:-200])
    with pytest.raises(
        InputError, match=r"cut\.onnx cannot be opened as an ONNX network: it is no ONNX file, or was cut"
    ):
        SpinePose(tmp_path / "cut.onnx")
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(InputError, match=r"CUDAExecutionProvider.*offers .*CPUExecutionProvider.*onnxruntime-gpu"):
            SpinePose(network, device="cuda")
    for device in ("tpu", "cpu:1", "cuda:x"):
        with pytest.raises(InputError, match="expected 'cpu', 'cuda' or 'cuda:N'"):
            SpinePose(network, device=device)


def changed(network, path, change):
    model = onnx.load(str(network))
    change(model)
    onnx.save(model, str(path))
    return path


def unknown_operator(model):
    model.graph.node[0].op_type = "Magic"


def last_colours(model):
    shape = model.graph.input[0].type.tensor_type.shape.dim
    shape[1].dim_value, shape[3].dim_value = SIZE[0], 3


def bytes_in(model):
    model.graph.input[0].name = "bytes"
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    model.graph.node.insert(0, helper.make_node("Cast", ["bytes"], ["image"], to=TensorProto.FLOAT))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (unknown_operator, "cannot be opened as an ONNX network: onnxruntime refuses it .*Magic"),
        (last_colours, r"inputs are image \['batch', 256, 256, 3\]; expected one of \(batch, 3, height, width\)"),
        (bytes_in, r"input is tensor\(uint8\), expected tensor\(float\)"),
    ],
)
def test_networks_that_take_something_else_are_refused_in_one_line(change, message, network, tmp_path):
    path = changed(network, tmp_path / "other.onnx", change)
    with pytest.raises(InputError, match=message) as caught:
        SpinePose(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert "ONNXRuntimeError" not in str(caught.value)


def test_a_network_that_fails_on_its_images_is_named(network, tmp_path):
    def pick_a_colour_that_is_not_there(model):
        values = next(v for v in model.graph.initializer if v.name == "channels")
        values.raw_data = np.full(37, 7).tobytes()

    detector = SpinePose(changed(network, tmp_path / "fails.onnx", pick_a_colour_that_is_not_there))
    with pytest.raises(
        InputError, match=r"fails\.onnx: the network fails on images of shape \(1, 3, 256, 192\) \("
    ) as caught:
        detector.detect([blobs([BLUE, GREEN, RED])], [BOX])
    assert "\n" not in str(caught.value)
    assert "ONNXRuntimeError" not in str(caught.value)


@pytest.mark.parametrize("text", ["tiny", "v3/small", "v2/xlarge", "models/absent.onnx", "spinepose_v1_small_extra"])
def test_neither_file_nor_model_id(text):
    with pytest.raises(InputError, match="no such file, and no model id"):
        find_weights(text)


def test_a_missing_package_tells_how_to_install_it_and_its_licence(monkeypatch):
    monkeypatch.setattr("simspine.vision.spinepose.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"simspine\[spinepose\].*CC-BY-NC-4.0"):
        find_weights("medium")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("medium", "m_simspine"), ("v1/medium", "m_spinetrack"), ("spinepose_v2_small", "s_simspine"),
        ("large", "l_simspine"), ("xlarge", "x_spinetrack"), ("spinepose_v1_xlarge", "x_spinetrack"),
    ],
)  # fmt: skip
def test_model_ids_are_resolved_through_the_package(monkeypatch, tmp_path, text, address):
    """A stand-in with the interface of spinepose 2.1.0: a table of addresses, a function that downloads."""
    fetched = []

    def download_checkpoint(url):
        fetched.append(url)
        return str(tmp_path / "weights.onnx")

    class SpinePoseEstimator:
        MODE = {  # noqa: RUF012
            "small": {"pose": "s_%s"}, "medium": {"pose": "m_%s"}, "large": {"pose": "l_%s"},
            "xlarge": {"pose": "x_spinetrack"},
        }  # fmt: skip

    modules = {
        "spinepose": {}, "spinepose.tools": {}, "spinepose.tools.utils": {},
        "spinepose.pose_estimator": {"SpinePoseEstimator": SpinePoseEstimator},
        "spinepose.tools.utils.file": {"download_checkpoint": download_checkpoint},
    }  # fmt: skip
    for name, content in modules.items():
        module = types.ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("simspine.vision.spinepose.find_spec", lambda name: object())
    assert find_weights(text) == tmp_path / "weights.onnx"
    assert fetched == [address]

    def offline(url):
        raise OSError("no route to host")

    sys.modules["spinepose.tools.utils.file"].download_checkpoint = offline
    with pytest.raises(InputError, match=r"no route to host.*path"):
        find_weights(text)


def test_forgetting_reaches_whoever_finds_the_boxes(network):
    class Follower:
        skeleton, people, calls = "coco17", 1, ()

        def detect(self, images, boxes=None):
            return [np.array([[[50, 60, 1.0], [150, 260, 1.0]]])]

        def forget(self):
            self.calls = (*self.calls, "forget")

        def close(self):
            self.calls = (*self.calls, "close")

    follower = Follower()
    detector = SpinePose(network, finder=follower)
    detector.forget()
    detector.close()
    assert follower.calls == ("forget", "close")
    SpinePose(network).forget()  # which has nobody to forget


def lying_network(path, given, kind=TensorProto.FLOAT, size=SIZE, announced=(37, 384)):
    """Announces maps of SpinePose's shape for each image, and gives one constant of the shape `given`."""
    value = helper.make_tensor("value", kind, given, [b"x"] * np.prod(given) if kind == TensorProto.STRING else
                               np.zeros(np.prod(given)))  # fmt: skip
    nodes = [helper.make_node("Identity", ["value"], [name]) for name in ("x", "y")]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, *size])
    outputs = [helper.make_tensor_value_info(name, kind, ["n", *announced]) for name in ("x", "y")]
    model = helper.make_model(
        helper.make_graph(nodes, "lies", [image], outputs, [value]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ((1, 37, 384), TensorProto.FLOAT),  # for two people
        ((3, 37, 384), TensorProto.FLOAT),
        ((2, 37, 384), TensorProto.STRING),
    ],
)
def test_a_network_that_gives_something_else_than_it_announces(tmp_path, given, kind):
    detector = SpinePose(lying_network(tmp_path / "lies.onnx", given, kind))
    with pytest.raises(InputError, match=r"lies\.onnx: the output x is of shape"):
        detector.detect([blobs([BLUE, GREEN, RED])], [np.tile(BOX, (2, 1))])


def network_of(path, nodes, constants, sides=(37, 384)):
    """A network whose maps are its tensor `map`, made by `nodes` from the largest number of an image, `top`."""
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["top"], axes=[1, 2, 3], keepdims=1), *nodes,
        helper.make_node("Squeeze", ["map", "axis"], ["one"]),
        *(helper.make_node("Expand", ["one", "sides"], [name]) for name in "xy"),
    ]  # fmt: skip
    outputs = {name: ["n", *sides] for name in "xy"}
    constants = constants | {"axis": [3], "sides": [1, *sides]}
    return save_network(path, nodes, {"image": ["n", 3, *SIZE]}, outputs, constants)


def endless(path):
    flags = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("go", "on")]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("a", "b")]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["a", "a"], ["b"])], "round",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), flags[0], values[0]], [flags[1], values[1]],
    )  # fmt: skip
    loop = helper.make_node("Loop", ["rounds", "always", "top"], ["map"], body=body)
    return network_of(path, [loop], {"rounds": 2**62, "always": True})


def immense(path):
    doubled = [helper.make_node("Concat", [f"d{k}", f"d{k}"], [f"d{k + 1}"], axis=0) for k in range(34)]  # 64 GiB
    sums = [helper.make_node("ReduceSum", ["d34"], ["sum"]), helper.make_node("Mul", ["top", "sum"], ["map"])]
    return network_of(path, [*doubled, *sums], {"d0": np.float32([1.0])})


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize(
    ("network", "fault"), [(endless, "its reader found no end"), (immense, "it takes more memory")]
)
def test_a_small_file_of_endless_work_is_refused(network, fault, tmp_path):
    code = (
        "import sys, numpy\nfrom simspine.core.errors import InputError\n"
        "from simspine.vision.spinepose import SpinePose\n"
        "try: SpinePose(sys.argv[1]).detect([numpy.zeros((9, 9, 3), 'u1')])\n"
        "except InputError as error: print(error)"
    )  # in a process of its own, which can be ended
    command = [
        "bash",
        "-c",
        'ulimit -v 8000000; exec "$@"',
        "bash",
        sys.executable,
        "-c",
        code,
        network(tmp_path / "n.onnx"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert f"n.onnx: {fault}" in done.stdout


@pytest.mark.parametrize("factor", [np.nan, np.inf, -np.inf])
def test_maps_that_are_no_numbers_are_refused(factor, tmp_path):
    node = helper.make_node("Mul", ["top", "factor"], ["map"])
    path = network_of(tmp_path / "n.onnx", [node], {"factor": np.float32([factor])})
    with pytest.raises(InputError, match=r"n\.onnx: the network gives infinite or no numbers"):
        SpinePose(path).detect([np.full((90, 90, 3), 255, np.uint8)])


def test_maps_without_bins_are_refused(tmp_path):
    path = network_of(tmp_path / "n.onnx", [helper.make_node("Identity", ["top"], ["map"])], {}, sides=(37, 0))
    with pytest.raises(InputError, match="no SimCC pose network"):
        SpinePose(path).detect([np.zeros((90, 90, 3), np.uint8)])


@pytest.mark.parametrize("size", [(0, 0), (1_000_000, 1_000_000)])
def test_a_network_of_no_image_that_there_is(tmp_path, size):
    with pytest.raises(InputError, match="the network's images are"):
        SpinePose(lying_network(tmp_path / "n.onnx", (1, 37, 384), size=size))
