"""The table of constants in docs/method.md against the code."""

import ast
import importlib
import pkgutil
import re
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

from simspine import estimation
from simspine.estimation.options import KinematicsOptions

METHOD = Path(__file__).parents[2] / "docs" / "method.md"
# Constants that decide when to stop, which frames to look at, how fast or exactly a result comes, or how it is written.
NUMERICAL = {
    "fit_person": {"NOISE_ROUNDS"},
    "frame_engine": {"INITIAL_DAMPING", "MIN_DAMPING", "NEGLIGIBLE_GAIN_M2", "MAX_FRAME_JUMP", "MAX_ITERATIONS"},
    "inverse_kinematics": {"LEAST_SPREAD_RATIO", "MOST_SPREAD_RATIO"},
    "levenberg_marquardt": {
        *("MAX_STEP", "GOOD_GAIN_RATIO", "MAX_ITERATIONS", "MAX_POLISHING_STEPS"),
        *("POLISHED_COST_SHARE", "CHORD_PROMISE_RATIO", "MAX_SHORTER_STEPS", "MAX_FACTORISATIONS", "STRETCH_COUNT"),
        *("MIN_STRETCH_FRAMES", "MIN_STRETCH_S", "UPDATE_COUNT", "MAX_EXTRAPOLATION", "NEIGHBOURHOOD"),
    },
    "noise": {
        *("SMOOTHING_DEGREE", "MAX_POSTURES", "MIN_POSTURES_PER_TRIAL", "MAX_POSTURES_PER_TRIAL"),
        *("MIN_MARKERS_PER_POSTURE", "MAX_THIGH_TILT_RAD", "MAX_TRUNK_TILT_RAD"),
    },
    "path_basis": {"GAUSS_POINTS", "BASES_KEPT", "FIT_SMOOTHNESS"},
    "person": {"MIN_PLACE_SD_M", "SAME_PLACE_M", "NO_ERROR_SD_M"},
    "person_solver": {"START_TOLERANCE", "MIN_STANDING_FRAMES", "BODY_ERROR_MODES"},
    "person_system": {
        *("FRAMES_PER_BATCH", "UNSEEN_FRAME_PRECISION", "MAX_PERSON_STEPS", "MAX_REMAINING_GAIN"),
        *("NEAR_MINIMUM_PROMISE_SHARE", "DAMPING_LIMITS", "STEP_SHARES"),
    },
    "result": {"DEFAULT_TOLERANCES", "BENT_HINGE_RAD"},
    "terms": {"UNIFORM_VARIANCE_DIVISOR", "INTERVALS_PER_BATCH"},
    "trajectory": {"ROUGH_ITERATIONS", "ROUGH_TOLERANCE", "BIAS_TERMS"},
    "trajectory_engine": {
        *("START_OFFSET_SD_M", "FRAMES_PER_COVARIANCE_BATCH", "DEVIATION_SPACING_S", "START_SMOOTHING_FRAMES"),
        *("MAX_SINGLE_PRECISION_STIFFNESS", "KNOT_SPACINGS_S", "MIN_KNOT_SPACING", "MAX_SPLINE_ERROR_RAD"),
        *("START_KNOT_SPACING_S", "ROUGH_START_COST_SHARE"),
    },
    "uncertainty": {"FRAMES_INVERTED_TOGETHER", "SPINE_DIFFERENCE_STEP", "AXES_DIFFERENCE_STEP_RAD"},
    "priors": {"MIN_VARIANCE_SHARE"},
}
# Constants whose value or source the page has in a sentence, or the recipe has.
IN_SENTENCES = {
    "LOG_VARIANCE_FACTOR": "within a factor e",
    "INCIDENCE_SD": "([recipe](../opensim_models/articulated.yaml))",
}
CODES = ("LOSS_", "ORDER_", "STATUS_", "UNUSED_")  # beginnings of names that stand for choices, not for quantities
ROOMS = {"priors": "anatomy"}  # {module: its room}; estimation for others


def _module(name: str):
    return importlib.import_module(f"simspine.{ROOMS.get(name, 'estimation')}.{name}")


def _values(name: str, module: str) -> list[float]:
    if module == "options":
        return [KinematicsOptions.model_fields[name].default]
    found = attrgetter(name)(_module(module))
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
            if "." in mark and mark[0].islower():
                module, mark = mark.split(".", 1)
            names.append((mark, module))
        rows.append((names, [float(value) for value in cells[1].split(",")]))
    return rows


@pytest.mark.parametrize(("names", "values"), _rows(), ids=lambda part: str(part)[:60])
def test_values_are_those_of_the_code(names, values):
    assert [value for name, module in names for value in _values(name, module)] == values


@pytest.mark.parametrize("module", [*(m.name for m in pkgutil.iter_modules(estimation.__path__)), *ROOMS])
def test_no_constant_is_left_out(module):
    """Each number is in the table, in a sentence, or in the list of numerical settings above."""
    page, found = METHOD.read_text(encoding="utf-8"), _module(module)
    parsed = ast.parse(Path(found.__file__).read_text(encoding="utf-8"))
    assigned = (
        node
        for statement in parsed.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    names = {node.id for node in assigned if node.id.isupper() and not node.id.startswith(CODES)}
    listed = {name for row, _ in _rows() for name, of_module in row if of_module == module}
    stated = {name for name, words in IN_SENTENCES.items() if words in page}
    assert {name for name in names if _is_number(getattr(found, name))} - listed - stated == NUMERICAL.get(
        module, set()
    )


def _is_number(value) -> bool:
    values = list(value.values()) if isinstance(value, dict) else value
    try:
        return np.asarray(values).dtype.kind in "fi"
    except ValueError:
        return False
