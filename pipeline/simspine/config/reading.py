"""From a YAML file to a checked configuration, with one clear line per fault; and the JSON schema."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError

from simspine.config.named import unknown_values
from simspine.config.people import Subject, Trial
from simspine.config.run import Config
from simspine.errors import InputError, unknown_name
from simspine.yaml_files import expected, read_yaml, shown

# Keys, and values of keys, of earlier versions, and what to write instead.
RENAMED = {
    "ik.error_lasts_s": "its name is now ik.error_correlation_s",
    "scaling.calibrate": "leave it out: sizes come from distances between markers",
    "detection.model_complexity": "leave it out: BlazePose's full network is the one there is",
    "detection.infer_spine: shape": "write true",
    "detection.infer_spine: rule": "write true (by a model of real spines) or false",
    "ik.loss: geman-mcclure": "write huber or square",
}


def read_config(path: str | Path) -> Config:
    """The configuration in a YAML file. `InputError` gathers all faults, and proposes the right key for a wrong one."""
    try:
        data = read_yaml(path)
    except InputError as error:
        raise InputError(f"configuration {error}") from None
    return check_config(data, f"configuration {path}")


def check_config(data, where: str = "the configuration") -> Config:
    """A `Config` out of plain mappings, as a YAML file holds them; `InputError` as in `read_config`."""
    if not isinstance(data, Mapping):
        raise InputError(f"{where} is not a mapping of sections; see configs/demo.yaml for the layout.")
    try:
        config = Config.model_validate(data)
        faults = unknown_values(config)
    except ValidationError as error:
        faults = [_fault(e) for e in error.errors()]
    if faults:
        raise InputError(f"{where} does not fit the schema:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return config


def _fault(error) -> str:
    place = ".".join(str(p) for p in error["loc"])
    for entry, kind in ((place, "key"), (f"{place}: {error['input']}", "value")):
        if entry in RENAMED:
            return f"{entry}: this {kind} is gone; {RENAMED[entry]}."
    if error["type"] == "extra_forbidden":
        *parents, key = error["loc"]
        known = list(_section(parents).model_fields)
        return str(unknown_name("key", str(key), known, ".".join(map(str, parents)) or "the file's top level"))
    if error["type"] == "missing":
        return f"{place}: required, but missing."
    if error["type"] == "value_error":  # ours, about several keys: its text says it all
        text = str(error["ctx"]["error"]).rstrip(".")
        return f"{place}: {text}." if place else f"{text}."
    return f"{place}: {expected(error)} (found {shown(error['input'])}).{_hint(error)}"


def _hint(error) -> str:
    """The nearest of the values there are."""
    if error["type"] != "literal_error" or not isinstance(error["input"], str):
        return ""
    near = get_close_matches(error["input"], re.findall(r"'([^']*)'", error["ctx"]["expected"]), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _section(location) -> type[BaseModel]:
    """The type of the section at a location such as ('subjects', 'S01', 'trials', 'walk')."""
    section: type[BaseModel] = Config
    keyed: dict[str, type[BaseModel]] = {"subjects": Subject, "trials": Trial}
    parts = iter(location)
    for part in parts:
        if part in keyed:
            section = keyed[part]
            next(parts, None)  # the name of the subject or trial
        elif part in section.model_fields:
            kinds = get_args(section.model_fields[part].annotation) or (section.model_fields[part].annotation,)
            section = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), section)
    return section


def json_schema() -> dict:
    """JSON schema of the configuration, as in configs/schema.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
