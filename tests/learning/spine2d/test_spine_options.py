import pytest

from simspine.core.errors import InputError
from simspine.learning.options import (
    SPINE_PRESETS,
    SpineDetectorOptions,
    spine_options,
)


@pytest.mark.parametrize("name", SPINE_PRESETS)
def test_presets_are_options_that_files_can_hold(name):
    found = spine_options(name)
    assert SpineDetectorOptions.model_validate(found.model_dump(mode="json")) == found
    assert len(found.curriculum) == 3


def test_a_file_says_what_differs_from_a_preset(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("preset: tiny\ndata:\n  train: [{folder: a, fraction: 0.5}, {folder: b}]\ntraining: {batch: 4}\n")
    found = spine_options(file, **{"training.epochs": 7})
    assert [own.folder for own in found.data.train] == ["a", "b"]
    assert (found.training.batch, found.training.epochs) == (4, 7)
    assert found.network == spine_options("tiny").network


def test_what_nobody_asks_for_leaves_the_file_as_it_is(tmp_path):
    """The command line hands on None for options that are not given."""
    file = tmp_path / "mine.yaml"
    file.write_text("preset: cpu\nseed: 7\ntraining: {epochs: 3}\n")
    found = spine_options(file, **{"training.epochs": None, "training.batch": 8, "seed": None})
    assert (found.training.epochs, found.training.batch, found.seed) == (3, 8, 7)


@pytest.mark.parametrize(("text", "said"), [
    ("preset: huge", "unknown preset 'huge'"), ("- 1", "not a mapping; expected keys such as data, network"),
    ("training: {epoch: 3}", "unknown key 'epoch' in training. Did you mean 'epochs'?"),
    ("data: {train: [{folder: a}, {folder: b}, {folder: c}]}", "data.train: Tuple should have at most 2"),
    ("data: {train: [{folder: a, fraction: 0}]}", "fraction: Input should be greater than 0"),
    ("network: {blocks: [1, 1, 0, 1]}", "blocks.2: Input should be greater than 0"),
    ("curriculum: [{scale: [1.2, 0.8]}]", "two positive numbers in rising order"),
])  # fmt: skip
def test_faults_are_named_with_the_file(tmp_path, text, said):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=said.replace("[", r"\[")) as caught:
        spine_options(file)
    assert str(file) in str(caught.value)


def test_the_shipped_configurations_are_some():
    from simspine.core.settings import data_folder

    folder = data_folder("configs") / "training"
    found = spine_options(folder / "spine-detector.yaml")
    assert found.training == spine_options("cpu").training
    assert len(found.data.test) == 1
    mixing = spine_options(folder / "mixing.yaml").data
    assert len(mixing.train) == len(mixing.test) == 2
