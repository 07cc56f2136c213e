"""Small networks with the layers of RTMPose, HRNet and ViTPose, and their ONNX files: known stand-ins for weights."""

import warnings

import torch
from torch import nn
from torch.nn import functional

SIZE = (256, 192)


class Block(nn.Sequential):
    def __init__(self, before, after, kernel=3, stride=1, group=1):
        super().__init__(
            nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=group, bias=False),
            nn.BatchNorm2d(after),
            nn.SiLU(),
        )


class LikeRtmpose(nn.Module):
    """CSPNeXt's parts (depthwise convolutions, pooled pyramid, channel attention) and RTMPose's head with its gated
    attention among points."""

    def __init__(self, points):
        super().__init__()
        self.stem = nn.Sequential(Block(3, 8, 3, 4), Block(8, 8, 5, 1, 8), Block(8, 16, 3, 4))
        self.pyramid = Block(48, 16, 1)
        self.attention = nn.Conv2d(16, 16, 1)
        self.final = nn.Conv2d(16, points, 7, padding=3)
        self.scale, self.mlp = nn.Parameter(torch.ones(1)), nn.Linear(16 * 12, 32, bias=False)
        self.uv, self.out = nn.Linear(32, 64 + 64 + 16, bias=False), nn.Linear(64, 32, bias=False)
        self.gamma, self.beta = nn.Parameter(torch.rand(2, 16)), nn.Parameter(torch.rand(2, 16))
        self.x, self.y = nn.Linear(32, 384, bias=False), nn.Linear(32, 512, bias=False)

    def forward(self, crops):
        seen = self.stem(crops)
        seen = self.pyramid(torch.cat([seen, *(functional.max_pool2d(seen, k, 1, k // 2) for k in (5, 9))], 1))
        seen = seen * functional.hardsigmoid(self.attention(seen.mean((2, 3), keepdim=True)))
        rows = torch.flatten(self.final(seen), 2)
        norm = torch.norm(rows, dim=-1, keepdim=True) * rows.shape[-1] ** -0.5
        rows = self.mlp(rows / norm.clamp(min=1e-5) * self.scale)
        u, v, base = torch.split(functional.silu(self.uv(rows)), [64, 64, 16], -1)
        base = base.unsqueeze(2) * self.gamma[None, None] + self.beta
        q, k = torch.unbind(base, 2)
        share = torch.square(functional.relu(torch.bmm(q, k.permute(0, 2, 1)) / 4.0))
        rows = rows + self.out(u * torch.bmm(share, v))
        return self.x(rows), self.y(rows)


class LikeHrnet(nn.Module):
    """Two resolutions that exchange what they see, and heat maps."""

    def __init__(self, points):
        super().__init__()
        self.stem, self.fine = Block(3, 8, 3, 4), Block(8, 8)
        self.coarse, self.back = Block(8, 16, 3, 2), nn.Conv2d(16, 8, 1)
        self.final = nn.Conv2d(8, points, 1)

    def forward(self, crops):
        seen = self.stem(crops)
        up = functional.interpolate(self.back(self.coarse(seen)), scale_factor=2.0, mode="nearest")
        return self.final(functional.relu(self.fine(seen) + up))


class LikeVitpose(nn.Module):
    """Patches with places, one transformer layer, transposed convolutions, heat maps."""

    def __init__(self, points):
        super().__init__()
        self.patch, self.places = nn.Conv2d(3, 32, 16, 16, 2), nn.Parameter(torch.rand(1, 192, 32))
        self.norms = nn.ModuleList(nn.LayerNorm(32) for _ in range(3))
        self.qkv, self.proj = nn.Linear(32, 96), nn.Linear(32, 32)
        self.wider, self.narrower = nn.Linear(32, 64), nn.Linear(64, 32)
        self.up = nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False)
        self.again = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU(), nn.ConvTranspose2d(16, 16, 4, 2, 1, bias=False))
        self.final = nn.Conv2d(16, points, 1)

    def forward(self, crops):
        count = crops.shape[0]
        seen = self.patch(crops).flatten(2).transpose(1, 2) + self.places
        q, k, v = self.qkv(self.norms[0](seen)).reshape(count, -1, 3, 4, 8).permute(2, 0, 3, 1, 4)
        found = ((q * 8**-0.5) @ k.transpose(-2, -1)).softmax(-1) @ v
        seen = seen + self.proj(found.transpose(1, 2).reshape(count, -1, 32))
        seen = seen + self.narrower(functional.gelu(self.wider(self.norms[1](seen))))
        seen = self.norms[2](seen).permute(0, 2, 1).reshape(count, -1, 16, 12)
        return self.final(self.again(self.up(seen)))


KINDS = {"rtmpose": LikeRtmpose, "hrnet": LikeHrnet, "vitpose": LikeVitpose}


def write_pose_network(path, kind, points=17, opset=17):
    """A network of that kind with random weights and statistics, as ONNX with any number of crops."""
    torch.manual_seed(5)
    network = KINDS[kind](points)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.2, 0.2)
            part.running_var.uniform_(0.5, 2)
    names = ["simcc_x", "simcc_y"] if kind == "rtmpose" else ["heat"]
    free = {name: {0: "n"} for name in ("crops", *names)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(), (torch.zeros(2, 3, *SIZE),), str(path), input_names=["crops"], output_names=names,
            opset_version=opset, dynamic_axes=free, dynamo=False,
        )  # fmt: skip
    return network
