"""pycocotools reads the file; positions by hand."""

import contextlib
import io
import json

import numpy as np
import pytest
from small_takes import FILLED, REJECTED, UNSOLVED

from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.io.coco import read_coco, write_coco
from simspine.io.exchange import ExportTrial, export_views

FRAMES = 9
TABLE = load_skeleton("spinetrack37")


@pytest.fixture(scope="module")
def written(tmp_path_factory, take37):
    path = tmp_path_factory.mktemp("coco") / "annotations" / "person_keypoints_train.json"
    hidden = np.zeros((2, FRAMES, 37), bool)
    hidden[0, :, take37.trial.markers.names.index("Spine_01")] = True
    take = ExportTrial(take37.subject, take37.name, take37.trial, take37.cameras, hidden)
    return path, take, write_coco(path, lambda: [take])


def test_pycocotools_reads_equal_values(written):
    from pycocotools import coco

    path, take, images = written
    with contextlib.redirect_stdout(io.StringIO()):
        data = coco.COCO(str(path))
    kept = [i for i in range(FRAMES) if i not in (UNSOLVED, REJECTED, FILLED)]
    assert images == 2 * len(kept) == len(data.getImgIds())
    (category,) = data.loadCats(data.getCatIds(catNms=["person"]))
    assert tuple(category["keypoints"]) == TABLE.names
    assert len(category["keypoints"]) == 37
    assert [19 + 1, 26 + 1] in category["skeleton"]  # hip – spine_01, counted from 1
    view = export_views(take)[0]
    spine, eye = TABLE.index("spine_01"), TABLE.index("left_eye")
    for number, frame in enumerate(kept):
        (image,) = data.loadImgs([number + 1])
        stem = f"S1_Walking_1.{view.camera.name}"
        assert image["file_name"] == f"S1/{stem}/{stem}_{frame + 1:06d}.jpg"
        assert (image["width"], image["height"]) == (1000, 1002)
        (annotation,) = data.loadAnns(data.getAnnIds(imgIds=[image["id"]]))
        points = np.array(annotation["keypoints"]).reshape(37, 3)
        for i, native in enumerate(TABLE.names):
            j = take.trial.markers.names.index(TABLE.to_simspine[native])
            if points[i, 2]:
                np.testing.assert_allclose(points[i, :2], view.px[frame, j], atol=0.0051)
            assert bool(points[i, 2]) == bool(view.inside[frame, j])
        assert points[spine, 2] in (0, 1)  # hidden
        assert (points[eye] == 0).all()  # unknown
        assert annotation["num_keypoints"] == (points[:, 2] > 0).sum()
        x, y, w, h = annotation["bbox"]
        labelled = points[points[:, 2] > 0]
        assert (labelled[:, 0] >= x - 0.01).all()
        assert (labelled[:, 1] <= y + h + 0.01).all()
        assert annotation["area"] == pytest.approx(w * h, abs=0.01)


def test_scores_are_perfect_against_itself(written):
    """COCOeval, with SpineTrack's number of points, takes the annotations as a detection of themselves."""
    import pycocotools.cocoeval as evaluation
    from pycocotools import coco

    path, _, _ = written
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(path))
        rows = [
            {k: a[k] for k in ("image_id", "category_id", "keypoints")} | {"score": 1.0} for a in truth.anns.values()
        ]
        found = truth.loadRes(rows)
        judge = evaluation.COCOeval(truth, found, "keypoints")
        judge.params.kpt_oks_sigmas = np.full(37, 0.07)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    assert judge.stats[0] == 1.0


def test_read_back(written):
    path, _, images = written
    found = read_coco(path)
    assert found["keypoints"].shape == (images, 37, 3)
    assert tuple(found["names"]) == TABLE.names
    assert (found["size"][-1] == [1000, 1000]).all()


def test_every_nth_frame_and_bad_input(take37, tmp_path):
    path = tmp_path / "x.json"
    assert write_coco(path, lambda: [take37], every=4) == 2 * 3  # frames 0, 4, 8
    assert json.loads(path.read_text())["images"][1]["file_name"].endswith("_000005.jpg")
    with pytest.raises(InputError, match="no cameras"):
        write_coco(tmp_path / "y.json", lambda: [ExportTrial("S1", "a", take37.trial)])
    with pytest.raises(InputError, match="no labelled point"):
        write_coco(tmp_path / "y.json", lambda: [])
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
    row = {"image_id": 1, "bbox": [], "keypoints": [10**400]}
    odd = {"images": [{"id": 1, "file_name": "", "width": 1, "height": 1}], "annotations": [row]}
    for text in (path.read_text()[:200], "[" * 5000, json.dumps(odd)):
        path.write_text(text)
        with pytest.raises(InputError, match=r"x\.json: not COCO"):
            read_coco(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_coco(tmp_path)


def test_names_and_file_names_that_cannot_be(tmp_path):
    path = tmp_path / "x.json"

    def written(file_name, names):
        image = {"id": 1, "file_name": file_name, "width": 1, "height": 1}
        row = {"image_id": 1, "bbox": [0, 0, 1, 1], "keypoints": [1.0] * 111}
        path.write_text(
            json.dumps({"images": [image], "annotations": [row], "categories": [{"keypoints": ["p"] * names}]})
        )
        return path

    assert read_coco(written("a.jpg", 37))["keypoints"].shape == (1, 37, 3)
    with pytest.raises(InputError, match=r"x\.json: the category names 36 keypoints, the annotations have 37"):
        read_coco(written("a.jpg", 36))
    for name in (3, None, ["a.jpg"], {}):
        with pytest.raises(InputError, match=r"x\.json: the file_name of an image is .*, expected a text"):
            read_coco(written(name, 37))
    with pytest.raises(InputError, match=r"x\.json: not COCO keypoints"):
        read_coco(written("\ud800.jpg", 37))


def test_images_with_one_id_are_refused(tmp_path):
    """Points would be taken for those of the last one."""
    path = tmp_path / "x.json"
    images = [{"id": 1, "file_name": name, "width": 1, "height": 1} for name in ("a.jpg", "b.jpg")]
    row = {"image_id": 1, "bbox": [0, 0, 1, 1], "keypoints": [1.0] * 111}
    path.write_text(json.dumps({"images": images, "annotations": [row]}))
    with pytest.raises(InputError, match=r"x\.json: several images have one id \(1\)"):
        read_coco(path)


def test_names_are_of_the_category_of_the_annotations(tmp_path):
    """A file may list several: of another one, left points would have the names of right ones."""
    path = tmp_path / "x.json"
    image = {"id": 1, "file_name": "a.jpg", "width": 1, "height": 1}
    kinds = [{"id": 7, "keypoints": ["b", "a"]}, {"id": 1, "keypoints": ["a", "b"]}]
    rows = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "keypoints": [1.0] * 6}]

    def read():
        path.write_text(json.dumps({"images": [image], "annotations": rows, "categories": kinds}))
        return read_coco(path)["names"].tolist()

    assert read() == ["a", "b"]
    rows.append({**rows[0], "category_id": 7})
    with pytest.raises(InputError, match=r"x\.json: annotations are of the categories \[1, 7\]"):
        read()
    rows[:] = [{**rows[0], "category_id": 3}]
    with pytest.raises(InputError, match=r"of the categories \[3\]; leave in those of one that is listed"):
        read()
