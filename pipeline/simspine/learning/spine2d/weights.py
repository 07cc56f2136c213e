"""Weights of a trained network in a file, with what is needed to build it: no settings of training."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from simspine.errors import InputError
from simspine.learning.checkpoints import Identity, load_checkpoint, save_checkpoint
from simspine.learning.settings_files import checked
from simspine.learning.spine2d.network import SpineNetwork
from simspine.learning.spine2d.options import SpineNetworkSize

WEIGHTS = "weights.pt"
_KIND = "spine detector"


@dataclass(frozen=True, eq=False)
class NetworkWeights:
    """size and names of points of a network; channels and numbers: what it takes besides crops; state: its weights."""

    size: SpineNetworkSize
    names: tuple[str, ...]
    state: Mapping[str, Tensor]
    channels: int = 0
    numbers: int = 0


def made_network(weights: NetworkWeights) -> SpineNetwork:
    """The network, ready to be used."""
    network = SpineNetwork(len(weights.names), weights.size, channels=weights.channels, numbers=weights.numbers)
    network.load_state_dict(dict(weights.state))
    return network.eval()


def save_weights(path: Path, weights: NetworkWeights) -> None:
    """Write weights, whole or not at all."""
    stated = {
        "kind": _KIND, "size": weights.size.model_dump(mode="json"), "names": list(weights.names),
        "channels": weights.channels, "numbers": weights.numbers,
    }  # fmt: skip
    state = {name: value.detach().cpu().contiguous() for name, value in weights.state.items()}
    save_checkpoint(path, Identity(stated, ""), state)


def read_weights(path: str | Path) -> NetworkWeights:
    """What `save_weights` wrote; `InputError` naming the file for anything else."""
    identity, state = load_checkpoint(Path(path))
    stated = identity.options
    if stated.get("kind") != _KIND:
        raise InputError(f"{path} is a checkpoint, but no weights of a spine detector; expected its {WEIGHTS}.")
    size = checked(SpineNetworkSize, stated["size"], str(path))
    return NetworkWeights(size, tuple(stated["names"]), state, stated["channels"], stated["numbers"])
