import numpy as np
import pytest

from simspine.core import skeletons
from simspine.core.errors import InputError
from simspine.core.types import Keypoints, Origin

ALL = skeletons.skeleton_names()
SIZES = {
    "simspine37": 37, "simspine15": 15, "spinetrack37": 37, "human36m32": 32, "human36m17": 17,
    "halpe26": 26, "blazepose33": 33, "blazepose_spine46": 46, "body25": 25, "coco17": 17,
    "body25b": 25, "coco_wholebody133": 133, "halpe136": 136,
}  # fmt: skip


def test_the_skeletons_and_their_sizes():
    assert {name: len(skeletons.load_skeleton(name)) for name in ALL} == SIZES


@pytest.mark.parametrize("name", ALL)
def test_swaps_are_involutions_that_exchange_sides(name):
    skeleton = skeletons.load_skeleton(name)
    for i, j in enumerate(skeleton.swaps):
        assert skeleton.swaps[j] == i
        if i != j:
            a, b = skeleton.names[i].lower(), skeleton.names[j].lower()
            assert a.replace("right", "left") == b.replace("right", "left") or {a[0], b[0]} == {"l", "r"}
            assert a.replace("right", "r").replace("left", "l").strip("lr_") == b.replace("right", "r").replace(
                "left", "l"
            ).strip("lr_")
    paired = [n for i, n in enumerate(skeleton.names) if skeleton.swaps[i] != i]
    assert len(paired) >= 4  # a table that lost its swaps fails here


@pytest.mark.parametrize("name", ALL)
def test_swaps_agree_with_the_tree(name):
    """The parent of a mirrored point is the mirrored parent."""
    s = skeletons.load_skeleton(name)
    for i, parent in enumerate(s.parents):
        if parent >= 0:
            assert s.parents[s.swaps[i]] == s.swaps[parent], s.names[i]


@pytest.mark.parametrize("name", ALL)
def test_parents_form_one_tree(name):
    parents = skeletons.load_skeleton(name).parents
    assert parents.count(-1) == 1
    for start in range(len(parents)):
        seen, i = set(), start
        while i >= 0:
            assert i not in seen, "a cycle"
            seen.add(i)
            i = parents[i]


@pytest.mark.parametrize("name", ALL)
def test_counterparts_exist_once_and_keep_sides(name):
    skeleton, target = skeletons.load_skeleton(name), skeletons.load_skeleton("simspine37")
    values = list(skeleton.to_simspine.values())
    assert len(values) == len(set(values))
    assert set(values) <= set(target.names)
    for i, native in enumerate(skeleton.names):
        if native in skeleton.to_simspine:
            mirrored = skeleton.to_simspine[skeleton.names[skeleton.swaps[i]]]
            assert target.index(mirrored) == target.swaps[target.index(skeleton.to_simspine[native])]


def test_simspine_order_parents_and_levels():
    s = skeletons.load_skeleton("simspine37")
    # order of the released 37-marker HDF5; right before left
    assert s.names[:11] == (
        "Hip", "Spine_01", "Spine_02", "Spine_03", "Spine_04", "Spine_05", "Neck", "Neck_02", "Neck_03", "Head", "Nose",
    )  # fmt: skip
    assert [s.names.index(n) for n in ("REye", "LEar", "RClavicle", "LClavicle", "RHip", "LHip", "LHeel")] == [
        11, 14, 17, 21, 25, 31, 36,
    ]  # fmt: skip
    assert s.parents == (
        -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 11, 12, 4, 4, 5, 17, 18, 19, 5, 21, 22, 23, 0, 25, 26, 27, 28, 27, 0,
        31, 32, 33, 34, 33,
    )  # fmt: skip
    levels = {name: level for name, level in zip(s.names, s.levels, strict=True) if level}
    assert levels == {
        "Hip": "sacrum", "Spine_01": "L5", "Spine_02": "L3", "Spine_03": "L1", "Spine_04": "T8", "Spine_05": "T3",
        "Neck": "C7", "Neck_02": "C4", "Neck_03": "C1",
    }  # fmt: skip


def test_release_of_fifteen_points():
    s = skeletons.load_skeleton("simspine15")
    assert s.parents == (-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 5, 5, 4, 4)
    assert s.names[11:] == ("LClavicle", "RClavicle", "LLatissimus", "RLatissimus")


def test_spinetrack_numbers():
    s = skeletons.load_skeleton("spinetrack37")
    # the nine spine points, bottom to top
    assert [s.to_simspine[s.names[i]] for i in (19, 26, 27, 28, 29, 30, 18, 35, 36)] == [
        "Hip", "Spine_01", "Spine_02", "Spine_03", "Spine_04", "Spine_05", "Neck", "Neck_02", "Neck_03",
    ]  # fmt: skip
    assert set(s.to_simspine.values()) == set(skeletons.load_skeleton("simspine37").names)
    assert (s.names[5], s.names[12], s.names[21], s.names[33]) == (
        "left_shoulder",
        "right_hip",
        "right_big_toe",
        "left_clavicle",
    )


def test_human36m_17_is_the_usual_choice_out_of_32():
    a, b = skeletons.load_skeleton("human36m32"), skeletons.load_skeleton("human36m17")
    used = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    assert b.names == tuple(a.names[i] for i in used)
    assert [b.to_simspine.get(n) for n in b.names] == [
        None, "RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", None, "Neck", "Nose", "Head",
        "LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "point"),
    [
        ("human36m32", "Hip"),
        ("human36m17", "Hip"),
        ("human36m17", "Spine"),
        ("halpe26", "Hip"),
        ("body25", "MidHip"),
        ("body25", "Neck"),
    ],
)
def test_similar_names_at_other_places_do_not_correspond(name, point):
    skeleton = skeletons.load_skeleton(name)
    assert point in skeleton.names
    assert point not in skeleton.to_simspine


@pytest.mark.parametrize("name", ALL)
def test_the_points_of_a_skeleton_are_those_of_no_other(name):
    """HALPE's 26 are all among SIMSPINE's 37 names, and its Hip is another place."""
    assert set(skeletons.skeleton_of_names(skeletons.load_skeleton(name).names).names) == set(
        skeletons.load_skeleton(name).names
    )
    assert skeletons.skeleton_of_names(skeletons.load_skeleton("halpe26").names).name == "halpe26"
    assert skeletons.skeleton_of_names(["LHip", "RHip", "Neck"]).name == "simspine37"


def test_openpose_orders():
    """As OpenPose lists them (doc/02_output.md; its experimental models' BODY_25B, which has COCO's 17 first)."""
    a, b = skeletons.load_skeleton("body25"), skeletons.load_skeleton("body25b")
    assert [a.index(n) for n in ("Neck", "RWrist", "MidHip", "LAnkle", "LEar", "RHeel")] == [1, 4, 8, 14, 18, 24]
    assert [b.index(n) for n in ("LEye", "RShoulder", "RAnkle", "Neck", "Head", "LBigToe", "RHeel")] == [
        1, 6, 16, 17, 18, 19, 24,
    ]  # fmt: skip
    coco = skeletons.load_skeleton("coco17")
    assert [b.to_simspine[n] for n in b.names[:17]] == [coco.to_simspine[n] for n in coco.names]


def test_halpe_and_blazepose_numbers():
    halpe, blaze = skeletons.load_skeleton("halpe26"), skeletons.load_skeleton("blazepose33")
    assert [halpe.index(n) for n in ("Head", "Neck", "Hip", "LBigToe", "RHeel")] == [17, 18, 19, 20, 25]
    assert [blaze.index(n) for n in ("left_ear", "left_shoulder", "left_hip", "right_heel", "right_foot_index")] == [
        7,
        11,
        23,
        30,
        32,
    ]
    assert blaze.to_simspine["right_foot_index"] == "RBigToe"
    assert blaze.from_simspine("RBigToe") == 32
    assert blaze.from_simspine("Spine_01") is None


def _keypoints(names, seed=0):
    rng = np.random.default_rng(seed)
    return Keypoints(names, 50.0, rng.uniform(0, 1000, (3, 2, len(names), 2)), rng.uniform(0.1, 1, (3, 2, len(names))))


@pytest.mark.parametrize("name", ALL)
def test_translate_there_and_back(name):
    skeleton = skeletons.load_skeleton(name)
    native = _keypoints(skeleton.names)
    ours = skeletons.translate(native, name)
    assert ours.names == skeletons.load_skeleton("simspine37").names
    for point, there in skeleton.to_simspine.items():
        i, j = native.index(point), ours.index(there)
        np.testing.assert_array_equal(ours.xy[:, :, j], native.xy[:, :, i])
        np.testing.assert_array_equal(ours.confidence[:, :, j], native.confidence[:, :, i])
    absent = [ours.index(n) for n in ours.names if n not in skeleton.to_simspine.values()]
    assert np.isnan(ours.xy[:, :, absent]).all()
    assert (ours.confidence[:, :, absent] == 0).all()
    assert skeletons.translate(ours, "simspine37") == ours


def test_translate_takes_a_subset_keeps_origin_and_refuses_strangers():
    part = _keypoints(("nose", "left_ear")).with_(origin=(Origin.DETECTED, Origin.GIVEN))
    ours = skeletons.translate(part, "blazepose33")
    assert ours.origin[ours.index("LEar")] is Origin.GIVEN
    assert np.isfinite(ours.xy[0, 0]).all(-1).sum() == 2
    with pytest.raises(InputError, match=r"Nose.*blazepose33.*nose"):
        skeletons.translate(_keypoints(("Nose",)), "blazepose33")


def test_unknown_skeleton_and_size_list_those_there_are():
    with pytest.raises(InputError, match=r"'halpe_26'.*Did you mean 'halpe26'.*blazepose33"):
        skeletons.load_skeleton("halpe_26")
    with pytest.raises(InputError, match=r"23 points.*17 \(coco17\)"):
        skeletons.skeleton_of_size(23)
    with pytest.raises(InputError, match=r"the 41 points point_00, .*point_04 …; known: blazepose33"):
        skeletons.skeleton_of_names([f"point_{i:02d}" for i in range(41)])
    assert skeletons.skeleton_of_size(37).name == "spinetrack37"
    assert [len(skeletons.skeleton_of_size(n)) for n in (15, 17, 25, 26, 32, 33, 37)] == [15, 17, 25, 26, 32, 33, 37]
