"""How the arrays of a data set lie in the file: chunks of frames, compression, checksums. Measured: docs/formats.md."""

import zlib

import h5py
import numpy as np

# gzip and Fletcher-32 are part of every HDF5 library, MATLAB's and R's too; LZF, somewhat faster, is h5py's own.
# Shuffled, level 4 is as small as 6 within 1 % and quicker to write; each read costs a third without the shuffling.
FILTERS = {"compression": "gzip", "compression_opts": 4, "shuffle": True, "fletcher32": True}
FEWEST = 128  # frames in a chunk: windows of some hundred frames touch few, and damage stays short
ENOUGH = 1 << 15  # bytes: smaller chunks cost more to find than to read
TEXT = 1 << 16  # bytes in a chunk of a long text


def chunk_frames(frames: int, row_bytes: int) -> int:
    """Frames in a chunk of an array with `row_bytes` for each: a power of two, but not more than there are."""
    chunk = FEWEST
    while chunk * row_bytes < ENOUGH:
        chunk *= 2
    return max(1, min(chunk, frames))


def block_checksums(values: np.ndarray, block: int) -> np.ndarray:
    """(blocks,) CRC-32 of every `block` frames of an array, over its bytes in C order, little-endian."""
    if values.dtype.byteorder == ">":
        values = values.astype(values.dtype.newbyteorder("<"))
    return np.array(
        [zlib.crc32(np.ascontiguousarray(values[i : i + block]).tobytes()) for i in range(0, len(values), block)],
        np.uint32,
    )


def array_names(group: h5py.Group) -> list[str]:
    """Paths of all arrays below a group."""
    names: list[str] = []
    group.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names
