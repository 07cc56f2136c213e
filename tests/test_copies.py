"""Whatever the library hands out or takes can be copied and pickled, and stays as read-only as it was."""

import copy
import inspect
import pickle
from enum import EnumType
from types import MappingProxyType

import numpy as np
import pytest
from small_project import dancing, of_size

import simspine as ss
from simspine.anatomy.priors import LinearPrior, SharedError
from simspine.vision.board import Board
from simspine.vision.board_calibration import BoardViews
from simspine.vision.triangulation import triangulate_with_report

WAYS = [copy.copy, copy.deepcopy, lambda item: pickle.loads(pickle.dumps(item))]
CAMERA = ss.Camera("c", (640, 480), [[500, 0, 320], [0, 500, 240], [0, 0, 1]], [0.1], np.eye(3), [0, 0, 3])
KEYPOINTS = ss.Keypoints(["a", "b"], 50, np.ones((3, 2, 2, 2)), np.ones((3, 2, 2)))
PERSON = ss.DetectedPerson(np.ones((37, 2)), np.ones(37), np.zeros(37, bool), np.zeros(37, bool))
TERM = LinearPrior({"x": 1.0}, 0.0, 1.0)


@pytest.fixture(scope="module")
def examples():
    """One of each class of the library, and of some that it takes."""
    true = dancing(of_size(1.0), 12)
    markers = true.with_(
        weight=np.ones(true.present.shape), covariance=np.tile(1e-4 * np.eye(3), (*true.present.shape, 1, 1)),
        filled=~true.present, origin=[ss.Origin.GIVEN] * len(true.names),
    )  # fmt: skip
    solved = ss.fit_trials({"t": markers}, "coupled", "spinetrack37")["t"]
    board = Board(4, 5, 0.03, 0.02)
    return [
        CAMERA, KEYPOINTS, markers, solved.motion, solved, solved.body, TERM, ss.Prior([TERM], {"x": [0.1]}),
        ss.Smoothness({"*": 2.0}), SharedError("s", ("a", "b"), 0.01), ss.MarkerErrors(), ss.Options(),
        ss.Solver(coordinate_tasks={"x": (0.0, 1.0)}), board, ss.Delayed(KEYPOINTS, [0, 1]),
        BoardViews(board, ("a",), ((640, 480),), np.zeros((3, 1, len(board.corners), 2))),
        solved.result, solved.spine, solved.verdict, ss.Finding("gap", "info", "found", "do"),
        triangulate_with_report(KEYPOINTS, [CAMERA, CAMERA.with_(t=[1, 0, 3])])[1], ss.CameraChecks((), ()),
        PERSON, ss.DetectedFrame(0, 0.0, np.zeros((4, 4, 3), np.uint8), (PERSON,)),
        ss.complete_spine({"C7": [0, 0.5, 0], "T8": [0, 0.3, 0.02], "L5": [0, 0, 0]}),
    ]  # fmt: skip


def test_every_class_is_looked_at(examples):
    classes = {kind for kind in (getattr(ss, name) for name in ss.__all__) if inspect.isclass(kind)}
    plain = {kind for kind in classes if not isinstance(kind, EnumType) and not issubclass(kind, Exception)}
    assert plain - {ss.PoseTracker, ss.SpinePoseEstimator} <= {
        type(example) for example in examples
    }  # it holds networks


def held(item, name="", seen=None):
    """(name, array or mapping) of everything in an object of ours."""
    seen = set() if seen is None else seen
    if id(item) in seen:
        return
    seen.add(id(item))
    if isinstance(item, np.ndarray | MappingProxyType):
        yield name, item
    if isinstance(item, dict | MappingProxyType):
        parts = item.items()
    elif isinstance(item, tuple | list):
        parts = enumerate(item)
    else:
        parts = vars(item).items() if type(item).__module__.startswith("simspine") and hasattr(item, "__dict__") else ()
    for part, value in parts:
        yield from held(value, f"{name}.{part}", seen)


def read_only(item) -> set[str]:
    """Names of arrays that nobody can write to, and of read-only mappings."""
    return {name for name, part in held(item) if isinstance(part, MappingProxyType) or not part.flags.writeable}


@pytest.mark.parametrize("way", WAYS, ids=["copy", "deepcopy", "pickle"])
def test_copies_are_equal_and_as_read_only(examples, way):
    for example in examples:
        again = way(example)
        assert type(again) is type(example)
        before, after = dict(held(example)), dict(held(again))
        assert before.keys() == after.keys()
        for name, part in before.items():
            np.testing.assert_array_equal(part, after[name], err_msg=f"{type(example).__name__}{name}")
        assert read_only(example) <= read_only(again)
    kinds = (ss.Camera, ss.Keypoints, ss.Markers, ss.Motion, BoardViews)
    for example in (one for one in examples if isinstance(one, kinds)):
        assert read_only(way(example)) == {name for name, _ in held(example)} != set()
