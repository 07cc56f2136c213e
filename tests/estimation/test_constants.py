"""The numbers in docs/method.md against the code."""

import ast
import importlib
import pkgutil
import re
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

from simspine import estimation
from simspine.anatomy.curvature import SACRAL_TILT_SD, TILT_SD
from simspine.anatomy.marker_sets import read_skin_table
from simspine.anatomy.priors import RHYTHM_TIME, LinearPrior, SharedError, Smoothness
from simspine.estimation import fit_person, levenberg_marquardt, noise, observations, terms, trajectory_engine
from simspine.estimation.options import KinematicsOptions
from simspine.estimation.result import Solver
from simspine.vision import person_frame

METHOD = Path(__file__).parents[2] / "docs" / "method.md"
# Constants that decide when to stop, which frames to look at, how fast or exactly a result comes, or how it is written.
NUMERICAL = {
    "banded": {"MATRICES_PER_BATCH"},
    "fit_person": {"NOISE_ROUNDS"},
    "frame_engine": {"INITIAL_DAMPING", "MIN_DAMPING", "NEGLIGIBLE_GAIN_M2", "MAX_FRAME_JUMP", "MAX_ITERATIONS"},
    "inverse_kinematics": {"LEAST_SPREAD_RATIO", "MOST_SPREAD_RATIO", "MAX_MARKER_DISTANCE_M"},
    "levenberg_marquardt": {
        *("MAX_STEP", "GOOD_GAIN_RATIO", "MAX_ITERATIONS", "MAX_POLISHING_STEPS"),
        *("POLISHED_COST_SHARE", "CHORD_DECREASE_RATIO", "MAX_SHORTER_STEPS", "MAX_FACTORISATIONS", "STRETCH_COUNT"),
        *("MIN_STRETCH_FRAMES", "MIN_STRETCH_S", "UPDATE_COUNT", "MAX_EXTRAPOLATION"),
    },
    "noise": {
        *("SMOOTHING_DEGREE", "MAX_POSTURES", "MIN_POSTURES_PER_TRIAL", "MAX_POSTURES_PER_TRIAL"),
        *("MAX_THIGH_TILT_RAD", "MAX_TRUNK_TILT_RAD"),
    },
    "path_basis": {"GAUSS_POINTS", "BASES_KEPT", "FIT_SMOOTHNESS"},
    "person": {"SAME_PLACE_M"},
    "person_solver": {"MIN_STANDING_FRAMES", "BODY_ERROR_MODES"},
    "person_system": {
        *("UNSEEN_FRAME_PRECISION", "MAX_PERSON_STEPS", "MAX_REMAINING_GAIN"),
        *("NEAR_MINIMUM_DECREASE_SHARE", "DAMPING_LIMITS", "STEP_SHARES"),
    },
    "result": {"DEFAULT_TOLERANCES", "BENT_HINGE_RAD"},
    "terms": {"UNIFORM_VARIANCE_DIVISOR", "INTERVALS_PER_BATCH"},
    "trajectory": {"BIAS_TERMS"},
    "trajectory_engine": {
        *("START_OFFSET_SD_M", "FRAMES_PER_COVARIANCE_BATCH", "DEVIATION_SPACING_S"),
        *("MAX_SINGLE_PRECISION_STIFFNESS", "KNOT_SPACINGS_S", "MIN_KNOT_SPACING", "MAX_SPLINE_ERROR_RAD"),
        *("START_KNOT_SPACING_S", "ROUGH_START_COST_SHARE"),
    },
    "uncertainty": {"DIFFERENCE_STEP"},
}
# Constants whose value or source the page has in a sentence, or the recipe has.
IN_SENTENCES = {
    "LOG_VARIANCE_FACTOR": "within a factor e",
    "INCIDENCE_SD": "([recipe](../opensim_models/articulated.yaml))",
    "RHYTHM_TIME": "10 s for rhythm, else 1 s",
    "NO_PRIOR_SD_RAD": "1.5 rad about the default",
    "LIMIT_SD_RAD": "(Boone & Azen 1979)",
    "SMOOTHING_WINDOW_S": "cubics over 0.3 s",
    "BURST_TIMES_S": "at 0.3 and 0.9 s",
}
CODES = ("LOSS_", "ORDER_", "STATUS_", "UNUSED_")  # beginnings of names that stand for choices, not for quantities
ROOMS = {"priors": "anatomy"}  # {module: its room}; estimation for others


SKIN, OPTIONS, SHORT_TRIALS = read_skin_table(), KinematicsOptions(), levenberg_marquardt.STRETCH_COUNT + 1
STATED = {  # {words of the page: the numbers in them, from the code, in the page's units}
    "or 3 mm if": [1e3 * observations.USUAL_BODY_MISFIT_M],
    "± 4 mm each, ± 10 mm in common": [1e3 * SKIN.of(["T7_skin"])["T7_skin"].sd[0], 1e3 * SKIN.person_depth_sd],
    "slides by 5 mm": [1e3 * SKIN.noise],
    "one marker every 100 mm": [1e3 * SKIN.correlation],
    "an error of 20 mm forward": [1e3 * SKIN.pelvis_sd[0]],
    "τ = 30 s": [SharedError.correlation_time],
    "10 s for rhythm, else 1 s": [RHYTHM_TIME, LinearPrior({}, 0.0, 1.0).correlation_time],
    "1.5 rad about the default": [trajectory_engine.NO_PRIOR_SD_RAD],
    "excess}/5^": [np.degrees(terms.LIMIT_SD_RAD)],
    "4.5 Hz for the pelvis (0.01 rad)": [np.sqrt(OPTIONS.acceleration_sd / 0.01) / (2 * np.pi), 0.01],
    "1.2 Hz for a lumbar level (0.05 rad)": [np.sqrt(OPTIONS.level_acceleration_sd / 0.05) / (2 * np.pi), 0.05],
    "pelvis: 2.4 m/s": [OPTIONS.acceleration_sd * Smoothness().metres_per_rad],
    "cubics over 0.3 s": [noise.SMOOTHING_WINDOW_S],
    "at most 30 s, comes": [SharedError.correlation_time],
    "150 postures": [noise.MAX_POSTURES],
    "6–60 a trial": [noise.MIN_POSTURES_PER_TRIAL, noise.MAX_POSTURES_PER_TRIAL],
    "at 0.3 and 0.9 s": noise.BURST_TIMES_S[1:],
    "a frame every 160 ms": [1e3 * trajectory_engine.START_KNOT_SPACING_S],
    "at least 5.6 s": [SHORT_TRIALS * levenberg_marquardt.MIN_STRETCH_S],
    "and 280 frames": [SHORT_TRIALS * levenberg_marquardt.MIN_STRETCH_FRAMES],
    "80, 60 or 40 ms": [1e3 * seconds for seconds in trajectory_engine.KNOT_SPACINGS_S],
    "within 0.02°": [np.degrees(trajectory_engine.MAX_SPLINE_ERROR_RAD)],
    "600 frames, 50 more": [Solver().window, Solver().overlap],
    "13 mm an axis of a region, 6.7 mm": [1e3 * fit_person.DETECTOR_BIAS_SD_M, 1e3 * fit_person.SIDE_BIAS_SD_M],
    "6.9° (sacrum), 3° (others)": np.degrees([SACRAL_TILT_SD, TILT_SD]),
    "every 80 ms (knots": [1e3 * trajectory_engine.DEVIATION_SPACING_S],
    "leans by 25° or more": [np.degrees(person_frame.MAX_LEAN_RAD)],
    "axis within 10°": [np.degrees(person_frame.MAX_AXIS_ERROR_RAD)],
    "by over 45° (a finding)": [np.degrees(person_frame.MAX_CAMERA_ROLL_RAD)],
    "roll: 3°)": [np.degrees(person_frame.CAMERA_ROLL_SD)],
}


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


@pytest.mark.parametrize(("words", "numbers"), STATED.items(), ids=str)
def test_numbers_in_sentences_are_those_of_the_code(words, numbers):
    assert words in METHOD.read_text(encoding="utf-8")
    assert [float(number) for number in re.findall(r"[\d.]*\d", words)] == pytest.approx(numbers, rel=0.03)
