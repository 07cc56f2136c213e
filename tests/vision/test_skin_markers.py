"""Markers on the skin, followed in drawn images: a textured back that turns and shifts, spheres on dark bases."""

from functools import cache

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.vision.detector import Crops
from simspine.vision.skin_markers import find_centre, moved_with_trunk, track_markers

SIZE, RADIUS, RATE, FRAMES = 320, 5.0, 50.0, 60
SKIN, BASE, SPHERE, ARM = (120.0, 150.0, 200.0), (40.0, 40.0, 45.0), (225.0, 230.0, 225.0), (110.0, 135.0, 185.0)
PLACES = {"C7": (0.0, -60.0), "T7": (6.0, -5.0), "T10": (2.0, 40.0)}  # on the back, px
TRUNK = np.array([[-50, -70], [50, -70], [-35, 80], [35, 80]], float)
OFF = 2.2  # px, greatest error: the base is 2 px beside the sphere
FINE = 2  # subpixels along each side


def pose(frame):
    """Turn (rad) and place of the back: bending sideways and walking to the right."""
    return 0.5 * np.sin(2 * np.pi * frame / 50), np.array([130 + 0.9 * frame, 160 + 12 * np.sin(frame / 8)])


def seen(points, frame):
    """Points of the back (..., 2) in the image."""
    angle, place = pose(frame)
    c, s = np.cos(angle), np.sin(angle)
    return np.asarray(points, float) @ np.array([[c, s], [-s, c]]) + place


def drawn(frame, covered=(), rng=None):
    """The image with noise. covered: names of markers under an arm."""
    rng = np.random.default_rng(0) if rng is None else rng
    return np.clip(clean(frame, covered) + rng.normal(0, 3, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)


@cache
def clean(frame, covered):
    """The image without noise, its sub-pixels averaged. Texture moves with the back."""
    axis = (np.arange(SIZE * FINE) + 0.5) / FINE - 0.5
    x, y = np.meshgrid(axis, axis)
    angle, place = pose(frame)
    c, s = np.cos(angle), np.sin(angle)
    u, v = c * (x - place[0]) + s * (y - place[1]), -s * (x - place[0]) + c * (y - place[1])
    shade = 8 * np.sin(u / 9) * np.cos(v / 13) + 5 * np.sin((u + 2 * v) / 17)
    fine = np.array(SKIN) + shade[..., None]
    for name, (a, b) in PLACES.items():
        if name in covered:
            fine[np.abs(v - b) < 14] = np.array(ARM)
            continue
        fine[np.hypot(u - a - 2, v - b) < RADIUS + 1] = BASE
        fine[np.hypot(u - a, v - b) < RADIUS] = SPHERE
    return fine.reshape(SIZE, FINE, SIZE, FINE, 3).mean((1, 3))


def crops_of(frames=FRAMES, covered=lambda frame: ()):
    rng, crops = np.random.default_rng(1), Crops()
    for frame in range(frames):
        crops.add(frame, drawn(frame, covered(frame), rng), None)
    return crops


def trunk(frames=FRAMES, noise=4.0):
    rng = np.random.default_rng(2)
    return np.stack([seen(TRUNK, frame) + rng.normal(0, noise, (4, 2)) for frame in range(frames)])


def clicked_at(frame, off=0.8):
    return {name: {frame: tuple(seen(place, frame) + off)} for name, place in PLACES.items()}


def errors(found, frames=FRAMES):
    truth = {name: np.stack([seen(place, f) for f in range(frames)]) for name, place in PLACES.items()}
    return {name: np.hypot(*(found[name][:, :2] - truth[name]).T) for name in PLACES}


@pytest.fixture(scope="module")
def crops():
    return crops_of()


def test_one_click_follows_each_marker_through_all_frames(crops):
    """What is found is the middle of sphere and base, which is 2 px beside it: less than that away, without drift."""
    found = track_markers(crops, clicked_at(30), trunk(), RADIUS, RATE)
    for name, error in errors(found).items():
        assert np.isfinite(error).all(), name
        assert error.max() < OFF, name
        assert np.median(error[45:]) < np.median(error[25:35]) + 0.3, f"{name} drifts"


def test_a_covered_marker_is_missing_and_found_again():
    def covered(frame):
        return ("T7",) if 30 <= frame < 42 else ()

    frames = 48
    found = track_markers(crops_of(frames, covered), clicked_at(5), trunk(frames), RADIUS, RATE)
    error = errors(found, frames)
    assert np.isnan(error["T7"][31:41]).all()
    assert np.isfinite(error["T7"][44:]).all()
    assert np.nanmax(error["T7"]) < OFF + 0.3
    for name in ("C7", "T10"):
        assert np.nanmax(error[name]) < OFF, f"{name} takes another's place"


def test_a_marker_said_to_be_hidden_is_missing_from_there_on(crops):
    clicks = clicked_at(5)
    clicks["T10"] = {**clicks["T10"], 20: None, 40: tuple(seen(PLACES["T10"], 40))}
    found = track_markers(crops, clicks, trunk(), RADIUS, RATE)
    there = np.isfinite(found["T10"][:, 0])
    assert there[:20].all()
    assert not there[20:40].any()
    assert there[40:].all()


def test_between_clicks_on_different_things_nothing_is_claimed(crops):
    clicks = {"C7": {5: tuple(seen(PLACES["C7"], 5)), 50: tuple(seen(PLACES["T7"], 50))}}
    found = track_markers(crops, clicks, trunk(), RADIUS, RATE)["C7"]
    assert np.isnan(found[6:50, 0]).all()
    assert (found[6:50, 2] == 0).all()


def test_without_the_trunk_known_flow_alone_carries(crops):
    found = track_markers(crops, clicked_at(30), np.full((FRAMES, 4, 2), np.nan), RADIUS, RATE)
    assert max(np.nanmax(error) for error in errors(found).values()) < OFF


def test_a_click_beside_the_person_is_named(crops):
    with pytest.raises(InputError, match="not on the trunk of the person"):
        track_markers(crops, {"C7": {5: (900.0, 100.0)}}, trunk(), RADIUS, RATE)


def test_the_motion_of_the_trunk_is_its_similarity():
    here, there = trunk(noise=0.0)[[3, 17]]
    np.testing.assert_allclose(
        moved_with_trunk(np.stack([here, there]), 0, 1, seen(PLACES["T7"], 3)), seen(PLACES["T7"], 17), atol=1e-9
    )


def test_a_plain_back_holds_no_marker(crops):
    empty = seen((-45.0, 20.0), 10)
    with_marker = find_centre(crops, 10, seen(PLACES["T7"], 10), RADIUS)
    without = find_centre(crops, 10, empty, RADIUS)
    assert without.mass < 0.05 * with_marker.mass


def test_a_part_of_an_image_has_the_coordinates_of_the_whole():
    image = drawn(0)
    with Crops() as kept:
        kept.add(0, image, (100, 90, 220, 230))
        kept.add(1, image, None)
        inner, whole = (kept.window(frame, np.array([150.25, 140.5]), 12) for frame in (0, 1))
        np.testing.assert_array_equal(inner, whole)
        assert kept.inside(0, np.array([100, 90]))
        assert not kept.inside(0, np.array([99, 90]))
