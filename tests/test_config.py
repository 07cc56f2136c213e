"""The configuration: what it accepts, and what it says about the rest."""

import contextlib
import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from simspine.core.errors import InputError
from simspine.core.settings import Section
from simspine.workflow.config import Config, check_config, json_digest, read_config
from simspine.workflow.reporting import _detector

FULL = {
    "name": "study",
    "results": "results/study",
    "subjects": {
        "S01": {
            "height": 1.8,
            "mass": 75.0,
            "trials": {
                "walk": {"videos": ["a.mp4", "b.mp4"], "calibration": "c.toml", "mocap": "m.trc"},
                "bow": {"folder": "project"},
                "old": {"keypoints": ["a", "b"], "calibration": "c.toml", "rate": 50.0},
            },
        }
    },
    "detection": {"detector": "spinepose", "person": [0.0, 1.0, 1.0], "infer_spine": False},
    "triangulation": {"min_confidence": 0.2, "huber_px": 4.0, "max_error_px": 40.0, "min_views": 3, "fix_swaps": False},
    "filter": {"cutoff_hz": 8.0, "order": 2, "max_gap_s": 0.1},
    "merge": {"correspondence": "human36m", "max_misfit_m": 0.1, "max_shift_s": 0.5},
    "body": {"recipe": "coupled", "markers": "blazepose"},
    "scaling": {"min_factor": 0.8, "max_factor": 1.3, "max_asymmetry": 0.1},
    "ik": {"weights": {"LKnee": 2.0}},
    "report": {
        "sample_frames": 2,
        "events": {"S01/walk": {"right": [0.4, 1.5], "left": [0.9, 2.0]}},
    },
}


def changed(path: tuple, value, base=FULL):
    """A copy of the configuration with one entry set; `None` in the place of a value removes the entry."""
    data = copy.deepcopy(base)
    section = data
    for key in path[:-1]:
        section = section[key]
    if value is REMOVED:
        del section[path[-1]]
    else:
        section[path[-1]] = value
    return data


REMOVED = object()
WALK, BOW, OLD = (("subjects", "S01", "trials", trial) for trial in ("walk", "bow", "old"))


def refusal(tmp_path: Path, data) -> str:
    file = tmp_path / "c.yaml"
    file.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    with pytest.raises(InputError) as fault:
        read_config(file)
    assert str(file) in str(fault.value)
    return str(fault.value)


def test_everything_can_be_said(tmp_path):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(FULL, sort_keys=False))
    config = read_config(tmp_path / "c.yaml")
    dumped = config.model_dump(exclude_unset=True)
    assert dumped == FULL
    assert config.trials("S01") == ["walk", "bow", "old"]
    assert config.trials("S01", "bow") == ["bow"]


def test_defaults_are_those_of_the_stages():
    """The file, the schema and the library say the same thing."""
    import inspect

    from simspine.core.filtering import smooth
    from simspine.vision.merge_mocap import merge_with_report

    minimal = check_config({key: FULL[key] for key in ("name", "results", "subjects")})
    for section, function in (("filter", smooth), ("merge", merge_with_report)):
        options = getattr(minimal, section).model_dump()
        parameters = inspect.signature(function).parameters
        assert options == {name: parameters[name].default for name in options}, section


@pytest.mark.parametrize(
    ("path", "wrong", "right", "where"),
    [
        ((), "nmae", "name", "the file's top level"),
        (("subjects", "S01"), "hight", "height", "subjects.S01"),
        (("subjects", "S01", "trials", "walk"), "video", "videos", "subjects.S01.trials.walk"),
        (("filter",), "cutof_hz", "cutoff_hz", "filter"),
    ],
)
def test_misspelt_key_proposes_the_right_one(tmp_path, path, wrong, right, where):
    message = refusal(tmp_path, changed((*path, wrong), 1))
    assert f"unknown key {wrong!r} in {where}. Did you mean {right!r}? Available: " in message
    assert len(message.splitlines()) == 2


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("name",), REMOVED, "name: required, but missing."),
        (("subjects",), {}, "subjects: "),
        (("subjects", "S01", "trials"), {}, "subjects.S01.trials: "),
        (("subjects", "S01", "trials"), REMOVED, "subjects.S01.trials: required, but missing."),
        (("ik", "weights"), {"LKnee": -0.5}, "ik.weights.LKnee: Input should be greater than or equal to 0 "),
        (("subjects", "S01", "height"), 180, "subjects.S01.height: Input should be less than 2.5 (found 180)."),
        (("filter", "cutoff_hz"), "six", "filter.cutoff_hz: "),
        (("filter", "order"), 3, "filter.order: Input should be a multiple of 2 (found 3)."),
        (("triangulation", "min_views"), 1, "triangulation.min_views: "),
        (("triangulation", "min_views"), 2.5, "(found 2.5)."),
        (("detection", "person"), [0.0, 1.0], "detection.person: [0.0, 1.0], expected three coordinates x, y, z in"),
        (("detection", "person"), [0.0, 1.0, float("nan")], "number that is finite (found nan)."),
        (("detection", "detector"), "openpose", "'blazepose_spine', 'spinepose' or 'import' (found 'openpose')."),
        (("filter",), ["a"], 'filter: Input should be a section of keys and values (found ["a"]).'),
        (("report",), None, "report: Input should be a section of keys and values (found nothing)."),
        (("report", "sample_frames"), "a", "report.sample_frames: Input should be a whole number (found 'a')."),
        (("report", "sample_frames"), True, "report.sample_frames: Input should be a whole number (found true)."),
        (("filter", "cutoff_hz"), float("inf"), "cutoff_hz: Input should be a number that is finite (found inf)."),
        (("report", "events"), 3, "report.events: Input should be a section of keys and values (found 3)."),
        (("report", "events"), {WALK[1] + "/walk": {"right": 0.5}}, "right: Input should be a list (found 0.5)."),
        (("name",), "a/b", "name: "),
        (("name",), "../up", "name: "),
        ((*WALK, "folder"), "project", "trials.walk: give exactly one of folder, videos, keypoints, markers, capture."),
        ((*BOW, "folder"), None, "trials.bow: give exactly one of folder, videos, keypoints, markers, capture."),
        ((*WALK, "calibration"), REMOVED, "videos or keypoints need a calibration file."),
        ((*OLD, "rate"), REMOVED, "keypoints need a rate (frames per second)."),
        ((*OLD, "rate"), -1, "trials.old.rate: "),
        ((*WALK, "rate"), 240, "trials.walk: rate is for keypoints; frames of videos count by the videos' own rate"),
        ((*BOW, "rate"), 240, "trials.bow: rate is for keypoints"),
        (("scaling", "min_factor"), 1.31, "min_factor is 1.31, max_factor 1.3; expected min_factor below max_factor"),
        ((*OLD, "rate"), 1e6, "old.rate: Input should be less than or equal to 10000 (found 1000000.0)."),
    ],
)  # fmt: skip
def test_wrong_value_names_its_place(tmp_path, path, value, words):
    message = refusal(tmp_path, changed(path, value))
    assert words in message
    assert len(message.splitlines()) <= 3


@pytest.mark.parametrize("folder", ["ergebnisse/Läufe 1", "results/x$(touch y)", "results/a'b", "/data/結果"])
def test_any_folder_can_hold_the_results(folder):
    assert check_config(changed(("results",), folder)).results == folder


@pytest.mark.parametrize("name", ["../coupled", "a" * 300])
def test_a_marker_set_is_no_way_to_other_files(name):
    with pytest.raises(InputError, match=r"body\.markers: unknown marker set or skeleton '(\.\./coupled'|aaaa)"):
        check_config(changed(("body", "markers"), name))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("body", "recipe"), "articulate", "body.recipe: unknown recipe 'articulate'"),
        (("body", "markers"), "blazepos", "body.markers: unknown marker set or skeleton 'blazepos'"),
        (("detection", "skeleton"), "halpe27", "detection.skeleton: unknown skeleton 'halpe27'"),
        (("detection", "model"), "medum", "detection.model: SpinePose's weights 'medum': no such file"),
        (("detection", "person"), "larget", "detection.person: unknown choice 'larget'. Did you mean 'largest'?"),
        (("merge", "correspondence"), "human36", "merge.correspondence: unknown table of correspondences 'human36'"),
        (("ik", "engine"), "frame", "ik.engine: Input should be 'trajectory' or 'frames' (found 'frame')."),
    ],
)
def test_a_misspelt_value_is_refused_with_the_nearest_one(tmp_path, path, value, words):
    message = refusal(tmp_path, changed(path, value))
    assert words in message
    assert "Did you mean" in message or path == ("detection", "model")
    assert len(message.splitlines()) == 2


@pytest.mark.parametrize(
    ("detection", "words"),
    [
        ({"model": "medium"}, "unknown model of blazepose 'medium'. Available: full, heavy"),
        ({"detector": "blazepose_spine", "model": "heavy"}, "model heavy has no effect with blazepose_spine"),
        ({"detector": "import", "model": "full"}, "model full has no effect with import"),
        ({"detector": "spinepose", "model": "heavy"}, "SpinePose's weights 'heavy': no such file"),
    ],
)
def test_a_model_of_another_detector_is_refused(tmp_path, detection, words):
    assert words in refusal(tmp_path, FULL | {"detection": detection})


def test_a_network_file_needs_no_detector(tmp_path):
    """The page then names the file, and no licence of a program that it is not of."""
    file = tmp_path / "hrnet.onnx"
    file.touch()
    config = check_config(FULL | {"detection": {"model": str(file)}})
    assert config.detection.detector == "spinepose"
    subject, trial = next((name, trial) for name in config.subjects for trial in config.filmed_trials(name))
    assert _detector(config, subject, trial) == f"network {file}"
    assert _detector(check_config(FULL), subject, trial) == "spinepose medium"
    said = refusal(tmp_path, FULL | {"detection": {"detector": "blazepose", "model": str(file)}})
    assert "unknown model of blazepose" in said


@pytest.mark.parametrize(
    ("path", "value"),
    [(("body", "recipe"), "mine.yaml"), (("body", "markers"), "my.yml"), (("merge", "correspondence"), "own.csv")],
)
def test_a_file_that_is_not_there_is_refused(tmp_path, path, value):
    assert f"{'.'.join(path)}: " in (message := refusal(tmp_path, changed(path, value)))
    assert f"{value} does not exist" in message or f"{value}: no such file" in message


def test_detections_of_a_virtual_capture_are_known(tmp_path):
    virtual = {key: value for key, value in FULL.items() if key not in ("subjects", "detection", "report")}
    virtual |= {"capture": {"human36m": "copy"}, "virtual": {"detections": "zero-shott"}}
    message = refusal(tmp_path, virtual)
    assert "virtual.detections: unknown preset of detections 'zero-shott'. Did you mean 'zero-shot'?" in message
    virtual["virtual"]["detections"] = "own.yaml"
    assert "own.yaml does not exist" in refusal(tmp_path, virtual)


def test_all_faults_in_one_message(tmp_path):
    data = changed(("filter", "cutof_hz"), 6)
    data = changed(("subjects", "S01", "hight"), 1.8, data)
    data = changed(("triangulation", "min_views"), 0, data)
    data = changed(("name",), REMOVED, data)
    message = refusal(tmp_path, data)
    assert len(message.splitlines()) == 5
    for words in ("'cutof_hz'", "'hight'", "min_views", "name: required"):
        assert words in message


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b\n", "3", "null"])
def test_yaml_that_is_no_mapping(tmp_path, text):
    assert "expected sections such as" in refusal(tmp_path, text)


def shared(people=2, person="all", most=4, **subject):
    trial = {"videos": ["a.mp4", "b.mp4"], "calibration": "c.toml"}
    return {
        "name": "x", "results": "r", "detection": {"person": person, "people": most},
        "subjects": {"duo": {"people": people, "trials": {"walk": trial}} | subject},
    }  # fmt: skip


def test_a_subject_of_several_people_becomes_several_subjects():
    config = check_config(shared(people=3, mass=60))
    assert list(config.subjects) == ["duo_1", "duo_2", "duo_3"]
    assert [person.rank for person in config.subjects.values()] == [1, 2, 3]
    assert {config.recorded_as(name) for name in config.subjects} == {"duo"}
    assert config.trials("duo_2") == ["walk"]
    assert config.subject("duo_3").mass == 60
    assert check_config(shared(people=2)).hash != config.hash
    assert check_config(shared(people=1)).subjects["duo_1"].rank == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (shared(person="largest"), "subjects.duo.people: needs `detection: {person: all}`"),
        (shared(people=None), "detection.person is all: say how many people there are (subjects.duo.people)"),
        (shared(people=5), "subjects.duo.people is 5, but detection.people is 4"),
        (shared(people=0), "subjects.duo.people: Input should be greater than or equal to 1 (found 0)"),
        (shared(height=1.8), "subjects.duo: one height cannot be that of 2 people"),
        (shared(trials={name: {"folder": name} for name in "ab"}), "subjects.duo.people: needs exactly one trial"),
    ],
)
def test_several_people_need_settings_that_agree(tmp_path, settings, words):
    assert words in refusal(tmp_path, settings)


def test_one_of_several_people_cannot_have_the_name_of_another_subject(tmp_path):
    settings = shared()
    settings["subjects"]["duo_2"] = settings["subjects"]["duo"]
    assert "subjects.duo_2: is the name of one of the people of subjects.duo" in refusal(tmp_path, settings)


def test_imported_points_may_be_of_many_people():
    settings = shared(people=9)
    settings["detection"]["detector"] = "import"
    assert len(check_config(settings).subjects) == 9


def test_configuration_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        check_config(FULL).filter.order = 2


def leaves(data, path=()):
    """Paths of all values that are not sections."""
    for key, value in data.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


OTHER = {
    ("detection", "detector"): "blazepose",
    ("filter", "order"): 4,
    ("triangulation", "min_views"): 4,
    ("report", "sample_frames"): 5,
    ("merge", "correspondence"): None,
    ("body", "recipe"): "paper",
    ("body", "markers"): "centres",
}


@pytest.mark.parametrize("path", list(leaves(FULL)), ids=".".join)
def test_hash_changes_with_any_value(path):
    value = FULL
    for key in path:
        value = value[key]
    if path in OTHER:
        other = OTHER[path]
    elif isinstance(value, bool):
        other = not value
    elif isinstance(value, list):
        other = [*value[:-1], value[-1] * 2]
    else:
        other = value + "x" if isinstance(value, str) else value * 1.01
    assert check_config(changed(path, other)).hash != check_config(FULL).hash


def shuffled(data, rng):
    if not isinstance(data, dict):
        return data
    items = list(data.items())
    rng.shuffle(items)
    return {key: shuffled(value, rng) for key, value in items}


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False))
def test_hash_does_not_depend_on_the_order_of_keys(rng):
    assert check_config(shuffled(FULL, rng)).hash == check_config(FULL).hash


def test_hash_counts_the_default_like_the_same_value_said():
    unsaid = {key: value for key, value in FULL.items() if key != "filter"}
    said = unsaid | {"filter": {"cutoff_hz": 6.0, "order": 4, "max_gap_s": 0.2}}
    assert check_config(unsaid).hash == check_config(said).hash


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(sorted({*Config.model_fields, "S01", "trials", "walk", "x"})) | st.text(max_size=5)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, JSON | st.dictionaries(KEYS, JSON, max_size=3), max_size=6))
def test_whatever_is_written_the_answer_is_a_message(data):
    """No input makes the check itself fail."""
    with contextlib.suppress(InputError):
        check_config(data)


@given(st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4), min_size=1, max_size=4))
def test_digest_tells_values_apart(value):
    key = next(iter(value))
    assert json_digest(value) == json_digest(dict(reversed(value.items())))
    assert json_digest(value) != json_digest(value | {key: [value[key]]})


def virtual(**changes) -> dict:
    return {
        "name": "v",
        "results": "results/v",
        "virtual": {},
        "capture": {"human36m": "results/v/capture", "detections": "results/v/capture/detections"},
        "detection": {"detector": "import"},
    } | changes


def test_subjects_and_trials_follow_from_the_data_set():
    """Without a look at any file: neither folder exists."""
    whole = check_config({"name": "h", "results": "r", "capture": {"human36m": "nowhere"}})
    assert list(whole.subjects) == ["S1", "S5", "S6", "S7", "S8", "S9", "S11"]
    assert sum(len(whole.trials(subject)) for subject in whole.subjects) + len(whole.skipped) == 210
    assert whole.trials("S1")[:3] == ["Directions_1", "Directions_2", "Discussion_1"]
    part = {"human36m": "nowhere", "subjects": ["S5"], "actions": ["Photo_2"]}
    what_is_known = {"S1": {"mass": None}, "S5": {"mass": 66.5}}
    some = check_config({"name": "h", "results": "r", "capture": part, "subjects": what_is_known})
    assert {s: list(person.trials) for s, person in some.subjects.items()} == {"S5": ["TakingPhoto_2"]}
    assert some.subjects["S5"].mass == 66.5
    assert some.subjects["S5"].trials["TakingPhoto_2"].capture == "TakingPhoto_2"


def test_known_faults_are_left_out_and_named():
    base = {"name": "h", "results": "r"}
    skip = check_config(base | {"capture": {"human36m": "nowhere"}})
    assert set(skip.skipped) == {"S9/Greeting_2", "S9/SittingDown_2", "S9/Waiting_1"}
    assert "drifted" in skip.skipped["S9/Greeting_2"]
    assert "Greeting_2" not in skip.trials("S9")
    assert "54138969" in skip.known_faults["S11/Directions_2"], "three good videos are left"
    assert "Directions_2" in skip.trials("S11")
    keep = check_config(base | {"capture": {"human36m": "nowhere", "faults": "keep"}})
    assert "Greeting_2" in keep.trials("S9")
    assert keep.skipped == {}
    assert keep.known_faults == skip.known_faults
    some = check_config(
        base | {"capture": {"human36m": "nowhere", "subjects": ["S1", "S9"], "actions": ["Greeting_2"]}}
    )
    assert list(some.subjects) == ["S1"]
    assert set(some.skipped) == {"S9/Greeting_2"}
    with pytest.raises(InputError, match="all trials chosen have known faults"):
        check_config(base | {"capture": {"human36m": "nowhere", "subjects": ["S9"], "actions": ["Greeting_2"]}})


def test_a_resolved_configuration_resolves_to_itself():
    first = check_config(virtual(subjects={"S1": {"height": 1.7}}))
    again = check_config(first.model_dump(mode="json"))
    assert again == first
    assert again.hash == first.hash


def test_a_virtual_capture_is_as_its_preset_says():
    small = check_config(virtual())
    assert {s: len(person.trials) for s, person in small.subjects.items()} == {"S1": 8, "S5": 8}
    assert small.virtual.resolved().frames == 300
    large = check_config(virtual(virtual={"preset": "large"}))
    assert [len(person.trials) for person in large.subjects.values()] == [30] * 7
    assert large.virtual.resolved().frames is None
    own = check_config(virtual(virtual={"subjects": 1, "actions": ["Walking"], "frames": 50}))
    assert {s: list(p.trials) for s, p in own.subjects.items()} == {"S1": ["Walking_1", "Walking_2"]}
    assert large.known_faults == {}, "the faults are the data set's, not of what is made in its layout"


def test_what_is_known_about_a_subject_joins_the_data_set():
    settings = virtual(
        subjects={
            "S1": {"height": 1.7},
            "S5": {"trials": {"w": {"capture": "Walking_1"}}},
            "guest": {"trials": {"own": {"folder": "project"}}},
        }
    )
    config = check_config(settings)
    assert config.subjects["S1"].height == 1.7
    assert len(config.trials("S1")) == 8
    assert config.trials("S5") == ["w"]
    assert list(config.subjects) == ["S1", "S5", "guest"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"capture": None}, "virtual: needs `capture: {human36m: folder}`"),
        ({"capture": None, "virtual": None}, "subjects: required, but missing."),
        ({"capture": {"human36m": "x", "subjects": ["S2"]}}, "unknown subject 'S2' in capture.subjects"),
        ({"capture": {"human36m": "x", "subjects": ["S9"]}}, "Available: S1, S5."),
        ({"capture": {"human36m": "x", "actions": ["Wlaking"]}}, "Did you mean 'Walking'?"),
        ({"capture": {"human36m": "x", "actions": ["Eating"]}}, "virtual.actions are Greeting, Phoning"),
        ({"capture": {"humans": "x"}}, "unknown key 'humans' in capture. Did you mean 'human36m'?"),
        ({"virtual": {"preset": "huge"}}, "virtual.preset: "),
        ({"virtual": {"detections": "perfect"}}, "virtual.detections: "),
        ({"subjects": {"guest": {"height": 1.7}}}, "subjects.guest.trials: required, but missing (guest is not among"),
        (
            {"subjects": {"S1": {"trials": {"w": {"capture": "Walking_1", "mocap": "m.trc"}}}}},
            "calibration, rate, mocap and delays of a trial are the data set's",
        ),
    ],
)
def test_faults_of_a_capture_are_named(tmp_path, changes, words):
    assert words in refusal(tmp_path, virtual(**changes))


@pytest.mark.parametrize("name", ["metadata", "export", "logs", "summary.json", "timings.json", "study.h5", "Report"])
def test_a_subject_is_not_called_like_something_else_in_the_results(name):
    """Before any work is done: the data set's file has no place for a subject called metadata."""
    with pytest.raises(InputError, match=rf"subjects\.{name}: '{name}' is the name of something else in the results"):
        check_config(FULL | {"subjects": {name: FULL["subjects"]["S01"]}})


def test_a_trial_is_not_called_calibration():
    trials = {"calibration": FULL["subjects"]["S01"]["trials"]["bow"]}
    with pytest.raises(InputError, match=r"subjects\.S01\.trials\.calibration: the data set keeps cameras there"):
        check_config(FULL | {"subjects": {"S01": {"trials": trials}}})


def test_a_trial_is_not_called_like_a_file_of_another():
    trials = dict.fromkeys(("bow", "bow_people"), FULL["subjects"]["S01"]["trials"]["bow"])
    with pytest.raises(InputError, match="bow_people: all people in 'bow'; rename it"):
        check_config(FULL | {"subjects": {"S01": {"trials": trials}}})


@pytest.mark.parametrize("results", ["./out", "out/", ".//out/."])
def test_a_folder_for_results_is_written_in_one_way(results):
    """Snakemake compares names of files as texts."""
    assert check_config(FULL | {"results": results}).results == "out"


@pytest.mark.parametrize("results", ["", "  ", "-rf", "a{b}", "a\nb", "a\x00", ".", "./"])
def test_names_that_are_no_folder_for_results(results):
    with pytest.raises(InputError, match=r"results"):
        check_config(FULL | {"results": results})


@pytest.mark.parametrize("name", ["$(touch y)", "a b", "-a", "a;b", "`y`", "a\n", "..", "a/b", "ä", ""])
def test_names_of_subjects_and_trials_are_plain(name):
    person = FULL["subjects"]["S01"]
    with pytest.raises(InputError, match="pattern"):
        check_config(FULL | {"subjects": {name: person}})
    with pytest.raises(InputError, match="pattern"):
        check_config(FULL | {"subjects": {"S01": {"trials": {name: person["trials"]["bow"]}}}})
    with pytest.raises(InputError, match="pattern"):
        check_config(FULL | {"name": name})


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ({"S01/wlak": {"right": [0.4, 1.5]}}, "S01/walk"),
        ({"S01/walk": {"right": [0.4]}}, "two or more times that ascend"),
        ({"S01/walk": {"left": [0.4, 0.4]}}, "two or more times that ascend"),
        ({"S01/walk": {"rigth": [0.4, 1.5]}}, "right"),
        ({"S01/walk": {}}, "report.events.S01/walk: no times"),
        ({"S01/walk": {"right": [], "left": []}}, "report.events.S01/walk: no times"),
    ],
)
def test_contacts_of_the_feet_are_times_of_a_trial_there_is(tmp_path, events, said):
    assert said in refusal(tmp_path, changed(("report", "events"), events))


def test_a_skeleton_is_that_of_points_that_are_given(tmp_path):
    """It had no effect on videos, whose detector has its own."""
    named = changed(("detection", "skeleton"), "halpe26")
    assert check_config(named).detection.skeleton == "halpe26"
    assert "no trial has `keypoints`: leave it out" in refusal(tmp_path, changed(OLD, REMOVED, named))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["CON"], "on every system"), (["nul.x"], "on every system"), (["walk."], "on every system"),
        (["walk", "Walk"], "one file on Windows and macOS"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("of", ["subject", "trial"])
def test_names_that_some_system_cannot_store_are_refused(names, words, of):
    trial = {"folder": "project"}
    one = {name: {"trials": {"walk": trial}} for name in names} if of == "subject" else None
    content = {"name": "x", "results": "r", "subjects": one or {"S01": {"trials": dict.fromkeys(names, trial)}}}
    with pytest.raises(InputError, match=words):
        check_config(content)


@pytest.mark.parametrize(
    ("subjects", "said"),
    [
        ({"A": ["B_C"], "A_B": ["C"]}, "A/B_C and A_B/C"),  # report/A_B_C.html
        ({"A": ["1"], "a_1": ["x"]}, "a_1 and A/1"),  # Calib_A_1.toml
    ],
)
def test_names_that_would_share_files_are_refused(subjects, said):
    people = {name: {"trials": {trial: {"folder": "project"} for trial in trials}} for name, trials in subjects.items()}
    with pytest.raises(InputError, match=f"{said} would have files of one name"):
        check_config({"name": "x", "results": "r", "subjects": people})


def test_settings_without_a_source_are_refused_in_words():
    """As of a class made in a notebook; the hint is missing."""
    made = type("Mine", (Section,), {"__module__": "nowhere", "__annotations__": {"count": int}, "count": 1})
    with pytest.raises(InputError, match=r"count: Input should be a whole number \(found 'x'\)\.$"):
        made(count="x")
