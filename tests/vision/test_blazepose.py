import subprocess
import sys

import numpy as np
import pytest

from simspine.core import skeletons
from simspine.core.errors import InputError
from simspine.io.video import demo_folder, find_project, open_videos
from simspine.vision.blazepose import BlazePose
from simspine.vision.blazepose_spine import BlazePoseSpine
from simspine.vision.detector import Detector

S = skeletons.load_skeleton("blazepose33")


@pytest.fixture(scope="module")
def images():
    return [next(iter(video)) for video in open_videos(find_project(demo_folder()).videos)]


@pytest.fixture(scope="module")
def pair(images):
    """Two people in one image, 900 px apart: the person as cameras 0 and 2 see them."""
    return np.concatenate([images[0][:, 100:1000], images[2][:, 100:1000]], 1)


def hips(people):
    return people[:, [S.index("left_hip"), S.index("right_hip")], 0].mean(1)


def test_the_demos_person_is_found_upright_in_all_views(images):
    detector = BlazePose(threads=2)
    assert isinstance(detector, Detector)
    first, second = detector.detect(images), detector.detect(images)
    detector.close()
    for view, people in enumerate(first):
        assert people.shape == (1, 33, 3)
        points = {name: people[0, i] for i, name in enumerate(S.names)}
        # image y runs down: nose above shoulders above hips above knees
        assert points["nose"][1] < points["left_shoulder"][1] < points["left_hip"][1] < points["left_knee"][1]
        trunk = points["left_hip"][1] - points["left_shoulder"][1]
        assert 100 < trunk < 600
        # the same image again: the tracker stays where it was, all but a hand that it cannot see
        assert np.median(np.abs(second[view][0, :, :2] - people[0, :, :2])) < 0.05 * trunk
    # seen from the front in views 0 and 1 and from behind in 2 and 3: left and right appear exchanged
    order = [p[0, S.index("left_shoulder"), 0] > p[0, S.index("right_shoulder"), 0] for p in first]
    assert order == [True, True, False, False]


def test_everybody_is_found_and_followed(pair):
    detector = BlazePose(people=3, threads=1)
    seen = [detector.detect([image])[0] for image in (pair, np.roll(pair, 20, axis=1), np.roll(pair, 40, axis=1))]
    detector.close()
    first = hips(seen[0])
    assert len(first) == 2
    assert ((first.min() < 900) & (first.max() > 900)).all()
    for step, people in enumerate(seen):  # in the same order, both moving with the image
        assert np.abs(hips(people) - first - 20 * step).max() < 15


def test_no_more_people_than_asked_for(pair):
    detector = BlazePose(people=1, threads=1)
    assert len(detector.detect([pair])[0]) == 1
    detector.close()


@pytest.mark.parametrize("side", [0, 1])
def test_boxes_say_where_to_look(pair, side):
    """Whoever stands in the box, and nobody else; who is nowhere is not made up."""
    detector = BlazePose(people=3, threads=1)
    box = np.array([[900.0 * side + 100, 250, 900 * side + 800, 1500]])
    (people,) = detector.detect([pair], boxes=[box])
    assert len(people) == 1
    assert 900 * side < hips(people)[0] < 900 * (side + 1)
    assert len(detector.detect([np.full_like(pair, 127)], boxes=[box])[0]) == 0
    assert len(detector.detect([pair], boxes=[np.empty((0, 4))])[0]) == 0
    assert len(detector.detect([pair], boxes=[np.repeat(box, 2, 0)])[0]) == 1  # twice the same is one
    detector.close()


def test_nobody_gives_no_people():
    detector = BlazePose(threads=1)
    grey = np.full((240, 320, 3), 127, np.uint8)
    assert [found.shape for found in detector.detect([grey, grey])] == [(0, 33, 3)] * 2
    with pytest.raises(InputError, match="follows 2 views, got 1"):
        detector.detect([grey])
    detector.close()


def test_loading_writes_nothing_to_the_terminal():
    code = (
        "import numpy as np; from simspine.vision.blazepose import BlazePose\n"
        "d = BlazePose(); i = np.zeros((64, 64, 3), np.uint8); [d.detect([i, i]) for _ in range(3)]; d.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("make", [BlazePose, BlazePoseSpine])
def test_who_has_forgotten_sees_as_a_new_detector_does(make, images, pair):
    """Also another number of images, and other sizes; without forgetting the person of before is looked for first."""
    old, fresh, pictures = make(threads=1), make(threads=1), (images[2], pair, images[0][::2, ::2].copy())
    follows = False
    for picture in pictures:
        (remembered,) = old.detect([picture])
        old.forget()
        (seen,), (expected,) = old.detect([picture]), fresh.detect([picture])
        np.testing.assert_array_equal(seen, expected)
        follows |= remembered.shape != expected.shape or not np.array_equal(remembered, expected)
        fresh.close()
        fresh = make(threads=1)
    assert follows
    old.forget()
    assert len(old.detect(images[:2])) == 2
    old.close()
    fresh.close()
