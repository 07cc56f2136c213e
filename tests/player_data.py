"""Reads what a page of the player carries, as its script does."""

import base64
import json

import numpy as np

MISSING = -32768


def unpack(header: str, block: str) -> tuple[dict, dict[str, np.ndarray]]:
    """Header and arrays of a packed scene: lengths in m (NaN = missing), whole numbers as they are."""
    head, data = json.loads(header), base64.b64decode(block)
    arrays = {}
    for name, entry in head["arrays"].items():
        kind = np.dtype(entry["type"]).newbyteorder("<")
        raw = np.frombuffer(data, kind, int(np.prod(entry["shape"])), entry["at"]).reshape(entry["shape"])
        known = np.where(raw == MISSING, np.nan, raw * entry["scale"] + entry["middle"]) if "scale" in entry else raw
        arrays[name] = known
    return head, arrays
