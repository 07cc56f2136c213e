"""The library's one call: the same numbers as the workflow's files, the truth, round trips, and clear errors."""

import html
import re
import sys
from dataclasses import replace

import numpy as np
import pandas
import pytest

import simspine as ss
from simspine.anatomy.shape_model import CHAIN_LEVELS as CENTRES
from simspine.io.hdf5 import read_store
from simspine.quality.findings import Status
from simspine.workflow.results import read_trial
from simspine.workflow.up_to_date import RunPaths


@pytest.fixture(scope="module")
def in_memory(finished, truth) -> ss.Reconstruction:
    """The finished project's trial by the library, with the project's options."""
    config = finished.config
    options = ss.Options(**{name: getattr(config, name) for name in ss.Options.model_fields})
    return ss.reconstruct(truth.keypoints, truth.cameras, options=options, mass=70.0)


@pytest.fixture(scope="module")
def by_files(finished):
    return read_trial(RunPaths(finished.results, "S01"), "bow")


def test_workflow_and_library_give_the_same_numbers(in_memory, by_files, finished):
    """Points in JSON files have fewer digits than those in memory: a few 1e-4 px, a micrometre in space."""
    points = read_store(RunPaths(finished.results, "S01").points("bow"), ["points"])["points"]
    np.testing.assert_allclose(in_memory.points.xyz, points.xyz, atol=1e-6)
    assert in_memory.markers.names == by_files.markers.names
    np.testing.assert_allclose(in_memory.markers.xyz, by_files.markers.xyz, atol=1e-6)
    assert in_memory.body.osim.count("<Marker ") == by_files.body.osim.count("<Marker ")
    np.testing.assert_allclose(in_memory.motion.values, by_files.motion.values, atol=1e-4)
    np.testing.assert_allclose(in_memory.motion.deviation, by_files.motion.deviation, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(in_memory.observed_shares, by_files.observed_shares, atol=1e-3)
    for name in ("lla", "tka", "angles", "lla_sd", "tka_sd", "angles_sd"):
        np.testing.assert_allclose(getattr(in_memory.spine, name), getattr(by_files.spine, name), atol=1e-4)
    np.testing.assert_allclose(in_memory.spine.centres.xyz, by_files.spine.centres.xyz, atol=1e-5)
    assert in_memory.spine.forced == by_files.spine.forced
    assert in_memory.verdict.counts == by_files.verdict.counts
    assert {f.code for f in in_memory.findings} == {f.code for f in by_files.findings}


def test_what_a_person_does_most(in_memory, truth, tmp_path):
    assert np.degrees(np.ptp(in_memory.lla)) > 20
    assert in_memory.tka.shape == in_memory.lla.shape == (truth.motion.frames,)
    page = in_memory.report(tmp_path / "out.html").read_text()
    assert "Lumbar lordosis" in page
    path = in_memory.save(tmp_path / "bow.h5")
    with ss.open_dataset(path) as data:
        trial = data["person", "trial"].read()
    np.testing.assert_array_equal(trial.lla, in_memory.lla)
    np.testing.assert_array_equal(trial.markers.covariance, in_memory.spine.markers.covariance)


def test_a_notebook_shows_the_player_and_stays_small(in_memory, monkeypatch):
    """The page in the frame asks for nothing from elsewhere; of a trial of more frames than it holds some are left."""
    for most in (300, 4):
        monkeypatch.setattr("simspine.report.statements._NOTEBOOK_FRAMES", most)
        shown = in_memory._repr_html_()
        assert len(shown) < 3e6
        (page,) = re.findall(r'srcdoc="([^"]*)"', shown)
        page = html.unescape(page)
        assert "default-src 'none'" in page
        frames, total = (int(re.search(rf'"{key}": ?(\d+)', page)[1]) for key in ("frames", "total"))
        assert total == in_memory.spine.frames
        assert frames == min(total, 4 if most == 4 else total)


def test_a_table_has_a_row_for_each_frame_in_degrees_and_mm(in_memory, tmp_path):
    table, spine = in_memory.to_dataframe(), in_memory.spine
    assert table.columns.is_unique
    assert len(table) == spine.frames
    np.testing.assert_allclose(table["time_s"], spine.time)
    np.testing.assert_allclose(np.radians(table["lla_deg"]), spine.lla)
    np.testing.assert_allclose(np.radians(table["tka_change_sd_deg"]), spine.tka_change_sd)
    np.testing.assert_allclose(np.radians(table["T12_L1_flexion_deg"]), spine.level("T12-L1")[:, 0])
    np.testing.assert_allclose(np.radians(table["T12_L1_axial_rotation_sd_deg"]), spine.angles_sd[:, 5, 2])
    l1 = spine.centres.index("L1")
    np.testing.assert_allclose(table["L1_y_mm"] / 1000, spine.centres.xyz[:, l1, 1])
    np.testing.assert_allclose((table["L1_y_sd_mm"] / 1000) ** 2, spine.centres.covariance[:, l1, 1, 1])
    np.testing.assert_allclose(table["pelvis_ty_mm"] / 1000, in_memory.motion.column("pelvis_ty"))
    np.testing.assert_allclose(np.radians(table["hip_flexion_r_deg"]), in_memory.motion.column("hip_flexion_r"))
    np.testing.assert_allclose(np.radians(table["clinical_pelvic_tilt_deg"]), spine.clinical.of("pelvic_tilt"))
    assert list(table["status"]) == [str(status) for status in in_memory.verdict.status]
    assert set(table["lla_decided_by"]) == {in_memory.curvature_figures[0].decided_by}
    in_memory.save(tmp_path / "bow.h5")
    read = pandas.read_csv(tmp_path / "bow.csv", index_col="frame")
    texts = ["reasons", "filled_markers"]
    read[texts] = read[texts].astype(object).fillna("")
    pandas.testing.assert_frame_equal(read, table, atol=1e-6, check_dtype=False)


def test_filled_gaps_and_rejected_frames_are_named_in_the_table(in_memory):
    filled = np.zeros(in_memory.markers.xyz.shape[:2], bool)
    filled[3, [0, 2]] = True
    status = (Status.REJECTED, *in_memory.verdict.status[1:])
    verdict = replace(in_memory.verdict, status=status, reasons=(("jump", "far"), *in_memory.verdict.reasons[1:]))
    found = replace(in_memory, markers=in_memory.markers.with_(filled=filled), verdict=verdict)
    table, names = found.to_dataframe(), in_memory.markers.names
    assert table["filled_markers"][3] == f"{names[0]} {names[2]}"
    assert table["filled_markers"][4] == ""
    assert (table["status"][0], table["reasons"][0]) == ("rejected", "jump far")


def test_arrays_with_named_axes_and_units(in_memory):
    arrays, spine = in_memory.to_xarray(), in_memory.spine
    assert arrays["angles"].dims == ("frame", "level", "axis")
    np.testing.assert_array_equal(arrays["angles"].sel(level="L4-L5", axis="flexion"), spine.level("L4-L5")[:, 0])
    np.testing.assert_array_equal(arrays["angles_sd"], spine.angles_sd)
    np.testing.assert_array_equal(arrays["centres"].sel(point="T8"), spine.centres.xyz[:, spine.centres.index("T8")])
    np.testing.assert_array_equal(arrays["motion"].sel(coordinate="pelvis_tx"), in_memory.motion.column("pelvis_tx"))
    np.testing.assert_array_equal(arrays["angles_decided_share"], in_memory.observed_shares)
    assert {name: arrays[name].attrs["units"] for name in ("lla", "centres_sd", "time")} == {
        "lla": "rad", "centres_sd": "m", "time": "s",
    }  # fmt: skip
    assert arrays["lla"].attrs["decided_by"]
    assert arrays["coordinate_unit"].sel(coordinate="pelvis_tx") == "m"
    assert set(arrays["centres_origin"].values) <= {str(origin) for origin in ss.Origin}


def test_without_uncertainty_the_tables_have_no_deviations(in_memory):
    spine = replace(in_memory.spine, lla_sd=None, tka_sd=None, angles_sd=None, lla_change_sd=None, tka_change_sd=None)
    result = replace(in_memory.result, posterior=None, motion=in_memory.motion.with_(deviation=None))
    found = replace(in_memory, spine=replace(spine, clinical=None, centres=None), result=result)
    assert not [
        name for name in found.to_dataframe().columns if "_sd_" in name or name.startswith(("L1_x", "clinical"))
    ]
    assert not [name for name in found.to_xarray() if name.endswith("_sd")]


def test_what_is_missing_for_arrays_is_named(in_memory, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ss.InputError, match=r"package xarray.*simspine\[xarray\]"):
        in_memory.to_xarray()


def test_contract_of_the_spine(in_memory):
    spine = in_memory.spine
    frames, levels = len(spine.lla), len(spine.levels)
    assert spine.centres.names == CENTRES
    assert spine.centres.covariance.shape == (frames, 25, 3, 3)
    assert np.linalg.eigvalsh(spine.centres.covariance).min() > -1e-12
    assert spine.angles.shape == spine.angles_sd.shape == (frames, levels, 3)
    assert (spine.lla_sd > 0).all()


def test_several_trials_share_one_body(by_files):
    markers = by_files.markers
    half = markers.frames // 2
    cut = {"xyz": markers.xyz[:half], "weight": markers.weight[:half], "covariance": markers.covariance[:half],
           "filled": markers.filled[:half]}  # fmt: skip
    found = ss.fit_trials({"all": markers, "half": markers.with_(**cut)}, "coupled", "spinetrack37")
    assert found["all"].body is found["half"].body
    assert found["half"].spine.frames == half


@pytest.mark.parametrize("kind", ["folder", "list"])
def test_videos_are_found_in_a_folder_or_by_name(filmed, kind):
    """A grey scene with nobody in it: read to the end, then refused as the workflow does."""
    videos = [f"cam{k:02d}.mp4" for k in range(1, 5)]
    source = filmed.folder if kind == "folder" else [filmed.folder / name for name in videos]
    with pytest.raises(ss.InputError, match=r"nobody|person"):
        ss.reconstruct(source, filmed.folder / "cameras.toml")


def test_clear_errors(tmp_path, truth, in_memory):
    with pytest.raises(ss.InputError, match="holds no videos"):
        ss.reconstruct(tmp_path, truth.cameras)
    with pytest.raises(ss.InputError, match="is no folder"):
        ss.reconstruct(tmp_path / "nowhere", truth.cameras)
    with pytest.raises(ss.InputError, match="no trials"):
        ss.fit_trials({})
    with pytest.raises(ss.InputError, match=r"is \.h5 or"):
        in_memory.save(tmp_path / "bow.txt")
    with pytest.raises(ss.InputError, match="Did you mean 'centres'"):
        ss.fit_trials({"bow": in_memory.markers}, marker_set="centers")


def test_a_body_that_fits_nobody_names_the_cameras_first(truth):
    """All images were turned by a quarter after the calibration."""
    seen, height = truth.keypoints, truth.cameras[0].size[1]
    turned = seen.with_(xy=np.stack([height - 1 - seen.xy[..., 1], seen.xy[..., 0]], -1))
    with pytest.raises(ss.InputError, match=r"^cam01[^\n]*turned to the right by a quarter[^\n]*\nThen: no segment"):
        ss.reconstruct(turned, truth.cameras)


def test_a_table_of_somebody_else_is_not_replaced(in_memory, tmp_path):
    (tmp_path / "bow.csv").write_text("x,y,z\n0,1,2\n")
    with pytest.raises(ss.InputError, match=r"bow\.csv is no table of simspine"):
        in_memory.save(tmp_path / "bow.h5")
    assert (tmp_path / "bow.csv").read_text() == "x,y,z\n0,1,2\n"
    assert not (tmp_path / "bow.h5").exists()
    (tmp_path / "bow.csv").unlink()
    in_memory.save(tmp_path / "bow.h5")
    in_memory.save(tmp_path / "bow.h5")  # its own is


@pytest.mark.parametrize("failing", ["write_trials_dataset", "frame_table"])
def test_data_set_and_table_are_both_new_or_neither(in_memory, tmp_path, monkeypatch, failing):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "bow.csv").write_text("frame,time_s,status,\n")
    (tmp_path / "bow.h5").write_text("old")
    monkeypatch.setattr(f"simspine.reconstruction.publish.{failing}", full)
    with pytest.raises(OSError, match="No space"):
        in_memory.save(tmp_path / "bow.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bow.csv", "bow.h5"]
    assert (tmp_path / "bow.csv").read_text() == "frame,time_s,status,\n"
    assert (tmp_path / "bow.h5").read_text() == "old"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda k, c: ss.reconstruct(k, [c[1], c[1], *c[2:]]), "cameras hold cam02 twice"),
        (
            lambda k, c: ss.reconstruct(k, {camera.name: camera for camera in c}),
            "cameras is a dict, expected Sequence.Camera",
        ),
        (lambda k, c: ss.reconstruct(k, ["a.toml", *c]), "cameras is a list of Camera, str"),
        (lambda k, c: ss.reconstruct(k, c[0]), "cameras is a Camera, expected Sequence"),
        (lambda k, c: ss.reconstruct(k, [*c, replace(c[0], name="fifth")]), "4 views of keypoints but 5 cameras"),
        (lambda k, c: ss.reconstruct(k, []), r"4 views of keypoints but 0 cameras \(none\)"),
        (lambda k, c: ss.reconstruct([k, k], c), "source is a list of Keypoints, expected"),
        (lambda k, c: ss.fit_trials({"bow": "bow.trc"}), "'bow' is a str; expected Markers"),
        (lambda k, c: ss.read_calibration(["a.toml"]), "path is a list of str, expected str"),
        (lambda k, c: ss.read_trc(None), "path is a NoneType"),
    ],
)
def test_things_of_another_kind_are_refused_by_name(truth, change, said):
    with pytest.raises(ss.InputError, match=said):
        change(truth.keypoints, truth.cameras)


def test_a_folder_called_tilde_is_not_the_home_folder(in_memory, tmp_path, monkeypatch):
    """pandas wrote the table to the home folder, and the command ended without it."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    in_memory.save("~/bow.h5")
    assert sorted(file.name for file in (work / "~").iterdir()) == ["bow.csv", "bow.h5"]
    assert not list(home.iterdir())
