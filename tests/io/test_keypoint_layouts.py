"""Layouts of 2D points of other programs: known by their points or names, each with places on the body."""

import h5py
import numpy as np
import pytest

from simspine.anatomy.marker_sets import read_marker_set
from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton, translate
from simspine.core.types import Keypoints
from simspine.io.keypoint_json import names_of_skeleton, read_keypoints, write_keypoints
from simspine.vision.detector import read_detections

LAYOUTS = ("body25", "body25b", "coco17", "coco_wholebody133", "halpe26", "halpe136", "blazepose33", "spinetrack37")
# COCO-WholeBody and HALPE as their papers number them; BODY_25B as OpenPose's documentation does.
NUMBERED = {
    "coco_wholebody133": {0: "nose", 17: "left_big_toe", 22: "right_heel", 23: "face_00", 91: "left_hand_00"},
    "halpe136": {17: "Head", 19: "Hip", 20: "LBigToe", 25: "RHeel", 26: "Face00", 94: "LHand00", 115: "RHand00"},
    "body25b": {0: "Nose", 5: "LShoulder", 12: "RHip", 17: "Neck", 18: "Head", 19: "LBigToe", 24: "RHeel"},
}
UPRIGHT = {
    "Nose": (500, 120), "Head": (500, 60), "LShoulder": (570, 250), "RShoulder": (430, 250), "LElbow": (600, 400),
    "RElbow": (400, 400), "LWrist": (610, 540), "RWrist": (390, 540), "LHip": (540, 530), "RHip": (460, 530),
    "LKnee": (545, 730), "RKnee": (455, 730), "LAnkle": (550, 930), "RAnkle": (450, 930), "LHeel": (548, 950),
    "RHeel": (452, 950), "LBigToe": (560, 960), "RBigToe": (440, 960), "LSmallToe": (575, 955), "RSmallToe": (425, 955),
    "LEye": (515, 110), "REye": (485, 110), "LEar": (535, 120), "REar": (465, 120),
}  # fmt: skip


def person(layout: str) -> Keypoints:
    """Two views of somebody who moves to the right, as the layout has them; its other points hang about the middle."""
    skeleton = load_skeleton(layout)
    middle = {"Neck": ("LShoulder", "RShoulder"), "MidHip": ("LHip", "RHip"), "Hip": ("LHip", "RHip")}
    places = []
    for name in skeleton.names:
        target = skeleton.to_simspine.get(name)
        if name in middle and target is None:
            places.append(np.mean([UPRIGHT[own] for own in middle[name]], axis=0))
        else:
            places.append(UPRIGHT.get(target, (500.0, 200.0)))
    xy = np.array(places, float) + np.arange(5)[:, None, None, None] * [7.0, 0.0] + np.array([0.0, 40.0])[:, None, None]
    return Keypoints(skeleton.names, 30.0, xy, np.full(xy.shape[:3], 0.9))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_json_files_tell_their_layout_and_every_one_has_places_on_the_body(layout, tmp_path):
    seen = person(layout)
    folders = write_keypoints(tmp_path, seen, ["a", "b"])
    found = read_keypoints(folders, rate=30.0)
    assert found.names == seen.names
    detections, skeleton = read_detections(folders, 30.0)
    assert (skeleton.name, detections.names) == (layout, seen.names)
    translated = translate(found, layout)
    column = translated.names.index("RKnee")
    np.testing.assert_allclose(translated.xy[0, 0, column], UPRIGHT["RKnee"])
    places = read_marker_set(layout).places
    assert {"LShoulder", "RHip", "LKnee", "RAnkle"} <= set(places)


@pytest.mark.parametrize(("layout", "numbered"), NUMBERED.items())
def test_points_stand_where_the_layouts_number_them(layout, numbered):
    names = load_skeleton(layout).names
    assert {number: names[number] for number in numbered} == numbered


def test_a_bent_person_seen_from_the_side_is_still_body25(tmp_path):
    seen = person("body25")
    xy = seen.xy.copy()
    xy[..., 0] = 500 + 0.1 * (xy[..., 0] - 500) + 0.6 * (xy[..., 1] - 500)
    found = read_keypoints(write_keypoints(tmp_path, seen.with_(xy=xy), ["a", "b"]), rate=30.0)
    assert found.names == seen.names


def write_dlc(path, seen: Keypoints, view: int, parts) -> None:
    """DeepLabCut's CSV: three lines of names, then a line a frame."""
    lines = ["scorer" + ",net" * 3 * len(parts), "bodyparts," + ",".join(part for part in parts for _ in range(3))]
    lines.append("coords" + ",x,y,likelihood" * len(parts))
    for frame in range(seen.frames):
        cells = [f"{x},{y},0.9" for x, y in seen.xy[frame, view]]
        lines.append(f"{frame}," + ",".join(cells))
    path.write_text("\n".join(lines) + "\n")


def test_tables_of_deeplabcut_and_sleap_are_read(tmp_path):
    seen = person("coco17")
    parts = [name.title().replace("_", "") for name in seen.names]
    for view in range(2):
        write_dlc(tmp_path / f"dlc{view}.csv", seen, view, parts)
        with h5py.File(tmp_path / f"sleap{view}.h5", "w") as file:
            file["tracks"] = seen.xy[:, view].transpose(2, 1, 0)[None]
            file["node_names"] = [name.encode() for name in seen.names]
            file["point_scores"] = np.full((1, 17, seen.frames), 0.9)
    for kind in ("dlc{}.csv", "sleap{}.h5"):
        found = read_keypoints([tmp_path / kind.format(view) for view in range(2)], rate=30.0)
        assert found.names == seen.names
        np.testing.assert_allclose(found.xy, seen.xy)
        np.testing.assert_allclose(found.confidence, 0.9)
    write_dlc(tmp_path / "mouse.csv", seen, 0, [f"whisker{i}" for i in range(17)])
    with pytest.raises(InputError, match=r"whisker0.* are those of no skeleton"):
        read_keypoints([tmp_path / "mouse.csv"], rate=30.0)
    quoted = (tmp_path / "dlc0.csv").read_text().replace(",", '","').replace("\n", '"\n"')
    rows = f'"{quoted}'.removesuffix('"').splitlines()
    rows[6] = ",".join(['"3"', '"0.0"', '"0.0"', *rows[6].split(",")[3:]])  # not seen
    (tmp_path / "dlc0.csv").write_text("\n".join(rows))
    found = read_keypoints([tmp_path / "dlc0.csv"], rate=30.0)
    assert np.isnan(found.xy[3, 0, 0]).all()
    np.testing.assert_allclose(np.delete(found.xy, 0, 2)[:, 0], np.delete(seen.xy, 0, 2)[:, 0])
    with h5py.File(tmp_path / "sleap0.h5", "a") as file:
        file["point_scores"][...] = 90.0
    with pytest.raises(InputError, match=r"sleap0\.h5: scores reach 90, expected x, y and a score of 0…1"):
        read_keypoints([tmp_path / "sleap0.h5"], rate=30.0)
    with h5py.File(tmp_path / "sleap0.h5", "a") as file:
        file["tracks"][...] = np.nan
        file["point_scores"][...] = np.nan
    with pytest.raises(InputError, match=r"sleap0\.h5: holds 0 tracks with points, expected 1"):
        read_keypoints([tmp_path / "sleap0.h5"], rate=30.0)
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["tracks"] = h5py.ExternalLink(str(tmp_path / "sleap1.h5"), "tracks")
        file["node_names"] = [name.encode() for name in seen.names]
    with pytest.raises(InputError, match=r"linked\.h5: /tracks is a link, which may lead to any file"):
        read_keypoints([tmp_path / "linked.h5"], rate=30.0)
    with h5py.File(tmp_path / "camDLC_resnet50.h5", "w") as file:  # as pandas and PyTables lay a table out
        file.create_group("df_with_missing")["table"] = np.zeros(3)
    with pytest.raises(InputError, match=r"camDLC_resnet50\.h5: .*deeplabcut\.analyze_videos_converth5_to_csv"):
        read_keypoints([tmp_path / "camDLC_resnet50.h5"], rate=30.0)
    with pytest.raises(InputError, match=r"dlc0\.csv is a table, others are folders"):
        read_keypoints([tmp_path, tmp_path / "dlc0.csv"], rate=30.0)


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (3, 0, 2, 1), (3, 2, 1, 0)])
@pytest.mark.parametrize("empty", [0, 2])
def test_sleaps_axes_in_each_order_and_tracks_without_points(tmp_path, axes, empty):
    """SLEAP writes (tracks, 2, nodes, frames), sleap-io (frames, tracks, nodes, 2); MATLAB reverses SLEAP's."""
    seen = person("coco17")
    tracks = np.full((1 + empty, 2, 17, seen.frames), np.nan)
    tracks[0] = seen.xy[:, 0].transpose(2, 1, 0)
    scores = np.linspace(0.1, 0.9, 17)[:, None] * np.ones((1 + empty, 17, seen.frames))
    for points in (17, 5):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["tracks"], file["node_names"] = tracks.transpose(axes), [name.encode() for name in seen.names]
            file["point_scores"] = scores[:, :points].transpose([axis - (axis > 1) for axis in axes if axis != 1])
        if points == 17:
            found = read_keypoints([tmp_path / "a.h5"], rate=30.0)
            np.testing.assert_allclose(found.xy[:, 0], seen.xy[:, 0])
            np.testing.assert_allclose(found.confidence[3, 0], np.linspace(0.1, 0.9, 17))
    with pytest.raises(InputError, match=r"a\.h5: not tracks \(tracks, 2, 17 nodes, frames\)"):
        read_keypoints([tmp_path / "a.h5"], rate=30.0)


def test_points_called_as_in_two_skeletons_are_of_the_one_that_has_no_others():
    """'hip' of HALPE's 26 points lies between the hip joints, that of SpineTrack's 37 on the sacrum."""
    halpe = load_skeleton("halpe26").names
    sides = {"L": "left_", "R": "right_"}
    spelt = tuple(f"{sides[n[0]]}{n[1:]}".lower() if n[:2].isupper() else n.lower() for n in halpe)
    assert names_of_skeleton(spelt, None, "table.csv") == halpe
    track = load_skeleton("spinetrack37").names
    assert names_of_skeleton(track[5:30], None, "table.csv") == track[5:30]
    coco = load_skeleton("coco17").names
    behind = tuple(
        "_".join([*name.split("_")[1:], name[0].upper() * ("_" in name)]).strip("_") or name for name in coco
    )
    assert behind[5:7] == ("shoulder_L", "shoulder_R")
    assert names_of_skeleton(behind, None, "table.csv") == coco
