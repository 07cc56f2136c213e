"""An ONNX lifter whose function is known."""

import json

import numpy as np
from blob_network import save_network
from onnx import helper

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
    nodes = [
        helper.make_node("IsNaN", ["image"], ["missing"]),
        helper.make_node("Where", ["missing", "nothing", "image"], ["filled"]),
        helper.make_node("Gather", ["filled", "zero"], ["own"], axis=1),
        helper.make_node("Gather", ["own", "zero"], ["x"], axis=2),
        helper.make_node("Mul", ["x", "two"], ["double"]),
        helper.make_node("Unsqueeze", ["double", "last"], ["z"]),
        helper.make_node("Concat", ["own", "z"], ["xyz"], axis=2),
    ]
    constants = {"last": [2], "zero": 0, "nothing": np.float32(0), "two": np.float32(2)}
    known = {CARD_KEY: own_card.model_dump_json()} if properties is None else properties
    return save_network(path, nodes, {"image": ["n", 1, points, 2]}, {"xyz": ["n", points, 3]}, constants, known)


def of_version(version, **changes) -> dict[str, str]:
    """Properties of a lifter of another version."""
    return {CARD_KEY: json.dumps({**card().model_dump(mode="json"), "version": version, **changes})}
