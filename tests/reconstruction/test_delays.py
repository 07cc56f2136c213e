"""Views that are late are reconstructed as if they were not: delays given, and delays found."""

import numpy as np
import pytest
from rigs import walk

import simspine as ss
from simspine.reconstruction.detection import Delayed, Delays, follow_in_step, synchronise_by_detections
from simspine.vision.detector import Detections

pytestmark = pytest.mark.usefixtures("two_rounds")

CUT = ((12, 120), (0, 110), (19, 120), (5, 118))  # frames of the recording that each view has
LATE = [0, 12, -7, 7]


def cut(people: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Each view's part of a recording, from its own frame 0 on; and the lengths."""
    out, lengths = np.full_like(people, np.nan), tuple(end - start for start, end in CUT)
    for view, (start, end) in enumerate(CUT):
        out[: end - start, view] = people[start:end, view]
    return out, lengths


def crowd(preset: str, index: int = 3) -> tuple[Detections, tuple[ss.Camera, ...], ss.Keypoints]:
    """A walk as one of two people in changing order; the other is in front of each camera, and nowhere in space."""
    keypoints, cameras, _ = walk(preset, index)
    people = np.full((keypoints.frames, 4, 2, len(keypoints.names), 3), np.nan)
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, people.shape[:2])
    frame, view = np.indices(first.shape)
    people[frame, view, first] = np.concatenate([keypoints.xy, keypoints.confidence[..., None]], -1)
    people[:40, 0, 1 - first[0, 0], :, :2] = np.nan
    shape = people[frame, view, 1 - first].shape
    wander = np.cumsum(rng.normal(0, 4, (*shape[:2], 1, 2)), 0)
    stranger = np.concatenate([keypoints.xy[:1] * 0.5 + wander + 60, np.full((*shape[:3], 1), 0.9)], -1)
    people[frame, view, 1 - first] = stranger
    return Detections(keypoints.names, keypoints.rate, people), cameras, keypoints


def follow(keypoints, cameras):
    from simspine.vision.options import DetectionOptions
    from simspine.vision.points import follow_person

    return lambda seen: [follow_person(seen, cameras, "simspine37", DetectionOptions())]


def test_given_whole_delays_restore_the_recording():
    detections, cameras, keypoints = crowd("finetuned")
    people, lengths = cut(detections.people)
    late = detections._replace(people=people, lengths=lengths)
    (found,), timing = follow_in_step(late, cameras, Delays(LATE), follow(keypoints, cameras))
    (whole,), none = follow_in_step(detections, cameras, None, follow(keypoints, cameras))
    assert none is None
    assert (timing.first, timing.frames) == (7, 91)
    np.testing.assert_array_equal(found.xy, whole.xy[19:110])


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "frames", "metres"), [("exact", 0.05, 0.001), ("finetuned", 0.4, 0.02)])
def test_delays_are_found_among_several_people(preset, frames, metres):
    """The median point of the synchronised recording is the oracle; finetuned has 20 mm of errors of its own."""
    detections, cameras, keypoints = crowd(preset)
    people, lengths = cut(detections.people)
    late = detections._replace(people=people, lengths=lengths)
    (found,), timing = follow_in_step(late, cameras, Delays("find"), follow(keypoints, cameras))
    assert np.abs(timing.delays_frames - LATE).max() < frames
    assert (np.abs(timing.delays_frames - LATE)[1:] < 3 * timing.deviation[1:]).all()
    start = timing.first + CUT[0][0]
    apart = ss.triangulate(found, cameras).xyz - ss.triangulate(keypoints, cameras).xyz[start : start + timing.frames]
    assert np.nanmedian(np.linalg.norm(apart, axis=-1)) < metres


@pytest.mark.parametrize("second", [30000 / 1001, pytest.param(30.25, marks=pytest.mark.long)])
def test_rates_that_differ_are_solved_with_their_drift(second):
    """The second view is filmed anew at its own rate, from 5.4 frames later on; the walk at each instant is known."""
    keypoints, cameras, _ = walk("exact", 3, 160)
    rate = keypoints.rate
    rates = (rate, second * rate / 30, rate, rate)
    whole = np.concatenate([keypoints.xy, keypoints.confidence[..., None]], -1)
    instants = 5.4 + np.arange(keypoints.frames) * rates[0] / rates[1]
    inside = instants <= keypoints.frames - 1
    before = np.minimum(instants[inside].astype(int), keypoints.frames - 2)
    share = (instants[inside] - before)[:, None, None]
    people = whole.copy()
    people[:, 1] = np.nan
    people[: inside.sum(), 1] = (1 - share) * whole[before, 1] + share * whole[before + 1, 1]
    lengths = (keypoints.frames, int(inside.sum()), keypoints.frames, keypoints.frames)
    seen = Detections(keypoints.names, rate, people[:, :, None], lengths=lengths, rates=rates)
    speed = second / 30
    for delays, frames in ((Delays("find"), 0.05), (Delays([0, -5.4 * speed, 0, 0]), 1e-9)):
        (found,), timing = follow_in_step(seen, cameras, delays, lambda one: [_alone(keypoints, one)])
        places = timing.frame_positions()
        np.testing.assert_allclose(places[:, 1], (places[:, 0] - 5.4) * speed, atol=frames)
        wanted = keypoints.xy[timing.first : timing.first + timing.frames]
        assert np.nanmax(np.abs(found.xy - wanted)[:, 1]) < 3.0


def _alone(keypoints: ss.Keypoints, seen: Detections) -> ss.Keypoints:
    return keypoints.with_(xy=seen.people[:, :, 0, :, :2], confidence=np.nan_to_num(seen.people[:, :, 0, :, 2]))


def test_a_person_who_stands_still_tells_no_clock():
    keypoints, cameras, _ = walk("finetuned", 3)
    jitter = np.random.default_rng(0).normal(0, 2, keypoints.xy.shape)
    for noise in (0.0, 1.0):
        still = keypoints.with_(
            xy=keypoints.xy[:1] + noise * jitter, confidence=np.repeat(keypoints.confidence[:1], keypoints.frames, 0)
        )
        with pytest.raises(ss.InputError, match=r"the person moves too little.*such as a clap"):
            synchronise_by_detections(still, cameras, Delays("find"))


def test_the_library_takes_delayed_points(truth):
    """Whole frames: the same body in the same places, and times that count from the first view's frame 0."""
    points = truth.keypoints
    xy, confidence = np.roll(points.xy, 2, 0), np.roll(points.confidence, 2, 0)
    xy[:, [0, 2, 3]], confidence[:, [0, 2, 3]] = points.xy[:, [0, 2, 3]], points.confidence[:, [0, 2, 3]]
    late = points.with_(xy=xy, confidence=confidence)
    found = ss.reconstruct(Delayed(late, {"cam02": 2}), truth.cameras, mass=70.0)
    whole = ss.reconstruct(points, truth.cameras, mass=70.0)
    assert found.spine.frames == points.frames - 2
    assert found.points.start == 0
    np.testing.assert_array_equal(found.keypoints.xy, whole.keypoints.xy[:-2])
    np.testing.assert_allclose(found.points.xyz, whole.points.xyz[:-2], atol=1e-3)  # its noise is another recording's
    np.testing.assert_array_equal(found.video_frames(1), np.arange(points.frames - 2) + 2)
    assert "camera_delays" in {finding.code for finding in found.findings}
    with pytest.raises(ss.InputError, match="unknown view 'cam5'"):
        ss.reconstruct(Delayed(late, {"cam5": 2}), truth.cameras)
    for delay in (np.nan, None, "late"):
        with pytest.raises(ss.InputError, match=r"delays: .* not finite|delays is not made of numbers"):
            ss.reconstruct(Delayed(late, {"cam02": delay}), truth.cameras)
    for wrong in (None, [late], Delayed(late), late.xy, {"a": late}):
        with pytest.raises(ss.InputError, match=r"source is a .*, expected str | PathLike"):
            ss.reconstruct(Delayed(wrong), truth.cameras)
    with pytest.raises(ss.InputError, match="source is a NoneType, expected"):
        ss.reconstruct({"bow": None}, truth.cameras)
    with pytest.raises(ss.InputError, match=r"unknown text for delays 'none'. Available: find"):
        Delayed(late, "none")  # it meant 'find'


def test_a_repeating_movement_is_not_guessed():
    """A walk in a circle, twice round in nearly the same way: two shifts fit."""
    keypoints, cameras, _ = walk("exact", 3, 180)
    twice = keypoints.with_(
        xy=np.concatenate([keypoints.xy, keypoints.xy]),
        confidence=np.concatenate([keypoints.confidence, keypoints.confidence]),
    )
    with pytest.raises(ss.InputError, match="fit about equally well"):
        synchronise_by_detections(twice, cameras, Delays("find"))
