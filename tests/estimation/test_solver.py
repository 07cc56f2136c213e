"""`Solver` refuses what no engine can do, and never changes."""

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.estimation.result import Solver


@pytest.mark.parametrize(("name", "least"), [("min_markers", 0), ("threads", 1), ("window", 1), ("overlap", 0)])
def test_counts_are_whole_numbers(name, least):
    for value in (least, np.int64(least + 3)):
        assert getattr(Solver(**{name: value}), name) == value
    for value in (least - 1, -3, least + 0.5, float("nan"), "2", None, [2]):
        with pytest.raises(InputError, match=rf"^{name} is .*, expected a whole number from {least}"):
            Solver(**{name: value})


@pytest.mark.parametrize("task", [3, (1.0,), (1.0, 2.0, 3.0), ("a", 1.0), (0.0, -1.0), (float("nan"), 1.0), None])
def test_a_task_is_a_target_and_a_weight(task):
    assert Solver(coordinate_tasks={"knee": (0.1, 0)}).coordinate_tasks == {"knee": (0.1, 0)}
    with pytest.raises(InputError, match=r"task of 'knee' is .*, expected \(target in rad or m, weight of 0 or more\)"):
        Solver(coordinate_tasks={"knee": task})


@pytest.mark.parametrize(
    ("option", "said"),
    [({"engine": "frame"}, "'frames'"), ({"tolerance": 0.0}, "tolerance is 0"), ({"tolerance": "x"}, "tolerance is x")],
)
def test_engines_and_tolerances_that_mean_nothing_are_refused(option, said):
    with pytest.raises(InputError, match=said):
        Solver(**option)


def test_tasks_are_copied_in_and_read_only():
    tasks = {"knee": (0.1, 1.0)}
    solver = Solver(coordinate_tasks=tasks)
    tasks["knee"] = (0.2, 1.0)
    assert solver.coordinate_tasks == {"knee": (0.1, 1.0)}
    with pytest.raises(TypeError):
        solver.coordinate_tasks["knee"] = (0.3, 1.0)
