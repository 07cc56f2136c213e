"""Fixtures that several folders share: a synthetic project with known truth, and the command line on it."""

import gc
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml
from command_line import call
from hypothesis import settings
from small_project import SIZE, STAGES, Project, Truth, dance, dancing, of_size, ring, seen_by, write_inputs
from small_videos import HEIGHT, WIDTH, write_video

from simspine.core.settings import models_folder
from simspine.io.calibration import write_calibration

FORKING = ("test_faults.py", "test_launch.py", "test_snakefile.py")
LONGEST = (  # from 30 to 95 s of processor time
    "test_fit_person.py", "test_reproducibility.py", "test_reference.py", "test_boards.py", "test_sessions.py",
    "test_annotation_page.py", "test_notebooks.py", "test_readme.py",
)  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# No graphics card, no first-run pages, nothing fetched in the background.
SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-default-apps", "--disable-extensions", "--mute-audio",
]  # fmt: skip

settings.register_profile("unhurried", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("unhurried")


def pytest_collection_modifyitems(items):
    """Files that fork this process come first, since a fork takes ten times as long once hundreds of tests have run.

    Then the longest, and those with most slow tests, so that no worker is left with a long file at the end.
    """
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    first = (*FORKING, *LONGEST)
    order = {name: place for place, name in enumerate(first)}
    items.sort(key=lambda item: (order.get(item.path.name, len(first)), -slow[item.path]))


def pytest_collection_finish():
    """Modules and tests that are loaded live on: neither the collector nor forks of this process go through them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)  # as in simspine's own commands


@pytest.fixture(scope="session", autouse=True)
def flush_to_disk():
    """What flushes a file. Tests do without: their files need not outlast a loss of power, and the disk is slow."""
    with pytest.MonkeyPatch.context() as patch:
        flush = os.fsync
        patch.setattr("os.fsync", lambda file: None)
        yield flush


@pytest.fixture(scope="session")
def browser():
    """A Chromium that is installed; tests that need one are skipped where there is none."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser found (looked for {', '.join(BROWSERS)}); install chromium to run these tests")
    from playwright import sync_api

    with sync_api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=SWITCHES)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def truth() -> Truth:
    body, cameras = of_size(SIZE), ring()
    motion, markers = dance(body), dancing(body)
    return Truth(body, motion, markers, cameras, seen_by(cameras, markers, seed=1))


@pytest.fixture(scope="session")
def finished(truth, tmp_path_factory) -> Project:
    """A project run through all stages, to look at; never to be changed."""
    project = Project(tmp_path_factory.mktemp("finished"))
    # The recipe lies elsewhere, so that a copy of the project names it too.
    recipe_file = tmp_path_factory.mktemp("recipe") / "free.yaml"
    # Without the task that draws the lumbar flexion to zero, which would hide what the markers say.
    recipe = yaml.safe_load((models_folder() / "coupled.yaml").read_text())
    recipe_file.write_text(yaml.safe_dump(recipe | {"coordinate_tasks": {}}))
    project.write(
        {
            "name": "synthetic",
            "results": str(project.results),
            "subjects": {"S01": {"trials": {"bow": write_inputs(project.folder, truth)}}},
            "detection": {"detector": "import", "skeleton": "spinetrack37"},
            "body": {"recipe": str(recipe_file)},
            "ik": {"marker_sd_m": 0.003, "error_correlation_s": 0},  # the noise there is, half a pixel and independent
        }
    )
    project.run(*STAGES)
    return project


@pytest.fixture(scope="module")
def two_rounds():
    """Two rounds of fit and noise of a person, not five, where neither is what a test judges.

    All five are judged by tests/reconstruction/test_fit_person.py and by the reference results.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simspine.estimation.fit_person.NOISE_ROUNDS", 2)
        yield


@pytest.fixture
def copied(finished, tmp_path) -> Project:
    """A copy of the finished project that a test may spoil."""
    folder = tmp_path / "project"
    shutil.copytree(finished.folder, folder)
    copy = Project(folder)
    copy.file.write_text(finished.file.read_text().replace(str(finished.folder), str(folder)))
    return copy


@pytest.fixture
def filmed(copied, truth):
    """The project with four small videos in the place of keypoints; old results of all stages are there."""

    def small(camera):
        scale = WIDTH / camera.size[0]
        return camera.with_(size=(WIDTH, HEIGHT), K=camera.K * [[scale], [scale], [1]])

    write_calibration(copied.folder / "cameras.toml", [small(camera) for camera in truth.cameras])
    videos = [str(write_video(copied.folder / f"{camera.name}.mp4")) for camera in truth.cameras]
    settings = copied.settings
    settings["subjects"]["S01"]["trials"]["bow"] = {
        "videos": videos,
        "calibration": str(copied.folder / "cameras.toml"),
    }
    settings["detection"] = {"detector": "blazepose"}
    copied.write(settings)
    return copied


@pytest.fixture
def refused():
    """Run a command that must fail as bad input should; returns its message.

    Exit code 2, one message and no traceback, and the results folder exactly as it was.
    """

    def check(project: Project, *command: str, config: Path | None = None) -> str:
        before = project.contents()
        done = call(*command, "--config", config or project.file)
        assert isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code == 2, done.output
        assert len(re.findall("^error: ", done.stderr, re.MULTILINE)) == 1
        assert "Traceback" not in done.output
        assert project.contents() == before
        return done.stderr

    return check
