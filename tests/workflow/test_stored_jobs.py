"""Runs whose files lie in object storage: a job sees the files that it names, and no others."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_project import Project, write_inputs
from snakemake.target_jobs import parse_target_jobs_cli_args

from simspine.cli.main import main
from simspine.core.errors import InputError
from simspine.workflow.bench_faults import result_checksums
from simspine.workflow.config import read_config
from simspine.workflow.jobs import all_jobs, list_stored_jobs, run_job

PLUGIN = Path(__file__).parent / "storage"


@pytest.fixture
def bucket(truth, tmp_path) -> Project:
    """Recordings of two trials, each with cameras of its own, and a configuration in which all paths are relative."""
    folder = tmp_path / "bucket"
    trials = {}
    for name in ("bow", "again"):
        (folder / name).mkdir(parents=True)
        trial = write_inputs(folder / name, truth)
        paths = {"keypoints": trial["keypoints"], "calibration": [trial["calibration"]]}
        inside = {key: [Path(path).relative_to(folder).as_posix() for path in found] for key, found in paths.items()}
        trials[name] = trial | inside | {"calibration": inside["calibration"][0]}
    project = Project(folder)
    project.write(
        {
            "name": "stored",
            "results": "./results/stored",
            "subjects": {"S01": {"trials": trials}, "S02": {"trials": {"bow": trials["bow"]}}},
            "detection": {"detector": "import", "skeleton": "spinetrack37"},
            "body": {"recipe": "coupled"},
            "scaling": {"anatomy": False},
        }
    )
    return project


@pytest.mark.slow
@pytest.mark.long
def test_jobs_find_all_that_they_need_among_their_files_and_make_no_others(bucket, tmp_path, monkeypatch):
    """Each in a new folder. Results are those of a run in one folder, where every job sees everything."""
    config = read_config(bucket.file)
    monkeypatch.chdir(bucket.folder)
    together = tmp_path / "together"
    shutil.copytree(bucket.folder, together)
    for number, job in enumerate(list_stored_jobs(config)):
        place = tmp_path / f"job{number}"
        for name in job.inputs:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (bucket.folder / name).is_dir() else shutil.copy)(bucket.folder / name, place / name)
        before = set(result_checksums(place)) if place.exists() else set()
        place.mkdir(exist_ok=True)
        words = ["job", *job.words, "--config", str(bucket.file), "--folder", str(place)]
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
        made = {name for name in result_checksums(place) if not name.endswith((".lock", "timings.json"))} - before
        assert made == set(job.outputs), job.name
        for name in job.outputs:
            (bucket.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(place / name, bucket.folder / name)
    monkeypatch.chdir(together)
    for job in all_jobs(config):
        run_job(config, *job)
    stored, plain = (result_checksums(folder / "results") for folder in (bucket.folder, together))
    plain = {name: data for name, data in plain.items() if not name.endswith((".lock", "timings.json"))}
    assert set(stored) == set(plain)
    assert [name for name in stored if stored[name] != plain[name]] == []


@pytest.mark.slow
@pytest.mark.long
def test_a_run_leaves_its_files_in_the_bucket(bucket, tmp_path):
    """By Snakemake, with a storage plugin that copies; the folder of the run has nothing but the configuration."""
    place = tmp_path / "run"
    place.mkdir()
    shutil.move(bucket.file, place / "config.yaml")
    path = os.pathsep.join([str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])])

    def run():
        return subprocess.run(
            [sys.executable, "-m", "simspine", "run", "config.yaml", "--cores", "2", "--storage",
             f"shelf:/{bucket.folder}"],
            cwd=place, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = run()
    assert done.returncode == 0, done.stdout + done.stderr + (place / "results/stored/logs/run.log").read_text()
    assert done.stdout.endswith(f"results: shelf:/{bucket.folder}/results/stored\n")
    results = bucket.folder / "results/stored"
    wanted = {name for job in list_stored_jobs(read_config(place / "config.yaml")) for name in job.outputs}
    assert all((bucket.folder / name).is_file() for name in wanted)
    assert not list((place / "results").rglob("*.h5"))
    (results / "S01/points/bow.h5").unlink()
    Project(place).change(ik={"acceleration_sd": 2.0})
    made = (results / "S02/points/bow.h5").stat().st_mtime_ns
    angles = (results / "S02/kinematics/bow.h5").read_bytes()
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (results / "S01/points/bow.h5").is_file()
    assert (results / "S02/kinematics/bow.h5").read_bytes() != angles
    assert (results / "S02/points/bow.h5").stat().st_mtime_ns == made, "depends on neither"
    assert "acceleration_sd: 2.0" in (results / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"results": "/data/results"}, "results is /data/results; a path below the bucket is wanted"),
        ({"results": "../results"}, r"\.\./results; a path below the bucket is wanted"),
        ({"body": {"recipe": "own.yaml"}}, r"body\.recipe is own\.yaml, which the plan reads too"),
        (
            {"subjects": {"S01": {"trials": {"bow": {"videos": ["../a.mp4", "b.mp4"], "calibration": "c.toml"}}}}},
            r"\.\./a\.mp4; a path below the bucket is wanted",
        ),
        (
            {"subjects": {"S01": {"trials": {"bow": {"videos": ["/no/a.mp4", "b.mp4"], "calibration": "c.toml"}}}}},
            r"video /no/a\.mp4 does not exist",
        ),
        ({"subjects": {"S01": {"trials": {"bow": {"folder": "project"}}}}}, "S01.trials.bow.folder is project"),
        (
            {"subjects": {"S01": {"trials": {"bow": {"folder": "pose2sim:Demo", "skin_markers": "c.yaml"}}}}},
            "S01.trials.bow.skin_markers is a file",
        ),
    ],
)  # fmt: skip
def test_what_a_bucket_cannot_have_is_said_before_the_run(bucket, monkeypatch, change, said):
    monkeypatch.chdir(bucket.folder)
    Path("own.yaml").write_text("{}")
    bucket.write(bucket.settings | {"detection": {"detector": "blazepose"}} | change)
    with pytest.raises(InputError, match=said):
        list_stored_jobs(bucket.config)


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("bucket", "--storage is 'bucket'; a bucket is wanted, such as s3://BUCKET"),
        ("s3://", "--storage is 's3://'; a bucket is wanted"),
        ("nowhere://bucket", "needs Snakemake's plugin: pip install snakemake-storage-plugin-nowhere"),
    ],
)
def test_a_storage_that_cannot_be_used_is_said(bucket, monkeypatch, storage, said):
    monkeypatch.chdir(bucket.folder)
    done = CliRunner().invoke(main, ["run", "config.yaml", "--storage", storage])
    assert done.exit_code == 2
    assert said in done.output
    assert not (bucket.folder / "results").exists()


def test_names_of_jobs_reach_snakemakes_own_jobs(bucket):
    """Executors name the rule of a job on the command line of another Snakemake, and take it apart at colons."""
    names = [job.name for job in list_stored_jobs(bucket.config)]
    assert len(names) == len(set(names)) == 3 * 3 + 2 * 2 + 2
    found = parse_target_jobs_cli_args([f"{name}:" for name in names])
    assert [spec.rulename for spec in found] == names
