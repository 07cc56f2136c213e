"""Nonsense in the files of a project: the commands end in an error that names it, or the quality report does."""

import json
import shutil

import numpy as np
import pytest
from command_line import call, succeeded
from small_c3d import write_small_c3d

from simspine.core.geometry import change_frame, project_points
from simspine.core.skeletons import load_skeleton
from simspine.io.keypoint_json import write_keypoints
from simspine.io.trc import read_trc, write_trc
from simspine.vision.side_swaps import mirror_indices

pytestmark = pytest.mark.slow

FRAME = 8
STAGES = ("detect", "triangulate", "merge", "scale", "ik", "vertebrae", "quality")
EVERY = set(range(16))
ODD = {"marker_jump", "frame_rmse", "feet_backwards", "upside_down", "bone_length", "gap_filled", "mocap_file"}


def findings(project_, stages=STAGES) -> dict[str, tuple[set[int], str]]:
    """{code: (frames, messages)} of the trial's quality report after the stages."""
    for stage in stages:
        succeeded(call(stage, "--config", project_.file, "--quiet"))
    found: dict[str, tuple[set[int], str]] = {}
    for entry in json.loads((project_.results / "S01/quality/bow.json").read_text())["findings"]:
        frames, text = found.get(entry["code"], (set(), ""))
        frames = frames.union(*(range(*span) for span in entry["frames"]))
        found[entry["code"]] = frames, f"{text} {entry['message']}"
    return found


def error(project_, stages=STAGES) -> str:
    """What the first stage that fails says, as bad input should: exit code 2, warnings, one error, no traceback."""
    for stage in stages:
        done = call(stage, "--config", project_.file, "--quiet")
        if done.exit_code:
            assert isinstance(done.exception, SystemExit), done.exception
            assert done.exit_code == 2
            starts = [line.split(": ")[0] for line in done.stderr.splitlines()]
            assert starts.count("error") == 1
            assert set(starts[: starts.index("error")]) <= {"warning"}
            assert "Traceback" not in done.output
            return done.stderr
    raise AssertionError("no stage failed")


def put_images(project_, truth, xy) -> None:
    """xy: (frames, views, points, 2) px in the place of the project's keypoint files."""
    shutil.rmtree(project_.folder / "pose/bow")
    views = [camera.name for camera in truth.cameras]
    write_keypoints(project_.folder / "pose/bow", truth.keypoints.with_(xy=xy), views)


def seen(truth, change) -> np.ndarray:
    """What the cameras see of the person once `change(xyz, names)` was done to the points in space (z up)."""
    xyz = np.array(change_frame(truth.markers.xyz, "y_up", "z_up"))
    change(xyz, truth.markers.names)
    xy, table = np.full(truth.keypoints.xy.shape, np.nan), load_skeleton("spinetrack37")
    for i, native in enumerate(table.names):
        if (name := table.to_simspine[native]) in truth.markers.names:
            xy[:, :, i] = project_points(truth.cameras, xyz[:, truth.markers.index(name)]).transpose(1, 0, 2)
    return xy


def frame_away(xyz, names):
    xyz[FRAME] += [10, 0, 0]


def wrist_away(xyz, names, metres=10):
    xyz[FRAME, names.index("LWrist"), 2] += metres


def wrist_two_metres_away(xyz, names):
    wrist_away(xyz, names, metres=2)


def mirrored(xyz, names):
    xyz[..., 1] *= -1


def turned_over(xyz, names):
    xyz[..., 1:] *= -1
    xyz[..., 2] += 2


def millimetres(xyz, names):
    xyz *= 1000


class TestPointsInImages:
    def test_sound_ones_are_taken_without_a_word(self, copied, truth):
        put_images(copied, truth, seen(truth, lambda xyz, names: None))
        assert not ODD & set(findings(copied))

    def test_a_frame_in_which_the_person_is_ten_metres_away(self, copied, truth):
        """Nobody is there any more, as for a moment of somebody else: the frame is interpolated, and named."""
        put_images(copied, truth, seen(truth, frame_away))
        found = findings(copied)
        assert found["gap_filled"][0] == {FRAME}

    def test_a_wrist_two_metres_away_in_one_frame(self, copied, truth):
        put_images(copied, truth, seen(truth, wrist_two_metres_away))
        found = findings(copied)
        assert "LWrist" in found["marker_flagged"][1]
        assert FRAME in found["frame_rmse"][0]
        assert "left forearm" in found["bone_length"][1]

    def test_a_wrist_far_outside_the_images_in_one_frame(self, copied, truth):
        """Ten metres away: it is taken as missing, and interpolated."""
        put_images(copied, truth, seen(truth, wrist_away))
        found = findings(copied)
        assert found["gap_filled"][0] == {FRAME}
        assert set(found) & ODD == {"gap_filled"}

    @pytest.mark.parametrize("how", ["mirrored in space", "sides exchanged"])
    def test_left_and_right_exchanged(self, copied, truth, how):
        xy = seen(truth, mirrored)
        if how == "sides exchanged":
            xy = truth.keypoints.xy[:, :, mirror_indices(truth.keypoints.names)]
        put_images(copied, truth, xy)
        found = findings(copied)
        assert found["feet_backwards"][0] == EVERY
        assert "marker_flagged" in found

    def test_a_person_upside_down(self, copied, truth):
        put_images(copied, truth, seen(truth, turned_over))
        assert findings(copied)["upside_down"][0] == EVERY

    @pytest.mark.parametrize(
        ("factor", "words"),
        [
            ((1 / 1920, 1 / 1080), ["Are they shares of the image, not px?", "rays are over 0."]),
            ((2, 2), ["rays are over 0."]),  # of images twice as large
            ((0.5, 0.5), ["Noticed before: "]),  # half as large: rays meet, far from the person's size
        ],
    )
    def test_pixels_of_other_images(self, copied, truth, factor, words):
        put_images(copied, truth, truth.keypoints.xy * factor)
        said = error(copied)
        assert [text for text in words if text not in said] == []

    def test_a_second_person_in_all_views(self, copied, truth):
        """Somebody stands next to the patient: the report was about them, without a word."""

        def standing_near(xyz, names):
            xyz[:] = xyz[:1] + np.array([0.2, 1.0, 0.0])

        put_images(copied, truth, truth.keypoints.xy)
        other = np.nan_to_num(seen(truth, standing_near))
        for view, folder in enumerate(sorted((copied.folder / "pose/bow").iterdir())):
            for frame, file in enumerate(sorted(folder.iterdir())):
                content = json.loads(file.read_text())
                points = np.insert(other[frame, view], 2, 0.9, axis=-1)
                content["people"].append({"pose_keypoints_2d": points.ravel().tolist()})
                file.write_text(json.dumps(content))
        assert "2 people are seen for long" in findings(copied)["recording"][1]

    def test_two_trials_of_different_people(self, copied, truth):
        larger = truth.markers.with_(xyz=1.25 * truth.markers.xyz)
        write_trc(copied.folder / "larger.trc", larger)
        settings = copied.settings
        settings["subjects"]["S01"]["trials"]["other"] = {"markers": str(copied.folder / "larger.trc")}
        copied.write(settings | {"body": {**settings.get("body", {}), "markers": "spinetrack37"}})
        assert "Are both of one person?" in findings(copied)["recording"][1]

    def test_a_mirrored_video(self, copied, truth):
        xy = np.array(truth.keypoints.xy)
        xy[:, 1, :, 0] = 1919 - xy[:, 1, :, 0]
        put_images(copied, truth, xy)
        assert "cam02" in error(copied)

    def test_two_views_exchanged(self, copied, truth):
        put_images(copied, truth, truth.keypoints.xy[:, [1, 0, 2, 3]])
        message = error(copied)
        assert "cam01" in message
        assert "cam02" in message


class TestMotionCapture:
    """In a file that takes the place of the triangulated points: TRC with Y up, C3D with Z up."""

    def put(self, project_, ending, change, unit="m") -> None:
        """unit: as the file says; it holds metres."""
        markers = read_trc(project_.results / "S01/markers/bow.trc")
        xyz = np.array(change_frame(markers.xyz, markers.frame, "z_up"))
        change(xyz, markers.names)
        path = project_.folder / f"mocap.{ending}"
        if ending == "trc":
            write_trc(path, markers.with_(xyz=change_frame(xyz, "z_up", markers.frame)))
            path.write_text(path.read_text().replace("\tm\t", f"\t{unit}\t"))
        else:
            # As a gait laboratory exports it: the subject's name before each label, results of a model, no name.
            names = [*(f"Ada:{name}" for name in markers.names), "Ada:LKneeAngles", ""]
            values = np.concatenate([xyz, 30 * np.ones((len(xyz), 2, 3))], 1) / (1 if unit == "m" else 1000)
            content = {"names": names, "values": values, "rate": markers.rate}
            axes = {"X_SCREEN": ["+X"], "Y_SCREEN": ["+Z"]}
            write_small_c3d(path, content, {"UNITS": [unit], "ANGLES": ["Ada:LKneeAngles"]} | axes)
        project_.trial(mocap=str(path))

    @pytest.mark.parametrize("ending", ["trc", "c3d"])
    def test_a_sound_one_is_taken_without_a_word(self, copied, ending):
        self.put(copied, ending, lambda xyz, names: None)
        assert not ODD & set(findings(copied, STAGES[2:]))

    @pytest.mark.parametrize(
        ("ending", "change", "words"),
        [
            ("trc", frame_away, "in another unit"),
            ("c3d", wrist_away, "The worst marker is 'LWrist'"),
            ("trc", mirrored, "it is mirrored"),
            ("c3d", turned_over, "a rotation of 180.0°"),
        ],
    )
    def test_it_contradicts_the_cameras(self, copied, ending, change, words):
        self.put(copied, ending, change)
        message = error(copied, STAGES[2:])
        assert f"mocap.{ending}" in message
        assert words in message

    def test_a_marker_two_metres_away_in_one_frame(self, copied):
        """Little over the whole trial, so that the file is taken."""

        def away(xyz, names):
            xyz[FRAME, names.index("LWrist")] += [0, 0, 2]

        self.put(copied, "trc", away)
        found = findings(copied, STAGES[2:])
        assert found["marker_jump"][0] == found["frame_rmse"][0] == {FRAME}

    @pytest.mark.parametrize(("ending", "wrong"), [("trc", "numbers"), ("c3d", "unit")])
    def test_millimetres_that_are_called_metres_or_the_other_way_round(self, copied, ending, wrong):
        """The person's size decides, and the quality report says so."""
        if wrong == "numbers":
            self.put(copied, ending, millimetres)
        else:
            self.put(copied, ending, lambda xyz, names: None, unit="mm")
        found = findings(copied, STAGES[2:])
        said = {"numbers": "the header says m, which", "unit": "the header says mm, which"}
        assert f"mocap.{ending}: {said[wrong]}" in found["mocap_file"][1]
        assert str(copied.folder) not in found["mocap_file"][1]
        assert not {"marker_flagged", "frame_rmse"} & set(found)
