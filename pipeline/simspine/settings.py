"""A group of settings, from which the options of each stage and the sections of a configuration file are made."""

from collections.abc import Iterator, Mapping
from typing import get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError


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
