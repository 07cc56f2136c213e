"""Jobs of several stages, the marks of those that are done, and what `simspine status` says."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from command_line import call
from small_project import ring

from simspine.anatomy.recipes import read_recipe
from simspine.core.errors import InputError
from simspine.io.calibration import write_calibration
from simspine.synthesis.signals import read_table
from simspine.workflow import jobs, stage_files, up_to_date
from simspine.workflow.config import check_config, read_config
from simspine.workflow.jobs import (
    STATE_OPEN,
    STATE_STALE,
    StageState,
    all_jobs,
    capture_step,
    check_results,
    check_same_recordings,
    mark_done,
    mark_of,
    marks_of,
    prepare_results,
    run_job,
    run_stage,
    stage_states,
    status_lines,
    steps_of_trial,
    warn_of_replaced,
)
from simspine.workflow.up_to_date import hold_lock, run_task


def marked(project) -> set[str]:
    """Jobs that have a mark, once the marks are set."""
    mark_done(project.config)
    return {job for job, *about in all_jobs(project.config) if mark_of(project.config, job, *about).is_file()}


def kinds(project) -> dict[str, str]:
    """{stage: kind} of the trial and its subject; triangulate stands for both its parts."""
    return {state.stage: state.kind for state in stage_states(project.config)}


def test_every_job_has_a_mark_of_its_own(copied):
    marks = marks_of(copied.config)
    assert len(marks) == len(set(marks)) == 7
    assert marks_of(copied.config, "motion") == [str(copied.results / ".workflow/done/S01/motion/bow.done")]


def test_what_is_done_is_not_done_again(copied, capsys):
    run_job(copied.config, "markers", "S01", "bow")
    assert capsys.readouterr().out == "triangulate S01: bow up to date\nmerge S01: bow up to date\n"


def test_a_job_reads_no_file_twice_for_its_checksum(copied, monkeypatch):
    """A data set may have 20 GB. One that changes is read again."""
    read = []

    def count(file, kind, digest=hashlib.file_digest):
        read.append(Path(file.name))
        return digest(file, kind)

    dataset = copied.results / "synthetic.h5"
    monkeypatch.setattr("hashlib.file_digest", count)
    run_job(copied.config, "page", None, None)
    assert dataset in read
    assert len(read) == len(set(read))
    dataset.write_bytes(dataset.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="is not as it was made"):
        run_job(copied.config, "page", None, None)
    assert read.count(dataset) == 2


def test_a_body_is_looked_up_once_however_many_trials(copied, monkeypatch):
    """Planning a run plans all trials of all subjects."""
    asked = []
    monkeypatch.setattr(stage_files, "read_recipe", lambda name: asked.append(name) or read_recipe(name))
    counts = []
    for trials in (1, 12):
        settings = copied.settings
        own = settings["subjects"]["S01"]["trials"]
        own |= {f"bow{k}": dict(own["bow"]) for k in range(1, trials)}
        copied.write(settings)
        asked.clear()
        found = steps_of_trial(copied.config, "S01", jobs.STAGES_OF_JOB)
        assert len([step for step in found if step.stage == "ik"]) == trials
        counts.append(len(asked))
    assert counts[0] == counts[1] > 0


def test_a_job_of_a_trial_plans_no_other(copied):
    """However many there are, and whatever became of their recordings."""
    settings = copied.settings
    settings["subjects"]["S01"]["trials"]["gone"] = {"videos": ["nowhere.mp4"], "calibration": "nowhere.toml"}
    copied.write(settings)
    assert {step.trial for step in steps_of_trial(copied.config, "S01", ["motion"], "bow")} == {"bow"}
    with pytest.raises(InputError, match=r"nowhere\.toml does not exist"):
        steps_of_trial(copied.config, "S01", ["detect"])


AFTER = ["detect", "cameras", "markers", "scale", "motion"]
OTHER_KINDS = (
    {"outputs": []}, {"outputs": None}, {"outputs": {"a": [1]}}, {"seconds": "1"}, {"seconds": float("nan")},
    {"made_on": 20}, {"fingerprint": 7}, {"fingerprint": {"inputs": [1, 2]}}, {"fingerprint": {}},
)  # fmt: skip


def spoil_manifest(project, **entries) -> None:
    """Entries of another kind, as somebody else's program leaves them."""
    path = project.results / "S01/manifests/scale.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


@pytest.mark.parametrize(
    ("spoil", "left"),
    [
        (lambda p: None, AFTER),
        (lambda p: (p.results / "S01/points/bow.h5").unlink(), AFTER[:2]),
        (lambda p: (p.results / "S01/markers/bow.trc").write_text("x"), AFTER[:2]),
        (lambda p: next((p.folder / "pose/bow/cam02_json").iterdir()).write_text("{}"), []),
        (lambda p: p.change(triangulation={"max_error_px": 40.0}), AFTER[:2]),
        (lambda p: p.change(body={"recipe": "coupled"}), AFTER[:3]),
        (lambda p: p.change(ik={"weights": {"LKnee": 0.5}}), AFTER[:4]),
        (lambda p: (p.results / "S01/manifests/scale.json").write_text("{"), AFTER[:3]),
        *((lambda p, kind=kind: spoil_manifest(p, **kind), AFTER[:3]) for kind in OTHER_KINDS),
        (lambda p: (p.folder / "cameras.toml").unlink(), []),
    ],
)
def test_a_job_is_marked_if_it_and_all_before_it_are_done(copied, spoil, left):
    assert marked(copied) == set(AFTER)
    spoil(copied)
    assert marked(copied) == set(left)


@pytest.mark.parametrize(
    "name", ["config.yaml", "report.html", "logs/app.log", ".workflow/steps.txt", "a.h5", "export/models/S01.osim"]
)
def test_files_of_others_are_not_replaced(tmp_path, name):
    path, config = tmp_path / name, of_markers(tmp_path, tmp_path / "walk.trc")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine: 1\n")
    with pytest.raises(InputError, match=f"{path.name} is not of simspine, and a run would replace it"):
        check_results(config)
    for made in (tmp_path / "S01/manifests", tmp_path / "manifests", tmp_path / ".lock"):
        made.mkdir(parents=True)
        check_results(config)
        made.rmdir()
    (tmp_path / "config.yaml").write_text("name: a\nresults: b\n")  # of a run that was killed soon
    check_results(config)


def test_a_run_may_follow_a_dry_run(tmp_path):
    """A dry run marks jobs as done: without videos, detect has nothing to do."""
    (tmp_path / "walk.trc").write_text("a measurement")
    config = of_markers(tmp_path / "results", tmp_path / "walk.trc")
    mark_done(config)
    assert list(tmp_path.glob("results/.workflow/done/S01/**/*.done"))
    check_results(config)


def test_results_of_another_configuration_are_not_replaced(tmp_path):
    """A second person with the same `--name` replaced the first one's results without a word."""
    results, paths = tmp_path / "results", [tmp_path / name for name in ("p07.yaml", "p08.yaml", "settings.yaml")]
    for path, folder, person in zip(paths, ("P07", "P08", "P07"), ({}, {}, {"height": 1.7}), strict=True):
        trials = {"walk": {"markers": str(tmp_path / folder / "walk.c3d")}}
        content = {"name": "a", "results": str(results), "subjects": {"S01": {"trials": trials, **person}}}
        path.write_text(yaml.safe_dump(content))
    first, second, settings = ((read_config(path), path) for path in paths)
    results.mkdir()
    for each in (first, second, settings):
        check_same_recordings(*each)  # nothing was made yet
    prepare_results(results, first[1])
    check_same_recordings(*first)
    check_same_recordings(*settings)  # the same recordings, with other settings
    with pytest.raises(InputError, match=r"results has the results of .*p07\.yaml, which names other subjects"):
        check_same_recordings(*second)
    first[1].unlink()  # renamed, or no longer of use
    check_same_recordings(*second)


def test_what_another_version_made_is_said_before_it_is_replaced(recwarn):
    states = [StageState("ik", "S01", "walk", kind, why) for kind, why in (
        (STATE_STALE, "made by another version"), (STATE_STALE, "settings changed"), (STATE_OPEN, ""),
    )]  # fmt: skip
    warn_of_replaced(states[1:], Path("results"))
    assert not recwarn
    with pytest.warns(UserWarning, match="1 stages of results were made by another version of simspine"):
        warn_of_replaced(states, Path("results"))


@pytest.mark.parametrize(("stage", "why"), [
    ("merge", "walk.c3d changed"), ("export", "walk.mot is not as it was made"), ("ik", "settings changed"),
    ("ik", "walk.h5 changed"), ("detect", "settings changed"),
])  # fmt: skip
def test_results_of_other_recordings_or_changed_by_hand_are_named_before_they_are_replaced(stage, why, recwarn):
    warn_of_replaced([StageState(stage, "S01", "walk", STATE_STALE, why)], Path("results"))
    said = [str(item.message) for item in recwarn]
    named = [f"{why}; results of S01 walk in results are replaced. To keep"] if "walk." in why and stage != "ik" else []
    assert [text[: len(start)] for text, start in zip(said, named, strict=True)] == named


def of_markers(results, file):
    trials = {"walk": {"markers": str(file)}}
    return check_config({"name": "a", "results": str(results), "subjects": {"S01": {"trials": trials}}})


@pytest.mark.parametrize("made", [False, True])
def test_a_recording_in_the_folder_of_results_is_not_replaced(tmp_path, made):
    """The stage merge writes S01/markers/walk.trc."""
    file = tmp_path / "S01/markers/walk.trc"
    file.parent.mkdir(parents=True)
    file.write_text("a measurement\n")
    config = of_markers(tmp_path, file)
    if made:  # results of simspine are there already
        (tmp_path / "S01/manifests").mkdir()
    for command in (lambda: check_results(config), lambda: run_stage("merge", config, "S01", None)):
        with pytest.raises(InputError, match=f"{file} is not of simspine, and a run would replace it"):
            command()
    assert file.read_text() == "a measurement\n"


def test_an_export_is_no_input_of_its_own_run(tmp_path):
    """Markers that were corrected by hand in the exported file were replaced."""
    file = tmp_path / "export/markers/S01/S01_walk.trc"
    file.parent.mkdir(parents=True)
    file.write_text("corrected\n")
    (tmp_path / "S01/manifests").mkdir(parents=True)
    for command in (check_results, lambda config: run_stage("merge", config, "S01", None)):
        with pytest.raises(InputError, match=r"S01_walk\.trc is an export of these results.* Copy it elsewhere"):
            command(of_markers(tmp_path, file))
    assert file.read_text() == "corrected\n"


@pytest.mark.parametrize("name", ["kinematics/walk.mot", "model/S01.osim", "quality/walk.json"])
def test_a_persons_files_of_other_programs_are_not_replaced(tmp_path, name):
    path = tmp_path / "S01" / name
    path.parent.mkdir(parents=True)
    path.write_text("a week of work\n")
    with pytest.raises(InputError, match=f"{path.name} is not of simspine, and a run would replace it"):
        run_stage("merge", of_markers(tmp_path, tmp_path / "walk.trc"), None, None)
    (tmp_path / "S01/manifests").mkdir()
    check_results(of_markers(tmp_path, tmp_path / "walk.trc"))


def test_no_mark_is_taken_for_a_result(copied):
    """Whatever stands there when a run is planned, and however old it is."""
    (copied.results / "S01/points/bow.h5").unlink()
    false, link = mark_of(copied.config, "motion", "S01", "bow"), mark_of(copied.config, "detect", "S01", "bow")
    for path in (false, link):
        path.parent.mkdir(parents=True)
    false.touch()
    link.symlink_to(copied.file)
    before = copied.file.stat().st_mtime
    assert marked(copied) == {"detect", "cameras"}
    assert len({mark_of(copied.config, job, "S01", trial).stat().st_mtime for job, trial in
                (("detect", "bow"), ("cameras", None))}) == 1  # fmt: skip
    assert copied.file.stat().st_mtime == before


def test_results_that_were_moved_are_done_still(copied):
    copied.results.rename(copied.folder / "elsewhere")
    copied.change(results=str(copied.folder / "elsewhere"))
    assert marked(copied) == set(AFTER)


def test_other_code_makes_results_stale(copied, monkeypatch):
    monkeypatch.setattr(up_to_date, "code_digest", lambda stage: "other" if stage == "merge" else code(stage))
    assert marked(copied) == {"detect", "cameras"}
    assert "S01 bow: stale merge (made by other code)" in status_lines(stage_states(copied.config))


code = up_to_date.code_digest


# What `simspine status` says


def test_all_done_but_the_page_and_data_set_that_jobs_make(copied):
    done = call("status", "--config", copied.file)
    assert done.exit_code == 1
    assert "S01 bow: done detect, triangulate, merge, ik, vertebrae, quality, export" in done.output
    assert "S01: done triangulate, scale" in done.output
    quiet = call("status", "--config", copied.file, "--quiet")
    assert quiet.output == "all subjects: to do dataset, page\n"


def test_why_a_stage_is_not_done(copied):
    (copied.results / "S01/markers/bow.trc").unlink()
    copied.change(ik={"weights": {"LKnee": 0.5}})
    lines = status_lines(stage_states(copied.config))
    assert "S01 bow: stale merge (bow.trc is missing)" in lines
    assert "S01 bow: waiting ik, vertebrae, quality, export" in lines
    shutil.rmtree(copied.results)
    assert set(kinds(copied).values()) == {"to do"}


def test_a_file_that_cannot_be_read_spoils_its_own_row(copied):
    """A folder in the place of a file: whoever runs the tests, it cannot be read."""
    path = copied.results / "S01/kinematics/bow.mot"
    path.unlink()
    path.mkdir()
    lines = status_lines(stage_states(copied.config))
    assert any(re.match(r"S01 bow: (failed|stale) ik \(.*bow\.mot", line) for line in lines), lines
    assert any(line.startswith("S01 bow: done detect, triangulate, merge") for line in lines)
    assert any(line.startswith("S01: done") for line in lines)


def test_running_failed_and_interrupted(copied, monkeypatch):
    (copied.results / "S01/kinematics/bow.mot").unlink()
    lock = copied.results / "S01/manifests/ik/bow.lock"
    with hold_lock(lock, "x"):
        assert kinds(copied)["ik"] == "running"
    lock.touch()
    assert "S01 bow: to do ik (interrupted)" in status_lines(stage_states(copied.config))

    def broken(*_):
        raise InputError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "do_tasks", broken)
        with pytest.raises(InputError, match="no space left"):
            run_job(copied.config, "motion", "S01", "bow")
    assert "S01 bow: failed ik (no space left)" in status_lines(stage_states(copied.config))


def test_a_virtual_capture_is_made_anew_once_a_file_that_it_names_changed(tmp_path):
    preset, rig, capture = tmp_path / "mine.yaml", tmp_path / "rig.toml", tmp_path / "capture"
    errors = read_table("presets.yaml")["finetuned"]
    preset.write_text(yaml.safe_dump({"mine": errors}))
    write_calibration(rig, ring())
    virtual = {"detections": str(preset), "cameras": str(rig)}
    content = {"name": "v", "results": str(tmp_path / "r"), "capture": {"human36m": str(capture)}, "virtual": virtual}
    step = capture_step(check_config(content), "S1")
    write_calibration(capture / "Calib_S1.toml", ring())  # its output

    def made_now() -> bool:
        return run_task(step.manifest, step.task, step.stage)

    assert [made_now(), made_now()] == [True, False]
    preset.write_text(yaml.safe_dump({"other": errors}))
    assert [made_now(), made_now()] == [True, False]
    write_calibration(rig, ring(views=3))
    assert [made_now(), made_now()] == [True, False]
