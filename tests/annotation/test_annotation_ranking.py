import numpy as np
import pytest
from drawn_recording import cameras, off_by, true_points

from simspine.annotation.labels import (
    Edit,
    PointStatus,
    Visibility,
    apply_edits,
    disagreement_px,
    finished_frames,
    frame_batch,
    person_size,
    pseudo_labels,
    rank_frames,
)
from simspine.core.types import Keypoints

FRAMES, RATE, WORST = 24, 50.0, 15


@pytest.fixture(scope="module")
def good():
    return off_by(true_points(FRAMES), 0.3, confidence=0.9)


def changed(good, xy=None, confidence=None):
    return pseudo_labels(
        Keypoints(
            good.names, RATE, good.xy if xy is None else xy, good.confidence if confidence is None else confidence
        )
    )


def need(ranking) -> np.ndarray:
    return np.sum([*ranking.values()], axis=0)


def reason(ranking) -> str:
    return max(ranking, key=lambda name: ranking[name][WORST])


def test_a_frame_of_low_confidence_comes_first(good):
    confidence = good.confidence.copy()
    confidence[WORST, :, :10] = 0.1
    ranking = rank_frames(changed(good, confidence=confidence), RATE, cameras())
    assert need(ranking).argmax() == WORST
    assert reason(ranking) == "uncertainty"


def test_a_frame_whose_views_disagree_comes_first(good):
    xy = good.xy.copy()
    xy[WORST - 1 : WORST + 2, 2, :12] += [0.0, 25.0]  # three frames alike: little jitter in the middle one
    ranking = rank_frames(changed(good, xy), RATE, cameras())
    assert ranking["disagreement"].argmax() in (WORST - 1, WORST, WORST + 1)
    assert reason(ranking) == "disagreement"
    assert not rank_frames(changed(good, xy), RATE)["disagreement"].any()  # nothing to compare with


def test_a_frame_that_jumps_comes_first_in_a_single_view(good):
    xy = good.xy.copy()
    xy[WORST, 0, 5:20] += [12.0, 0.0]
    ranking = rank_frames(changed(good, xy), RATE)
    assert ranking["jitter"].argmax() == WORST
    assert reason(ranking) == "jitter"


def test_disagreement_is_the_distance_from_where_the_point_projects(good):
    exact = true_points(FRAMES)
    assert np.nanmax(disagreement_px(pseudo_labels(exact), RATE, cameras())) < 0.05
    xy = exact.xy.copy()
    xy[4, 1, 0] += [30.0, 0.0]
    off = disagreement_px(pseudo_labels(Keypoints(exact.names, RATE, xy, exact.confidence)), RATE, cameras())
    assert off[4, :, 0].max() > 10
    assert off[5].max() < 0.05


def test_what_a_person_decided_counts_as_sure(good):
    confidence = good.confidence.copy()
    confidence[WORST] = 0.05
    start = changed(good, confidence=confidence)
    edits = [
        Edit(WORST, v, name, *good.xy[WORST, v, i], Visibility.SEEN, PointStatus.ACCEPTED)
        for v in range(good.views)
        for i, name in enumerate(good.names)
    ]
    after = apply_edits(start, edits)
    assert rank_frames(start, RATE)["uncertainty"].argmax() == WORST
    assert rank_frames(after, RATE)["uncertainty"][WORST] == 0
    assert np.flatnonzero(finished_frames(after)).tolist() == [WORST]
    assert WORST not in frame_batch(need(rank_frames(after, RATE)), RATE, 99, finished_frames(after))


def test_a_batch_is_the_worst_frames_apart_from_each_other(good):
    confidence = good.confidence.copy()
    confidence[8:11] = 0.0
    confidence[20] = 0.2
    ranking = rank_frames(changed(good, confidence=confidence), RATE)
    chosen = frame_batch(need(ranking), RATE, 2, np.zeros(FRAMES, bool))
    assert chosen[0] in (8, 9, 10)
    assert chosen[1] == 20


def test_the_size_of_a_person_is_the_root_of_the_boxs_area():
    points = np.array([[[0.0, 0], [4, 9], [np.nan, np.nan]], [[np.nan, np.nan]] * 3])
    np.testing.assert_allclose(person_size(points), [6.0, np.nan])


def test_nothing_labelled_is_no_error():
    empty = Keypoints(("a", "b"), RATE, np.full((3, 2, 2, 2), np.nan), np.zeros((3, 2, 2)))
    assert not need(rank_frames(pseudo_labels(empty), RATE)).any()
