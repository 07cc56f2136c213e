"""Jobs of several stages, the lists of their files, and what `simspine status` says."""

import os
import re
import shutil
import subprocess
import time

import pytest
from click.testing import CliRunner

from simspine.body.recipes import read_recipe
from simspine.cli import main
from simspine.errors import InputError
from simspine.workflow import jobs, manifest
from simspine.workflow.inputs import input_files
from simspine.workflow.jobs import all_jobs, list_of, lists_of, remove_false_lists, run_job, steps_of
from simspine.workflow.locks import locked
from simspine.workflow.stages import scale
from simspine.workflow.status import states, status_lines

FIRST = (("detect", "bow"), ("cameras", None), ("markers", "bow"), ("scale", None))


def listed(project) -> set[str]:
    """Jobs whose lists are there."""
    return {job for job, *about in all_jobs(project.config) if list_of(project.config, job, *about).is_file()}


def kinds(project) -> dict[str, str]:
    """{stage: kind} of the trial and its subject; triangulate stands for both its parts."""
    return {state.stage: state.kind for state in states(project.config)}


@pytest.fixture
def through(copied):
    """The finished project with the lists of its first jobs."""
    for job, trial in FIRST:
        run_job(copied.config, job, "S01", trial)
    return copied


def test_a_list_is_what_sha256sum_checks(through):
    path = list_of(through.config, "markers", "S01", "bow")
    checked = subprocess.run(["sha256sum", "--check", path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert {line.rsplit("/", 1)[1] for line in checked.stdout.splitlines()} == {"bow.h5: OK", "bow.trc: OK"}
    assert sum("points/bow.h5" in line for line in checked.stdout.splitlines()) == 1


def test_every_job_has_a_list_of_its_own(through):
    lists = lists_of(through.config)
    assert len(lists) == len(set(lists)) == 7
    assert lists_of(through.config, "motion") == [str(through.results / "S01/checksums/motion/bow.sha256")]


def test_what_is_done_is_not_done_again(through, capsys):
    capsys.readouterr()
    run_job(through.config, "markers", "S01", "bow")
    assert capsys.readouterr().out == "triangulate S01: bow up to date\nmerge S01: bow up to date\n"


def test_a_body_is_looked_up_once_however_many_trials(copied, monkeypatch):
    """Planning a run plans all trials of all subjects."""
    asked = []
    monkeypatch.setattr(scale, "read_recipe", lambda name: asked.append(name) or read_recipe(name))
    counts = []
    for trials in (1, 12):
        settings = copied.settings
        own = settings["subjects"]["S01"]["trials"]
        own |= {f"bow{k}": dict(own["bow"]) for k in range(1, trials)}
        copied.write(settings)
        asked.clear()
        found = steps_of(copied.config, "S01", jobs.JOBS)
        assert len([step for step in found if step.stage == "ik"]) == trials
        counts.append(len(asked))
    assert counts[0] == counts[1] > 0


def test_a_job_of_a_trial_plans_no_other(copied):
    """However many there are, and whatever became of their recordings."""
    settings = copied.settings
    settings["subjects"]["S01"]["trials"]["gone"] = {"videos": ["nowhere.mp4"], "calibration": "nowhere.toml"}
    copied.write(settings)
    assert {step.trial for step in steps_of(copied.config, "S01", ["motion"], "bow")} == {"bow"}
    with pytest.raises(InputError, match=r"nowhere\.toml does not exist"):
        steps_of(copied.config, "S01", ["detect"])


@pytest.mark.parametrize(
    ("spoil", "gone"),
    [
        (lambda p: None, set()),
        (lambda p: (p.results / "S01/points/bow.h5").unlink(), {"markers"}),
        (lambda p: (p.results / "S01/markers/bow.trc").write_text("x"), {"markers"}),
        (lambda p: (p.results / "S01/markers/bow.h5").write_text("x"), {"markers", "scale"}),  # which reads it
        (lambda p: next((p.folder / "pose/bow/cam02_json").iterdir()).write_text("{}"), {"detect"}),
        (lambda p: p.change(triangulation={"max_error_px": 40.0}), {"markers"}),
        (lambda p: p.change(body={"recipe": "coupled"}), {"scale"}),
    ],
)
def test_lists_that_are_not_true_are_removed(through, spoil, gone):
    before = listed(through)
    assert before == {"detect", "cameras", "markers", "scale"}
    spoil(through)
    remove_false_lists(through.config)
    assert before - listed(through) == gone


def test_other_code_makes_results_stale(through, monkeypatch):
    monkeypatch.setattr(manifest, "code_digest", lambda module: "other" if module.endswith("merge") else code(module))
    remove_false_lists(through.config)
    assert listed(through) == {"detect", "cameras", "scale"}
    assert "S01 bow: stale merge (made by other code)" in status_lines(states(through.config))


code = manifest.code_digest


def test_no_list_is_dated_ahead(through):
    """As they are after the clock was set back: Snakemake takes what is made then for older than its inputs."""
    path = list_of(through.config, "scale", "S01")
    ahead = time.time() + 86400
    os.utime(path, (ahead, ahead))
    remove_false_lists(through.config)
    assert path.stat().st_mtime <= time.time()


def test_recordings_dated_ahead_are_no_inputs_of_snakemake(copied):
    """It takes what is made from them for older, and stops; checksums tell what changed."""
    subject, trial = "S01", "bow"
    before = input_files(copied.config, subject, trial)
    ahead = time.time() + 86400
    os.utime(before[-1], (ahead, ahead))
    assert input_files(copied.config, subject, trial) == before[:-1]


def test_a_job_needs_its_subject_and_trial(copied):
    with pytest.raises(InputError, match="job motion takes --subject and --trial"):
        run_job(copied.config, "motion", "S01", None)
    with pytest.raises(InputError, match="job scale takes --subject\\."):
        run_job(copied.config, "scale", "S01", "bow")
    with pytest.raises(InputError, match="job page takes neither"):
        run_job(copied.config, "page", "S01", None)


# What `simspine status` says


def test_all_done_but_the_page_and_data_set_that_jobs_make(copied):
    done = CliRunner().invoke(main, ["status", "--config", str(copied.file)])
    assert done.exit_code == 1
    assert "S01 bow: done detect, triangulate, merge, ik, vertebrae, quality, export" in done.output
    assert "S01: done triangulate, scale" in done.output
    quiet = CliRunner().invoke(main, ["status", "--config", str(copied.file), "--quiet"])
    assert quiet.output == "all subjects: to do dataset, page\n"


def test_why_a_stage_is_not_done(copied):
    (copied.results / "S01/markers/bow.trc").unlink()
    copied.change(ik={"weights": {"LKnee": 0.5}})
    lines = status_lines(states(copied.config))
    assert "S01 bow: stale merge (bow.trc is missing)" in lines
    assert "S01 bow: waiting ik, vertebrae, quality, export" in lines
    shutil.rmtree(copied.results)
    assert set(kinds(copied).values()) == {"to do"}


def test_a_file_that_cannot_be_read_spoils_its_own_row(copied):
    """A folder in the place of a file: whoever runs the tests, it cannot be read."""
    path = copied.results / "S01/kinematics/bow.mot"
    path.unlink()
    path.mkdir()
    lines = status_lines(states(copied.config))
    assert any(re.match(r"S01 bow: (failed|stale) ik \(.*bow\.mot", line) for line in lines), lines
    assert any(line.startswith("S01 bow: done detect, triangulate, merge") for line in lines)
    assert any(line.startswith("S01: done") for line in lines)


def test_a_configuration_that_is_gone_is_said(copied):
    for job in ("dataset", "page"):
        run_job(copied.config, job, None, None)
    gone = f"all subjects: to do configuration ({copied.results / 'config.yaml'} is missing; a run writes it)"
    assert gone in status_lines(states(copied.config))
    (copied.results / "config.yaml").write_text("name: synthetic\n")
    assert {state.kind for state in states(copied.config)} == {"done"}


def test_running_failed_and_interrupted(copied, monkeypatch):
    (copied.results / "S01/kinematics/bow.mot").unlink()
    lock = copied.results / "S01/manifests/ik/bow.lock"
    with locked(lock, "x"):
        assert kinds(copied)["ik"] == "running"
    lock.touch()
    assert "S01 bow: to do ik (interrupted)" in status_lines(states(copied.config))

    def broken(*_):
        raise InputError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "do_tasks", broken)
        with pytest.raises(InputError, match="no space left"):
            run_job(copied.config, "motion", "S01", "bow")
    assert "S01 bow: failed ik (no space left)" in status_lines(states(copied.config))


@pytest.mark.slow
def test_any_order_of_trials_gives_the_same_bytes(copied):
    """Each stage of one trial after the other, and the other way round."""
    settings = copied.settings
    trials = settings["subjects"]["S01"]["trials"]
    trials["again"] = dict(trials["bow"])
    copied.write(settings)
    found = []
    for order in (("bow", "again"), ("again", "bow")):
        shutil.rmtree(copied.results)
        for job, about in jobs.JOBS.items():
            for trial in (None,) if about.whole else order:
                run_job(copied.config, job, "S01", trial)
        run_job(copied.config, "dataset", None, None)
        lists = [list_of(copied.config, *one).read_text() for one in all_jobs(copied.config) if one[0] != "page"]
        found.append(lists)
    assert found[0] == found[1]
    assert len(found[0]) == 9
