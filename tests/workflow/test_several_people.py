"""A recording that several subjects share: detected once, each reconstructed, and faults that stop it."""

import numpy as np
import pytest
from small_project import STAGES, Project
from two_people import APART, write_both

from simspine.core.geometry import change_frame
from simspine.io.hdf5 import read_store
from simspine.workflow.jobs import mark_of, marks_before_detect
from simspine.workflow.up_to_date import RunPaths, read_json

pytestmark = pytest.mark.usefixtures("two_rounds")


def shared(folder, truth, people=2) -> Project:
    project = Project(folder)
    project.write(
        {
            "name": "both",
            "results": str(project.results),
            "subjects": {"duo": {"people": people, "trials": {"bow": write_both(folder, truth)}}},
            "detection": {"detector": "import", "skeleton": "spinetrack37", "person": "all"},
            "body": {"recipe": "coupled"},
            "ik": {"engine": "frames"},
        }
    )
    return project


@pytest.fixture
def duo(truth, tmp_path):
    return shared(tmp_path, truth)


def test_everybody_becomes_a_subject_where_they_are(truth, duo):
    """Oracle: the body's points, and the same moved aside. Who is seen less is the second."""
    duo.run(*STAGES)
    for who in range(2):
        paths = RunPaths(duo.results, f"duo_{who + 1}")
        located = read_store(paths.points("bow"), ["points"])["points"]
        points = [name for name in located.names if name in truth.markers.names]
        wanted = change_frame(truth.markers.select(points).xyz, "y_up", "z_up") + who * APART
        assert np.nanmax(np.abs(located.select(points).xyz - wanted)) < 0.02
    summary = read_json(duo.results / "summary.json")
    assert set(summary["trials"]) == {"duo_1/bow", "duo_2/bow"}
    assert summary["frames"] == 2 * truth.markers.frames


def test_detection_is_done_once(duo, capsys):
    duo.run("detect")
    first, second = (RunPaths(duo.results, f"duo_{rank}") for rank in (1, 2))
    stored = read_store(first.people("bow"))["people"]
    assert len(stored) == 2
    for paths, own in zip((first, second), stored, strict=True):
        np.testing.assert_array_equal(read_store(paths.keypoints("bow"))["keypoints"].xy, own.xy)
    assert not second.people("bow").exists()
    before = duo.contents()
    duo.run("detect")
    assert "duo_2: bow up to date" in capsys.readouterr().out
    assert duo.contents().keys() == before.keys()
    # a workflow manager waits for the first before it calls the second
    assert marks_before_detect(duo.config, "duo_2", "bow") == [str(mark_of(duo.config, "detect", "duo_1", "bow"))]
    assert marks_before_detect(duo.config, "duo_1", "bow") == []


def test_the_second_alone_says_what_is_missing(duo, refused):
    assert "Run `simspine detect`" in refused(duo, "detect", "--subject", "duo_2", "--quiet")


def test_more_people_than_there_are(truth, tmp_path, refused):
    project = shared(tmp_path, truth, people=3)
    message = refused(project, "detect", "--quiet")
    assert "2 people are seen" in message
    assert "Set subjects.duo.people to 2" in message
