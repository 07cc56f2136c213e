"""A pose network with a backbone of timm, with weights from a PyTorch state dictionary, and RTMPose's head."""

import math
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from simspine.core.errors import InputError
from simspine.learning.options import CROP_SIZE_PX, SpineNetworkSize
from simspine.learning.spine_network import RootNorm, SpineNetwork


class TimmNetwork(SpineNetwork):
    """Crops (n, 3, height, width) → two maps (n, points, bins). name: of timm's network; weights: file of a state
    dictionary, or None. All after the backbone is drawn anew.
    """

    def __init__(self, name: str, weights: Path | None, points: int):
        size = SpineNetworkSize()
        super().__init__(points, size)
        self.backbone = TimmBackbone(name, weights)
        cells = math.prod(self.backbone.grid)
        self.points = nn.Conv2d(self.backbone.channels, points, 1)
        self.hidden = nn.Sequential(RootNorm(cells), nn.Linear(cells, size.hidden, bias=False))

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        return tuple(super().forward(crops).maps)


class TimmBackbone(nn.Module):
    """Crops → (n, channels, rows, columns) of timm's network of this name: its last map, of HRNet the finest one.

    weights: file of a state dictionary, or None. Raises `InputError` where timm or the network is missing.
    """

    def __init__(self, name: str, weights: Path | None):
        super().__init__()
        try:
            import timm
        except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision of another PyTorch
            raise InputError(
                f"backbones need timm, which cannot be loaded ({error}): pip install timm, with the torchvision that "
                "belongs to this PyTorch."
            ) from None
        if not timm.is_model(name):
            near = ", ".join(timm.list_models(f"{name[:4]}*")[:5]) or "hrnet_w32, resnet50, vit_base_patch16_224"
            raise InputError(f"timm has no network {name!r}; it has {near} …")
        self._is_hrnet = name.startswith("hrnet")
        kind: dict[str, Any] = {"num_classes": 0}
        if self._is_hrnet:
            kind = {"features_only": True, "feature_location": "", "out_indices": (1,)}
        elif name.startswith("vit"):
            kind |= {"img_size": CROP_SIZE_PX, "class_token": False, "global_pool": ""}
        self.network = timm.create_model(name, pretrained=False, **kind)
        if weights is not None:
            load_backbone(self.network, weights)
        with torch.no_grad():
            self.channels, *self.grid = self.eval()(torch.zeros(1, 3, *CROP_SIZE_PX)).shape[1:]

    def forward(self, crops: Tensor) -> Tensor:
        if self._is_hrnet:
            return self.network(crops)[0]
        seen = self.network.forward_features(crops)
        if seen.ndim == 4:
            return seen
        rows = CROP_SIZE_PX[0] // self.network.patch_embed.patch_size[0]
        return seen.transpose(1, 2).unflatten(2, (rows, -1))


def load_backbone(network: nn.Module, path: Path) -> None:
    """Give a backbone the weights of a file: of MMPose (RTMPose too), of the authors of HRNet and ViTPose, or of timm.

    Raises `InputError` for what is no state dictionary, for weights of other shapes, and where half are missing.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{path} is no PyTorch state dictionary: {str(error).splitlines()[0][:200]}") from None
    for outer in ("state_dict", "model"):
        state = state[outer] if isinstance(state, dict) and isinstance(state.get(outer), dict) else state
    given = {name.removeprefix("module.").removeprefix("backbone."): value for name, value in state.items()}
    if "last_norm.weight" in given:  # ViTPose: its patches overlap the crop's rim by 2 px
        given = {name.replace("last_norm.", "norm."): value for name, value in given.items()}
        network.patch_embed.proj.padding = (2, 2)
        given["pos_embed"] = given["pos_embed"][:, 1:] + given["pos_embed"][:, :1]
    own = network.state_dict()
    if any(name.startswith("stages.") for name in own):  # CSPNeXt of RTMPose: its stages are counted from 1
        given = {re.sub(r"^stage(\d)\.", lambda at: f"stages.{int(at[1]) - 1}.", name): v for name, v in given.items()}
    both = [name for name in own if name in given]
    wrong = [name for name in both if own[name].shape != given[name].shape]
    if wrong:
        raise InputError(f"{path}: {wrong[0]} is of shape {tuple(given[wrong[0]].shape)}, the backbone's of "
                         f"{tuple(own[wrong[0]].shape)}; name the backbone that the weights are of.")  # fmt: skip
    if 2 * len(both) < len(own):
        raise InputError(f"{path} has {len(both)} of the backbone's {len(own)} arrays; expected names such as "
                         f"{', '.join(list(own)[:2])}. Name the backbone that the weights are of.")  # fmt: skip
    network.load_state_dict({name: given[name] for name in both}, strict=False)
