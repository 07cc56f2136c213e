"""The examples in the docstrings of the main functions give what they say."""

import doctest

import cv2
import numpy as np
import pytest
from small_videos import write_frames

import simspine as ss
from simspine.core.settings import data_folder
from simspine.io.dataset_write import Dataset, SubjectData, TrialData, write_dataset
from simspine.io.video import open_video

EXAMPLES = (
    "Body", "complete_spine", "detect_image", "detect_video", "draw", "fit_trials",
    "forward_kinematics", "inverse_kinematics", "open_dataset", "read_mot",
    "read_trc", "reconstruct", "spine_from_back", "triangulate", "write_mot",
)  # fmt: skip
# A line of 45 cm on a back with two curves, and the dimples over the pelvis; m.
HEIGHT = np.linspace(1.4, 0.95, 40)
BACK_LINE = np.column_stack([-0.02 * np.sin(np.linspace(0, 6, 40)), HEIGHT, np.zeros(40)])
DIMPLES = np.array([[0.01, 0.95, -0.05], [0.01, 0.95, 0.05]])


@pytest.fixture(scope="module")
def recording(truth, tmp_path_factory):
    """A folder with the files that the examples read: a person's body, cameras and a trial called bow."""
    folder = tmp_path_factory.mktemp("recording")
    truth.body.write_osim(folder / "person.osim")
    ss.write_calibration(folder / "Calib.toml", truth.cameras)
    ss.write_keypoints(folder / "pose", truth.keypoints)
    ss.write_trc(folder / "bow.trc", truth.markers)
    filmed = open_video(data_folder("third_party") / "pose2sim" / "Demo_SinglePerson" / "videos" / "cam01.mp4")
    frames = list(filmed.at(range(2)))
    cv2.imwrite(str(folder / "person.png"), frames[0])
    write_frames(folder / "person.avi", frames, codec="FFV1")
    trial = TrialData(truth.markers, truth.motion)
    write_dataset(folder / "study.h5", Dataset({"S01": SubjectData((), {"bow": trial})}, {}))
    return folder


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of(name, recording, monkeypatch):
    monkeypatch.chdir(recording)
    known = {"ss": ss, "np": np, "line": BACK_LINE, "dimples": DIMPLES}
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(ss, name), name, globs=known)
    assert example.examples
    failures: list[str] = []
    doctest.DocTestRunner().run(example, out=failures.append)
    assert not failures, "".join(failures)


def test_only_these_have_examples():
    with_examples = {name for name in ss.__all__ if ">>>" in (getattr(ss, name).__doc__ or "")}
    assert with_examples == set(EXAMPLES)
