"""A data set of ours is rendered: its people's bones, their motion, and labels where the data set has the points."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from simspine.anatomy.body import forward_kinematics
from simspine.anatomy.recipes import build_body
from simspine.cli.main import main
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Motion
from simspine.io.dataset_write import Dataset, SubjectData, TrialData, write_dataset
from simspine.synthesis import virtual_trial

NATIVE = load_skeleton("spinetrack37")


@pytest.fixture(scope="module")
def recorded():
    """A body, and two of its trials as they are published."""
    subject = virtual_trial.make_subject(3, 0)
    body = virtual_trial.truth_body(subject).body
    trials = {}
    for name in ("Walking", "Greeting"):
        made = virtual_trial.make_trial(subject, name, 1, 30).motion
        motion = Motion(made.names, made.rate, made.values, made.rotational)
        trials[f"{name}_1"] = TrialData(forward_kinematics(body, motion), motion)
    return body, trials


def rendered(folder, body, trials, *models):
    path = folder / "set.h5"
    write_dataset(path, Dataset({f"S{i}": SubjectData((), trials, model) for i, model in enumerate(models, 1)}))
    options = ["--images", "6", "--people", "1", "--size", "64x96", "--quiet", "--motion", str(path)]
    return CliRunner().invoke(main, ["capture", "render", "--out", str(folder / "pictures"), *options])


def test_labels_are_the_data_sets_points(recorded, tmp_path):
    """Distances between labelled points in the camera's frame are those between the body's points in that frame."""
    body, trials = recorded
    done = rendered(tmp_path, body, trials, body.osim)
    assert done.exit_code == 0, done.output
    assert "sex, build and looks of S1 are drawn" in done.output
    found = json.loads((tmp_path / "pictures/annotations/person_keypoints_train-unreal.json").read_text())
    # trials one after the other, in the order of the file
    xyz = np.concatenate([trials[name].markers.xyz for name in trials])
    known = trials["Walking_1"].markers
    assert len(found["annotations"]) == 6
    for row in found["annotations"]:
        assert row["person"] == "S1"
        local = np.array(row["keypoints_camera_m"], float).reshape(len(NATIVE.names), 3)
        at = {NATIVE.to_simspine[name]: place for name, place in zip(NATIVE.names, local, strict=True)}
        for one, other in (("Neck", "Spine_04"), ("Spine_04", "Spine_02")):
            there = [xyz[row["frame"], known.index(name)] for name in (one, other)]
            assert np.linalg.norm(at[one] - at[other]) == pytest.approx(
                np.linalg.norm(there[0] - there[1]), abs=2e-4
            )  # as rounded


def test_people_without_a_body_are_refused(recorded, tmp_path):
    done = rendered(tmp_path, *recorded, "")
    assert done.exit_code == 2
    assert "subject S1 has no model in the file" in done.output
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize("place", [0, 1])
def test_people_without_vertebrae_leave_nothing_behind(recorded, tmp_path, place):
    """The body in which lumbar levels are tied has no single vertebrae to lay a skin around: said of the first person
    and of the second, after whose pictures a folder would be half full."""
    body, trials = recorded
    models = [body.osim, body.osim]
    models[place] = build_body("coupled", "blazepose").osim
    done = rendered(tmp_path, body, trials, *models)
    assert done.exit_code == 2
    assert "a skin needs a body with every vertebra" in " ".join(done.output.split())
    assert not (tmp_path / "pictures").exists()
