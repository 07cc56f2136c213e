"""Curves of the player carry the verdict, the mean and the interval of the figure that they are of."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from simspine.anatomy.clinical import CLINICAL_DEFINITIONS
from simspine.core.types import Forced, ForcedKind
from simspine.quality.observability import ClinicalFigure, curvature_figures
from simspine.report.trial_sections import angle_curves, ends_in_words, most_moved, short_name

COUPLED = (Forced(ForcedKind.COUPLED, ("flexion",), "Flex_Ext", 0.1),)


def curves(angles, kept=None, forced=()):
    frames = len(next(iter(angles.values()))[0])
    kept = np.ones(frames, bool) if kept is None else kept
    nothing = {f"{name}{kind}": None for name in ("lla", "tka") for kind in ("", "_sd", "_change_sd")}
    known = {f"{name}{kind}": one for name, pair in angles.items() for kind, one in zip(("", "_sd"), pair, strict=True)}
    spine = SimpleNamespace(**nothing | known, forced=dict.fromkeys(forced, COUPLED))
    return angle_curves(angles, curvature_figures(spine, kept))


def test_a_note_says_why_a_curve_says_little():
    angles = {key: (np.full(5, 0.8), np.full(5, np.radians(sd))) for key, sd in (("lla", 9.0), ("tka", 25.0))}
    lumbar, thoracic = curves(angles)
    assert (lumbar.note, lumbar.assumed, lumbar.forced) == ("partly measured", False, False)
    assert (thoracic.note, thoracic.assumed, thoracic.forced) == ("assumed", True, False)
    assert thoracic.stated == "", "no mean of what is not a result"
    np.testing.assert_allclose(lumbar.sd, 9.0)
    assert lumbar.stated == f"mean {np.degrees(0.8):.0f}\u00a0±\u00a018°"  # 1.96 × 9°
    sharp = curves({"lla": (np.full(5, 0.8), np.full(5, np.radians(2.0)))})[0]
    np.testing.assert_allclose(sharp.sd, 8.2)  # the error in real people
    _, held = curves(angles, forced=["tka"])
    assert (held.note, held.assumed, held.forced, held.sd) == ("set by the model", False, True, None)


def test_an_assumed_curve_says_so_and_rejected_frames_do_not_count():
    sd = np.radians([9.5, 9.5, 9.5, 1.0, 1.0, 1.0, 1.0])  # adults differ by 10 degrees
    (thoracic,) = curves({"tka": (np.full(7, 0.8), sd)}, np.arange(7) < 3)
    assert thoracic.note == "assumed"
    assert curves({"tka": (np.full(7, 0.8), sd)})[0].note == "partly measured"


def figure(name, reach, sd, decided="measured"):
    label = CLINICAL_DEFINITIONS[name].label if name in CLINICAL_DEFINITIONS else name
    return ClinicalFigure(name, label, "deg", 0.0, sd, 0.0, reach, 1.0, decided, range_sd=sd)


def test_what_moved_most_for_its_error_is_shown_first():
    """30 over 1 before 60 over 4; what is assumed, has no error, or is within its ± is not shown whatever it did."""
    some = [
        figure("hip_flexion_r", 60.0, 4.0), figure("trunk_inclination", 30.0, 1.0), figure("t1_slope", 5.0, 5.0),
        figure("coronal_cobb", 90.0, 0.1, "assumed"), figure("knee_flexion_r", 90.0, None), figure("lla", 90.0, 1.0),
    ]  # fmt: skip
    assert [found.name for found in most_moved(some)] == ["lla", "trunk_inclination", "hip_flexion_r"]
    angles = {each.name: (np.linspace(0, 1, 4), np.full(4, 0.1)) for each in some}
    chosen = {curve.label for curve in angle_curves(angles, some) if curve.chosen}
    assert chosen == {"lla", "Trunk inclination (+ forwards)", "Hip flexion, right"}


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(
    ("angle", "panel", "ends"),
    [
        ("hip_adduction", "Hip adduction", "41° abduction … 8° adduction"),
        ("ankle_inversion", "Ankle inversion (+ sole inwards)", "41° sole outwards … 8° sole inwards"),
        ("shoulder_rotation", "Shoulder rotation (+ inwards)", "41° outwards … 8° inwards"),
    ],
)
def test_an_angle_of_a_limb_has_its_side_and_both_directions(side, angle, panel, ends):
    name = f"{angle}_{side[0]}"
    limb = replace(figure(name, 8.0, 2.0), minimum=-41.0)
    assert short_name(limb).startswith(f"{side.capitalize()} {angle.partition('_')[0]} ")
    assert ends_in_words(limb) == ends
    (curve,) = angle_curves({name: (np.zeros(4), np.full(4, 0.1))}, [limb])
    assert (curve.name, curve.panel) == (side, panel)


def test_a_place_has_its_direction_and_what_has_no_words_its_numbers():
    to_sides = replace(figure("coronal_balance", 66.0, 2.0), unit="mm", minimum=-120.0)
    assert (short_name(to_sides), ends_in_words(to_sides)) == (
        "C7 plumb line sideways", "120 mm to the left … 66 mm to the right",
    )  # fmt: skip
    assert ends_in_words(figure("shoulder_elevation_l", 66.0, 2.0)) == "0\u00a0…\u00a066°"
    assert ends_in_words(replace(figure("hip_adduction_l", -3.0, 2.0), minimum=-66.0)) == "66° … 3° abduction"


@pytest.mark.parametrize("sd", [None, 2.0])
def test_angles_that_the_model_sets_have_no_curve(sd):
    some = [figure("knee_rotation_r", 9.0, sd, "set by the model from the joint's other angles")]
    assert angle_curves({"knee_rotation_r": (np.zeros(4), None)}, some) == ()
