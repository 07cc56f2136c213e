"""Tables of points: a round trip, files of other programs, and what is refused."""

import numpy as np
import pytest
from tools.lifting_baselines.point_tables import write_point_sequences

from simspine.core.errors import InputError
from simspine.evaluation.point_sources import PointSequence, read_point_sequences

NAMES = ("Hip", "Spine_01", "Neck")


def sequences(deviation=True):
    random = np.random.default_rng(2)
    for subject, trial, camera, frames in (
        ("S9", "Walking_1", "54138969", [0, 50, 100]),
        ("S9", "Walking_1", "55011271", [0, 50]),
        ("S11", "Photo_2", None, [7]),
    ):
        xyz = random.normal(size=(len(frames), 3, 3))
        xyz[0, 1] = np.nan
        spread = np.abs(random.normal(size=xyz.shape)) if deviation else None
        yield PointSequence(subject, trial, frames, NAMES, xyz, "camera", camera, "", spread)


@pytest.mark.parametrize("deviation", [True, False])
def test_a_round_trip_loses_nothing(tmp_path, deviation):
    path, wrote = tmp_path / "points.npz", tuple(sequences(deviation))
    write_point_sequences(path, wrote)
    read = read_point_sequences(path)
    assert [s.key for s in read] == [s.key for s in wrote]
    for a, b in zip(read, wrote, strict=True):
        assert (a.names, a.axes, a.action) == (b.names, b.axes, b.action)
        np.testing.assert_array_equal(a.frames, b.frames)
        np.testing.assert_array_equal(a.values, b.values)
        assert (a.deviation is None) == (b.deviation is None)
        if deviation:
            np.testing.assert_array_equal(a.deviation, b.deviation)


def test_actions_come_from_names_of_trials():
    assert [s.action for s in sequences()] == ["Walking", "Walking", "Photo"]


def test_a_file_of_another_program_is_sorted_and_split(tmp_path):
    """Plain NumPy, rows mixed, optional columns left out."""
    path = tmp_path / "theirs.npz"
    xyz = np.arange(4.0)[:, None, None] * np.ones((4, 3, 3))
    rows = {"subject": ["S9", "S11", "S9", "S9"], "trial": ["Eating"] * 4, "frame": [5, 1, 3, 4]}
    np.savez(path, **rows, names=NAMES, xyz=xyz, axes="z_up")
    first, second = read_point_sequences(path)
    assert first.key == ("S9", "Eating", None)
    assert second.key == ("S11", "Eating", None)
    assert first.frames.tolist() == [3, 4, 5]
    assert first.values[:, 0, 0].tolist() == [2, 3, 0]


def test_points_and_frames_are_selected():
    whole = next(iter(sequences()))
    part = whole.select(("Neck", "Hip"), np.array([50, 100]))
    np.testing.assert_array_equal(part.values, whole.values[1:][:, [2, 0]])
    with pytest.raises(InputError, match="unknown point 'Head'"):
        whole.select(("Head",))
    with pytest.raises(InputError, match="frames"):
        whole.select(("Hip",), np.array([51]))
    with pytest.raises(InputError, match="frames"):
        whole.select(("Hip",), np.array([999]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"axes": "up"}, "expected one of z_up, y_up, camera"),
        ({"frames": [0, 0, 1]}, "each may be there once"),
        ({"frames": [-1, 0, 1]}, "start at 0"),
        ({"names": ("Hip", "Hip", "Neck")}, "unique"),
        ({"values": np.zeros((3, 2, 3))}, r"\(3, 2, 3\)"),
        ({"values": np.full((3, 3, 3), np.inf)}, "NaN"),
        ({"deviation": np.full((3, 3, 3), np.inf)}, "Hip along x in frame 0 is inf, and 26 more"),
        (
            {"deviation": np.where(np.arange(27).reshape(3, 3, 3) == 16, -0.2, np.nan)},
            "Neck along y in frame 1 is -0.2;",
        ),
    ],
)
def test_nonsense_is_refused(change, said):
    fields = {"subject": "S9", "trial": "Eating_1", "frames": [0, 1, 2], "names": NAMES, "values": np.zeros((3, 3, 3))}
    with pytest.raises(InputError, match=said):
        PointSequence(**(fields | change))


def test_files_that_hold_no_points_are_refused(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, xyz=np.zeros((2, 3, 3)))
    with pytest.raises(InputError, match=r"other\.npz: no subject, trial, frame, names, axes;"):
        read_point_sequences(path)
    table = {"subject": ["S9"], "trial": ["Eating"], "frame": [0], "names": NAMES, "axes": "z_up"}
    np.savez(path, **table, xyz=np.zeros((2, 3, 3)))
    with pytest.raises(InputError, match=r"xyz has shape \(2, 3, 3\), expected \(1, 3, 3\)"):
        read_point_sequences(path)
    np.savez(path, **(table | {"frame": [0.5]}), xyz=np.zeros((1, 3, 3)))
    with pytest.raises(InputError, match="whole numbers"):
        read_point_sequences(path)
    np.savez(path, **(table | {"axes": ["z_up", "y_up"]}), xyz=np.zeros((1, 3, 3)))
    with pytest.raises(InputError, match="axes are 'y_up, z_up', expected one of"):
        read_point_sequences(path)
    with pytest.raises(InputError, match="different names"):
        write_point_sequences(
            path, [*sequences(), PointSequence("S9", "Eating", [0], ("Hip",), np.zeros((1, 1, 3)), "camera")]
        )
    with pytest.raises(InputError, match="no frames"):
        write_point_sequences(path, [])


def test_a_wrong_standard_deviation_is_named_with_its_file(tmp_path):
    table = {"subject": ["S9"], "trial": ["Eating"], "frame": [40], "names": NAMES, "axes": "z_up"}
    np.savez(tmp_path / "net.npz", **table, xyz=np.zeros((1, 3, 3)), deviation=np.full((1, 3, 3), -1.0))
    with pytest.raises(InputError, match=r"net\.npz: points of S9/Eating: .* Hip along x in frame 40"):
        read_point_sequences(tmp_path / "net.npz")
