"""The one list of stages: each takes what those before give, and what is asked for by two ways is asked for once."""

import numpy as np
import pytest

import simspine as ss
from simspine.core.geometry import markers_in_frame
from simspine.core.skeletons import translate
from simspine.quality.assess import REFINE_HINT
from simspine.quality.findings import warning
from simspine.reconstruction.stages import AFTER_MERGING, SCALE, STAGES, UNSEEN

pytestmark = pytest.mark.usefixtures("two_rounds")

FAST = ss.Options(body={"recipe": "coupled"}, ik={"engine": "frames"})


@pytest.fixture(scope="module")
def markers(truth) -> ss.Markers:
    """Five frames of the true markers."""
    return truth.markers.with_(xyz=truth.markers.xyz[:5])


def first(keypoints: ss.Keypoints, frames: int) -> ss.Keypoints:
    return keypoints.with_(xy=keypoints.xy[:frames], confidence=keypoints.confidence[:frames])


def test_each_stage_takes_what_those_before_it_give():
    known = {"recording", "subject", "trial", "videos", "mocap", "spine_markers", "height", "mass"}
    for stage in STAGES:
        assert set(stage.takes) <= known, stage.name
        known |= set(stage.gives)
        assert set(stage.sections) <= set(ss.Options.model_fields)


def test_a_stage_gives_what_it_says(truth, markers):
    person = {"subject": "p", "trial": "t", "markers": markers, "skeleton": "simspine37"}
    known = {"t": UNSEEN | person}
    for stage in AFTER_MERGING:
        before = dict(known["t"])
        known = stage.run(known, FAST)
        changed = {name for name, value in known["t"].items() if value is not before.get(name, stage)}
        assert changed <= set(stage.gives) <= set(known["t"]), stage.name


@pytest.mark.parametrize(("cure", "named"), [(REFINE_HINT, True), ("Calibrate again.", False)])
def test_a_body_that_does_not_fit_names_the_cure_of_cameras_that_disagree(markers, cure, named):
    """`reconstruct` keeps cameras as calibrated unless asked; points of cameras that are off have impossible sizes."""
    finding = warning("camera_shift", "cam01: the person appears 21 px to the right.", cure, where="cam01")
    half = markers.with_(xyz=markers.xyz / 2)
    known = UNSEEN | {"subject": "p", "trial": "t", "markers": half, "skeleton": "simspine37", "findings": [finding]}
    with pytest.raises(ss.InputError, match="Noticed before: cam01") as error:
        SCALE.run({"t": known}, FAST)
    assert ("`cameras.refine: auto`" in str(error.value)) == named


def test_motion_capture_of_no_trial_is_refused(truth):
    keypoints, mocap = first(truth.keypoints, 5), markers_in_frame(truth.markers, "z_up")
    with pytest.raises(ss.InputError, match=r"unknown trial 'wlak' in mocap. Did you mean 'walk'"):
        ss.reconstruct({"walk": keypoints, "sit": keypoints}, truth.cameras, {"wlak": mocap})
    with pytest.raises(ss.InputError, match=r"2 trials \(walk, sit\); expected \{trial: Markers\}"):
        ss.reconstruct({"walk": keypoints, "sit": keypoints}, truth.cameras, mocap)


def test_motion_capture_counts_in_its_own_trial_only(truth):
    """Limbs 50 mm aside in the motion capture: the trial that it is of has them there, the other where they were."""
    keypoints = first(truth.keypoints, 16)
    limbs = truth.markers.select([f"{side}{joint}" for side in "LR" for joint in ("Hip", "Knee", "Ankle", "Shoulder")])
    mocap = markers_in_frame(limbs, "z_up")
    mocap = mocap.with_(xyz=mocap.xyz[:16] + np.array([0.05, 0, 0]))
    found = ss.reconstruct({"a": keypoints, "b": keypoints}, truth.cameras, {"b": mocap}, options=FAST)
    there, aside = (markers_in_frame(found[trial].markers.select(limbs.names), "z_up").xyz for trial in "ab")
    apart = aside - there
    np.testing.assert_allclose(np.median(apart, (0, 1)), [0.05, 0, 0], atol=0.003)


@pytest.mark.parametrize(("shift", "named"), [(0.0, True), (1e-4, False)])
def test_one_recording_under_two_names_is_named(markers, shift, named, recwarn):
    """A fit to the person would take it for two observations; a second recording of the same pose is one."""
    known = {"skeleton": "spinetrack37", "height": None, "mass": None, "findings": ()}
    given = {"a": markers, "b": markers.with_(xyz=markers.xyz + shift, rate=50.0)}
    SCALE.run({trial: known | {"markers": one} for trial, one in given.items()}, FAST)
    assert any("'a' and 'b' have equal markers" in str(one.message) for one in recwarn) == named


@pytest.mark.parametrize(("size", "named"), [(1.02, False), (0.98, False), (1.08, True), (0.92, True)])
def test_trials_of_people_of_two_sizes_are_named(markers, size, named, recwarn):
    """One body between both fits neither; a person's own trials differ by 1 or 2 %."""
    known = {"skeleton": "spinetrack37", "height": None, "mass": None, "findings": ()}
    given = {"ada": markers, "bob": markers.with_(xyz=size * markers.xyz)}
    SCALE.run({trial: known | {"markers": one} for trial, one in given.items()}, FAST)
    percent = round(100 * (max(size, 1 / size) - 1))
    longer, shorter = ("bob", "ada") if size > 1 else ("ada", "bob")
    text = f"segments in trial '{longer}' are {percent} % longer than in '{shorter}'"
    assert any(text in str(one.message) for one in recwarn) == named
    assert any("longer than in" in str(one.message) for one in recwarn) == named


def test_trials_of_different_skeletons_are_refused_unless_one_set_is_named(truth):
    """SpineTrack's points and SIMSPINE's lie on different places of the body, which is one for all trials."""
    native = first(truth.keypoints, 5)
    sources = {"native": native, "translated": translate(native, "spinetrack37")}
    for trials in (sources, dict(reversed(sources.items()))):
        with pytest.raises(ss.InputError, match=r"trials '\w+' and '\w+' have points of different skeletons"):
            ss.reconstruct(trials, truth.cameras, options=FAST)
    found = ss.reconstruct(sources, truth.cameras, options=FAST, marker_set="spinetrack37")
    np.testing.assert_allclose(found["native"].motion.values, found["translated"].motion.values, atol=1e-9)


def test_the_body_of_the_options_counts(markers):
    """The same by options and by arguments, and another than without."""
    options = ss.Options(body={"recipe": "coupled", "markers": "simspine37"}, ik={"engine": "frames"})
    frames_only = ss.Options(ik={"engine": "frames"})
    by_options = ss.fit_trials({"t": markers}, options=options)["t"]
    by_arguments = ss.fit_trials({"t": markers}, "coupled", "simspine37", options=frames_only)["t"]
    np.testing.assert_array_equal(by_options.motion.values, by_arguments.motion.values)
    assert by_options.motion.names == by_arguments.motion.names
    assert ss.fit_trials({"t": markers}, options=frames_only)["t"].motion.names != by_options.motion.names
    again = ss.fit_trials({"t": markers}, "coupled", "simspine37", options=options)["t"]
    np.testing.assert_array_equal(again.motion.values, by_options.motion.values)


@pytest.mark.parametrize(
    ("argument", "words"),
    [({"body": "articulated"}, r"body\.recipe of the options is 'coupled', the argument says 'articulated'"),
     ({"marker_set": "centres"}, r"body\.markers of the options is 'simspine37', the argument says 'centres'")],
)  # fmt: skip
def test_arguments_that_contradict_the_options_are_refused(markers, argument, words):
    options = ss.Options(body={"recipe": "coupled", "markers": "simspine37"})
    with pytest.raises(ss.InputError, match=words):
        ss.fit_trials({"t": markers}, options=options, **argument)
