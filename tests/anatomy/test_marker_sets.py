"""Marker sets of laboratories: names as recorded, found by them, and a place on the body for each."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from simspine.anatomy import marker_sets
from simspine.anatomy.marker_sets import find_marker_set, read_marker_set, read_skin_table
from simspine.core.errors import InputError
from simspine.core.settings import models_folder, read_mapping
from simspine.core.skeletons import plain_name, subject_prefix
from simspine.core.types import Markers
from simspine.estimation.options import BodyOptions
from simspine.reconstruction.stages import given_markers

SETS = (
    "plugin_gait",
    "cgm2",
    "ior",
    "rizzoli_spine",
    "cleveland",
    "gait2392",
    "rajagopal",
    "opencap",
    "spine",
    "theia",
)
# Labels as in public recordings: biomechzoo's sample study, OpenSim's subject01, OpenCap, Visual3D's IOR sample.
GAIT = (
    "LASI RASI SACR LTHI LKNE LTIB LANK LHEE LTOE RTHI RKNE RTIB RANK RHEE RTOE C7 T2 T6 T10 T12 CLAV STRN RBAK "
    "LSHO RSHO"
)
RECORDED = {
    "plugin_gait": GAIT,
    "cgm2": GAIT.replace("LTHI", "LTHI LTHAP LTHAD LKNM LMED LFMH LVMH").replace("RTHI", "RTHI RTHAP RTHAD RKNM RMED"),
    "gait2392": "Sternum R.Acromium L.Acromium Top.Head R.ASIS L.ASIS V.Sacral R.Thigh.Upper R.Thigh.Front "
    "R.Knee.Lat R.Knee.Med R.Shank.Upper R.Ankle.Lat R.Ankle.Med R.Heel R.Midfoot.Sup R.Toe.Tip L.Knee.Lat L.Heel",
    "opencap": "Neck RShoulder RElbow midHip RHip r.ASIS_study L.ASIS_study r.PSIS_study L.PSIS_study r_knee_study "
    "L_knee_study r_mknee_study r_ankle_study r_toe_study r_calc_study r_thigh1_study C7_study r_shoulder_study",
    "ior": "LCAJ RCAJ SJN SXS CV7 TV2 TV7 LV1 LV3 LV5 LIAS RIAS LIPS RIPS LFTC RFTC LFLE LFME LFAX LTTC LFAL LTAM LFCC",
    "rizzoli_spine": "LA RA IJ PX C7 T2 MAI L1 L3 L5 LASIS RASIS LPSIS RPSIS",
    "rajagopal": "RACR LACR C7 CLAV RASH RPSH RLEL RMEL RUA1 RASI LASI RPSI LPSI RTH1 RLFC RMFC RTB1 RLMAL RMMAL RCAL",
    "cleveland": "R.Shoulder L.Shoulder Neck Chest R.Elbow R.Wrist R.ASIS L.ASIS Sacral R.Thigh.Superior R.Knee.Medial "
    "R.Knee.Lateral R.Shank.Lateral R.Ankle.Medial R.Heel R.Midfoot.Superior R.Toe",
    "spine": "C7 T2 T4 T6 T8 T10 T12 L1 L2 L3 L4 L5 S2 LASIS RASIS LPSIS RPSIS",
}


@pytest.mark.parametrize("name", SETS)
def test_each_name_has_a_place_or_is_known_to_have_none(name):
    known = read_marker_set(name)
    assert read_mapping(models_folder() / f"markers/{name}.yaml")["source"]
    assert known.places_of == "landmarks"
    skin = {f"{landmark}_skin" for landmark in read_skin_table().places}
    assert {place for place in known.names.values()} <= set(known.places) | skin
    assert not set(known.names) & set(known.unused)
    means = {}
    for own, place in {**dict.fromkeys(known.unused), **known.names}.items():
        means.setdefault(plain_name(own), set()).add(place)
    assert not {name: places for name, places in means.items() if len(places) > 1}


@pytest.mark.parametrize("name", SETS)
def test_left_and_right_have_names_alike(name):
    """A name with its side exchanged is the same marker of the other side."""
    known = read_marker_set(name)
    other = {"L": "R", "R": "L", "l": "r", "r": "L"}
    for recorded, place in known.names.items():
        if recorded == "RBAK":
            continue  # on one side only, to tell it from the other
        if place.startswith(("LPS", "RPS")) or (place in known.places and place[0] in "LR"):
            mirrored = other[recorded[0]] + recorded[1:]
            assert known.place_names([mirrored])[mirrored] == other[place[0]] + place[1:], recorded


@pytest.mark.parametrize(("name", "recorded"), RECORDED.items())
def test_sets_are_found_by_the_names_of_recordings(name, recorded):
    names = recorded.split()
    known = find_marker_set(names)
    assert known.name == name
    assert not known.unknown_markers(names)
    spelt = [f"Ada:{label.lower()[:1]}_{label.lower()[1:]}" for label in names]
    again = find_marker_set(spelt)
    assert list(again.place_names(spelt).values()) == list(known.place_names(names).values())


@pytest.mark.parametrize(
    ("spelt", "place"),
    [
        *((name, "LASI") for name in ("ASI_L", "ASI left", "LeftASI", "Lt. ASI", "SIAS_L", "EIAS.L", "LFWT")),
        ("right knee", None),  # RKnee is a joint centre
        *((name, "RPSIS_skin") for name in ("PSIS r", "Right SIPS", "P07:BWT-R")),
        *((name, "C7_skin") for name in ("CV7", "C07", "c_7")),
        *((name, None) for name in ("LT1", "RT_10", "T1_L", "TH10")),  # clusters of a thigh, perhaps
    ],
)
def test_sides_and_vertebrae_in_other_spellings(spelt, place):
    assert read_marker_set("plugin_gait").place_names([spelt]).get(spelt) == place


@pytest.mark.parametrize("prefix", ["P01.", "P01 ", "my-subject-", "P|", "Ada_B:"])
def test_a_subjects_name_before_all_names_is_left_out(prefix):
    names = RECORDED["spine"].split()
    assert subject_prefix([prefix + name for name in names]) == prefix
    assert subject_prefix(names) == ""
    assert subject_prefix([f"{prefix}R_{name}" for name in names]) == prefix  # of one leg: the side stays


@pytest.mark.parametrize(
    "names",
    [
        [f"T.{n}" for n in range(1, 13)],
        [f"L_foot_{mark}" for mark in "abcdefgh"],
        [f"{side}thigh_{mark}" for side in "LR" for mark in "abcdefgh"],
        [f"{part}_{n}" for part in ("head", "chest") for n in range(8)],
        [f"{side}_{name}" for side in ("dx", "sx") for name in ("SIAS", "SIPS", "GT", "KNE", "ANK", "HEE", "TOE")],
        [f"{side}Foot_{mark}" for side in ("Left", "Right") for mark in "abcdefgh"],
        [f"{part}_{point}" for part in ("Pelvis", "Thorax") for point in ("Origin", "CG", "End", "X", "Y", "Z")],
    ],
)
def test_beginnings_that_are_no_subject_stay(names):
    assert subject_prefix(names) == ""


@pytest.mark.parametrize("mark", list(":_. -"))
def test_two_subjects_are_refused(mark):
    names = [f"{who}{mark}{name}" for who in ("S1", "S2") for name in RECORDED["spine"].split()]
    with pytest.raises(InputError, match="the markers are those of S1, S2; expected one person's"):
        subject_prefix(names)


def test_few_names_of_a_set_and_simspines_own_names_are_taken_for_joint_centres():
    assert find_marker_set(["C7", "a", "b", "c", "d"]).name == "centres"
    assert find_marker_set(["Hip", "Spine_01", "RHip", "LHip", "RKnee", "LKnee"]).name == "centres"


def test_a_marker_of_the_knee_is_no_joint_centre():
    known = read_marker_set("plugin_gait")
    assert known.place_names(["RKnee"]) == {"RKnee": "RKnee"}
    assert known.place_names(["R_KNEE"]) == {}
    assert known.unknown_markers(["LASI", "R_KNEE", "foo"]) == {"R_KNEE": "RKNE", "foo": None}


def test_markers_without_a_place_are_left_out():
    names = ("r.ASIS_study", "RHip", "r_thigh1_study", "other")
    recorded = Markers(names, 100.0, np.zeros((2, 4, 3)), "y_up")
    assert read_marker_set("opencap").renamed(recorded).names == ("RASI", "other")


@pytest.mark.parametrize(
    ("others", "thoracic", "taken"),
    [
        ("C7 L3 LPSIS RPSIS", "Th3 Th7 TH11", "T3_skin T7_skin T11_skin"),
        ("Ada:C7 Ada:L1 Ada:LASI", "Ada:TH_02 Ada:th12", "T2_skin T12_skin"),
        ("C7 L3 LASI RASI", "TH1 TH2 TH3 TH4", "TH1 TH2 TH3 TH4"),  # perhaps a cluster
        ("LASI RASI LKNE RKNE", "TH6 TH9", "TH6 TH9"),
        ("C7 T10 LASI RASI", "TH5 TH9", "TH5 TH9"),
    ],
)
def test_thoracic_vertebrae_by_their_latin_name(others, thoracic, taken):
    names = (*others.split(), *thoracic.split())
    markers = Markers(names, 100.0, np.random.default_rng(3).uniform(0, 1.5, (3, len(names), 3)), "y_up")
    for chosen in (BodyOptions(), BodyOptions(markers="spine")):
        assert set(taken.split()) <= set(given_markers(markers, chosen)["markers"].names)


def test_a_set_of_ones_own_as_the_page_on_marker_files_shows_it(tmp_path):
    """Without a name, which is then the file's; a landmark by its usual name is the place on the skin."""
    page = Path(__file__).parents[2] / "docs/how-to/marker-files.md"
    (example,) = re.findall(r"^```\n(from: .*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    own = tmp_path / "own.yaml"
    own.write_text(example)
    known = read_marker_set(str(own))
    assert known.name == "own"
    found = known.place_names(["MY_C7", "MY_LASI", "WAND1", "T6"])
    assert found == {"MY_C7": "C7_skin", "MY_LASI": "LASI", "WAND1": None, "T6": "T6_skin"}
    own.write_text(example.replace("C7: C7", "C7: C77"))
    with pytest.raises(InputError, match=r"own\.yaml: unknown landmark 'C77'. Did you mean 'C7'\?"):
        read_marker_set(str(own))


def test_a_set_of_ones_own_may_name_markers_as_in_the_file(tmp_path):
    """All of them begin alike, which is no subject's name then."""
    places = {"MY_B1": "C7", "MY_A1": "LASI", "MY_A2": "RASI", "MY_K1": "LKNE", "MY_K2": "RKNE", "MY_F1": "LANK"}
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump({"from": "landmarks", "names": places}))
    markers = Markers(tuple(places), 100.0, np.random.default_rng(2).uniform(0, 1.5, (3, 6, 3)), "y_up")
    given = given_markers(markers, BodyOptions(markers=str(own)))
    assert given["markers"].names == ("C7_skin", *list(places.values())[1:])
    assert "unknown_markers" not in [finding.code for finding in given["findings"]]


def test_what_may_be_two_things_is_asked_for(tmp_path, monkeypatch):
    own = tmp_path / "own.yaml"
    own.write_text("name: own\nfrom: landmarks\nnames: {L.KNE: LKNE, L_KNE: LKNM}\n")
    known = read_marker_set(str(own))
    assert known.place_names(["L_KNE"]) == {"L_KNE": "LKNM"}
    with pytest.raises(InputError, match=r"'l-kne' may be 'L.KNE' or 'L_KNE' .*'own'"):
        known.place_names(["l-kne"])
    shutil.copytree(models_folder() / "markers", tmp_path / "markers")
    for name, low in {"a": "LANK", "b": "LHEE"}.items():
        text = f"name: {name}\nfrom: landmarks\nsource: test\nnames: {{FRONT: LASI, TOP: LSHO, LOW: {low}}}\n"
        (tmp_path / f"markers/{name}.yaml").write_text(text)
    monkeypatch.setattr(marker_sets, "models_folder", lambda: tmp_path)
    monkeypatch.setattr(marker_sets, "recipe_path", lambda name: tmp_path / f"{name}.yaml")
    with pytest.raises(InputError, match="marker sets 'a' and 'b', which have LOW at different places; name"):
        find_marker_set(["FRONT", "TOP", "LOW"])
