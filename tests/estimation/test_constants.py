"""The table of constants in docs/method.md against the code."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from simspine.estimation.options import KinematicsOptions

METHOD = Path(__file__).parents[2] / "docs" / "method.md"
# Constants of these modules that decide when to stop, which frames to look at, or how a file is written.
NUMERICAL = {
    *("NOISE_ROUNDS", "SMOOTHING_DEGREE", "MAX_POSTURES", "MIN_POSTURES_PER_TRIAL", "MAX_POSTURES_PER_TRIAL"),
    *("MIN_MARKERS_PER_POSTURE", "MAX_THIGH_TILT_RAD", "MAX_TRUNK_TILT_RAD", "MIN_PLACE_SD_M", "SAME_PLACE_M"),
    "NO_ERROR_SD_M",
}
MODULES = ("fit_person", "noise", "observations", "person")


def _values(name: str, module: str) -> list[float]:
    if module == "options":
        return [KinematicsOptions.model_fields[name].default]
    found = getattr(importlib.import_module(f"simspine.estimation.{module}"), name)
    return np.ravel(list(found.values()) if isinstance(found, dict) else found).tolist()


def _rows() -> list[tuple[list[tuple[str, str]], list[float]]]:
    section = METHOD.read_text(encoding="utf-8").split("## Constants")[1].split("\n## ")[0]
    rows = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not cells[0].startswith("`"):
            continue
        module, names = "", []
        for mark in re.findall("`([^`]+)`", cells[0]):
            module, name = mark.split(".") if "." in mark else (module, mark)
            names.append((name, module))
        rows.append((names, [float(value) for value in cells[1].split(",")]))
    return rows


@pytest.mark.parametrize(("names", "values"), _rows(), ids=lambda part: str(part)[:60])
def test_values_are_those_of_the_code(names, values):
    assert [value for name, module in names for value in _values(name, module)] == values


def test_no_constant_is_left_out():
    """Of the modules that say how large errors are."""
    listed = {name for names, _ in _rows() for name, _ in names} | NUMERICAL
    for module in MODULES:
        found = importlib.import_module(f"simspine.estimation.{module}")
        source = Path(found.__file__).read_text(encoding="utf-8")
        assigned = re.findall(r"^([A-Z][A-Z_]+(?:, [A-Z_]+)*)(?::[^=]+)? = (?=[-\d(n{])", source, re.MULTILINE)
        names = {name for group in assigned for name in group.split(", ")}
        numbers = {name for name in names if _is_number(getattr(found, name))}
        assert numbers <= listed


def _is_number(value) -> bool:
    values = list(value.values()) if isinstance(value, dict) else value
    try:
        return np.asarray(values).dtype.kind in "fi"
    except ValueError:
        return False
