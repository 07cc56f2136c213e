"""Marker files alone: a configuration by `simspine init`, all stages to the report, the same numbers as the library."""

import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import call, succeeded
from small_c3d import write_small_c3d
from small_project import STAGES, Project

import simspine as ss
from simspine.io.c3d import read_markers
from simspine.workflow.config import check_config
from simspine.workflow.inputs import check_inputs
from simspine.workflow.jobs import all_jobs, mark_done, mark_of, run_job, stage_states
from simspine.workflow.results import read_trial
from simspine.workflow.up_to_date import RunPaths

pytestmark = pytest.mark.usefixtures("two_rounds")

SET = "spinetrack37"


@pytest.fixture(scope="module")
def files(truth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    content = {"names": truth.markers.names, "values": truth.markers.xyz, "rate": truth.markers.rate}
    write_small_c3d(folder / "Ada walk 1.c3d", content, {"Y_SCREEN": ["+Y"], "X_SCREEN": ["+X"]})
    ss.write_trc(folder / "sit.trc", truth.markers)
    return [folder / "Ada walk 1.c3d", folder / "sit.trc"]


@pytest.fixture(scope="module")
def project(files, tmp_path_factory):
    """Configured by `simspine init`, and run."""
    folder = tmp_path_factory.mktemp("project")
    out = folder / "config.yaml"
    succeeded(call("init", *files, "--out", out, "--name", "lab", "--marker-set", SET, "--mass", 62, "--height", 1.8))
    settings = yaml.safe_load(out.read_text())
    assert settings["subjects"] == {
        "S01": {
            "height": 1.8,
            "mass": 62.0,
            "trials": {"Ada_walk_1": {"markers": str(files[0])}, "sit": {"markers": str(files[1])}},
        }
    }
    project = Project(folder)
    project.write(settings | {"results": str(project.results)})
    for job, subject, trial in all_jobs(project.config):
        run_job(project.config, job, subject, trial)
    return project


def said_of_inputs(subjects: dict) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_inputs(check_config({"name": "lab", "results": "r", "subjects": subjects}))
    return " ".join(str(one.message) for one in caught)


def test_a_recording_of_two_subjects_or_trials_is_named(files, tmp_path):
    """Lines of a configuration that were copied, or a file that was, give one person's angles as another's."""
    walk, sit = ({"markers": str(file)} for file in files)
    again = {"markers": str(shutil.copy(files[1], tmp_path / "bob.trc"))}
    assert said_of_inputs({"Ada": {"trials": {"walk": walk, "sit": sit}}}) == ""
    for other in (sit, again):
        said = said_of_inputs({"Ada": {"trials": {"walk": walk, "sit": sit}}, "Bob": {"trials": {"sit": other}}})
        assert "Ada/sit and Bob/sit are of one recording" in said
    folders = [str(tmp_path / name) for name in ("a_json", "b_json")]
    for folder in folders:
        Path(folder).mkdir()
    (tmp_path / "Calib.toml").touch()
    points = {"keypoints": folders, "calibration": str(tmp_path / "Calib.toml"), "rate": 50}
    trials = {"one": points, "two": points | {"keypoints": folders[::-1]}}
    assert "Ada/one and Ada/two are of one recording" in said_of_inputs({"Ada": {"trials": trials}})
    people = {"Pair": {"people": 2, "trials": {"one": points}}}
    config = {"name": "lab", "results": "r", "subjects": people, "detection": {"person": "all"}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_inputs(check_config(config))  # two people of one recording are meant


def test_everything_is_done_to_the_report(project):
    results = project.results
    assert {state.kind for state in stage_states(project.config)} == {"done"}
    assert {state.stage for state in stage_states(project.config)}.isdisjoint({"detect", "triangulate"})
    mark_done(project.config)
    assert all(mark_of(project.config, *job).is_file() for job in all_jobs(project.config))
    page = (results / "report.html").read_text()
    assert "Lumbar lordosis" in page
    for about_images in ("Calibration", "blazepose", "low-pass"):
        assert about_images not in re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL), about_images
    assert (results / "export/centres/S01/S01_sit.trc").is_file()
    assert not list((results / "export").glob("cameras/*"))
    with ss.open_dataset(results / "lab.h5") as data:
        assert data["S01", "Ada_walk_1"].frames == data["S01", "sit"].frames
        assert data["S01", "sit"].cameras == ()
    succeeded(call("status", "--config", project.file))
    assert call("verify", results).exit_code == 0


def test_the_numbers_are_those_of_the_library(project, files):
    trials = {"Ada_walk_1": read_markers(files[0]), "sit": read_markers(files[1])}
    found = ss.fit_trials(trials, marker_set=SET, height=1.8, mass=62)
    for name in trials:
        by_files = read_trial(RunPaths(project.results, "S01"), name)
        np.testing.assert_array_equal(by_files.motion.values, found[name].motion.values)
        np.testing.assert_array_equal(by_files.spine.lla_sd, found[name].spine.lla_sd)
        np.testing.assert_array_equal(by_files.spine.centres.covariance, found[name].spine.centres.covariance)
        assert by_files.verdict.counts == found[name].verdict.counts


def test_doctor_counts_the_markers(project):
    said = succeeded(call("doctor", "--config", project.file))
    assert "S01/sit: " in said
    assert re.search(r"S01/sit: (\d+) of \1 markers are known, 16 frames at \d+ Hz; marker set 'vertebral'", said), said


def test_stages_by_hand_and_a_trial_that_had_cameras(copied, files):
    """The same trial, from keypoints before: what came from images is gone; a height that the markers deny is said."""
    copied.trial()
    settings = copied.settings
    settings["subjects"]["S01"]["trials"]["bow"] = {"markers": str(files[1])}
    settings["body"] = settings["body"] | {"markers": SET}
    del settings["detection"]["skeleton"]  # that of the keypoints
    settings["subjects"]["S01"]["height"] = 1.4
    copied.write(settings)
    copied.run(*STAGES)
    assert not (copied.results / "S01/keypoints/bow.h5").exists()
    found = read_trial(RunPaths(copied.results, "S01"), "bow")
    assert found.cameras == ()
    assert found.keypoints is None
    assert "stature" in {finding.code for finding in found.findings}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--marker-set", "blazepos"), "Did you mean 'blazepose'"),
        (("--height", "17"), "height"),
        (("--trial", "walk"), "--trial goes with videos"),
        (("--rate", "50"), "--rate goes with a session's folder"),
        (("--calibration", "c.toml"), "--calibration goes with videos"),
    ],
)
def test_init_writes_nothing_where_markers_do_not_fit(files, tmp_path, arguments, said):
    done = call("init", files[1], "--out", tmp_path / "x.yaml", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_markers_of_no_set_are_named(tmp_path, truth):
    odd = truth.markers.with_(names=tuple(f"M{i}" for i in range(len(truth.markers.names))))
    ss.write_trc(tmp_path / "odd.trc", odd)
    done = call("init", tmp_path / "odd.trc", "--out", tmp_path / "x.yaml")
    assert done.exit_code == 2
    assert "none of the" in done.stderr
    assert "'centres'" in done.stderr
    assert "--marker-set" in done.stderr


def test_videos_need_a_calibration(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"")
    done = call("init", tmp_path / "a.mp4", tmp_path / "b.mp4", "--out", tmp_path / "x.yaml")
    assert done.exit_code == 2
    assert "--calibration" in done.stderr
    (tmp_path / "walk.csv").write_text("Trajectories\n100\n")  # as Vicon exports them
    done = call("init", tmp_path / "walk.csv", "--out", tmp_path / "x.yaml")
    assert (
        "walk.csv: videos and 2D points need a calibration (--calibration); markers, a .trc or .c3d file" in done.stderr
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"calibration": "c.toml"}, "leave calibration out"),
        ({"videos": ["a.mp4"]}, "exactly one of folder, videos, keypoints, markers, capture"),
        ({"delays": "find"}, "leave delays out"),
    ],
)
def test_a_trial_of_markers_has_no_cameras(more, said):
    trial = {"markers": "walk.c3d"} | more
    with pytest.raises(ss.InputError, match=said):
        check_config({"name": "x", "results": "r", "subjects": {"S01": {"trials": {"walk": trial}}}})
