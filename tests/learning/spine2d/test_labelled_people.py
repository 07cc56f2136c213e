"""Sets of labelled images from SpineTrack's layout and COCO files, and what is in a batch."""

import json

import cv2
import numpy as np
import pytest
from dotted_people import HEIGHT, NAMES, WIDTH, write_dotted

from simspine.core.errors import InputError
from simspine.learning.options import POINT_CHOICES, LabelledSet, spine_options
from simspine.learning.spine_samples import (
    CropReader,
    epoch_rows,
    point_weights,
    read_labelled_set,
)
from simspine.synthesis.signals import random_stream
from simspine.vision.spinepose import IMAGENET_MEAN, IMAGENET_SD, normalised_crop

STAGES = spine_options("paper").curriculum


@pytest.fixture(scope="module")
def people(dotted):
    return read_labelled_set(LabelledSet(folder=str(dotted)), NAMES, 1)


def test_a_folder_in_spinetracks_layout_is_read(tmp_path):
    written = write_dotted(tmp_path, "train-unreal", 5, seed=3)
    found = read_labelled_set(LabelledSet(folder=str(tmp_path)), NAMES, 1)
    np.testing.assert_array_equal(found.keypoints, written)
    np.testing.assert_array_equal(found.box[:, 2:], written[..., :2].max(1))
    assert [file.name for file in found.files] == [f"{i:06d}.png" for i in range(1, 6)]
    trunk = read_labelled_set(LabelledSet(folder=str(tmp_path)), POINT_CHOICES["trunk"], 1)
    np.testing.assert_array_equal(trunk.keypoints[:, 0], written[:, NAMES.index(trunk.names[0])])
    assert trunk.digest != found.digest


def test_the_digest_covers_the_images(tmp_path):
    """A training whose images were changed is another training."""
    write_dotted(tmp_path, "train-unreal", 3, seed=3)
    before = read_labelled_set(LabelledSet(folder=str(tmp_path)), NAMES, 1).digest
    file = tmp_path / "images/train-unreal/000002.png"
    file.write_bytes((tmp_path / "images/train-unreal/000003.png").read_bytes())
    assert read_labelled_set(LabelledSet(folder=str(tmp_path)), NAMES, 1).digest != before


def test_scaled_images_do_not_fit_their_labels(tmp_path):
    """Labels are px of the images as they were; nothing else would say that the places are wrong."""
    write_dotted(tmp_path, "train-unreal", 3, seed=3)
    for file in (tmp_path / "images/train-unreal").iterdir():
        cv2.imwrite(str(file), cv2.resize(cv2.imread(str(file)), (WIDTH // 2, HEIGHT // 2)))
    with pytest.raises(InputError, match=r"000001\.png is 60×80 px, and was labelled at 120×160 px"):
        read_labelled_set(LabelledSet(folder=str(tmp_path)), NAMES, 1)


@pytest.mark.parametrize(
    "name", ["../000001.png", "a/../../x.png", "/etc/passwd", "..\\x.png", "C:x.png", "\\\\a\\b", ""]
)
def test_labels_name_no_images_elsewhere(tmp_path, name):
    write_dotted(tmp_path, "train-unreal", 3, seed=3)
    path = tmp_path / "annotations" / "person_keypoints_train-unreal.json"
    content = json.loads(path.read_text())
    content["images"][1]["file_name"] = name
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"person_keypoints_train-unreal\.json: .* leads out of the folder"):
        read_labelled_set(LabelledSet(folder=str(tmp_path)), NAMES, 1)


def test_a_file_of_labels_holds_the_same_people(dotted, people):
    labels = dotted / "annotations" / "person_keypoints_train-unreal.json"
    where = LabelledSet(folder=str(dotted / "images" / "train-unreal"), labels=str(labels))
    assert read_labelled_set(where, NAMES, 1).digest == people.digest


def test_spinetracks_35_points_are_read_without_the_latissimus(tmp_path):
    written = write_dotted(tmp_path, "train-unreal", 2, seed=3)
    path = tmp_path / "annotations" / "person_keypoints_train-unreal.json"
    content = json.loads(path.read_text())
    del content["categories"][0]["keypoints"]
    kept = [i for i, name in enumerate(NAMES) if "latissimus" not in name]
    for row in content["annotations"]:
        row["keypoints"] = np.reshape(row["keypoints"], (37, 3))[kept].ravel().tolist()
    path.write_text(json.dumps(content))
    found = read_labelled_set(LabelledSet(folder=str(tmp_path)), NAMES, 1)
    np.testing.assert_array_equal(found.keypoints[:, kept], written[:, kept])
    assert (found.keypoints[:, [31, 32], 2] == 0).all()


def test_a_fraction_is_drawn_by_the_seed(dotted):
    def files(fraction, seed):
        return {
            file.name
            for file in read_labelled_set(LabelledSet(folder=str(dotted), fraction=fraction), NAMES, seed).files
        }

    assert len(files(0.5, 1)) == 9
    assert files(0.5, 1) == files(0.5, 1)
    assert files(0.5, 1) != files(0.5, 2)
    assert files(0.25, 1) < files(0.5, 1)  # a curve over fractions adds people
    assert len(files(0.001, 1)) == 1


def test_faults_name_the_users_file(tmp_path):
    with pytest.raises(InputError, match=r"person_keypoints_train-unreal\.json does not exist"):
        read_labelled_set(LabelledSet(folder=str(tmp_path)), NAMES, 1)
    write_dotted(tmp_path, "mine", 3, seed=1)
    with pytest.raises(InputError, match="splits there: mine"):
        read_labelled_set(LabelledSet(folder=str(tmp_path)), NAMES, 1)
    (tmp_path / "images/mine/000002.png").unlink()
    with pytest.raises(InputError, match=r"names the image .*000002\.png, which does not exist"):
        read_labelled_set(LabelledSet(folder=str(tmp_path), split="mine"), NAMES, 1)
    (tmp_path / "images/mine/000002.png").write_bytes(b"no image")
    broken = read_labelled_set(LabelledSet(folder=str(tmp_path), split="mine"), NAMES, 1)
    with pytest.raises(InputError, match=r"000002\.png cannot be read: it is empty"):
        list(CropReader((broken,), 1).plain(3))
    reader = CropReader((broken,), 1, processes=1)
    with reader.start() as pool, pytest.raises(InputError, match=r"000002\.png cannot be read: it is empty"):
        list(reader.epoch(0, STAGES[0], 3, pool))


def test_batches_depend_on_seed_and_epoch_alone(people):
    def batches(seed, epoch, processes=0):
        reader = CropReader((people,), seed, processes)
        with reader.start() as pool:
            return list(reader.epoch(epoch, STAGES[0], 6, pool))

    first = batches(1, 0)
    assert [len(batch) for batch in first] == [6, 6, 6]
    for other in (batches(1, 0), batches(1, 0, processes=1)):
        for a, b in zip(first, other, strict=True):
            np.testing.assert_array_equal(a.crops, b.crops)
            np.testing.assert_array_equal(a.places, b.places)
            np.testing.assert_array_equal(a.weight, b.weight)
    assert (first[0].crops != batches(1, 1)[0].crops).any()
    assert (first[0].crops != batches(2, 0)[0].crops).any()


def test_plain_crops_are_in_order_and_normalised(people):
    (batch,) = CropReader((people,), 1).plain(64)
    assert batch.crops.shape == (18, 3, 256, 192)
    assert (batch.weight == point_weights(NAMES)).all()
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.testing.assert_allclose(
        normalised_crop(image)[0], (image[..., 2] - IMAGENET_MEAN[0]) / IMAGENET_SD[0], rtol=1e-6
    )


@pytest.mark.parametrize(("sizes", "batch", "count", "shares"), [
    ((23,), 5, 4, (5,)), ((40, 7), 8, 10, (4, 4)), ((7, 40), 8, 10, (4, 4)), ((7, 40), 5, 13, (2, 3)),
    ((5, 5), 4, 2, (2, 2)),
])  # fmt: skip
def test_half_of_each_batch_is_from_either_set(sizes, batch, count, shares):
    rows = epoch_rows(sizes, batch, random_stream(1, "test"), sizes)
    assert len(rows) == count
    for part in rows:
        assert tuple(np.bincount(part[:, 0], minlength=len(sizes))) == shares
    every = np.concatenate(rows)
    assert len(set(every[:, 2])) == len(every)  # each crop has random numbers of its own
    for which, size in enumerate(sizes):
        times = np.bincount(every[every[:, 0] == which, 1], minlength=size)
        assert times.max() - times.min() <= 1


def test_too_few_people_for_a_batch_are_an_error():
    with pytest.raises(InputError, match=r"3 people fill no batch of 8; lower training\.batch"):
        epoch_rows((3,), 8, random_stream(1, "test"), (3,))


def test_a_process_that_is_killed_ends_in_one_error(people):
    reader = CropReader((people,), 1, processes=1)
    with reader.start() as pool:
        batches = reader.epoch(0, STAGES[0], 2, pool)
        next(batches)
        for process in list(pool._processes.values()):
            process.kill()
        with pytest.raises(InputError, match=r"Lower training\.processes"):
            list(batches)
