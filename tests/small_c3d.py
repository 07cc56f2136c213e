"""Small C3D files written byte by byte as the C3D user guide lays them out: Intel, floating point, no analog data."""

import struct
from pathlib import Path

import numpy as np

BLOCK = 512


def write_small_c3d(path: Path, content: dict, make: dict) -> None:
    """The points of `content` (m) in mm, changed as `make` says.

    columns: these points of the content, in this order. repeat: all points so many times, numbered. UNITS: [] leaves
    the parameter out. first: number of the first frame. missing, zero: [frame, point] with residual −1, at 0 0 0.
    header_rate: in the header alone. cut: only so many bytes. Anything in capitals: texts of that POINT parameter.
    """
    names, xyz = list(content["names"]), np.array(content["values"])
    if "repeat" in make:
        names = [f"{name}{i}" for i in range(make["repeat"]) for name in names]
        xyz = np.tile(xyz, (1, make["repeat"], 1))
    if "columns" in make:
        xyz, names = xyz[:, make["columns"]], [names[i] for i in make["columns"]]
    units = make.get("UNITS", ["mm"])
    data = np.zeros((*xyz.shape[:2], 4), "<f4")  # the fourth is the residual
    data[..., :3] = xyz * (1 if units == ["m"] else 1000)
    for frame, point in make.get("zero", ()):
        data[frame, point] = 0
    for frame, point in make.get("missing", ()):
        data[frame, point] = (0, 0, 0, -1)
    frames, count = xyz.shape[:2]
    parameters = {"USED": count, "SCALE": -1.0, "RATE": content["rate"], "DATA_START": 0, "FRAMES": frames}
    parameters |= {"LABELS" + ("" if k == 0 else str(k // 255 + 1)): names[k : k + 255] for k in range(0, count, 255)}
    parameters |= {key: value for key, value in make.items() if key.isupper()} | {"UNITS": units}
    blocks = len(_section(parameters)) // BLOCK
    parameters["DATA_START"] = 2 + blocks
    first = make.get("first", 1)
    header = struct.pack("<BBHHHHHfHHf", 2, 0x50, count, 0, first, first + frames - 1, 10, -1.0, 2 + blocks, 0,
                         make.get("header_rate", content["rate"]))  # fmt: skip
    text = header.ljust(BLOCK, b"\0") + _section(parameters) + data.tobytes()
    path.write_bytes(text[: make.get("cut")].ljust(0 if "cut" in make else -(-len(text) // BLOCK) * BLOCK, b"\0"))


def _section(parameters: dict) -> bytes:
    """The parameter section: one group, POINT."""
    body = struct.pack("<bb5sHB", 5, -1, b"POINT", 3, 0)
    for name, value in parameters.items():
        if value != []:
            record = _value(value)
            body += (
                struct.pack("<bb", len(name), 1) + name.encode() + struct.pack("<H", len(record) + 3) + record + b"\0"
            )
    body += b"\0\0"
    blocks = -(-(len(body) + 4) // BLOCK)
    return (struct.pack("<BBBB", 1, 0x50, blocks, 84) + body).ljust(blocks * BLOCK, b"\0")


def _value(value) -> bytes:
    if isinstance(value, list):
        width = max(map(len, value), default=0) or 1
        return struct.pack("<bBBB", -1, 2, width, len(value)) + "".join(v.ljust(width) for v in value).encode()
    if isinstance(value, float):
        return struct.pack("<bBf", 4, 0, value)
    return struct.pack("<bBh", 2, 0, value)
