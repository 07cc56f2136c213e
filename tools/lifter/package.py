"""The packaged lifter's file: weights.npz → lifter.onnx, with its card; numbers are kept with 16 bits.

python -m tools.lifter.package --weights results/lifter/weights.npz --sd-factor 1.0
"""

import argparse
import hashlib
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from tools.lifter.network import CentredLifter

from simspine.io.atomic import atomic_path
from simspine.vision.lifting import CARD_KEY, PACKAGED_LIFTER, LifterCard

LEAST_KEPT = 1024  # numbers of a tensor that is kept with 16 bits
TRAINED_ON = "40 synthetic people in actions of the virtual capture, arms and legs of different ones, cameras at random"


class WithFactor(torch.nn.Module):
    """The network with its deviations times a number, by which they hold on people it has not seen."""

    def __init__(self, network: CentredLifter, factor: float):
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        xyz, sd = self.network(image)
        return xyz, sd * self.factor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=PACKAGED_LIFTER)
    parser.add_argument("--sd-factor", type=float, default=1.0)
    chosen = parser.parse_args()
    weights = np.load(chosen.weights)
    names = tuple(str(name) for name in weights["names"])
    state = {key: torch.as_tensor(weights[key]) for key in weights.files if key != "names"}
    network = CentredLifter(len(names), (names.index("LHip"), names.index("RHip")), len(state["first.bias"]))
    network.load_state_dict(state)
    card = LifterCard(
        method="centred",
        points=names,
        seen=names,
        optional=tuple(name for name in names if name not in ("LHip", "RHip", "LShoulder", "RShoulder")),
        sd=True,
        trained_on=TRAINED_ON,
        data=hashlib.sha256(chosen.weights.read_bytes()).hexdigest(),
    )
    with atomic_path(chosen.out) as temporary:
        export(temporary, WithFactor(network.eval(), chosen.sd_factor), len(names), card)
    print(f"{chosen.out}: {chosen.out.stat().st_size / 1e6:.1f} MB")


def export(path: Path, network: torch.nn.Module, points: int, card: LifterCard) -> None:
    names = ("image", "xyz", "sd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (0.1 * torch.randn(2, 1, points, 2),), str(path), input_names=["image"],
            output_names=["xyz", "sd"], opset_version=17, dynamic_axes={name: {0: "n"} for name in names}, dynamo=False,
        )  # fmt: skip
    model = onnx.load(str(path))
    with_16_bits(model)
    helper.set_model_props(model, {CARD_KEY: card.model_dump_json()})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def with_16_bits(model: onnx.ModelProto) -> None:
    """Large constants as 16-bit numbers, each cast back where it is used."""
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= LEAST_KEPT:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_16"))
            casts.append(helper.make_node("Cast", [f"{name}_16"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


if __name__ == "__main__":
    main()
