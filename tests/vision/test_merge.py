"""Points and motion capture joined: times, frames, origins, and wrong frames caught."""

import warnings

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.core.geometry import change_frame, markers_in_frame
from simspine.core.skeletons import PointCorrespondence, add_inferred_suffix, base_name
from simspine.core.types import Markers, Origin
from simspine.vision.merge_mocap import merge, resample_markers

NAMES = ("Hip", "LKnee", "RKnee", "Nose")
PLACES = np.array([[0, 0, 1.0], [0.1, 0.15, 0.5], [0.0, -0.15, 0.45], [0.15, 0.02, 1.65]])


def world(t):
    """(frames, 4, 3) m at the times t, walking along x and bobbing."""
    t = np.asarray(t)[:, None]
    return PLACES + np.stack([1.2 * t, 0.05 * np.sin(6 * t), 0.03 * np.cos(9 * t)], -1)


def points(frames=31, rate=30.0, start=0.0):
    t = start + np.arange(frames) / rate
    shape = (frames, 4)
    return Markers(
        NAMES,
        rate,
        world(t),
        weight=np.full(shape, 0.7),
        covariance=np.tile(np.diag([1e-4, 2e-4, 3e-4]), (*shape, 1, 1)),
        origin=[Origin.INFERRED, Origin.DETECTED, Origin.DETECTED, Origin.DETECTED],
        start=start,
    )


def mocap(frames=101, rate=100.0, start=0.0, names=("LKnee", "RKnee", "Nose"), offset=0.01):
    t = start + np.arange(frames) / rate
    return Markers(names, rate, world(t)[:, [1, 2, 3]] + offset, start=start)


def test_without_mocap_the_points_pass_through():
    assert merge(points()) is not None
    assert merge(points()) == points()


def test_mocap_replaces_and_is_marked():
    out = merge(points(), mocap())
    assert out.names == NAMES
    assert out.rate == 100
    assert out.frames == 101
    assert np.array_equal(out.xyz[:, 1:], mocap().xyz)
    assert np.allclose(out.xyz[:, 0], world(out.time)[:, 0], atol=2e-3)  # linear between frames at 30 Hz
    assert out.origin == (Origin.INFERRED, Origin.GIVEN, Origin.GIVEN, Origin.GIVEN)
    assert (out.weight[:, 1:] == 1).all()
    assert np.allclose(out.weight[:, 0], 0.7)
    assert np.allclose(out.covariance[:, 2], 0.006**2 * np.eye(3))
    assert np.allclose(out.covariance[:, 0], np.diag([1e-4, 2e-4, 3e-4]))


def test_times_decide_not_frame_numbers():
    """Capture that starts later, ends later and runs faster lands at its own times."""
    with pytest.warns(UserWarning, match=r"points \(10\.000…11\.000 s\) share a part of"):
        out = merge(points(frames=31, start=10.0), mocap(start=10.253))
    assert out.start == pytest.approx(10.253)
    assert out.time[-1] <= 11 + 1e-6 < out.time[-1] + 1 / 100
    assert np.allclose(out.xyz[:, 1], world(out.time)[:, 1] + 0.01)
    assert np.allclose(out.xyz[:, 0], world(out.time)[:, 0], atol=2e-3)


def test_frames_are_changed_by_name():
    capture = mocap()
    turned = capture.with_(xyz=change_frame(capture.xyz, "z_up", "y_up"), frame="y_up")
    assert np.allclose(merge(points(), turned).xyz, merge(points(), capture).xyz)


def test_correspondence_by_table():
    capture = mocap(names=("lk", "rk", "head_front"))
    out = merge(points(), capture, correspondence={"lk": "LKnee", "head_front": "Nose"})
    assert np.array_equal(out.xyz[:, 1], capture.xyz[:, 0])
    assert out.origin[2] is Origin.DETECTED
    with pytest.raises(InputError, match=r"unknown marker 'head_fron'.*Did you mean 'head_front'"):
        merge(points(), capture, correspondence={"head_fron": "Nose"})
    with pytest.raises(InputError, match=r"unknown point 'LKne'.*Did you mean 'LKnee'"):
        merge(points(), capture, correspondence={"lk": "LKne"})
    with pytest.raises(InputError, match="each point once; found Nose"):
        merge(points(), capture, correspondence={"lk": "Nose", "rk": "Nose"})
    with pytest.raises(InputError, match=r"no motion-capture marker.*lk, rk, head_front.*Hip, LKnee"):
        merge(points(), capture)


def test_a_subjects_name_before_all_markers_is_left_out_unless_the_table_has_it():
    capture = mocap(names=("Ada:LKnee", "Ada:RKnee", "Ada:Nose"))
    assert np.array_equal(merge(points(), capture).xyz[:, 1:], capture.xyz)
    own = merge(points(), capture, correspondence={"Ada:LKnee": "LKnee"})
    assert np.array_equal(own.xyz[:, 1], capture.xyz[:, 0])


def test_short_gaps_of_mocap_are_interpolated_long_ones_stay():
    xyz = np.array(mocap().xyz)
    xyz[10:20, 0] = np.nan
    xyz[40:80, 1] = np.nan
    out = merge(points(), mocap().with_(xyz=xyz), max_gap_s=0.15)
    assert np.allclose(out.xyz[10:20, 1], mocap().xyz[10:20, 0], atol=1e-3)
    assert out.filled[10:20, 1].all()
    assert np.isnan(out.xyz[40:80, 2]).all()
    assert (out.weight[40:80, 2] == 0).all()
    assert np.isnan(out.covariance[40:80, 2]).all()
    assert out.filled.sum() == 10


def weights(**changes):
    """(frames, markers) of `mocap`: 1, but for the columns changed."""
    weight = np.ones((101, 3))
    for name, value in changes.items():
        weight[:, mocap().names.index(name)] = value
    return weight


def test_weights_of_mocap_multiply_those_of_the_table():
    rng = np.random.default_rng(0)
    own = rng.uniform(0.1, 2, (101, 3))
    table = [PointCorrespondence("LKnee", "LKnee", 0.5, 0.01), PointCorrespondence("Nose", "Nose", 3.0, 0.01)]
    out = merge(points(), mocap().with_(weight=own), correspondence=table)
    np.testing.assert_allclose(out.weight[:, [1, 3]], own[:, [0, 2]] * [0.5, 3.0])
    np.testing.assert_allclose(out.weight[:, [0, 2]], 0.7)


def test_a_marker_of_weight_0_counts_as_missing():
    """In some frames or in all, wherever it lies: as if there were no position."""
    lost = mocap().xyz.copy()
    lost[40:80, 1] = np.nan
    thrown = mocap().xyz + np.isnan(lost) * 5.0
    weight = weights(RKnee=np.where(np.isnan(lost[:, 1, 0]), 0, 1))
    some = merge(points(), mocap().with_(xyz=thrown, weight=weight))
    assert some == merge(points(), mocap().with_(xyz=lost, weight=weights()))
    assert (some.weight[40:80, 2] == 0).all()
    with pytest.warns(UserWarning, match="weight 0 in every frame of the motion capture: RKnee"):
        out = merge(points(), mocap().with_(xyz=mocap().xyz + np.array([[0], [5.0], [0]]), weight=weights(RKnee=0)))
    assert out == merge(points(), mocap().select(["LKnee", "Nose"]))
    with pytest.raises(InputError, match=r"all 3 markers .* or have weight 0 in all 101 frames: LKnee, RKnee, Nose"):
        merge(points(), mocap().with_(weight=np.zeros((101, 3))))


def test_gaps_of_points_are_not_bridged_by_resampling():
    xyz = np.array(points().xyz)
    xyz[10, 0] = np.nan
    out = merge(points().with_(xyz=xyz), mocap())
    gap = np.isnan(out.xyz[:, 0, 0])
    assert np.array_equal(gap, (out.time > 9 / 30 + 1e-6) & (out.time < 11 / 30 - 1e-6))


def test_no_common_time():
    with pytest.raises(InputError, match="share no time"):
        merge(points(), mocap(start=50.0))


@pytest.mark.parametrize(("rate", "frames"), [(1e6, 5), (1e-300, 5), (30, 0)])
def test_nothing_to_merge(rate, frames):
    """A grid of a million frames a second would fill the memory."""

    def changed(markers):
        return Markers(markers.names, rate, markers.xyz[:frames], markers.frame)

    for pair in ((points(), changed(mocap())), (changed(points()), mocap())):
        with pytest.raises(InputError, match=r"nothing to merge: \d frames at|in all 0 frames"):
            merge(*pair)


def test_resample_at_the_same_times_is_the_identity():
    markers = points(start=2.0)
    assert resample_markers(markers, markers.rate, 2.0, markers.frames) == markers


def test_resample_outside_is_missing():
    out = resample_markers(points(), 30, -0.1, 6)
    assert np.isnan(out.xyz[:3]).all()
    assert np.allclose(out.xyz[3:], points().xyz[:3])
    assert (out.weight[:3] == 0).all()
    late = resample_markers(points(), 60, points().time[-1] - 1 / 60, 4)
    assert np.isfinite(late.xyz[:2]).all()
    assert np.isnan(late.xyz[2:]).all()  # half a frame after the last one, too


def test_in_frame_turns_covariances_too():
    markers = points()
    turned = markers_in_frame(markers, "y_up")
    assert turned.frame == "y_up"
    assert np.allclose(turned.xyz, markers.xyz[..., [1, 2, 0]])
    assert np.allclose(turned.covariance[0, 0], np.diag([2e-4, 3e-4, 1e-4]))
    back = markers_in_frame(turned, "z_up")
    assert np.allclose(back.xyz, markers.xyz)
    assert np.allclose(back.covariance, markers.covariance)


def test_inferred_points_say_so_in_their_names():
    labelled = add_inferred_suffix(points())
    assert labelled.names == ("Hip_inferred", "LKnee", "RKnee", "Nose")
    assert add_inferred_suffix(labelled) == labelled
    assert tuple(map(base_name, labelled.names)) == NAMES
    plain = points().with_(origin=None)
    assert add_inferred_suffix(plain) == plain


def bow(t):
    """(frames, 4, 3) m: three bows of 15 cm in 12 s, further at the head."""
    return PLACES + PLACES[:, 2:] * [0.15, 0.0, -0.05] * np.sin(2 * np.pi * np.asarray(t) / 4)[:, None, None] ** 2


@pytest.mark.parametrize("stated", [50.0, 100.0])
def test_motion_capture_at_a_wrong_rate_moves_otherwise(stated):
    noise = np.random.default_rng(1).normal(0, 0.01, (360, 4, 3))
    seen = Markers(NAMES, 30.0, bow(np.arange(360) / 30) + noise)
    capture = Markers(NAMES[1:], stated, bow(np.arange(1200) / 100)[:, 1:])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        merge(seen, capture, max_shift_s=0.0)
    assert any("other movements" in str(one.message) for one in caught) == (stated != 100.0)
