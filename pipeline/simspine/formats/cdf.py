"""One variable out of a NASA CDF file, versions 2.6 to 3, read with every offset and size checked.

Format: CDF Internal Format Description 3.9. Records are chained by their places in the file: the file's (CDR), the
global one (GDR), one for each variable (VDR), indices of its values (VXR), and values, plain (VVR) or packed (CVVR).
Supported: a single file, of either byte order and majority, GZIP as a whole or by variable. Not: sparse records.
"""

import math
import mmap
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simspine.formats.limits import check_announced

_MAGIC = {b"\xcd\xf3\x00\x01": (8, 256), b"\xcd\xf2\x60\x02": (4, 64)}  # bytes of an offset, of a name
_PLAIN, _PACKED = b"\x00\x00\xff\xff", b"\xcc\xcc\x00\x01"
_TYPES = {
    1: "i1",
    2: "i2",
    4: "i4",
    8: "i8",
    11: "u1",
    12: "u2",
    14: "u4",
    21: "f4",
    22: "f8",
    41: "i1",
    44: "f4",
    45: "f8",
}
_BIG, _LITTLE = (1, 2, 5, 7, 9, 11, 12), (4, 6, 13, 16, 17)  # encodings
_GZIP = 5
_MOST_DIMENSIONS, _MOST_VARIABLES, _MOST_BLOCKS = 10, 1000, 1_000_000


@dataclass(frozen=True)
class CdfVariable:
    """What a file says of a variable. shape: of one record. first: place of its index."""

    name: str
    records: int
    shape: tuple[int, ...]
    dtype: np.dtype
    packed: bool
    first: int


class CdfFile:
    """A file in memory. Raises `ValueError` for what is damaged or not supported."""

    def __init__(self, path: str | os.PathLike):
        with open(path, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if content[:4] not in _MAGIC or content[4:8] not in (_PLAIN, _PACKED):
            raise ValueError("it does not begin as CDF files do")
        self.offset, self.name = _MAGIC[content[:4]]
        self.size, self.where = len(content), str(path)
        self.content: mmap.mmap | bytes = content
        if content[4:8] == _PACKED:
            self.content = content[:8] + self._unpacked_file()
        version, _, encoding, flags = (self._number(8 + self.offset + 4 + self.offset + 4 * i, 4) for i in range(4))
        if not flags & 2:
            raise ValueError(f"version {version} in several files; only a single file is supported")
        if encoding not in (*_BIG, *_LITTLE):
            raise ValueError(f"its numbers are encoded as {encoding}, which is not supported")
        self.order = ">" if encoding in _BIG else "<"
        self.by_rows = bool(flags & 1)
        self._read_global(self._offset(8 + self.offset + 4))

    def _read_global(self, at: int) -> None:
        """First variables and their numbers, and the shape that all variables of the older kind share."""
        self._record(at, 2)
        start = at + self.offset + 4
        first_r, first_z, _, end = (self._offset(start + self.offset * i) for i in range(4))
        after = start + 4 * self.offset
        many_r, _, _, dimensions, many_z = (self._number(after + 4 * i, 4) for i in range(5))
        if end > len(self.content):
            raise ValueError(f"{len(self.content)} of {end} bytes are there")
        if not (0 <= many_r <= _MOST_VARIABLES and 0 <= many_z <= _MOST_VARIABLES):
            raise ValueError(f"{many_r} and {many_z} variables are announced")
        self.chains = (first_z, many_z), (first_r, many_r)
        self.common = self._sizes(after + 20 + self.offset + 12, dimensions)

    @property
    def variables(self) -> dict[str, CdfVariable]:
        """All variables by name."""
        found = {}
        for at, count in self.chains:
            for _ in range(count):
                variable = self._variable(at)
                found[variable.name] = variable
                at = self._offset(at + self.offset + 4)
        return found

    def read(self, variable: CdfVariable) -> np.ndarray:
        """(records, *shape) numbers."""
        per_record = math.prod(variable.shape)
        wanted = variable.records * per_record * variable.dtype.itemsize
        check_announced(self.where, wanted, self.size)
        values = np.zeros(variable.records * per_record, variable.dtype)
        filled = np.zeros(variable.records, bool)
        for first, last, at in self._blocks(variable.first):
            last = min(last, variable.records - 1)
            if not 0 <= first <= last:
                raise ValueError(f"a block of the records {first} to {last}")
            size = (last + 1 - first) * per_record * variable.dtype.itemsize
            block = np.frombuffer(self._block(at, size), variable.dtype)
            values[first * per_record : (last + 1) * per_record] = block
            filled[first : last + 1] = True
        if not filled.all():
            raise ValueError(f"{int((~filled).sum())} of {variable.records} records are not there")
        if self.by_rows:
            return values.reshape(variable.records, *variable.shape)
        rows = values.reshape(variable.records, *variable.shape[::-1])
        return rows.transpose(0, *range(rows.ndim - 1, 0, -1))

    def _variable(self, at: int) -> CdfVariable:
        kind = self._record(at, 3, 8)
        start = at + 2 * self.offset + 4
        data_type, last_record = self._number(start, 4), self._number(start + 4, 4)
        flags, sparse = self._number(start + 8 + 2 * self.offset, 4), self._number(start + 12 + 2 * self.offset, 4)
        after = start + 16 + 2 * self.offset
        elements = self._number(after + 12, 4)
        name_at = after + 20 + self.offset + 4
        name = self._bytes(name_at, self.name).split(b"\0")[0].decode("ascii")
        shape = self.common
        sizes_at = name_at + self.name
        if kind == 8:
            shape = self._sizes(sizes_at + 4, self._number(sizes_at, 4))
            sizes_at += 4 + 4 * len(shape)
        varies = [self._number(sizes_at + 4 * i, 4) for i in range(len(shape))]
        if sparse or elements != 1 or data_type not in _TYPES:
            raise ValueError(f"the variable {name!r} is sparse, or neither integers nor floats")
        return CdfVariable(
            name, last_record + 1 if flags & 1 else min(last_record + 1, 1),
            tuple(n for n, vary in zip(shape, varies, strict=True) if vary), np.dtype(self.order + _TYPES[data_type]),
            bool(flags & 4), self._offset(start + 8),
        )  # fmt: skip

    def _blocks(self, at: int) -> Iterator[tuple[int, int, int]]:
        """First and last record of each block of values, and its place."""
        waiting, seen, count = [at], set(), 0
        while waiting:
            at = waiting.pop()
            if at in seen:
                raise ValueError("its index leads in a circle")
            seen.add(at)
            self._record(at, 6)
            entries, used = (self._number(at + 2 * self.offset + 4 + 4 * i, 4) for i in range(2))
            table = at + 2 * self.offset + 12
            if not 0 <= used <= entries or table + entries * (8 + self.offset) > len(self.content):
                raise ValueError("its index is damaged")
            if following := self._offset(at + self.offset + 4):
                waiting.append(following)
            for i in range(used):
                place = self._offset(table + 8 * entries + self.offset * i)
                if self._number(place + self.offset, 4) == 6:
                    waiting.append(place)
                else:
                    count += 1
                    if count > _MOST_BLOCKS:
                        raise ValueError("its index has no end")
                    yield self._number(table + 4 * i, 4), self._number(table + 4 * (entries + i), 4), place

    def _block(self, at: int, size: int) -> bytes:
        """`size` bytes of values."""
        if self._record(at, 7, 13) == 7:
            return self._bytes(at + self.offset + 4, size)
        packed = self._offset(at + self.offset + 8)
        return _unpacked(self._bytes(at + 2 * self.offset + 8, packed), size)

    def _unpacked_file(self) -> bytes:
        """What follows the first 8 bytes of a file that is packed as a whole."""
        self._record(8, 10)
        at = 8 + self.offset + 4
        parameters, size = self._offset(at), self._offset(at + self.offset)
        self._record(parameters, 11)
        if self._number(parameters + self.offset + 4, 4) != _GZIP:
            raise ValueError("it is packed, but not by GZIP")
        check_announced(self.where, size, self.size)
        start = at + 2 * self.offset + 4
        return _unpacked(self._bytes(start, 8 + self._offset(8) - start), size)

    def _sizes(self, at: int, dimensions: int) -> tuple[int, ...]:
        if not 0 <= dimensions <= _MOST_DIMENSIONS:
            raise ValueError(f"{dimensions} dimensions are announced")
        sizes = tuple(self._number(at + 4 * i, 4) for i in range(dimensions))
        if min(sizes, default=1) < 1:
            raise ValueError(f"a variable of {' × '.join(map(str, sizes))}")
        return sizes

    def _record(self, at: int, *kinds: int) -> int:
        kind = self._number(at + self.offset, 4)
        if kind not in kinds or self._offset(at) < self.offset + 4:
            raise ValueError(f"at byte {at} a record of the kind {kind}, expected {' or '.join(map(str, kinds))}")
        return kind

    def _offset(self, at: int) -> int:
        return self._number(at, self.offset)

    def _number(self, at: int, size: int) -> int:
        return int.from_bytes(self._bytes(at, size), "big", signed=True)

    def _bytes(self, at: int, size: int) -> bytes:
        if at < 0 or size < 0 or at + size > len(self.content):
            raise ValueError(f"{size} bytes at byte {at} of {len(self.content)}")
        return self.content[at : at + size]


def _unpacked(packed: bytes, size: int) -> bytes:
    """Exactly `size` bytes out of GZIP."""
    content = zlib.decompressobj(wbits=31).decompress(packed, size)
    if len(content) != size:
        raise ValueError(f"{len(content)} of {size} bytes could be unpacked")
    return content
