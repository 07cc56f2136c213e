import re
import warnings

import numpy as np
import pytest
from aimed import aimed

from simspine.core import skeletons
from simspine.core.errors import InputError
from simspine.core.geometry import project_points
from simspine.core.types import Camera
from simspine.vision import association
from simspine.vision.association import associate_person, tracks_of_people

SKELETON = skeletons.load_skeleton("halpe26")
RATE = 50.0

# a standing body in metres, z up, facing x; the points that matter here
STANDING = {
    "Nose": (0.1, 0, 1.6), "Head": (0, 0, 1.75), "Neck": (0, 0, 1.45), "Hip": (0, 0, 0.93),
    "LShoulder": (0, 0.2, 1.4), "RShoulder": (0, -0.2, 1.4), "LHip": (0, 0.1, 0.9), "RHip": (0, -0.1, 0.9),
    "LKnee": (0.03, 0.1, 0.5), "RKnee": (-0.05, -0.1, 0.5), "LAnkle": (0.1, 0.1, 0.08), "RAnkle": (-0.2, -0.1, 0.1),
}  # fmt: skip


def ring(views, radius=4.0):
    cameras = []
    for k in range(views):
        angle = 2 * np.pi * (k + 0.3) / views + 0.05 * k
        centre = np.array([radius * np.cos(angle), radius * np.sin(angle), 1.5 + 0.2 * (k % 3)])
        R = aimed(centre, [0, 0, 1.0])
        K = np.array([[1100.0, 0, 500], [0, 1100, 500], [0, 0, 1]])
        cameras.append(Camera(f"cam{k}", (1000, 1000), K, [-0.1, 0.02, 0, 0, 0], R, -R @ centre))
    return cameras


def body(position, heading):
    """(points, 3) m of a person at (x, y), turned by heading; NaN for points not in STANDING."""
    c, s = np.cos(heading), np.sin(heading)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    points = np.full((len(SKELETON), 3), np.nan)
    for name, point in STANDING.items():
        points[SKELETON.index(name)] = turn @ point + [*position, 0]
    return points


def scene(views=4, frames=60, seed=0, paths=None, noise=5.0, lost=0.05, swapped=0.1):
    """Two people's detections, shuffled per frame and view; which slot shows person 0 (-1: not seen there)."""
    rng = np.random.default_rng(seed)
    cameras = ring(views)
    t = np.arange(frames) / RATE
    if paths is None:  # one walks to and fro past the other, within 0.6 m
        paths = [
            np.stack([0.2 * np.sin(2 * t), 0.1 * t], 1),
            np.stack([0.7 + 0 * t, 1.5 - 2.5 * t], 1),
        ]
    world = np.array([[body(path[f], 0.5 * who + t[f]) for who, path in enumerate(paths)] for f in range(frames)])
    pixels = project_points(cameras, world)  # (views, frames, people, points, 2)
    pixels = np.moveaxis(pixels, 0, 1) + rng.normal(0, noise, (frames, views, 2, len(SKELETON), 2))
    mirrored = rng.random((frames, views, 2)) < swapped
    pixels[mirrored] = pixels[mirrored][:, list(SKELETON.swaps)]
    pixels[rng.random((frames, views, 2)) < lost] = np.nan
    confidence = np.where(np.isfinite(pixels[..., 0]), rng.uniform(0.2, 1, pixels.shape[:-1]), 0)
    people = np.concatenate([pixels, confidence[..., None]], -1)
    order = rng.permuted(np.broadcast_to([0, 1], (frames, views, 2)), axis=-1)
    shuffled = np.take_along_axis(people, order[..., None, None], 2)
    return shuffled, cameras, people


def right_share(chosen, truth, other):
    """Share of (frame, view) pairs in which exactly the wanted detection, or rightly nothing, was given."""
    hip = SKELETON.index("LHip")

    def same(a, b):
        return np.nan_to_num(a, nan=-1) == np.nan_to_num(b, nan=-1)

    right = same(chosen[..., hip, 0], truth[..., hip, 0])
    assert not np.any(np.isfinite(chosen[..., hip, 0]) & ~right & ~same(chosen[..., hip, 0], other[..., hip, 0]))
    return right.mean()


# two views cannot tell a person seen once from a chance meeting of rays
@pytest.mark.parametrize(("views", "seed", "share"), [(2, 0, 0.97), (3, 1, 0.99), (4, 2, 0.99), (8, 3, 0.99)])
def test_the_person_nearest_to_a_point_is_found_in_any_order(views, seed, share):
    people, cameras, truth = scene(views=views, seed=seed)
    chosen = associate_person(people, cameras, SKELETON, RATE, person=[0.0, 0.0, 1.0])
    assert right_share(chosen, truth[:, :, 0], truth[:, :, 1]) >= share
    chosen = associate_person(people, cameras, "halpe26", RATE, person=[0.7, 1.5, 1.0])
    assert right_share(chosen, truth[:, :, 1], truth[:, :, 0]) >= share


def test_most_views_prefers_who_is_seen_more():
    people, cameras, truth = scene(seed=4)
    slot = np.isclose(people[..., 0], truth[:, :, None, 1, :, 0]).any(-1)
    slot[:, :2] = False  # the second person is hidden from two views
    hidden = np.broadcast_to(
        (np.isclose(people[..., 0], truth[:, :, None, 1, :, 0]).any(-1) & ~slot)[..., None, None], people.shape
    )
    people = np.where(hidden, np.nan, people)
    chosen = associate_person(people, cameras, SKELETON, RATE)
    assert right_share(chosen, truth[:, :, 0], truth[:, :, 1]) >= 0.99


def test_others_who_are_seen_for_long_are_named():
    """Somebody stands near the patient all the time: the report was about them, without a word."""
    people, cameras, _ = scene(seed=4)
    text = r"2 people .* The one at \[.*\] m in \d+ frames of \d+ is followed; others are at \[.*\] m in \d+ frames"
    with pytest.warns(UserWarning, match=text) as heard:
        followed = associate_person(people, cameras, SKELETON, RATE)
    other = [float(value) for value in re.findall(r"\[(.*?)\]", str(heard[0].message))[1].split(",")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # who is chosen by place needs no word
        chosen = associate_person(people, cameras, SKELETON, RATE, person=other)
    assert np.isclose(chosen[..., 0], followed[..., 0]).mean() < 0.05


def test_a_place_that_was_named_belongs_to_one_person():
    """A place of another calibration, of results (y up) or in millimetres chose the nearest person, however far."""
    still = [np.tile(place, (40, 1)) for place in ([0.0, 0.0], [0.0, 1.2])]
    people, cameras, everybody = scene(frames=40, paths=still)
    for place in ([8.0, -5.0, 0.9], [1.2, 0.9, 0.0], [0.0, 1200.0, 900.0]):
        with pytest.raises(InputError, match=r"nobody comes within 1 m of it. People are at \[.*\], \[.*\] m of"):
            associate_person(people, cameras, SKELETON, RATE, person=place)
    with pytest.warns(UserWarning, match="nobody comes within 1 m of it"):  # there is nobody else
        associate_person(everybody[:, :, :1], cameras, SKELETON, RATE, person=[8.0, -5.0, 0.9])
    with pytest.warns(
        UserWarning, match=r"is followed, 0\.\d m from it on average. Hardly farther: \[-?0.0, 1.2, 0.\d\]"
    ):
        associate_person(people, cameras, SKELETON, RATE, person=[0.0, 0.55, 0.9])


def test_largest_prefers_who_is_near_the_cameras():
    t = np.arange(40) / RATE
    far, near = np.stack([-1.2 + 0 * t, 0 * t], 1), np.stack([1.6 + 0 * t, 0.2 * t], 1)
    people, cameras, truth = scene(frames=40, paths=[far, near])
    cameras, people, truth = cameras[:1] + cameras[3:], people[:, [0, 3]], truth[:, [0, 3]]  # two cameras on one side
    distance = [np.mean([np.linalg.norm(c.centre[:2] - p[0]) for c in cameras]) for p in (far, near)]
    wanted = int(np.argmin(distance))
    chosen = associate_person(people, cameras, SKELETON, RATE, person="largest")
    assert right_share(chosen, truth[:, :, wanted], truth[:, :, 1 - wanted]) >= 0.99


def test_a_wrong_person_in_one_view_is_left_out():
    """One detection per view; in view 2 it is somebody else for the second half."""
    _, cameras, truth = scene(seed=5, lost=0.0)
    single = truth[:, :, :1].copy()
    single[30:, 2, 0] = truth[30:, 2, 1]
    chosen = associate_person(single, cameras, SKELETON, RATE)
    hip = SKELETON.index("LHip")
    # all but the instants at which both stand in one line with the camera
    assert np.isnan(chosen[30:, 2, hip, 0]).mean() > 0.9
    np.testing.assert_array_equal(chosen[:, [0, 1, 3]], truth[:, [0, 1, 3], 0])


def test_somebody_lost_for_a_while_is_the_same_person_afterwards():
    people, cameras, truth = scene(seed=6, frames=80)
    absent = slice(30, 55)  # half a second
    people[absent] = np.nan
    truth = truth.copy()
    truth[absent] = np.nan
    chosen = associate_person(people, cameras, SKELETON, RATE, person=[0, 0, 1])
    assert np.isnan(chosen[absent]).all()
    assert right_share(chosen, truth[:, :, 0], truth[:, :, 1]) >= 0.99


def test_values_are_handed_through_untouched():
    people, cameras, truth = scene(seed=7, frames=5, noise=0, lost=0, swapped=0)
    chosen = associate_person(people, cameras, SKELETON, RATE, person=[0, 0, 1])
    np.testing.assert_array_equal(chosen, truth[:, :, 0])


def matched(tracks, truth):
    """The tracks in the order of the people they follow, by whose detection they hold most often."""
    hip = SKELETON.index("LHip")
    agree = [[np.sum(track[..., hip, 0] == truth[:, :, who, hip, 0]) for track in tracks] for who in range(2)]
    order = np.argmax(agree, 1)
    assert sorted(order) == list(range(len(tracks)))
    return [tracks[i] for i in order]


def assert_both_are_followed(people, cameras, truth, share=0.99):
    tracks = tracks_of_people(people, cameras, SKELETON, RATE)
    assert len(tracks) == 2
    for who, track in enumerate(matched(tracks, truth)):
        assert right_share(track, truth[:, :, who], truth[:, :, 1 - who]) >= share
    counts = [np.isfinite(track[..., SKELETON.index("LHip"), 0]).sum() for track in tracks]
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("views", [3, 4, 8])
def test_everybody_is_followed_past_each_other(views):
    assert_both_are_followed(*scene(views=views, seed=views))


def test_who_leaves_and_comes_back_is_the_same(monkeypatch):
    people, cameras, truth = scene(seed=8, frames=90)
    gone = np.isclose(people[..., 0], truth[:, :, None, 1, :, 0]).any(-1)
    gone[:30], gone[65:] = False, False  # the second person is away for 0.7 s
    people = np.where(gone[..., None, None], np.nan, people)
    truth = truth.copy()
    truth[30:65, :, 1] = np.nan
    assert_both_are_followed(people, cameras, truth)
    monkeypatch.setattr(association, "MAX_TRACK_GAP_S", 0.4)
    assert len(tracks_of_people(people, cameras, SKELETON, RATE)) == 3  # away for too long


def test_who_is_hidden_by_another_gives_no_point_of_theirs():
    """From two of four cameras the second person stands behind the first, and only the first is detected there."""
    people, cameras, truth = scene(seed=9, frames=100)
    hidden = np.isclose(people[..., 0], truth[:, :, None, 1, :, 0]).any(-1)
    hidden[:30], hidden[60:], hidden[:, 2:] = False, False, False
    people = np.where(hidden[..., None, None], np.nan, people)
    truth = truth.copy()
    truth[30:60, :2, 1] = np.nan
    assert_both_are_followed(people, cameras, truth)


def test_nobody_gets_a_detection_that_another_has():
    people, cameras, _ = scene(seed=10, lost=0.4)  # most are seen in one or two views only: many gaps
    first, second = tracks_of_people(people, cameras, SKELETON, RATE)[:2]
    both = np.isfinite(first[..., 0]) & np.isfinite(second[..., 0])
    assert both.any()
    assert not (first[..., 0] == second[..., 0])[both].any()


def test_who_passes_by_is_no_person_of_the_trial(monkeypatch):
    people, cameras, truth = scene(seed=11, frames=100)
    gone = np.isclose(people[..., 0], truth[:, :, None, 1, :, 0]).any(-1)
    gone[:15] = False  # there in 15 of 100 frames
    people = np.where(gone[..., None, None], np.nan, people)
    (only,) = tracks_of_people(people, cameras, SKELETON, RATE)
    assert right_share(only, truth[:, :, 0], truth[:, :, 1]) >= 0.98
    monkeypatch.setattr(association, "MIN_TRACK_SHARE", 0.1)
    assert len(tracks_of_people(people, cameras, SKELETON, RATE)) == 2


@pytest.mark.parametrize(("noise", "lost"), [(2.0, 0.0), (8.0, 0.3), (60.0, 0.1)])
def test_frames_placed_together_are_as_one_by_one(monkeypatch, noise, lost):
    """One person in each view; views that miss them, and detections beside the tolerance, are there too."""
    _, cameras, people = scene(frames=90, paths=[np.zeros((90, 2))] * 2, noise=noise, lost=lost, seed=4)
    alone = people[:, :, :1]
    monkeypatch.setattr(association, "MAX_RAY_MISS_M", 0.1)
    together = associate_person(alone, cameras, SKELETON, RATE)
    monkeypatch.setattr(association, "_people_in_frames", lambda frames: [association._people_of(f) for f in frames])
    np.testing.assert_array_equal(together, associate_person(alone, cameras, SKELETON, RATE))
    seen = np.isfinite(together[..., 0]).any(-1)
    assert 0 < seen.sum() <= np.isfinite(alone[:, :, 0, :, 0]).any(-1).sum()


def test_unusable_input_is_named():
    people, cameras, _ = scene(frames=3)
    apart, three, _ = scene(frames=3, views=3)
    apart[..., 1] += 1000 * np.arange(3)[:, None, None]  # px: each view sees them higher above ground than the last
    with pytest.raises(InputError, match=r"expected \(frames, 3 views, people, 26 points, 3\)"):
        associate_person(people, cameras[:3], SKELETON, RATE)
    with pytest.raises(InputError, match="at least two cameras"):
        associate_person(people[:, :1], cameras[:1], SKELETON, RATE)
    with pytest.raises(InputError, match="nobody was seen consistently"):
        associate_person(apart, three, SKELETON, RATE)
    with pytest.raises(InputError, match="nobody was detected in any of 3 frames of 4 views"):
        associate_person(np.full_like(people, np.nan), cameras, SKELETON, RATE)
