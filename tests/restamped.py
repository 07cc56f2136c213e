"""Videos whose container says other times for their frames: the table of an MP4 rewritten, as phones do."""

import struct

_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def restamp(path, steps):
    """Give the frames of an MP4 (moov behind mdat) durations `steps`, in the track's time scale (`time_scale`)."""
    content = path.read_bytes()
    table = struct.pack(">II", 0, len(steps)) + b"".join(struct.pack(">II", 1, step) for step in steps)
    content = content.replace(b"edts", b"free")  # the list of edits, which cuts at the old duration
    at = content.index(b"mdhd") + 4
    content = content[: at + 16] + struct.pack(">I", sum(steps)) + content[at + 20 :]
    path.write_bytes(_with_table(content, struct.pack(">I", 8 + len(table)) + b"stts" + table))


def time_scale(path):
    """Ticks in a second of the video's track."""
    content = path.read_bytes()
    at = content.index(b"mdhd") + 4
    return struct.unpack(">I", content[at + 12 : at + 16])[0]


def _with_table(content, table):
    out, at = b"", 0
    while at < len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        box = content[at : at + size]
        if kind == b"stts":
            box = table
        elif kind in _PARENTS:
            inside = _with_table(box[8:], table)
            box = struct.pack(">I4s", 8 + len(inside), kind) + inside
        out, at = out + box, at + size
    return out
