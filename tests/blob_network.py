"""ONNX networks with the inputs and outputs of SpinePose's detector and lifter, whose functions are known."""

import onnx
from onnx import TensorProto, helper

SIZE = (256, 192)


def blob_network(path, batch="batch", points=37, size=SIZE):
    """A network with SpinePose's inputs and outputs that finds the brightest column and row of one colour channel.

    Point k looks at channel k mod 3. Its maps are the channel's greatest value in each column (row), at two bins per
    pixel, bin b standing for coordinate b / 2.
    """
    height, width = size
    channels = helper.make_tensor("channels", TensorProto.INT64, [points], [k % 3 for k in range(points)])
    double = helper.make_tensor("double", TensorProto.FLOAT, [3], [1, 1, 2])
    factor = helper.make_tensor("factor", TensorProto.FLOAT, [], [0.2])
    resize = {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}
    nodes = [helper.make_node("Mul", ["image", "factor"], ["scaled"])]
    for name, axis in (("simcc_x", 2), ("simcc_y", 3)):
        nodes += [
            helper.make_node("ReduceMax", ["scaled"], [f"{name}_profile"], axes=[axis], keepdims=0),
            helper.make_node("Gather", [f"{name}_profile", "channels"], [f"{name}_points"], axis=1),
            helper.make_node("Resize", [f"{name}_points", "", "double"], [name], **resize),
        ]
    graph = helper.make_graph(
        nodes,
        "blobs",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, height, width])],
        [
            helper.make_tensor_value_info("simcc_x", TensorProto.FLOAT, [batch, points, 2 * width]),
            helper.make_tensor_value_info("simcc_y", TensorProto.FLOAT, [batch, points, 2 * height]),
        ],
        [channels, double, factor],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def flat_lifter(path):
    """A network like SpinePose's lifter, (n, 37, 2) → (n, 37, 3): x and y as they come in, z = 1."""
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["in", "a", "b", "axis"], ["x"]),
            helper.make_node("Mul", ["x", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "one"], ["z"]),
            helper.make_node("Concat", ["in", "z"], ["out"], axis=2),
        ],
        "lifter",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, ["n", 37, 2])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 37, 3])],
        [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in (("a", 0), ("b", 1), ("axis", 2))]
        + [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in (("zero", 0.0), ("one", 1.0))],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path
