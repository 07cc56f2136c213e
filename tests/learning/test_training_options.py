"""Settings of training: presets, files that say what differs from one, and faults; of a detector and of a lifter."""

import pytest
from tools.lifting_baselines.options import LIFTING_PRESETS, lifting_options

from simspine.core.errors import InputError
from simspine.core.settings import data_folder
from simspine.learning.options import SPINE_PRESETS, spine_options

PRESETS = [*((spine_options, name) for name in SPINE_PRESETS), *((lifting_options, name) for name in LIFTING_PRESETS)]


@pytest.mark.parametrize(("read", "name"), PRESETS)
def test_presets_are_options_that_files_can_hold(read, name):
    found = read(name)
    assert type(found).model_validate(found.model_dump(mode="json")) == found


def test_single_keys_change_the_rest_stays():
    changed = lifting_options("tiny", **{"training.epochs": 7, "points": "spine", "method": None})
    plain = lifting_options("tiny")
    assert changed.training == plain.training.model_copy(update={"epochs": 7})
    assert (changed.points, changed.method, changed.source) == ("spine", plain.method, plain.source)


def test_a_file_says_what_differs_from_a_preset(tmp_path):
    """The command line hands on None for options that are not given."""
    file = tmp_path / "mine.yaml"
    text = "preset: tiny\nseed: 7\ndata:\n  train: [{folder: a, fraction: 0.5}, {folder: b}]\ntraining: {batch: 4}\n"
    file.write_text(text)
    found = spine_options(file, **{"training.epochs": 7, "training.batch": None, "seed": None})
    assert [own.folder for own in found.data.train] == ["a", "b"]
    assert (found.training.batch, found.training.epochs, found.seed) == (4, 7, 7)
    assert found.network == spine_options("tiny").network


LIFTING_FAULTS = [
    ("method: magic", "method: Input should be"), ("preset: huge", "unknown preset 'huge'"), ("- 1", "not a mapping"),
    ("training: {epoch: 3}", "  - unknown key 'epoch' in training. Did you mean 'epochs'"),
    ("test: [S1]", "S1 cannot be trained on and tested on"),
    ("source: {every: 50, context: 7}", "does not divide"), ("network: {dropout: 1}", "dropout: Input should be less"),
    ("train: {}", "train: Input should be"), ("test: {a: 1}", "test: Input should be"),
    ("training: {epochs: true}", "training.epochs: Input should be a whole number (found true)."),
]  # fmt: skip
SPINE_FAULTS = [
    ("- 1", "not a mapping; expected keys such as data, network"),
    ("data: {train: [{folder: a}, {folder: b}, {folder: c}]}", "data.train: Tuple should have at most 2"),
    ("data: {train: [{folder: a, fraction: 0}]}", "fraction: Input should be greater than 0"),
    ("network: {blocks: [1, 1, 0, 1]}", "blocks.2: Input should be greater than 0"),
    ("curriculum: [{scale: [1.2, 0.8]}]", "two positive numbers in rising order"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [(lifting_options, *fault) for fault in LIFTING_FAULTS] + [(spine_options, *fault) for fault in SPINE_FAULTS],
)
def test_faults_are_named_with_the_file(tmp_path, read, text, said):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_key_of_what_is_no_section_is_refused(tmp_path):
    file = tmp_path / "lifting.yaml"
    file.write_text("training: []")
    assert lifting_options(file, **{"training.epochs": 3}).training.epochs == 3  # nothing is left of the list
    with pytest.raises(InputError, match="training: "):
        lifting_options(file)


def test_the_shipped_configurations_are_some():
    folder = data_folder("configs") / "training"
    found = spine_options(folder / "spine-detector.yaml")
    assert found.training == spine_options("cpu").training
    assert len(found.data.test) == 1
    mixing = spine_options(folder / "mixing.yaml").data
    assert len(mixing.train) == len(mixing.test) == 2
