"""Delays of a trial in the workflow: the results are those of the synchronised recording."""

import numpy as np
import pytest
from rigs import shift_views, walk
from small_project import write_inputs

from simspine.core.settings import read_yaml
from simspine.io.hdf5 import read_store
from simspine.vision.synchronise import Clocks
from simspine.workflow import camera_files
from simspine.workflow.config_recordings import Trial
from simspine.workflow.inputs import timing_in
from simspine.workflow.results import read_trial, stored_findings
from simspine.workflow.up_to_date import RunPaths


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
    paths = RunPaths(late.results, "S01")
    found, whole = (read_trial(RunPaths(project.results, "S01"), "bow") for project in (late, finished))
    points, all_points = read_points(late), read_points(finished)
    frames = all_points.frames - 3
    np.testing.assert_array_equal(found.keypoints.xy, whole.keypoints.xy[1 : 1 + frames])
    np.testing.assert_allclose(points.xyz, all_points.xyz[1 : 1 + frames], atol=1e-3)  # noise from fewer frames
    assert points.start == found.spine.start == 0.0
    assert [found.video_frames(view)[0] for view in range(4)] == [0, 1, 3, 1]
    (finding,) = [f for f in stored_findings(paths.cameras("bow")) if f.code == "camera_delays"]
    assert "given delays were corrected (frames later than cam01): cam02 +1.00, cam03 +3.00, cam0" in finding.message
    kept = timing_in(read_store(paths.cameras("bow")))
    assert kept.delays_frames.tolist() == [0, 1, 3, 1]
    np.testing.assert_array_equal(
        timing_in(read_store(paths.keypoints("bow"))).frame_positions(), kept.frame_positions()
    )


def test_time_counts_from_the_first_views_first_frame(late):
    late.trial(delays=[0, -4, 0, 0])
    late.run("detect", "triangulate")
    points = read_points(late)
    assert points.start == pytest.approx(4 / points.rate)


def read_points(project):
    return read_store(RunPaths(project.results, "S01").points("bow"))["points"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"delays": {"cam7": 1}}, "unknown view 'cam7' in delays"),
        ({"delays": [0, 1]}, "2 values for 4 views"),
        ({"delays": [0, 0, 0, 12]}, "share 4 frames, at least 10"),
        ({"delays": "find"}, "16 frames are too few to compare clocks"),
        ({"delays": "guess"}, "'guess' found; expected `find`"),
        ({"delays": [0, 0, 0, "late"]}, "'late' is no number of frames"),
        ({"delays": "find", "drift": [0, 0, 0, 1]}, "drift goes with `delays` that are given"),
    ],
)
def test_delays_that_cannot_be_used_are_refused(late, refused, changes, message):
    late.trial(**changes)
    assert message in refused(late, "detect", "--quiet")


@pytest.mark.parametrize(
    "names",
    [
        ("26585", "26586", "012", "1e5"),
        ("cam 2: a", "no", "yes", "~"),
        ("a{b", "kamera Ä", 'it\'s "it"', "x" * 200),
    ],
)
def test_what_is_printed_can_be_pasted(names, tmp_path):
    """Into a configuration, whatever the views are called, and with all its digits."""
    delays = dict(zip(names, (0.0, 345678.0, -987654.25, 8.2), strict=True))
    file = tmp_path / "pasted.yaml"
    file.write_text(camera_files.delays_as_yaml(delays) + "\n", encoding="utf-8")
    trial = Trial(videos=["a.mp4", "b.mp4"], calibration="c.toml", **read_yaml(file))
    assert trial.delays == delays


@pytest.mark.parametrize(
    ("order", "late", "is_warned"), [((1, 0, 2, 3), 0, True), ((0, 1, 2, 3), 0, False), ((0, 1, 2, 3), 7, False)]
)
def test_delays_that_come_from_wrong_cameras_are_doubted(capsys, order, late, is_warned):
    """With two cameras exchanged, a delay of 46 ± 0.2 frames was printed, and pasted."""
    keypoints, cameras, _ = walk("finetuned", 3)
    views = shift_views(keypoints, [0, late, 0, 0])
    views = views.with_(xy=views.xy[:, order], confidence=views.confidence[:, order])
    camera_files._warn_of_wrong_cameras(camera_files.RecordedKeypoints(cameras, views, ("S01/walk",)), 0.3)
    assert ("Then these delays are wrong" in capsys.readouterr().out) == is_warned


@pytest.mark.parametrize(
    ("late", "told", "pasted"),
    [
        (12.07, "+12.07 ± 0.84", "delays: {cam01: 0, cam02: 12.07, cam03: 0}"),
        (0.7, "not different from 0 (+0.70 ± 0.84)", "delays: {cam01: 0, cam02: 0, cam03: 0}"),
    ],
)
def test_a_delay_that_may_be_chance_is_no_result(copied, monkeypatch, capsys, late, told, pasted):
    views = ("cam01", "cam02", "cam03")
    none, some = np.zeros(3), np.array([0.0, 0.3, 0.3])
    clocks = Clocks(views, np.array([0.0, late, -0.2]), np.array([0.0, 0.43, 0.4]), none, some)
    monkeypatch.setattr(camera_files, "find_delays", lambda *_: clocks)
    camera_files.print_delays(copied.config, None, None, None)
    said = capsys.readouterr().out
    assert told in said
    assert "not different from 0 (-0.20 ± 0.78)" in said
    assert pasted in said
    assert ("No view is late by more than chance." in said) == (late < 1)
