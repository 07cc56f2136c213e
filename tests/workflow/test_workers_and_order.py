"""However many workers a run has, and in whatever order jobs and trials come, every file has the same bytes."""

import random
import shutil

import h5py
import pytest
from tools.faults.runs import RUN_CONFIG_FILE, RunFolder, result_checksums, wait_for_run

from simspine.cli.main import main
from simspine.workflow import jobs
from simspine.workflow.config import read_config

ACTIONS = ["Walking 1", "Greeting 1"]
# Files that hold the configuration, which lists the trials in an order, and manifests of it or of such files; and the
# page, which shows the trials in that order.
WITH_CONFIGURATION = {
    "S1/manifests/capture.json", "faults.h5", "manifest.json", "manifests/dataset.json", "provenance.json",
}  # fmt: skip
COPY_OF_CONFIGURATION = "config.yaml"  # of a run by Snakemake alone
PAGE = {"manifests/page.json", "report.html"}


def do(config: str, wanted) -> None:
    """Do jobs of a configuration in the working folder, in this process."""
    for job, subject, trial in wanted:
        whose = ["--subject", subject] if subject else []
        which = ["--trial", trial] if trial else []
        main(["job", job, "--config", config, *whose, *which], standalone_mode=False)


@pytest.fixture(scope="module")
def in_order(tmp_path_factory):
    """A small virtual set whose jobs were done one after the other in this process, and the checksums of all files."""
    place = RunFolder(tmp_path_factory.mktemp("workers") / "set", 1, ACTIONS, frames=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place.folder)
        do(RUN_CONFIG_FILE, jobs.all_jobs(read_config(RUN_CONFIG_FILE)))
    place.reference = result_checksums(place.results)
    place.results.rename(place.kept)
    assert len(place.reference) > 70
    return place


def differing(found: dict[str, str], wanted: dict[str, str]) -> set[str]:
    """Names of files that only one of two results has, or that differ."""
    return {name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)}


def shuffled(config, chance: random.Random) -> list[tuple[str, str | None, str | None]]:
    """All jobs in a random order in which each comes after those that it rests on."""
    ranks = {name: rank for rank, name in enumerate((jobs.CAPTURE_JOB, *jobs.STAGES_OF_JOB, *jobs.JOBS_OF_ALL))}

    def rests_on(job, other) -> bool:
        apart = None not in (job[2], other[2]) and job[2] != other[2]
        return ranks[other[0]] < ranks[job[0]] and not apart

    waiting, found = list(jobs.all_jobs(config)), []
    while waiting:
        found.append(chance.choice([job for job in waiting if not any(rests_on(job, other) for other in waiting)]))
        waiting.remove(found[-1])
    return found


def arrays(path) -> dict[str, bytes]:
    """{name: bytes} of a data set's file, without what it tells of its making."""
    found: dict[str, bytes] = {}
    with h5py.File(path) as file:

        def keep(name, node):
            if isinstance(node, h5py.Dataset) and not name.startswith("metadata/"):
                found[name] = node[()].tobytes()

        file.visititems(keep)
    return found


@pytest.mark.slow
@pytest.mark.long
def test_many_workers(in_order):
    """Each job in a process of its own. Two workers are among the runs that are killed (tests/faults)."""
    shutil.rmtree(in_order.results, ignore_errors=True)
    assert wait_for_run(in_order.start(cores=8)) == (0, "")
    assert differing(result_checksums(in_order.results), in_order.reference) == {COPY_OF_CONFIGURATION}


@pytest.mark.slow
def test_any_order_of_trials_and_jobs(in_order, tmp_path, monkeypatch):
    """Trials listed from the last to the first, their jobs at random, all in one process: what it did of one trial
    leaves nothing behind that changes another."""
    place = RunFolder(tmp_path / "set", 1, ACTIONS[::-1], frames=20)
    monkeypatch.chdir(place.folder)
    wanted = shuffled(read_config(RUN_CONFIG_FILE), random.Random(5))
    do(RUN_CONFIG_FILE, [job for job in wanted if job[0] != "page"])
    assert differing(result_checksums(place.results), in_order.reference) == WITH_CONFIGURATION | PAGE
    data = arrays(place.results / "faults.h5")
    assert len(data) > 100
    assert data == arrays(in_order.kept / "faults.h5")


def test_the_order_is_one_in_which_jobs_can_be_done():
    class Small:
        subjects = ("S1",)
        virtual = object()

        def trials(self, subject):
            return ["a", "b"]

    orders = {tuple(shuffled(Small(), random.Random(seed))) for seed in range(20)}
    assert len(orders) > 5
    for order in orders:
        assert sorted(map(str, order)) == sorted(map(str, jobs.all_jobs(Small())))
        place = {job: i for i, job in enumerate(order)}
        for trial in "ab":
            assert place["detect", "S1", trial] < place["cameras", "S1", None] < place["markers", "S1", trial]
            assert place["markers", "S1", trial] < place["scale", "S1", None] < place["motion", "S1", trial]
            assert place["motion", "S1", trial] < place["dataset", None, None]
