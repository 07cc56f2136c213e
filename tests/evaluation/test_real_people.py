"""Judging by real people, on made-up people whose truth is known."""

import json
from functools import cache

import numpy as np
import pytest
from command_line import call, failed, succeeded
from tools.bench import real_people
from tools.bench.baselines import BACK_MARKERS, back_marker_baselines
from tools.bench.real_people import (
    CT_LEVELS,
    PLAIN,
    REGISTERED,
    GaitScore,
    ct_forecasts,
    ct_table,
    gait_tables,
    lumbar_posture_covariance,
    misplaced_levels,
    read_ct_pairs,
    read_gait_people,
    score_gait,
)

from simspine.anatomy.body import body_poses, forward_kinematics
from simspine.anatomy.marker_sets import read_marker_set
from simspine.anatomy.recipes import build_body
from simspine.core.errors import InputError
from simspine.core.geometry import markers_in_frame
from simspine.core.types import Markers, Motion

FRAMES = 40
OFFSET = np.array([0.0, 0.0, 0.012])  # m to the right: where T6's marker lies on its vertebra
LIMBS = ("ASI", "SHO", "ELB", "WRA", "KNE", "ANK", "HEE", "TOE")
LABELS = (*BACK_MARKERS, "CLAV", "STRN", *(side + name for side in "LR" for name in LIMBS))


@cache
def gait_of_the_model(bends: float) -> Markers:
    """Markers of Plug-in Gait on the model, y_up, while the trunk bends and the hips swing by that many radians."""
    names = read_marker_set("plugin_gait").names
    ours = [names.get(label, label) for label in LABELS]
    body = build_body("articulated", "plugin_gait", [name for name in ours if name.endswith("_skin")], 0.007)
    coordinates = body.coordinates
    values = np.tile(coordinates.default, (FRAMES, 1))
    course = bends * np.sin(np.linspace(0, 2 * np.pi, FRAMES))
    for i, name in enumerate(coordinates.names):
        if name.endswith("_Flex_Ext") and name.startswith(("L", "T")):
            values[:, i] += 0.1 * course
        if name in ("hip_flexion_r", "hip_flexion_l"):
            values[:, i] += course if name.endswith("r") else -course
        if name in ("arm_add_r", "arm_add_l"):
            values[:, i] = 0.0
    motion = Motion(coordinates.names, 100.0, values, coordinates.rotational)
    markers = forward_kinematics(body, motion, names=ours)
    xyz = np.array(markers.xyz)
    xyz[:, LABELS.index("T6")] += body_poses(body, motion)["T6"][:, :3, :3] @ OFFSET
    return Markers(LABELS, 100.0, xyz, "y_up")


def write_gait(path, people) -> None:
    arrays = {}
    for key, markers in people.items():
        arrays[key] = (1000 * markers_in_frame(markers, "z_up").xyz).astype(np.float32)
        arrays[f"{key}_labels"] = np.array(markers.names)
    np.savez(path, **arrays)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp("gait") / "people.npz"
    moving = gait_of_the_model(0.4)
    xyz = np.array(moving.xyz)
    xyz[3, 5] = 0.0  # not seen
    write_gait(path, {"A_0": gait_of_the_model(0.01), "A_1": moving.with_(xyz=xyz)})
    return path


def test_people_are_read_in_metres_with_gaps(recorded):
    (trials,) = read_gait_people(recorded).values()
    assert trials["1"].frame == "y_up"
    assert np.isnan(trials["1"].xyz[3, 5]).all()
    np.testing.assert_allclose(trials["0"].xyz, gait_of_the_model(0.01).xyz, atol=1e-6)


def test_a_marker_that_was_left_out_is_found_where_the_model_has_it(recorded):
    """The marker lies 12 mm beside the model's place: that is the error without registration, and none with it."""
    (score,) = score_gait(read_gait_people(recorded), levels=("T6",))
    assert (score.person, score.trial, score.frames) == ("A", "1", FRAMES - 1)
    assert 0.009 < score.error[PLAIN] < 0.016
    assert score.error[REGISTERED] < 0.004
    assert score.error[REGISTERED] < score.error["rigid back"]
    assert min(score.inside[REGISTERED][2:]) > 0.8


def test_baselines_of_a_back_that_moves_as_one_body_have_no_error():
    standing = gait_of_the_model(0.01)
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    moved = standing.with_(xyz=standing.xyz[:1] @ turn.T + [1.0, 0.0, 2.0])
    still = standing.with_(xyz=standing.xyz[:1])
    places = back_marker_baselines(moved, still, "T10")
    truth = moved.select(["T10"]).xyz[:, 0]
    for name in ("rigid back", "spline + standing offset"):
        np.testing.assert_allclose(places[name], truth, atol=1e-9)
    assert 0 < np.linalg.norm(places["spline"] - truth) < 0.01


def people_standing(distances):
    heights = {"C7": 0.5, "T2": 0.45, "T6": 0.35, "T10": 0.25, "SACR": 0.0}
    people = {}
    for name, distance in distances.items():
        xyz = np.array([[0.0, {**heights, "T12": distance}[level], 0.0] for level in BACK_MARKERS])
        people[name] = {"0": Markers(BACK_MARKERS, 100.0, np.tile(xyz, (3, 1, 1)), "y_up")}
    return people


def test_a_marker_on_another_level_is_named():
    people = people_standing({"A": 0.150, "B": 0.155, "C": 0.145, "D": 0.1})
    assert misplaced_levels(people) == {"D": pytest.approx(0.1)}
    error = {"spline": 0.004, PLAIN: 0.003}
    score = GaitScore(person="D", trial="1", level="T6", frames=5, error=error, inside={PLAIN: (0.5, 0.8, 0.9, 1.0)})
    errors, stated = gait_tables([score], misplaced_levels(people))
    assert errors.value("spline", "", "T6 median") == pytest.approx(4.0)
    assert "D: T12 to SACR 100 mm" in errors.notes[1]
    assert stated.value(PLAIN, "", "inside 80 %") == pytest.approx(80.0)


def test_archives_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, A_0=np.zeros((3, 2, 3)), A_0_labels=np.array(["C7", "T2"]))
    with pytest.raises(InputError, match="expected A_0 of the person standing"):
        read_gait_people(path)
    np.savez(path, A_0=np.zeros((3, 2, 3)))
    with pytest.raises(InputError, match="a label for each marker in A_0_labels"):
        read_gait_people(path)
    np.savez(path, supine=np.zeros((4, 5)))
    with pytest.raises(InputError, match=r"expected \(20 people or more, 5\) each"):
        read_ct_pairs(path)


def people_in_two_postures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Drawn from the prior itself, rad."""
    covariance = lumbar_posture_covariance()
    marking = np.eye(5, 6) - np.eye(5, 6, 1)
    covariance = covariance + np.kron(np.eye(2), np.radians(real_people.MARKING_SD_DEG) ** 2 * marking @ marking.T)
    both = np.random.default_rng(4).multivariate_normal(np.full(10, 0.1), covariance, size=count)
    return both[:, :5], both[:, 5:]


def test_people_drawn_from_the_prior_lie_in_its_intervals():
    supine, prone = people_in_two_postures(2000)
    scores = {name: forecast.score(prone) for name, forecast in ct_forecasts(supine, prone).items()}
    np.testing.assert_allclose(scores["simspine"][1], [0.5, 0.8, 0.9, 0.95], atol=0.02)
    assert scores["simspine"][0] > scores["equal shares"][0] > scores["no change"][0]
    assert scores["simspine"][0] == pytest.approx(scores["fitted Gaussian"][0], abs=0.03)


def test_the_prior_of_a_posture_is_that_of_a_level():
    """A level's spread: of people's curve and of the moment; the same in both postures."""
    covariance = lumbar_posture_covariance()
    assert covariance.shape == (2 * len(CT_LEVELS),) * 2
    np.testing.assert_allclose(covariance[:5, :5], covariance[5:, 5:], rtol=1e-6)
    assert (np.diag(covariance)[:5] > np.diag(covariance[:5, 5:])).all()


def test_the_command_prints_and_writes_the_table(tmp_path):
    supine, prone = (np.degrees(angles) for angles in people_in_two_postures(60))
    path, out = tmp_path / "pairs.npz", tmp_path / "real.json"
    np.savez(path, supine=supine, prone=prone)
    said = succeeded(call("bench", "real", "--ct", path, "--json", out))
    assert "CT in two postures" in said
    (table,) = json.loads(out.read_text())["tables"]
    expected = ct_table(*read_ct_pairs(path))
    assert table["name"] == expected.name
    assert len(table["rows"]) == len(expected.rows) == 4
    assert "give --gait or --ct" in failed(call("bench", "real"))
