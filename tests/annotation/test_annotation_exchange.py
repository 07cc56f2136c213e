import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from command_line import call, failed, succeeded
from drawn_recording import off_by, true_points, write_recording
from stick_person import STANDING

from simspine.annotation.exchange import (
    decisions_of_file,
    labelled_images_of,
    write_annotation_file,
    write_images,
)
from simspine.annotation.labels import (
    Edit,
    PointStatus,
    Visibility,
    append_edits,
    apply_edits,
    journal_file,
    start_journal,
)
from simspine.annotation.recording import Target, open_target
from simspine.annotation.server import labels_of
from simspine.core.errors import InputError
from simspine.core.skeletons import VERTEBRA_OF, load_skeleton, without_skin_markers
from simspine.core.types import Keypoints
from simspine.io.calibration import read_calibration, write_calibration
from simspine.io.coco import read_coco_labels, to_simspine
from simspine.io.image_streams import write_picture
from simspine.io.keypoint_json import read_keypoints, write_keypoints
from simspine.workflow.config_recordings import SkinMarkers
from simspine.workflow.up_to_date import hold_lock


def decisions(recording, seed=0):
    """Some decisions of every kind in every view."""
    rng = np.random.default_rng(seed)
    edits = []
    for frame in (0, 3, 5):
        for view in range(len(recording.views)):
            for name in recording.start.names:
                status = PointStatus(int(rng.integers(0, 4)))
                see = Visibility(int(rng.integers(0, 3)))
                x, y = rng.uniform(20, 400, 2).round(3)
                if status:
                    edits.append(Edit(frame, view, name, *((x, y) if see else (None, None)), see, status))
    return edits


def test_round_trip(recording, tmp_path):
    labels = apply_edits(recording.start, decisions(recording))
    path = tmp_path / "labels.json"
    write_annotation_file("coco", path, recording, labels)
    read = to_simspine(read_coco_labels(path))
    wanted = labelled_images_of(recording, labels)
    names = without_skin_markers(recording.start.names)
    order = [read.file_names.index(name) for name in wanted.file_names]
    got, wanted = read.select(names), wanted.select(names)
    np.testing.assert_array_equal(got.points[order][..., 2], wanted.points[..., 2])
    np.testing.assert_array_equal(got.status[order], wanted.status)
    placed = wanted.points[..., 2] > 0
    np.testing.assert_allclose(got.points[order][placed], wanted.points[placed], atol=0.002)
    np.testing.assert_array_equal(got.sizes[order], wanted.sizes)


def test_a_file_taken_in_makes_equal_labels(recording, tmp_path):
    """Points on the skin aside, which COCO has no place for."""
    labels = apply_edits(recording.start, [e for e in decisions(recording) if not e.point.endswith("_skin")])
    path = tmp_path / "labels.json"
    write_annotation_file("coco", path, recording, labels)
    images = to_simspine(read_coco_labels(path))
    again = apply_edits(recording.start, decisions_of_file(recording, recording.start, images, str(path)).edits)
    np.testing.assert_array_equal(again.status, labels.status)
    np.testing.assert_array_equal(again.visibility, labels.visibility)
    np.testing.assert_allclose(again.xy, labels.xy, atol=0.002)
    assert decisions_of_file(recording, again, images, str(path)).edits == []


def test_a_file_of_a_program_that_keeps_no_status_decides_about_moved_points_only(recording):
    """As of CVAT. All proposals had become a person's decisions, and a correction made since had gone."""
    proposed = labelled_images_of(recording, recording.start, decided_only=False)
    points = proposed.points.copy()
    image, hip, knee, nose = 7, *(proposed.names.index(name) for name in ("LHip", "LKnee", "Nose"))
    (frame, view), points[image, knee, 0] = divmod(image, len(recording.views)), points[image, knee, 0] + 9
    points[image, nose] = 0.0
    file = replace(proposed, points=points, status=np.zeros_like(proposed.status))
    since = [Edit(frame, view, name, 5.0, 6.0, Visibility.SEEN, PointStatus.CORRECTED) for name in ("LHip", "Nose")]
    labels = apply_edits(recording.start, since)
    x, y, _ = points[image, knee]
    moved = Edit(frame, view, "LKnee", x, y, Visibility.SEEN, PointStatus.CORRECTED)
    found = decisions_of_file(recording, labels, file, "f.json")
    assert found.edits == [moved]
    assert proposed.points[image, hip, 2] > 0
    assert found.open_points == (points[..., 2] > 0).sum() - 2
    assert found.missing_points == 1
    again = decisions_of_file(recording, apply_edits(labels, [moved]), file, "f.json", accept=True)
    assert {edit.status for edit in again.edits} == {PointStatus.ACCEPTED}
    assert len(again.edits) + again.open_points == found.open_points
    assert again.open_points == recording.start.guessed.sum()


def test_images_that_are_not_of_the_recording_are_named(recording):
    images = labelled_images_of(recording, apply_edits(recording.start, decisions(recording)))
    renamed = replace(images, file_names=("x/1.png", *images.file_names[1:]))
    assert decisions_of_file(recording, recording.start, renamed, "f.json").strange == ("x/1.png",)


def test_a_detector_to_import_finds_what_was_decided(recording, tmp_path):
    edits = [
        Edit(3, 1, "LKnee", 5.0, 6.0, Visibility.SEEN, PointStatus.CORRECTED),
        Edit(3, 1, "RKnee", 7.0, 8.0, Visibility.HIDDEN, PointStatus.CORRECTED),
        Edit(3, 1, "Nose", None, None, Visibility.ABSENT, PointStatus.CORRECTED),
    ]
    write_annotation_file("openpose", tmp_path, recording, apply_edits(recording.start, edits))
    found = read_keypoints([tmp_path / "cam02_json"], rate=25.0)
    place = {name: (*found.xy[0, 0, i], found.confidence[0, 0, i]) for i, name in enumerate(found.names)}
    assert place["left_knee"] == (5.0, 6.0, 1.0)
    assert place["right_knee"] == (7.0, 8.0, 0.5)
    assert place["nose"][2] == 0.0


def test_files_of_a_late_view_have_its_own_frames_numbers(recording, tmp_path):
    """The configuration that reads them states the delay, which must not shift them twice."""
    late = replace(recording, rows=np.minimum(recording.rows + np.array([0, 1, 0, 0]), len(recording.rows) - 1))
    edits = [Edit(3, view, "Nose", 5.0, 6.0, Visibility.SEEN, PointStatus.CORRECTED) for view in (0, 1)]
    write_annotation_file("openpose", tmp_path, late, apply_edits(late.start, edits))
    assert sorted(path.name for path in tmp_path.rglob("*.json")) == ["cam01_000003.json", "cam02_000004.json"]


def test_only_what_was_looked_at_is_written_unless_all_is_asked_for(recording, tmp_path):
    with pytest.raises(InputError, match="--all"):
        write_annotation_file("coco", tmp_path / "a.json", recording, recording.start)
    assert not (tmp_path / "a.json").exists()
    labels = apply_edits(recording.start, [Edit(2, 1, "Nose", 5.0, 6.0, Visibility.SEEN, PointStatus.CORRECTED)])
    assert labelled_images_of(recording, labels).file_names == ("cam02/002.png",)
    assert len(labelled_images_of(recording, labels, decided_only=False).file_names) == 24


def test_files_of_other_recordings_and_points_are_refused(recording):
    labels = apply_edits(recording.start, decisions(recording))
    images = labelled_images_of(recording, labels)
    elsewhere = type(images)(
        images.names, tuple(f"x{n}" for n in images.file_names), images.sizes, images.points, images.status
    )
    with pytest.raises(InputError, match="none of its"):
        decisions_of_file(recording, recording.start, elsewhere, "f.json")
    strange = type(images)(("tail", *images.names[1:]), images.file_names, images.sizes, images.points, images.status)
    with pytest.raises(InputError, match="tail"):
        decisions_of_file(recording, recording.start, strange, "f.json")
    width, height = images.sizes[0]
    scaled = replace(images, sizes=images.sizes // 2, points=images.points * [0.5, 0.5, 1])  # for another program
    with pytest.raises(InputError, match=f"{width // 2}×{height // 2} px, in the recording {width}×{height} px"):
        decisions_of_file(recording, recording.start, scaled, "f.json")


def test_export_import_and_comparison_by_command(drawn, tmp_path):
    home, file = tmp_path / "annotations", tmp_path / "anna.json"
    jpg, other = tmp_path / "jpg", tmp_path / "ben.json"
    common = [drawn[0], "--out", home]
    from simspine.annotation.recording import Target, open_target

    recording = open_target(Target(str(drawn[0]), home=home))
    path = journal_file(home, "anna")
    start_journal(path, recording.name, recording.views, recording.start.names)
    append_edits(path, decisions(recording))

    written = call(
        "annotations", "export", *common, "--annotator", "anna", "--format", "coco", "--file", file, "--images", jpg
    )
    assert written.exit_code == 0, written.output
    assert len(list(jpg.rglob("*.png"))) == 12
    before = file.read_bytes()  # as if another program had corrected it
    assert "anna.json exists already, and would be replaced" in failed(
        call("annotations", "export", *common, "--annotator", "anna", "--format", "coco", "--file", file)
    )
    assert file.read_bytes() == before
    points = [*common, "--annotator", "anna", "--format", "openpose", "--file", tmp_path / "points"]
    succeeded(call("annotations", "export", *points))
    assert "points exists already, and would be replaced" in failed(call("annotations", "export", *points))
    succeeded(call("annotations", "import", *common, "--annotator", "ben", "--file", file))
    assert (labels_of(recording, "ben").status == labels_of(recording, "anna").status).all()
    succeeded(call("annotations", "export", *common, "--annotator", "ben", "--format", "coco", "--file", other))
    said = succeeded(call("benchmark", "2d", f"ben={other}", "--truth", file, "--json", tmp_path / "c.json"))
    row = next(line.split() for line in said.splitlines() if line.startswith("| ben"))
    assert set(row[4:]) == {"1.000", "|"}  # both decided alike
    file.write_text("<annotations/>")
    assert str(file) in failed(call("annotations", "import", *common, "--annotator", "ben", "--file", file))


def test_labels_of_another_recording_with_the_same_names_of_images_are_refused(tmp_path):
    """Two trials of the same cameras: their decisions would have become those of the other one."""
    for grey, trial in enumerate(("walk", "run")):
        (tmp_path / trial / "cam1").mkdir(parents=True)
        write_picture(tmp_path / trial / "cam1/0.png", np.full((60, 80, 3), 90 * grey, np.uint8))
    walk = open_target(Target(str(tmp_path / "walk")))
    edit = Edit(0, 0, "Hip", 5.0, 6.0, Visibility.SEEN, PointStatus.CORRECTED)
    write_annotation_file("coco", tmp_path / "walk.json", walk, apply_edits(walk.start, [edit]))
    take = ["annotations", "import", "--annotator", "anna", "--file", tmp_path / "walk.json"]
    assert "labels of another recording" in failed(call(*take, tmp_path / "run"))
    assert not (tmp_path / "run/annotations").exists()
    assert "1 decisions added" in succeeded(call(*take, tmp_path / "walk"))
    content = json.loads((tmp_path / "walk.json").read_text())
    (tmp_path / "walk.json").write_text(json.dumps(content | {"info": None}))  # as other programs write it
    assert "1 decisions added" in succeeded(call(*take, tmp_path / "run"))


def test_clicks_for_the_marker_tracker(drawn, tmp_path):
    home = tmp_path / "annotations"
    common = ["annotations", "clicks", str(drawn[0]), "--out", str(home), "--annotator", "anna", "--skin", "C7,T7"]
    assert call(*common).exit_code == 2
    edits = [
        Edit(1, 0, "C7_skin", 10.04, 20.0, Visibility.SEEN, PointStatus.CORRECTED),
        Edit(4, 0, "C7_skin", None, None, Visibility.ABSENT, PointStatus.CORRECTED),
        Edit(1, 2, "C7_skin", 30.0, 40.0, Visibility.SEEN, PointStatus.CORRECTED),
        Edit(1, 0, "T7_skin", 1.0, 2.0, Visibility.SEEN, PointStatus.CORRECTED),  # in one view only
    ]
    path = journal_file(home, "anna")
    start_journal(path, "walk", ("cam01", "cam02", "cam03", "cam04"), ())
    append_edits(path, edits)
    said = succeeded(call(*common))
    written = yaml.safe_load(said)
    assert written == {"clicks": {"C7": {"cam01": [[1, 10.0, 20.0], [4, None, None]], "cam03": [[1, 30.0, 40.0]]}}}
    assert SkinMarkers.model_validate(written).by_frame()["C7"]["cam01"] == {1: (10.0, 20.0), 4: None}


def test_the_37_points_keep_spinetracks_order(recording, tmp_path):
    import json

    labels = apply_edits(recording.start, [Edit(0, 0, "LKnee", 5.0, 6.0, Visibility.HIDDEN, PointStatus.CORRECTED)])
    write_annotation_file("coco", tmp_path / "a.json", recording, labels)
    content = json.loads((tmp_path / "a.json").read_text())
    names = list(load_skeleton("spinetrack37").names)
    assert content["categories"][0]["keypoints"] == names
    (row,) = content["annotations"]
    k = names.index("left_knee")
    assert row["keypoints"][3 * k : 3 * k + 3] == [5.0, 6.0, 1]
    assert row["status"][k] == "corrected"
    assert row["status"][0] == "unseen"


@pytest.mark.parametrize(
    ("form", "name", "wanted"),
    [
        ("coco", "labels.xml", r"a file that ends in \.json"),
        ("openpose", "labels.json", "a folder"),
    ],
)
def test_a_name_of_another_format_is_refused(form, name, wanted, recording, tmp_path):
    labels = apply_edits(recording.start, decisions(recording))
    with pytest.raises(InputError, match=f"{form} is written to {wanted}"):
        write_annotation_file(form, tmp_path / name, recording, labels)
    assert list(tmp_path.iterdir()) == [] or not (tmp_path / name).exists()


def test_decisions_are_not_taken_in_while_their_annotator_is_at_work(drawn, recording, tmp_path):
    """As two servers would: the second process is refused and says what to do."""
    labels = apply_edits(recording.start, decisions(recording))
    write_annotation_file("coco", tmp_path / "labels.json", recording, labels)
    command = [
        "annotations", "import", str(drawn[0]), "--out", str(recording.home), "--skin", "C7",
        "--annotator", "anna", "--file", str(tmp_path / "labels.json"),
    ]  # fmt: skip
    with hold_lock(recording.home / ".anna.lock", "x"):
        for other in (command, ["annotate", str(drawn[0]), "--out", str(recording.home), "--annotator", "anna"]):
            refused = call(*other)
            assert refused.exit_code == 2
            assert "anna is annotating walk in another process" in refused.stderr
            assert "--annotator" in refused.stderr
        assert not journal_file(recording.home, "anna").exists()
    succeeded(call(*command))


@pytest.mark.parametrize("evil", ["../../stolen", "/tmp/stolen", "..", "a:b|", "a/../../b"])
def test_camera_names_of_a_calibration_write_nowhere_else(tmp_path, evil):
    """Labels as OpenPose and COCO files, images, and points, of cameras that a stranger has named."""
    folder = tmp_path / "inner" / "walk"
    write_recording(folder, off_by(true_points(), 6.0), frames=2)
    file = folder / "calibration" / "Calib.toml"
    cameras = read_calibration(file)
    write_calibration(file, [camera.with_(name=f"{evil}{i}") for i, camera in enumerate(cameras, 1)])
    before = set(tmp_path.rglob("*"))
    recording = open_target(Target(str(folder), home=tmp_path / "inner" / "home"))
    assert recording.views[0] == f"{evil}1"
    labels = replace(recording.start, status=np.full_like(recording.start.status, PointStatus.ACCEPTED))
    out = tmp_path / "inner" / "out"
    write_annotation_file("openpose", out / "points", recording, labels)
    fewer = replace(labels, status=np.where(np.arange(len(labels.status))[:, None, None] == 1, 0, labels.status))
    with pytest.raises(InputError, match="would count as a frame of these points"):  # frame 1 is no longer labelled
        write_annotation_file("openpose", out / "points", recording, fewer)
    write_annotation_file("coco", out / "labels.json", recording, labels)
    shown = labelled_images_of(recording, labels)
    for _ in range(2):  # the second time replaces equal pictures
        write_images(out / "images", recording, shown)
    first = out / "images" / shown.file_names[0]
    picture = first.read_bytes()
    first.write_text("mine")
    with pytest.raises(InputError, match="is another image, and would be replaced"):
        write_images(out / "images", recording, shown)
    assert first.read_text() == "mine"
    first.write_bytes(picture)
    keypoints = Keypoints(["Hip"], 50, np.ones((1, 4, 1, 2)), np.ones((1, 4, 1)))
    write_keypoints(out / "more", keypoints, recording.views)
    made = set(tmp_path.rglob("*")) - before
    assert made
    assert all(path.is_relative_to(out) for path in made)


def seen_from_the_side(px_per_m, left):
    """{SIMSPINE name: x, y px} of the standing person, who looks to the right of the image."""
    both = {"R" + name[1:]: (a, -b, c) for name, (a, b, c) in STANDING.items() if name[0] == "L"} | STANDING
    return {name: (left + px_per_m * (a + 0.3 * b), 470 - px_per_m * c) for name, (a, b, c) in both.items()}


def coco_of(people, hidden=()):
    """A COCO file of 17 points: [(image, points)]. hidden: numbers of those whose left hip is covered."""
    table, rows = load_skeleton("coco17"), []
    for number, (image, points) in enumerate(people):
        names = [table.to_simspine[name] for name in table.names]
        xy = np.array([points[name] for name in names])
        v = [1 if number in hidden and name == "LHip" else 2 for name in names]
        low, high = xy.min(0), xy.max(0)
        rows.append({
            "id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": [*low, *(high - low)],
            "keypoints": np.column_stack([xy, v]).ravel().tolist(),
        })  # fmt: skip
    images = [{"id": i, "width": 640, "height": 480, "file_name": f"{i}.jpg"} for i in {image for image, _ in people}]
    return {"images": images, "annotations": rows, "categories": [{"id": 1, "keypoints": list(table.names)}]}


def test_spines_are_proposed_for_large_people_whose_trunk_is_in_sight(tmp_path):
    small, large, larger = (seen_from_the_side(*size) for size in ((60, 100), (200, 150), (240, 400)))
    people = [(1, small), (2, large), (2, larger), (3, larger), (4, large)]
    (tmp_path / "limbs.json").write_text(json.dumps(coco_of(people, hidden=[3])))
    words = ["annotations", "propose", str(tmp_path / "limbs.json"), "--out", str(tmp_path / "started.json")]
    succeeded(call(*words))
    assert "started.json exists already" in failed(call(*words))  # it may hold corrections by now
    found = to_simspine(read_coco_labels(tmp_path / "started.json"))
    assert found.file_names == ("2.jpg", "4.jpg")  # of the second image the larger person
    for row, truth, unit in ((found.points[0], larger, 240), (found.points[1], large, 200)):
        for name, (x, y, v) in zip(found.names, row, strict=True):
            if name in VERTEBRA_OF:
                assert v == 1
                assert np.hypot(x - truth[name][0], y - truth[name][1]) < 0.1 * unit
            elif v:
                np.testing.assert_allclose((x, y), truth[name], atol=1e-3)
    spine = [name in VERTEBRA_OF for name in found.names]
    assert (found.status[:, spine] == PointStatus.UNSEEN).all()
    assert (found.points[0, :, 2] == 2).sum() == 17
    new = [*words[:-1], str(tmp_path / "curves.json")]
    succeeded(call(*new, "--curves"))
    curves = to_simspine(read_coco_labels(tmp_path / "curves.json"))
    trunk = curves.points[0, [curves.names.index(name) for name in ("Hip", "Spine_01", "Spine_02", "Spine_03")], :2]
    steps = np.linalg.norm(np.diff(trunk, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps.mean(), rtol=0.01)
    assert "nobody of 5 is 0.95 of the image's height" in failed(
        call(*words[:-1], str(tmp_path / "none.json"), "--least-height", "0.95")
    )


def test_images_of_the_recording_are_not_replaced(drawn, tmp_path):
    """They are called as the labelled images are, which are encoded anew."""
    folder = tmp_path / "walk"
    shutil.copytree(drawn[0], folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (tmp_path / "link").symlink_to(folder)
    for place in (folder, tmp_path / "link", folder / ".." / "walk"):
        words = ["annotations", "export", str(folder), "--format", "coco", "--file", str(tmp_path / "labels.json")]
        done = call(*words, "--all", "--images", place)
        assert done.exit_code == 2, done.output
        assert "is an image of the recording, and would be replaced" in done.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "labels.json").exists()


def test_two_images_that_are_one_of_the_recording_are_refused(recording):
    """As of two sessions with images of equal names: the last one would win."""
    images = labelled_images_of(recording, apply_edits(recording.start, decisions(recording)))
    first = images.file_names[0]
    twice = replace(images, file_names=(f"monday/{first}", f"tuesday/{first}", *images.file_names[2:]))
    with pytest.raises(InputError, match=f"f.json: several of its images are {first} of the recording"):
        decisions_of_file(recording, recording.start, twice, "f.json")
