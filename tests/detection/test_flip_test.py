import numpy as np
import pytest

from simspine.detection.flip_test import FlipTest, averaged, mirrored_boxes
from simspine.detection.protocol import Detector, estimated_by
from simspine.skeletons import load

COCO = load("coco17")
LEFT, RIGHT, NOSE = (COCO.index(name) for name in ("left_wrist", "right_wrist", "nose"))


class FacingPeople:
    """Finds people who face the camera: of two bright spots in a row the left one is their right wrist, as in the
    mirror. Everything is found `off` px too far right."""

    skeleton, people = "coco17", 4

    def __init__(self, off=0.0):
        self.off, self.closed = off, False

    def detect(self, images, boxes=None):
        found = []
        for image in images:
            rows = {}
            for y, x in np.argwhere(image[..., 0] > 0):
                rows.setdefault(y, []).append(x)
            people = np.full((len(rows), len(COCO), 3), np.nan)
            people[..., 2] = 0.0
            for person, (y, xs) in zip(people, sorted(rows.items()), strict=True):
                for point, x in ((RIGHT, min(xs)), (LEFT, max(xs)), (NOSE, np.mean(xs))):
                    person[point] = x + self.off, y, 0.8
            found.append(people)
        return found

    def forget(self):
        pass

    def close(self):
        self.closed = True


def picture(*rows, width=101):
    image = np.zeros((60, width, 3), np.uint8)
    for y, xs in rows:
        image[y, list(xs)] = 255
    return image


@pytest.mark.parametrize("off", [0.0, 3.0])
def test_left_and_right_are_exchanged_and_what_the_mirror_turns_round_cancels(off):
    detector = FlipTest(FacingPeople(off), FacingPeople(off))
    assert isinstance(detector, Detector)
    (people,) = detector.detect([picture((20, (20, 80)))])
    np.testing.assert_allclose(people[0, RIGHT], [20, 20, 0.8])
    np.testing.assert_allclose(people[0, LEFT], [80, 20, 0.8])
    np.testing.assert_allclose(people[0, NOSE], [50, 20, 0.8])
    assert np.isnan(people[0, COCO.index("left_hip"), :2]).all()


def test_points_that_are_not_seen_are_not_seen_in_the_mirror_either_and_both_forget():
    class Guessing(FacingPeople):
        estimated, forgot = ("nose",), 0

        def forget(self):
            self.forgot += 1

    looks = Guessing(), Guessing()
    detector = FlipTest(*looks)
    assert estimated_by(detector) == ("nose",)
    assert estimated_by(FlipTest(FacingPeople(), FacingPeople())) == ()
    detector.forget()
    assert [look.forgot for look in looks] == [1, 1]


def test_several_people_find_themselves_in_the_mirror():
    detector = FlipTest(FacingPeople(2.0), FacingPeople(2.0))
    (people,) = detector.detect([picture((10, (110, 180)), (40, (15, 75)), width=201)])
    np.testing.assert_allclose(people[:, RIGHT, 0], [110, 15])
    np.testing.assert_allclose(people[:, LEFT, 0], [180, 75])


def test_who_is_in_one_look_only_stays_as_seen_there():
    person = np.tile([10.0, 20.0, 0.5], (17, 1)) + np.arange(17)[:, None] * [3.0, 1, 0]
    far = person + np.array([500, 0, 0])
    np.testing.assert_array_equal(averaged(person[None], far[None]), person[None])
    np.testing.assert_array_equal(averaged(person[None], np.empty((0, 17, 3))), person[None])
    assert averaged(np.empty((0, 17, 3)), person[None]).shape == (0, 17, 3)


def test_a_surer_look_counts_more():
    person = np.tile([0.0, 0.0, 0.9], (17, 1)) + np.arange(17)[:, None] * [10.0, 0, 0]
    other = person + np.array([4, 0, 0])
    other[:, 2] = 0.3
    np.testing.assert_allclose(averaged(person[None], other[None])[0, :, 0], person[:, 0] + 1.0)
    np.testing.assert_allclose(averaged(person[None], other[None])[0, :, 2], 0.6)


def test_boxes_are_mirrored_and_both_detectors_closed():
    np.testing.assert_allclose(mirrored_boxes(np.array([[10, 5, 30, 50]]), 101), [[70, 5, 90, 50]])
    pair = FacingPeople(), FacingPeople()
    FlipTest(*pair).close()
    assert [one.closed for one in pair] == [True, True]
