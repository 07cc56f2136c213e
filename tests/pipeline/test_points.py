"""From detections to markers: outlines go along with the person, and take the place of inferred points only."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from simspine.detection.options import DetectionOptions, FilterOptions, MergeOptions
from simspine.detection.run import Detections
from simspine.errors import InputError
from simspine.pipeline import points as stage
from simspine.pipeline.points import Outline, follow_person, make_markers
from simspine.silhouettes.levels import CONTOURS, LEVELS
from simspine.skeletons import load
from simspine.types import Keypoints, Markers, Origin

FRAMES = 12
PLACES = {
    "LHip": (0, 0.1, 0.95), "RHip": (0, -0.1, 0.95), "LShoulder": (0, 0.18, 1.47), "RShoulder": (0, -0.18, 1.47),
    "LEar": (0.05, 0.07, 1.70), "REar": (0.05, -0.07, 1.70),
}  # fmt: skip


def limbs() -> Markers:
    return Markers(tuple(PLACES), 50, np.tile(list(PLACES.values()), (FRAMES, 1, 1)), "z_up")


def outlined(names: tuple[str, ...]) -> Markers:
    shape = (FRAMES, len(names))
    covariance = np.tile(4e-4 * np.eye(3), (*shape, 1, 1))
    return Markers(names, 50, np.full((*shape, 3), 0.5), "z_up", None, covariance, (Origin.SILHOUETTE,) * len(names))


@pytest.fixture
def outline():
    shape = (FRAMES, 0, len(CONTOURS))
    return Outline(Keypoints(CONTOURS, 50, np.zeros((*shape, 2)), np.zeros(shape)), [])


def test_the_outline_is_the_followed_persons(monkeypatch):
    """Whoever is followed, their contours come with them, and are no SIMSPINE points."""
    names = (*load("blazepose33").names, *CONTOURS)
    chosen = np.random.default_rng(1).uniform(0, 1, (3, 2, len(names), 3))
    monkeypatch.setattr(stage, "associate", lambda people, *_, **__: people[:, :, 0])
    found = follow_person(Detections(names, 50.0, chosen[:, :, None]), [], "blazepose33", DetectionOptions())
    assert found.contours is not None
    assert found.contours.names == CONTOURS
    assert_array_equal(found.contours.xy, chosen[:, :, 33:, :2])
    assert_array_equal(found.keypoints.xy[:, :, found.keypoints.names.index("Nose")], chosen[:, :, 0, :2])
    bare = follow_person(Detections(names[:33], 50.0, chosen[:, :, None, :33]), [], "blazepose33", DetectionOptions())
    assert bare.contours is None


def test_points_behind_the_outline_take_the_place_of_inferred_ones(monkeypatch, outline):
    names = tuple(level.marker for level in LEVELS)
    monkeypatch.setattr(stage, "silhouette_points", lambda *_: outlined(names))
    plain, _ = make_markers(limbs(), FilterOptions(), MergeOptions())
    found, _ = make_markers(limbs(), FilterOptions(), MergeOptions(), outline=outline)
    assert {"Spine_01_inferred", "Spine_05_inferred"} <= set(plain.names)
    assert set(found.names) == (set(plain.names) - {f"{level.point}_inferred" for level in LEVELS}) | set(names)
    assert found.names_of(Origin.SILHOUETTE) == names
    rest = [name for name in plain.names if name in found.names]
    assert_array_equal(found.select(rest).xyz, plain.select(rest).xyz)


def test_observed_points_of_the_spine_stay(monkeypatch, outline):
    """A point that was seen is not replaced by one that was not."""
    monkeypatch.setattr(stage, "silhouette_points", lambda *_: outlined(("Spine_01_silhouette", "Spine_02_silhouette")))
    seen = np.concatenate([limbs().xyz, np.full((FRAMES, 1, 3), 1.1)], 1)
    found, _ = make_markers(
        Markers((*PLACES, "Spine_01"), 50, seen, "z_up"), FilterOptions(), MergeOptions(), outline=outline
    )
    assert "Spine_01" in found.names
    assert found.names_of(Origin.SILHOUETTE) == ("Spine_02_silhouette",)


def test_an_outline_that_says_nothing_changes_nothing(monkeypatch, outline):
    monkeypatch.setattr(stage, "silhouette_points", lambda *_: None)
    plain, _ = make_markers(limbs(), FilterOptions(), MergeOptions())
    assert make_markers(limbs(), FilterOptions(), MergeOptions(), outline=outline)[0] == plain


def test_silhouettes_are_blazeposes():
    with pytest.raises((InputError, ValueError), match="silhouettes need the detector blazepose"):
        DetectionOptions(detector="spinepose", silhouettes=True)
