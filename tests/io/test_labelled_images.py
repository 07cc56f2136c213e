"""COCO files of points that people placed."""

import json

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.io.coco import LabelledImages, read_coco_labels, write_coco_labels

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


@pytest.mark.parametrize(
    ("table", "key", "value", "said"),
    [("images", "width", width, "sizes") for width in (0, -640, 1e308)]
    + [("annotations", "image_id", 1, "several people")],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_images_without_a_size_or_of_two_people_are_refused(images, tmp_path, table, key, value, said):
    write_coco_labels(tmp_path / "c.json", images)
    content = json.loads((tmp_path / "c.json").read_text())
    content[table][1][key] = value
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"c\.json.*{said}"):
        read_coco_labels(tmp_path / "c.json")
