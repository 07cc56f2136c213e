"""Copies made by hand with the traps of the real one; all their forms must say the same."""

import numpy as np
import pytest
from aimed import aimed
from scipy.spatial.transform import Rotation
from small_metadata import write_metadata

from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Camera, Origin
from simspine.io.calibration import write_calibration
from simspine.io.human36m import copy as cdf
from simspine.io.human36m import names
from simspine.io.human36m.copy import open_copy, open_rigs

J17 = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]  # the 17 that public code picks out of the 32
SUBJECTS = ("S1", "S5", "S11")
FRAMES = 8


def rig(subject):
    turn = Rotation.from_euler("z", 5 * SUBJECTS.index(subject), degrees=True).as_matrix()
    cameras = []
    for i, (name, size) in enumerate(names.HUMAN36M_CAMERA_SIZES.items()):
        angle = np.pi / 4 + i * (np.pi / 2 + 0.02 * SUBJECTS.index(subject))
        centre = turn @ [4.5 * np.cos(angle), 4.5 * np.sin(angle), 1.55]
        R = aimed(centre, [0, 0, 0.95])
        K = [[1145 + i, 0, 512 - i], [0, 1144, 506], [0, 0, 1]]
        cameras.append(Camera(name, size, K, [-0.2, 0.24, -0.0027, 0.0016, -0.003], R, -R @ centre))
    return cameras


def motion(subject, trial, frames=FRAMES):
    """(frames, 32, 3) m: a standing figure that shifts; another for every subject and trial."""
    rng = np.random.default_rng([SUBJECTS.index(subject), names.canonical_trials().index(trial)])
    joints = load_skeleton("human36m32")
    body = rng.uniform([-0.3, -0.2, 0.9], [0.3, 0.2, 1.75], (32, 3))
    for side, y in (("R", -0.13), ("L", 0.13)):
        for joint, z in (("Hip", 0.92), ("Knee", 0.48), ("Ankle", 0.08), ("ToeBase", 0.03), ("ToeTip", 0.03)):
            body[joints.index(side + joint)] = [0, y, z]
    return body + np.cumsum(rng.normal(0, 0.01, (frames, 1, 3)), 0) + rng.normal(0, 0.003, (frames, 32, 3))


def write_cameras(path):
    write_metadata(path, {subject: rig(subject) for subject in SUBJECTS})


TRIALS = ("Directions_1", "Directions_2", "TakingPhoto_1")


def write_archives(root, folder="MyPoseFeatures/{}", trials=TRIALS):
    for subject in SUBJECTS:
        for trial in trials:
            name = names.official_name(subject, trial)
            path = root / subject / folder.format("D3_Positions") / f"{name}.cdf"
            cdf.write_pose(path, 1000 * motion(subject, trial))
            for camera in rig(subject):
                video = root / subject / "Videos" / f"{name}.{camera.name}.mp4"
                video.parent.mkdir(parents=True, exist_ok=True)
                video.write_bytes(b"not looked into")
        cdf.write_pose(root / subject / folder.format("D3_Positions") / "_ALL.cdf", np.ones((3, 32, 3)))


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    root = tmp_path_factory.mktemp("archives")
    write_archives(root)
    write_cameras(root / "metadata.xml")
    return root


@pytest.fixture(scope="module", params=["archives", "unpacked"])
def root(request, tmp_path_factory, archives):
    if request.param == "archives":
        return archives
    root = tmp_path_factory.mktemp(request.param)
    write_archives(root / "extracted", "Poses_{}")
    write_cameras(root / "metadata.xml")
    return root


class TestEveryLayout:
    def test_subjects_and_trials(self, root):
        copy = open_copy(root)
        assert copy.subjects == SUBJECTS
        assert all(copy.trials(subject) == list(TRIALS) for subject in SUBJECTS)
        assert all(copy.strays(subject) == () for subject in SUBJECTS)

    @pytest.mark.parametrize("subject", SUBJECTS)
    def test_positions_of_every_trial(self, root, subject):
        copy = open_copy(root)
        for trial in TRIALS:
            markers = copy.positions(subject, trial)
            assert markers.names == load_skeleton("human36m32").names
            assert (markers.rate, markers.frame, markers.start) == (50.0, "z_up", 0.0)
            assert set(markers.origin) == {Origin.GIVEN}
            np.testing.assert_allclose(markers.xyz, motion(subject, trial), atol=1e-6)
            few = markers.select(load_skeleton("human36m17").names)
            np.testing.assert_array_equal(few.xyz, markers.xyz[:, J17])

    def test_spellings_of_trials(self, root):
        copy = open_copy(root)
        assert copy.positions("S1", "Photo_1") == copy.positions("S1", "TakingPhoto-1")

    def test_cameras_are_the_subjects(self, root):
        copy = open_copy(root)
        for subject in SUBJECTS:
            for a, b in zip(copy.cameras(subject), rig(subject), strict=True):
                assert (a.name, a.size) == (b.name, b.size)
                np.testing.assert_allclose(a.R, b.R, atol=1e-14)
                np.testing.assert_allclose(a.t, b.t, atol=1e-14)

    def test_files_are_those_there(self, root):
        copy = open_copy(root)
        assert copy.camera_file("S1") == root / "metadata.xml"
        assert copy.motion_capture_file("S1", "TakingPhoto_1").is_file()
        assert list(copy.video_files("S1", "TakingPhoto_1")) == sorted(names.HUMAN36M_CAMERA_SIZES)

    def test_what_is_missing_is_named(self, root):
        copy = open_copy(root)
        with pytest.raises(InputError, match=r"S6.*Available: S1, S5, S11"):
            copy.positions("S6", "Directions_1")
        with pytest.raises(InputError, match=r"S5 has no Discussion_1 .*'Discussion 2'.*There: Directions_1"):
            copy.positions("S5", "Discussion_1")


class TestArchives:
    def test_videos_in_the_order_of_the_cameras_without_the_corrupt_one(self, archives):
        copy = open_copy(archives)
        assert [path.name for path in copy.videos("S1", "TakingPhoto_1")] == [
            f"TakingPhoto 1.{name}.mp4" for name in names.HUMAN36M_CAMERA_SIZES
        ]
        good = copy.videos("S11", "Directions_2")
        assert [path.name for path in good] == [
            f"Directions.{name}.mp4" for name in list(names.HUMAN36M_CAMERA_SIZES)[1:]
        ]
        assert len(copy.videos("S11", "Directions_1")) == 4
        assert [fault.trial for fault in copy.faults("S11")] == ["Directions_2"]

    def test_a_virtual_capture_has_none_of_the_known_faults(self, tmp_path):
        write_archives(tmp_path, trials=("Directions_2",))
        (tmp_path / "capture.json").write_text("{}")
        copy = open_copy(tmp_path)
        assert copy.faults("S11") == copy.faults("S9", "Greeting_2") == []
        assert len(copy.videos("S11", "Directions_2")) == 4

    def test_millimetres_taken_for_metres_and_the_reverse(self, tmp_path):
        path = tmp_path / "S1/MyPoseFeatures/D3_Positions/Directions 1.cdf"
        cdf.write_pose(path, motion("S1", "Directions_1"))  # metres, where mm belong
        with pytest.raises(InputError, match=r"S1 Directions_1: .*m long together.*seems to be in metres"):
            open_copy(tmp_path).positions("S1", "Directions_1")

    def test_strays_are_named_where_a_trial_is_missing(self, tmp_path):
        folder = tmp_path / "S5/MyPoseFeatures/D3_Positions"
        cdf.write_pose(folder / "Discussion 1.cdf", 1000 * motion("S5", "Discussion_1"))  # S5 has 2 and 3
        copy = open_copy(tmp_path)
        assert copy.strays("S5") == ("Discussion 1",)
        with pytest.raises(InputError, match="no trial of S5: Discussion 1"):
            copy.positions("S5", "Discussion_1")

    def test_no_motion_capture(self, tmp_path):
        video = tmp_path / "S1/Videos/Directions 1.54138969.mp4"
        video.parent.mkdir(parents=True)
        video.write_bytes(b"not looked into")
        with pytest.raises(InputError, match="no motion capture"):
            open_copy(tmp_path).positions("S1", "Directions_1")


class TestRigs:
    def test_layouts_of_camera_files_agree(self, tmp_path):
        write_cameras(tmp_path / "m.xml")
        for subject in SUBJECTS:
            write_calibration(tmp_path / f"cameras/Calib_{subject}.toml", rig(subject))
        for subject in SUBJECTS:
            for place in (tmp_path / "m.xml", tmp_path):
                for a, b in zip(open_rigs(place).cameras(subject), rig(subject), strict=True):
                    assert a.name == b.name
                    np.testing.assert_allclose(a.R, b.R, atol=1e-12)
        assert open_rigs(tmp_path / "m.xml").lens == "human36m"
        assert open_rigs(tmp_path).lens == "opencv"
        assert open_rigs(tmp_path, "human36m").lens == "human36m"

    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match="no such file"):
            open_rigs(tmp_path / "none.toml")
        (tmp_path / "Calib_S1.toml").write_text("")
        with pytest.raises(InputError, match=r"no camera file for S5.*Calib_S5\.toml"):
            open_rigs(tmp_path).cameras("S5")
        with pytest.raises(InputError, match="lens 'opncv'"):
            open_rigs(tmp_path, "opncv")


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        open_copy(tmp_path / "none")
    with pytest.raises(InputError, match=r"Looked for .*D3_Positions.*Videos"):
        open_copy(tmp_path)


def test_near_misses_get_a_hint(tmp_path):
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(InputError, match="It is a file"):
        open_copy(tmp_path / "file.txt")
    (tmp_path / "a/archives").mkdir(parents=True)
    (tmp_path / "a/archives/Poses_D3_Positions_S1.tgz").write_bytes(b"")
    with pytest.raises(InputError, match=r"still packed \(Poses_D3_Positions_S1\.tgz"):
        open_copy(tmp_path / "a")
    (tmp_path / "b/S1/MyPoseFeatures/D3_Positions").mkdir(parents=True)
    with pytest.raises(InputError, match="folder of one subject; name the one above"):
        open_copy(tmp_path / "b/S1")
    with pytest.raises(InputError, match=r"There are subjects in .*b\."):
        open_copy(tmp_path)
    assert open_copy(tmp_path / "b").trials("S1") == []
