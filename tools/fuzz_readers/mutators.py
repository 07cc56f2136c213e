"""Seeded damage to files: bits, pieces, numbers, and the structure of JSON, TOML and YAML."""

import copy
import io
import json
import random
import re
import struct
import zipfile
from collections.abc import Callable

Mutator = Callable[[bytes, random.Random], bytes]

LARGEST = 1 << 20  # bytes: a file that has grown beyond is damaged no further
_NUMBERS = [
    "0", "-1", "1e308", "-1e308", "1e999", "nan", "inf", "-inf", "1e-320", "2147483648", "-2147483649",
    "18446744073709551616", "9" * 400, "9" * 5000, "1" + "0" * 30, "0x7f", "1_000", "١٢", "true", "", "1e", "--1",
]  # fmt: skip
_WORDS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 10**6, 10**9]
_LEAVES = [None, True, 0, -1, 10**400, 1e308, float("nan"), float("inf"), "", "x" * 1000, "../../etc/passwd",
           "$(touch y)", "\x00", [], {}, [[]], [[[[[[]]]]]], "nan", "2024-01-01"]  # fmt: skip


def flip_bits(content: bytes, rng: random.Random) -> bytes:
    """One to sixteen bits."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def set_bytes(content: bytes, rng: random.Random) -> bytes:
    """A few bytes in one place become others."""
    data = bytearray(content)
    at, length = rng.randrange(len(data) or 1), rng.choice((1, 2, 4, 8, 64))
    data[at : at + length] = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return bytes(data)


def truncate(content: bytes, rng: random.Random) -> bytes:
    """Cut short; now and then to nothing."""
    return content[: rng.choice((0, rng.randrange(len(content) + 1), rng.randrange(len(content) + 1)))]


def splice(content: bytes, rng: random.Random) -> bytes:
    """A piece is repeated, removed, or put elsewhere."""
    size = len(content)
    a, b, to = rng.randrange(size + 1), rng.randrange(size + 1), rng.randrange(size + 1)
    a, b = min(a, b), min(max(a, b), min(a, b) + rng.choice((1, 16, 512, 1 << 16)))
    piece = content[a:b]
    kind = rng.randrange(3)
    if kind == 0:
        return content[:a] + content[b:]
    if kind == 1:
        return content[:to] + piece * rng.choice((1, 2, 100 if len(piece) < 1000 else 2)) + content[to:]
    return content[:to] + piece + content[to + len(piece) :]


def swap_number(content: bytes, rng: random.Random) -> bytes:
    """Numbers written as text become huge, negative, not numbers; in binary, words of 2, 4 or 8 bytes do."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", content[: 1 << 16]))
    text = b"\0" not in content[:4096]
    if text and found:
        match = rng.choice(found)
        return content[: match.start()] + rng.choice(_NUMBERS).encode() + content[match.end() :]
    data = bytearray(content)
    size = rng.choice((2, 4, 8))
    if len(data) > size:
        at = rng.randrange(len(data) - size)
        word = rng.choice(_WORDS) + rng.choice((0, 0, 1, -1))
        data[at : at + size] = (word % (1 << (8 * size))).to_bytes(size, rng.choice(("little", "big")))
    return bytes(data)


def swap_float(content: bytes, rng: random.Random) -> bytes:
    """A float of 4 or 8 bytes becomes NaN, infinite or absurd."""
    kind = rng.choice("fd")
    value = rng.choice((float("nan"), float("inf"), -float("inf"), 1e30, -1e30, 0.0, 1e-40))
    piece = struct.pack(rng.choice("<>") + kind, value)
    at = rng.randrange(len(content) or 1) // 4 * 4
    return content[:at] + piece + content[at + len(piece) :]


def nest(content: bytes, rng: random.Random) -> bytes:
    """Brackets or tags without end."""
    depth = rng.choice((50, 1000, 20_000))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"<a>", b"</a>"), (b"- ", b""), (b"(", b")")))
    at = rng.randrange(len(content) + 1)
    return content[:at] + opening * depth + closing * rng.choice((depth, 0)) + content[at:]


def json_tree(content: bytes, rng: random.Random) -> bytes:
    """One entry of a JSON document changed, removed, renamed, repeated or nested; bytes are flipped if it is none."""
    return _in_tree(content, rng, json.loads, lambda tree: json.dumps(tree).encode())


def toml_tree(content: bytes, rng: random.Random) -> bytes:
    """The same for TOML."""
    import tomllib

    import tomli_w

    return _in_tree(content, rng, lambda c: tomllib.loads(c.decode()), lambda tree: tomli_w.dumps(tree).encode())


_NESTED = re.compile(rb"(\[|\(|- |<a>|\{\"a\":){500}")  # libyaml ends the process at 40,000


def yaml_tree(content: bytes, rng: random.Random) -> bytes:
    """The same for YAML; now and then with an alias that multiplies."""
    import yaml

    if b"&a1" in content or _NESTED.search(content):  # a bomb already: it must not go off here
        return flip_bits(content, rng)
    if rng.random() < 0.1:
        levels = rng.choice((3, 9, 30))
        bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, levels))
        return bomb.encode() + content
    loader, dumper = (getattr(yaml, f"C{kind}", getattr(yaml, kind)) for kind in ("SafeLoader", "SafeDumper"))
    return _in_tree(
        content,
        rng,
        lambda c: yaml.load(c, loader),
        lambda tree: yaml.dump(tree, Dumper=dumper, sort_keys=False, encoding="utf-8"),
    )


def _in_tree(content: bytes, rng: random.Random, loads, dumps) -> bytes:
    try:
        tree = copy.deepcopy(loads(content))
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            _change(tree, rng)
        return dumps(tree)
    except Exception:  # what the writer cannot say
        return flip_bits(content, rng)


def _change(tree, rng: random.Random) -> None:
    places = []

    def walk(node):
        entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in entries:
            places.append((node, key))
            walk(value)

    walk(tree)
    if not places:
        return
    node, key = rng.choice(places)
    kind = rng.randrange(5)
    if kind == 0:
        del node[key]
    elif kind == 1:
        node[key] = [node[key]] * rng.choice((0, 1, 2, 40))
    elif kind == 2 and isinstance(node, dict):
        node[rng.choice(("", "x", "metadata", "name", "a" * 300))] = node.pop(key)
    else:
        node[key] = rng.choice(_LEAVES)


def zip_members(content: bytes, rng: random.Random) -> bytes:
    """Damage inside a member, so that the archive and its checksums are whole; now and then a bomb."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
    except Exception:  # damaged archives end in many ways
        return flip_bits(content, rng)
    if not members:
        return flip_bits(content, rng)
    name = rng.choice(sorted(members))
    if rng.random() < 0.02:
        members[name] = members[name][:128] + bytes(300 << 20)
    elif rng.random() < 0.3:
        members[name] = re.sub(
            rb"\((\d+),", lambda m: b"(" + rng.choice((b"999999999999", b"-1", b"0", b"10000000000")) + b",",
            members[name], count=1,
        )  # fmt: skip
    else:
        members[name] = rng.choice((flip_bits, set_bytes, truncate, splice, swap_number))(members[name], rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)), compresslevel=1) as archive:
        for key, value in members.items():
            archive.writestr(key, value)
    return out.getvalue()


BYTES: tuple[Mutator, ...] = (flip_bits, flip_bits, set_bytes, truncate, splice, swap_number, swap_number, swap_float)
TEXT: tuple[Mutator, ...] = (flip_bits, set_bytes, truncate, splice, swap_number, swap_number, swap_number, nest)


def mutated(content: bytes, mutators: tuple[Mutator, ...], rng: random.Random) -> bytes:
    """The content after one to three of the mutators."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = rng.choice(mutators)(content, rng)
        if len(content) > LARGEST:
            break
    return content
