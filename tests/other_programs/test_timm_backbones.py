"""Backbones of timm, where it and PyTorch are installed, with weights from state dictionaries of timm's own models."""

import numpy as np
import pytest

from simspine.core.errors import InputError

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
SIZE = (256, 192)


@pytest.mark.parametrize(("name", "prefix"), [
    ("hrnet_w18_small", "backbone."), ("vit_tiny_patch16_224", "module."), ("cspnext_tiny", "backbone.")
])  # fmt: skip
def test_a_backbone_of_timm_takes_a_state_dictionary(name, prefix, tmp_path):
    from tools.start_network.__main__ import start_network, write_program

    from simspine.learning.spine_network import StartedNetwork

    if not timm.is_model(name):
        pytest.skip(f"this version of timm has no {name}")
    crops = torch.as_tensor(np.random.default_rng(2).standard_normal((3, 3, *SIZE)), dtype=torch.float32)
    is_vit = name.startswith("vit")
    kind = {"features_only": True, "feature_location": ""} if name.startswith("hrnet") else {}
    kind = {"img_size": SIZE, "global_pool": "token"} if is_vit else kind
    torch.manual_seed(8)
    given = timm.create_model(name, pretrained=False, **kind).state_dict()
    if is_vit:
        given = {key.replace("norm.", "last_norm.") if key.startswith("norm.") else key: v for key, v in given.items()}
    if name.startswith("cspnext"):  # as MMPose names RTMPose's backbone
        for i in range(4):
            given = {key.replace(f"stages.{i}.", f"stage{i + 1}."): value for key, value in given.items()}
    torch.save({"state_dict": {prefix + key: value for key, value in given.items()}}, tmp_path / "weights.pth")
    network = start_network(name, tmp_path / "weights.pth", "all", 1)
    own = network.backbone.network.state_dict()
    if name.startswith("cspnext"):
        assert torch.equal(own["stages.3.0.conv.weight"], given["stage4.0.conv.weight"])
    else:
        first = "patch_embed.proj.weight" if is_vit else "conv1.weight"
        assert torch.equal(own[first], given[first])
    write_program(tmp_path / "start.pt2", network)
    with torch.no_grad():
        found = StartedNetwork(str(tmp_path / "start.pt2"), 37)(crops).maps
        torch.testing.assert_close(found.x, network.eval()(crops)[0], atol=1e-4, rtol=1e-3)
    torch.save({"other": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth has 0 of the backbone's"):
        start_network(name, tmp_path / "other.pth", "all", 1)
