"""Windows as PyTorch's DataLoader wants them: a length, and items by number. PyTorch is needed for tensors only."""

from collections.abc import Callable
from typing import Any

import numpy as np

from simspine.dataset.windows import Windows
from simspine.errors import InputError


class TorchWindows:
    """A map-style data set: `len(data)`, `data[i]` = {field: tensor}, with the fields of the windows.

    transform: called with the dictionary of arrays before they become tensors. tensors=False leaves NumPy arrays, and
    PyTorch unimported. Safe with several workers: each opens the file for itself.
    """

    def __init__(self, windows: Windows, transform: Callable[[dict], dict] | None = None, tensors: bool = True):
        self.windows, self.transform, self.tensors = windows, transform, tensors

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item: dict[str, Any] = self.windows[int(index)].arrays(self.windows.fields)
        if self.transform is not None:
            item = self.transform(item)
        if not self.tensors:
            return item
        try:
            import torch
        except ImportError:
            raise InputError("tensors need PyTorch: install simspine[learn], or use tensors=False.") from None
        return {
            name: torch.from_numpy(value) if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" else value
            for name, value in item.items()
        }
