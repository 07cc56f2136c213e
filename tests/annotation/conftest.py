"""A drawn recording with points a little off, and a server for it."""

import pytest
from drawn_recording import off_by, true_points, write_recording
from served_recording import Served

from simspine.annotation.recording import Target, open_target


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """(folder, true points): images and pseudo-labels 6 px off. Never to be changed."""
    folder = tmp_path_factory.mktemp("drawn") / "walk"
    return folder, write_recording(folder, off_by(true_points(), 6.0))


@pytest.fixture
def recording(drawn, tmp_path):
    """Its annotations go to a folder of the test's own."""
    return open_target(Target(str(drawn[0]), home=tmp_path / "annotations", skin=("C7",)))


@pytest.fixture
def served(recording):
    found = Served(recording)
    yield found
    found.stop()
