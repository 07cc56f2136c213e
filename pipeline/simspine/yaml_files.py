"""YAML of users, read so that a small file cannot become a large one, and that nothing it says is lost.

An alias may stand for a piece that holds aliases itself, so that a few lines stand for billions of entries. Nodes are
counted as if each alias were written out. Of two equal keys a YAML reader keeps the last: they are refused.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from simspine.errors import InputError, require_path

LARGEST = 1 << 20  # bytes of a file; all subjects of Human3.6M with all trials take a tenth
MOST = 100_000  # entries, aliases written out
DEEPEST = 50  # levels of nesting
MERGE = "tag:yaml.org,2002:merge"  # of the key <<
_LONGEST = 80  # characters of a value that a message repeats


def read_yaml(path: str | Path) -> Any:
    """What a YAML file says: mappings, lists, texts, numbers. Raises `InputError` naming the file if it says nothing
    that can be used: not there, not YAML, not UTF-8, too large, nested too deeply, aliases that multiply, or a key
    that a mapping has twice.
    """
    require_path(path)
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise InputError(f"{path}: larger than {LARGEST >> 20} MiB, which no configuration or recipe is.")
        text = content.decode("utf-8-sig")
        return _checked(text, str(path))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except InputError:
        raise
    except RecursionError:
        raise InputError(f"{path}: nested too deeply; at most {DEEPEST} levels.") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as YAML: {error}") from None


def _checked(text: str, where: str) -> Any:
    """What `yaml.safe_load` gives, its tree checked before anything is made of it, and parsed once for both."""
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        _check_nodes(root, where)
        return None if root is None else loader.construct_document(root)
    finally:
        loader.dispose()


def _check_nodes(root: yaml.Node | None, where: str) -> None:
    """Raise unless the tree, with aliases written out, stays below `MOST` entries and `DEEPEST` levels, and no mapping
    has a key twice."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        key = id(node)
        if key in sizes:
            return sizes[key]
        if depth > DEEPEST or key in open_nodes:
            what = "a piece that holds itself" if key in open_nodes else f"more than {DEEPEST} levels of nesting"
            raise InputError(f"{where}: {what}; write it without.")
        if isinstance(node, yaml.MappingNode):
            _check_keys(node, where)
        open_nodes.add(key)
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        nodes = (part for entry in parts for part in (entry if isinstance(entry, tuple) else (entry,)))
        sizes[key] = 1 + sum(size(part, depth + 1) for part in nodes)
        open_nodes.discard(key)
        if sizes[key] > MOST:
            raise InputError(f"{where}: aliases stand for more than {MOST} entries; write out what is meant.")
        return sizes[key]

    if root is not None:
        size(root, 0)


def _check_keys(mapping: yaml.MappingNode, where: str) -> None:
    """`InputError` with both lines where a mapping has a key twice."""
    lines: dict[tuple[str, str], int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
            continue
        line, name = key.start_mark.line + 1, (key.tag, key.value)
        if name in lines:
            raise InputError(
                f"{where}, line {line}: the key {key.value!r} stands in line {lines[name]} already, in the same "
                "section; keep one of the two."
            )
        lines[name] = line


def shown(value: object) -> str:
    """A value as YAML would hold it, in one line: texts in quotes, `nothing` for none."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        text = repr(value)
    elif isinstance(value, bool | list | tuple | dict):
        text = json.dumps(value, default=str, ensure_ascii=False, skipkeys=True)
    else:
        text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
