"""Write a file that `simspine train spine` starts from: a pose network of another program, with the points wanted.

    python -m tools.start_network rtmpose-m.onnx --out results/start.pt2
    python -m tools.start_network hrnet_w32 --weights hrnet_w32_coco_256x192.pth --out results/start.pt2
    python -m tools.start_network cspnext_m --weights rtmpose-m.pth --out results/start.pt2

An ONNX network of 17, 26 or 37 points (RTMPose, SpinePose, HRNet, ViTPose) learns on as a whole; points that it lacks
get rows drawn by the seed. A network of timm gets weights of its backbone only (HRNet, ViTPose, RTMPose's CSPNeXt),
and a new head. Mind the licence of the weights.
"""

import argparse
from pathlib import Path

import torch
from tools.start_network.from_onnx import OnnxNetwork
from tools.start_network.from_timm import TimmNetwork
from torch import nn

from simspine.core.errors import InputError
from simspine.io.atomic import atomic_path
from simspine.learning.options import CROP_SIZE_PX, POINT_CHOICES
from simspine.learning.spine_training import POINTS_BY_COUNT
from simspine.vision.spinepose import open_session, output_shapes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="an .onnx file, or a name of timm")
    parser.add_argument("--weights", type=Path, help="of timm's network: a PyTorch state dictionary; none: drawn anew")
    parser.add_argument("--points", choices=POINT_CHOICES, default="all", help="as data.points of the training")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="file to write (.pt2)")
    chosen = parser.parse_args()
    torch.manual_seed(chosen.seed)
    try:
        network = start_network(chosen.network, chosen.weights, chosen.points, chosen.seed)
    except InputError as error:
        raise SystemExit(str(error)) from None
    write_program(chosen.out, network)
    count = sum(part.numel() for part in network.parameters())
    print(f"{chosen.out}: {count / 1e6:.2f} million parameters, {len(POINT_CHOICES[chosen.points])} points")


def start_network(name: str, weights: Path | None, points: str, seed: int) -> nn.Module:
    """The network with the points wanted; it has a part `backbone`."""
    wanted = POINT_CHOICES[points]
    if not name.endswith(".onnx"):
        return TimmNetwork(name, weights, len(wanted))
    if weights is not None:
        raise InputError("--weights are of timm's networks; an ONNX file has its own. Leave them out.")
    count = output_shapes(open_session(name), CROP_SIZE_PX, name)[0][1]
    if count not in POINTS_BY_COUNT:
        raise InputError(f"{name} gives {count} points, expected {', '.join(map(str, POINTS_BY_COUNT))}.")
    return OnnxNetwork(Path(name), POINTS_BY_COUNT[count], wanted, seed)


def write_program(path: Path, network: nn.Module) -> None:
    """Write a network by `torch.export`, for any number of crops."""
    program = torch.export.export(
        network.eval(), (torch.zeros(2, 3, *CROP_SIZE_PX),), dynamic_shapes=({0: torch.export.Dim("n")},)
    )
    reshapes = (torch.ops.aten.reshape.default, torch.ops.aten.view.default)
    for node in program.graph.nodes:
        if node.target in reshapes:  # the number of crops is what is left: such a network can be written as ONNX
            first, *rest = node.meta["val"].shape
            if not isinstance(first, int) and all(isinstance(side, int) for side in rest):
                node.args = (node.args[0], [-1, *rest])
    program.graph.eliminate_dead_code()
    program.graph_module.recompile()
    with atomic_path(path) as temporary:
        torch.export.save(program, temporary)


if __name__ == "__main__":
    main()
