"""Everybody in a recording, in memory: known people in the place of a detector, and the packaged videos of two."""

import numpy as np
import pytest
from two_people import APART, keypoints_of_both

import simspine as ss
from simspine.core.geometry import change_frame
from simspine.io.calibration import read_calibration
from simspine.io.video import demo_folder, find_project, match_cameras_to_views, open_videos
from simspine.reconstruction import detection
from simspine.vision.detector import Detections
from simspine.vision.options import DetectionOptions
from simspine.vision.points import detect_in_videos, follow_people, follow_person

OPTIONS = ss.Options(
    detection={"detector": "spinepose", "person": "all"}, body={"recipe": "coupled"}, ik={"engine": "frames"}
)


@pytest.fixture
def seen(truth) -> Detections:
    both = [np.concatenate([k.xy, k.confidence[..., None]], -1) for k in keypoints_of_both(truth)]
    names, rate = keypoints_of_both(truth)[0].names, truth.keypoints.rate
    return Detections(names, rate, np.stack(both[::-1], 2), skeleton="spinetrack37")


def test_each_person_is_where_they_are(truth, seen, filmed, monkeypatch):
    monkeypatch.setattr(detection, "detect_in_videos", lambda *_, **__: seen)
    monkeypatch.setattr(detection, "match_cameras_to_views", lambda *_: truth.cameras)
    found = ss.reconstruct_people(filmed.folder, truth.cameras, options=OPTIONS)
    assert [person.subject for person in found] == ["person_1", "person_2"]
    for who, person in enumerate(found):
        points = [name for name in person.points.names if name in truth.markers.names]
        wanted = change_frame(truth.markers.select(points).xyz, "y_up", "z_up") + who * APART
        assert np.nanmax(np.abs(person.points.select(points).xyz - wanted)) < 0.02
        assert {finding.subject for finding in person.findings} <= {person.subject}


def test_one_person_cannot_be_all(truth, seen, filmed):
    with pytest.raises(ss.InputError, match="reconstruct_people, or"):
        follow_person(seen, truth.cameras, "spinetrack37", OPTIONS.detection)
    with pytest.raises(ss.InputError, match="reconstruct_people, or"):  # before a video is looked at
        ss.reconstruct(filmed.folder, truth.cameras, options=OPTIONS)


def test_nobody_for_long_enough(truth, seen, filmed, monkeypatch):
    people = np.full_like(seen.people, np.nan)
    people[:2] = seen.people[:2]  # of 16 frames
    monkeypatch.setattr(detection, "detect_in_videos", lambda *_, **__: seen._replace(people=people))
    monkeypatch.setattr(detection, "match_cameras_to_views", lambda *_: truth.cameras)
    with pytest.raises(ss.InputError, match="fifth of the frames"):
        ss.reconstruct_people(filmed.folder, truth.cameras, options=OPTIONS)


@pytest.mark.slow
def test_both_people_of_the_packaged_videos_are_found():
    project = find_project(demo_folder("Demo_MultiPerson"))
    videos = open_videos(project.videos)
    cameras = match_cameras_to_views(videos, read_calibration(project.calibration))
    found = follow_people(detect_in_videos(videos, DetectionOptions(), frames=10), cameras, "blazepose33")
    assert len(found) == 2
    people = found
    for person in people:
        assert np.isfinite(person.xy).any((2, 3)).mean() > 0.95
    hips = [person.xy[:, :, person.names.index("LHip")] for person in people]
    assert np.nanmin(np.linalg.norm(hips[0] - hips[1], axis=-1)) > 30  # px: two people in every image
