"""Pages of many trials, drawn by one process or by several."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from simspine.cli.main import main
from simspine.io.hdf5 import read_store, write_store
from simspine.workflow.jobs import run_job, steps_of_trial
from simspine.workflow.up_to_date import RunPaths, reason_not_done

pytestmark = pytest.mark.slow

NAMES = ("bow", "b2", "b3", "b4")


@pytest.fixture
def four(copied):
    """The finished project with its trial four times, each with a lordosis of its own."""
    settings = copied.settings
    trials = settings["subjects"]["S01"]["trials"]
    paths, summary = RunPaths(copied.results, "S01"), json.loads((copied.results / "summary.json").read_text())
    for k, name in enumerate(NAMES[1:], 1):
        trials[name] = dict(trials["bow"])
        for file in [file for file in copied.results.rglob("*bow*") if file.is_file()]:
            own = copied.results / str(file.relative_to(copied.results)).replace("bow", name)
            own.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, own)
        stored = read_store(paths.vertebrae(name))
        write_store(paths.vertebrae(name), **stored | {"lla": stored["lla"] + np.radians(5 * k)})
        summary["trials"][f"S01/{name}"] = summary["trials"]["S01/bow"]
    copied.write(settings)
    (copied.results / "summary.json").write_text(json.dumps(summary))
    return copied


def pages(project) -> dict[str, bytes]:
    return {name: data for name, data in project.contents().items() if name.endswith(".html")}


@pytest.mark.long
def test_two_processes_draw_the_same_bytes_as_one(four):
    run_job(four.config, "page", None, None)
    alone = pages(four)
    assert sorted(alone) == sorted(["report.html", *(f"report/S01_{name}.html" for name in NAMES)])
    assert len(set(alone.values())) == 5
    own = "manifests/page.json"
    before = four.contents()[own]
    for name in (*alone, own):
        (four.results / name).unlink()
    done = CliRunner().invoke(main, ["job", "page", "--config", str(four.file), "--cores", "2"])
    assert done.exit_code == 0, done.output
    assert pages(four) == alone
    one, two = json.loads(before), json.loads(four.contents()[own])
    assert two | {"seconds": 0} == one | {"seconds": 0}, "how many processes drew a page is no setting of it"
    (page,) = steps_of_trial(four.config, None, ["page"])
    assert reason_not_done(page.manifest, page.task, page.stage) is None


@pytest.mark.parametrize("cores", ["1", "2"])
def test_a_trial_that_cannot_be_drawn_is_one_error(four, cores):
    """What was there stays; of the trials before it the page is whole."""
    (four.results / "report.html").write_text("old")
    (four.results / "S01/quality/b2.json").write_text("{")
    before = four.contents()
    done = CliRunner().invoke(main, ["report", "--config", str(four.file), "--cores", cores])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert "b2.json is damaged: not JSON" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    after = four.contents()
    assert set(after) - set(before) <= {"report/S01_bow.html", "report/S01_b3.html"}
    assert {name: after[name] for name in before} == before
    assert all(data.rstrip().endswith(b"</html>") for name, data in after.items() if name.startswith("report/"))
