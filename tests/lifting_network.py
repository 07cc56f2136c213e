"""An ONNX lifter whose function is known."""

import json

import onnx
from onnx import TensorProto, helper

from simspine.vision.lifting import CARD_KEY, LifterCard

POINTS = ("Hip", "LHip", "RHip", "Neck", "LShoulder")


def card(**changes) -> LifterCard:
    """Of a lifter of five points that looks at those of hips and shoulder."""
    entries = {"method": "simple", "points": POINTS, "seen": ("LHip", "RHip", "LShoulder")}
    entries |= {"trained_on": "nobody", "data": "0" * 64}
    return LifterCard(**{**entries, **changes})


def lifting_network(path, own_card: LifterCard | None = None, properties=None):
    """x and y: as they come in; z: twice x; 0 = missing. properties: in place of the card, as they are."""
    own_card = own_card or card()
    points = len(own_card.points)
    constants = [
        helper.make_tensor(name, TensorProto.INT64, shape, [value])
        for name, shape, value in (("last", [1], 2), ("zero", [], 0))
    ]
    constants.append(helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0]))
    constants.append(helper.make_tensor("two", TensorProto.FLOAT, [], [2.0]))
    nodes = [
        helper.make_node("IsNaN", ["image"], ["missing"]),
        helper.make_node("Where", ["missing", "nothing", "image"], ["filled"]),
        helper.make_node("Gather", ["filled", "zero"], ["own"], axis=1),
        helper.make_node("Gather", ["own", "zero"], ["x"], axis=2),
        helper.make_node("Mul", ["x", "two"], ["double"]),
        helper.make_node("Unsqueeze", ["double", "last"], ["z"]),
        helper.make_node("Concat", ["own", "z"], ["xyz"], axis=2),
    ]
    graph = helper.make_graph(
        nodes,
        "known",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, points, 2])],
        [helper.make_tensor_value_info("xyz", TensorProto.FLOAT, ["n", points, 3])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {CARD_KEY: own_card.model_dump_json()} if properties is None else properties)
    onnx.save(model, str(path))
    return path


def of_version(version, **changes) -> dict[str, str]:
    """Properties of a lifter of another version."""
    return {CARD_KEY: json.dumps({**card().model_dump(mode="json"), "version": version, **changes})}
