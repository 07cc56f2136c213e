"""What the jobs of a run took, out of files of Snakemake's whose sums are known."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from simspine.benchmark.finished_run import _file, last_look, read_run, table
from simspine.cli import main
from simspine.config import read_config
from simspine.errors import InputError
from simspine.workflow.jobs import JOBS, all_jobs

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time"
FRAMES = {"S1/Walking_1": 1000, "S1/Sitting_1": 2000, "S5/Walking_1": 3000, "S5/Sitting_1": 4000}
# Of each job: s on the clock, s of the processor until the last look, MiB. Until the end, by hand: all were busy on the
# clock's half (0.5): 5 for 10 s on the clock, 50 for 100 s.
SHORT, LONG = (10.0, 0.5 * 9.75), (100.0, 0.5 * 75.5)
TOOK = {
    "capture": (*LONG, 300), "detect": (*SHORT, 250), "cameras": (*SHORT, 200), "markers": (*SHORT, 220),
    "scale": (*LONG, 500), "motion": (*LONG, 800), "dataset": (*SHORT, 900), "page": (*LONG, 1700),
}  # fmt: skip
BEGINS = dict(zip(TOOK, (0, 200, 400, 500, 600, 800, 1000, 1100), strict=True))  # s


def write(path, seconds, cpu, memory):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}\n{seconds}\t0:00:10\t{memory}\t1\t1\t1\t1\t1\t50.00\t{cpu}\n")


@pytest.fixture
def run(tmp_path):
    """A finished run of two subjects with two trials each; of its results only the files that are read."""
    results = tmp_path / "results"
    (tmp_path / "set.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "small",
                "results": str(results),
                "virtual": {"subjects": 2, "actions": ["Walking 1", "Sitting 1"], "frames": 40},
                "capture": {"human36m": str(results / "capture"), "detections": str(results / "capture/detections")},
                "detection": {"detector": "import"},
            }
        )
    )
    config = read_config(tmp_path / "set.yaml")
    for job, subject, trial in all_jobs(config):
        path = _file(config, job, subject, trial)
        write(path, *TOOK[job])
        end = 1.7e9 + BEGINS[job] + TOOK[job][0]
        os.utime(path, (end, end))
    (results / "summary.json").write_text(json.dumps({"trials": {name: {"frames": n} for name, n in FRAMES.items()}}))
    return config


def rows(text: str) -> dict[str, list[str]]:
    """{first cell: the others} of the table."""
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    return {first: others for first, *others in cells}


def test_the_last_look_is_where_snakemake_has_it():
    """Its timer by hand: a look at once, the next half a second after it, from the 31st on 30 s; a look takes 17 ms."""
    looks = [0.0]
    while looks[-1] < 400:
        looks.append(looks[-1] + 1 / 60 + (0.5 if len(looks) <= 30 else 30.0))
    times = np.array(looks)
    for around in (4.0, 10.0, 14.0):  # a job that ends at any moment between two looks
        ends = around + np.linspace(0, 31 / 60, 200)
        true = [times[times <= end].max() for end in ends]
        assert np.mean([last_look(end) for end in ends]) == pytest.approx(np.mean(true), abs=0.02)
    for end in (16.5, 30.0, 44.0, 47.0, 100.0, 300.0):
        assert last_look(end) == pytest.approx(times[times <= end].max(), abs=0.2)
    assert 0 < last_look(0.1) <= 0.1


def test_files_are_where_the_snakefile_has_them(run):
    """The rules' own words, with the names of subject and trial put in."""
    text = (Path(__file__).parents[2] / "Snakefile").read_text()
    times = re.search(r'^TIMES = f"\{RESULTS\}/(.+)"', text, re.MULTILINE)[1].replace("{{", "{").replace("}}", "}")
    stated = dict(re.findall(r'^rule (\w+):(?:(?!^rule ).)*?benchmark:\s+f"([^"]+)"', text, re.MULTILINE | re.DOTALL))
    assert set(stated) == set(TOOK)
    for job, subject, trial in all_jobs(run):
        place = stated[job].replace("{{", "{").replace("}}", "}").replace("{TIMES}", f"{{RESULTS}}/{times}")
        assert place.format(RESULTS=run.results, subject=subject, trial=trial) == str(_file(run, job, subject, trial))


def test_the_sums_are_those_of_the_files(run):
    found = read_run(run)
    text = table(found)
    shown = rows(text)
    #                       jobs  seen     CPU s    ms      longest  MiB
    assert shown["capture"] == ["2", "75.5", "100.0", "10", "100.0", "300"]
    assert shown["detect"] == ["4", "19.5", "20.0", "2", "10.0", "250"]
    assert shown["cameras"] == ["2", "9.8", "10.0", "1", "10.0", "200"]
    assert shown["motion"] == ["4", "151.0", "200.0", "20", "100.0", "800"]
    assert shown["dataset"] == ["1", "4.9", "5.0", "0.5", "10.0", "900"]
    assert shown["page"] == ["1", "37.8", "50.0", "5", "100.0", "1,700"]
    assert shown["all but capture"] == ["18", "317.9", "405.0", "40.5", "100.0", "1,700"]
    assert shown["all"] == ["20", "393.4", "505.0", "50.5", "100.0", "1,700"]
    assert f"{505 / 3600:.2f} core-hours; 10,000 frames in 4 trials." in text
    assert found.wall == pytest.approx(1200)
    assert "0.33 h on the clock" in text
    assert "Not finished" not in text


def test_a_job_of_a_trial_has_its_own_frames(run):
    """Where only one trial is through, its frames count; those of the whole set only where all do."""
    for job, subject, trial in all_jobs(run):
        if trial != "Sitting_1" or subject != "S5":
            _file(run, job, subject, trial).unlink()
    found = read_run(run)
    assert {job: (cost.jobs, cost.frames) for job, cost in found.costs.items()} == {
        "detect": (1, 4000), "markers": (1, 4000), "motion": (1, 4000),
    }  # fmt: skip
    assert found.ms() == pytest.approx(1e3 * (5 + 5 + 50) / 4000)
    assert len(found.missing) == 17
    said = table(found).splitlines()[-1]
    assert said.startswith("Not finished, or their files are gone: 17 jobs (")
    assert "benchmarks/S1/capture.tsv, " in said
    assert "all but capture" not in table(found)


def test_frames_are_those_that_detect_noted_where_there_is_no_summary_yet(run):
    results = Path(run.results)
    (results / "summary.json").unlink()
    for name, frames in list(FRAMES.items())[:3]:
        subject, trial = name.split("/")
        path = results / subject / "manifests/detect" / f"{trial}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"fingerprint": {}, "outputs": {}, "seconds": 1, "notes": {"frames": frames}}))
    _file(run, "motion", "S5", "Sitting_1").unlink()
    found = read_run(run)
    assert found.frames is None
    assert found.costs["motion"].frames == 6000
    assert found.costs["detect"].frames is None
    assert rows(table(found))["detect"][3] == rows(table(found))["all"][3] == "–"
    assert "an unknown number of frames in 4 trials" in table(found)


def test_times_of_copied_files_tell_nothing(run):
    for path in Path(run.results).rglob("*.tsv"):
        os.utime(path, (1.7e9, 1.7e9))
    found = read_run(run)
    assert found.wall is None
    assert "cannot be told" in table(found)


def test_jobs_that_snakemake_did_not_see_are_counted(run):
    write(_file(run, "detect", "S1", "Walking_1"), 0.3, "NA", "NA")
    found = read_run(run)
    assert found.costs["detect"].cpu == pytest.approx(15)
    assert "1 jobs ended before Snakemake looked" in table(found)
    write(_file(run, "dataset", None, None), 0.3, "NA", "NA")
    assert rows(table(read_run(run)))["dataset"][-1] == "–"


def test_nothing_finished_yet_is_said(run):
    for path in Path(run.results).rglob("*.tsv"):
        path.unlink()
    with pytest.raises(InputError, match=r"no job of small has ended yet: .*S1/capture\.tsv for one"):
        read_run(run)


@pytest.mark.parametrize(
    "text", ["", HEAD, "s\tcpu_time\n1\t2\n", f"{HEAD}\n1\t2\n", f"{HEAD}\n" + "\t".join(["x"] * 10), f"{HEAD}\nNA"]
)
def test_a_damaged_file_is_named(run, text):
    _file(run, "motion", "S5", "Walking_1").write_text(text)
    with pytest.raises(InputError, match=r"S5/Walking_1_motion\.tsv is not what Snakemake measures"):
        read_run(run)


def test_the_command_writes_what_it_prints(run, tmp_path):
    out = tmp_path / "out.json"
    done = CliRunner().invoke(main, ["bench", "workflow", "--of", str(tmp_path / "set.yaml"), "--json", str(out)])
    assert done.exit_code == 0, done.output
    assert rows(done.output) == rows(table(read_run(run)))
    written = json.loads(out.read_text())
    assert written["settings"] == {"of": "small"}
    assert written["frames"] == 10_000
    assert written["jobs"]["scale"] == {
        "jobs": 2, "frames": 10_000, "seen": 75.5, "cpu": 100.0, "longest": 100.0, "memory": 500, "unseen": 0,
        "ms_per_frame": 10.0,
    }  # fmt: skip
    assert written["metrics"]["core_hours"]["value"] == pytest.approx(505 / 3600)
    assert written["metrics"]["all_but_capture_ms_per_frame"]["met"] is False
    assert written["metrics"]["motion_memory"]["met"] is True
    assert written["metrics"]["page_memory"]["goal"] is None, "of several processes together"
    assert {f"{job}_memory" for job in JOBS} < set(written["metrics"])


@pytest.mark.parametrize("option", [["--quick"], ["--frames", "2000,5000,20000"], ["--detections", "exact"]])
def test_options_of_trials_that_are_made_do_not_go_with_a_run(run, tmp_path, option):
    done = CliRunner().invoke(main, ["bench", "workflow", "--of", str(tmp_path / "set.yaml"), *option])
    assert done.exit_code == 2
    assert f"--of reads what a run took; {option[0]} is for" in done.output
