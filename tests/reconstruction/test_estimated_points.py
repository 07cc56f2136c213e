"""Points that a detector gives without seeing them stay estimated, and nothing of the spine is then called measured."""

from dataclasses import replace

import numpy as np
import pytest
from small_project import ring

from simspine.anatomy.clinical import JOINT_DEFINITIONS, SPINAL_DEFINITIONS
from simspine.core.geometry import project_points
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Keypoints, Markers, Origin
from simspine.estimation.observations import NoiseLevels, observe
from simspine.estimation.options import KinematicsOptions
from simspine.estimation.person import point_places_of
from simspine.io.hdf5 import read_store, write_store
from simspine.reconstruction.headline import summary_metrics
from simspine.report.statements import summary_statements
from simspine.report.summary import summary_rows
from simspine.vision import points as stage
from simspine.vision.blazepose_spine import SPINE_POINTS
from simspine.vision.detector import Detections
from simspine.vision.options import DetectionOptions, FilterOptions, MergeOptions
from simspine.vision.points import follow_person, locate_points, make_markers
from simspine.vision.triangulation import triangulate
from simspine.workflow.results import read_trial
from simspine.workflow.up_to_date import RunPaths

CAMERAS = ring()
TABLE = load_skeleton("blazepose_spine46")
OURS = tuple(TABLE.to_simspine[name] for name in SPINE_POINTS)


def test_what_the_detector_does_not_see_is_estimated_to_the_markers(monkeypatch, tmp_path):
    """Through the file of the stage, triangulation and merging; names stay, and nothing takes the points' place."""
    rng = np.random.default_rng(0)
    places = {name: rng.uniform([-0.3, -0.3, 0.8], [0.3, 0.3, 1.6], 3) for name in TABLE.names}
    xyz = np.tile(list(places.values()), (12, 1, 1))
    xy = np.moveaxis(project_points(CAMERAS, xyz), 0, 1)
    people = np.concatenate([xy, np.full((*xy.shape[:3], 1), 0.9)], -1)[:, :, None]
    monkeypatch.setattr(stage, "associate_person", lambda people, *_, **__: people[:, :, 0])
    seen = Detections(TABLE.names, 50.0, people, estimated=SPINE_POINTS, skeleton=TABLE.name)
    keypoints = follow_person(seen, CAMERAS, seen.skeleton, DetectionOptions())
    assert set(keypoints.names_of(Origin.ESTIMATED)) == set(OURS)
    assert "LHip" in keypoints.names_of(Origin.DETECTED)
    write_store(tmp_path / "x.h5", keypoints=keypoints)
    found, _ = locate_points(read_store(tmp_path / "x.h5")["keypoints"], CAMERAS, stage.TriangulationOptions())
    assert set(found.names_of(Origin.ESTIMATED)) == set(OURS)
    markers, _ = make_markers(found, FilterOptions(), MergeOptions())
    assert set(markers.names_of(Origin.ESTIMATED)) == set(OURS)
    assert not markers.names_of(Origin.INFERRED)


def test_motion_capture_in_the_place_of_an_estimated_point_is_given():
    names = ("LHip", "RHip", "LShoulder", "RShoulder", "Neck")
    xyz = np.tile([[0.1, 0, 1], [-0.1, 0, 1], [0.2, 0, 1.5], [-0.2, 0, 1.5], [0, 0, 1.55]], (80, 1, 1)).astype(float)
    xyz[:, :, 1] += 0.1 * np.sin(np.arange(80) / 6)[:, None]
    points = Markers(names, 50, xyz, "z_up", origin=(Origin.DETECTED,) * 4 + (Origin.ESTIMATED,))
    mocap = Markers(names, 50, xyz, "z_up")
    found, _ = make_markers(points, FilterOptions(), MergeOptions(), mocap, infer_spine=False)
    assert set(found.origins) == {Origin.GIVEN}


def as_other(markers: Markers, origin: Origin) -> Markers:
    return markers.with_(origin=[origin if o is Origin.ESTIMATED else o for o in markers.origins])


def test_estimated_points_weigh_as_detected_ones():
    """Oracle: the same points, called detected."""
    names = ("RHip", "Hip", "Spine_01", "Neck", "Neck_02")
    covariance = np.tile(1e-5 * np.eye(3), (4, 5, 1, 1))
    origin = (Origin.DETECTED, *(Origin.ESTIMATED,) * 4)
    guessed = Markers(names, 50, np.ones((4, 5, 3)), "y_up", np.full((4, 5), 0.5), covariance, origin)
    seen = as_other(guessed, Origin.DETECTED)
    assert guessed.origins != seen.origins
    for engine in ("trajectory", "frames"):
        options = KinematicsOptions(engine=engine)
        configured = NoiseLevels.of_options(options)
        levels = configured.given_view_agreement(seen)
        assert configured.given_view_agreement(guessed) == levels != configured
        here, there = (observe(points, {}, options, levels) for points in (guessed, seen))
        np.testing.assert_array_equal(here.weights, there.weights)
        assert (here.weights > 0).all()
        assert here.errors == there.errors
    places = [point_places_of(points) for points in (guessed, seen)]
    assert places[0].sd == places[1].sd
    assert places[0].spine_points == places[1].spine_points == ("Hip", "Spine_01", "Neck", "Neck_02")


def test_triangulation_takes_them_as_it_takes_detected_ones():
    xyz = np.tile([[0.1, 0.2, 1.0], [0.0, 0.1, 1.3]], (6, 1, 1))
    xy = np.moveaxis(project_points(CAMERAS, xyz), 0, 1)
    confidence = np.full(xy.shape[:3], 0.8)
    confidence[:, 0] = 0.1  # below the least confidence that is used
    of = {o: Keypoints(("LHip", "Neck"), 50, xy, confidence, (Origin.DETECTED, o)) for o in Origin}
    guessed, seen = (triangulate(of[o], CAMERAS, min_confidence=0.3) for o in (Origin.ESTIMATED, Origin.DETECTED))
    np.testing.assert_array_equal(guessed.xyz, seen.xyz)
    np.testing.assert_array_equal(guessed.covariance, seen.covariance)
    assert guessed.origin == (Origin.DETECTED, Origin.ESTIMATED)


@pytest.fixture(scope="module")
def trial(finished):
    return read_trial(RunPaths(finished.results, "S01"), "bow")


@pytest.fixture(scope="module")
def guessed(trial):
    """The trial, had its spine's points been estimated."""
    assert set(OURS) & set(trial.markers.names_of(Origin.DETECTED))
    origin = [Origin.ESTIMATED if name in OURS else Origin.DETECTED for name in trial.markers.names]
    return replace(trial, markers=trial.markers.with_(origin=origin))


def test_no_figure_of_the_spine_is_called_measured(trial, guessed):
    assert guessed.spine_estimated
    assert not trial.spine_estimated
    before, after = ({f.name: f.decided_by for f in found.clinical_figures} for found in (trial, guessed))
    assert not [name for name in SPINAL_DEFINITIONS if "measured" in after[name]]
    assert [name for name in SPINAL_DEFINITIONS if "measured" in before[name]]
    assert any("estimated" in after[name] for name in SPINAL_DEFINITIONS)
    limbs = [name for name in after if name.split("_")[0] in JOINT_DEFINITIONS]
    assert limbs
    assert [after[name] for name in limbs] == [before[name] for name in limbs]
    for name in SPINAL_DEFINITIONS:  # only the words change, and one for one
        assert after[name].replace("estimated, and", "measured, but").replace("estimated", "measured") == before[name]


def test_headline_page_and_summary_name_them(guessed):
    figures = summary_metrics(guessed)
    names = guessed.markers.names_of(Origin.ESTIMATED)
    assert figures["estimated"] == list(names)
    assert "detected" not in figures["spine_seen_by"]
    assert figures["spine_estimated"] == list(names)
    assert "estimated spine" in figures["marker_rms_mm_by_group"]
    (row,) = [row for row in summary_rows(figures) if row.label == "Seen on the back"]
    assert "estimated" in row.value
    assert row.light == "check"
    measured = summary_statements(guessed)[0].reason
    assert "estimated by a network" in measured
    assert "placed by the detector" not in measured
