"""Names of trials: every spelling, the order of sub-actions per subject, ambiguity."""

import random

import pytest

from simspine.core.errors import InputError
from simspine.io.human36m import names


def test_thirty_trials_without_files():
    trials = names.canonical_trials()
    assert len(trials) == len(set(trials)) == 30
    assert trials[:3] == ["Directions_1", "Directions_2", "Discussion_1"]
    assert len(names.HUMAN36M_ACTIONS) == 15


@pytest.mark.parametrize(
    ("spelling", "action"),
    [
        ("Photo", "TakingPhoto"), ("taking photo", "TakingPhoto"), ("Taking_Photo", "TakingPhoto"),
        ("WalkDog", "WalkingDog"), ("WalkingDog", "WalkingDog"), ("WalkingTogether", "WalkTogether"),
        ("Sitting Down", "SittingDown"), ("Walking", "Walking"),
    ],
)  # fmt: skip
def test_spellings(spelling, action):
    assert names.canonical_action(spelling) == action
    assert names.split_trial(f"{spelling}-2") == (action, 2)


def test_unknown_action_is_named_with_those_there_are():
    with pytest.raises(InputError, match=r"Walkng.*Did you mean 'Walking'.*Directions"):
        names.canonical_action("Walkng")
    for trial in ("Walking", "Walking_3", "Photo 0"):
        with pytest.raises(InputError, match=r"no trial of Human3.6M"):
            names.split_trial(trial)


# Quoted from github.com/Vegetebird/MHFormer/issues/92, whose author looked at videos and 2D points of each trial.
SEEN = {
    "S1": {
        "Directions": "Directions_2", "Directions 1": "Directions_1", "Photo": "TakingPhoto_2",
        "Sitting 1": "Sitting_1", "Sitting 2": "Sitting_2", "SittingDown": "SittingDown_2",
        "SittingDown 2": "SittingDown_1", "WalkDog 1": "WalkingDog_1", "Walking": "Walking_2",
    },
    "S5": {
        "Directions 1": "Directions_1", "Directions 2": "Directions_2", "Discussion 2": "Discussion_1",
        "Discussion 3": "Discussion_2", "Eating": "Eating_2", "Eating 1": "Eating_1", "Greeting 2": "Greeting_2",
    },
}  # fmt: skip


@pytest.mark.parametrize("subject", SEEN)
def test_order_of_sub_actions_is_as_others_found_it_by_looking(subject):
    found, strays = names.match_files(subject, SEEN[subject])
    assert {name: trial for trial, name in found.items()} == SEEN[subject]
    assert strays == ()


@pytest.mark.parametrize("subject", names.HUMAN36M_SUBJECT_NAMES)
def test_official_names_come_back_in_any_order_and_spelling(subject):
    official = [names.official_name(subject, trial) for trial in names.canonical_trials()]
    assert len(set(official)) == 30
    expected = dict(zip(names.canonical_trials(), official, strict=True))
    shuffled = [*official, "_ALL", "_ALL 1"]
    random.Random(subject).shuffle(shuffled)
    assert names.match_files(subject, shuffled)[0] == expected
    other = [
        name.replace(" ", "_").replace("TakingPhoto", "Photo").replace("WalkingDog", "WalkDog") for name in official
    ]
    assert list(names.match_files(subject, other)[0]) == names.canonical_trials()
    assert all(("Photo" in name) == ("Photo" in trial) for trial, name in expected.items())


def test_only_s1_has_the_long_spellings():
    for subject in names.HUMAN36M_SUBJECT_NAMES:
        name = names.official_name(subject, "TakingPhoto_1")
        assert name.startswith("TakingPhoto" if subject == "S1" else "Photo")
        assert names.official_name(subject, "WalkingDog_2") == ("WalkingDog" if subject == "S1" else "WalkDog")


def test_two_files_of_one_trial_are_ambiguous():
    for a, b in (("Directions 1", "Directions_1"), ("Photo", "TakingPhoto"), ("Walking", "walking")):
        with pytest.raises(InputError, match="both name"):
            names.match_files("S1", [a, b])


def test_missing_and_stray_files():
    found, strays = names.match_files("S5", ["Discussion 2", "Discussion", "notes", "_ALL 1"])
    assert found == {"Discussion_1": "Discussion 2"}  # S5 has 2 and 3, none without a number
    assert strays == ("Discussion", "notes")


def test_subjects_of_other_captures_follow_the_commonest_pattern():
    assert names.official_name("P01", "Eating_1") == "Eating 1"
    assert names.official_name("P01", "Eating_2") == "Eating"
    assert names.match_files("P01", ["Eating", "Eating 1"])[0] == {"Eating_1": "Eating 1", "Eating_2": "Eating"}


def test_selection_by_action_or_trial():
    assert names.select_trials(["WalkDog", "Directions_2"]) == ["Directions_2", "WalkingDog_1", "WalkingDog_2"]
    assert names.select_trials() == names.canonical_trials()
    with pytest.raises(InputError, match="Jumping"):
        names.select_trials(["Jumping"])


def test_order_of_subjects():
    assert names.subject_order(["S11", "S5", "b", "S1", "a"]) == ["S1", "S5", "S11", "a", "b"]
