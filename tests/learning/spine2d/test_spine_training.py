"""Training that is killed and goes on, two sets, teachers, stages that are frozen, and what a run leaves behind."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmarks.spine_ablation import run_ablations
from dotted_people import write_dotted

from simspine.core.errors import InputError
from simspine.learning.descent import CHECKPOINT_FILE, DescentRun, TrainingIdentity
from simspine.learning.options import POINT_CHOICES, CurriculumStage, LabelledSet, SpineDetectorOptions, spine_options
from simspine.learning.spine_network import SimccMaps, SpineNetwork
from simspine.learning.spine_runs import share_in_ellipses, train_detector
from simspine.learning.spine_samples import CropReader, read_labelled_set
from simspine.learning.spine_training import Teacher, fit_detector, mean_places

pytestmark = pytest.mark.learn
NAMES = POINT_CHOICES["trunk"]


@pytest.fixture(scope="module")
def reader(dotted):
    people = read_labelled_set(LabelledSet(folder=str(dotted)), NAMES, 1)
    test = read_labelled_set(LabelledSet(folder=str(dotted), split="val2017"), NAMES, 1)
    return CropReader((people, test), seed=1)


@pytest.fixture(scope="module")
def options(dotted):
    data = {"train": [{"folder": str(dotted)}], "points": "trunk"}
    changes = {"training.epochs": 3, "training.batch": 8, "network.width": 16, "network.hidden": 16}
    return spine_options("tiny", data=data, **changes)


def run(folder, options, **changes) -> DescentRun:
    return replace(DescentRun(folder, TrainingIdentity({"a": 1}, "data"), seed=options.seed), **changes)


def maker(options):
    return lambda: SpineNetwork(len(NAMES), options.network)


def fit(folder, options, reader, teacher=None, **changes):
    return fit_detector(maker(options), reader, options, run(folder, options, **changes), teacher=teacher)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, options, reader):
    return fit(tmp_path_factory.mktemp("undisturbed"), options, reader)


@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_killed_run_ends_with_the_very_weights(undisturbed, tmp_path, options, reader, killed_after):
    weights, history = undisturbed
    fit(tmp_path, options, reader, until=killed_after)
    torch.manual_seed(99)  # what else draws random numbers does not matter
    lines = []
    again, after = fit(tmp_path, options, reader, say=lines.append)
    assert lines[0].endswith(f"{killed_after} of 3 epochs are done")
    assert re.search(r"^epoch 3/3: loss [\d.]+, \d+ s$", "\n".join(lines), re.MULTILINE)  # no test set, no figure of it
    assert after.losses == history.losses
    assert same(weights, again)


def test_a_finished_run_is_not_trained_again(undisturbed, tmp_path, options, reader):
    first, _ = fit(tmp_path, options, reader)
    written = (tmp_path / CHECKPOINT_FILE).stat().st_mtime_ns
    again, _ = fit(tmp_path, options, reader)
    assert same(first, again)
    assert same(first, undisturbed[0])
    assert (tmp_path / CHECKPOINT_FILE).stat().st_mtime_ns == written


def test_checkpoints_of_others_are_refused(tmp_path, options, reader):
    fit(tmp_path, options, reader, until=1)
    with pytest.raises(InputError, match=r"trained with other settings: a is 1, asked for is 2"):
        fit(tmp_path, options, reader, identity=TrainingIdentity({"a": 2}, "data"))
    with pytest.raises(InputError, match="trained on other data"):
        fit(tmp_path, options, reader, identity=TrainingIdentity({"a": 1}, "other"))


def test_accumulated_batches_make_one_step(tmp_path, options, reader):
    def steps(accumulate, folder):
        training = options.training.model_copy(update={"accumulate": accumulate, "epochs": 1})
        fit(tmp_path / folder, options.model_copy(update={"training": training}), reader)
        return torch.load(tmp_path / folder / CHECKPOINT_FILE, weights_only=True)["state"]["step"]

    assert steps(1, "a") == 4  # 18 people, four of eight from them
    assert steps(3, "b") == 2


def test_a_frozen_backbone_stays_as_it_is(tmp_path, options, reader):
    frozen = options.model_copy(update={"curriculum": (CurriculumStage(frozen="backbone"), CurriculumStage())})
    with torch.random.fork_rng():
        torch.manual_seed(1_000_003)
        start = maker(options)().state_dict()
    training = options.training.model_copy(update={"epochs": 2})
    frozen = frozen.model_copy(update={"training": training})
    half, _ = fit(tmp_path, frozen, reader, until=1)
    whole, _ = fit(tmp_path, frozen, reader)
    for name, value in start.items():
        if name.startswith("backbone."):
            assert torch.equal(half[name], value), name
    assert not torch.equal(half["points.weight"], start["points.weight"])
    assert not torch.equal(whole["backbone.stem.0.weight"], start["backbone.stem.0.weight"])


def test_a_teacher_is_kept_to(tmp_path, options, reader):
    """A teacher that always sees the same: with no other loss the student learns to see that."""
    x, y = torch.zeros(1, 2, 384), torch.zeros(1, 2, 512)
    x[0, :, 100], y[0, :, 300] = 3.0, 3.0
    teacher = Teacher(lambda crops: SimccMaps(x.repeat(len(crops), 1, 1), y.repeat(len(crops), 1, 1)), NAMES[3:5])
    losses = options.losses.model_copy(update={"position": 0.0, "structure": 0.0, "spine": 0.0, "spread": 0.0})
    training = options.training.model_copy(update={"epochs": 6, "rate": 2e-2})
    found, history = fit(
        tmp_path, options.model_copy(update={"losses": losses, "training": training}), reader, teacher=teacher
    )
    distilled = [epoch["distill"] for epoch in history.losses]
    assert distilled[-1] < 0.3 * distilled[0]
    assert history.losses[0]["total"] == pytest.approx(2.5 * distilled[0])
    assert all(torch.isfinite(value).all() for value in found.values())


def test_half_precision_sees_the_same_losses(undisturbed, tmp_path, options, reader):
    training = options.training.model_copy(update={"mixed": True})
    weights, history = fit(tmp_path, options.model_copy(update={"training": training}), reader, until=1)
    exact = undisturbed[1].losses[0]
    assert history.losses[0]["position"] == pytest.approx(exact["position"], rel=0.1)
    assert history.losses[0] != exact
    assert weights["x.weight"].dtype == torch.float32


def test_mean_places_are_those_of_the_labels(reader):
    (batch,) = reader.plain(64)
    np.testing.assert_allclose(mean_places(reader.sets[0]), batch.places.mean(0), atol=1e-9)


def test_ellipses_hold_the_share_they_say():
    rng = np.random.default_rng(8)
    mixing = rng.normal(size=(4000, 2, 2))
    error = np.einsum("nij,nj->ni", mixing, rng.normal(size=(4000, 2)))
    assert share_in_ellipses(error, mixing @ mixing.transpose(0, 2, 1)) == pytest.approx(0.9, abs=0.015)


def test_a_run_learns_and_leaves_its_files(dotted, tmp_path):
    data = {
        "train": [{"folder": str(dotted)}], "test": {"folder": str(dotted), "split": "val2017"}, "points": "trunk",
    }  # fmt: skip
    options, said = spine_options("tiny", data=data, **{"training.epochs": 2}), []
    own = train_detector(options, tmp_path, said.append)[0]
    assert [line.split(",")[0] for line in said if line.startswith("stage")] == [
        "stage 1 of 3: share 0.5", "stage 2 of 3: share 0.3"
    ]  # fmt: skip
    names = ["checkpoint.pt", "detector.onnx", "losses.csv", "options.json", "tables.json", "weights.pt"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    assert SpineDetectorOptions.model_validate(json.loads((tmp_path / "options.json").read_text())) == options
    assert {row.method for row in own.rows} == {"untrained", "trained", "mean place in the box"}
    assert own.value("mean place in the box", "spine", "PCK 0.2") > own.value("untrained", "spine", "PCK 0.2") - 0.5
    assert len((tmp_path / "losses.csv").read_text().splitlines()) == 3


def test_people_are_not_judged_by_who_were_learnt_from(dotted, tmp_path):
    data = {"train": [{"folder": str(dotted)}], "test": {"folder": str(dotted)}}
    with pytest.raises(InputError, match="18 images are learnt from and judged by"):
        train_detector(spine_options("tiny", data=data), tmp_path)
    with pytest.raises(InputError, match=r"data\.train names no set"):
        train_detector(spine_options("tiny"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_student_starts_from_its_teacher(dotted, tmp_path):
    """At a rate of next to nothing the student's rows are the teacher's still."""
    body = {"train": [{"folder": str(dotted)}], "points": "body"}
    train_detector(spine_options("tiny", data=body, **{"training.epochs": 1}), tmp_path / "body")
    weights = tmp_path / "body" / "weights.pt"
    every = {"train": [{"folder": str(dotted)}], "points": "all"}
    still = {"training.epochs": 1, "training.rate": 1e-6, "teacher": str(weights)}
    train_detector(spine_options("tiny", data=every, **still), tmp_path / "all")
    old, new = (torch.load(tmp_path / name / "weights.pt", weights_only=True)["state"] for name in ("body", "all"))
    assert torch.allclose(new["points.weight"][:26], old["points.weight"], atol=2e-5)
    assert torch.allclose(new["x.weight"], old["x.weight"], atol=2e-5)
    header, line = (tmp_path / "all" / "losses.csv").read_text().splitlines()
    losses = dict(zip(header.split(","), map(float, line.split(",")), strict=True))
    assert losses["distill"] < 0.5 * losses["position"]


def test_compared_settings_are_trained_in_folders_of_their_own(dotted, tmp_path):
    data = {"train": [{"folder": str(dotted)}], "test": {"folder": str(dotted), "split": "val2017"}, "points": "trunk"}
    options = spine_options("tiny", data=data, **{"training.epochs": 1, "network.width": 16, "network.hidden": 16})
    (table,) = run_ablations(options, ("losses",), tmp_path)
    assert [row.method for row in table.rows] == ["position", "+ spine", "+ structure", "all"]
    assert sorted(folder.name for folder in tmp_path.iterdir()) == [f"losses-{i}" for i in range(1, 5)]
    for number, kept in ((1, 0.0), (4, 0.5)):
        assert json.loads((tmp_path / f"losses-{number}" / "options.json").read_text())["losses"]["spine"] == kept


def test_two_test_sets_are_judged_apart(dotted, tmp_path):
    """The second one is of one picture that is learnt from by nobody."""
    write_dotted(tmp_path / "other", "train-unreal", 1, seed=3)
    sets = [{"folder": str(dotted), "split": "val2017"}, {"folder": str(tmp_path / "other")}]
    data = {"train": [{"folder": str(dotted)}], "test": sets}
    options = spine_options("tiny", data=data, **{"training.epochs": 1, "network.width": 16, "network.hidden": 16})
    (table,) = run_ablations(options, ("networks",), tmp_path / "out")
    tables = json.loads((tmp_path / "out/networks-1/tables.json").read_text())["tables"]
    assert len({made["name"] for made in tables}) == len(tables) == 8
    names = ["spine AUC", "spine AP"]
    kept = [row["cells"] for made in tables for row in made["rows"] if row["method"] == "trained"]
    of_set = [table.value("own", "all", f"{name}, {place}") for place in (dotted.name, "other") for name in names]
    assert of_set[0::2] == [cells["9 points, 0–0.19"] for cells in kept if "9 points, 0–0.19" in cells]
    assert of_set[1::2] == [cells["spine AP"] for cells in kept if "spine AP" in cells]
    assert table.value("own", "all", "parameters") > 0
    assert table.value("own", "all", "FLOPs") > 0
