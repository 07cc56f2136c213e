"""Delays of a trial in the workflow: the results are those of the synchronised recording."""

import numpy as np
import pytest
from click.testing import CliRunner
from small_project import write_inputs

from simspine.cli import main
from simspine.config import Trial
from simspine.formats.store import load
from simspine.workflow.manifest import read_manifest
from simspine.workflow.paths import Paths
from simspine.workflow.rigs import delays_of_events
from simspine.workflow.trials import camera_findings, read_trial


@pytest.fixture
def late(copied, truth):
    """The project with a third view that shows everything two frames later, and a first one that begins later."""
    points = truth.keypoints
    xy, confidence = points.xy.copy(), points.confidence.copy()
    for view, by in ((0, -1), (2, 2)):
        xy[:, view], confidence[:, view] = np.roll(xy[:, view], by, 0), np.roll(confidence[:, view], by, 0)
    moved = type(truth)(
        truth.body, truth.motion, truth.markers, truth.cameras, points.with_(xy=xy, confidence=confidence)
    )
    settings = copied.settings
    trial = write_inputs(copied.folder, moved) | {"delays": {"cam02": 1, "cam03": 3, "cam04": 1}}
    settings["subjects"]["S01"]["trials"]["bow"] = trial
    copied.write(settings)
    return copied


def test_the_results_are_those_of_the_synchronised_recording(late, finished):
    late.run("detect", "triangulate", "merge", "scale", "ik", "vertebrae", "quality")
    paths = Paths(late.results, "S01")
    found, whole = (read_trial(Paths(project.results, "S01"), "bow") for project in (late, finished))
    frames = whole.points.frames - 3
    np.testing.assert_array_equal(found.keypoints.xy, whole.keypoints.xy[1 : 1 + frames])
    np.testing.assert_allclose(found.points.xyz, whole.points.xyz[1 : 1 + frames], atol=1e-3)  # noise from fewer frames
    assert found.points.start == found.spine.start == 0.0
    assert [found.video_frames(view)[0] for view in range(4)] == [0, 1, 3, 1]
    (finding,) = [f for f in camera_findings(paths.cameras("bow")) if f.code == "camera_delays"]
    assert "given are undone: cam02 +1.00, cam03 +3.00, cam04 +1.00 frames late beside cam01" in finding.message
    kept = load(paths.cameras("bow"))["timing"]
    assert kept["late_frames"] == [0, 1, 3, 1]
    assert read_manifest(paths.folder / "manifests/detect.json")["bow"]["notes"]["timing"] == kept


def test_time_counts_from_the_first_views_first_frame(late):
    late.trial(delays=[0, -4, 0, 0])
    late.run("detect", "triangulate")
    points = read_points(late)
    assert points.start == pytest.approx(4 / points.rate)


def read_points(project):
    return load(Paths(project.results, "S01").points("bow"))["points"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"delays": {"cam7": 1}}, "unknown view 'cam7' in delays"),
        ({"delays": [0, 1]}, "2 values for 4 views"),
        ({"delays": [0, 0, 0, 12]}, "share 4 frames, at least 10"),
        ({"delays": "find"}, "16 frames are too few to compare clocks"),
        ({"delays": "guess"}, "'guess' is no delays; write find"),
        ({"delays": [0, 0, 0, "late"]}, "'late' is no number of frames"),
        ({"delays": "find", "drift": [0, 0, 0, 1]}, "drift goes with `delays` that are given"),
    ],
)
def test_delays_that_cannot_be_used_are_refused(late, refused, changes, message):
    late.trial(**changes)
    assert message in refused(late, "detect", "--quiet")


def test_markers_on_the_skin_want_synchronised_videos():
    with pytest.raises(ValueError, match="skin_markers are followed in synchronised videos"):
        Trial(videos=["a.mp4", "b.mp4"], calibration="c.toml", delays="find", skin_markers="clicks.yaml")


def test_delays_of_an_event_seen_in_each_view():
    assert delays_of_events(["cam01=132", "cam02=140", "cam03=120.5"]) == {"cam01": 0, "cam02": 8, "cam03": -11.5}
    done = CliRunner().invoke(main, ["cameras", "sync", "--event", "cam01=132", "--event", "cam02=140"])
    assert done.output.strip() == "delays: {cam01: 0, cam02: 8}"
    for events, message in (
        (["cam01=1"], "names one view"),
        (["cam01=1", "cam01=2"], "names cam01 twice"),
        (["cam01", "cam02=2"], "is not VIEW=FRAME"),
    ):
        arguments = [part for event in events for part in ("--event", event)]
        done = CliRunner().invoke(main, ["cameras", "sync", *arguments])
        assert done.exit_code == 2
        assert message in done.stderr
