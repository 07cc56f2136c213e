"""simspine detect --lift: points in space beside those of the image, and what is refused."""

import json
from dataclasses import replace

import cv2
import numpy as np
import onnx
import pytest
from blob_network import blob_network
from command_line import call, failed, succeeded
from drawn_bodies import BODY, Bodies, image_of
from lifting_network import POINTS, card, lifting_network, of_version
from small_videos import write_frames

from simspine.core.errors import InputError
from simspine.core.geometry import undistort_pixels
from simspine.core.types import Camera
from simspine.io.calibration import write_calibration
from simspine.vision import one_camera
from simspine.vision.lifting import CARD_KEY, TRAIN_LIFTER_HINT, Lifter, LiftingLens, PeopleLifter
from simspine.vision.one_camera import FILE_POINT_NAMES, DetectedPerson

SIZE = (320, 240)
SEEN = {"LHip": "left_hip", "RHip": "right_hip", "LShoulder": "left_shoulder"}


@pytest.fixture(autouse=True)
def bodies(monkeypatch):
    monkeypatch.setattr(one_camera, "detector_of_options", lambda options: Bodies())


def detect(*arguments):
    return call("detect", *arguments, "--quiet", "--nosmooth")


def people_of(path) -> list[dict]:
    return json.loads(path.read_text())["people"]


def lifted(person) -> np.ndarray:
    return np.reshape(person["lifted_points_3d"], (len(POINTS), 3))


def expected_x(places, focal) -> np.ndarray:
    """(frames, points) in focal lengths, 0 where a point does not go in."""
    shift = [BODY[SEEN[name]][0] if name in SEEN else np.nan for name in POINTS]
    return np.nan_to_num((np.asarray(places, float)[:, None] + shift - SIZE[0] / 2) / focal)


def test_people_of_a_video_are_lifted_image_by_image(tmp_path):
    left, right = 60 + 4 * np.arange(12), 260 - 4 * np.arange(12)
    images = [image_of((a, 120), (b, 130)) for a, b in zip(left, right, strict=True)]
    video = write_frames(tmp_path / "walk.avi", images, codec="FFV1")
    lifter = lifting_network(tmp_path / "known.onnx")
    said = succeeded(detect(video, "-s", tmp_path / "points", "--lift", lifter, "--fov", 90))
    assert "5 points of a person in space, relative to Hip, all of them estimated" in said
    assert "world: m, z up, origin on the floor between the feet" in said
    assert "field of view: 90° along the longer side, as given" in said
    files = sorted((tmp_path / "points").iterdir())
    assert [file.name for file in files] == [f"frame_{i:05d}.json" for i in range(12)]
    for k, places in enumerate((left, right)):
        x = expected_x(places, 160)  # half of the longer side: 90 degrees
        found = np.array([lifted(people_of(file)[k]) for file in files])
        np.testing.assert_allclose(found[..., 0], x, atol=2e-5)
        np.testing.assert_allclose(found[..., 2], 2 * x, atol=4e-5)


def test_files_say_what_lifted_points_are(tmp_path):
    photo, out = tmp_path / "photo.png", tmp_path / "points.json"
    cv2.imwrite(str(photo), image_of((80, 120)))
    said = succeeded(detect(photo, "-s", out, "--lift", lifting_network(tmp_path / "known.onnx")))
    assert "60° along the longer side, assumed" in said
    about = json.loads(out.read_text())["lifted"]
    assert about["origin"] == "estimated"
    assert about["point_names"] == list(POINTS)
    assert (about["root"], about["unit"]) == ("Hip", "m")
    assert "no measurement" in about["scale"]
    assert about["lens"].startswith("60°")
    assert about["sha256"] == Lifter(tmp_path / "known.onnx").sha256
    (person,) = people_of(out)
    assert not any(person["pose_keypoints_3d"])  # three image points do not show how far away the person is
    assert "lifted_points_3d_sd" not in person
    focal = 160 / np.tan(np.radians(30))
    np.testing.assert_allclose(lifted(person)[:, 0], expected_x([80], focal)[0], atol=2e-5)


def test_photographs_are_lifted_each_for_itself(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, place in {"b": 100, "c": 200, "d": None}.items():
        cv2.imwrite(str(folder / f"{name}.png"), image_of(*([] if place is None else [(place, 110)])))
    lifter = lifting_network(tmp_path / "known.onnx")
    succeeded(detect(folder, "-s", tmp_path / "out", "--lift", lifter, "--fov", 90))
    for name, place in {"b": 100, "c": 200}.items():
        (person,) = people_of(tmp_path / "out" / f"{name}.json")
        np.testing.assert_allclose(lifted(person)[:, 2], 2 * expected_x([place], 160)[0], atol=4e-5)
    assert people_of(tmp_path / "out" / "d.json") == []


def test_a_calibrated_camera_straightens_the_image(tmp_path):
    K = np.array([[300.0, 0, 150], [0, 310, 125], [0, 0, 1]])
    camera = Camera("left", SIZE, K, np.array([-0.2, 0.05, 0, 0, 0]), np.eye(3), np.zeros(3))
    write_calibration(tmp_path / "rig.toml", [camera, replace(camera, name="right", size=(640, 480))])
    photo, out = tmp_path / "photo.png", tmp_path / "points.json"
    cv2.imwrite(str(photo), image_of((80, 120)))
    arguments = (photo, "-s", out, "--lift", lifting_network(tmp_path / "known.onnx"))
    arguments += ("--calibration", tmp_path / "rig.toml")
    assert "no camera 'photo', but left, right; name one by --camera" in detect(*arguments).output
    assert "for images of 640 × 480 px, these are 320 × 240 px" in detect(*arguments, "--camera", "right").output
    assert not out.exists()
    succeeded(detect(*arguments, "--camera", "left"))
    dx, dy = BODY["left_hip"]
    wanted = undistort_pixels(camera, np.array([80.0 + dx, 120.0 + dy]))
    np.testing.assert_allclose(lifted(people_of(out)[0])[POINTS.index("LHip"), :2], wanted, atol=2e-5)


def seen(x: float, number: int = 1) -> DetectedPerson:
    xy = np.full((len(FILE_POINT_NAMES), 2), np.nan)
    xy[FILE_POINT_NAMES.index("LHip")] = x, 120
    return DetectedPerson(xy, np.ones(len(FILE_POINT_NAMES)), *np.zeros((2, len(FILE_POINT_NAMES)), bool), number)


def test_inferred_points_are_not_looked_at_and_nobody_is_lifted_by_nothing(tmp_path):
    people = PeopleLifter(Lifter(lifting_network(tmp_path / "known.onnx")), LiftingLens())
    guessed = replace(seen(100), inferred=np.ones(len(FILE_POINT_NAMES), bool))
    assert people.lift_people([guessed, seen(100, 2)], SIZE).keys() == {2}
    assert people.lift_people([], SIZE) == {}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda path: None, "no such file; a lifter is wanted"),
        (
            lambda path: path.mkdir(),
            "lifter.onnx: a folder, where a file is wanted; a lifter is wanted",
        ),
        (lambda path: path.write_bytes(b"no network"), "cannot be opened as an ONNX network"),
        (lambda path: blob_network(path), "this ONNX network is no lifter of simspine"),
        (lambda path: lifting_network(path, properties=of_version(7)), "a lifter of version 7, this simspine reads 1"),
        (lambda path: lifting_network(path, properties={CARD_KEY: "[]"}), "a lifter of version None"),
        (lambda path: lifting_network(path, properties={CARD_KEY: "[" * 9999}), "a lifter of version None"),
        (
            lambda path: lifting_network(path, properties={CARD_KEY: '{"version": 1}'}),
            "the lifter's own description is",
        ),
        (
            lambda path: lifting_network(path, properties=of_version(1, frames=3, interval_s=0.2)),
            "description is wrong: frames: Input should be less than or equal to 1",
        ),
        (lambda path: lifting_network(path, card(sd=True)), "inputs and outputs are image, xyz, expected"),
        (lambda path: lifting_network(path, card(seen=("Neck",))), "does not give: Neck. Train a lifter for its"),
    ],
)
def test_what_is_no_lifter_of_these_points_is_refused_in_one_line(made, message, tmp_path):
    photo, out, path = tmp_path / "photo.png", tmp_path / "points.json", tmp_path / "lifter.onnx"
    cv2.imwrite(str(photo), image_of((80, 120)))
    made(path)
    said = failed(detect(photo, "-s", out, "--lift", path))
    assert message in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "x.png", "--lift", "a.onnx", "--no-lifting-panel"), "name where they go (--save-path)"),
        (("-s", "x.json", "--lift", "checkpoint.pt"), "checkpoint.pt: no such file"),
        (("-s", "x.json", "--fov", 60), "--fov is for --enable-lifting"),
        (("-s", "x.json", "--lift", "a.onnx", "--fov", 60, "--calibration", "b.toml"), "were both given"),
        (("-s", "x.json", "--lift", "a.onnx", "--camera", "cam01"), "name that file"),
        (("-s", "x.json", "--lift", "a.onnx", "--fov", 190), "190.0 is not in the range"),
    ],
)
def test_options_that_do_not_go_together(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.png", image_of((80, 120)))
    assert message in failed(detect("photo.png", *arguments))
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_a_checkpoint_of_training_is_told_from_a_lifter(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"PK")
    cv2.imwrite(str(tmp_path / "photo.png"), image_of((80, 120)))
    done = detect(tmp_path / "photo.png", "-s", tmp_path / "x.json", "--lift", tmp_path / "checkpoint.pt")
    assert f"a lifter is an ONNX file; {TRAIN_LIFTER_HINT}" in done.output


def test_a_network_whose_places_have_two_coordinates(tmp_path):
    """Oracle: the unchanged file, which lifts."""
    path, image = lifting_network(tmp_path / "lifter.onnx"), np.zeros((2, len(POINTS), 2))
    assert Lifter(path).lift(image)[0].shape == (2, len(POINTS), 3)
    model = onnx.load(str(path))
    model.graph.node[-1].CopyFrom(onnx.helper.make_node("Identity", ["own"], ["xyz"]))  # x and y alone
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    onnx.save(model, str(path))
    with pytest.raises(InputError, match=r"lifter\.onnx: "):
        Lifter(path).lift(image)
