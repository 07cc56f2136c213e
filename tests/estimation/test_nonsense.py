"""Nonsense handed to inverse kinematics is refused, or named by quality control; the same trial without it is not."""

import numpy as np
import pytest
from small_project import dancing, of_size

from simspine.anatomy.priors import Smoothness
from simspine.core.errors import InputError
from simspine.core.filtering import smooth
from simspine.core.types import MAX_FRAME_RATE_HZ
from simspine.estimation.inverse_kinematics import inverse_kinematics
from simspine.quality.marker_checks import (
    check_bone_lengths,
    check_marker_distance,
    check_marker_jumps,
    check_sides,
    check_vertical,
)


@pytest.fixture(scope="module")
def person():
    body = of_size(1.0)
    return body, dancing(body, 24)


def findings(body, markers) -> dict[str, set]:
    """{code: frames} of the checks of markers and of the fit."""
    solved = inverse_kinematics(body, markers, smoothness=Smoothness())
    found: dict[str, set] = {}
    for check in (
        check_marker_distance(solved.marker_names, solved.marker_error),
        check_marker_jumps(markers),
        check_bone_lengths(markers),
        check_sides(markers),
    ):
        for finding in check:
            found.setdefault(finding.code, set()).update(finding.frames or ())
    return found


def moved(markers, change):
    xyz = markers.xyz.copy()
    change(xyz)
    return markers.with_(xyz=xyz)


def test_sound_markers_are_taken_without_a_word(person):
    assert findings(*person) == {}


@pytest.mark.parametrize(("factor", "unit"), [(1000, "millimetres"), (100, "centimetres"), (1e-3, "to metres")])
@pytest.mark.parametrize("smoothness", [None, Smoothness()])
def test_another_unit_is_refused(person, factor, unit, smoothness):
    body, markers = person
    with pytest.raises(InputError, match=f"markers are spread over .* {unit}"):
        inverse_kinematics(body, markers.with_(xyz=factor * markers.xyz), smoothness=smoothness)


@pytest.mark.parametrize("smoothness", [None, Smoothness()])
def test_a_rate_at_which_nobody_is_filmed_is_refused(person, smoothness):
    """Up to the fastest rate there are standard deviations: none may be missing without a reason."""
    body, markers = person
    few = markers.with_(xyz=markers.xyz[:8])
    with pytest.raises(InputError, match=r"1e\+06 frames per second; no camera films people faster than 10000"):
        inverse_kinematics(body, few.with_(rate=1e6), smoothness=smoothness)
    solved = inverse_kinematics(body, few.with_(rate=MAX_FRAME_RATE_HZ), smoothness=smoothness)
    assert np.isfinite(solved.motion.values).all()
    if smoothness is not None:
        assert np.isfinite(solved.motion.deviation).all()


@pytest.mark.parametrize(("away", "found"), [(0.9, True), (0.2, False)])
def test_another_person_from_a_frame_on(person, away, found):
    """Of the same size and in the same pose: only the place tells. Filtered, no marker is faster than a hand may be."""
    _, markers = person
    xyz = markers.xyz.copy()
    xyz[12:, :, 0] += away
    there = smooth(markers.with_(xyz=xyz))
    frames = {frame for finding in check_marker_jumps(there) for frame in finding.frames}
    assert ({11, 12} <= frames) is found
    assert bool(frames) is found
    assert all(abs(frame - 11.5) < 7 for frame in frames)


def test_a_landing_is_no_other_person(person):
    """From 0.8 m, stopped by five times gravity."""
    _, markers = person
    time = (np.arange(markers.frames) - 12) / markers.rate
    speed = np.sqrt(2 * 9.81 * 0.8)
    stopping = np.clip(time, 0, speed / 49)
    height = -np.minimum(time, 0) * speed - 9.81 / 2 * np.minimum(time, 0) ** 2 - speed * stopping + 24.5 * stopping**2
    assert not list(check_marker_jumps(markers.with_(xyz=markers.xyz + height[:, None, None] * np.array([0, 1, 0]))))


def test_a_person_upside_down(person):
    """Turned over as a whole: nothing else is odd. Someone lying is not upside down."""
    body, markers = person

    def turned_over(xyz):
        xyz[..., 1] *= -1
        xyz[..., 0] *= -1

    over = moved(markers, turned_over)
    assert findings(body, over) == {"upside_down": set(range(markers.frames))}
    (finding,) = check_sides(over)
    assert finding.message.startswith("the person is upside down")
    lying = markers.with_(xyz=np.stack([markers.xyz[..., 1], -markers.xyz[..., 0], markers.xyz[..., 2]], -1))
    assert "upside_down" not in {finding.code for finding in check_sides(lying)}
    assert [finding.code for finding in check_vertical(lying)] == ["lying"]
    assert not list(check_vertical(markers))
    assert not list(check_vertical(over))
