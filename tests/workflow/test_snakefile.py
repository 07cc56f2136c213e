"""The Snakefile: whose subjects it runs, what it says about a wrong configuration, what it repeats."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from forked import run_forked
from snakemake import cli as snakemake_cli

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
OF_TRIALS, OF_SUBJECTS = ("detect", "markers", "motion"), ("cameras", "scale")
ONCE = ("dataset", "page", "all")


def jobs(subjects: int, trials: int) -> dict[str, int]:
    """{rule: jobs} of a run from the start."""
    counts = dict.fromkeys(ONCE, 1) | dict.fromkeys(OF_SUBJECTS, subjects) | dict.fromkeys(OF_TRIALS, trials)
    return counts


@pytest.fixture
def snakemake(tmp_path):
    """Run Snakemake on the Snakefile in a folder of its own, so that no other run's lock or records are touched."""
    root = tmp_path / "checkout"
    root.mkdir()
    shutil.copy(ROOT / "Snakefile", root)
    shutil.copy(ROOT / "environment.yml", root)
    shutil.copytree(ROOT / "configs", root / "configs")

    def run(*arguments):
        def command() -> None:
            sys.modules[
                "snakemake.shell"
            ].STDOUT = None  # jobs print where their process does, not where pytest keeps its own output
            snakemake_cli.main(["--cores", "1", *map(str, arguments)])

        return run_forked(command, root, PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}")

    run.root = root
    return run


def planned(output: str) -> dict[str, int]:
    """{rule: jobs} out of the table that a dry run prints."""
    table = output.split("Job stats:")[1].split("total")[0]
    return {rule: int(jobs) for rule, jobs in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


@pytest.mark.slow
def test_lint_finds_nothing(snakemake):
    done = snakemake("--lint")
    assert done.returncode == 0, done.stderr
    assert "in a good condition" in done.stdout + done.stderr


@pytest.mark.slow
def test_default_is_the_demo(snakemake):
    done = snakemake("--dry-run")
    assert done.returncode == 0, done.stderr
    assert planned(done.stdout) == jobs(1, 1)
    assert "results/demo/.workflow/done/page.done" in done.stdout
    assert "subject=S01" in done.stdout
    assert not (snakemake.root / "results").exists()


@pytest.fixture
def second(snakemake):
    """A configuration of two other subjects."""
    demo = yaml.safe_load((ROOT / "configs/demo.yaml").read_text())
    trials = demo["subjects"]["S01"]
    settings = demo | {"name": "other", "results": "results/other", "subjects": {"Ada": trials, "Bo": trials}}
    file = snakemake.root / "second.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


@pytest.mark.slow
def test_another_configuration_replaces_the_demos(snakemake, second):
    """Snakemake merges configuration files; the demo's subject must not join the others."""
    done = snakemake("--dry-run", "--configfile", second)
    assert done.returncode == 0, done.stderr
    assert planned(done.stdout) == jobs(2, 2)
    assert "subject=Ada" in done.stdout
    assert "subject=Bo" in done.stdout
    assert "S01" not in done.stdout
    assert "results/demo" not in done.stdout


@pytest.mark.slow
def test_settings_on_the_command_line_are_refused(snakemake, second):
    """Jobs read the configuration file, and so does the next run."""
    for words, named in (
        (["--config", "results=results/third"], "results"),
        (["configs/virtual.yaml"], "virtual.yaml"),
    ):
        done = snakemake("--dry-run", "--configfile", second, *words)
        assert done.returncode != 0
        assert f"{named}: the configuration file alone says what is run" in done.stdout + done.stderr


@pytest.mark.slow
def test_a_misspelt_key_stops_it_with_the_right_one(snakemake, second):
    second.write_text(second.read_text().replace("cutoff_hz", "cutof_hz"))
    done = snakemake("--dry-run", "--configfile", second)
    assert done.returncode != 0
    assert "unknown key 'cutof_hz' in filter. Did you mean 'cutoff_hz'?" in done.stdout
    message = done.stdout[done.stdout.index("InputError") :]
    assert len(message.splitlines()) < 8, "one message, not a dump of the schema"


@pytest.mark.slow
def test_a_missing_input_stops_it_before_anything_runs(snakemake, second):
    second.write_text(second.read_text().replace("pose2sim:Demo_SinglePerson", "nowhere"))
    done = snakemake("--configfile", second)
    assert done.returncode != 0
    assert "project folder nowhere does not exist" in done.stderr
    assert not (snakemake.root / "results").exists()


@pytest.mark.slow
def test_a_stage_that_fails_shows_its_message(snakemake, copied):
    """On the terminal, however quiet Snakemake is told to be, and in the log; jobs that depend on it do not start."""
    (copied.folder / "cameras.toml").write_text("garbage")
    done = snakemake("--configfile", copied.file, "--quiet", "rules")
    assert done.returncode != 0
    assert "cameras.toml: not valid TOML" in done.stdout
    assert "not valid TOML" in (copied.results / "logs/S01/bow_detect.log").read_text()
    assert not (copied.results / "logs/S01/cameras.log").exists()


@pytest.mark.slow
def test_it_runs_what_is_missing_or_was_changed_and_then_nothing(snakemake, copied):
    """The first jobs of the synthetic project (`make demo` runs all); a keypoint file changed in place counts.

    The copy's results were made in one process, and those of processes of their own have the same bytes. Snakemake
    plans what is made again, for the jobs have no mark then; what is before them stays. That what is made again has
    the same bytes too is shown by test_resume.py.
    """
    before = copied.contents()
    shutil.rmtree(copied.results)
    arguments = ("--configfile", copied.file, "--until", "markers")
    first = snakemake(*arguments)
    assert first.returncode == 0, first.stderr
    assert "merge S01: bow done" in first.stdout
    made = copied.contents()
    assert {"config.yaml", "S01/points/bow.h5", "logs/S01/bow_markers.log", "benchmarks/S01/bow_detect.tsv"} <= set(
        made
    )
    for folder in ("keypoints", "cameras", "points", "markers"):
        file = f"S01/{folder}/bow.h5"
        assert made[file] == before[file], file
    assert planned(snakemake(*arguments, "--dry-run").stdout) == {}
    assert copied.contents() == made
    (copied.results / "S01/cameras/bow.h5").unlink()
    (copied.results / "S01/points/bow.h5").write_bytes(b"x")
    assert planned(snakemake(*arguments, "--dry-run").stdout) == {"cameras": 1, "markers": 1}
    file = sorted(copied.folder.glob("pose/bow/cam02_json/*.json"))[4]
    file.write_text(file.read_text().replace("0.9", "0.8"))
    assert planned(snakemake(*arguments, "--dry-run").stdout) == {"detect": 1, "cameras": 1, "markers": 1}


@pytest.mark.slow
def test_no_name_of_a_file_is_a_shell_command(snakemake, copied):
    """Of the results, the inputs and the configuration; nor are blanks, quotes and other letters lost on the way. In
    names of inputs and of the configuration braces are no wildcards."""
    odd = "Läufe $(touch y) `touch y`;touch y|touch y&\"'#*\\"
    results, inputs = snakemake.root / odd, copied.folder / f"-{{x}} {{}} {odd}"
    inputs.mkdir()
    for name in ("pose", "cameras.toml"):
        (copied.folder / name).rename(inputs / name)
    trial = copied.settings["subjects"]["S01"]["trials"]["bow"]
    copied.trial(
        calibration=str(inputs / "cameras.toml"),
        keypoints=[folder.replace(str(copied.folder), str(inputs)) for folder in trial["keypoints"]],
    )
    copied.change(results=str(results))
    file = copied.file.rename(copied.folder / f"{{x}} {{}} {odd}.yaml")
    for arguments in (["--dry-run"], ["--until", "markers"]):
        done = snakemake("--configfile", file, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "triangulate S01: bow done" in (results / "logs/S01/bow_markers.log").read_text()
    assert not [path for path in copied.folder.parent.rglob("y") if ".snakemake" not in path.parts]


@pytest.mark.slow
def test_a_virtual_capture_is_made_before_anything_else(snakemake):
    """Per subject; its trials follow from the preset, so that the plan is known before a file is there."""
    done = snakemake("--dry-run", "--configfile", "configs/virtual.yaml", "--profile", "configs/profiles/local")
    assert done.returncode == 0, done.stdout + done.stderr
    assert planned(done.stdout) == jobs(2, 16) | {"capture": 2}
    assert "subject=S1" in done.stdout
    assert "subject=S5" in done.stdout


@pytest.mark.slow
def test_people_of_one_recording_are_planned_as_subjects(snakemake):
    """The second one's detection waits for the first one's."""
    done = snakemake("--dry-run", "--configfile", "configs/multi-person.yaml", "--profile", "configs/profiles/local")
    assert done.returncode == 0, done.stdout + done.stderr
    assert planned(done.stdout) == jobs(2, 2)
    second = next(job for job in done.stdout.split("rule detect:")[1:] if "subject=duo_2" in job)
    assert "duo_1/detect/" in second.split("output:")[0]


@pytest.mark.slow
def test_the_full_layout_is_planned_by_names_alone(snakemake):
    """Two subjects of seven, 60 trials, 300 files in the official layout: all are empty, and none is read. Three trials
    are faulty (tests/test_config.py)."""
    from simspine.io.calibration import write_calibration
    from simspine.io.human36m.names import HUMAN36M_CAMERA_SIZES, canonical_trials, official_name
    from simspine.synthesis.virtual_trial import virtual_rig

    root, config = snakemake.root / "data/human36m", snakemake.root / "configs/human36m.yaml"
    config.write_text(config.read_text().replace("capture:\n", "capture:\n  subjects: [S9, S11]\n"))
    for subject in ("S9", "S11"):
        for kind in ("Videos", "MyPoseFeatures/D3_Positions"):
            (root / subject / kind).mkdir(parents=True)
        for trial in canonical_trials():
            name = official_name(subject, trial)
            (root / subject / "MyPoseFeatures/D3_Positions" / f"{name}.cdf").touch()
            for camera in HUMAN36M_CAMERA_SIZES:
                (root / subject / "Videos" / f"{name}.{camera}.mp4").touch()
        write_calibration(root / f"Calib_{subject}.toml", virtual_rig(1, subject))
    done = snakemake("--dry-run", "--configfile", "configs/human36m.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert planned(done.stdout) == jobs(2, 60 - 3)


@pytest.mark.slow
def test_profiles_speak_of_rules_and_options_that_exist():
    from snakemake.cli import get_argument_parser

    rules = set(re.findall(r"^rule (\w+):", (ROOT / "Snakefile").read_text(), re.MULTILINE))
    options = {text.lstrip("-") for action in get_argument_parser()._actions for text in action.option_strings}
    for name in ("local", "slurm"):
        profile = yaml.safe_load((ROOT / "configs/profiles" / name / "config.yaml").read_text())
        assert set(profile) <= options
        assert set(profile.get("set-threads", {})) | set(profile.get("set-resources", {})) <= rules
        groups = dict(entry.split("=") for entry in profile.get("groups", []))
        assert set(groups) <= rules
        assert {entry.split("=")[0] for entry in profile.get("group-components", [])} <= set(groups.values())
