"""`simspine run`: the whole workflow from any folder, one at a time, with errors that say what to do."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from forked import run_forked
from small_project import Project, write_inputs

from simspine.cli.main import main
from simspine.core.errors import InputError
from simspine.workflow import inputs, launch
from simspine.workflow.jobs import prepare_results

CONFIG = {
    "name": "small",
    "results": "results/small",
    "detection": {"detector": "import", "skeleton": "spinetrack37"},
    "body": {"recipe": "coupled"},
}


def simspine(*arguments, folder: Path):
    return run_forked(lambda: main([*map(str, arguments)], prog_name="simspine"), folder)


def folder_with_inputs(truth, folder: Path) -> Path:
    trial = write_inputs(Project(folder / "my inputs").folder, truth)
    (folder / "mine.yaml").write_text(yaml.safe_dump(CONFIG | {"subjects": {"S01": {"trials": {"bow": trial}}}}))
    return folder


@pytest.fixture
def project(truth, tmp_path) -> Path:
    """An empty folder but for inputs and a configuration."""
    return folder_with_inputs(truth, tmp_path)


def made(results: Path) -> dict[str, str]:
    """Text of each manifest, with the seconds that the work took."""
    return {path.relative_to(results).as_posix(): path.read_text() for path in results.rglob("manifests/**/*.json")}


@pytest.fixture(scope="module")
def done(truth, tmp_path_factory) -> Path:
    """A folder with a configuration that was run in it, by a user whose home folder cannot be written to."""
    place = folder_with_inputs(truth, tmp_path_factory.mktemp("done"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(place / "mine.yaml/home"))
        run = simspine("run", "mine.yaml", "--cores", "2", folder=place)
    assert run.returncode == 0, run.stdout + run.stderr
    return place


@pytest.mark.slow
def test_runs_from_any_folder_and_repeats_nothing(done):
    results = done / "results/small"
    assert (results / "report.html").is_file()
    assert json.loads((results / "summary.json").read_text())["frames"] == 16
    assert "8 of 8 steps" in (results / "logs/run.log").read_text()
    assert yaml.safe_load((results / "config.yaml").read_text()) == yaml.safe_load((done / "mine.yaml").read_text())
    before, log = made(results), (results / "logs/run.log").stat().st_mtime_ns
    again = simspine("run", "mine.yaml", folder=done)
    assert again.returncode == 0
    assert "done" not in again.stdout, "nothing is repeated; the table is printed again"
    assert made(results) == before
    assert (results / "logs/run.log").stat().st_mtime_ns == log, "Snakemake is not started"
    assert sorted(path.name for path in done.iterdir()) == ["mine.yaml", "my inputs", "results"], "no .snakemake"
    assert not (results / ".workflow").exists()


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere.yaml"))
    path.symlink_to("elsewhere.yaml")


@pytest.mark.slow
@pytest.mark.parametrize(
    "attack",
    [
        lambda path: path.write_text(path.read_text().replace("coupled", "articulated")),
        lambda path: path.write_text("name: ["),
        lambda path: path.unlink(),
        to_link,
        to_folder,
    ],
    ids=["edited", "damaged", "deleted", "linked", "folder"],
)
def test_the_copy_of_the_configuration_decides_nothing(done, attack):
    """Results stay as they are, and the copy is written anew unless a folder is in its place."""
    copy, outside = done / "results/small/config.yaml", done / "results/small/elsewhere.yaml"
    before, text = made(done / "results/small"), copy.read_text()
    attack(copy)
    try:
        run = simspine("run", "mine.yaml", folder=done)
        assert run.returncode == 0, run.stdout + run.stderr
        assert made(done / "results/small") == before
        assert copy.is_dir() or (copy.read_text() == text and not copy.is_symlink())
    finally:
        outside.unlink(missing_ok=True)
        copy.rmdir() if copy.is_dir() else copy.unlink(missing_ok=True)
        copy.write_text(text)


@pytest.mark.slow
def test_a_changed_configuration_is_honoured_wherever_the_results_are(done, tmp_path):
    """Here in a folder that results were moved to, with logs that are linked out of it."""
    place = shutil.copytree(done, tmp_path / "place")
    (place / "results").rename(place / "moved")
    config = yaml.safe_load((place / "mine.yaml").read_text())
    config |= {"results": "moved/small", "ik": {"weights": {"LKnee": 0.5}}}
    (place / "mine.yaml").write_text(yaml.safe_dump(config))
    outside = tmp_path / "outside"
    outside.write_text("kept")
    for name in ("logs/run.log", "benchmarks/S01/bow_motion.tsv"):
        (place / "moved/small" / name).unlink()
        (place / "moved/small" / name).symlink_to(outside)
    before = made(place / "moved/small")
    stale = simspine("status", "--config", "mine.yaml", folder=place)
    assert stale.returncode == 1
    assert "S01 bow: stale ik (settings changed)" in stale.stdout
    run = simspine("run", "mine.yaml", folder=place)
    assert run.returncode == 0, run.stdout + run.stderr
    after = made(place / "moved/small")
    assert {Path(name).parts[-2] for name in after if after[name] != before[name]} == {
        "ik", "vertebrae", "quality", "export", "manifests",
    }  # fmt: skip
    assert simspine("status", "--config", "mine.yaml", folder=place).returncode == 0
    stated = json.loads((place / "moved/small/provenance.json").read_text())["configuration"]
    assert stated["ik"]["weights"] == {"LKnee": 0.5}
    assert outside.read_text() == "kept"


def test_a_folder_of_a_stranger_runs_nothing(project):
    """Its modules are not imported, and Snakemake does not take what it holds for a profile."""
    trap = "open('trapped', 'w').write('x')"
    for module in ("yaml", "numpy", "snakemake", "simspine"):
        (project / f"{module}.py").write_text(trap)
    for folder in ("default", "profiles/default"):
        (project / folder).mkdir(parents=True)
        resources = "default-resources:\n  - \"mem_mb=__import__('pathlib').Path('trapped').touch() or 100\"\n"
        (project / folder / "config.yaml").write_text(resources)
    planned = simspine("run", "mine.yaml", "--dry-run", folder=project)
    assert planned.returncode == 0, planned.stderr
    assert "rule motion" in planned.stdout
    assert not (project / "trapped").exists()


def test_links_are_not_followed_out_of_the_results(tmp_path):
    outside, results = tmp_path / "outside", tmp_path / "results"
    for folder in (outside, results / "benchmarks/S01"):
        folder.mkdir(parents=True)
    kept = outside / "kept"
    kept.write_text("kept")
    kept.with_name("link").symlink_to(kept)
    (results / "logs").symlink_to(outside)
    (results / "config.yaml").symlink_to(kept)
    (results / "benchmarks/S01/bow_ik.tsv").symlink_to(kept)
    (results / "benchmarks/S02").symlink_to(outside)
    config = tmp_path / "mine.yaml"
    config.write_text("name: small\n")
    prepare_results(results, config)
    assert not [path for path in results.rglob("*") if path.is_symlink()]
    assert (results / "config.yaml").read_text() == "name: small\n"
    assert sorted(path.name for path in outside.iterdir()) == ["kept", "link"]
    assert kept.read_text() == "kept"


@pytest.mark.parametrize("place", ["logs", "logs/run.log", "benchmarks/S01/bow_ik.tsv"])
def test_pipes_among_the_logs_are_removed(tmp_path, place):
    """Who writes to a pipe waits until somebody reads."""
    pipe, config = tmp_path / "results" / place, tmp_path / "mine.yaml"
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    config.write_text("name: small\n")
    prepare_results(tmp_path / "results", config)
    assert not pipe.is_fifo()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
@pytest.mark.parametrize("lines", [1, 5000])
def test_a_full_disk_for_the_log_stops_nobody(lines):
    """Snakemake's messages are read on, also where there are more of them than a pipe holds."""
    says = f"import sys; sys.stderr.write({lines} * 'Error in rule ik:\\n'); print('through')"
    log = open("/dev/full", "w")  # noqa: SIM115 - closing it raises
    code, failed = launch._follow_output([sys.executable, "-c", says], log, ())
    assert (code, len(failed)) == (0, lines)
    with pytest.raises(OSError, match="No space"):
        log.close()


@pytest.mark.parametrize("quiet", [False, True])
def test_a_quiet_run_prints_nothing_and_loses_nothing(tmp_path, capfd, monkeypatch, quiet):
    monkeypatch.setattr(inputs, "PROGRESS_LINE_INTERVAL_S", 0.0)
    says = "import sys; print('S01 bow: ik done'); sys.stderr.write('1 of 3 steps\\n2 of 3 steps\\n')"
    with open(tmp_path / "run.log", "w") as log:
        assert launch._follow_output([sys.executable, "-c", says], log, (), quiet) == (0, [])
    written = (tmp_path / "run.log").read_text()
    shown = capfd.readouterr().out
    assert shown.startswith("steps: begun\n") is not quiet  # before Snakemake has loaded
    assert ("S01 bow: ik done" in shown) is not quiet
    assert ("steps: 2 of 3, about 0 s left" in shown) is not quiet  # a log has lines in place of the bar
    assert ("S01 bow: ik done" in written) is quiet
    assert "1 of 3 steps" in written


@pytest.mark.parametrize("quiet", [False, True])
def test_a_quiet_run_says_why_a_job_failed(tmp_path, capfd, quiet):
    """A run that is not quiet has printed it before."""
    says = "import sys; print('error: the pelvis is too small. Is it m?'); sys.stderr.write('Error in rule scale:\\n')"
    with open(tmp_path / "run.log", "w") as log:
        failed = launch._follow_output([sys.executable, "-c", says], log, (), quiet)[1]
    cause = ": the pelvis is too small. Is it m?" if quiet else ""
    assert launch._failure_error(failed, tmp_path / "run.log") == f"job scale failed{cause}"
    assert ("the pelvis" in capfd.readouterr().out) is not quiet


def test_a_run_that_leaves_something_stale_fails(copied, monkeypatch, capfd):
    """As where the configuration was changed while it was at work: Snakemake ends with 0 here, and nothing was done."""
    copied.change(ik={"weights": {"LKnee": 0.5}})
    monkeypatch.setattr(launch, "_follow_output", lambda *_: (0, []))
    with pytest.raises(
        InputError, match=r"not all of its results are up to date:\nS01 bow: stale ik \(settings changed"
    ):
        launch.run_workflow(copied.file, 1)
    with pytest.raises(InputError, match="stale ik"):
        launch.run_workflow(copied.file, 1, ["--until", "markers"])


@pytest.mark.parametrize("option", ["--config", "--configfile=other.yaml", "-C"])
def test_settings_come_from_the_configuration_file_alone(copied, option):
    with pytest.raises(InputError, match="the configuration file alone says what is run"):
        launch.run_workflow(copied.file, 1, [option, "name=x"])


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


def test_one_run_at_a_time(project, monkeypatch):
    monkeypatch.setattr(launch, "PATIENCE_S", 0.5)
    lock = project / "results/small/.lock"
    lock.parent.mkdir(parents=True)
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = simspine("run", "mine.yaml", folder=project)
    assert done.returncode == 2
    assert "another run is at work on results/small" in done.stderr


def test_a_signal_to_this_process_alone_ends_the_run(monkeypatch, tmp_path):
    """A terminal gives it to Snakemake as well; supervisors do not, and Snakemake would do all that is left."""
    monkeypatch.setattr(launch, "PATIENCE_S", 0.1)
    lines = ["import os, signal, time", "os.kill(os.getppid(), signal.SIGINT)", "time.sleep(60)"]
    before, start = signal.signal(signal.SIGINT, signal.default_int_handler), time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt), open(tmp_path / "log", "w") as log:
            launch._follow_output([sys.executable, "-c", "\n".join(lines)], log, ())
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - start < 30


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


@pytest.mark.slow
def test_a_run_that_cannot_start_says_why(project):
    done = simspine("run", "mine.yaml", "--", "--profile", "absent", folder=project)
    assert done.returncode == 2
    assert "the workflow failed" in done.stderr
    assert "absent" in done.stderr


SNAKEFILE = """
rule all:
    input:
        expand("out/{i}", i=range(4)),


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
    command = [sys.executable, "-m", "simspine.workflow.launch", "--cores", "1", "--verbose"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 4
    assert 4 <= done.stderr.count("Ready jobs: ") <= 6  # 11 by Snakemake's own command


@pytest.mark.parametrize(("words", "limit"), [([], None), (["--max-jobs-per-timespan", "50/1m"], (50, 60))])
def test_a_limit_that_is_given_is_kept(tmp_path, monkeypatch, words, limit):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr("snakemake.cli.args_to_api", lambda args, _: asked.append(args) or True)
    assert launch.run_snakemake(["--cores", "1", *words]) == 0
    kept = asked[0].max_jobs_per_timespan
    assert (None if kept is None else (kept.max_jobs, kept.timespan)) == limit


def test_a_fault_of_the_words_is_an_exit_code(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    assert launch.run_snakemake(["--cores", "1", "--max-jobs-per-timespan", "many"]) == 1
    assert "Given instead: many" in caplog.text
