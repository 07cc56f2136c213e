"""Pages of many trials: one for each, drawn where its results changed."""

import json
import re
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from command_line import call, succeeded

from simspine.core.errors import InputError
from simspine.io.hdf5 import read_store, write_store
from simspine.report.tables import stated_mean
from simspine.report.trial_sections import page_findings
from simspine.workflow.jobs import steps_of_trial
from simspine.workflow.reporting import _stored_part, write_report_of
from simspine.workflow.results import read_trial
from simspine.workflow.up_to_date import RunPaths, reason_not_done

pytestmark = pytest.mark.slow

NAMES = ("bow", "b2")


@pytest.fixture
def two(copied, monkeypatch):
    """The finished project with its trial twice, each with a lordosis and, as in larger projects, a page of its own."""
    monkeypatch.setattr("simspine.workflow.inputs.MAX_TRIALS_ON_ONE_PAGE", 1)
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
    (copied.results / "manifest.json").unlink()  # of the data set before
    return copied


def pages(project) -> dict[str, bytes]:
    return {name: data for name, data in project.contents().items() if name.endswith(".html")}


def test_each_trial_has_a_page_that_is_drawn_once(two):
    """The report names what it draws; a page that is up to date is kept."""
    said = succeeded(call("report", "--config", two.file))
    assert "page S01: bow, b2 done" in said
    alone = pages(two)
    assert sorted(alone) == sorted(["report.html", *(f"report/S01_{name}.html" for name in NAMES)])
    assert len(set(alone.values())) == 3
    assert b"report/S01_b2.html" in alone["report.html"]
    paths = RunPaths(two.results, "S01")
    stored = read_store(paths.vertebrae("b2"))
    write_store(paths.vertebrae("b2"), **stored | {"lla": stored["lla"] + np.radians(5)})
    again = call("report", "--config", two.file)
    assert "page S01: b2 done; bow up to date" in again.output
    changed = {name for name, data in pages(two).items() if data != alone[name]}
    assert changed == {"report.html", "report/S01_b2.html"}


def test_the_table_of_trials_goes_by_name_and_not_by_order(two):
    """With trials in another order than in the run, each had the figures and the link of another one."""
    succeeded(call("report", "--config", two.file))
    rows = [re.findall(rf"{name}</a>.*?</tr>", pages(two)["report.html"].decode(), re.DOTALL)[0] for name in NAMES]
    summary = json.loads((two.results / "summary.json").read_text())
    summary["trials"] = dict(reversed(summary["trials"].items()))
    (two.results / "summary.json").write_text(json.dumps(summary))
    succeeded(call("report", "--config", two.file))
    again = [re.findall(rf"{name}</a>.*?</tr>", pages(two)["report.html"].decode(), re.DOTALL)[0] for name in NAMES]
    assert rows[0] != rows[1]
    assert again == rows


def test_a_summary_of_other_trials_is_one_error(two):
    settings = two.settings
    settings["subjects"]["S01"]["trials"].pop("b2")
    two.write(settings)
    done = call("report", "--config", two.file)
    assert (done.exit_code, "summary.json is of other trials than the configuration" in done.output) == (2, True)


def test_a_job_of_a_trial_draws_its_page_last(two):
    steps = steps_of_trial(two.config, "S01", ["motion"], "b2")
    assert [step.stage for step in steps] == ["ik", "vertebrae", "quality", "export", "page"]
    (page,) = (step for step in steps if step.stage == "page")
    assert page.task.outputs == (two.results / "report/S01_b2.html", two.results / "S01/page/b2.json")
    assert reason_not_done(page.manifest, page.task, page.stage) == "not made yet"


def test_a_trial_that_cannot_be_drawn_is_one_error(two):
    """What was there stays; of the trials before it the page is whole."""
    (two.results / "report.html").write_text("old")
    (two.results / "S01/quality/b2.json").write_text("{")
    before = two.contents()
    done = call("report", "--config", two.file)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert "b2.json: not JSON" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    after = two.contents()
    new = set(after) - set(before)
    assert {name for name in new if name.endswith(".html")} <= {"report/S01_bow.html"}
    assert {name: after[name] for name in before} == before
    assert all(after[name].rstrip().endswith(b"</html>") for name in new if name.endswith(".html"))


def test_the_table_of_trials_shows_what_was_stored_with_their_pages(two):
    """The table's texts follow from stored findings and figures as from the trial itself."""
    succeeded(call("report", "--config", two.file))
    solved = read_trial(RunPaths(two.results, "S01"), "b2")
    stored = _stored_part(two.config, "S01", "b2")
    figures = (*solved.curvature_figures, *solved.clinical_figures)
    assert [stated_mean(one, still=True) for one in stored.figures] == [stated_mean(one, still=True) for one in figures]
    assert json.dumps([asdict(one) for one in stored.figures]) == json.dumps([asdict(one) for one in figures])
    assert stored.section.findings == tuple(page_findings(solved.findings))


def test_a_stored_figure_that_was_changed_is_refused(two):
    succeeded(call("report", "--config", two.file))
    path = RunPaths(two.results, "S01").page_facts("b2")
    path.write_text(path.read_text().replace('"mean":', '"mean": 1, "was":', 1))
    with pytest.raises(InputError, match=r"b2\.json is not as it was made"):
        write_report_of(two.config)
