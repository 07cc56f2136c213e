"""Settings and YAML: safe reading of YAML files, checked groups of settings, and the data packaged with simspine.

Options of each stage and sections of a configuration are `Section`s, whose faults are lines in plain words.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import cache, lru_cache
from inspect import cleandoc, getsource
from itertools import accumulate, pairwise
from os.path import isdir, isfile
from pathlib import Path
from textwrap import dedent
from types import UnionType
from typing import Any, Self, Union, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from simspine.core.errors import InputError, file_version, nearest_name, require_known, require_path, unknown_name

# Aliases of aliases let a few lines of YAML stand for billions of entries, so nodes are counted with aliases written
# out. Repeated keys are refused: a YAML reader would keep only the last.
MAX_YAML_BYTES = 1 << 20  # bytes of a file; all subjects of Human3.6M with all trials take a tenth
MAX_YAML_ENTRIES = 100_000  # entries, aliases written out
MAX_YAML_DEPTH = 50  # levels of nesting
MAX_NUMBER_CHARACTERS = 100  # longer numbers of base 60 (1:59:59) take minutes to parse
MERGE_KEY_TAG = "tag:yaml.org,2002:merge"  # of the key <<
_MAX_VALUE_CHARACTERS = 80  # characters of a value that a message repeats


def read_yaml(path: str | Path) -> Any:
    """Content of a YAML file: mappings, lists, texts, numbers.

    Raises `InputError` for a file that is missing, not YAML or UTF-8, too large, or refused by `parse_yaml`."""
    require_path(path)
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_YAML_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as YAML: {error}") from None
    return parse_yaml(content, str(path))


def parse_yaml(content: bytes, where: str, numbers: bool = True) -> Any:
    """As `read_yaml`, of a file's content. The tree of nodes is checked before objects are made of it.

    numbers: if False, all scalars stay texts. where: name of the file in messages.
    """
    if len(content) > MAX_YAML_BYTES:
        raise InputError(f"{where}: larger than {MAX_YAML_BYTES >> 20} MiB, which no configuration or recipe is.")
    if len(re.findall(rb"[,\n]", content)) > MAX_YAML_ENTRIES:  # building that many takes long
        raise InputError(f"{where}: more than {MAX_YAML_ENTRIES} entries, which no configuration or recipe has.")
    try:
        with suppress(yaml.YAMLError):  # it is read again, for the message
            if yaml.__with_libyaml__ and _is_read_alike(text := content.decode("utf-8-sig")):
                return _checked_content((yaml.CSafeLoader if numbers else yaml.CBaseLoader)(text), where)
        loader = (yaml.SafeLoader if numbers else yaml.BaseLoader)(content.decode("utf-8-sig"))
        loader.name = where
        return _checked_content(loader, where)
    except InputError:
        raise
    except UnicodeDecodeError:
        raise InputError(f"{where} is no text in UTF-8. For videos, `simspine init` writes a configuration.") from None
    except RecursionError:
        raise InputError(f"{where}: more than {MAX_YAML_DEPTH} levels of nesting; write it without.") from None
    except (ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        hint = often_wrong(content.decode(errors="replace"))
        raise InputError(f"{where} cannot be read as YAML: {error}.{hint}") from None


def _is_read_alike(text: str) -> bool:
    """Whether libyaml, ten times as fast as PyYAML, reads the text alike, and is not ended by its nesting."""
    if re.search(r"[\t\ufeff!]|[|>][-+\d]*#", text) or ("?" in text and re.search(r"[\[{]", text)):
        return False
    starts, ends = yaml.CollectionStartEvent, yaml.CollectionEndEvent
    changes = (isinstance(event, starts) - isinstance(event, ends) for event in yaml.parse(text, yaml.CBaseLoader))
    return all(levels <= MAX_YAML_DEPTH for levels in accumulate(changes))


_OFTEN_WRONG = {  # {what stands in a file of YAML or TOML that cannot be read: what is wrong then}
    re.compile(r'"[^"\n]*\\'): "In double quotes \\ begins an escape: write paths in single quotes, or with /.",
    re.compile(r"(^|=)[ \t]*-?\d+,\d+,?[ \t]*$|\d,\d+[ ;]+-?\d+,\d", re.M): "Write decimal points, not commas.",
}


def often_wrong(text: str) -> str:
    """What probably keeps a text from being read as YAML or TOML, for the end of a message; '' if nothing shows it."""
    return "".join(f" {cure}" for sign, cure in _OFTEN_WRONG.items() if sign.search(text))


def _checked_content(loader: Any, where: str) -> Any:
    """The content; raises unless the tree, with aliases written out, has few entries and levels, and no key twice."""
    sizes: dict[int, tuple[int, int]] = {}  # entries and levels of a node
    open_nodes: set[int] = set()

    def size(node: yaml.Node, depth: int) -> tuple[int, int]:
        key = id(node)
        known = sizes.get(key)
        if depth + (known[1] if known else 0) > MAX_YAML_DEPTH or key in open_nodes:
            what = "a piece that holds itself" if key in open_nodes else f"more than {MAX_YAML_DEPTH} levels of nesting"
            raise InputError(f"{where}: {what}; write it without.")
        if known:
            return known
        if isinstance(node, yaml.MappingNode):
            _check_keys(node, where)
        if node.tag.endswith((":int", ":float")) and len(node.value) > MAX_NUMBER_CHARACTERS:
            raise InputError(f"{where}, line {node.start_mark.line + 1}: a number of {len(node.value)} characters.")
        if node.tag.endswith((":int", ":float")) and re.fullmatch(r"[-+]?0[0-7_]+|.*:.*", node.value):
            raise InputError(
                f"{where}, line {node.start_mark.line + 1}: {node.value} is another number in YAML (of base 8 or 60); "
                "write it without leading zeros and colons, a text in quotes."
            )
        open_nodes.add(key)
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        nodes = (part for entry in parts for part in (entry if isinstance(entry, tuple) else (entry,)))
        inner = [size(part, depth + 1) for part in nodes]
        sizes[key] = 1 + sum(count for count, _ in inner), 1 + max((levels for _, levels in inner), default=-1)
        open_nodes.discard(key)
        if sizes[key][0] > MAX_YAML_ENTRIES:
            raise InputError(
                f"{where}: aliases stand for more than {MAX_YAML_ENTRIES} entries; write out what is meant."
            )
        return sizes[key]

    root = loader.get_single_node()
    if root is not None:
        size(root, 0)
    return None if root is None else loader.construct_document(root)


def _check_keys(mapping: yaml.MappingNode, where: str) -> None:
    """`InputError` with both lines where a mapping has a key twice."""
    lines: dict[tuple[str, str], int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE_KEY_TAG:
            continue
        line, name = key.start_mark.line + 1, (key.tag, key.value)
        if name in lines:
            raise InputError(
                f"{where}, line {line}: the key {key.value!r} stands in line {lines[name]} already, in the same "
                "section; keep one of the two."
            )
        lines[name] = line


def value_text(value: object) -> str:
    """A value as YAML would hold it, in one line: texts in quotes, `nothing` for none."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        text = repr(value)
    elif isinstance(value, bool | list | tuple | dict):
        text = json.dumps(value, default=str, ensure_ascii=False, skipkeys=True)
    else:
        text = str(value)
    return text if len(text) <= _MAX_VALUE_CHARACTERS else f"{text[:_MAX_VALUE_CHARACTERS]}…"


NOT_RECIPES = ("endplates", "meanings", "skin")  # other data in the folder of recipes


def data_folder(name: str) -> Path:
    """A top-level folder of the repository: in a checkout there, in an installed wheel in `simspine/_data/`."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_data" / name, package.parents[1] / name):
        if folder.is_dir():
            return folder
    raise InputError(f"the folder {name} was not found beside the simspine package; reinstall simspine.")


@cache
def packaged_file(path: Path) -> Path:
    """A network or model that comes with simspine; raises `InputError` where its SHA-256 is not the packaged one."""
    listed = Path(__file__).with_name("packaged.sha256").read_text(encoding="utf-8").splitlines()
    if not path.is_file() or f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.name}" not in listed:
        raise InputError(f"{path} is not the file that came with this version of simspine; install simspine anew.")
    return path


def models_folder() -> Path:
    """The folder of recipes."""
    return data_folder("opensim_models")


def pose2sim_folder() -> Path:
    """The folder of Pose2Sim's packaged files: the full-body model, its bones in `Geometry/`, two recordings."""
    return data_folder("third_party") / "pose2sim"


def recipe_path(name: str) -> Path:
    """The YAML file of a recipe ('coupled') or marker set ('markers/blazepose'); `name` may also be a path to one."""
    if str(name).endswith((".yaml", ".yml")):
        if not isfile(name):
            raise InputError(f"recipe or marker set {name} does not exist.")
        return Path(name)
    folder = models_folder()
    path = folder / f"{name}.yaml"
    if not isfile(path):  # unlike `Path.is_file`, not an error where the name is too long
        inside = path.parent if folder in path.parents and isdir(path.parent) else folder
        prefix = inside.relative_to(folder).as_posix().removeprefix(".")
        known = sorted(
            f"{prefix}/{p.stem}".removeprefix("/") for p in inside.glob("*.yaml") if p.stem not in NOT_RECIPES
        )
        raise unknown_name("recipe", str(name), known, str(folder))
    return path


def read_mapping(path: Path) -> dict:
    """The mapping in a YAML file; `InputError` naming the file if it holds none. An unchanged file is parsed once."""
    return deepcopy(_mapping_in_file(path, *file_version(path)))


def yaml_files(*names: str | None) -> tuple[Path, ...]:
    """Those of the names that are YAML files, the files that these name (`from` of a recipe), and so on."""
    found: dict[Path, None] = {}
    waiting: list[Any] = list(names)
    while waiting:
        file = Path(str(waiting.pop()))
        if file.suffix in (".yaml", ".yml") and file not in found and isfile(file):
            found[file] = None
            waiting += _single_values(read_mapping(file))
    return tuple(found)


@lru_cache(maxsize=64)
def _mapping_in_file(path: Path, *_: int) -> dict:
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise InputError(f"{path} is not a mapping; compare the files in {models_folder()}.")
    return data


MAX_SETTING = 1e6  # largest setting in SI units; the smallest is its inverse: 1 µm, finer than anyone measures people
_SECTION, _LIST, _TEXT = "a section of keys and values", "a list", "a text"
_WHOLE, _NUMBER, _SWITCH = "a whole number", "a number", "true or false"
# {kind of pydantic's error: value wanted, in words}.
_KINDS = {
    "model_type": _SECTION, "model_attributes_type": _SECTION, "dict_type": _SECTION, "mapping_type": _SECTION,
    "dataclass_type": _SECTION, "list_type": _LIST, "tuple_type": _LIST, "set_type": _LIST, "iterable_type": _LIST,
    "string_type": _TEXT, "path_type": _TEXT, "int_type": _WHOLE, "int_parsing": _WHOLE, "int_from_float": _WHOLE,
    "float_type": _NUMBER, "float_parsing": _NUMBER, "finite_number": f"{_NUMBER} that is finite",
    "bool_type": _SWITCH, "bool_parsing": _SWITCH,
}  # fmt: skip


class SettingsError(InputError):
    """Invalid settings. faults: a line for each fault. errors: pydantic's description of each fault."""

    def __init__(self, message: str, faults: tuple[str, ...] = (), errors: tuple[Mapping[str, Any], ...] = ()):
        super().__init__(message)
        self.faults, self.errors = faults, errors


@contextmanager
def _in_plain_words(kind: type[BaseModel]) -> Iterator[None]:
    """Context that raises `SettingsError` in place of pydantic's error."""
    try:
        yield
    except ValidationError as error:
        errors = tuple(error.errors())
        faults = tuple(fault_line(one, kind) for one in errors)
        lines = "\n".join(f"  - {fault}" for fault in faults)
        raise SettingsError(f"{kind.__name__} cannot be made of what was given:\n{lines}", faults, errors) from None


def _leaves(annotation) -> Iterator[type]:
    """The plain types in an annotation, those in lists and mappings included."""
    if parts := get_args(annotation):
        for part in parts:
            yield from _leaves(part)
    elif isinstance(annotation, type):
        yield annotation


def _single_values(value) -> Iterator[Any]:
    """The value itself, or the scalars in a nested list or mapping, keys included."""
    held = [*value, *value.values()] if isinstance(value, Mapping) else value
    if isinstance(held, list | tuple):
        for one in held:
            yield from _single_values(one)
    else:
        yield held


class Section(BaseModel):
    """A group of settings: no unknown keys, never changed in place."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _switches_are_no_numbers(cls, value, info: ValidationInfo):
        """Refuse true and false in place of a number: pydantic would take them for 1 and 0."""
        kinds = set(_leaves(cls.model_fields[info.field_name].annotation)) if info.field_name else set()
        if kinds & {int, float} and bool not in kinds and any(isinstance(one, bool) for one in _single_values(value)):
            raise PydanticKnownError("float_type" if float in kinds else "int_type")
        return value

    @field_validator("*")
    @classmethod
    def _of_possible_size(cls, value):
        """Refuse numbers whose squares would exceed the range or precision of floats in the solvers."""
        numbers = [one for one in _single_values(value) if isinstance(one, float) and one]
        if any(not 1 / MAX_SETTING <= abs(number) <= MAX_SETTING for number in numbers):
            raise PydanticCustomError("size", f"Input should be 0, or {1 / MAX_SETTING:g} to {MAX_SETTING:g}")
        return value

    def __init__(self, **values: Any):
        with _in_plain_words(type(self)):
            super().__init__(**values)

    # Sections within a section are checked without `__init__`, so that faults of all of them come together.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict:
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for name, text in setting_texts(cls).items():
            properties[name].setdefault("description", text)
        return schema

    @classmethod
    def model_validate(cls, obj: Any, **how: Any) -> Self:
        with _in_plain_words(cls):
            return super().model_validate(obj, **how)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        require_known("key", update or {}, type(self).model_fields, type(self).__name__)
        return super().model_copy(update=update, deep=deep)


@cache
def setting_texts(kind: type[BaseModel]) -> dict[str, str]:
    """{setting: the text below it in the source}. To read it for each class (pydantic's `use_attribute_docstrings`)
    would be a tenth of all loading."""
    texts: dict[str, str] = {}
    for base in (base for base in reversed(kind.__mro__) if issubclass(base, Section)):
        try:
            (definition,) = ast.parse(dedent(getsource(base))).body
        except (OSError, TypeError):  # installed without sources, or made by no file
            continue
        for setting, below in pairwise(cast(ast.ClassDef, definition).body):
            match setting, below:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                    texts[name] = cleandoc(text)
    return texts


def fault_line(error: Mapping[str, Any], kind: type[BaseModel], top: str = "") -> str:
    """One of pydantic's `ValidationError.errors()`: as a line: place, value wanted, value found, hint."""
    place = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        *parents, key = error["loc"]
        known = list(_section(kind, parents).model_fields)
        return str(unknown_name("key", str(key), known, ".".join(map(str, parents)) or top))
    if error["type"] == "missing":
        return f"{place}: required, but missing."
    if error["type"] == "value_error":  # from a validator of simspine, about several keys; its text is complete
        text = str(error["ctx"]["error"]).rstrip(".")
        return f"{place}: {text}." if place else f"{text}."
    should = _KINDS.get(error["type"])
    text = f"Input should be {should}" if should else str(error["msg"])
    return f"{f'{place}: ' if place else ''}{text} (found {value_text(error['input'])}).{_hint(error, kind)}"


def _hint(error: Mapping[str, Any], kind: type[BaseModel]) -> str:
    """The nearest allowed name where there is one, else the first sentence on the setting."""
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        meant = nearest_name(error["input"], re.findall(r"'([^']*)'", error["ctx"]["expected"]))
        return "" if meant is None else f" Did you mean {meant!r}?"
    *parents, key = error["loc"] or [""]
    meaning = " ".join(setting_texts(_section(kind, parents)).get(key, "").split())
    return f" {meaning.partition('. ')[0].rstrip('.')}." if meaning else ""


def _section(root: type[BaseModel], location) -> type[BaseModel]:
    """The type of the section at a location such as ('subjects', 'S01', 'trials', 'walk')."""
    section, kind = root, cast(Any, root)
    for part in location:
        if _is_section(kind):
            field = kind.model_fields.get(part)
            kind = field.annotation if field else kind  # a name of pydantic's own for one of several kinds
        else:
            kind = get_args(kind)[-1] if get_args(kind) else kind  # the type of a mapping's or list's entries
        kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
        kind = next((one for one in kinds if _is_section(one) or get_origin(one) in (dict, list)), kind)
        section = kind if _is_section(kind) else section
    return section


def _is_section(kind) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
