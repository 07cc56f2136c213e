"""Numbered spots to be named: every number can be read."""

import numpy as np
import pytest

from simspine.report.click_sheet import CAPTION, RADIUS, click_sheet, label_boxes

SIZE = (600, 1000)
CROWD = {
    "side by side": [(300 + 30 * k, 400) for k in range(4)],
    "one above the other": [(300, 300 + 25 * k) for k in range(10)],
    "one place": [(300, 400), (303, 402), (298, 405)],
    "corners": [(5, 60), (595, 60), (5, 995), (595, 995)],
}


@pytest.mark.parametrize("crowd", CROWD)
def test_no_label_lies_on_a_ring_another_label_or_the_edge(crowd):
    places = {n + 1: np.array(at, float) for n, at in enumerate(CROWD[crowd])}
    boxes = label_boxes(places, SIZE)
    assert sorted(boxes) == sorted(places)
    taken = np.zeros(SIZE[::-1], int)
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    rings = np.any([np.hypot(x - u, y - v) <= RADIUS for u, v in places.values()], 0)
    for x0, y0, x1, y1 in boxes.values():
        assert x0 >= 0
        assert y0 >= CAPTION
        assert x1 <= SIZE[0]
        assert y1 <= SIZE[1]
        inside = (slice(int(y0), int(y1)), slice(int(x0), int(x1)))
        assert not rings[inside].any()
        taken[inside] += 1
    assert taken.max() == 1


def test_a_label_alone_is_right_of_its_ring():
    at = np.array([300.0, 400.0])
    box = label_boxes({7: at}, SIZE)[7]
    assert 0 < box[0] - (at[0] + RADIUS) < 10
    assert (box[1] + box[3]) / 2 == pytest.approx(at[1], abs=1)


def test_labels_of_rings_that_overlap_are_drawn_whole():
    """On a dark image only rings, lines and letters are bright: each label's ground holds letters of its own."""
    image = np.full((800, 600, 3), 40, np.uint8)
    trunk = np.array([[200, 200], [400, 200], [230, 600], [370, 600]], float)
    places = {9: np.array([300.0, 400.0]), 10: np.array([306.0, 404.0])}
    alone = {n: click_sheet(image, trunk, {n: at}, "cam") for n, at in places.items()}
    both = click_sheet(image, trunk, places, "cam")
    bright = {n: (sheet[..., 1] > 150).sum() for n, sheet in alone.items()}
    assert (both[..., 1] > 150).sum() > 0.75 * sum(bright.values())
