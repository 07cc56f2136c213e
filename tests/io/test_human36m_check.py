"""Known faults, and the report about a copy: complete, with holes, with damage, with another lens."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from small_metadata import write_metadata
from small_videos import greys, write_frames

from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Camera
from simspine.io.human36m import copy as cdf
from simspine.io.human36m import names
from simspine.io.human36m import names as faults
from simspine.io.human36m.copy import open_copy

FRAMES = 30


def rig():
    turn = Rotation.from_euler("xyz", [-100, 0, 90], degrees=True).as_matrix()
    K = [[1145, 0, 512], [0, 1144, 506], [0, 0, 1]]
    return [
        Camera(name, size, K, [-0.2, 0.24, -0.0027, 0.0016, -0.003], turn, [0.3 * i, 0.9, 5.5 + 0.1 * i])
        for i, (name, size) in enumerate(names.HUMAN36M_CAMERA_SIZES.items())
    ]


def body():
    """(frames, 32, 3) m: legs of a person; the rest anywhere."""
    rng = np.random.default_rng(0)
    joints = load_skeleton("human36m32")
    xyz = rng.uniform([-0.3, -0.3, 0.9], [0.3, 0.3, 1.75], (32, 3))
    for side in "RL":
        for joint, z in (("Hip", 0.92), ("Knee", 0.48), ("Ankle", 0.08)):
            xyz[joints.index(side + joint)] = [0, 0.1, z]
    return xyz + rng.normal(0, 0.002, (FRAMES, 32, 3))


def video(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_frames(path, greys((32, 32), range(frames)), 50)


def write(root, subject, trial, videos=()):
    name = names.official_name(subject, trial)
    folder = root / subject / "MyPoseFeatures"
    cdf.write_pose(folder / f"D3_Positions/{name}.cdf", 1000 * body())
    for camera, frames in zip(names.HUMAN36M_CAMERA_SIZES, videos, strict=False):
        video(root / subject / f"Videos/{name}.{camera}.mp4", frames)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    root = tmp_path_factory.mktemp("copy")
    write_metadata(root / "metadata.xml", {subject: rig() for subject in names.HUMAN36M_SUBJECT_NAMES})
    write(root, "S9", "Walking_1", videos=(FRAMES, FRAMES + 2, FRAMES, FRAMES))
    write(root, "S9", "Greeting_2")
    return open_copy(root)


class TestTable:
    def test_sources_agree_once_file_names_are_translated(self):
        """learnable-triangulation counts sub-actions, MHFormer#92 names files; both mean the same trials."""
        by_number = {"Greeting_2", "SittingDown_2", "Waiting_1"}
        files, _ = names.match_files("S9", ["Greeting", "SittingDown 1", "Waiting 1"])
        assert set(files) == by_number
        assert {fault.trial for fault in faults.known_faults_of("S9")} == by_number
        assert all(faults.is_unusable(faults.known_faults_of("S9", trial)) for trial in by_number)

    def test_corrupt_video_spoils_one_camera_only(self):
        (fault,) = faults.known_faults_of("S11")
        assert names.official_name("S11", fault.trial) == "Directions"
        assert not faults.is_unusable([fault])
        assert faults.spoilt_videos([fault]) == {"54138969"}
        assert (
            str(fault) == f"S11 Directions_2, camera 54138969: the video file is corrupt ({'; '.join(fault.sources)})"
        )

    def test_table_is_well_formed(self):
        for fault in faults.known_faults():
            assert fault.trial in names.canonical_trials()
            assert fault.camera is None or fault.camera in names.HUMAN36M_CAMERA_SIZES
            assert fault.spoils in ("trial", "video")
            assert fault.sources
            assert fault.reason
        assert faults.known_faults_of("S1") == []
        assert faults.known_faults_of("P1") == []


@pytest.mark.parametrize(
    ("positions", "videos", "expected"),
    [
        (1000, {"a": 1000, "b": 1020}, []),
        (1000, {"a": 999}, [("a", "video")]),
        (1612, {"55011271": 3393}, [("55011271", "video")]),  # VideoPose3D#215
    ],
)
def test_numbers_of_rows(positions, videos, expected):
    found = list(faults.length_faults("S1", "Walking_1", positions, videos))
    assert [(fault.camera, fault.spoils) for fault in found] == expected
    assert all(fault.sources == ("found in the files",) for fault in found)


def test_whole_trials_and_known_faults(copy):
    state = cdf.examine_copy(copy, ["S9"], ["Walking_1", "Greeting_2"])
    (subject,) = state.subjects
    assert [(t.trial, t.frames, t.usable) for t in subject.trials] == [
        ("Greeting_2", FRAMES, False),
        ("Walking_1", FRAMES, True),
    ]
    text = "\n".join(state.lines())
    assert "S9: 2 trials, 60 frames, videos of 0 to 4 cameras" in text
    assert "S9 Greeting_2: the motion capture has drifted" in text
    assert "usable: 1 trials, 30 frames, 0.6 s" in text


def test_what_is_missing_is_listed(copy):
    state = cdf.examine_copy(copy, ["S1", "S9"], ["Walking"], videos=False)
    assert [s.missing for s in state.subjects] == [("Walking_1", "Walking_2"), ("Walking_2",)]
    assert state.lines()[2:4] == ["    missing: Walking_2", "  nothing of S1"]
    with pytest.raises(InputError, match="S2"):
        cdf.examine_copy(copy, ["S2"])
    everything = cdf.examine_copy(copy, videos=False)
    assert [s.subject for s in everything.subjects] == list(names.HUMAN36M_SUBJECT_NAMES)
    assert len(everything.subjects[0].missing) == 30


def test_damage_rows_and_videos(tmp_path):
    write_metadata(tmp_path / "metadata.xml", {"S1": rig()})
    write(tmp_path, "S1", "Walking_1", videos=(FRAMES, FRAMES - 5, 2 * FRAMES))
    write(tmp_path, "S1", "Walking_2")
    (tmp_path / "S1/Videos/Walking 1.60457274.mp4").write_bytes(b"\0" * 100)
    broken = tmp_path / "S1/MyPoseFeatures/D3_Positions/Walking.cdf"
    broken.write_bytes(broken.read_bytes()[:5000])
    (tmp_path / "S1/MyPoseFeatures/D3_Positions/Walking 9.cdf").write_bytes(b"")
    copy = open_copy(tmp_path)
    first, second = cdf.examine_copy(copy, ["S1"], ["Walking"]).subjects[0].trials
    assert [(f.camera, f.spoils) for f in first.faults] == [
        ("55011271", "video"),
        ("58860488", "video"),
    ]
    assert len(first.problems) == 1
    assert "60457274.mp4" in first.problems[0]
    assert not second.usable
    assert "Walking.cdf: cannot be read as CDF" in second.problems[0]
    lines = "\n".join(cdf.examine_copy(copy, ["S1"], ["Walking"]).lines())
    assert "no trials of S1, left out: Walking 9" in lines
    assert "videos of 0 to 4 cameras" in lines
    assert "bytes are there" in second.problems[0]


def test_cameras_missing(copy, tmp_path):
    write(tmp_path, "S1", "Walking_1")
    (subject,) = cdf.examine_copy(open_copy(tmp_path), ["S1"], ["Walking_1"], videos=False).subjects
    assert "metadata.xml" in subject.cameras
