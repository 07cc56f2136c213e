"""An ONNX lifter whose function is known."""

import json

import onnx
from onnx import TensorProto, helper

from simspine.vision.lifter import CARD_KEY, LifterCard

POINTS = ("Hip", "LHip", "RHip", "Neck", "LShoulder")


def card(frames=1, interval_s=0.0, **changes) -> LifterCard:
    """Of a lifter of five points that looks at those of hips and shoulder."""
    told = {"method": "simple", "points": POINTS, "seen": ("LHip", "RHip", "LShoulder"), "frames": frames}
    told |= {"interval_s": interval_s, "trained_on": "nobody", "data": "0" * 64}
    return LifterCard(**{**told, **changes})


def lifting_network(path, told: LifterCard | None = None, properties=None):
    """x and y: those of the sample's own frame; z: x of each frame, times 1, 10, 100, … from the first on; 0 = missing.

    properties: in place of the card, as they are."""
    told = told or card()
    frames, points = told.frames, len(told.points)
    constants = [
        helper.make_tensor(name, TensorProto.INT64, shape, [value])
        for name, shape, value in (("row", [1], 1), ("last", [1], 2), ("zero", [], 0), ("middle", [], frames // 2))
    ]
    constants.append(helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0]))
    constants.append(helper.make_tensor("weights", TensorProto.FLOAT, [frames, 1], [10.0**k for k in range(frames)]))
    nodes = [
        helper.make_node("IsNaN", ["image"], ["missing"]),
        helper.make_node("Where", ["missing", "nothing", "image"], ["filled"]),
        helper.make_node("Gather", ["filled", "middle"], ["own"], axis=1),
        helper.make_node("Gather", ["filled", "zero"], ["x"], axis=3),
        helper.make_node("Mul", ["x", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "row"], ["sum"], keepdims=0),
        helper.make_node("Unsqueeze", ["sum", "last"], ["z"]),
        helper.make_node("Concat", ["own", "z"], ["xyz"], axis=2),
    ]
    graph = helper.make_graph(
        nodes,
        "known",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", frames, points, 2])],
        [helper.make_tensor_value_info("xyz", TensorProto.FLOAT, ["n", points, 3])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {CARD_KEY: told.model_dump_json()} if properties is None else properties)
    onnx.save(model, str(path))
    return path


def of_version(version) -> dict[str, str]:
    """Properties of a lifter of another version."""
    return {CARD_KEY: json.dumps({**card().model_dump(mode="json"), "version": version})}
