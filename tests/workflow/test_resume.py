"""Work that is done is not repeated, work that is not done is; interrupted work goes on where it stopped."""

import json
import os
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import onnx
import pytest
import yaml
from command_line import call

from simspine.cli.main import main
from simspine.core.errors import InputError
from simspine.core.settings import yaml_files
from simspine.estimation import solve_trial
from simspine.estimation.options import BodyOptions
from simspine.estimation.person import CURVE_ARRAYS
from simspine.io.calibration import read_calibration
from simspine.workflow.detect_stage import plan_detect
from simspine.workflow.inputs import Context
from simspine.workflow.jobs import stage_states
from simspine.workflow.reporting import write_report_of
from simspine.workflow.results import read_sized_body
from simspine.workflow.stage_files import body_files
from simspine.workflow.up_to_date import (
    STAGE_NAMES,
    RunPaths,
    StageTask,
    file_checksum,
    hold_lock,
    read_json,
    read_task_manifest,
    run_task,
)

STAGES = STAGE_NAMES
CODE, OTHER = "ik", "detect"
RESULTS = ("S01/keypoints", "S01/points", "S01/markers", "S01/model", "S01/kinematics", "S01/vertebrae", "S01/quality")


def ran(capsys) -> dict[str, str]:
    """{stage: 'done' or 'up to date'} out of what the stages printed."""
    lines = [line for line in capsys.readouterr().out.splitlines() if ": " in line and not line.startswith("/")]
    return {line.split()[0]: "done" if " done" in line else "up to date" for line in lines}


def made(project) -> dict[str, int]:
    """When each result file was written, ns."""
    files = (path for folder in RESULTS for path in (project.results / folder).iterdir())
    return {path.relative_to(project.results).as_posix(): path.stat().st_mtime_ns for path in files}


def test_second_run_does_nothing(copied, capsys):
    before = made(copied)
    copied.run(*STAGES)
    assert set(ran(capsys).values()) == {"up to date"}
    assert made(copied) == before


def test_the_data_set_made_of_done_exports_is_said_in_one_line(copied, capsys):
    """Each export of a subject makes the data set of those that are there, and the last one that of all."""
    said = []
    for force in (["--subject", "S01", "--force"], []):
        main(["export", "--config", str(copied.file), *force], standalone_mode=False)
        said += capsys.readouterr().out.splitlines()
    data_set = str(copied.results / f"{copied.config.name}.h5")
    assert said == ["export S01: bow, S01 done", data_set, data_set]


def test_a_stage_repeated_with_equal_results_stops_there(copied, capsys):
    """Later stages go by the content of files, not by their time."""
    copied.change(triangulation={"max_error_px": 57.0})  # 3 % of 1920 px is 57.6: no view lies between
    copied.run(*STAGES[:3])
    assert ran(capsys) == {"detect": "up to date", "triangulate": "done", "merge": "up to date"}


def test_the_mass_repeats_scaling_but_not_triangulation(copied, capsys):
    settings = copied.settings
    settings["subjects"]["S01"]["mass"] = 80.0
    copied.write(settings)
    copied.run(*STAGES[:4])
    assert ran(capsys) == {"detect": "up to date", "triangulate": "up to date", "merge": "up to date", "scale": "done"}


@pytest.mark.slow
def test_a_changed_recipe_repeats_scaling(copied, capsys):
    """The configuration only names the recipe; its content counts."""
    recipe = yaml.safe_load(Path(copied.settings["body"]["recipe"]).read_text())
    file = copied.folder / "mine.yaml"
    file.write_text(yaml.safe_dump(recipe))
    copied.change(body={"recipe": str(file)})
    copied.run("scale")
    capsys.readouterr()
    copied.run("scale")
    assert ran(capsys) == {"scale": "up to date"}
    recipe["segments"]["foot"]["max_asymmetry"] = 0.21
    file.write_text(yaml.safe_dump(recipe))
    copied.run("merge", "scale")
    assert ran(capsys) == {"merge": "up to date", "scale": "done"}


def test_a_changed_file_that_a_recipe_or_marker_set_names_counts(copied):
    files = [copied.folder / f"{name}.yaml" for name in ("mine", "middle", "base")]
    for file, other in zip(files, [*files[1:], "coupled"], strict=True):
        file.write_text(yaml.safe_dump({"from": str(other)}))
    assert set(files) <= set(body_files(BodyOptions(recipe=str(files[0]))))
    files[2].write_text(yaml.safe_dump({"from": str(files[0])}))  # no endless loop
    assert set(files) == set(yaml_files("coupled", None, str(files[0])))


def test_a_changed_second_file_of_a_calibration_repeats_detection(copied, capsys):
    """EasyMocap has lenses in one file and places in another; OpenCap has a file per camera."""
    lenses, places = "%YAML:1.0\n---\nnames:\n", "%YAML:1.0\n---\nnames:\n"
    for camera in read_calibration(copied.folder / "cameras.toml"):
        lenses += f'  - "{camera.name}"\n'
    for camera in read_calibration(copied.folder / "cameras.toml"):
        entries = {"K": camera.K, "dist": camera.distortion, "Rot": camera.R, "T": camera.t[:, None]}
        for key, values in entries.items():
            rows, columns = np.atleast_2d(values).shape
            text = f"{key}_{camera.name}: !!opencv-matrix\n  rows: {rows}\n  cols: {columns}\n  dt: d\n"
            text += f"  data: {np.ravel(values).tolist()}\n"
            lenses, places = (lenses + text, places) if key in ("K", "dist") else (lenses, places + text)
    (copied.folder / "intri.yml").write_text(lenses)
    (copied.folder / "extri.yml").write_text(places)
    copied.trial(calibration=str(copied.folder / "intri.yml"))
    copied.run("detect")
    capsys.readouterr()
    copied.run("detect")
    assert ran(capsys) == {"detect": "up to date"}
    (copied.folder / "extri.yml").write_text(places.replace(", ", " , "))
    why = [state.why for state in stage_states(copied.config) if state.stage == "detect"]
    assert why == ["extri.yml changed"]


def network_beside_weights(path, data):
    """An ONNX file whose weights are in a file of their own."""
    weights = onnx.numpy_helper.from_array(np.arange(300, dtype=np.float32), "weights")
    node = onnx.helper.make_node("Identity", ["weights"], ["out"])
    out = onnx.helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [300])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "net", [], [out], [weights]))
    onnx.save(model, str(path), save_as_external_data=True, location=data, size_threshold=0)


@pytest.mark.parametrize("data", ["net.data", "n" * 130 + ".data"])  # its length is one byte, or two
def test_changed_weights_of_a_network_repeat_detection(filmed, data):
    """Those beside the ONNX file, which stays as it is, as well as the file itself."""
    path = filmed.folder / "net.onnx"
    network_beside_weights(path, data)
    filmed.change(detection={"detector": "spinepose", "model": str(path)})
    fingerprints = []
    for file in (path, path.with_name(data)):
        for content in (file.read_bytes(), file.read_bytes() + bytes(8)):
            file.write_bytes(content)
            (task,) = plan_detect(Context(filmed.config, "S01"))
            assert {path, path.with_name(data)} < set(task.inputs)
            fingerprints.append(task.fingerprint("detect")["inputs"])
    assert fingerprints[0] != fingerprints[1] == fingerprints[2] != fingerprints[3]


@pytest.mark.parametrize("data", ["../net.data", "/etc/net.data"])
def test_weights_out_of_a_networks_folder_are_refused(filmed, data):
    path = filmed.folder / "net.onnx"
    network_beside_weights(path, "n" * len(data))
    path.write_bytes(path.read_bytes().replace(b"n" * len(data), data.encode()))
    filmed.change(detection={"detector": "spinepose", "model": str(path)})
    with pytest.raises(InputError, match=rf"net\.onnx: its weights are in '{data}', not in its folder"):
        plan_detect(Context(filmed.config, "S01"))


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        ("S01/points/bow.h5", lambda path: path.unlink()),
        ("S01/markers/bow.trc", lambda path: path.write_text("x")),
        ("export/models/S01.osim", lambda path: path.unlink()),
    ],
)
def test_a_spoilt_result_is_made_again(copied, capsys, file, spoil):
    before = copied.contents()
    spoil(copied.results / file)
    stage = {"points": "triangulate", "markers": "merge", "models": "export"}[Path(file).parent.name]
    copied.run(stage)
    assert ran(capsys)[stage] == "done"
    assert copied.contents()[file] == before[file], "equal input gives equal bytes"


def test_a_stage_warns_where_an_earlier_one_used_other_recordings(copied, recwarn):
    """As with the files of another person under the same names: merge goes on from the points of the first."""
    copied.run("merge", force=True)
    assert not [item for item in recwarn if "of an earlier state" in str(item.message)]
    calibration = copied.folder / "cameras.toml"
    calibration.write_text(calibration.read_text() + "\n# of another day\n")
    with pytest.warns(UserWarning, match=r"earlier state: S01 bow: detect is out of date \(cameras.toml changed\)"):
        copied.run("merge", force=True)


def test_a_stage_that_was_killed_stops_the_data_set(copied):
    """Its manifest is of before, its lock remains: `export` stated settings that were not used."""
    copied.change(filter={"cutoff_hz": 3.0})
    RunPaths(copied.results, "S01").manifest("merge", "bow").with_suffix(".lock").touch()
    before = copied.contents()
    with pytest.raises(InputError, match=r"S01 bow: merge is not done \(interrupted\); the data set would state"):
        copied.run("export")
    assert {name: data for name, data in copied.contents().items() if "manifests" not in name} == {
        name: data for name, data in before.items() if "manifests" not in name
    }


def test_a_stage_replaces_no_files_of_others(tmp_path, copied):
    """As `run`: results of nobody's run are somebody's files."""
    shutil.rmtree(copied.results)
    (copied.results / "export" / "models").mkdir(parents=True)
    (copied.results / "export/models/S01.osim").write_text("mine")
    with pytest.raises(InputError, match="is not of simspine, and a run would replace it"):
        copied.run("detect")


def test_check_leaves_the_files_of_a_data_set_with_other_trials(two_trials):
    two_trials.run(*STAGES)
    settings = two_trials.settings
    del settings["subjects"]["S01"]["trials"]["again"]
    two_trials.write(settings)
    before = two_trials.contents()
    done = call("check", "--config", two_trials.file, "-q")
    assert (done.exit_code == 2, "of an earlier state" in done.stderr) == (False, True)
    assert two_trials.contents() == before


def test_force_repeats_what_is_done(copied, capsys):
    before = made(copied)
    copied.run("merge", force=True)
    assert ran(capsys) == {"merge": "done"}
    after = made(copied)
    assert {name for name in after if after[name] != before[name]} == {"S01/markers/bow.h5", "S01/markers/bow.trc"}


@pytest.mark.slow
def test_the_same_work_again_gives_the_same_data_set_and_page(copied):
    """All but what tells how long it took."""
    found = []
    for _ in range(2):
        copied.run(*STAGES, force=True)
        write_report_of(copied.config)
        found.append(copied.contents())
    differs = {name for name in found[1] if found[1][name] != found[0].get(name)}
    assert {"summary.json", "manifest.json", "report.html", "synthetic.h5"} <= set(found[1])
    assert differs <= {"timings.json", *(name for name in differs if name.startswith("S01/manifests/"))}


@pytest.fixture
def two_trials(copied):
    settings = copied.settings
    trials = settings["subjects"]["S01"]["trials"]
    trials["again"] = dict(trials["bow"])
    copied.write(settings)
    return copied


def test_one_trial_only(two_trials, capsys):
    two_trials.run("detect", trial="again")
    assert capsys.readouterr().out.strip() == "detect S01: again done"
    assert all(
        read_task_manifest(two_trials.results / f"S01/manifests/detect/{name}.json") for name in ("bow", "again")
    )
    two_trials.run("detect")
    assert capsys.readouterr().out.strip() == "detect S01: bow, again up to date"


@pytest.mark.slow
def test_trials_with_calibrations_of_their_own(two_trials, capsys):
    """Each keeps its exported calibration; with one file for both, every run would undo the other's."""
    settings = two_trials.settings
    calibration = two_trials.folder / "cameras.toml"
    other = two_trials.folder / "other.toml"
    other.write_text(calibration.read_text().replace("1920.0", "1918.0"))
    settings["subjects"]["S01"]["trials"]["again"]["calibration"] = str(other)
    two_trials.write(settings)
    two_trials.run(*STAGES)
    capsys.readouterr()
    two_trials.run("export")
    assert "export" not in ran(capsys)  # nothing is made anew, so nothing is said
    exported = {path.name: path.read_text() for path in (two_trials.results / "export/cameras").glob("Calib_S01_*")}
    assert set(exported) == {"Calib_S01_bow.toml", "Calib_S01_again.toml"}
    assert "1918.0" in exported["Calib_S01_again.toml"]
    assert "1918.0" not in exported["Calib_S01_bow.toml"]


def test_a_trial_that_left_the_configuration_does_not_count(two_trials):
    two_trials.run("detect")
    settings = two_trials.settings
    del settings["subjects"]["S01"]["trials"]["bow"]
    two_trials.write(settings)
    assert {state.trial for state in stage_states(two_trials.config)} == {"again", None}


@pytest.mark.slow
def test_an_interrupted_stage_keeps_what_was_done(two_trials, monkeypatch, capsys):
    two_trials.run("detect", "triangulate", "merge", "scale")
    two_trials.change(ik={"weights": {"LKnee": 0.5}})
    solve, calls = solve_trial.inverse_kinematics, []

    def power_cut(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return solve(*args, **options)

    monkeypatch.setattr(solve_trial, "inverse_kinematics", power_cut)
    with pytest.raises(KeyboardInterrupt):
        two_trials.run("ik")
    kept = made(two_trials)["S01/kinematics/bow.h5"]
    assert not [name for name in two_trials.contents() if ".tmp" in name]
    monkeypatch.setattr(solve_trial, "inverse_kinematics", solve)
    capsys.readouterr()
    two_trials.run("ik")
    assert capsys.readouterr().out.strip() == "ik S01: again done; bow up to date"
    assert made(two_trials)["S01/kinematics/bow.h5"] == kept


def test_a_file_cut_off_while_written_leaves_the_old_one(copied, monkeypatch):
    """Killed between writing the new file and renaming it."""
    copied.change(filter={"cutoff_hz": 5.0})
    before = copied.contents()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        copied.run("merge")
    assert copied.contents() == before


# The mechanism by itself


def copy_task(folder: Path, settings=None) -> StageTask:
    source, target = folder / "in.txt", folder / "out" / "x.txt"

    def work() -> None:
        target.parent.mkdir(exist_ok=True)
        target.write_text(source.read_text().upper())

    return StageTask("x", (source,), (target,), settings or {}, work)


def test_manifest_records_what_went_in_and_came_out(tmp_path):
    (tmp_path / "in.txt").write_text("abc")
    manifest = tmp_path / "m.json"
    assert run_task(manifest, copy_task(tmp_path), CODE) is True
    entry = read_task_manifest(manifest)
    # sha256("abc") is FIPS 180-4's own example
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert entry["fingerprint"]["inputs"] == [["in.txt", abc]]
    assert entry["outputs"] == {"x.txt": file_checksum(tmp_path / "out/x.txt")}
    assert run_task(manifest, copy_task(tmp_path), CODE) is False


def test_input_settings_and_code_each_make_it_run(tmp_path):
    (tmp_path / "in.txt").write_text("abc")
    manifest = tmp_path / "m.json"
    run_task(manifest, copy_task(tmp_path), CODE)
    assert run_task(manifest, copy_task(tmp_path, {"a": 1}), CODE) is True
    assert run_task(manifest, copy_task(tmp_path, {"a": 1}), OTHER) is True
    (tmp_path / "in.txt").write_text("abd")
    assert run_task(manifest, copy_task(tmp_path, {"a": 1}), OTHER) is True
    assert (tmp_path / "out/x.txt").read_text() == "ABD"


def test_a_touched_but_equal_input_does_not(tmp_path):
    (tmp_path / "in.txt").write_text("abc")
    run_task(tmp_path / "m.json", copy_task(tmp_path), CODE)
    later = time.time() + 100
    os.utime(tmp_path / "in.txt", (later, later))
    assert run_task(tmp_path / "m.json", copy_task(tmp_path), CODE) is False


@pytest.mark.parametrize("exchanged", ["in.txt", "out/x.txt"])
def test_two_trials_exchanged_between_two_runs_are_made_again(tmp_path, exchanged):
    """Their inputs or results, of one size and with their times."""
    trials = [tmp_path / name for name in ("stand", "walk")]
    for trial, text in zip(trials, ("abc", "xyz"), strict=True):
        trial.mkdir()
        (trial / "in.txt").write_text(text)
        assert run_task(trial / "m.json", copy_task(trial), CODE) is True
    first, second = (trial / exchanged for trial in trials)
    first.rename(tmp_path / "kept")
    second.rename(first)
    (tmp_path / "kept").rename(second)
    for trial in trials:
        assert run_task(trial / "m.json", copy_task(trial), CODE) is True
        assert (trial / "out/x.txt").read_text() == (trial / "in.txt").read_text().upper()


def test_what_changed_while_it_was_read_is_not_called_done(tmp_path):
    """Neither where the task waited for another before it began, nor where the input is as before in the end."""
    source, manifest = tmp_path / "in.txt", tmp_path / "m.json"
    source.write_text("abc")
    task = copy_task(tmp_path)

    def work() -> None:
        source.write_text("xyz")
        task.work()
        source.write_text("abc")

    with pytest.raises(InputError, match="changed meanwhile"):
        run_task(manifest, replace(task, work=work), CODE)
    assert not manifest.exists()
    waiting = Thread(target=run_task, args=(manifest, task, CODE))
    with hold_lock(manifest.with_suffix(".lock"), "the test is at work"):
        waiting.start()
        time.sleep(0.3)
        source.write_text("xyz")
    waiting.join()
    assert (tmp_path / "out/x.txt").read_text() == "XYZ"
    source.write_text("abc")
    assert run_task(manifest, task, CODE) is True


def test_checksum_of_a_folder_sees_names_and_contents(tmp_path):
    (tmp_path / "a.json").write_text("1")
    first, whole = file_checksum(tmp_path), file_checksum(tmp_path, "**/*")
    (tmp_path / "below").mkdir()
    (tmp_path / "below/note.txt").write_text("not a keypoint file")
    assert file_checksum(tmp_path) == first
    assert file_checksum(tmp_path, "**/*") != whole
    (tmp_path / "a.json").write_text("2")
    second = file_checksum(tmp_path)
    (tmp_path / "a.json").rename(tmp_path / "b.json")
    assert len({first, second, file_checksum(tmp_path)}) == 3


def test_a_person_of_another_version_is_refused_by_the_file(copied):
    paths = RunPaths(copied.results, "S01")
    scaling = json.loads(paths.scaling.read_text())
    for person in ({"trials": 1}, {"noise": {}, "unknown": 1}):
        paths.scaling.write_text(json.dumps(scaling | {"person": person}))
        with pytest.raises(InputError, match="of this version; run `simspine scale` again"):
            read_sized_body(paths)


def test_a_body_is_read_once_until_its_file_changes(copied):
    paths = RunPaths(copied.results, "S01")
    first = read_sized_body(paths).body
    assert read_sized_body(paths).body is first
    paths.model.write_text(re.sub(r"<mass>[^<]*", "<mass>1.25", first.osim))
    assert "<mass>1.25</mass>" in read_sized_body(paths).body.osim


@pytest.mark.parametrize(
    "change",
    [
        lambda found: None,
        lambda found: 5,
        lambda found: found | {"factors": [{"factor": "x", "bodies": ["pelvis"]}]},
        lambda found: found | {"factors": {"pelvis": 1}},
        lambda found: found | {"person": {name: [["a text"]] for name in CURVE_ARRAYS}},
        lambda found: found | {"person": {name: [None, [1.0]] for name in CURVE_ARRAYS}},
    ],
)
def test_damaged_figures_of_a_body_are_refused_by_the_file(copied, change):
    paths = RunPaths(copied.results, "S01")
    paths.scaling.write_text(json.dumps(change(json.loads(paths.scaling.read_text()))))
    with pytest.raises(InputError, match=r"scaling\.json: not (JSON|a scaling)"):
        read_sized_body(paths)


def test_json_that_is_no_mapping_is_refused(tmp_path):
    """A list of pairs, which `dict` would take."""
    (tmp_path / "scaling.json").write_text('[["recipe", "coupled"]]')
    with pytest.raises(InputError, match=r"scaling\.json: not JSON of names with values"):
        read_json(tmp_path / "scaling.json")


def test_an_input_written_anew_with_the_same_content_ends_no_run(tmp_path):
    """The work is done again, since it may have read half; an input that is written again and again is named."""
    source, manifest, times = tmp_path / "in.txt", tmp_path / "m.json", []
    source.write_text("abc")
    task = copy_task(tmp_path)

    def work(rewrites: int) -> None:
        task.work()
        times.append(len(times) + 1)
        if len(times) <= rewrites:
            os.utime(source, ns=(len(times), len(times)))

    assert run_task(manifest, replace(task, work=lambda: work(1)), CODE) is True
    assert len(times) == 2
    with pytest.raises(InputError, match=r"in\.txt changed meanwhile \(its content is the same"):
        run_task(manifest, replace(task, work=lambda: work(99)), OTHER)
