"""Exports of a finished run: whole, verified, equal to what was solved; refused where they must be."""

import json
import shutil
import warnings
from dataclasses import replace
from importlib.util import find_spec

import h5py
import numpy as np
import pandas
import pytest
from command_line import call, failed, succeeded
from small_project import STAGES, of_size
from whole_dataset import load

import simspine as ss
from simspine.core.errors import InputError
from simspine.core.geometry import change_frame, project_points
from simspine.core.skeletons import VERTEBRA_OF, load_skeleton
from simspine.dataset.recordings import HUMAN36M_NOTICE, read_dataset_manifest
from simspine.dataset.verify import verify_dataset
from simspine.io import atomic
from simspine.io.c3d import read_c3d
from simspine.io.coco import read_coco
from simspine.io.dataset_read import DatasetFile
from simspine.io.dataset_write import Dataset, write_dataset
from simspine.io.hdf5 import read_store, write_store
from simspine.io.mot import read_mot, read_sto
from simspine.io.npz import read_npz
from simspine.io.trc import read_trc
from simspine.workflow import inputs, jobs
from simspine.workflow.config_recordings import HumanCapture
from simspine.workflow.dataset import provenance_of_results, read_summary
from simspine.workflow.exchange import ExportChoice, export_format
from simspine.workflow.jobs import STATE_STALE, failure_of, stage_states
from simspine.workflow.reporting import write_report_of
from simspine.workflow.results import read_trial
from simspine.workflow.up_to_date import RunPaths

COCO = "annotations/person_keypoints_train.json"
FORMATS = ("hdf5", "npz", "coco", "c3d", "csv", "bids", *(["nwb"] if find_spec("ndx_pose") else []))


@pytest.fixture(scope="module")
def results(finished):
    return read_trial(RunPaths(finished.results, "S01"), "bow")


@pytest.fixture(scope="module")
def exports(finished, tmp_path_factory):
    """Every format, written by the library into folders of their own."""
    root = tmp_path_factory.mktemp("exports")
    return {kind: export_format(finished.config, kind, ExportChoice(), root / kind) for kind in FORMATS}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_export_is_whole_and_says_what_it_is(finished, exports, kind):
    assert [str(fault) for fault in verify_dataset(exports[kind])] == []
    manifest = json.loads((exports[kind] / "manifest.json").read_text())
    assert manifest["configuration_hash"] == finished.config.hash
    assert manifest["format"] == kind
    assert manifest["invariant"]["by_trial_m"].keys() == {"S01/bow"}
    assert 0 <= manifest["invariant"]["largest_m"] < 1e-6
    assert manifest["versions"]["simspine"]
    points = 37 if kind == "coco" else 15
    assert len(manifest["from_release_order"]) == points
    there = {p.relative_to(exports[kind]).as_posix() for p in exports[kind].rglob("*") if p.is_file()}
    assert there - {".bidsignore"} == {*manifest["files"], "manifest.json"}  # a name that manifests do not take
    for entry in manifest["files"].values():
        assert {"size", "sha256", "rows", "units"} <= set(entry)


def test_all_formats_hold_the_points_that_were_solved(exports, results):
    solved = results.spine.markers
    c3d = read_c3d(exports["c3d"] / "S01/S01_bow.c3d")
    np.testing.assert_allclose(c3d.select(solved.names).xyz, solved.xyz, atol=1e-6)
    with DatasetFile(exports["hdf5"] / "synthetic.h5") as file:
        assert file.trial("S01", "bow").markers.xyz.tobytes() == solved.xyz.tobytes()
    rows = read_npz(exports["npz"] / "annotations/simspine_train.npz")
    world = change_frame(solved.xyz, "y_up", "z_up")
    np.testing.assert_array_equal(rows["S_world"][..., :3], np.concatenate([world] * 4))
    pixels = project_points(results.cameras, world)
    np.testing.assert_allclose(rows["part"][..., :2], np.concatenate(list(pixels)), atol=1e-9)


def test_all_formats_hold_the_centroids_of_the_vertebrae(finished, exports, results):
    """Against the poses of the bodies that were published; each format by its own reader."""
    vertebrae, poses = results.sized.vertebrae, results.poses
    wanted = np.stack([
        poses[v.body][:, :3, :3] @ np.array(v.centroid) + poses[v.body][:, :3, 3] for v in vertebrae.values()
    ], 1)  # fmt: skip
    assert wanted.shape[1] == 25
    c3d = read_c3d(exports["c3d"] / "S01/S01_bow.c3d")
    np.testing.assert_allclose(c3d.select(tuple(vertebrae)).xyz, wanted, atol=1e-6)
    rows = read_npz(exports["npz"] / "annotations/simspine_train.npz")
    world = change_frame(wanted, "y_up", "z_up")
    spine = load_skeleton("simspine15").names
    along = [(i, list(vertebrae).index(VERTEBRA_OF[name])) for i, name in enumerate(spine) if name in VERTEBRA_OF]
    for point, level in along:
        np.testing.assert_allclose(rows["S_world_vertebral"][: len(world), point, :3], world[:, level], atol=1e-9)
    with DatasetFile(exports["hdf5"] / "synthetic.h5") as file:
        trial = file.trial("S01", "bow")
    assert trial.centres.names == tuple(vertebrae)
    np.testing.assert_allclose(trial.centres.xyz, wanted, atol=1e-9)
    np.testing.assert_array_equal(trial.centres.covariance, results.spine.centres.covariance)
    trc = read_trc(finished.results / "export/centres/S01/S01_bow.trc")
    np.testing.assert_allclose(trc.xyz, wanted, atol=6e-9)
    vertebral = read_trc(finished.results / "export/markers_vertebral/S01/S01_bow.trc")
    assert vertebral.names == trial.markers.names
    for point, level in VERTEBRA_OF.items():
        at = vertebral.xyz[:, vertebral.index(point)]
        np.testing.assert_allclose(at, wanted[:, list(vertebrae).index(level)], atol=6e-9)
    behind = np.linalg.norm(trial.vertebral.xyz - trial.markers.xyz, axis=-1).mean(0)
    assert (behind[9:] == 0).all()
    assert ((behind[1:6] > 0.03) & (behind[1:6] < 0.07)).all()  # L5 … T3: spinous processes


def test_coco_has_the_whole_body(exports, results, truth):
    """Feet, hands and spine stand where the true points are projected to, within the solver's few millimetres."""
    found = read_coco(exports["coco"] / COCO)
    table = load_skeleton("spinetrack37")
    camera = results.cameras[0]
    first = [i for i, name in enumerate(found["file_name"]) if f".{camera.name}/" in name]
    for native in ("left_knee", "right_wrist", "left_heel", "nose"):
        name = table.to_simspine[native]
        true = change_frame(truth.markers.xyz[:, truth.markers.index(name)], "y_up", "z_up")
        (pixels,) = project_points([camera], true)
        error = np.linalg.norm(found["keypoints"][first, table.index(native), :2] - pixels, axis=-1)
        assert np.median(error) < 8, native  # 2 cm at 4 m with f = 1500 px
    for native in ("left_eye", "right_ear"):  # points of the head, although no marker there was fitted
        assert (found["keypoints"][first, table.index(native), 2] > 0).all()


def test_images_are_those_of_each_trials_own_cameras(copied, tmp_path):
    """Trials of one person filmed on two days, and one of a marker file. Half the focal length, half the picture."""
    path = copied.results / "synthetic.h5"
    with DatasetFile(path) as file:
        whole = load(file)
    bow = whole.subjects["S01"].trials["bow"]
    other = tuple(one.with_(K=one.K * [[0.5], [0.5], [1.0]]) for one in bow.cameras)
    trials = {"bow": bow, "later": replace(bow, cameras=other), "markers": replace(bow, cameras=())}
    write_dataset(path, Dataset({"S01": replace(whole.subjects["S01"], trials=trials)}, whole.provenance))
    (copied.results / "manifest.json").unlink()
    with pytest.warns(UserWarning, match="S01/markers is of no cameras"):
        rows = read_coco(export_format(copied.config, "coco", ExportChoice(), tmp_path / "c") / COCO)
    of_trial = {name: [f"S01_{name}." in str(file) for file in rows["file_name"]] for name in trials}
    first, later = (rows["keypoints"][of_trial[name]][..., :2] for name in ("bow", "later"))
    assert len(first) == len(later) > 0
    np.testing.assert_allclose(later, first / 2, atol=0.011)  # written with two decimals
    assert not any(of_trial["markers"])


def test_37_points_in_their_order(finished, exports, results, tmp_path):
    folder = export_format(finished.config, "hdf5", ExportChoice(points=37), tmp_path / "out")
    order = load_skeleton("simspine37").names
    with DatasetFile(folder / "synthetic.h5") as file:
        markers = file.trial("S01", "bow").markers
    assert markers.names == order
    known = results.model_markers
    for name in ("LKnee", "RBigToe", "RElbow"):
        np.testing.assert_allclose(markers.xyz[:, order.index(name)], known.xyz[:, known.index(name)], atol=1e-9)
    detected = {name: origin == "detected" for name, origin in zip(markers.names, markers.origin, strict=True)}
    assert not any(detected[name] for name in ("LEye", "REar"))  # detected, but the body has no such marker to fit
    assert markers.present.all()
    assert detected["LKnee"]
    manifest = json.loads((folder / "manifest.json").read_text())
    spine = results.spine.markers
    for i, k in enumerate(manifest["from_release_order"]):
        if k >= 0:
            np.testing.assert_allclose(markers.xyz[:, i], spine.xyz[:, k], atol=1e-12)
            np.testing.assert_array_equal(markers.covariance[:, i], spine.covariance[:, k])
    assert sum(k >= 0 for k in manifest["from_release_order"]) == 15
    assert verify_dataset(folder, kinematics=True) == []


def test_motions_in_the_papers_62_axes(finished, results, tmp_path):
    out = tmp_path / "axes"
    succeeded(call("export", "--config", finished.file, "--axes", "62", "--out", out))
    assert verify_dataset(out) == []
    found, solved = read_mot(out / "S01/S01_bow.mot"), results.result.motion
    assert found.names == solved.names  # of the coupled body they are the axes
    assert len(found.names) == 62
    np.testing.assert_allclose(found.values, solved.values, atol=1e-8)
    rows = [line.split(",") for line in (out / "axes.csv").read_text().splitlines()]
    assert rows[0] == ["axis", "unit", "how", "from", "to", "deviation"]
    sd = read_sto(out / "S01/S01_bow_sd.sto")
    assert sd.names == found.names
    wanted = np.where(solved.rotational, np.degrees(solved.deviation), solved.deviation)
    np.testing.assert_allclose(sd.values, wanted, atol=1e-6)
    assert [row[0] for row in rows[1:]] == list(solved.names)
    assert {row[1] for row in rows[1:] if row[0].startswith(("pelvis_t", "Abs_t")) and row[0] != "pelvis_tilt"} == {"m"}
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["format"], manifest["contents"]) == ("axes62", "angles")
    assert manifest["thorax_left_out_deg"] == {"S01/bow": 0.0}
    for wrong in (["--format", "npz"], ["--points", "37"], ["--subject", "S01"]):
        assert wrong[0] in failed(call("export", "--config", finished.file, "--axes", "62", *wrong))


def test_the_results_folder_itself_is_a_data_set(finished):
    assert verify_dataset(finished.results, kinematics=True) == []
    files = json.loads((finished.results / "manifest.json").read_text())["files"]
    kinematics = "export/kinematics/S01/S01_bow/S01_bow"
    assert {
        "synthetic.h5", "summary.json", "clinical.csv", "provenance.json", "export/models/S01.osim",
        "export/cameras/Calib_S01.toml",
        "export/markers/S01/S01_bow.trc", "export/markers_vertebral/S01/S01_bow.trc", "export/centres/S01/S01_bow.trc",
        f"{kinematics}.mot", f"{kinematics}_ik_marker_errors.sto",
    } <= set(files)  # fmt: skip


def test_the_release_layout_by_other_readers(finished, results):
    """Plain NumPy after the description of the released TRC, then OpenSim's readers of TRC and MOT."""
    path = finished.results / "export/markers/S01/S01_bow.trc"
    header = path.read_text().splitlines()[:5]
    assert header[2].split("\t")[4] == "m"
    names = [name for name in header[3].split("\t")[2:] if name]
    table = np.loadtxt(path, skiprows=5)
    solved = results.spine.markers
    assert tuple(names) == solved.names
    np.testing.assert_allclose(table[:, 2:].reshape(-1, 15, 3), solved.xyz, atol=6e-9)
    np.testing.assert_array_equal(table[:, 0], 1 + np.arange(len(table)))
    import opensim

    opensim.Logger.setLevelString("off")
    read = opensim.TimeSeriesTableVec3(str(path))
    assert read.getColumnLabels() == solved.names
    found = np.array([read.getDependentColumn("Spine_03")[i].to_numpy() for i in range(solved.frames)])
    np.testing.assert_allclose(found, solved.xyz[:, 3], atol=6e-9)
    motion = results.result.motion
    mot = opensim.TimeSeriesTable(str(finished.results / "export/kinematics/S01/S01_bow/S01_bow.mot"))
    knee = mot.getDependentColumn("knee_angle_r").to_numpy()
    np.testing.assert_allclose(knee, np.degrees(motion.column("knee_angle_r")), atol=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "nwb"])  # it has the time of its writing
def test_equal_data_equal_bytes(finished, exports, tmp_path, kind):
    again = export_format(finished.config, kind, ExportChoice(), tmp_path / kind)
    for path in exports[kind].rglob("*"):
        if path.is_file():
            assert (again / path.relative_to(exports[kind])).read_bytes() == path.read_bytes(), path.name


def shift_points(project, by):
    """Spoil what the stage vertebrae wrote: one point, three frames."""
    path = RunPaths(project.results, "S01").vertebrae("bow")
    stored = read_store(path)
    markers = stored["spine_markers"]
    xyz = markers.xyz.copy()
    xyz[4:7, 3] += by
    write_store(path, **stored | {"spine_markers": markers.with_(xyz=xyz)})


@pytest.mark.parametrize("subject", [(), ("--subject", "S01")])
def test_points_that_are_not_the_forward_kinematics_are_refused(copied, refused, subject):
    shift_points(copied, 1e-5)
    message = refused(copied, "export", *subject)
    assert "S01/bow: the points are not the forward kinematics of the angles: Spine_03" in message
    assert "frames 4–6" in message


def test_less_than_a_micrometre_passes_and_is_stored(copied, monkeypatch):
    shift_points(copied, 3e-7)
    monkeypatch.setattr(jobs, "first_stale", lambda *_: None)  # which sees that the file was changed by hand
    copied.run("export", force=True)
    stored = json.loads((copied.results / "manifest.json").read_text())["invariant"]["by_trial_m"]["S01/bow"]
    assert stored == pytest.approx(3e-7 * 3**0.5, rel=1e-3)


def test_points_and_angles_changed_apart_are_found(copied):
    with h5py.File(copied.results / "synthetic.h5", "r+") as file:
        file["S01/bow/kinematics"][5, 0] += 1.0
    found = [str(fault) for fault in verify_dataset(copied.results / "synthetic.h5", kinematics=True)]
    assert len(found) == 1
    assert "S01/bow" in found[0]
    assert "frames 5–5" in found[0]
    (copied.results / "manifest.json").unlink()  # else that alone refuses the changed file
    failed(call("export", "--config", copied.file, "--format", "c3d"))
    assert not (copied.results / "exchange" / "c3d").exists()
    assert not (copied.results / "exchange").exists()


class TestLicence:
    @pytest.fixture
    def restricted(self, copied):
        """The data set as if it came from Human3.6M."""
        path = copied.results / "synthetic.h5"
        with DatasetFile(path) as file:
            data = load(file)
        write_dataset(path, Dataset(data.subjects, dict(data.provenance) | {"notice": HUMAN36M_NOTICE}))
        (copied.results / "manifest.json").unlink()
        return copied

    @pytest.mark.parametrize("kind", FORMATS)
    def test_no_public_copy_with_points(self, restricted, refused, kind):
        message = refused(restricted, "export", "--format", kind, "--public")
        assert "--contents angles" in message
        assert "Human3.6M" in message

    def test_angles_and_models_may_go(self, restricted, tmp_path):
        out = tmp_path / "public"
        chosen = ("--format", "hdf5", "--public", "--contents", "angles", "--out", out)
        succeeded(call("export", "--config", restricted.file, *chosen))
        assert (out / "NOTICE.txt").read_text().strip() == HUMAN36M_NOTICE
        assert json.loads((out / "manifest.json").read_text())["notice"] == HUMAN36M_NOTICE
        assert verify_dataset(out, kinematics=True) == []
        with h5py.File(out / "synthetic.h5") as file:
            trial = file["S01/bow"]
            assert np.isnan(trial["markers"][:]).all()
            assert len(trial["simspine/poses"]) == 0
            assert len(file["S01/calibration/names"]) == 0
            assert file.attrs["notice"] == HUMAN36M_NOTICE
            assert not {"marker_covariance", "centres", "markers_vertebral"} & set(trial["simspine"])
            assert len(file["metadata/simspine/models/S01"]) > 1000
            provenance = bytes(file["metadata/simspine/provenance"][:]).decode()
            assert str(restricted.folder) not in provenance
            assert "configuration_hash" in provenance
            kinematics = trial["kinematics"][:]
        with DatasetFile(restricted.results / "synthetic.h5") as whole:
            motion = whole.trial("S01", "bow").motion
        np.testing.assert_allclose(kinematics[:, 0], np.degrees(motion.values[:, 0]))

    def test_a_private_copy_carries_the_notice(self, restricted, tmp_path):
        with pytest.warns(UserWarning, match="another configuration"):  # the copy's folder is part of it
            out = export_format(restricted.config, "npz", ExportChoice(), tmp_path / "npz")
        with np.load(out / "annotations/simspine_train.npz", allow_pickle=True) as data:
            assert data["metadata"].item()["notice"] == HUMAN36M_NOTICE
        assert (out / "NOTICE.txt").exists()

    @pytest.mark.parametrize(("record", "free"), [
        (None, False), ('{"virtual": true, "complete": true}', True), ('{"virtual": false}', False), ("broken", False),
    ])  # fmt: skip
    def test_where_data_come_from(self, finished, tmp_path, record, free):
        """A copy in Human3.6M's layout is restricted unless its own record says that it is a virtual capture."""
        if record is not None:
            (tmp_path / "capture.json").write_text(record)
        config = finished.config.model_copy(update={"capture": HumanCapture(human36m=str(tmp_path))})
        assert provenance_of_results(config)["notice"] == ("" if free else HUMAN36M_NOTICE)

    def test_our_own_data_are_free(self, finished, tmp_path):
        out = export_format(finished.config, "c3d", ExportChoice(public=True), tmp_path / "c3d")
        assert not (out / "NOTICE.txt").exists()


@pytest.mark.parametrize(("kind", "file", "words"), [
    ("npz", "annotations/simspine_train.npz", "differs from its checksum"),
    ("coco", "annotations/person_keypoints_train.json", "differs from its checksum"),
    ("c3d", "S01/S01_bow.c3d", "differs from its checksum"),
    ("hdf5", "synthetic.h5", "S01/bow: kinematics is damaged"),
])  # fmt: skip
def test_damage_is_found_in_every_format(exports, tmp_path, kind, file, words):
    """A byte in the middle; then the last fifth cut off."""
    folder = tmp_path / kind
    shutil.copytree(exports[kind], folder)
    content = (folder / file).read_bytes()
    middle = len(content) // 2
    if kind == "hdf5":  # in the middle of an array, not in the structure
        with h5py.File(folder / file) as data:
            middle = data["S01/bow/kinematics"].id.get_chunk_info(0).byte_offset + 100
    (folder / file).write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    found = "\n".join(map(str, verify_dataset(folder)))
    assert f"fault: {file}" in found
    assert words in found
    (folder / file).write_bytes(content[: len(content) * 4 // 5])
    found = "\n".join(map(str, verify_dataset(folder)))
    assert f"cut short: {len(content) * 4 // 5} bytes, the manifest has {len(content)}" in found


def test_splits(finished, tmp_path):
    out = export_format(finished.config, "npz", ExportChoice(test=("S01",)), tmp_path / "npz")
    assert [p.name for p in (out / "annotations").iterdir()] == ["simspine_test.npz"]
    with pytest.raises(InputError, match=r"unknown subject of the test split 'S9'\..* Available: S01\."):
        export_format(finished.config, "npz", ExportChoice(test=("S9",)), tmp_path / "other")


def test_an_older_export_is_replaced_and_nothing_else(finished, exports, tmp_path):
    out = tmp_path / "c3d"
    shutil.copytree(exports["c3d"], out)
    known = json.loads((out / "manifest.json").read_text())
    known["files"]["stale.c3d"] = next(iter(known["files"].values()))
    (out / "manifest.json").write_text(json.dumps(known))
    (out / "stale.c3d").write_bytes(b"x")
    export_format(finished.config, "c3d", ExportChoice(), out)
    assert not (out / "stale.c3d").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("dear")
    with pytest.raises(InputError, match="is no export of ours"):
        export_format(finished.config, "c3d", ExportChoice(), mine)
    assert [p.name for p in mine.iterdir()] == ["thesis.txt"]
    (out / "thesis.txt").write_text("dear")
    results = sorted(finished.results.rglob("*"))
    others = {out: r"which its manifest\.json lacks", finished.results: "holds the data set synthetic"}
    others |= {exports[kind]: f"holds an export {kind}" for kind in ("csv", "npz")}
    for folder, said in others.items():
        with pytest.raises(InputError, match=said):
            export_format(finished.config, "c3d", ExportChoice(), folder)
    assert (out / "thesis.txt").read_text() == "dear"
    assert sorted(finished.results.rglob("*")) == results
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c3d", "mine"]


@pytest.mark.parametrize(("arguments", "message"), [
    (("--format", "xml"), "is not one of"),
    (("--format", "c3d", "--contents", "angles"), "goes with hdf5"),
    (("--points", "37"), "--points goes with --format"),
    (("--public",), "--public goes with --format"),
    (("--format", "c3d", "--subject", "S01"), "--subject goes without --format"),
    (("--format", "coco", "--every", "0"), "0 is not in the range"),
])  # fmt: skip
def test_wrong_options(finished, arguments, message):
    assert message in failed(call("export", "--config", finished.file, *arguments))


def test_before_the_stage_has_run(copied, refused):
    (copied.results / "synthetic.h5").unlink()
    assert "Run `simspine run` first" in refused(copied, "export", "--format", "npz")


def test_another_configuration_is_said(copied, tmp_path):
    copied.change(filter={"cutoff_hz": 5.0})
    before = (copied.results / "provenance.json").read_bytes()
    assert "bow: merge is out of date (settings changed)" in failed(call("export", copied.file))
    assert (copied.results / "provenance.json").read_bytes() == before  # nothing states settings that were not used
    with pytest.warns(UserWarning, match="made with another configuration"):
        export_format(copied.config, "c3d", ExportChoice(), tmp_path / "c3d")
    for write in (read_summary, write_report_of):
        with pytest.warns(UserWarning, match=r"summary\.json was made with another configuration"):
            write(copied.config)


def test_files_of_trials_and_data_sets_that_were_left_out_are_named(copied):
    """As of a participant who withdrew: a run removes nothing."""
    left = copied.results / "S02/manifests/detect/run.1.json"
    left.parent.mkdir(parents=True)
    shutil.copy(copied.results / "S01/manifests/detect/bow.json", left)
    shutil.copy(copied.results / "synthetic.h5", copied.results / "old.h5")
    shutil.copy(copied.results / "S01/kinematics/bow.h5", copied.results / "S01/kinematics/try.2.h5")
    with pytest.warns(
        UserWarning, match=r"results still has files of S01/try\.2, S02/run\.1, old\.h5, which the configuration lacks"
    ):
        copied.run("export")
    said = " ".join(succeeded(call("validate", copied.results / "synthetic.h5")).split())
    assert "has files of 2 more that are no trials of the data set (S01/try.2, S02/run.1). They are not in" in said
    shutil.rmtree(copied.results / "S02")
    (copied.results / "S01/kinematics/try.2.h5").unlink()
    (copied.results / "old.h5").unlink()
    assert "no trials of" not in succeeded(call("validate", copied.results / "synthetic.h5"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copied.run("export")


def test_calibrations_of_an_earlier_configuration_are_no_part_of_the_data_set(copied):
    """As where trials shared one calibration, and have their own since. Another subject's has a similar name."""
    folder = copied.results / "export/cameras"
    own = folder / "Calib_S01.toml"
    for name in ("Calib_S01_bow.toml", "Calib_S01_bow2.toml"):
        shutil.copy(own, folder / name)
    copied.run("export", force=True)
    assert sorted(path.name for path in folder.iterdir()) == ["Calib_S01.toml", "Calib_S01_bow2.toml"]
    listed = read_dataset_manifest(copied.results)["files"]
    assert [name for name in listed if "Calib" in name] == ["export/cameras/Calib_S01.toml"]


def test_recordings_that_changed_after_the_data_set_was_made_are_said(copied):
    """Not where only the time differs, or the recordings are kept elsewhere by now."""
    cameras = copied.folder / "own.toml"
    shutil.copy(copied.settings["subjects"]["S01"]["trials"]["bow"]["calibration"], cameras)
    copied.trial(calibration=str(cameras))
    copied.run(*STAGES)

    def commands_that_say(words: str) -> list[bool]:
        commands = ("summary --config", "validate", "export --format csv --config", "check --config")
        said = [call(*command.split(), copied.file) for command in commands]
        return [words in " ".join(done.output.split()) for done in said]

    cameras.touch()
    assert not any(commands_that_say("out of date"))
    cameras.write_text(cameras.read_text().replace("[metadata]", "[metadata]\n"))
    assert all(commands_that_say("S01 bow: detect is out of date (own.toml changed)"))
    cameras.unlink()
    assert not any(commands_that_say("out of date"))


def test_numbers_of_images_that_may_not_be_the_videos_frames_are_said(copied):
    words = "these may not be the frames of the videos: S01/bow"
    assert words not in " ".join(succeeded(call("export", copied.file, "--format", "coco")).split())
    copied.trial(delays="find")
    assert words in " ".join(call("export", copied.file, "--format", "coco").output.split())


def test_pages_that_are_out_of_date_hinder_no_export(copied, monkeypatch):
    monkeypatch.setattr(inputs, "MAX_TRIALS_ON_ONE_PAGE", 0)
    copied.run("page")
    copied.change(report={"sample_frames": 1})
    assert {state.stage for state in stage_states(copied.config) if state.kind == STATE_STALE} >= {"page"}
    assert "synthetic.h5" in succeeded(call("export", copied.file))


def test_a_data_set_is_not_made_after_a_stage_that_failed(copied):
    """With new settings: the files of the stages after it are those of the old ones."""
    copied.change(filter={"cutoff_hz": 4.0})
    atomic.write_text(failure_of(copied.config, "markers", "S01", "bow"), "no space left")
    assert "failed (no space left)" in failed(call("export", copied.file))


def test_csv_is_one_table_of_all_trials(finished, results, tmp_path, monkeypatch):
    flushed: list[str] = []
    monkeypatch.setattr(atomic, "_flush_to_disk", lambda path: flushed.append(path.name))
    folder = export_format(finished.config, "csv", ExportChoice(), tmp_path / "csv")
    assert any(name.startswith(".frames.") for name in flushed)  # else a power cut could empty it
    table = pandas.read_csv(folder / "frames.csv", keep_default_na=False, na_values=[""])
    with ss.open_dataset(finished.results / f"{finished.config.name}.h5") as data:
        whole = data.to_dataframe()
        assert len(table) == data.frames
    assert list(table.columns) == list(whole.columns)
    for (subject, trial), own in table.groupby(["subject", "trial"]):
        found = read_trial(RunPaths(finished.results, subject), trial)
        np.testing.assert_allclose(np.radians(own["lla_deg"]), found.spine.lla, atol=1e-7)
        np.testing.assert_allclose(np.radians(own["tka_change_sd_deg"]), found.spine.tka_change_sd, atol=1e-7)
        assert list(own["status"]) == [str(status) for status in found.verdict.status]
        l1 = found.spine.centres.index("L1")
        np.testing.assert_allclose(own["L1_x_mm"] / 1000, found.spine.centres.xyz[:, l1, 0], atol=1e-8)
    assert read_dataset_manifest(folder)["files"]["frames.csv"]["rows"] == len(table)


def test_after_one_subject_there_is_a_data_set_of_those_that_are_exported(copied, tmp_path):
    settings = copied.settings
    settings["subjects"]["S02"] = {"trials": {"bow": dict(settings["subjects"]["S01"]["trials"]["bow"])}}
    copied.write(settings)
    (copied.results / "synthetic.h5").unlink()
    said = succeeded(call("export", copied.file, "--subject", "S01"))
    assert "synthetic.h5: S01 of 2 subjects" in said
    assert [str(fault) for fault in verify_dataset(copied.results)] == []
    with DatasetFile(copied.results / "synthetic.h5") as file:
        assert list(file.subjects) == ["S01"]
        assert file.provenance["configuration_hash"] == copied.config.hash
    done = call("export", copied.file, "--axes", "62", "--out", tmp_path / "axes")
    assert (done.exit_code, done.output.strip()) == (0, str(tmp_path / "axes"))  # no word of another configuration
    assert list((tmp_path / "axes").rglob("*.mot"))
    assert "S02" in failed(call("export", copied.file))  # S02 is to be solved first


@pytest.mark.parametrize("chosen", [["--subject", "S01"], ["--trial", "bow"]])
def test_a_trial_that_changed_after_its_export_is_checked_before_it_is_joined(copied, chosen, monkeypatch):
    monkeypatch.setattr(jobs, "first_stale", lambda *_: None)  # which sees that files were changed by hand
    settings = copied.settings
    copied.write(settings | {"subjects": {name: settings["subjects"]["S01"] for name in ("S01", "S02")}})
    shutil.copytree(copied.results / "S01", copied.results / "S02")
    (copied.results / "S02/model/S01.osim").rename(copied.results / "S02/model/S02.osim")
    copied.run("export")
    of_size(1.1).write_osim(copied.results / "S02/model/S02.osim")
    before = copied.contents()["synthetic.h5"]
    said = failed(call("export", copied.file, *chosen))
    assert "S02/bow: the points are not the forward kinematics of the angles" in said
    assert copied.contents()["synthetic.h5"] == before


def test_one_trial_is_exported_while_another_is_not_solved(copied):
    trials = {name: copied.settings["subjects"]["S01"]["trials"]["bow"] for name in ("bow", "again")}
    copied.change(subjects={"S01": {"trials": trials}})
    (copied.results / "S01/export/bow.h5").unlink()
    succeeded(call("export", copied.file, "--subject", "S01", "--trial", "bow"))
    said = failed(call("export", copied.file, "--trial", "bow"))  # and the data set
    assert "S01/quality/again.json does not exist" in said
    assert "Run `simspine" in said
