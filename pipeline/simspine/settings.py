"""Groups of settings, from which the options of each stage and the sections of a configuration file are made.

What is wrong with settings is said in words of theirs and not of pydantic: one line for each fault.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import UnionType
from typing import Any, Self, Union, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

from simspine.errors import InputError, nearest, require_known, unknown_name
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


class SettingsError(InputError):
    """Settings that do not fit their kind. faults: a line for each. errors: what pydantic says of each."""

    def __init__(self, message: str, faults: tuple[str, ...] = (), errors: tuple[Mapping[str, Any], ...] = ()):
        super().__init__(message)
        self.faults, self.errors = faults, errors


@contextmanager
def _in_own_words(kind: type[BaseModel]) -> Iterator[None]:
    """`SettingsError` in place of pydantic's error."""
    try:
        yield
    except ValidationError as error:
        errors = tuple(error.errors())
        faults = tuple(fault_line(one, kind) for one in errors)
        lines = "\n".join(f"  - {fault}" for fault in faults)
        raise SettingsError(f"{kind.__name__} cannot be made of what was given:\n{lines}", faults, errors) from None


def _leaves(annotation) -> Iterator[type]:
    """The kinds that a setting, or what its lists and mappings hold, may be of."""
    if parts := get_args(annotation):
        for part in parts:
            yield from _leaves(part)
    elif isinstance(annotation, type):
        yield annotation


def _holds_switch(value) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_switch(one) for pair in value.items() for one in pair)
    return any(map(_holds_switch, value)) if isinstance(value, list | tuple) else isinstance(value, bool)


class Section(BaseModel):
    """A group of settings: no unknown keys, never changed in place."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _switches_are_no_numbers(cls, value, info: ValidationInfo):
        """pydantic takes true for 1, which nobody means who writes it where a number belongs."""
        kinds = set(_leaves(cls.model_fields[info.field_name].annotation)) if info.field_name else set()
        if kinds & {int, float} and bool not in kinds and _holds_switch(value):
            raise PydanticKnownError("float_type" if float in kinds else "int_type")
        return value

    def __init__(self, **values: Any):
        with _in_own_words(type(self)):
            super().__init__(**values)

    # Sections within a section are checked without `__init__`, so that faults of all of them come together.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_validate(cls, obj: Any, **how: Any) -> Self:
        with _in_own_words(cls):
            return super().model_validate(obj, **how)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **how: Any) -> Self:
        with _in_own_words(cls):
            return super().model_validate_json(json_data, **how)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        require_known("key", update or {}, type(self).model_fields, type(self).__name__)
        return super().model_copy(update=update, deep=deep)


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
