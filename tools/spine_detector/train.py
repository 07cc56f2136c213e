"""Train the spine network on rendered people and write it as ONNX.

    python -m tools.spine_detector.train --samples samples --out network.onnx --seed 1

Needs torch and onnx; a few minutes on one core. One person in ten is held out; printed are the median error on them and
the share of their points within the 90 % ellipse. The same samples, seed and versions give the same weights.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from tools.spine_detector.batches import Samples, Trunks, in_trunks, varied
from tools.spine_detector.network import SpineNetwork, unlikely

from simspine.detection.pose_features import SPINE_POINTS, WINDOW
from simspine.skeletons import load

EPOCHS, BATCH, RATE, DECAY = 30, 128, 2e-3, 1e-3
HELD_OUT = 10  # every tenth person
ELLIPSE_90 = 4.605  # χ² of two degrees of freedom
CHOSEN = [load("spinetrack37").index(name) for name in SPINE_POINTS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--inputs", choices=("points", "points+mask", "crop"), default="points+mask")
    parser.add_argument("--exact", action="store_true", help="take BlazePose's joints on real people for the rendered")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    crop = options.inputs == "crop"
    files = sorted(options.samples.glob("*.npz"))
    held = gathered(files[::HELD_OUT], crop)
    seen = gathered([path for i, path in enumerate(files) if i % HELD_OUT], crop)
    network = SpineNetwork(not crop, options.inputs != "points", 3 if crop else 1)
    train(network, seen, in_trunks(held), options.epochs, options.exact)
    made_honest(network, in_trunks(held))
    print(f"calibrated: {judged(network, in_trunks(held))}")
    export(network, options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1e3:.0f} kB, {len(seen.points)} pictures")


def gathered(files: list[Path], crop: bool) -> Samples:
    """All samples of some files. crop: the images in place of the masks."""
    parts = []
    for path in files:
        data = np.load(path)
        image = data["crop"].transpose(0, 3, 1, 2) if crop else data["mask"][:, None]
        parts.append((data["points"], image, data["places"][:, CHOSEN], data["v"][:, CHOSEN] > 0))
    return Samples(*(torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True)))


def train(network: SpineNetwork, seen: Samples, held: Trunks, epochs: int, exact: bool) -> None:
    descent = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    rounds = len(seen.points) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(descent, RATE, epochs * rounds, pct_start=0.1)
    _start(network, held)
    for epoch in range(epochs):
        network.train()
        order = torch.randperm(len(seen.points))
        for k in range(rounds):
            batch = in_trunks(varied(Samples(*(x[order[k * BATCH : (k + 1) * BATCH]] for x in seen)), exact))
            descent.zero_grad()
            unlikely(network(batch.points, batch.image), batch.places, batch.known).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            descent.step()
            schedule.step()
        if epoch % 5 == 4 or epoch == epochs - 1:
            print(f"epoch {epoch + 1}: {judged(network, held)}", flush=True)


def _start(network: SpineNetwork, some: Trunks) -> None:
    """Begin at mean places, known to e⁻³ of the crop's side."""
    with torch.no_grad():
        start = network.read.bias.view(len(SPINE_POINTS), 5)
        start[:, :2] = torch.stack([some.places[some.known[:, i], i].mean(0) for i in range(len(SPINE_POINTS))])
        start[:, 2:4] = 3.0


def made_honest(network: SpineNetwork, held: Trunks) -> None:
    """Widen or narrow what is stated so that on people held out nine in ten points lie within their 90 % ellipse."""
    _, square = _errors(network, held)
    wider = torch.quantile(square[held.known], 0.9) / ELLIPSE_90
    with torch.no_grad():
        rows = network.read.bias.view(len(SPINE_POINTS), 5)
        rows[:, 2:4] -= wider.log() / 2
        rows[:, 4] /= wider.sqrt()
        network.read.weight.view(len(SPINE_POINTS), 5, -1)[:, 4] /= wider.sqrt()


def _errors(network: SpineNetwork, held: Trunks) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, 13, 5) outputs, and (n, 13) squares of the errors in standard deviations."""
    network.eval()
    with torch.no_grad():
        found = network(held.points, held.image)
    x, y = (held.places - found[..., :2]).unbind(-1)
    a, b, c = found[..., 2:].unbind(-1)
    return found, (torch.exp(a) * x) ** 2 + (c * x + torch.exp(b) * y) ** 2


def judged(network: SpineNetwork, held: Trunks) -> str:
    """Errors on people held out, % of the crop's side, point by point."""
    found, square = _errors(network, held)
    far = (held.places - found[..., :2]).norm(dim=-1)
    each = [f"{100 * far[held.known[:, i], i].median():.2f}" for i in range(len(SPINE_POINTS))]
    inside = (square[held.known] < ELLIPSE_90).float().mean()
    cost = unlikely(found, held.places, held.known)
    return f"-log likelihood {cost:.3f}, in 90 % {inside:.3f}, median % {' '.join(each)}"


def export(network: SpineNetwork, path: Path) -> None:
    """As ONNX, for any number of people."""
    network.eval()
    colours = network.look[0].in_channels
    example = (torch.zeros(2, 33, 4), torch.zeros(2, colours, WINDOW, WINDOW))
    torch.onnx.export(
        network, example, str(path), input_names=["points", "mask"], output_names=["places"], dynamo=False,
        dynamic_axes={"points": {0: "people"}, "mask": {0: "people"}, "places": {0: "people"}},
    )  # fmt: skip


if __name__ == "__main__":
    main()
