"""A tape with dots, followed in drawn images of a back that bends: every dot keeps its number."""

import numpy as np
import pytest
from drawn_tape import DOTS, RADIUS_PX, drawn, seen

from simspine.core.errors import InputError
from simspine.vision.detector import Crops
from simspine.vision.tape import find_dot_row, track_tape

FRAMES, CLICKED = 36, 3
SOUND = 0.7  # px, of a dot that is seen whole; the tape ends around the first and the last one
HIDDEN_ROWS = 230  # px of the image, from the top: out of view


def crops_of(view, covered=lambda frame: (), top=0):
    crops = Crops()
    for frame in range(FRAMES):
        image = drawn(view, frame, covered(frame))
        image[:top] = 90
        crops.add(frame, image, None)
    return crops


def clicks_on(view, *dots, off=1.0):
    return {number: {CLICKED: tuple(seen(view, CLICKED + 1)[CLICKED, number - 1] + off)} for number in dots}


def errors(found, view):
    """(frames, dots) px."""
    return np.linalg.norm(found[..., :2] - seen(view, FRAMES), axis=-1)


@pytest.fixture(scope="module")
def plain():
    return crops_of(0)


def test_the_row_between_two_clicks_is_found(plain):
    clicked = {number: at[CLICKED] for number, at in clicks_on(0, 1, DOTS).items()}
    row = find_dot_row(plain, CLICKED, clicked, RADIUS_PX)
    truth = seen(0, CLICKED + 1)[CLICKED]
    assert sorted(row) == list(range(1, DOTS + 1))
    assert max(np.hypot(*(row[number] - truth[number - 1])) for number in row) < SOUND


@pytest.mark.parametrize("wrong", [-2, -1, 1, 2])
def test_another_count_of_dots_is_refused(plain, wrong):
    ends = clicks_on(0, 1, DOTS)
    clicked = {1: ends[1][CLICKED], DOTS + wrong: ends[DOTS][CLICKED]}
    with pytest.raises(InputError, match=f"dots 1 and {DOTS + wrong} of the tape in frame 3.*no even row"):
        find_dot_row(plain, CLICKED, clicked, RADIUS_PX)


def test_dots_that_are_covered_where_it_is_clicked_are_left_out_of_the_row():
    covered = crops_of(0, lambda frame: (7, 14, 15))
    clicked = {number: at[CLICKED] for number, at in clicks_on(0, 1, DOTS).items()}
    row = find_dot_row(covered, CLICKED, clicked, RADIUS_PX)
    truth = seen(0, CLICKED + 1)[CLICKED]
    assert set(range(1, DOTS + 1)) - set(row) == {7, 14, 15}
    assert max(np.hypot(*(row[number] - truth[number - 1])) for number in row) < 1.5 * SOUND


def test_two_clicks_follow_all_dots_of_a_bending_back(plain):
    error = errors(track_tape(plain, clicks_on(0, 1, DOTS), DOTS, RADIUS_PX), 0)
    assert np.isfinite(error).all()
    assert error.max() < 1.5 * SOUND
    assert np.median(error) < 0.1


def test_a_covered_dot_is_missing_meanwhile_and_keeps_its_number():
    crops = crops_of(0, lambda frame: (9, 10) if 15 <= frame < 30 else ())
    error = errors(track_tape(crops, clicks_on(0, 1, DOTS), DOTS, RADIUS_PX), 0)
    lost = np.isnan(error)
    assert lost[15:30, 8:10].all()
    assert lost.sum() == 2 * 15
    assert np.nanmax(error) < 1.5 * SOUND


def test_part_of_the_tape_may_be_out_of_view():
    """What is above the edge is never claimed; dots that come into view later get their own numbers."""
    crops, truth = crops_of(0, top=HIDDEN_ROWS), seen(0, FRAMES)
    first = int(np.flatnonzero(truth[CLICKED, :, 1] > HIDDEN_ROWS + 2 * RADIUS_PX)[0]) + 1
    error = errors(track_tape(crops, clicks_on(0, first, DOTS), DOTS, RADIUS_PX), 0)
    whole, gone = truth[..., 1] > HIDDEN_ROWS + 3 * RADIUS_PX, truth[..., 1] < HIDDEN_ROWS - RADIUS_PX
    assert np.isnan(error[gone]).all()
    assert np.isfinite(error[whole]).mean() > 0.95
    assert np.nanmax(error[whole]) < 1.5 * SOUND


def test_a_click_on_one_dot_alone_is_refused(plain):
    with pytest.raises(InputError, match="frame 3 has a click on dot 5 of the tape only"):
        track_tape(plain, clicks_on(0, 5), DOTS, RADIUS_PX)
