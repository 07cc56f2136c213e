"""Files of annotation programs: foreign ones, and hostile ones."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.io.annotation_tools import labelling_setup, read_cvat, read_label_studio, write_cvat, write_label_studio
from simspine.io.coco import LabelledImages, read_coco_labels, write_coco_labels
from simspine.io.guarded import read_xml

NAMES = load_skeleton("simspine37").names


@pytest.fixture
def images():
    rng = np.random.default_rng(2)
    points = np.concatenate([rng.uniform(0, 500, (3, 37, 2)).round(3), rng.integers(0, 3, (3, 37, 1))], -1)
    points[points[..., 2] == 0] = 0
    return LabelledImages(
        NAMES, ("a/1.jpg", "a/2.jpg", "b/1.jpg"), [[640, 480]] * 3, points, rng.integers(0, 4, (3, 37))
    )


def test_pycocotools_reads_the_points_in_spinetracks_order(images, tmp_path, capsys):
    from pycocotools import coco

    write_coco_labels(tmp_path / "c.json", images)
    read = coco.COCO(str(tmp_path / "c.json"))
    names = read.cats[1]["keypoints"]
    assert names == list(load_skeleton("spinetrack37").names)
    order = [NAMES.index(load_skeleton("spinetrack37").to_simspine[name]) for name in names]
    for f, points in enumerate(images.points[:, order]):
        row = read.anns[f + 1]
        np.testing.assert_array_equal(np.reshape(row["keypoints"], (-1, 3)), points)
        assert row["num_keypoints"] == (points[:, 2] > 0).sum()
        assert read.imgs[row["image_id"]]["file_name"] == images.file_names[f]


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><name>t</name></task></meta>
<image id="0" name="frame_000000.png" width="640" height="480">
  <skeleton label="person" source="manual" z_order="0">
    <points label="nose" source="manual" outside="0" occluded="1" points="12.50,30.25"></points>
    <points label="hip" source="manual" outside="1" occluded="0" points="0.00,0.00"></points>
  </skeleton></image>
<image id="1" name="frame_000001.png" width="640" height="480">
  <points label="hip" source="manual" occluded="0" points="7.00,8.00" z_order="0"></points></image>
</annotations>"""


def test_a_file_of_cvats_own(tmp_path):
    (tmp_path / "c.xml").write_text(CVAT)
    found = read_cvat(tmp_path / "c.xml")
    assert found.names == ("nose", "hip")
    assert found.file_names == ("frame_000000.png", "frame_000001.png")
    assert found.points.tolist() == [[[12.5, 30.25, 1], [0, 0, 0]], [[0, 0, 0], [7, 8, 2]]]
    assert found.status.tolist() == [[2, 0], [0, 2]]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("12.50,30.25", "12.50,30.25;1,2", "expected one"),
        ("12.50,30.25", "nan,1", "expected one"),
        ('label="hip" source="manual" outside', 'label="nose" source="manual" outside', "twice"),
        ('width="640"', 'width="wide"', "width"),
        ("<annotations>", "<other>", "XML"),
        ("<image ", "<picture ", "XML"),
        ("<?xml", '<!DOCTYPE a [<!ENTITY x "y">]><?xml', "c.xml"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_cvats_file_is_named(tmp_path, old, new, told):
    (tmp_path / "c.xml").write_text(CVAT.replace(old, new, 1))
    with pytest.raises(InputError, match=told):
        read_cvat(tmp_path / "c.xml")


BOMB = '<!DOCTYPE a [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9)
) + "]><a>&j;</a>"  # fmt: skip
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>'


@pytest.mark.parametrize("text", [BOMB, OUTSIDE, '<!DOCTYPE a SYSTEM "http://localhost/x.dtd"><a/>'])
def test_no_entity_is_expanded_or_fetched(tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(InputError, match="document type"):
        read_xml(tmp_path / "a.xml")


def test_deep_nesting_and_rubbish_are_refused(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<a>" * 200_000)
    with pytest.raises(InputError, match="deep"):
        read_xml(path)
    for content in (b"", b"\xff\xfe\x00", b"<a", b"<a>&nothing;</a>", b'<?xml version="1.0" encoding="nonsense"?><a/>'):
        path.write_bytes(content)
        with pytest.raises(InputError, match="readable as XML"):
            read_xml(path)


def test_files_say_the_same_to_readers_that_know_nothing_of_us(images, tmp_path):
    """XML of the standard library, NumPy alone, JSON alone."""
    write_cvat(tmp_path / "c.xml", images)
    seen = 0
    for f, image in enumerate(ElementTree.parse(tmp_path / "c.xml").getroot().iter("image")):
        assert image.get("name") == images.file_names[f]
        for point in image.iter("points"):
            x, y, see = images.points[f, NAMES.index(point.get("label"))]
            if point.get("outside") == "0":
                assert [float(n) for n in point.get("points").split(",")] == pytest.approx([x, y], abs=0.006)
                assert point.get("occluded") == str(int(see == 1))
                seen += 1
    assert seen == (images.points[..., 2] > 0).sum()


def test_label_studio_counts_in_percent(images, tmp_path):
    write_label_studio(tmp_path / "l.json", images)
    tasks = json.loads((tmp_path / "l.json").read_text())
    regions = {
        r["value"]["keypointlabels"][0]: r
        for t in tasks[:1]
        for kind in ("annotations", "predictions")
        for a in t[kind]
        for r in a["result"]
    }
    for name, region in regions.items():
        x, y, _ = images.points[0, NAMES.index(name)]
        assert region["value"]["x"] == pytest.approx(100 * x / 640, abs=1e-5)
        assert region["value"]["y"] == pytest.approx(100 * y / 480, abs=1e-5)
    setup = labelling_setup(NAMES)
    assert setup.count("<Label ") == 37


def test_a_file_of_label_studios_own(tmp_path):
    region = {
        "original_width": 200, "original_height": 100, "image_rotation": 0, "type": "keypointlabels", "id": "x",
        "value": {"x": 50, "y": 25, "width": 0.4, "keypointlabels": ["nose"]},
    }  # fmt: skip
    tasks = [
        {
            "id": 3,
            "data": {"image": "/data/local-files/?d=cam/7.jpg"},
            "annotations": [{"result": [region, {"type": "choices"}]}],
        },
        {"id": 4, "data": {"image": "cam/8.jpg"}, "annotations": [], "predictions": [{"result": [region]}]},
    ]
    (tmp_path / "l.json").write_text(json.dumps(tasks))
    found = read_label_studio(tmp_path / "l.json")
    assert found.file_names == ("cam/7.jpg", "cam/8.jpg")
    assert found.points[:, 0].tolist() == [[100, 25, 2]] * 2
    assert found.status[:, 0].tolist() == [2, 0]  # a prediction nobody has looked at


@pytest.mark.parametrize(
    "content", ["{}", "[]", "[1]", '[{"data": {}}]', '[{"data": {"image": "a"}, "annotations": [{}]}]', "["]
)
def test_what_is_wrong_in_label_studios_file_is_named(tmp_path, content):
    (tmp_path / "l.json").write_text(content)
    with pytest.raises(InputError, match=r"l\.json"):
        read_label_studio(tmp_path / "l.json")


def test_two_people_in_an_image_are_refused(images, tmp_path):
    write_coco_labels(tmp_path / "c.json", images)
    content = json.loads((tmp_path / "c.json").read_text())
    content["annotations"][1]["image_id"] = 1
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="several people"):
        read_coco_labels(tmp_path / "c.json")


def test_a_skeleton_of_cvat_keeps_every_point(images, tmp_path):
    write_cvat(tmp_path / "c.xml", images)
    root = read_xml(tmp_path / "c.xml")
    assert {len(s) for s in root.iter("skeleton")} == {37}
    assert [label.findtext("type") for label in root.iter("label")] == ["skeleton"] + ["points"] * 37
