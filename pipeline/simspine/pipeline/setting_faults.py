"""What is wrong with settings, in words of their file and not of pydantic: one line for each fault."""

import re
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from simspine.errors import nearest, unknown_name
from simspine.yaml_files import shown

_SECTION, _LIST, _TEXT = "a section of keys and values", "a list", "a text"
_WHOLE, _NUMBER, _SWITCH = "a whole number", "a number", "true or false"
# Kinds of pydantic's errors, and what the value should be.
_KINDS = {
    "model_type": _SECTION, "model_attributes_type": _SECTION, "dict_type": _SECTION, "mapping_type": _SECTION,
    "dataclass_type": _SECTION, "list_type": _LIST, "tuple_type": _LIST, "set_type": _LIST, "iterable_type": _LIST,
    "string_type": _TEXT, "path_type": _TEXT, "int_type": _WHOLE, "int_parsing": _WHOLE, "int_from_float": _WHOLE,
    "float_type": _NUMBER, "float_parsing": _NUMBER, "finite_number": f"{_NUMBER} that is finite",
    "bool_type": _SWITCH, "bool_parsing": _SWITCH,
}  # fmt: skip


def faults_of(error: ValidationError, kind: type[BaseModel], top: str = "") -> list[str]:
    """A line for each fault of settings that do not fit `kind`; top: what its own keys stand in, if that is said."""
    return [fault_line(one, kind, top) for one in error.errors()]


def fault_line(error: Mapping[str, Any], kind: type[BaseModel], top: str = "") -> str:
    """One of pydantic's `ValidationError.errors()`: where it is, what should be there, what was found, the nearest."""
    place = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        *parents, key = error["loc"]
        known = list(_section(kind, parents).model_fields)
        return str(unknown_name("key", str(key), known, ".".join(map(str, parents)) or top))
    if error["type"] == "missing":
        return f"{place}: required, but missing."
    if error["type"] == "value_error":  # ours, about several keys: its text says it all
        text = str(error["ctx"]["error"]).rstrip(".")
        return f"{place}: {text}." if place else f"{text}."
    should = _KINDS.get(error["type"])
    text = f"Input should be {should}" if should else str(error["msg"])
    return f"{f'{place}: ' if place else ''}{text} (found {shown(error['input'])}).{_hint(error)}"


def _hint(error: Mapping[str, Any]) -> str:
    """The nearest of the values there are."""
    if error["type"] != "literal_error" or not isinstance(error["input"], str):
        return ""
    meant = nearest(error["input"], re.findall(r"'([^']*)'", error["ctx"]["expected"]))
    return "" if meant is None else f" Did you mean {meant!r}?"


def _section(root: type[BaseModel], location) -> type[BaseModel]:
    """The type of the section at a location such as ('subjects', 'S01', 'trials', 'walk')."""
    section, kind = root, cast(Any, root)
    for part in location:
        if _is_section(kind):
            field = kind.model_fields.get(part)
            kind = field.annotation if field else kind  # a name of pydantic's own for one of several kinds
        else:
            kind = get_args(kind)[-1] if get_args(kind) else kind  # what a mapping or a list holds
        kind = next((one for one in _kinds(kind) if _is_section(one) or get_origin(one) in (dict, list)), kind)
        section = kind if _is_section(kind) else section
    return section


def _kinds(annotation) -> Iterator[Any]:
    """The kinds of which a value may be one."""
    if get_origin(annotation) in (Union, UnionType):
        yield from get_args(annotation)
    else:
        yield annotation


def _is_section(kind) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
