import json
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from tools.lifting_baselines.__main__ import main
from tools.lifting_baselines.lifters import fit_lifter, views_of_subjects
from tools.lifting_baselines.runs import mean_lifting_errors, train_lifting
from tools.lifting_baselines.samples import LIFTED_SPINE_POINTS

from simspine.cli.main import main as simspine
from simspine.core.errors import InputError
from simspine.evaluation.point_sources import read_point_sequences


@pytest.mark.parametrize("method", ["mean", "nearest", "ridge"])
def test_a_control_predicts_the_test_people(tiny, views, method, tmp_path):
    lifter = fit_lifter(tiny.model_copy(update={"method": method}), views, tmp_path)
    test = views_of_subjects(views, tiny.test)
    found = lifter.lift(test)
    assert {sequence.subject for sequence in found} == {"S6"}
    assert sum(len(sequence.frames) for sequence in found) == 3 * 4 * 10  # trials, cameras, seconds
    assert all((sequence.values[:, 0] == 0).all() for sequence in found)
    assert not list(tmp_path.iterdir())


def test_the_mean_pose_is_that_of_the_training_people(tiny, views, tmp_path):
    found = fit_lifter(tiny.model_copy(update={"method": "mean"}), views, tmp_path).lift(
        views_of_subjects(views, tiny.test)
    )
    learnt = [v.truth.values[v.scored] - v.truth.values[v.scored, :1] for v in views_of_subjects(views, tiny.train)]
    np.testing.assert_allclose(found[0].values[0], np.concatenate(learnt).mean(0), atol=1e-9)


def test_known_people_are_lifted_by_their_own_poses(tiny, views, tmp_path):
    """The nearest neighbour of a sample learnt from is itself."""
    options = tiny.model_copy(update={"method": "nearest", "points": "spine"})
    known = views_of_subjects(views, tiny.train)
    found = fit_lifter(options, views, tmp_path).lift(known)
    np.testing.assert_allclose(mean_lifting_errors(found, [view.truth for view in known]), 0, atol=1e-6)


def test_training_writes_what_others_can_read(tiny, tmp_path):
    options = tiny.model_copy(update={"method": "ridge"})
    tables = train_lifting(options, tmp_path)
    predictions, truth = (
        read_point_sequences(tmp_path / "predictions.npz"),
        read_point_sequences(tmp_path / "truth.npz"),
    )
    expected = tables[0].value("ridge", "all", "MPJPE spine")
    assert mean_lifting_errors(predictions, truth)[0] == pytest.approx(expected, abs=1e-3)
    assert json.loads((tmp_path / "options.json").read_text())["method"] == "ridge"
    assert (tmp_path / "tables.json").exists()
    assert not (tmp_path / "losses.csv").exists()


def test_controls_are_compared_by_the_benchmark_of_predictions(tmp_path):
    """What `train` writes of several methods is what `benchmark lifting` takes."""
    run = CliRunner().invoke
    for method in ("mean", "ridge"):
        words = ["--preset", "tiny", "--method", method, "--points", "spine", "--out", str(tmp_path / method)]
        done = run(main, words)
        assert done.exit_code == 0, done.output
        assert "Lifting: errors by region" in done.output
        assert read_point_sequences(tmp_path / method / "predictions.npz")[0].names == LIFTED_SPINE_POINTS
    files = [f"{method}={tmp_path / method / 'predictions.npz'}" for method in ("mean", "ridge")]
    truth = ["--truth", str(tmp_path / "mean/truth.npz"), "--subjects", "all"]
    done = run(simspine, ["benchmark", "lifting", *files, *truth, "--json", str(tmp_path / "lifting.json")])
    assert done.exit_code == 0, done.output
    assert list(json.loads((tmp_path / "lifting.json").read_text())["methods"]) == ["mean", "ridge"]


def test_nothing_to_learn_from_is_said(tiny, views, tmp_path):
    with pytest.raises(InputError, match="0 samples to learn from"):
        fit_lifter(tiny, views_of_subjects(views, tiny.test), tmp_path)


def test_networks_without_torch_name_the_extra(tiny, views, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"pip install 'simspine\[learn\]'"):
        fit_lifter(tiny, views, tmp_path)
    done = CliRunner().invoke(main, ["--preset", "tiny", "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: a network needs the package torch")  # and nothing before: no people were made
    assert not (tmp_path / "out").exists()


def test_a_file_and_a_preset_together_are_refused(tmp_path):
    file = tmp_path / "lifting.yaml"
    file.write_text("method: mean\n")
    done = CliRunner().invoke(main, [str(file), "--preset", "tiny"])
    assert done.exit_code == 1
    assert "a file names its preset itself" in done.stderr
