"""The judge by radiographs, on made-up people whose vertebrae lie at a known depth under the line."""

import json

import numpy as np
import pytest
from command_line import call, succeeded
from tools.bench.radiographs import (
    HEIGHT_SHARES,
    _mean_of_others,
    _ridge,
    interval_table,
    person_rows,
    radiograph_table,
    read_radiographed_people,
)

from simspine.core.errors import InputError

PEOPLE = 12


def curve(share, kyphosis, lordosis):
    """mm forward of a spine at shares of the height."""
    return -kyphosis * np.sin(np.pi * share / 0.6) * (share < 0.6) + lordosis * np.sin(np.pi * (share - 0.6) / 0.4) * (
        share >= 0.6
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Backs of 450 mm; the vertebrae lie 60 mm in front of the skin at C7, 80 mm at the sacrum."""
    rng, arrays = np.random.default_rng(0), {"people": PEOPLE}
    share = np.linspace(0, 1, 90)
    for k in range(PEOPLE):
        fore = curve(share, rng.normal(20, 6), rng.normal(14, 4))
        side = rng.normal(0, 4) * np.sin(np.pi * share)
        back = np.column_stack([fore, 225 - 450 * share, side])
        arrays[f"back_{k}"] = back[::-1] if k % 2 else back  # in any order
        arrays[f"centres_{k}"] = back + np.column_stack([60 + 20 * share, 0 * share, 0.3 * side])
        arrays[f"marks_{k}"] = np.array([back[0], back[-1], [5, -225, 45], [5, -225, -45]], float)
    folder = tmp_path_factory.mktemp("radiographs")
    np.savez(folder / "made.npz", **arrays)
    return folder


@pytest.fixture(scope="module")
def people(folder):
    return read_radiographed_people(folder)


def test_profiles_have_the_angles_of_the_curves(people):
    truth, line, known = (people["made"][part] for part in ("truth", "line", "known"))
    assert ((truth["kyphosis"] > 5) & (truth["kyphosis"] < 60)).all()
    assert ((truth["lordosis"] > 2) & (truth["lordosis"] < 60)).all()
    depth = np.tile(np.linspace(61, 78, 18), (PEOPLE, 1))
    assert truth["fore"] - line["fore"] == pytest.approx(depth, abs=1.0)
    assert all(values.all() for values in known.values())


def test_the_table_has_ours_and_the_rules(people):
    table = radiograph_table(people)
    assert [row.method for row in table.rows] == ["simspine", "line", "moved line", "mean", "regression"]
    assert table.value("moved line", "made", "fore–aft") == pytest.approx(0, abs=0.3)  # all have the same depth
    assert table.value("simspine", "made", "kyphosis") < table.value("mean", "made", "kyphosis") + 8
    assert table.value("simspine", "made", "fore–aft") < 25
    assert table.value("mean", "made", "fore–aft") is None


def test_a_constant_and_a_tilt_are_no_error_of_the_shape(people):
    truth = people["made"]["truth"]
    tilted = {"made": people["made"] | {"truth": truth | {"side": truth["side"] + 9 - 20 * HEIGHT_SHARES}}}
    before, after = radiograph_table(people), radiograph_table(tilted)
    for method in ("simspine", "line"):
        shape = before.value(method, "made", "sideways less constant and tilt")
        assert after.value(method, "made", "sideways less constant and tilt") == pytest.approx(shape)
        assert shape < before.value(method, "made", "sideways") < after.value(method, "made", "sideways")
    moved = [table.value("moved line", "made", "sideways") for table in (before, after)]
    assert moved[1] == pytest.approx(moved[0])  # what all have in common is no error of it


def test_intervals_are_nested_and_a_row_is_a_person(people):
    table = interval_table(people)
    assert [column.name for column in table.columns] == ["kyphosis", "lordosis", "fore–aft", "sideways"]
    for inside in zip(*(row.cells for row in table.rows), strict=True):
        assert list(inside) == sorted(inside)
    rows = person_rows(people)
    assert len(rows) == PEOPLE
    assert all(row["kyphosis_sd_deg"] > 0 for row in rows)


def test_rules_use_others_alone():
    values = np.array([1.0, 2.0, np.nan, 6.0])
    assert _mean_of_others(values)[[0, 1, 3]] == pytest.approx([4.0, 3.5, 1.5])
    rng = np.random.default_rng(2)
    features = rng.normal(size=(80, 5))
    target = features @ [1.0, -2, 0.5, 0, 3] + 4
    assert _ridge(features, target) == pytest.approx(target, abs=0.05)
    noise = rng.normal(size=80)
    assert np.corrcoef(_ridge(features, noise), noise)[0, 1] < 0.3


def test_the_command_writes_tables_people_and_a_figure(folder, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    with np.load(folder / "made.npz") as made:
        np.savez(few / "made.npz", **{**made, "people": 3})
    arguments = [
        "bench",
        "radiographs",
        str(few),
        "--json",
        str(tmp_path / "a.json"),
        "--figure",
        str(tmp_path / "a.png"),
    ]
    said = succeeded(call(*arguments))
    assert "regression" in said
    assert "stated 90 %" in said
    content = json.loads((tmp_path / "a.json").read_text())
    assert len(content["people"]) == 3
    assert len(content["tables"]) == 2
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_what_is_no_study_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no npz file"):
        read_radiographed_people(tmp_path)
    np.savez(tmp_path / "a.npz", people=1, back_0=np.zeros((5, 3)))
    with pytest.raises(InputError, match="centres_0"):
        read_radiographed_people(tmp_path)
