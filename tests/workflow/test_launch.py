"""`simspine run`: the whole workflow from any folder, one at a time, with errors that say what to do."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from small_project import Project, write_inputs

from simspine.workflow import snakemake_command
from simspine.workflow.launch import _heard

COMMAND = (sys.executable, "-m", "simspine")
CONFIG = {
    "name": "small",
    "results": "results/small",
    "detection": {"detector": "import", "skeleton": "spinetrack37"},
    "body": {"recipe": "coupled"},
}


def simspine(*arguments, folder: Path):
    return subprocess.run([*COMMAND, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def project(truth, tmp_path) -> Path:
    """An empty folder but for inputs and a configuration."""
    trial = write_inputs(Project(tmp_path / "my inputs").folder, truth)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(CONFIG | {"subjects": {"S01": {"trials": {"bow": trial}}}}))
    return tmp_path


@pytest.mark.slow
def test_runs_from_any_folder_and_repeats_nothing(project):
    done = simspine("run", "mine.yaml", "--cores", "2", folder=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "results/small/report.html").is_file()
    assert json.loads((project / "results/small/summary.json").read_text())["frames"] == 16
    assert "9 of 9 steps" in (project / "results/small/logs/run.log").read_text()
    again = simspine("run", "mine.yaml", folder=project)
    assert again.returncode == 0
    assert "done" not in again.stdout, "nothing is repeated; the table is printed again"


@pytest.mark.slow
def test_failing_stage_is_named(project):
    config = yaml.safe_load((project / "mine.yaml").read_text())
    folders = config["subjects"]["S01"]["trials"]["bow"]["keypoints"]
    for file in sorted(Path(folders[1]).iterdir())[:3]:
        file.write_text("{")
    done = simspine("run", "mine.yaml", folder=project)
    assert done.returncode == 2
    assert "job detect failed" in done.stderr
    assert "results/small/logs/run.log" in done.stderr
    assert "error: " in done.stdout  # the stage's own message


def test_one_run_at_a_time(project):
    lock = project / "results/small/.lock"
    lock.parent.mkdir(parents=True)
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = simspine("run", "mine.yaml", folder=project)
    assert done.returncode == 2
    assert "another run is at work on results/small" in done.stderr


def test_missing_configuration(tmp_path):
    done = simspine("run", "absent.yaml", folder=tmp_path)
    assert done.returncode == 2
    assert "absent.yaml" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_packaged_configuration_is_found_by_name(tmp_path):
    done = simspine("run", "demo", "--dry-run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "configuration" in done.stdout + done.stderr


def test_a_file_goes_before_the_packaged_name(tmp_path):
    (tmp_path / "demo").write_text("name: [")
    done = simspine("run", "demo", folder=tmp_path)
    assert done.returncode == 2
    assert "demo" in done.stderr


def test_a_missing_input_is_named_before_anything_is_written(project):
    config = yaml.safe_load((project / "mine.yaml").read_text())
    config["subjects"]["S01"]["trials"]["bow"]["keypoints"][2] = "absent"
    (project / "mine.yaml").write_text(yaml.safe_dump(config))
    done = simspine("run", "mine.yaml", folder=project)
    assert done.returncode == 2
    assert "absent" in done.stderr
    assert not (project / "results").exists()


def test_snakemake_is_not_told_to_be_quiet():
    """Its messages go to the log; without them a run that cannot start would end without a word."""
    assert _heard(["--quiet", "all", "--keep-going"]) == ["--keep-going"]
    assert _heard(["-q", "rules", "host", "-k"]) == ["-k"]
    assert _heard(["--jobs", "4"]) == ["--jobs", "4"]


@pytest.mark.slow
def test_a_run_that_cannot_start_says_why(project):
    done = simspine("run", "mine.yaml", "--", "--quiet", "all", "--profile", "absent", folder=project)
    assert done.returncode == 2
    assert "the workflow failed" in done.stderr
    assert "absent" in done.stderr


SNAKEFILE = """
rule all:
    input:
        expand("out/{i}", i=range(6)),


rule one:
    output:
        "out/{i}",
    shell:
        "sleep 1.2; touch {output}"
"""


@pytest.mark.slow
def test_jobs_that_end_do_not_keep_snakemake_busy(tmp_path):
    """It looks for jobs to start once at the beginning and once for each that ends, not once a second for each."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "simspine.workflow.snakemake_command", "--cores", "1", "--verbose"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 6
    assert 6 <= done.stderr.count("Ready jobs: ") <= 8  # 23 by Snakemake's own command


@pytest.mark.parametrize(("words", "limit"), [([], None), (["--max-jobs-per-timespan", "50/1m"], (50, 60))])
def test_a_limit_that_is_given_is_kept(tmp_path, monkeypatch, words, limit):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(snakemake_command, "args_to_api", lambda args, _: asked.append(args) or True)
    assert snakemake_command.main(["--cores", "1", *words]) == 0
    kept = asked[0].max_jobs_per_timespan
    assert (None if kept is None else (kept.max_jobs, kept.timespan)) == limit


def test_a_fault_of_the_words_is_an_exit_code(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    assert snakemake_command.main(["--cores", "1", "--max-jobs-per-timespan", "many"]) == 1
    assert "Given instead: many" in caplog.text
