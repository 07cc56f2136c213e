"""Joints of Human3.6M in the place of SIMSPINE's points: which are, which are not, and wrong worlds caught."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from simspine.core.errors import InputError
from simspine.core.skeletons import CORRESPONDENCE_COLUMNS, load_skeleton, read_correspondence
from simspine.core.types import Markers, Origin
from simspine.vision.merge_mocap import merge_with_report

LIMBS = {f"{side}{joint}" for side in "LR" for joint in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")}
RATE, FRAMES = 50.0, 120
HEADER = ",".join(CORRESPONDENCE_COLUMNS) + "\n"

# A person facing +x, left side +y, m: hip joints 90 mm before and 85 mm below the sacral point, in a neutral stance.
SIDE = {"Shoulder": (0.0, 0.20, 1.40), "Elbow": (0.02, 0.26, 1.10), "Wrist": (0.1, 0.27, 0.85)}
SIDE |= {"Hip": (0.0, 0.09, 0.93), "Knee": (0.02, 0.10, 0.50), "Ankle": (-0.03, 0.11, 0.09)}
BACK = {"Hip": -0.092, "Spine_01": -0.07, "Spine_02": -0.07, "Spine_03": -0.085, "Spine_04": -0.12, "Spine_05": -0.115}
HEIGHT = {"Hip": 1.02, "Spine_01": 1.08, "Spine_02": 1.13, "Spine_03": 1.19, "Spine_04": 1.32, "Spine_05": 1.44}
POINTS = {f"L{n}": np.array(p) for n, p in SIDE.items()} | {f"R{n}": np.array(p) * [1, -1, 1] for n, p in SIDE.items()}
POINTS |= {n: np.array([BACK[n], 0, HEIGHT[n]]) for n in BACK} | {"Neck": np.array([-0.07, 0, 1.5])}
POINTS |= {"Nose": np.array([0.1, 0, 1.6]), "Head": np.array([0.0, 0, 1.78])}
JOINTS = {name: POINTS[name] for name in LIMBS}
MIDDLE = (JOINTS["LHip"] + JOINTS["RHip"]) / 2
JOINTS |= {"Hip": MIDDLE, "Spine": MIDDLE + np.array([-0.02, 0, 0.233]), "Thorax": np.array([-0.03, 0, 1.42])}
JOINTS |= {"NeckNose": np.array([0.03, 0, 1.55]), "Head": np.array([0.02, 0, 1.7])}


def walk(places: dict, names, offset=0.0) -> Markers:
    """A walk along x with swinging limbs; everything else moves as one."""
    t = np.arange(FRAMES)[:, None] / RATE
    swing = np.array([0.15 * ((n[0] == "L") - (n[0] == "R")) * (n[1:] in ("Wrist", "Ankle")) for n in names])
    xyz = np.array([places[n] for n in names]) + offset + np.zeros((FRAMES, 1, 1))
    xyz[..., 0] += 0.8 * t + swing * np.sin(6 * t)
    xyz[..., 2] += 0.02 * np.cos(12 * t)
    return Markers(tuple(names), RATE, xyz)


def points() -> Markers:
    markers = walk(POINTS, list(POINTS))
    shape = markers.xyz.shape[:2]
    return markers.with_(weight=np.full(shape, 0.6), covariance=np.tile(0.015**2 * np.eye(3), (*shape, 1, 1)))


def mocap(skeleton="human36m17", **changes) -> Markers:
    names = [name for name in load_skeleton(skeleton).names if name in JOINTS]
    return walk(JOINTS, names, 0.012).with_(**changes)


@pytest.mark.parametrize("skeleton", ["human36m17", "human36m32"])
def test_the_twelve_limb_joints_and_no_other(skeleton):
    merged, report = merge_with_report(points(), mocap(skeleton), correspondence=read_correspondence("human36m"))
    origin = dict(zip(merged.names, merged.origin, strict=True))
    assert {name for name, o in origin.items() if o is Origin.GIVEN} == LIMBS == set(report.replaced_points)
    for name in set(POINTS) - LIMBS:
        i = merged.index(name)
        assert np.array_equal(merged.xyz[:, i], points().xyz[:, i])
        assert (merged.weight[:, i] == 0.6).all()
        assert_allclose(merged.covariance[:, i], np.tile(0.015**2 * np.eye(3), (FRAMES, 1, 1)))
    for name in LIMBS:
        i = merged.index(name)
        assert_allclose(merged.xyz[:, i], mocap().xyz[:, mocap().index(name)])
        assert (merged.weight[:, i] > 0.6).all(), "more confidence than in any detected point"
        assert np.trace(merged.covariance[0, i]) < 0.25 * np.trace(points().covariance[0, 0])
    assert report.misfit == pytest.approx(0.012 * np.sqrt(3), rel=1e-6)


def test_the_middle_of_the_hips_is_not_the_sacral_marker():
    """The released code writes the one over the other: 126 mm in its model, and as far here."""
    apart = np.linalg.norm(POINTS["Hip"] - JOINTS["Hip"])
    assert 0.12 < apart < 0.135
    merged, _ = merge_with_report(points(), mocap(), correspondence=read_correspondence("human36m"))
    hip = merged.xyz[:, merged.index("Hip")]
    assert_allclose(hip, points().xyz[:, points().index("Hip")])
    hips = merged.xyz[:, merged.indices(["LHip", "RHip"])].mean(1)
    assert np.linalg.norm(hip - hips, axis=-1).min() > 0.1


def test_the_joint_called_spine_is_near_l1_and_not_t8():
    """The released code writes it over T8."""
    above = {name: abs(HEIGHT[name] - JOINTS["Spine"][2]) for name in BACK}
    assert min(above, key=above.get) == "Spine_03", "L1"
    assert above["Spine_04"] > 0.14, "T8"
    merged, _ = merge_with_report(points(), mocap(), correspondence=read_correspondence("human36m"))
    for name in BACK:
        assert_allclose(merged.xyz[:, merged.index(name)], points().xyz[:, points().index(name)])


def test_a_table_as_a_spreadsheet_writes_it(tmp_path):
    """UTF-8 with a byte order mark, and an ending in capitals."""
    path = tmp_path / "NAMES.CSV"
    path.write_text(HEADER + "LKJC,LKnee,limb,1,0.01,\n", encoding="utf-8-sig")
    assert read_correspondence(str(path)) == (("LKJC", "LKnee", 1.0, 0.01),)


def test_every_joint_of_the_skeleton_is_in_the_table_with_a_reason():
    import csv
    from importlib.resources import files

    text = files("simspine.core").joinpath("correspondences/human36m.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert {row["joint"] for row in rows} == set(load_skeleton("human36m17").names)
    assert {row["joint"] for row in rows if row["point"]} == LIMBS
    assert all(row["note"] for row in rows if not row["point"])
    assert all(pair.marker == pair.point for pair in read_correspondence("human36m"))


def exchanged(markers: Markers) -> Markers:
    swaps = {"L": "R", "R": "L"}
    return markers.with_(names=[swaps[n[0]] + n[1:] if n in LIMBS else n for n in markers.names])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (exchanged, "left and right are exchanged"),
        (lambda m: m.with_(xyz=m.xyz * [1, -1, 1]), "it is mirrored"),
        (lambda m: m.with_(xyz=m.xyz * [1, -1, 1] + [0, 1.3, 0]), "it is mirrored"),
        (lambda m: m.with_(xyz=m.xyz[..., [1, 0, 2]]), "it is mirrored"),
        (lambda m: m.with_(xyz=m.xyz[..., [1, 2, 0]]), "it is y_up: say so"),
        (lambda m: m.with_(xyz=m.xyz * 1000), "another unit"),
        (lambda m: m.with_(xyz=m.xyz + np.array([0, 0.4, 0])), r"shift of \(-0.01., -0.41., -0.01.\) m"),
    ],
)
def test_wrong_worlds_are_named_and_not_processed(spoil, message):
    with pytest.raises(InputError, match=message):
        merge_with_report(points(), spoil(mocap()), correspondence=read_correspondence("human36m"))


@pytest.mark.parametrize("spoil", [exchanged, lambda m: m.with_(xyz=m.xyz * [1, -1, 1])])
def test_sides_are_told_apart_however_wide_the_limit(spoil):
    """Legs are 0.2 m apart: a limit of half a metre would let an exchange pass."""
    with pytest.raises(InputError, match=r"exchanged|mirrored"):
        merge_with_report(points(), spoil(mocap()), max_misfit_m=0.5, correspondence=read_correspondence("human36m"))
    merge_with_report(points(), mocap(), max_misfit_m=0.5, correspondence=read_correspondence("human36m"))


def test_permuted_joints_are_named_by_the_worst():
    names = {"LWrist": "LAnkle", "LAnkle": "LWrist"}
    wrong = mocap().with_(names=[names.get(n, n) for n in mocap().names])
    with pytest.raises(
        InputError, match=r"no rotation, mirror or shift joins them\. The worst marker is 'L(Wrist|Ankle)'"
    ):
        merge_with_report(points(), wrong, correspondence=read_correspondence("human36m"))


def test_a_table_of_ones_own(tmp_path):
    file = tmp_path / "lab.csv"
    file.write_text(HEADER + "C7,Neck,trunk,1.5,0.004,\nSACR,Hip,trunk,1,0.003,\nT4,,trunk,0,,not a point\n")
    pairs = read_correspondence(str(file))
    assert [(p.marker, p.point, p.weight, p.sd) for p in pairs] == [
        ("C7", "Neck", 1.5, 0.004),
        ("SACR", "Hip", 1, 0.003),
    ]
    lab = walk({"C7": POINTS["Neck"], "SACR": POINTS["Hip"]}, ["C7", "SACR"])
    merged, _ = merge_with_report(points(), lab, correspondence=pairs)
    assert_allclose(merged.covariance[0, merged.index("Neck")], 0.004**2 * np.eye(3))
    assert (merged.weight[:, merged.index("Neck")] == 1.5).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "begins with"),
        (HEADER + "C7,Nek,x,1,0.1,\n", r"unknown point 'Nek' in .*line 2\. Did you mean 'Neck'"),
        (HEADER + "C7,Neck,x,one,0.1,\n", "line 2: not two numbers: weight 'one'"),
        (HEADER + "C7,Neck,x,1,0,\n", "line 2: weight 1 must be positive, sd_m 0 m"),
        (HEADER + "C7,Neck,x,1,0.1,\nC7,Hip,x,1,0.1,\n", "marker named twice: C7"),
        (HEADER + "C7,Neck,x,1,0.1,\nT1,Neck,x,1,0.1,\n", "point named twice: Neck"),
        (HEADER + "C7,,x,1,0.1,\n", "no joint has a point"),
    ],
)
def test_faults_of_a_table(tmp_path, text, message):
    file = tmp_path / "t.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        read_correspondence(str(file))


def test_an_unknown_table():
    with pytest.raises(InputError, match=r"unknown table of correspondences 'h36m'\..* Available: human36m\."):
        read_correspondence("h36m")
    with pytest.raises(InputError, match="no such file"):
        read_correspondence("nowhere.csv")
