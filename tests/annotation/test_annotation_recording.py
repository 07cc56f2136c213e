import json
import shutil
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from drawn_recording import FRAMES, cameras, true_points
from small_videos import greys, write_frames, write_video

from simspine.annotation.labels import Edit, PointStatus, Visibility, append_edits, journal_file, start_journal
from simspine.annotation.recording import INFERRED_POINT_CONFIDENCE, Images, Target, open_target, with_spine
from simspine.annotation.server import Session, labels_of
from simspine.core.errors import InputError
from simspine.core.geometry import project_points
from simspine.core.skeletons import VERTEBRA_OF
from simspine.core.types import Camera, Keypoints, Markers
from simspine.io.calibration import write_calibration
from simspine.io.hdf5 import read_store, write_store
from simspine.io.image_streams import write_picture
from simspine.io.keypoint_json import people_file, write_people_json
from simspine.io.video import open_video
from simspine.vision.synchronise import Timing


def test_a_folder_of_photographs_with_calibration_and_points(drawn):
    folder, truth = drawn
    found = open_target(Target(str(folder)))
    assert found.views == ("cam01", "cam02", "cam03", "cam04")
    assert [camera.name for camera in found.cameras] == list(found.views)
    assert found.start.xy.shape == (FRAMES, 4, 37, 2)
    off = np.linalg.norm(found.start.xy - truth.select(found.start.names).xy, axis=-1)
    assert 5 < np.median(off) < 10  # noise of 6 px in x and y
    assert found.home == folder / "annotations"
    assert found.image_name(2, 1) == "cam02/002.png"


def test_of_two_calibrations_the_one_that_is_read_is_named(drawn, tmp_path):
    folder = Path(shutil.copytree(drawn[0], tmp_path / "copy"))
    (calibration,) = folder.rglob("*alib*.toml")
    shutil.copy(calibration, calibration.with_name("Calib_other.toml"))
    with pytest.warns(UserWarning, match="2 calibrations; read .*, written last"):
        open_target(Target(str(folder)))


def test_videos_without_calibration(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name)
    found = open_target(Target(str(tmp_path), skin=("C7", "T7")))
    assert found.cameras is None
    assert (found.views, found.frames) == (("a", "b"), 12)
    assert found.start.names[-2:] == ("C7_skin", "T7_skin")
    assert not found.start.labelled.any()
    assert found.image_name(3, 1) == "b/b_000003.jpg"


def test_one_image_and_a_packaged_recording(drawn, tmp_path):
    shutil.copy(drawn[0] / "cam01" / "000.png", tmp_path / "one.png")
    assert open_target(Target(str(tmp_path / "one.png"))).frames == 1
    packaged = open_target(Target("pose2sim:Demo_SinglePerson"))
    assert (packaged.frames, len(packaged.cameras)) == (100, 4)


def test_what_cannot_be_annotated_is_said(tmp_path, drawn):
    with pytest.raises(InputError, match="does not exist"):
        open_target(Target(str(tmp_path / "none")))
    with pytest.raises(InputError, match="nothing to annotate"):
        open_target(Target(str(tmp_path)))
    with pytest.raises(InputError, match="C77"):
        open_target(Target(str(drawn[0]), skin=("C77",)))
    with pytest.raises(InputError, match="markers on the skin: C7 is named more than once"):
        open_target(Target(str(drawn[0]), skin=("C7", "T7", "C7")))
    shutil.copytree(drawn[0], tmp_path / "copy")
    (tmp_path / "copy" / "cam02" / "005.png").unlink()
    with pytest.raises(InputError, match="differ in length: cam01 6, cam02 5, cam03 6"):
        open_target(Target(str(tmp_path / "copy")))


@pytest.fixture
def results(tmp_path):
    """A results folder with 2D points of three views of which the second is two frames late."""
    rig, folder = cameras()[:3], tmp_path / "recorded"
    folder.mkdir()
    for camera in rig:
        write_frames(folder / f"{camera.name}.mp4", greys(camera.size, range(0, 200, 20)), 50.0)
    write_calibration(folder / "Calib.toml", rig)
    videos = [str(folder / f"{camera.name}.mp4") for camera in rig]
    trial = {"videos": videos, "calibration": str(folder / "Calib.toml"), "delays": [0, 2, 0]}
    config = {"name": "r", "results": str(tmp_path / "r"), "subjects": {"S01": {"trials": {"walk": trial}}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    timing = Timing(tuple(camera.name for camera in rig), np.array([0, 2, 0]), np.zeros(3), 1, 6)
    moved = [Camera(c.name, c.size, c.K, c.distortion, c.R, c.t + 0.01) for c in rig]
    write_store(tmp_path / "r/S01/keypoints/walk.h5", keypoints=true_points(6, 3), cameras=rig, timing=asdict(timing))
    write_store(tmp_path / "r/S01/cameras/walk.h5", cameras=moved)
    return tmp_path / "r"


def test_results_give_points_cameras_as_used_and_delays(results, monkeypatch):
    monkeypatch.chdir(results.parent)
    with pytest.raises(InputError, match="--config"):
        open_target(Target("r"))
    found = open_target(Target("r", config=results.parent / "config.yaml"))
    np.testing.assert_array_equal(found.rows, np.arange(1, 7)[:, None] + [0, 2, 0])
    np.testing.assert_allclose(found.cameras[1].t, cameras()[1].t + 0.01)
    np.testing.assert_allclose(found.start.xy, true_points(6, 3).xy)
    assert "r/S01/vertebrae/walk.h5 does not exist" in found.note  # so the spine has no first guess, which is said
    assert "simspine run" in found.note
    assert found.home.resolve() == results.parent / "annotations" / "r" / "S01" / "walk"  # not inside the results
    images = Images(found)
    shown = [cv2.imdecode(np.frombuffer(images.jpeg(4, v), np.uint8), 0).mean() for v in range(3)]
    np.testing.assert_allclose(shown, [100, 140, 100], atol=6)


def test_decisions_under_the_former_name_of_the_results_are_named(results, monkeypatch):
    """A note says where they are; none where the new name has its own, or the images are others."""
    monkeypatch.chdir(results.parent)
    target = Target("r", config=results.parent / "config.yaml")
    recording = open_target(target)
    edit = Edit(0, 0, "Hip", 1.0, 2.0, Visibility.SEEN, PointStatus.CORRECTED)
    for person, images in (("S01", recording.images), ("S00", ["0" * 32] * 3)):
        journal = journal_file(results.parent / "annotations/r" / person / "walk", "anna")
        start_journal(journal, recording.name, recording.views, recording.start.names, images=images)
        append_edits(journal, [edit])
    assert "decisions" not in open_target(target).note
    results.rename(results.parent / "renamed")
    found = open_target(replace(target, path="renamed"))
    assert found.note.endswith("annotations/r/S01/walk holds decisions about the same images; "
                               "--out annotations/r/S01/walk continues them.")  # fmt: skip
    continued = open_target(replace(target, path="renamed", home=found.home.parents[2] / "r/S01/walk"))
    assert labels_of(continued, "anna").status[0, 0, continued.start.names.index("Hip")] == PointStatus.CORRECTED
    start_journal(journal_file(found.home, "anna"), found.name, found.views, found.start.names, images=found.images)
    assert "decisions" not in open_target(replace(target, path="renamed")).note


def test_videos_in_another_order_than_in_the_run_stay_with_their_cameras(results):
    """Names decide whose video one is; the second view, two frames late, shows that none is exchanged."""
    file = results.parent / "config.yaml"
    config = yaml.safe_load(file.read_text())
    config["subjects"]["S01"]["trials"]["walk"]["videos"].reverse()
    file.write_text(yaml.safe_dump(config))
    found = open_target(Target(str(results), config=file))
    assert [source.path.stem for source in found.sources] == list(found.views) == [c.name for c in cameras()[:3]]


def test_a_trial_that_was_renamed_since_is_named(results):
    file = results.parent / "config.yaml"
    file.write_text(file.read_text().replace("walk:", "stroll:"))
    with pytest.raises(InputError, match="unknown trial 'walk'"):
        open_target(Target(str(results), config=file))


def test_names_of_trials_may_end_like_the_file_of_all_people(results):
    file, points = results.parent / "config.yaml", results / "S01/keypoints"
    file.write_text(file.read_text().replace("walk:", "walk_people:"))
    (results / "S01/cameras/walk.h5").rename(results / "S01/cameras/walk_people.h5")
    (points / "walk.h5").rename(points / "walk_people.h5")
    assert open_target(Target(str(results), config=file)).name == "walk_people"
    shutil.copy(points / "walk_people.h5", points / "walk_people_people.h5")  # as of several people
    assert open_target(Target(str(results), config=file)).name == "walk_people"


def test_a_spine_solved_at_other_times_than_the_images_starts_at_the_images(results):
    """As with motion capture of another rate, which begins later: 100 frames/s from 0.04 s on, images from 0.02 s."""
    content = read_store(results / "S01/keypoints/walk.h5")
    points = content["keypoints"]
    spine = [points.names.index(name) for name in VERTEBRA_OF]
    xy = points.xy.copy()
    xy[:, :, spine] = np.nan
    write_store(results / "S01/keypoints/walk.h5", **content | {"keypoints": points.with_(xy=xy)})
    at = np.random.default_rng(0).normal((0, 0, 1), 0.3, (5, len(spine), 3))
    solved = Markers(tuple(VERTEBRA_OF), 100.0, at, "z_up", start=0.04)
    write_store(results / "S01/vertebrae/walk.h5", spine_markers=solved, centres=None)
    found = open_target(Target(str(results), config=results.parent / "config.yaml"))
    assert np.isfinite(found.start.xy[:, 0, spine]).all((1, 2)).tolist() == [False, True, True, True, False, False]
    np.testing.assert_allclose(found.start.xy[1:4, 0][:, spine], project_points(found.cameras, at[::2])[0])


def test_missing_points_start_where_the_solved_spine_projects():
    truth, rig = true_points(), cameras()
    xy, confidence = truth.xy.copy(), truth.confidence.copy()
    spine = [truth.names.index(name) for name in VERTEBRA_OF]
    xy[:, :, spine], confidence[:, :, spine] = np.nan, 0
    xy[2, 1, spine[3]], confidence[2, 1, spine[3]] = (5.0, 6.0), 0.9  # a detection stays
    rng = np.random.default_rng(0)
    at = rng.normal((0, 0, 1), 0.3, (FRAMES, len(spine), 3))
    centres = Markers(tuple(VERTEBRA_OF.values()), 50.0, at)
    released = Markers(tuple(VERTEBRA_OF), 50.0, at + 0.05)
    found = with_spine(Keypoints(truth.names, 50.0, xy, confidence), rig, released, centres)
    expected = np.moveaxis(project_points(rig, at), 0, 1)
    expected[2, 1, 3] = 5.0, 6.0
    np.testing.assert_allclose(found.xy[:, :, spine], expected)
    assert found.confidence[0, 0, spine[0]] == INFERRED_POINT_CONFIDENCE
    assert found.confidence[2, 1, spine[3]] == 0.9


def test_images_in_any_order_are_those_of_the_video(tmp_path):
    write_video(tmp_path / "a.mp4", frames=400)
    video = open_video(tmp_path / "a.mp4")
    wanted = [0, 7, 399, 3, 250, 251, 249, 130, 398, 1]
    truth = dict(zip(sorted(wanted), video.at(wanted), strict=True))
    images = Images(open_target(Target(str(tmp_path))))
    for frame in wanted:
        shown = cv2.imdecode(np.frombuffer(images.jpeg(frame, 0), np.uint8), cv2.IMREAD_COLOR)
        near = {k: np.abs(shown.astype(int) - image).mean() for k, image in truth.items()}
        assert min(near, key=near.get) == frame
    with pytest.raises(InputError, match="no frame 400"):
        images.jpeg(400, 0)
    images.close()


def test_closing_while_images_are_asked_for_is_safe(tmp_path):
    """A page fetches ahead; the program may end in the middle of that."""
    write_video(tmp_path / "a.mp4", frames=200)
    images, done = Images(open_target(Target(str(tmp_path)))), []

    def ask():
        try:
            for k in range(5000):
                images.jpeg((37 * k) % 200, 0)
                images._encoded.cache_clear()
        except InputError as error:
            done.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    images.close()
    for thread in threads:
        thread.join()
    assert len(done) == 4
    assert all("closed" in text for text in done)


def test_decisions_of_another_film_of_the_same_name_are_refused(tmp_path):
    """Two people's recordings have the same folder's name, cameras, number and size of images."""
    for grey, subject in enumerate(("S01", "S02")):
        (tmp_path / subject / "walk/cam1").mkdir(parents=True)
        for k in range(3):
            write_picture(tmp_path / subject / f"walk/cam1/{k}.png", np.full((60, 80, 3), 90 * grey, np.uint8))
    first, second = (open_target(Target(str(tmp_path / s / "walk"), home=tmp_path / "out")) for s in ("S01", "S02"))
    assert (first.name, first.views) == (second.name, second.views)
    Session(first, "anna").edit([{"f": 0, "v": 0, "p": "Hip", "x": 5, "y": 6, "see": 2, "how": 2}])
    with pytest.raises(InputError, match=r"anna\.jsonl: decisions about other images of 'walk'"):
        Session(second, "anna")
    with pytest.raises(InputError, match="decisions about other images"):
        labels_of(second, "anna")
    assert labels_of(first, "anna").decided.sum() == 1
    head, *edits = (tmp_path / "out/anna.jsonl").read_text().splitlines()
    head = {key: value for key, value in json.loads(head).items() if key != "images"}  # as earlier versions wrote it
    (tmp_path / "out/anna.jsonl").write_text("\n".join([json.dumps(head), *edits, ""]))
    assert labels_of(first, "anna").decided.sum() == 1


def test_unsent_decisions_belong_to_the_images_and_not_to_the_place_of_the_journal(tmp_path):
    """The results were removed and made anew from another film: the browser sent what was left of the first."""
    stores = []
    for grey in (0, 1, 1):
        shutil.rmtree(tmp_path / "walk", ignore_errors=True)
        (tmp_path / "walk/cam1").mkdir(parents=True)
        write_picture(tmp_path / "walk/cam1/0.png", np.full((60, 80, 3), 90 * grey, np.uint8))
        project = Session(open_target(Target(str(tmp_path / "walk"))), "anna").project()
        assert project["file"] == str(tmp_path / "walk/annotations/anna.jsonl")
        stores.append(project["store"])
    assert stores[0] != stores[1] == stores[2]


def test_decisions_stay_with_their_photographs(tmp_path):
    """A frame's number means another photograph once one before it is gone."""
    for k in range(4):
        write_picture(tmp_path / f"{k}.png", np.full((60, 80, 3), 60 * k, np.uint8))
    decided = {"f": 2, "v": 0, "p": "Hip", "x": 5, "y": 6, "see": 2, "how": 2}
    Session(open_target(Target(str(tmp_path))), "anna").edit([decided])
    journal = tmp_path / "annotations/anna.jsonl"
    head, *edits = journal.read_text().splitlines()
    assert np.flatnonzero(labels_of(open_target(Target(str(tmp_path))), "anna").decided.any((1, 2))).tolist() == [2]
    (tmp_path / "1.png").unlink()
    with pytest.raises(InputError, match=r"decisions about other images of .*, or numbered otherwise"):
        labels_of(open_target(Target(str(tmp_path))), "anna")
    older = json.loads(head)
    older["images"] = [digest[:16] for digest in older["images"]]  # as version 0.1 wrote it
    journal.write_text("\n".join([json.dumps(older), *edits, ""]))
    assert labels_of(open_target(Target(str(tmp_path))), "anna").decided.sum() == 1


@pytest.mark.parametrize("change", ["exchange", "replace"])
def test_decisions_about_photographs_whose_files_have_other_content_are_refused(tmp_path, change):
    """Another photograph may get the same name: as where two are renamed, or one is taken again."""
    for k in range(4):
        write_picture(tmp_path / f"{k}.png", np.full((60, 80, 3), 60 * k, np.uint8))
    decided = {"f": 2, "v": 0, "p": "Hip", "x": 5, "y": 6, "see": 2, "how": 2}
    Session(open_target(Target(str(tmp_path))), "anna").edit([decided])
    if change == "exchange":
        second, third = ((tmp_path / name).read_bytes() for name in ("2.png", "3.png"))
        (tmp_path / "2.png").write_bytes(third)
        (tmp_path / "3.png").write_bytes(second)
    else:
        write_picture(tmp_path / "2.png", np.full((60, 80, 3), 200, np.uint8))
    with pytest.raises(InputError, match=r"decisions about other images of .*, or numbered otherwise"):
        labels_of(open_target(Target(str(tmp_path))), "anna")


@pytest.mark.parametrize(("numbers", "images"), [
    ((0, 1, 2, 3), (0, 1, 2, 3)),
    ((2, 3), (2, 3)),  # the detector found nobody before, and wrote no file
    ((1, 3), (1, 3)),
    ((1, 2, 3, 4), (0, 1, 2, 3)),  # as many as there are images, counted from 1
    ((1001, 1002, 1003, 1004), (0, 1, 2, 3)),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*have a file in no folder")
def test_points_are_at_the_images_of_their_files_numbers(tmp_path, numbers, images):
    """The files' numbers count images from 0, as the names of exported images do."""
    for k in range(4):
        write_picture(tmp_path / f"walk/{k}.png", np.full((60, 80, 3), 60 * k, np.uint8))
    for number in numbers:
        points = [float(number), 10.0, 0.9] * 37
        write_people_json(people_file(tmp_path / "walk/pose", "walk", number), [{"pose_keypoints_2d": points}])
    x = open_target(Target(str(tmp_path / "walk"))).start.xy[:, 0, :, 0]
    expected = np.full((4, 1), np.nan)
    expected[list(images), 0] = numbers
    np.testing.assert_array_equal(x, np.broadcast_to(expected, x.shape))


def test_the_digest_of_a_video_says_which_of_its_images_the_frames_are(tmp_path):
    write_video(tmp_path / "a.mp4")
    found = open_target(Target(str(tmp_path)))
    late = replace(found, rows=found.rows + 1)
    assert late.images[0][:16] == found.images[0][:16]
    assert late.images != found.images
    assert replace(found, rows=found.rows[:-2]).images == found.images  # shorter, and numbered alike


def test_a_video_that_breaks_off_is_refused(tmp_path):
    """Its head announces frames that are not there."""
    path = write_video(tmp_path / "a.avi", frames=40)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="damaged"):
        open_target(Target(str(tmp_path)))
