"""Calibrations: Qualisys against Pose2Sim's converter and a geometric argument, TOML round trips, refusals."""

import datetime
import importlib.util
import json
import os
import pickle
import re
import time
import warnings
from contextlib import nullcontext
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from aimed import aimed
from scipy.spatial.transform import Rotation
from small_project import ring

from simspine.core import geometry
from simspine.core.errors import InputError
from simspine.core.types import Camera
from simspine.io.calibration import check_arrangement, read_calibration, write_calibration
from simspine.io.video import match_cameras_to_views


@pytest.fixture(scope="module")
def demo():
    package = importlib.util.find_spec("Pose2Sim").submodule_search_locations[0]
    return Path(package) / "Demo_SinglePerson" / "calibration" / "Calib.qca.txt"


def camera(name="cam_1", k3=0.0, seed=0):
    rng = np.random.default_rng(seed)
    K = [[1145.0494, 0, 512.5415], [0, 1143.7811, 515.4515], [0, 0, 1]]
    R = Rotation.from_rotvec(rng.normal(size=3)).as_matrix()
    return Camera(name, (1000, 1002), K, [-0.2, 0.24, -0.001, -0.0009, k3], R, rng.normal(0, 3, 3))


def same(a, b, atol=1e-12):
    assert [c.name for c in a] == [c.name for c in b]
    assert [c.size for c in a] == [c.size for c in b]
    for x, y in zip(a, b, strict=True):
        for key in ("K", "distortion", "R", "t"):
            np.testing.assert_allclose(getattr(x, key), getattr(y, key), atol=atol, err_msg=key)


class TestQualisys:
    def test_agrees_with_pose2sims_converter(self, demo):
        """In all but the distortion, which that one divides by 64 (see the docstring of `_qualisys`)."""
        import Pose2Sim.calibration as converter

        _, names, sizes, distortion, K, turn, t = converter.calib_qca_fun(str(demo))
        cameras = read_calibration(demo)
        assert [c.name for c in cameras] == names == ["cam01", "cam02", "cam03", "cam04"]
        for i, c in enumerate(cameras):
            assert list(c.size) == sizes[i] == [1088, 1920]
            np.testing.assert_allclose(c.K, K[i], atol=1e-9)
            np.testing.assert_allclose(Rotation.from_matrix(c.R).as_rotvec(), turn[i], atol=1e-6)
            np.testing.assert_allclose(c.t, t[i], atol=1e-6)
            np.testing.assert_allclose(c.distortion[:4], 64 * distortion[i], atol=1e-12)

    def test_cameras_stand_around_the_person_and_look_at_it(self, demo):
        """World z up, feet near the origin: every camera is above the floor and sees a person upright in portrait."""
        cameras = read_calibration(demo)
        assert all(1.5 < c.centre[2] < 2.5 and 1.5 < np.hypot(*c.centre[:2]) < 5 for c in cameras)
        head, feet = geometry.project_points(cameras, np.array([[0, 0, 1.7], [0, 0, 0.0]])).swapaxes(0, 1)
        assert np.isfinite(head).all()
        assert (head[:, 1] < feet[:, 1]).all()  # image y points down
        for c, points in zip(cameras, np.stack([head, feet], 1), strict=True):
            assert ((points > -200) & (points < np.array(c.size) + 200)).all()

    def test_the_centre_is_where_the_file_says(self, demo):
        first = re.search(r'<transform .*?x="(.*?)" y="(.*?)" z="(.*?)"', demo.read_text())
        expected = np.array(first.groups(), float) / 1000
        np.testing.assert_allclose(read_calibration(demo)[0].centre, expected, atol=1e-6)

    def test_marker_cameras_are_left_out_and_serials_sorted(self, demo, tmp_path):
        text = demo.read_text()
        text = text.replace('model="none" point-count="999999999" serial="cam02"', 'model="Miqus M3" serial="cam02"')
        text = text.replace('model="none"', 'model="Miqus Video"').replace('serial="cam01"', 'serial="cam10"')
        (tmp_path / "x.qca.txt").write_text(text)
        assert [c.name for c in read_calibration(tmp_path / "x.qca.txt")] == ["cam03", "cam04", "cam10"]

    def test_cut_out_video(self, demo, tmp_path):
        text = demo.read_text().replace('<fov_video bottom="1919" left="0"', '<fov_video bottom="1919" left="88"')
        (tmp_path / "x.qca.txt").write_text(text)
        whole, part = read_calibration(demo)[0], read_calibration(tmp_path / "x.qca.txt")[0]
        assert part.size == (1000, 1920)
        np.testing.assert_allclose(whole.K - part.K, [[0, 0, 88], [0, 0, 0], [0, 0, 0]], atol=1e-9)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ('focalLengthU="107599.671875"', "", "camera 'cam01', <intrinsic>: 'focalLengthU' is missing"),
            ('skew="0.000000"', 'skew="3"', "skew is 3"),
            ('r11="0.5536380477336265"', 'r11="0.9"', "camera 'cam01'.*not a rotation"),
            ("</calibration>", "", "not a readable Qualisys"),
            ("<camera ", "<kamera ", "not a readable Qualisys"),
            ('x="1460.2323709212087"', 'x="far"', "'far' is not a number"),
        ],
    )
    def test_refused(self, demo, tmp_path, old, new, message):
        path = tmp_path / "x.qca.txt"
        path.write_text(demo.read_text().replace(old, new, 1))
        with pytest.raises(InputError, match=message) as caught:
            read_calibration(path)
        assert str(path) in str(caught.value)


class TestToml:
    @pytest.mark.parametrize("k3", [0.0, -0.003])
    def test_round_trip(self, tmp_path, k3):
        cameras = [camera("54138969", k3), camera("cam b", k3, 1), camera("3", 0.0, 2)]
        write_calibration(tmp_path / "c.toml", cameras)
        same(read_calibration(tmp_path / "c.toml"), cameras)

    def test_pose2sim_reads_what_we_write(self, tmp_path):
        from Pose2Sim import common

        cameras, path = [camera("a"), camera("b", -0.003, 1)], tmp_path / "Calib.toml"
        write_calibration(path, cameras)
        theirs = common.retrieve_calib_params(path)
        assert [len(d) for d in theirs["dist"]] == [4, 5]
        for i, c in enumerate(cameras):
            np.testing.assert_allclose(theirs["S"][i], c.size)
            np.testing.assert_allclose(theirs["K"][i], c.K)
            np.testing.assert_allclose(theirs["dist"][i], c.distortion[: len(theirs["dist"][i])])
            np.testing.assert_allclose(theirs["R_mat"][i], c.R, atol=1e-12)
            np.testing.assert_allclose(theirs["T"][i], c.t)
        for P, c in zip(common.computeP(path), cameras, strict=True):
            np.testing.assert_allclose(P[:3], c.K @ np.c_[c.R, c.t], atol=1e-9)

    def test_we_read_what_pose2sim_writes(self, tmp_path):
        import Pose2Sim.calibration as converter

        cameras = [camera("a"), camera("b", 0.0, 1)]
        turns = [Rotation.from_matrix(c.R).as_rotvec() for c in cameras]
        converter.toml_write(
            tmp_path / "c.toml",
            [c.name for c in cameras],
            [list(map(float, c.size)) for c in cameras],
            [c.distortion[:4] for c in cameras],
            [c.K for c in cameras],
            turns,
            [c.t for c in cameras],
        )
        same(read_calibration(tmp_path / "c.toml"), cameras)

    @pytest.mark.parametrize(
        ("lens", "count"),
        [("perspective", 8), ("perspective", 12), ("fisheye", 4)],
        ids=["rational", "prism", "fisheye"],
    )
    def test_other_lenses_come_back(self, tmp_path, lens, count):
        written = camera("a").with_(distortion=0.01 * np.arange(1, count + 1), lens=lens)
        write_calibration(tmp_path / "c.toml", [written, camera("b")])
        back = read_calibration(tmp_path / "c.toml")
        same(back, [written, camera("b")])
        assert [c.lens for c in back] == [lens, "perspective"]

    def test_caliscopes_own_file_without_what_it_ignores(self, tmp_path):
        """Caliscope's camera_array.toml: tables below `cameras`, keys that are missing for None."""
        entry = (
            "cam_id = {i}\nsize = [1280, 720]\nrotation_count = 0\nerror = 0.4\nfisheye = {fisheye}\n"
            "matrix = [[900.0, 0.0, 640.0], [0.0, 900.0, 360.0], [0.0, 0.0, 1.0]]\n"
            "distortions = [0.1, 0.2, 0.3, 0.4]\nrotation = [0.1, 0.2, 0.3]\ntranslation = [1.0, 2.0, 3.0]\n"
        )
        text = "".join(f"[cameras.{i}]\n" + entry.format(i=i, fisheye=f) for i, f in ((0, "true"), (2, "false")))
        (tmp_path / "camera_array.toml").write_text(text + "[cameras.1]\nsize = [1280, 720]\nignore = true\n")
        fisheye, plain = read_calibration(tmp_path / "camera_array.toml")
        assert (fisheye.name, fisheye.lens, plain.name, plain.lens) == ("0", "fisheye", "2", "perspective")
        np.testing.assert_array_equal(fisheye.distortion, [0.1, 0.2, 0.3, 0.4])
        np.testing.assert_array_equal(plain.distortion, [0.1, 0.2, 0.3, 0.4, 0])

    def test_tables_that_are_no_cameras(self, tmp_path):
        write_calibration(tmp_path / "c.toml", [camera()])
        extra = "[capture_volume]\nerror = 1.0\n[charuco]\ncolumns = 4\n[checkerboard]\nrows = 3\n"
        (tmp_path / "c.toml").write_text("fps = 60\n" + (tmp_path / "c.toml").read_text() + extra)
        assert len(read_calibration(tmp_path / "c.toml")) == 1

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("fisheye = false", "fisheye = true", r"table \[cam_1\]: .*5 coefficients, expected at most 4"),
            ("fisheye = false", 'fisheye = "no"', r"table \[cam_1\]: fisheye is 'no'"),
            ("size = [", "sise = [", "'size' is missing"),
            ("distortions = [", "distortions = [1,1,1,1,1,1,1,1,1,1,", "15 coefficients, expected at most 12"),
            ("translation = [", "translation = [1,", r"t has shape \(4,\)"),
            ("rotation = [", "rotation = [1,", "rotation has 4 numbers"),
            ("name =", "name", "not valid TOML"),
            ("matrix = [", "matrix = [[1, 2, 3],", "K has shape"),
            ('name = "cam_1"', "name = [", "not valid TOML"),
            ("size = [", "size = [inf, inf]\nsizes = [", r"table \[cam_1\]: .*size is \[inf"),
            ("size = [", f"size = [{10**400}, 1]\nsizes = [", r"table \[cam_1\]: .*too large"),
            ("rotation = [", f"rotation = [{10**400}, 0, 0]\nrotations = [", "rotation is not made of numbers"),
            ("rotation = [", "rotation = [inf, 0, 0]\nrotations = [", r"table \[cam_1\]"),
            ("translation = [", "translation = [inf, 0, 0]\ntranslations = [", "not finite"),
            ("rotation = [", "rotation = " + "[" * 5000, "not valid TOML"),
        ],
    )
    def test_refused(self, tmp_path, old, new, message):
        path = tmp_path / "c.toml"
        write_calibration(path, [camera(k3=0.1)])
        path.write_text(path.read_text().replace(old, new, 1))
        with pytest.raises(InputError, match=message) as caught:
            read_calibration(path)
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("cameras", [[], [camera(), camera()], [camera("metadata")]])
    def test_unwritable(self, tmp_path, cameras):
        with pytest.raises(InputError, match="camera names"):
            write_calibration(tmp_path / "c.toml", cameras)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("name", ["c.json", "c.yml", "c.pickle", "calibration", ".toml"])
    def test_an_ending_of_another_format_is_refused(self, tmp_path, name):
        """The reader takes the format from it."""
        with pytest.raises(InputError, match=r"the ending for a calibration is \.toml"):
            write_calibration(tmp_path / name, [camera()])


RIG = '{"a": {"size": %s, "K": 0, "dist_k1k2p1p2k3": [], "t_m": [], "R_world_to_cam": [0, 0, 0]}}'


@pytest.mark.parametrize("part", ["a", '"a.b"', "'a!b' ", "a-ä"])
def test_toml_keys_that_take_the_square_of_their_length(tmp_path, part):
    """40 kB of them cost 1.5 GB and half a minute."""
    path = tmp_path / "a.toml"
    path.write_text(".".join([part] * 20_000) + " = 1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.toml: larger than 1 MiB, or with a key of more than 16 parts"):
        read_calibration(path)


@pytest.mark.parametrize("entry", ["name", "rotation_count", "size"])
@pytest.mark.parametrize("base", ["0x", "0o", "0b"])
def test_toml_numbers_that_python_cannot_write(tmp_path, base, entry):
    path = tmp_path / "a.toml"
    path.write_text(f"[cam]\n{entry} = {base}{'1' * 16_000}\n")
    with pytest.raises(InputError, match=r"a\.toml: .* a number of more than 100 digits"):
        read_calibration(path)


def test_a_file_of_line_ends_is_refused_at_once(tmp_path):
    (tmp_path / "a.yaml").write_text("a" + 40_000 * "\n" + "b")
    start = time.process_time()
    with pytest.raises(InputError, match="unknown calibration format"):
        read_calibration(tmp_path / "a.yaml")
    assert time.process_time() - start < 5


def test_a_name_that_json_has_twice(tmp_path):
    """Python's reader keeps the last."""
    path = tmp_path / "a.json"
    path.write_text('{"a": {"t_m": [0, 0, 1], "t_m": [0, 0, 5]}}')
    with pytest.raises(InputError, match=r"a\.json: not valid JSON \(an object has t_m twice\)"):
        read_calibration(path)


class TestRig:
    def entry(self, c):
        return {
            "size": list(c.size),
            "K": c.K.tolist(),
            "dist_k1k2p1p2k3": c.distortion.tolist(),
            "R_world_to_cam": c.R.tolist(),
            "t_m": c.t.tolist(),
            "centre_m": c.centre.tolist(),
        }

    @pytest.mark.parametrize(("fisheye", "count"), [(False, 8), (False, 14), (True, 4)])
    def test_opencvs_coefficients(self, tmp_path, fisheye, count):
        """OpenCV's rational model comes with 8 numbers, or with 14 of which the last are 0."""
        entry = self.entry(camera()) | {"dist": [*0.01 * np.arange(1, 5), *[0.02] * (min(count, 8) - 4)]}
        entry["dist"] += [0.0] * (count - len(entry["dist"]))
        del entry["dist_k1k2p1p2k3"]
        (tmp_path / "rig.json").write_text(json.dumps({"a": entry | {"fisheye": fisheye}}))
        (found,) = read_calibration(tmp_path / "rig.json")
        assert found.lens == ("fisheye" if fisheye else "perspective")
        np.testing.assert_array_equal(found.distortion, entry["dist"][: min(count, 8)])

    def test_rotation_vectors(self, tmp_path):
        """As OpenCV gives them, as a column; in degrees they are refused."""
        cameras, path = [camera("a"), camera("b", seed=1)], tmp_path / "rig.json"
        for degrees in (False, True):
            turns = [Rotation.from_matrix(c.R).as_rotvec(degrees)[:, None].tolist() for c in cameras]
            both = zip(cameras, turns, strict=True)
            path.write_text(json.dumps({c.name: self.entry(c) | {"R_world_to_cam": turn} for c, turn in both}))
            if not degrees:
                same(read_calibration(path), cameras)
        with pytest.raises(InputError, match=r"camera 'a': rotation .* is more than a turn; are these degrees"):
            read_calibration(path)

    @pytest.mark.parametrize(
        ("before", "after", "said"),
        [
            ("1145.0494", "1145,5", "K is not made of numbers .its rows differ in length; are there decimal commas"),
            ("1145.0494", '"1145,0494"', "K is not made of numbers .it holds texts; are there decimal commas"),
            ('"K"', '"camera_matrix"', "camera 'a': 'K' is missing. Found: size, camera_matrix"),
            ('"dist_k1k2p1p2k3"', '"distortion"', "camera 'a': 'dist' is missing. Found: size, K, distortion"),
        ],
    )
    def test_other_spellings_are_named(self, tmp_path, before, after, said):
        text = json.dumps({c.name: self.entry(c) for c in (camera("a"), camera("b", seed=1))})
        (tmp_path / "rig.json").write_text(text.replace(before, after))
        with pytest.raises(InputError, match=rf"rig\.json.*{said}"):
            read_calibration(tmp_path / "rig.json")

    def test_by_subject(self, tmp_path):
        cameras = [camera("54138969", -0.003), camera("55011271", 0.007, 1)]
        rig = {c.name: self.entry(c) for c in cameras}
        path = tmp_path / "rig.json"
        path.write_text(json.dumps({"S1": rig, "S5": dict(list(rig.items())[:1])}))
        same(read_calibration(path, "S1"), cameras, 0)
        assert len(read_calibration(path, "S5")) == 1
        with pytest.raises(InputError, match=r"several rigs.*Available: S1, S5"):
            read_calibration(path)
        with pytest.raises(InputError, match=r"unknown subject 'S3'.*Available: S1, S5"):
            read_calibration(path, "S3")
        path.write_text(json.dumps(rig))
        same(read_calibration(path), cameras, 0)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "not valid JSON"),
            ("{}", "no camera"),
            ('{"a": 1}', "expected an object"),
            ('{"a": {"K": 1}}', "'size' is missing"),
            ('{"a": ' * 5000, "not valid JSON"),
            ("{" + '"a": 1' + "0" * 5000 + "}", "not valid JSON"),
            (RIG % "[Infinity, 1]", r"camera 'a': .*size is \[inf"),
            (RIG % f"[{10**400}, 1]", "camera 'a': .*too large"),
        ],
    )
    def test_refused(self, tmp_path, text, message):
        (tmp_path / "rig.json").write_text(text)
        with pytest.raises(InputError, match=rf"rig\.json.*{message}"):
            read_calibration(tmp_path / "rig.json")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.toml", "", "empty"),
        ("x.dat", "hello", "unknown calibration format"),
        ("x.toml", "[metadata]\na = 1", "no camera"),
        (
            "x.toml",
            "[a]\nrotation = [0.0, 90.0, 0.0]\nsize = [9, 9]\nmatrix = []\ndistortions = []\ntranslation = []",
            "more than a turn; are these degrees",
        ),
    ],
)
def test_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_calibration(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_calibration(tmp_path / "none")


OPENCAP_FILE = "cameraIntrinsicsExtrinsics.pickle"


def opencap_session(folder, protocol, cameras):
    """Pickles as OpenCap keeps them: mm, image size as height and width in a column, one folder a camera."""
    files = []
    for i, c in enumerate(cameras):
        files.append(folder / f"Cam{i}" / OPENCAP_FILE)
        files[-1].parent.mkdir(parents=True)
        content = {
            "intrinsicMat": c.K, "distortion": c.distortion[None], "imageSize": np.array([c.size[::-1]], float).T,
            "rotation": np.asfortranarray(c.R), "translation": 1000 * c.t[:, None],
            "rotation_EulerAngles": [c.t[:, None]], "made": datetime.date(2024, 1, 2), "names": np.array(["a", "b"]),
            "file": PurePosixPath("a/b"), "more": {"frames": [1, 2], "kept": {3}},
        }  # fmt: skip
        files[-1].write_bytes(pickle.dumps(content, protocol))
    return files


class TestOpenCap:
    @pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
    def test_agrees_with_pose2sims_converter(self, tmp_path, protocol):
        """All cameras of the session, from the file of any of them; the upright board's world turned to z up."""
        import Pose2Sim.calibration as converter

        files = opencap_session(tmp_path, protocol, [camera("a"), camera("b", -0.003, 1), camera("c", seed=2)])
        _, _, sizes, _, K, turn, t = converter.calib_opencap_fun(files)
        cameras = read_calibration(files[1])
        assert [c.name for c in cameras] == ["Cam0", "Cam1", "Cam2"]
        for i, c in enumerate(cameras):
            assert list(c.size) == list(sizes[i]) == [1000, 1002]
            np.testing.assert_allclose(c.K, K[i])
            np.testing.assert_allclose(c.R, Rotation.from_rotvec(turn[i]).as_matrix(), atol=1e-9)
            np.testing.assert_allclose(c.t, t[i])
        assert cameras[1].distortion[4] == -0.003

    @pytest.mark.parametrize("names", [("phone_07", "phone_12"), ("left", "right")])
    def test_folders_of_other_names(self, tmp_path, names):
        files = opencap_session(tmp_path, 3, [camera("a"), camera("b", seed=1)])
        for name, file in zip(names, files, strict=True):
            file.parent.rename(tmp_path / name)
        (tmp_path / "notes").mkdir()
        assert [one.name for one in read_calibration(tmp_path / names[1] / OPENCAP_FILE)] == list(names)

    def test_nothing_in_a_pickle_is_run(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "sprung"),)

        path = tmp_path / OPENCAP_FILE
        path.write_bytes(pickle.dumps({"intrinsicMat": Trap()}))
        with pytest.raises(InputError, match="'intrinsicMat' is missing"):
            read_calibration(path)
        assert not (tmp_path / "sprung").exists()

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ([1, 2], "not a pickle of a dictionary"),
            ({"intrinsicMat": np.eye(3)}, "'distortion' is missing"),
            ({"intrinsicMat": np.array([object()])}, "'intrinsicMat' is missing"),
        ],
    )
    def test_refused(self, tmp_path, content, message):
        path = tmp_path / OPENCAP_FILE
        path.write_bytes(pickle.dumps(content))
        with pytest.raises(InputError, match=message):
            read_calibration(path)

    @pytest.mark.parametrize(("first", "step", "end"), [
        (b"\x8c\x01a", b"\x93\x94", b""),  # a text that doubles with each step
        (b"K\x01", b"\x86\x94", b"h\x00h%cK\x01s"),  # a key of pairs of pairs
    ])  # fmt: skip
    def test_pickles_that_grow(self, tmp_path, first, step, end):
        steps, path = 60, tmp_path / OPENCAP_FILE
        doubled = b"".join(b"h%ch%c" % (i, i) + step for i in range(1, steps))
        path.write_bytes(b"\x80\x04}\x94" + first + b"\x94" + doubled + (end % steps if end else b"") + b".")
        with pytest.raises(InputError, match="not a pickle of a dictionary"):
            read_calibration(path)

    def test_a_cut_pickle(self, tmp_path):
        (path,) = opencap_session(tmp_path, 4, [camera()])
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(InputError, match="OpenCap"):
            read_calibration(path)


class TestEasyMocap:
    @staticmethod
    def write(folder, cameras, sizes=True, matrices=True):
        import cv2

        inside, outside = (cv2.FileStorage(str(folder / n), cv2.FILE_STORAGE_WRITE) for n in ("intri.yml", "extri.yml"))
        for store in (inside, outside):
            store.startWriteStruct("names", cv2.FileNode_SEQ)
            for c in cameras:
                store.write("", c.name)
            store.endWriteStruct()
        for c in cameras:
            inside.write(f"K_{c.name}", c.K)
            inside.write(f"dist_{c.name}", c.distortion[None])
            outside.write(f"R_{c.name}", Rotation.from_matrix(c.R).as_rotvec()[:, None])
            if matrices:
                outside.write(f"Rot_{c.name}", c.R)
            outside.write(f"T_{c.name}", c.t[:, None])
            if sizes:
                inside.write(f"W_{c.name}", c.size[0])
                inside.write(f"H_{c.name}", c.size[1])
        inside.release()
        outside.release()

    @pytest.mark.parametrize("file", ["intri.yml", "extri.yml"])
    def test_round_trip(self, tmp_path, file):
        cameras = [camera("1"), camera("b", -0.003, 1)]
        self.write(tmp_path, cameras)
        same(read_calibration(tmp_path / file), cameras)

    def test_rotation_vectors_alone(self, tmp_path):
        """EasyMocap#2: R_1 is a rotation vector, Rot_1 its matrix."""
        cameras = [camera("1"), camera("b", -0.003, 1)]
        self.write(tmp_path, cameras, matrices=False)
        same(read_calibration(tmp_path / "intri.yml"), cameras, 1e-9)

    def test_rotation_vectors_in_degrees(self, tmp_path):
        cameras = [camera("1"), camera("b", -0.003, 1)]
        self.write(tmp_path, cameras, matrices=False)
        text = (tmp_path / "extri.yml").read_text()
        (x, y, z), file = Rotation.from_matrix(cameras[0].R).as_rotvec(degrees=True), tmp_path / "extri.yml"
        file.write_text(re.sub(r"(R_1:.*?data: )\[[^]]*\]", rf"\g<1>[ {x}, {y}, {z} ]", text, count=1, flags=re.DOTALL))
        with pytest.raises(InputError, match=r"camera '1': rotation .* is more than a turn; are these degrees"):
            read_calibration(tmp_path / "intri.yml")

    def test_centimetres(self, tmp_path):
        """EasyMocap#5: the unit must be the metre."""
        self.write(tmp_path, [c.with_(t=100 * c.t) for c in ring(2)])
        with pytest.raises(InputError, match=r"8\.01 m if in cm.*Divide them by 100 if they are centimetres"):
            read_calibration(tmp_path / "intri.yml")

    def test_a_size_that_is_not_there_is_assumed_with_a_warning(self, tmp_path):
        import Pose2Sim.calibration as converter

        self.write(tmp_path, [camera("1"), camera("b", seed=1)], sizes=False)
        with pytest.warns(UserWarning, match=r"no image size .*1025×1031 px assumed"):
            cameras = read_calibration(tmp_path / "intri.yml")
        _, names, sizes, _, K, turn, t = converter.calib_easymocap_fun(
            [str(tmp_path / "extri.yml"), str(tmp_path / "intri.yml")]
        )
        assert [c.name for c in cameras] == names
        for i, c in enumerate(cameras):
            np.testing.assert_allclose(c.size, sizes[i], atol=0.5)
            np.testing.assert_allclose(c.K, K[i])
            np.testing.assert_allclose(Rotation.from_matrix(c.R).as_rotvec(), turn[i], atol=1e-9)
            np.testing.assert_allclose(c.t, t[i])

    def test_one_file_of_the_two(self, tmp_path):
        self.write(tmp_path, [camera("1")])
        (tmp_path / "extri.yml").unlink()
        with pytest.raises(InputError, match=r"EasyMocap's calibration is .*extri.yml is missing"):
            read_calibration(tmp_path / "intri.yml")

    def test_a_camera_without_a_place(self, tmp_path):
        self.write(tmp_path, [camera("1")])
        text = (tmp_path / "extri.yml").read_text()
        (tmp_path / "extri.yml").write_text(text.replace("T_1", "S_1"))
        with pytest.raises(InputError, match=r"camera '1': 'T' is missing"):
            read_calibration(tmp_path / "intri.yml")

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (r"rows: 3", "rows: 4"),
            (r"rows: 3\n   cols: 3", "rows: -1\n   cols: -9"),
            (r"rows: 3\n   cols: 3", "rows: 2147483647\n   cols: 2147483647"),
            (r"cols: 3", "dols: 3"),
            (r"data: \[", "data: [ x, "),
            (r"data: \[[^]]*\]", "data: {}"),
            (r"names:", "names: a\nother:"),
            (r"---", "--- []\n#"),
            (r"---", "---\n" + 50_000 * "a: {"),
        ],
    )
    def test_damaged_matrices(self, tmp_path, before, after):
        """OpenCV's own reader ends the process, asks for 80 GB or raises errors of its own."""
        self.write(tmp_path, [camera("1")])
        text = (tmp_path / "intri.yml").read_text()
        (tmp_path / "intri.yml").write_text(re.sub(before, lambda _: after, text, count=1))
        assert (tmp_path / "intri.yml").read_text() != text
        with pytest.raises(InputError, match=re.escape(str(tmp_path))):
            read_calibration(tmp_path / "intri.yml")


class TestVicon:
    """The layout of Nexus 2.16, as in perfanalytics/pose2sim#195; two video cameras and a marker camera of a ring."""

    RADIAL = np.array([2.1e-8, -1.5e-15, 3e-22])

    @classmethod
    def write(
        cls, path, cameras, lens=None, more="", frame="", kinds=("VideoInputDevice:Blackfly S", "Vue_VIDEO", "VeroV2.2")
    ):
        rows = []
        for number, (c, kind) in enumerate(zip(cameras, kinds, strict=False)):
            numbers = {"ORIENTATION": Rotation.from_matrix(c.R).as_quat(), "POSITION": 1000 * c.centre}
            numbers |= {"PRINCIPAL_POINT": c.K[:2, 2], "FOCAL_LENGTH": c.K[0, :1]}
            attributes = " ".join(f'{key}="{" ".join(map(repr, value.tolist()))}"' for key, value in numbers.items())
            attributes += " " + (lens or f'VICON_RADIAL2="Vicon3Parameter {cls.centre(c)} {cls.coefficients()}"')
            about = f'DEVICEID="{c.name}" ISDV="{int("Vero" not in kind)}" SENSOR_SIZE="{c.size[0]} {c.size[1]}"'
            frames = f'<KeyFrame FRAME="0" PIXEL_ASPECT_RATIO_CORRECTION="1" {attributes} {more}/>{frame}'
            rows.append(f'<Camera {about} TYPE="{kind}" USERID="{number}"><KeyFrames>{frames}</KeyFrames></Camera>')
        rows.append('<Camera DEVICEID="9" ISDV="1" SENSOR_SIZE="1920 1200"><KeyFrames/></Camera>')  # never calibrated
        path.write_text(f'<?xml version="1.0" standalone="no" ?><Cameras SOURCE="Nexus 2.16">{"".join(rows)}</Cameras>')
        return path

    @staticmethod
    def centre(c):
        return f"{c.K[0, 2] + 6} {c.K[1, 2] - 4}"

    @classmethod
    def coefficients(cls):
        return " ".join(map(str, cls.RADIAL))

    @staticmethod
    def ring(number=3):
        K = np.array([[2020.3, 0, 950.2], [0, 2020.3, 611.7], [0, 0, 1]])
        looking = [
            Camera(name, (1920, 1200), K, np.zeros(5), c.R, c.t)
            for name, c in zip(("51433950", "51433951", "2107321"), ring(number), strict=True)
        ]
        return looking

    def test_agrees_with_pose2sims_converter(self, tmp_path):
        """Without a lens; with one, that converter takes Vicon's coefficients in px for OpenCV's."""
        import Pose2Sim.calibration as converter

        path = self.write(tmp_path / "walk.xcp", self.ring(), lens='VICON_RADIAL2="Vicon3Parameter 0 0 0 0 0"')
        cameras = read_calibration(path)
        text = path.read_text().replace(
            '<Camera DEVICEID="9" ISDV="1" SENSOR_SIZE="1920 1200"><KeyFrames/></Camera>', ""
        )
        path.write_text(
            text.replace("DEVICEID", 'PIXEL_ASPECT_RATIO="1" DEVICEID').replace("FRAME=", 'WORLD_ERROR="1" FRAME=')
        )
        _, names, sizes, _, K, turn, t = converter.calib_vicon_fun(str(path))
        assert [c.name for c in cameras] == names
        for i, c in enumerate(cameras):
            assert list(c.size) == sizes[i]
            np.testing.assert_allclose(c.K, K[i])
            np.testing.assert_allclose(Rotation.from_matrix(c.R).as_rotvec(), np.ravel(turn[i]), atol=1e-9)
            np.testing.assert_allclose(c.t, np.ravel(t[i]), atol=1e-9)

    def test_points_are_where_vicons_lens_shows_them(self, tmp_path):
        """Vicon's polynomial is solved here by bisection along the radius, from points in space."""
        truth = self.ring()
        cameras = read_calibration(self.write(tmp_path / "walk.xcp", truth))
        points = np.random.default_rng(5).uniform([-1, -1, 0], [1, 1, 1.9], (200, 3))
        for c, ideal_camera in zip(cameras, truth, strict=False):
            ideal = geometry.project_one(ideal_camera, points)
            middle = np.array(self.centre(ideal_camera).split(), float)
            offset = ideal - middle
            radius = np.linalg.norm(offset, axis=1)
            low, high = np.zeros_like(radius), 2 * radius
            for _ in range(60):
                r = (low + high) / 2
                beyond = r * (1 + self.RADIAL @ [r**2, r**4, r**6]) > radius
                low, high = np.where(beyond, low, r), np.where(beyond, r, high)
            seen = middle + offset * (r / radius)[:, None]
            inside = ((seen > 0) & (seen < c.size)).all(1)
            assert inside.sum() > 100
            assert np.abs(seen - ideal)[inside].max() > 3
            np.testing.assert_allclose(geometry.project_one(c, points)[inside], seen[inside], atol=0.1)

    def test_older_files_have_two_coefficients(self, tmp_path):
        older = read_calibration(self.write(tmp_path / "a.xcp", self.ring(), lens='VICON_RADIAL="2e-8 -1e-15"'))
        lens = 'VICON_RADIAL2="Vicon3Parameter 950.2 611.7 2e-8 -1e-15 0"'
        same(older, read_calibration(self.write(tmp_path / "b.xcp", self.ring(), lens=lens)))

    def test_a_lens_that_opencvs_does_not_fit(self, tmp_path):
        lens = 'VICON_RADIAL2="Vicon3Parameter 500 200 2e-7 0 0"'
        with pytest.warns(
            UserWarning, match=r"camera '51433950': Vicon's lens is fitted by OpenCV's to .* px at worst"
        ):
            read_calibration(self.write(tmp_path / "walk.xcp", self.ring(), lens=lens))

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"more": 'SKEW="0.1"'}, r"camera '51433950': SKEW is 0.1"),
            ({"more": 'PIXEL_ASPECT_RATIO="1.1"'}, "PIXEL_ASPECT_RATIO is 1.1; only square pixels"),
            ({"frame": '<KeyFrame FRAME="7"/>'}, "2 key frames; a camera that moves"),
            ({"lens": 'VICON_RADIAL2="Vicon3Parameter 1 2 3"'}, "VICON_RADIAL2"),
            ({"lens": 'VICON_RADIAL2="Vicon3Parameter 960 600 1e300 0 0"'}, "it would see sideways"),
            ({"lens": 'VICON_RADIAL2="Vicon3Parameter 960 600 nan 0 0"'}, "expected 5 finite numbers"),
        ],
    )
    def test_what_is_refused(self, tmp_path, changes, said):
        with pytest.raises(InputError, match=said):
            read_calibration(self.write(tmp_path / "walk.xcp", self.ring(), **changes))

    def test_a_camera_that_was_never_calibrated(self, tmp_path):
        path = tmp_path / "walk.xcp"
        path.write_text('<Cameras><Camera DEVICEID="1" SENSOR_SIZE="1920 1080"><KeyFrames/></Camera></Cameras>')
        with pytest.raises(InputError, match="no camera in the file"):
            read_calibration(path)

    def test_videos_have_names_of_nexus(self):
        names = ["Walk 01.51433951.20250703161100.avi", "Walk 01.51433950.20250703161100.avi"]
        found = match_cameras_to_views(names, self.ring()[:2])
        assert [c.name for c in found] == ["51433951", "51433950"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cameras.yaml", "camera_matrix: [900, 0, 640]\n"),
        ("stereo.xml", "<?xml version='1.0'?><opencv_storage><K1/></opencv_storage>"),
        ("project.toml", "[project]\nname = 'x'\n"),
        ("rig.json", '{"cameras": [{"name": "a"}]}'),
    ],
)
def test_an_unknown_format_names_those_that_are_read(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=r"Anipose.*OpenCap.*Qualisys.*export or convert"):
        read_calibration(path)


@pytest.mark.parametrize(("size", "named"), [((1080, 1920), True), ((1920, 1080), False), ((1440, 1080), False)])
def test_a_size_that_was_turned_without_the_principal_point(tmp_path, size, named, recwarn):
    """A phone held upright, its lens calibrated across; an image that was cut at both sides is no such case."""
    about = Camera(
        "one", size, [[1400.0, 0, size[0] / 2], [0, 1400, 540], [0, 0, 1]], np.zeros(5), np.eye(3), [0, 0, 3]
    )
    about = about.with_(K=[[1400.0, 0, 960], [0, 1400, 540], [0, 0, 1]]) if named else about
    write_calibration(tmp_path / "c.toml", [about])
    read_calibration(tmp_path / "c.toml")
    assert any("turned by 90°" in str(one.message) for one in recwarn) is named


@pytest.mark.parametrize("said", ["lens = 'fisheye'", "is_fisheye = true", "camera_model = 'OPENCV_FISHEYE'"])
def test_a_fisheye_lens_named_as_elsewhere_is_refused(tmp_path, said):
    path = tmp_path / "c.toml"
    write_calibration(path, [camera("one")])
    path.write_text(path.read_text().replace("fisheye = false", said))
    with pytest.raises(InputError, match=r"table \[one\]: fisheye is .*(?i:fisheye).*, expected true or false"):
        read_calibration(path)


@pytest.mark.parametrize(
    "K",
    [
        [[2800, 0, 1920], [0, 2800, 1080], [0, 0, 1]],
        [[1400, 0, 960], [0, 700, 540], [0, 0, 1]],
        [[700, 0, 489], [0, 700, 262], [0, 0, 1]],
    ],
)
def test_a_camera_matrix_of_another_image_size(tmp_path, K):
    """Calibrated at 3840×2160 px, at half the height, or at 960×540 px, for an image of 1920×1080 px."""
    right = [[1400, 0, 960], [0, 1400, 540], [0, 0, 1]]
    for matrix, about in ((K, pytest.warns(UserWarning, match="Was it of another size")), (right, nullcontext())):
        c = Camera("one", (1920, 1080), matrix, np.zeros(5), np.eye(3), [0, 0, 3])
        write_calibration(tmp_path / "c.toml", [c])
        with about, warnings.catch_warnings():
            warnings.simplefilter("default" if matrix is K else "error")
            read_calibration(tmp_path / "c.toml")


@pytest.mark.parametrize("focal", [4.2, 0.84, 5e4])
def test_focal_lengths_in_millimetres_or_shares_are_refused(tmp_path, focal):
    """4.2 mm of a phone; 0.84 of the image's width; 50,000 px of an image of 1002 px would see 1°."""
    c = camera("one")
    write_calibration(tmp_path / "c.toml", [c.with_(K=c.K * [[focal / c.K[0, 0]], [1], [1]])])
    with pytest.raises(InputError, match=r"table \[one\]: focal length .* px of 1002. Is it in mm, or a share"):
        read_calibration(tmp_path / "c.toml")


def looking_at(way, roll=0.0):
    """R of a camera that looks along a way, z up; roll: degrees clockwise."""
    return Rotation.from_euler("z", roll, degrees=True).as_matrix() @ aimed(np.zeros(3), way)


class TestPlausible:
    """The same rig, 3 m across, in other units: distances between its cameras are looked at when it is read."""

    @staticmethod
    def rig(path, factor):
        centres = np.array([[0.0, 0, 1], [3, 0, 1], [1, 2, 1.2]])
        turns = [looking_at(np.array([1.4, 0.7, 1.0]) - x) for x in centres]
        cameras = [
            camera(str(i)).with_(R=R, t=-factor * R @ x) for i, (R, x) in enumerate(zip(turns, centres, strict=True))
        ]
        write_calibration(path, cameras)
        return path

    @pytest.mark.parametrize("factor", [0.2, 1.0, 3.9])
    def test_usual_rigs_are_read_silently(self, tmp_path, factor, recwarn):
        assert len(read_calibration(self.rig(tmp_path / "c.toml", factor))) == 3
        assert not recwarn

    @pytest.mark.parametrize(
        ("factor", "reading"),
        [
            (10.0, "3.16 m if in dm"),
            (1 / 0.06, "52.7 m"),
            (1 / 0.0254, "3.16 m if in in"),
            (8 / 0.3048, "25.3 m if in ft"),
        ],
    )
    def test_other_units_are_reported(self, tmp_path, factor, reading):
        with pytest.warns(UserWarning, match=rf"{reading}.*Lengths must be metres.*squares"):
            read_calibration(self.rig(tmp_path / "c.toml", factor))

    @pytest.mark.parametrize(("square", "named"), [(0.12, True), (1.0, False)])
    def test_large_squares_are_reported_by_what_the_cameras_see(self, tmp_path, recwarn, square, named):
        """Wide lenses 0.9 m from a person, 1.6 m apart: in squares of 12 cm 13 m apart, and images show 13.5 m."""
        wide = [[600.0, 0, 960], [0, 600.0, 540], [0, 0, 1]]
        rig = [camera.with_(K=wide, t=camera.t * 0.225 / square) for camera in ring(3)]
        write_calibration(tmp_path / "squares.toml", rig)
        read_calibration(tmp_path / "squares.toml")
        assert named is any("counted in squares" in str(one.message) for one in recwarn)

    def test_millimetres_are_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"3\.16 m if in mm.*by 1000 if they are millimetres"):
            read_calibration(self.rig(tmp_path / "c.toml", 1000.0))

    def test_cameras_in_one_place(self, tmp_path):
        with pytest.warns(UserWarning, match="apart"):
            read_calibration(self.rig(tmp_path / "c.toml", 0.01))

    def around(self, count, roll=0.0, world=(0.7, -0.4, 0.0)):
        """Cameras around a place at 1.1 m above the floor, whose origin is elsewhere."""
        ways = [np.array([np.cos(a), np.sin(a), -0.1 * (i % 2)]) for i, a in enumerate(np.linspace(0.5, 5.0, count))]
        turns = [looking_at(way, roll + 4 * i) for i, way in enumerate(ways)]
        places = [np.array([*world[:2], 1.1]) - (2.9 + 0.4 * i) * way for i, way in enumerate(ways)]
        return [camera(f"c{i}").with_(R=R, t=-R @ x) for i, (R, x) in enumerate(zip(turns, places, strict=True))]

    @staticmethod
    def said(cameras, path, recwarn):
        write_calibration(path, cameras)
        read_calibration(path)
        return " ".join(str(warning.message) for warning in recwarn)

    @pytest.mark.parametrize("roll", [0, 90])
    @pytest.mark.parametrize("count", [3, 4])
    @pytest.mark.parametrize("keeps_centre", [True, False])
    def test_a_transposed_rotation_of_one_camera(self, tmp_path, recwarn, roll, count, keeps_centre):
        cameras = self.around(count, roll)
        assert self.said(cameras, tmp_path / "c.toml", recwarn) == ""
        R = cameras[1].R.T
        cameras[1] = cameras[1].with_(R=R, t=-R @ cameras[1].centre if keeps_centre else cameras[1].t)
        assert "camera 'c1' would look upright at" in self.said(cameras, tmp_path / "c.toml", recwarn)

    def test_a_rolled_camera_of_three_is_no_transposed_other_one(self, tmp_path, demo, recwarn):
        """The demonstration's fourth camera is rolled by 26°."""
        assert self.said(read_calibration(demo)[1:], tmp_path / "c.toml", recwarn) == ""

    @pytest.mark.parametrize("factor", [1 / 0.3048, 0.3048, 0.1])
    @pytest.mark.parametrize("count", [3, 5])
    def test_one_camera_in_another_unit(self, tmp_path, recwarn, count, factor):
        cameras = self.around(count)
        cameras[1] = cameras[1].with_(t=factor * cameras[1].t)
        assert "unit" in self.said(cameras, tmp_path / "c.toml", recwarn)

    def test_cameras_side_by_side_and_face_to_face_are_read_silently(self, tmp_path, recwarn):
        for ways in ([(0, 1, 0)] * 3, [(0.2, 1, 0), (0, 1, 0)], [(0, 1, 0), (0.1, -1, 0)]):
            turns = [looking_at(way) for way in ways]
            cameras = [camera(f"c{i}").with_(R=R, t=-R @ [i, -3 * R[2, 1], 1.2]) for i, R in enumerate(turns)]
            assert self.said(cameras, tmp_path / "c.toml", recwarn) == ""

    def test_a_file_of_lenses_alone_is_read_silently(self, tmp_path, recwarn):
        lenses = [Camera(c.name, c.size, c.K, c.distortion, np.eye(3), np.zeros(3)) for c in (camera("a"), camera("b"))]
        write_calibration(tmp_path / "c.toml", lenses)
        assert len(read_calibration(tmp_path / "c.toml")) == 2
        assert not recwarn


def test_cameras_that_are_one_have_no_arrangement(recwarn):
    """As where a list holds one camera several times: the lines of sight meet nowhere."""
    check_arrangement([camera("a")] * 4)
    assert not recwarn


@pytest.mark.parametrize(("turned", "angle"), [(1, 90), (-1, 270), (2, 180)])
def test_images_that_caliscope_turned_are_reported(tmp_path, turned, angle):
    write_calibration(tmp_path / "c.toml", [camera("a"), camera("b", seed=1)])
    text = (tmp_path / "c.toml").read_text().replace('name = "b"', f'name = "b"\nrotation_count = {turned}')
    (tmp_path / "c.toml").write_text(text)
    with pytest.warns(UserWarning, match=rf"shown turned \(b by {angle}°"):
        assert len(read_calibration(tmp_path / "c.toml")) == 2


def test_images_that_qualisys_turned_are_reported(demo, tmp_path, recwarn):
    read_calibration(demo)
    assert not recwarn
    text = demo.read_text().replace('serial="cam03" viewrotation="0"', 'serial="cam03" viewrotation="90"')
    (tmp_path / "x.qca.txt").write_text(text)
    with pytest.warns(UserWarning, match=r"shown turned \(cam03 by 90°"):
        read_calibration(tmp_path / "x.qca.txt")


def test_a_camera_that_was_not_calibrated_lies_in_another(tmp_path):
    cameras = [camera(name, seed=seed) for name, seed in (("a", 1), ("b", 2), ("c", 3))]
    write_calibration(tmp_path / "c.toml", [*cameras, cameras[1].with_(name="d")])
    with pytest.warns(UserWarning, match="camera 'b' and camera 'd' are in one place"):
        read_calibration(tmp_path / "c.toml")


@pytest.mark.parametrize(
    "entry", ['units = "cm"', "rotate = 270", "rotation_degrees = 90", 'orientation = "portrait"', "mirrored = true"]
)
def test_entries_of_units_and_turns_that_are_not_read_are_named(tmp_path, entry):
    write_calibration(tmp_path / "own.toml", ring())
    text = (tmp_path / "own.toml").read_text().replace("fisheye = false", f"fisheye = false\n{entry}", 1)
    (tmp_path / "own.toml").write_text(text)
    said = entry.split(" ")[0] + ".* is not read: lengths are taken as metres, images as the camera took them"
    with pytest.warns(UserWarning, match=said):
        read_calibration(tmp_path / "own.toml")
