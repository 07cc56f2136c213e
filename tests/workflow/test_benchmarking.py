"""The commands `simspine benchmark …` from files to files."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import call, failed, succeeded
from small_images import people, write_labels, write_results
from small_points import moved, truth, write_angles
from tools.lifting_baselines.point_tables import write_point_sequences

from simspine.core.errors import InputError
from simspine.evaluation.angle_protocol import angle_names
from simspine.evaluation.point_sources import PointSequence
from simspine.evaluation.tables import EvaluationTable, TableColumn, TableRow
from simspine.workflow.results import named_files, write_benchmark_results
from simspine.workflow.up_to_date import file_checksum


def benchmark(*arguments):
    return call("benchmark", *arguments)


@pytest.fixture
def files(tmp_path):
    true = truth()
    write_point_sequences(tmp_path / "truth.npz", true)
    write_point_sequences(tmp_path / "net.npz", moved(true, lambda s: s.values + np.array([0, 0.004, 0])))
    return tmp_path


def test_predictions_become_tables(files):
    out = files / "out.json"
    done = benchmark("multiview", f"mine={files / 'net.npz'}", "--dataset", files / "truth.npz", "--json", out)
    assert done.exit_code == 0, done.output
    assert re.search(r"\| mine +\| mean over frames +\| 4\.00 +\| 4\.00", done.output)
    found = json.loads(out.read_text())
    assert found["tables"][0]["rows"][0]["cells"]["all"] == pytest.approx(4)
    assert found["methods"] == {"mine": file_checksum(files / "net.npz")}
    assert found["settings"] == {"subjects": "S9,S11"}


def test_predictions_are_not_replaced_by_the_figures(files):
    name, before = files / "net.npz", (files / "net.npz").read_bytes()
    done = benchmark("multiview", f"mine={name}", "--truth", files / "truth.npz", "--json", name)
    assert done.exit_code == 2
    assert "is one of the predictions, and would be replaced" in done.stderr
    assert name.read_bytes() == before


def test_angles_with_the_untested_people_as_control(tmp_path):
    names = angle_names(("L5-S1",))
    random = np.random.default_rng(2)
    everyone = [
        PointSequence(s, "Walking_1", np.arange(30), names, random.normal(size=(30, 5)), "angles")
        for s in ("S1", "S9", "S11")
    ]
    write_angles(tmp_path / "truth.npz", everyone)
    write_angles(tmp_path / "net.npz", everyone)
    said = succeeded(benchmark("angles", tmp_path / "net.npz", "--truth", tmp_path / "truth.npz"))
    (row,) = re.findall(r"\| net +\| LLA +\| 0\.00 .*", said)
    assert "| no coverage: no deviations in the predictions" in row
    assert "control: mean of the training people" in said
    done = benchmark("angles", tmp_path / "net.npz", "--truth", tmp_path / "truth.npz", "--subjects", "all")
    assert "control: mean" not in done.output


def test_points_in_images_from_a_copy_of_spinetrack(tmp_path):
    write_labels(tmp_path / "st/annotations/person_keypoints_val2017.json", people())
    write_results(tmp_path / "found.json", people())
    said = succeeded(benchmark("2d", tmp_path / "found.json", "--truth", tmp_path / "st"))
    assert "| found | all | 1.000 | 1.000 |" in " ".join(said.split())
    labels = tmp_path / "st/annotations/person_keypoints_val2017.json"
    words = ("2d", tmp_path / "found.json", "--truth", tmp_path / "st", "--json")
    before = labels.read_bytes()
    assert "is no file of these figures" in failed(benchmark(*words, labels))
    assert labels.read_bytes() == before
    for _ in range(2):
        succeeded(benchmark(*words, tmp_path / "figures.json"))


def test_what_is_missing_or_wrong_ends_with_two_and_writes_nothing(files):
    for arguments, said in (
        (("angles",), "give predictions"),
        (("lifting", files / "net.npz"), "--truth"),
        (("lifting", files / "gone.npz", "--truth", files / "truth.npz"), "gone.npz: no such file"),
        (("lifting", files / "net.npz", "--truth", files / "truth.npz", "--subjects", "S1"), "none of the subjects S1"),
        (("angles", files / "net.npz", "--truth", files / "truth.npz"), "net.npz: no angle"),
        (("2d", files / "net.npz", "--truth", files / "gone"), "gone: no such file"),
        (("multiview", files / "net.npz", files / "net.npz", "--truth", files / "truth.npz"), "called 'net'"),
    ):
        done = benchmark(*arguments, "--json", files / "never")
        assert done.exit_code == 2, (arguments, done.output)
        assert said in done.output
    assert not (files / "never").exists()


def test_results_are_named_after_their_files_unless_named(tmp_path):
    assert named_files(["a=x/y.npz", "z.json"]) == {"a": Path("x/y.npz"), "z": Path("z.json")}
    odd = tmp_path / "a=b.npz"
    odd.write_text("")
    assert named_files([str(odd)]) == {"a=b": odd}
    with pytest.raises(InputError, match="a name of its own"):
        named_files(["x/a.npz", "y/a.npz"])


def test_settings_stand_where_results_are_kept(files):
    options = {"train": ["S1", "S5"], "source": {"frames": None, "every": 50}}
    table = EvaluationTable("t", "T", (TableColumn("spine"),), (TableRow("a", "all", (1.0,)),))
    predictions, out = {"a": files / "net.npz"}, files / "out.json"
    write_benchmark_results(out, [table], "lifting", predictions, truth=files / "truth.npz", options=options)
    assert json.loads(out.read_text())["settings"]["source"]["every"] == 50
