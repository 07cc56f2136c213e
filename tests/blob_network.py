"""ONNX networks whose functions are known; two have the inputs and outputs of SpinePose's detector and lifter."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = (256, 192)


def save_network(path, nodes, inputs, outputs, constants=None, properties=None):
    """Write a network. inputs, outputs: {name: shape}, of floats. constants: {name: array}. properties: {key: text}."""
    shapes = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in named.items()]
        for named in (inputs, outputs)
    ]
    known = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "known", *shapes, known)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, properties or {})
    onnx.save(model, str(path))
    return path


def blob_network(path, batch="batch", points=37, size=SIZE):
    """A network with SpinePose's inputs and outputs that finds the brightest column and row of one colour channel.

    Point k looks at channel k mod 3. Its maps are the channel's greatest value in each column (row), at two bins per
    pixel, bin b standing for coordinate b / 2.
    """
    height, width = size
    resize = {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}
    nodes = [helper.make_node("Mul", ["image", "factor"], ["scaled"])]
    for name, axis in (("simcc_x", 2), ("simcc_y", 3)):
        nodes += [
            helper.make_node("ReduceMax", ["scaled"], [f"{name}_profile"], axes=[axis], keepdims=0),
            helper.make_node("Gather", [f"{name}_profile", "channels"], [f"{name}_points"], axis=1),
            helper.make_node("Resize", [f"{name}_points", "", "double"], [name], **resize),
        ]
    constants = {"channels": np.arange(points) % 3, "double": np.float32([1, 1, 2]), "factor": np.float32(0.2)}
    maps = {"simcc_x": [batch, points, 2 * width], "simcc_y": [batch, points, 2 * height]}
    return save_network(path, nodes, {"image": [batch, 3, height, width]}, maps, constants)


def flat_lifter(path):
    """A network like SpinePose's lifter, (n, 37, 2) → (n, 37, 3): x and y as they come in, z = 1."""
    nodes = [
        helper.make_node("Slice", ["in", "a", "b", "axis"], ["x"]),
        helper.make_node("Mul", ["x", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "one"], ["z"]),
        helper.make_node("Concat", ["in", "z"], ["out"], axis=2),
    ]
    constants = {"a": [0], "b": [1], "axis": [2], "zero": np.float32(0), "one": np.float32(1)}
    return save_network(path, nodes, {"in": ["n", 37, 2]}, {"out": ["n", 37, 3]}, constants)
