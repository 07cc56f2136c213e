import subprocess
import sys

import numpy as np
import pytest

from simspine import skeletons
from simspine.detection.blazepose import BlazePose
from simspine.detection.protocol import Detector
from simspine.errors import InputError
from simspine.sources.pose2sim import demo_folder, find_project
from simspine.sources.video import open_videos

S = skeletons.load("blazepose33")


@pytest.fixture(scope="module")
def images():
    return [next(iter(video)) for video in open_videos(find_project(demo_folder()).videos)]


@pytest.mark.slow
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
        # the same image again: the tracker stays where it was
        assert np.abs(second[view][0, :, :2] - people[0, :, :2]).max() < 0.2 * trunk
    # seen from the front in views 0 and 1 and from behind in 2 and 3: left and right appear exchanged
    order = [p[0, S.index("left_shoulder"), 0] > p[0, S.index("right_shoulder"), 0] for p in first]
    assert order == [True, True, False, False]


def test_nobody_gives_no_people(images):
    detector = BlazePose(threads=1)
    grey = np.full((240, 320, 3), 127, np.uint8)
    assert [found.shape for found in detector.detect([grey, grey])] == [(0, 33, 3)] * 2
    with pytest.raises(InputError, match="follows 2 views, got 1"):
        detector.detect([grey])
    with pytest.raises(InputError, match="boxes"):
        detector.detect([grey, grey], boxes=[None, None])
    detector.close()


def test_unknown_complexity():
    with pytest.raises(InputError, match="expected 0, 1 or 2"):
        BlazePose(complexity=3)


def test_loading_writes_nothing_to_the_terminal():
    code = (
        "import numpy as np; from simspine.detection.blazepose import BlazePose\n"
        "d = BlazePose(); i = np.zeros((64, 64, 3), np.uint8); [d.detect([i, i]) for _ in range(3)]; d.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
