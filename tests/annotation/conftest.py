"""A drawn recording with points a little off, a server for it, and a browser."""

import shutil
import threading

import pytest
from drawn_recording import off_by, true_points, write_recording

from simspine.annotation.recording import Target, open_target
from simspine.annotation.server import AnnotationServer
from simspine.annotation.session import Session

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# No graphics card, no first-run pages, nothing fetched in the background.
SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-default-apps", "--disable-extensions", "--mute-audio",
]  # fmt: skip


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """(folder, true points): images and pseudo-labels 6 px off. Never to be changed."""
    folder = tmp_path_factory.mktemp("drawn") / "walk"
    return folder, write_recording(folder, off_by(true_points(), 6.0))


@pytest.fixture
def recording(drawn, tmp_path):
    """Its annotations go to a folder of the test's own."""
    return open_target(Target(str(drawn[0]), home=tmp_path / "annotations", skin=("C7",)))


class Served:
    """A server in a thread."""

    def __init__(self, recording, annotator="anna", batch=4):
        self.session = Session(recording, annotator, batch)
        self.server = AnnotationServer(self.session)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def address(self):
        return self.server.address

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def served(recording):
    found = Served(recording)
    yield found
    found.stop()


@pytest.fixture(scope="session")
def chromium():
    """A Chromium that is installed; tests that need one are skipped where there is none."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser found (looked for {', '.join(BROWSERS)}); install chromium to run these tests")
    from playwright import sync_api

    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=SWITCHES)
        yield browser
        browser.close()
