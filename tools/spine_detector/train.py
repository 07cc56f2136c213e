"""Train the spine network on rendered people and write it as ONNX.

    python -m tools.spine_detector.train --samples samples --out results/spine --seed 1

Needs torch and onnx; minutes on one core. One person in ten is held out; printed are the median error on them and the
share of their points within the 90 % ellipse. The same samples, seed and versions give the same weights; a killed run
goes on by the same command.
"""

import argparse
import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tools.spine_detector.batches import SampleReader, Samples, elsewhere, in_trunks, read_samples
from tools.spine_detector.network import FIRST_LOG_SD, TrunkNetwork, export

from simspine.learning.descent import TOTAL_LOSS, Descent, DescentRun, TrainingIdentity, train_by_descent
from simspine.learning.options import DescentSettings
from simspine.learning.spine_network import covariances_of_spread, gaussian_loss
from simspine.synthesis.signals import random_stream
from simspine.vision.blazepose_spine import SPINE_POINTS, trunk_frame

SETTINGS = DescentSettings(
    epochs=30, batch=128, rate=2e-3, last_share=0.0, decay=1e-3, average=2e-3, average_steps=100, clip=1.0
)
HELD_OUT = 10  # every tenth person
ELLIPSE_90 = 4.605  # χ² of two degrees of freedom


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of spine.onnx and the checkpoint")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=SETTINGS.epochs)
    options = parser.parse_args()
    files = sorted(options.samples.glob("*.npz"))
    held = read_samples(files[::HELD_OUT])
    held = in_trunks(elsewhere(held, random_stream(options.seed, "held out")))
    seen = read_samples([path for i, path in enumerate(files) if i % HELD_OUT])
    stated = {name: getattr(options, name) for name in ("seed", "epochs")}
    run = DescentRun(options.out, TrainingIdentity(stated, _digest(seen)), options.seed, say=partial(print, flush=True))
    reader = SampleReader(seen, options.seed, SETTINGS.batch)
    goal = Descent(
        reader.epoch, reader.count, losses, SETTINGS.model_copy(update={"epochs": options.epochs}),
        watch=lambda network: float(losses(network, held)[TOTAL_LOSS]), shown="people held out {:.3f}",
    )  # fmt: skip
    network = TrunkNetwork()
    network.load_state_dict(train_by_descent(lambda: begun(TrunkNetwork(), seen), goal, run)[0])
    made_honest(network, held)
    print(f"calibrated: {judged(network, held)}")
    path = options.out / "spine.onnx"
    export(network, path)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB, {len(seen.points)} pictures")
    print(f"SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


def begun(network: TrunkNetwork, seen: Samples) -> TrunkNetwork:
    """With mean places, known to e⁻³ of the crop's side."""
    places = np.where(seen.known[..., None], trunk_frame(seen.points).places(seen.places), np.nan)
    with torch.no_grad():
        network.prior[:, :2] = torch.as_tensor(np.nanmean(places, 0))
        network.prior[:, 2:4] = FIRST_LOG_SD
    return network


def losses(network: TrunkNetwork, batch: Samples) -> dict[str, torch.Tensor]:
    """Negative log likelihood of the true places."""
    points, image, places, known = map(torch.as_tensor, batch[:4])
    return {TOTAL_LOSS: gaussian_loss(*network(points, image), places, known)}


def made_honest(network: TrunkNetwork, held: Samples) -> None:
    """Widen or narrow what is stated so that on people held out nine in ten points lie within their 90 % ellipse."""
    square = _errors(network, held)[1]
    wider = torch.quantile(square[torch.as_tensor(held.known)], 0.9) / ELLIPSE_90
    with torch.no_grad():
        network.prior[:, 2:4] += wider.log() / 2


def judged(network: TrunkNetwork, held: Samples) -> str:
    """Errors on people held out, % of the crop's side, point by point."""
    far, square = _errors(network, held)
    known = torch.as_tensor(held.known)
    each = [f"{100 * far[known[:, i], i].median():.2f}" for i in range(len(SPINE_POINTS))]
    inside = (square[known] < ELLIPSE_90).float().mean()
    with torch.no_grad():
        cost = losses(network.eval(), held)[TOTAL_LOSS]
    return f"-log likelihood {cost:.3f}, in 90 % {inside:.3f}, median % {' '.join(each)}"


def _errors(network: TrunkNetwork, held: Samples) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, 13) distances, and squares of them in standard deviations."""
    with torch.no_grad():
        places, spread = network.eval()(torch.as_tensor(held.points), torch.as_tensor(held.image))
    off = torch.as_tensor(held.places) - places
    white = torch.linalg.solve(covariances_of_spread(spread), off[..., None])[..., 0]
    return off.norm(dim=-1), (off * white).sum(-1)


def _digest(samples: Samples) -> str:
    found = hashlib.sha256()
    for array in samples:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


if __name__ == "__main__":
    main()
