"""Train the packaged lifter on a GPU, or longer on a CPU: poses.npz → weights.npz.

    python -m tools.lifter.train --poses results/lifter/poses.npz --out results/lifter/weights.npz --minutes 4

Each batch is drawn anew: a pose, turned and mirrored, of a person of another size; a camera; and what a detector
would make of it. Errors are of the size of real detectors'; they were not fitted to any recording.
"""

import argparse
import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

try:
    from tools.lifter.network import CentredLifter, lifting_loss
except ImportError:  # alone, next to its network
    from network import CentredLifter, lifting_loss

JOINTS = ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")
BODY_17 = ("Nose", "REye", "LEye", "REar", "LEar", *(side + joint for joint in JOINTS for side in "LR"))
BLAZEPOSE = (*BODY_17, "LHeel", "RHeel", "LBigToe", "RBigToe")
HALPE = (*BLAZEPOSE, "LSmallToe", "RSmallToe", "Head", "Neck", "Hip")
FOOT = ("Heel", "BigToe", "SmallToe")
LIMBS = [
    [side + joint for joint in part]
    for side in "LR"
    for part in (("Elbow", "Wrist"), ("Knee", "Ankle", *FOOT), ("Wrist",), ("Ankle", *FOOT))
]
SHARES = ((BLAZEPOSE, 0.5), (BODY_17, 0.1), (HALPE, 0.1))  # of samples that see these points only; others see all


class Draw:
    """Batches. poses: (n, points, 3) m about the hip, z up."""

    def __init__(self, poses: np.ndarray, names: list[str], device: str, seed: int):
        self.poses = torch.as_tensor(poses, dtype=torch.float32, device=device)
        self.names, self.device = names, device
        self.random = torch.Generator(device=device).manual_seed(seed)
        swapped = [n.replace(n[0], {"L": "R", "R": "L"}[n[0]], 1) if n[0] in "LR" else n for n in names]
        self.other = [names.index(n) for n in swapped]
        self.limbs = [[names.index(n) for n in limb if n in names] for limb in LIMBS]
        self.sets = [torch.tensor([n in own for n in names], device=device) for own, _ in SHARES]
        self.hips = [names.index("LHip"), names.index("RHip")]

    def uniform(self, *size: int) -> Tensor:
        return torch.rand(size, generator=self.random, device=self.device)

    def normal(self, *size: int) -> Tensor:
        return torch.randn(size, generator=self.random, device=self.device)

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Image points (n, 1, points, 2), NaN = missing, and true points (n, points, 3) in the camera's axes."""
        chosen = torch.randint(len(self.poses), (count,), generator=self.random, device=self.device)
        world = self.poses[chosen] * torch.exp(0.05 * self.normal(count, 1, 1))
        mirrored = world[:, self.other] * world.new_tensor([1.0, -1.0, 1.0])
        world = torch.where(self.uniform(count, 1, 1) < 0.5, mirrored, world)
        axes = self.camera_axes(count)
        space = world @ axes.transpose(1, 2)
        distance = 1.5 * (7.0 / 1.5) ** self.uniform(count, 1)
        aside = 0.25 * self.normal(count, 2)
        root = torch.cat([distance * aside, distance], 1)[:, None]
        shape = space.shape[1]
        meant = space + 0.012 * self.normal(count, shape, 3)
        for joints, sd in ((self.hips, 0.02), ([self.names.index("LShoulder"), self.names.index("RShoulder")], 0.012)):
            meant[:, joints] += sd * self.normal(count, 1, 3)
        placed = meant + root
        image = placed[..., :2] / placed[..., 2:].clamp(min=0.3)
        image = image + self.errors(image)
        return self.without_missing(image, placed)[:, None], space - space[:, :1]

    def camera_axes(self, count: int) -> Tensor:
        """(n, 3, 3) rows: right, down, ahead, in the world (z up)."""
        turn = 2 * math.pi * self.uniform(count)
        down = torch.deg2rad(6 + 14 * self.normal(count)).clamp(-0.7, 1.2)
        roll = torch.deg2rad(4 * self.normal(count))
        sin, cos = torch.sin, torch.cos
        ahead = torch.stack([cos(down) * cos(turn), cos(down) * sin(turn), -sin(down)], -1)
        right = torch.stack([sin(turn), -cos(turn), torch.zeros_like(turn)], -1)
        below = torch.cross(ahead, right, dim=-1)
        first = cos(roll)[:, None] * right + sin(roll)[:, None] * below
        second = -sin(roll)[:, None] * right + cos(roll)[:, None] * below
        return torch.stack([first, second, ahead], 1)

    def errors(self, image: Tensor) -> Tensor:
        """What a detector errs, as shares of the person's extent."""
        count, points, _ = image.shape
        extent = (image - image.mean(1, keepdim=True)).pow(2).sum(-1).mean(1).sqrt()[:, None, None]
        level = torch.exp(0.6 * self.normal(count, 1, 1))
        error = 0.014 * level * self.normal(count, points, 2)
        for limb in self.limbs:
            lost = self.uniform(count, 1, 1) < 0.06
            shared = 0.1 * self.normal(count, 1, 2) + 0.08 * self.normal(count, len(limb), 2)
            error[:, limb] += torch.where(lost, shared, torch.zeros_like(shared))
        return error * extent

    def without_missing(self, image: Tensor, placed: Tensor) -> Tensor:
        """NaN for points that the detector does not have, does not find, or that are outside the image."""
        count, points, _ = image.shape
        gone = self.uniform(count, points) < 0.03
        for limb in self.limbs:
            gone[:, limb] |= self.uniform(count, 1) < 0.02
        below = self.uniform(count, 1) * 2.2 - 0.2
        cut = self.uniform(count, 1) < 0.06
        gone |= cut & (image[..., 1] > image[:, :1, 1] + below * (image[..., 1].amax(1) - image[:, 0, 1])[:, None])
        draw, start = self.uniform(count, 1), 0.0
        for own, (_, share) in zip(self.sets, SHARES, strict=True):
            gone |= (draw >= start) & (draw < start + share) & ~own
            start += share
        exchanged = self.uniform(count, 1, 1) < 0.01
        image = torch.where(exchanged, image[:, self.other], image)
        gone |= placed[..., 2] < 0.3
        few = (~gone).sum(1) < 6
        gone &= ~few[:, None]
        return torch.where(gone[..., None], torch.full_like(image, float("nan")), image)


def aligned_error(found: Tensor, true: Tensor) -> Tensor:
    """(n,) m: mean distance after the best similarity."""
    a, b = found - found.mean(1, keepdim=True), true - true.mean(1, keepdim=True)
    u, s, vh = torch.linalg.svd(a.transpose(1, 2) @ b)
    sign = torch.ones_like(s)
    sign[:, 2] = torch.sign(torch.det(u @ vh))
    scale = (s * sign).sum(1) / (a**2).sum((1, 2))
    moved = scale[:, None, None] * (a @ (u * sign[:, None]) @ vh)
    return (moved - b).norm(dim=-1).mean(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poses", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rate", type=float, default=1e-3)
    chosen = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    data = np.load(chosen.poses)
    names, who = [str(name) for name in data["names"]], data["who"]
    held = who >= who.max() - 3  # the last four people
    learnt, watched = Draw(data["xyz"][~held], names, device, 1), Draw(data["xyz"][held], names, device, 2)
    torch.manual_seed(1)
    network = CentredLifter(len(names), (learnt.hips[0], learnt.hips[1]), chosen.width).to(device)
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=chosen.rate, weight_decay=0.01)
    image, true = watched.batch(8192 if device == "cuda" else 2048)
    began, step, said = time.monotonic(), 0, 0.0
    print(f"{device}: {len(learnt.poses)} poses, {sum(p.numel() for p in network.parameters())} weights", flush=True)
    while (done := (time.monotonic() - began) / 60 / chosen.minutes) < 1:
        rate = chosen.rate * min(1.0, step / 500) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        seen, wanted = learnt.batch(chosen.batch)
        xyz, log_sd, turn = network.centred(seen[:, 0])
        loss = lifting_loss(xyz, log_sd, wanted @ turn.transpose(1, 2))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        keep = min(0.999, step / (step + 10))
        with torch.no_grad():
            for own, new in zip(average.parameters(), network.parameters(), strict=True):
                own.lerp_(new, 1 - keep)
        if done * chosen.minutes * 60 - said > 15:
            said = done * chosen.minutes * 60
            report(average, image, true, f"{said:.0f} s, step {step}, loss {float(loss.detach()):.4f}")
    report(average, image, true, f"end, step {step}")
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    state = {name: value.cpu().numpy() for name, value in average.state_dict().items()}
    np.savez(chosen.out, names=np.array(names), **state)


@torch.no_grad()
def report(network: CentredLifter, image: Tensor, true: Tensor, words: str) -> None:
    xyz, sd = network(image)
    error = (xyz - true).norm(dim=-1).mean()
    inside = ((xyz - true)[:, 1:].abs() < 1.645 * sd[:, 1:]).float().mean()
    aligned = 1e3 * float(aligned_error(xyz, true).mean())
    figures = f"held-out people {1e3 * float(error):.1f} mm, aligned {aligned:.1f} mm, within 90 % {float(inside):.2f}"
    print(f"{words}: {figures}", flush=True)


if __name__ == "__main__":
    main()
