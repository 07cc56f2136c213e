"""The protocol of points in images, from files of SpineTrack's kinds."""

import json

import numpy as np
import pytest
from small_images import LATISSIMUS, TABLE, people, write_labels, write_results

from simspine.core.errors import InputError
from simspine.core.skeletons import SPINETRACK_REGIONS
from simspine.evaluation.metrics import object_keypoint_similarity
from simspine.evaluation.point_protocols import (
    POINT_SETS,
    evaluate_images,
    match_people,
    read_found_people,
    read_labelled_people,
)


def test_subsets_are_those_of_the_authors_evaluation():
    """Indices of the 37 points, in their order."""
    indices = {name: [TABLE.index(point) for point in points] for name, points in SPINETRACK_REGIONS.items()}
    assert indices == {
        "body": list(range(17)),
        "feet": list(range(20, 26)),
        "spine": [36, 35, 18, 30, 29, 28, 27, 26, 19],
        "all": list(range(37)),
    }
    assert {name: len(points) for name, points in POINT_SETS.items()} == {"9": 9, "15": 15, "37": 37}


def test_exact_points_score_one_and_a_bad_spine_costs_the_spine_only(tmp_path):
    truth = people()
    write_labels(tmp_path / "labels.json", truth)
    write_results(tmp_path / "exact.json", truth)
    bent = truth.copy()
    bent[:, [TABLE.index(name) for name in SPINETRACK_REGIONS["spine"]], :2] += 400
    write_results(tmp_path / "bent.json", bent)
    labels = read_labelled_people(tmp_path / "labels.json")
    found = {name: read_found_people(tmp_path / f"{name}.json", tmp_path / "labels.json") for name in ("exact", "bent")}
    summary, details, auc = evaluate_images(found, labels)
    for subset in SPINETRACK_REGIONS:
        assert summary.value("exact", "all", f"{subset} AP") == pytest.approx(1)
        assert details.value("exact", subset, "AR") == pytest.approx(1)
    assert summary.value("bent", "all", "body AP") == pytest.approx(1)
    assert summary.value("bent", "all", "feet AR") == pytest.approx(1)
    assert summary.value("bent", "all", "spine AP") == pytest.approx(0)
    assert 0 < summary.value("bent", "all", "all AP") < 1
    assert auc.value("exact", "all", "37 points, 0–0.95") == pytest.approx(19 / 20)  # at 0 nothing is nearer
    assert auc.value("bent", "all", "9 points, 0–0.95") == pytest.approx(0)
    assert auc.value("bent", "all", "37 points, 0–0.95") == pytest.approx(19 / 20 * 28 / 37)
    assert {row.source for row in auc.rows if row.source} == {"SimSpine (CVPR 2026), Table 2"}


def evaluated(folder, *methods):
    """The tables of methods, each in a file of its name, against labels.json."""
    labels = folder / "labels.json"
    found = {method: read_found_people(folder / f"{method}.json", labels) for method in methods}
    return evaluate_images(found, read_labelled_people(labels))


@pytest.mark.parametrize(("name", "count"), [("COCO", 17), ("Halpe26", 26)])
def test_labels_of_other_sets_are_a_subset_of_that_name(tmp_path, name, count):
    """Files of 17 and 26 points that name none. A method with 37 points is judged by these alone."""
    truth = people()
    write_labels(tmp_path / "labels.json", truth[:, :count])
    spoilt = truth.copy()
    spoilt[:, count:, :2] += 400
    write_results(tmp_path / "all.json", spoilt)
    write_results(tmp_path / "own.json", truth[:, :count])
    summary, details, auc = evaluated(tmp_path, "all", "own")
    assert [column.name for column in summary.columns] == [f"{name} AP", f"{name} AR"]
    assert {row.label for row in details.rows} == {name}
    for method in ("all", "own"):
        assert summary.value(method, "all", f"{name} AP") == pytest.approx(1)
        assert auc.value(method, "all", f"{count} points, 0–0.95") == pytest.approx(19 / 20)
    assert not [row for row in auc.rows if row.source]  # published ones are of other points
    published = {row.method: row.cells for row in summary.rows if row.source}
    assert published["SpinePose-m (SpineTrack)"] == ((0.73, 0.775) if name == "COCO" else (0.75, 0.792))
    assert len(published) == 4
    assert f"Subsets: {name} {count} points." in summary.notes[0]


@pytest.mark.parametrize(("name", "count"), [("COCO", 17), ("Halpe26", 26)])
def test_a_method_of_other_points_is_judged_by_these_alone(tmp_path, name, count):
    """Labels and the other method have 37 points. Cells of subsets that hold other points are empty."""
    truth = people()
    write_labels(tmp_path / "labels.json", truth)
    write_results(tmp_path / "all.json", truth)
    write_results(tmp_path / "few.json", truth[:, :count])
    summary, details, auc = evaluated(tmp_path, "all", "few")
    assert summary.value("few", "all", f"{name} AP") == pytest.approx(1)
    assert summary.value("few", "all", "body AP") is summary.value("few", "all", "all AP") is None
    assert summary.value("all", "all", f"{name} AP") is None
    assert summary.value("all", "all", "body AP") == pytest.approx(1)
    assert [row.label for row in details.rows if row.method == "few"] == [name]
    assert auc.value("few", "all", f"{count} points, 0–0.95") == pytest.approx(19 / 20)
    assert auc.value("few", "all", "37 points, 0–0.95") is None
    assert {row.source for row in auc.rows if row.source} == {"SimSpine (CVPR 2026), Table 2"}
    for table in (summary, auc):
        remarks = {row.method: row.remark for row in table.rows if not row.source}
        assert remarks == {"all": "", "few": f"gives the {count} points of {name} only: judged by these"}


def test_points_are_shifted_by_a_known_share_of_the_box(tmp_path):
    """12.5 % of the shorter side: seventeen of twenty thresholds up to 0.95, seven of those up to 0.19."""
    truth = people()
    write_labels(tmp_path / "labels.json", truth)
    labels = read_labelled_people(tmp_path / "labels.json")
    moved = truth.copy()
    moved[..., 0] += 0.125 * labels.box[:, 2:].min(1)[:, None]
    write_results(tmp_path / "moved.json", moved)
    _, _, auc = evaluate_images({"x": read_found_people(tmp_path / "moved.json", tmp_path / "labels.json")}, labels)
    assert auc.value("x", "all", "15 points, 0–0.95") == pytest.approx(17 / 20)  # 0.15 …
    assert auc.value("x", "all", "15 points, 0–0.19") == pytest.approx(7 / 20)  # 0.13 … 0.19


def test_thirty_five_points_and_categories_without_names_are_read(tmp_path):
    truth = people()
    few = np.delete(truth, LATISSIMUS, axis=1)
    write_labels(tmp_path / "few.json", few)
    write_labels(tmp_path / "named.json", truth, {"keypoints": list(TABLE.names)}, area=False)
    labels = read_labelled_people(tmp_path / "few.json")
    assert (labels.keypoints[:, LATISSIMUS, 2] == 0).all()
    np.testing.assert_allclose(np.delete(labels.keypoints, LATISSIMUS, axis=1), few)
    named = read_labelled_people(tmp_path / "named.json")
    np.testing.assert_allclose(named.keypoints, truth)
    np.testing.assert_allclose(named.area, named.box[:, 2] * named.box[:, 3])
    write_results(tmp_path / "found.json", few)
    found = read_found_people(tmp_path / "found.json", tmp_path / "named.json")
    assert np.isnan(found.keypoints[:, LATISSIMUS]).all()
    summary, _, _ = evaluate_images({"few": found}, named)
    assert summary.value("few", "all", "spine AP") == pytest.approx(1)
    assert summary.value("few", "all", "all AP") < 1


def test_results_are_in_the_order_of_the_labels_points(tmp_path):
    """A list has no names; in another order than SpineTrack's, its precision was 0."""
    truth, backwards = people(), list(TABLE.names)[::-1]
    write_labels(tmp_path / "labels.json", truth[:, ::-1], {"keypoints": backwards})
    write_results(tmp_path / "found.json", truth[:, ::-1])
    labels = read_labelled_people(tmp_path / "labels.json")
    np.testing.assert_allclose(labels.keypoints, truth)
    found = read_found_people(tmp_path / "found.json", tmp_path / "labels.json")
    np.testing.assert_allclose(found.keypoints, labels.keypoints)


@pytest.mark.parametrize(
    "change",
    [lambda xy: xy / 1000, lambda xy: xy / 2, lambda xy: xy - [400, 300], lambda xy: xy[..., ::-1]],
    ids=["shares", "half size", "crop", "y first"],
)
def test_points_in_other_pixels_are_doubted(tmp_path, change):
    """Each gave a precision of 0 without a word."""
    truth = people()
    truth[..., :2] += [500, 0]
    write_labels(tmp_path / "labels.json", truth)
    labels, moved = read_labelled_people(tmp_path / "labels.json"), truth.copy()
    moved[..., :2] = change(truth[..., :2])
    write_results(tmp_path / "found.json", moved)
    with pytest.warns(UserWarning, match="of a person's size from those labelled"):
        evaluate_images({"x": read_found_people(tmp_path / "found.json", tmp_path / "labels.json")}, labels)


def test_a_detector_of_few_points_is_not_doubted(tmp_path, recwarn):
    """The box of a spine is narrow."""
    write_labels(tmp_path / "labels.json", people())
    spine = people()
    others = [i for i, name in enumerate(TABLE.names) if name not in SPINETRACK_REGIONS["spine"]]
    spine[:, others] = 0
    write_results(tmp_path / "found.json", spine)
    found = read_found_people(tmp_path / "found.json", tmp_path / "labels.json")
    evaluate_images({"x": found}, read_labelled_people(tmp_path / "labels.json"))
    assert not [warning for warning in recwarn if "those labelled" in str(warning.message)]


def test_people_who_are_listed_twice_are_refused(tmp_path):
    write_labels(tmp_path / "labels.json", people())
    write_results(tmp_path / "found.json", people())
    rows = json.loads((tmp_path / "found.json").read_text())
    (tmp_path / "found.json").write_text(json.dumps(rows + rows[:2]))
    with pytest.raises(InputError, match="2 people are listed twice"):
        read_found_people(tmp_path / "found.json", tmp_path / "labels.json")


def test_people_in_images_without_labels_are_said(tmp_path):
    write_labels(tmp_path / "labels.json", people())
    write_results(tmp_path / "found.json", people())
    rows = json.loads((tmp_path / "found.json").read_text())
    rows[0]["image_id"] = 999
    (tmp_path / "found.json").write_text(json.dumps(rows))
    with pytest.warns(UserWarning, match=r"1 of 6 people are in images that .*labels\.json lacks"):
        read_found_people(tmp_path / "found.json", tmp_path / "labels.json")


def test_annotations_serve_as_predictions_by_file_name(tmp_path):
    truth = people()
    write_labels(tmp_path / "labels.json", truth)
    write_labels(tmp_path / "found.json", truth[::-1][[1, 0, 3, 2, 5, 4]][::-1][[1, 0, 3, 2, 5, 4]])
    found = read_found_people(tmp_path / "found.json", tmp_path / "labels.json")
    assert found.image == read_labelled_people(tmp_path / "labels.json").image


def test_nobody_is_compared_with_two_and_the_most_alike_come_first(tmp_path):
    """By brute force over both ways to pair two people."""
    truth = people(2)
    write_labels(tmp_path / "labels.json", truth)
    labels = read_labelled_people(tmp_path / "labels.json")
    found = truth[::-1].copy()
    found[..., :2] += 7
    write_results(tmp_path / "swapped.json", found)
    places = match_people(read_found_people(tmp_path / "swapped.json", tmp_path / "labels.json"), labels)
    np.testing.assert_allclose(places, truth[..., :2] + 7)
    straight, crossed = (
        object_keypoint_similarity(found[order][..., :2], labels.keypoints, labels.area, np.array(TABLE.sigmas)).sum()
        for order in ([0, 1], [1, 0])
    )
    assert crossed > straight
    write_results(tmp_path / "one.json", truth[:1])
    alone = match_people(read_found_people(tmp_path / "one.json", tmp_path / "labels.json"), labels)
    assert np.isfinite(alone[0]).all()
    assert np.isnan(alone[1]).all()


def test_what_cannot_be_read_is_refused(tmp_path):
    write_labels(tmp_path / "labels.json", people())
    (tmp_path / "empty.json").write_text("[]")
    with pytest.raises(InputError, match=r"empty\.json: not a list of COCO"):
        read_found_people(tmp_path / "empty.json", tmp_path / "labels.json")
    (tmp_path / "wrong.json").write_text('[{"image_id": 1, "keypoints": [1, 2, 3], "score": 1}]')
    with pytest.raises(InputError, match=r"wrong\.json: no skeleton with 1 points"):
        read_found_people(tmp_path / "wrong.json", tmp_path / "labels.json")
    write_results(tmp_path / "far.json", people())
    text = (tmp_path / "far.json").read_text().replace('"image_id": 7', '"image_id": 9')
    (tmp_path / "far.json").write_text(text)
    with pytest.raises(InputError, match=r"far\.json: none of its images"):
        read_found_people(tmp_path / "far.json", tmp_path / "labels.json")
    write_labels(tmp_path / "none.json", people(0))
    with pytest.raises(InputError, match="nobody is labelled"):
        read_labelled_people(tmp_path / "none.json")
    write_labels(tmp_path / "one.json", people(1))
    content = json.loads((tmp_path / "one.json").read_text())
    for key, place in (("bbox", 2), ("keypoints", 3)):
        person = content["annotations"][0]
        changed = person | {key: [*person[key][:place], float("nan"), *person[key][place + 1 :]]}
        (tmp_path / "nan.json").write_text(json.dumps(content | {"annotations": [changed]}))
        with pytest.raises(InputError, match="are not finite numbers"):
            read_labelled_people(tmp_path / "nan.json")
