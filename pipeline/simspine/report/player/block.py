"""Arrays as one block of numbers.

Every length is stored as a 16-bit whole number between the least and greatest of its array (about 0.1 mm for a room of
6 m), unit quaternions with steps of 3e-5 (0.004°); NaN has a code of its own. A page's script reads them without
parsing.
"""

import numpy as np

MISSING = -32768
_TOP = 32767


class Block:
    """Arrays one after another, each at a multiple of four bytes."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, object]] = {}
        self.parts: list[bytes] = []
        self.size = 0

    def _append(self, name: str, array: np.ndarray, **more: float) -> None:
        data = np.ascontiguousarray(array).tobytes()
        data += b"\0" * (-len(data) % 4)
        self.entries[name] = {"at": self.size, "type": array.dtype.name, "shape": list(array.shape), **more}
        self.parts.append(data)
        self.size += len(data)

    def lengths(self, name: str, values: np.ndarray) -> None:
        values = np.asarray(values, float)
        known = values[np.isfinite(values)]
        low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        middle, scale = (low + high) / 2, max(high - low, 1e-9) / 2 / _TOP
        codes = np.where(np.isfinite(values), np.round((np.nan_to_num(values) - middle) / scale), MISSING)
        self._append(name, np.clip(codes, MISSING, _TOP).astype("<i2"), scale=scale, middle=middle)

    def whole(self, name: str, values: np.ndarray) -> None:
        values = np.asarray(values)
        kind = next(k for k, top in (("<u1", 255), ("<u2", 65535), ("<u4", 2**32)) if values.max(initial=0) <= top)
        self._append(name, values.astype(kind))
