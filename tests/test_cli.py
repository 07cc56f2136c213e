"""The command line's own behaviour; what stages do with bad input is in workflow/test_bad_input.py."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from command_line import call, failed, succeeded
from numba import njit
from numba.core.caching import FunctionCache
from pydantic_core import SchemaError

from simspine import __version__
from simspine.cli.main import main
from simspine.cli.options import packaged_config, say
from simspine.core.errors import InputError
from simspine.core.settings import data_folder
from simspine.io.c3d import read_c3d
from simspine.io.hdf5 import read_store
from simspine.io.trc import write_trc
from simspine.workflow.camera_files import write_figures
from simspine.workflow.config import json_schema, read_config
from simspine.workflow.up_to_date import STAGE_NAMES


def test_help_lists_the_stages_in_the_order_of_the_data():
    whole = call("--help").output
    text = whole.split("Stages")[1]
    order = ["detect", "triangulate", "merge", "scale", "ik", "vertebrae", "quality", "export"]
    assert [name for name in main.commands if name in STAGE_NAMES] == order
    places = [text.index(f"\n  {stage} ") for stage in order]
    assert places == sorted(places)
    for command in ("report", "summary", "init", "doctor"):
        assert f"\n  {command} " in whole


@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_every_stage_takes_config_subject_and_trial(stage):
    text = call(stage, "--help").output
    for option in ("--config", "--subject", "--trial", "--force", "--quiet"):
        assert option in text


def test_version():
    assert call("--version").output == f"simspine, version {__version__}\n"


def test_schema_is_printed():
    done = call("doctor", "--schema")
    assert done.exit_code == 0
    assert json.loads(done.output) == json_schema()


@pytest.mark.parametrize("arguments", [["detct"], ["ik", "--subjct", "S01"], ["init"]])
def test_wrong_command_or_option(arguments):
    assert "Traceback" not in failed(call(*arguments))


@pytest.fixture
def command():
    """Make a command of `main` that does as it is told, for one test."""

    def add(work):
        @main.command("experiment")
        def experiment():
            work()

        return call("experiment")

    yield add
    main.commands.pop("experiment", None)


def raising(error):
    def work():
        raise error

    return work


def test_bad_input_is_one_message_and_code_2(command):
    done = command(raising(InputError("the cat is missing.")))
    assert (done.exit_code, done.stderr, done.stdout) == (2, "error: the cat is missing.\n", "")


def test_what_the_system_refuses_is_a_message_too(command):
    done = command(raising(PermissionError(errno.EACCES, "Permission denied", "/locked/file")))
    assert (done.exit_code, done.stderr) == (2, "error: /locked/file: Permission denied.\n")


def test_compiled_code_that_can_be_kept_nowhere(command, monkeypatch):
    """As Numba says it where neither the package's folder nor the user's cache can be written to."""
    monkeypatch.setattr(FunctionCache._impl_class, "_locator_classes", [])
    done = command(lambda: njit(cache=True)(abs_of))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "NUMBA_CACHE_DIR" in done.stderr


def abs_of(x):
    return abs(x)


def test_a_bug_stays_visible(command):
    """Only bad input is polite: an error of ours keeps its traceback."""
    done = command(raising(KeyError("a")))
    assert isinstance(done.exception, KeyError)
    assert done.exit_code == 1


@pytest.mark.parametrize("action", ["default", "error"])
def test_a_warning_is_one_line_and_the_work_goes_on(command, monkeypatch, action):
    import warnings

    monkeypatch.setattr("sys.warnoptions", [action])  # as by PYTHONWARNINGS
    warnings.simplefilter(action)

    def work():
        warnings.warn("the clock is late", stacklevel=1)
        click.echo("done")

    done = command(work)
    assert (done.exit_code, done.stdout) == (0, "done\n")
    assert done.stderr == "warning: the clock is late\n"


@pytest.mark.parametrize("arguments", [("run", "lims-only"), ("doctor", "--config", "lims-only")])
def test_a_misspelt_packaged_configuration_is_named(arguments):
    done = call(*arguments)
    assert done.exit_code == 2
    assert (
        "unknown configuration 'lims-only'. Did you mean 'limbs-only'? Available: demo, gait, human36m," in done.stderr
    )
    assert "lims-only.yaml does not exist" in done.stderr


@pytest.mark.parametrize("command", ["run", "doctor", "status"])
@pytest.mark.parametrize("name", ["walk.bvh", "walk.FBX", "walk.mp4", "walk.mot"])
def test_other_files_are_refused_with_what_is_read_instead(tmp_path, command, name):
    (tmp_path / name).write_text("HIERARCHY\nROOT Hips\n{\n\tOFFSET 0.0 0.0 0.0\n")
    said = failed(call(command, tmp_path / name))
    assert f"{name} is no configuration (.yaml). Markers are read from .c3d and .trc: export them as one." in said
    assert "`simspine init`" in said


def test_a_folder_of_a_packaged_name_is_no_configuration(tmp_path, monkeypatch):
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    assert packaged_config(Path("demo")) == data_folder("configs") / "demo.yaml"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{}", "a whole summary"),
        ("[]", "JSON of names with values"),
        ('{"rejected_because": null}', "a whole summary"),
        ('{"rejected_because": {}, "frames_rejected": "x"}', "a whole summary"),
    ],
)
def test_a_summary_of_other_content_is_damaged(tmp_path, monkeypatch, text, fault):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text((data_folder("configs") / "demo.yaml").read_text())
    (tmp_path / "results/demo").mkdir(parents=True)
    (tmp_path / "results/demo/summary.json").write_text(text)
    done = call("summary", "--config", tmp_path / "mine.yaml")
    assert done.exit_code == 2
    assert f"summary.json: not {fault}" in done.stderr


def test_view_writes_one_file_at_a_time(tmp_path):
    done = call("view", tmp_path, "--out", tmp_path / "x.html", "--rerun", tmp_path / "x.rrd")
    assert done.exit_code == 2
    assert "one file at a time" in done.stderr


def test_commands_stand_in_groups_once_each():
    from simspine.cli.main import COMMAND_GROUPS

    shown = [name for names in COMMAND_GROUPS.values() for name in names]
    assert sorted(shown) == sorted(name for name, command in main.commands.items() if not command.hidden)
    assert [line for line in call("--help").output.splitlines() if line.rstrip(":") in COMMAND_GROUPS]


@pytest.mark.parametrize("group", ["", "annotations", "benchmark", "cameras", "capture", "train"])
def test_lists_of_commands_say_whole_sentences(group):
    """None is cut off, which click does with three dots."""
    commands = call(*group.split(), "--help").output.split("Options:")[1]
    assert [line for line in commands.splitlines() if line.endswith("...")] == []


def test_without_a_name_the_configuration_of_the_folder_is_taken_and_never_the_demo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in ("run", "status", "summary", "triangulate", "export", "detect", "report"):
        done = call(command)
        assert done.exit_code == 2, command
        assert "no configuration was named, and there is none in" in done.output
        assert "simspine init" in done.output
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nresults: results/mine\nsubjects: {S01: {trials: {a: {folder: x}}}}\n"
    )
    (tmp_path / "other.yaml").write_text("radius_px: 3\n")
    assert packaged_config(None) == Path("mine.yaml")
    for arguments in (("summary",), ("summary", "mine.yaml"), ("summary", "--config", "mine.yaml")):
        done = call(*arguments)
        assert "results/mine" in done.output, (arguments, done.output)
    assert "they mean the same" in call("summary", "mine.yaml", "--config", "mine.yaml").output
    (tmp_path / "results/mine").mkdir(parents=True)
    shutil.copy("mine.yaml", "results/mine/config.yaml")
    assert "results/mine" in call("summary", "results/mine").output
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "of a run in another folder" in call("summary", tmp_path / "results/mine").output
    monkeypatch.chdir(tmp_path)
    shutil.copy("mine.yaml", "second.yaml")
    assert "there are mine.yaml, second.yaml" in call("status").output


def test_names_in_files_do_not_command_the_terminal(tmp_path):
    """A bell and an escape in the name of a column; the message shows the rest of it."""
    (tmp_path / "line.csv").write_text("\x1b]0;owned\x07,y\n1,2\n")
    said = failed(call("back", tmp_path / "line.csv"))
    assert "owned" in said
    assert not {"\x1b", "\x07"} & set(said)


def test_options_without_effect_are_refused(tmp_path):
    """A table has each frame; markers have no cameras; a file that is not there is named first."""
    assert "--every has no effect on csv" in failed(call("export", "demo", "--format", "csv", "--every", "5"))
    (tmp_path / "a.c3d").write_bytes(b"")
    found = call("init", tmp_path / "a.c3d", "--calibration", tmp_path / "none.toml", "--out", tmp_path / "x.yaml")
    assert found.exit_code == 2
    assert "--calibration goes with videos" in found.output
    found = call("init", tmp_path / "none.mp4", "--out", tmp_path / "x.yaml")
    assert "does not exist; name videos" in " ".join(found.output.split())
    (tmp_path / "results.json").write_text('[{"image_id": 1, "category_id": 1, "keypoints": [1, 2, 1], "score": 1}]')
    found = call("init", tmp_path / "results.json", "--calibration", tmp_path / "c.toml", "--out", tmp_path / "x.yaml")
    assert found.exit_code == 2
    assert "results.json: 2D points of several images in one file, as COCO's" in " ".join(found.output.split())


def test_a_marker_file_is_run_with_a_configuration_of_its_own(tmp_path, monkeypatch):
    """README's one command. What runs afterwards is the workflow, as of any configuration."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(data_folder("third_party") / "gait/walking.c3d", "walk.c3d")
    ran = []
    monkeypatch.setattr("simspine.workflow.launch.run_workflow", lambda path, *_, **__: ran.append(path))
    for _ in range(2):  # the second time it is there
        done = call("run", "walk.c3d", "--dry-run")
        assert done.exit_code == 0
        said = " ".join(done.output.split())
    assert "configs/walk.yaml is there, and is run as it stands; results: results/walk" in said
    assert ran == [Path("configs/walk.yaml")] * 2
    config = read_config(ran[0])
    assert (config.name, config.subjects["S01"].trials["walk"].markers) == ("walk", "walk.c3d")
    (tmp_path / "other").mkdir()
    shutil.copy("walk.c3d", "other/walk.c3d")
    assert "configs/walk.yaml is of other files" in failed(call("run", "other/walk.c3d", "--dry-run"))
    for words in (["configs/walk.yaml", "configs/run.yaml"], ["walk.c3d", "configs/walk.yaml"], ["demo", "gait"]):
        assert f"{words[1]}: expected one configuration, or marker files" in failed(call("run", *words, "--dry-run"))


def test_a_marker_file_is_not_taken_for_another_of_the_same_name(tmp_path, monkeypatch):
    """Its path is the end of the other's. Names that a configuration cannot have get underscores."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("simspine.workflow.launch.run_workflow", lambda *_, **__: None)
    (tmp_path / "other day's").mkdir()
    other = Path("other day's/Walk 01.c3d")
    for path in (other, Path(other.name)):
        shutil.copy(data_folder("third_party") / "gait/walking.c3d", path)
    for _ in range(2):
        assert call("run", other, "--dry-run").exit_code == 0
    assert read_config("configs/Walk_01.yaml").subjects["S01"].trials["Walk_01"].markers == str(other)
    assert "configs/Walk_01.yaml is of other files than Walk 01.c3d" in failed(call("run", other.name, "--dry-run"))


def test_marker_files_of_one_person_are_run_together(tmp_path, monkeypatch):
    """A standing trial shows where the markers are. Snakemake gets its own options, and no marker file as a target."""
    monkeypatch.chdir(tmp_path)
    ran = []
    monkeypatch.setattr("simspine.workflow.launch.run_workflow", lambda path, _, options, **__: ran.append([*options]))
    for name in ("standing", "walking"):
        shutil.copy(data_folder("third_party") / f"gait/{name}.c3d", f"{name}.c3d")
    for _ in range(2):  # the second time the configuration is there
        succeeded(call("run", "standing.c3d", "walking.c3d", "--dry-run", "--", "--keep-going"))
    assert ran == [["--keep-going"]] * 2
    trials = read_config("configs/standing_walking.yaml").subjects["S01"].trials
    assert [trial.markers for trial in trials.values()] == ["standing.c3d", "walking.c3d"]


def test_what_a_marker_file_contradicts_is_said_once(tmp_path, monkeypatch):
    """By the run, which says it each time, or by the command that plans it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("simspine.workflow.launch.run_workflow", lambda *_, **__: None)
    monkeypatch.setattr("simspine.workflow.dataset.print_summary", lambda _: None)
    markers = read_c3d(data_folder("third_party") / "gait/walking.c3d")
    for name, words, times in ("a.trc", [], 0), ("b.trc", ["--dry-run"], 1), ("c.trc", ["--quiet"], 1):
        write_trc(name, markers)
        Path(name).write_text(Path(name).read_text().replace("\tm\t", "\tmm\t", 1))
        assert succeeded(call("run", name, *words)).count("the header says mm") == times


def test_a_held_marker_is_a_finding_of_the_markers(tmp_path, monkeypatch):
    """It was said at the terminal only, and by the first run only."""
    monkeypatch.chdir(tmp_path)
    markers = read_c3d(data_folder("third_party") / "gait/walking.c3d")
    xyz = markers.xyz.copy()
    xyz[40:90, markers.index("T10")] = xyz[40, markers.index("T10")]
    write_trc("walking.trc", markers.with_(xyz=xyz))
    succeeded(call("init", "walking.trc", "--out", "mine.yaml"))
    succeeded(call("merge", "--config", "mine.yaml"))
    (kept,) = Path("results").rglob("markers/walking.h5")
    messages = [finding["message"] for finding in json.loads(read_store(kept)["findings"])]
    assert any("T10 in frames 40–89: exactly in one place" in message for message in messages)


def test_numbas_settings_of_a_strangers_folder_are_not_taken(tmp_path, monkeypatch):
    """Its cache holds pickles and machine code."""
    (tmp_path / ".numba_config.yaml").write_text("cache_dir: ./.c\n")
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    for first, second in (("simspine", "numba"), ("numba", "simspine")):
        code = f"import {first}, {second}; print(repr(numba.config.CACHE_DIR))"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=kept, capture_output=True, text=True)
        assert done.stdout == "''\n", done.stderr
    monkeypatch.chdir(tmp_path)
    refused = call("status")
    assert refused.exit_code == 2
    assert ".numba_config.yaml in this folder changes how simspine computes" in refused.stderr


@pytest.mark.parametrize("how", ["module", "script"])
def test_ctrl_c_while_libraries_load_gives_no_traceback(tmp_path, how):
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    module, function = project["project"]["scripts"]["simspine"].split(":")
    words = ["-m", "simspine"] if how == "module" else ["-c", f"from {module} import {function}"]
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run([sys.executable, *words], env=os.environ | {"PYTHONPATH": path}, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SchemaError("Error building validator:\n KeyboardInterrupt")])
def test_ctrl_c_that_pydantic_took_for_a_fault_of_a_schema(monkeypatch, error):
    def interrupted(*_):
        raise error

    monkeypatch.setattr("simspine.workflow.setup.examine_installation", interrupted)
    done = call("doctor", "gait")
    assert (done.exit_code, done.stdout, done.stderr) == (130, "", "stopped by ctrl-C.\n")


def test_variables_that_libraries_stumble_over(monkeypatch):
    monkeypatch.setenv("COLUMNS", "0")  # rich printed nothing
    assert "OpenCV" in call("doctor").stdout
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "abc")
    assert "SOURCE_DATE_EPOCH is not a whole number" in call("doctor").stderr
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    for threads in ("0", "-1", "many"):  # Numba ended in a traceback, or took another number
        monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
        refused = call("doctor")
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert f"NUMBA_NUM_THREADS is '{threads}', not a whole number of threads above 0" in refused.stderr


def test_an_output_that_is_an_input_is_refused(tmp_path):
    """Each of these commands would write over what it was given."""
    file = tmp_path / "labels.json"
    file.write_text("{}")
    for words in (["annotations", "propose", file, "--out", file], ["view", file, "--out", file],
                  ["cameras", "check", file, "--json", file]):  # fmt: skip
        assert "labels.json is named twice" in failed(call(*words))
    assert file.read_text() == "{}"
    done = call("view", file, "--out", tmp_path / "data.h5")
    assert "the ending for a view is .html" in done.output
    new = tmp_path / "new.toml"  # not there yet: the calibration would replace the figures
    assert "new.toml is named twice" in failed(call("cameras", "refine", file, "--out", new, "--json", new))


def test_figures_replace_nothing_but_figures(tmp_path):
    """`--json cameras.json` replaced the calibration that the command had read."""
    file = tmp_path / "cameras.json"
    for content in ("[cam01]\n", '{"cam01": {"K": []}}', "[1]"):
        file.write_text(content)
        with pytest.raises(InputError, match="exists already, and is no file of these figures"):
            write_figures(file, {"trials": [], "cameras": []})
        assert file.read_text() == content
    file.unlink()
    for cameras in ([], ["cam01"]):
        write_figures(file, {"trials": [], "cameras": cameras})
        assert json.loads(file.read_text())["cameras"] == cameras


def test_a_folder_that_was_removed_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    done = call("status", "mine.yaml")
    assert done.exit_code == 2
    assert done.stderr == "error: the folder you are in was removed; change to another one.\n"


def test_results_are_said_without_control_characters_and_with_their_spaces(capsys):
    say("a\x1b[31m\u202eb\u202f1\u00a02\n")
    assert capsys.readouterr().out == "a\ufffd[31m\ufffdb\u202f1\u00a02\n\n"


def test_a_link_to_itself_ends_in_one_message(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("loop.webm").symlink_to("loop.webm")
    assert "leads to itself" in failed(call("overlay", "demo", "--out", "loop.webm"))
