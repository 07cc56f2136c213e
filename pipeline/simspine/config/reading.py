"""From a YAML file to a checked configuration, with one clear line per fault; and the JSON schema."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from simspine.config.named import unknown_values
from simspine.config.run import Config
from simspine.errors import InputError
from simspine.pipeline.setting_faults import fault_line
from simspine.yaml_files import read_yaml

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
    return fault_line(error, Config, "the file's top level")


def json_schema() -> dict:
    """JSON schema of the configuration, as in configs/schema.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
