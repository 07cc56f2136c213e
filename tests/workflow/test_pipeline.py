"""All stages on a person of known size and motion, against the truth."""

import json
import re
import shutil
from datetime import date

import numpy as np
import pytest
from small_project import NOISE_PX, STAGES

from simspine.anatomy.body import body_poses, forward_kinematics
from simspine.anatomy.clinical import clinical_measures, clinical_parameters
from simspine.anatomy.curvature import read_endplates, scale_vertebrae
from simspine.anatomy.recipes import virtual_spine_markers
from simspine.anatomy.vertebrae import spine_kinematics
from simspine.core.types import Origin
from simspine.io.dataset_read import DatasetFile
from simspine.quality.observability import ERROR_IN_PEOPLE_DEG
from simspine.workflow import dataset
from simspine.workflow.results import read_trial
from simspine.workflow.up_to_date import RunPaths

# Of these the markers say enough; forearm rotation, wrists, toes and the like they hardly see.
WELL_SEEN = (
    "pelvis_tilt", "pelvis_list", "pelvis_rotation", "L5_S1_Flex_Ext", "L5_S1_Lat_Bending", "L5_S1_axial_rotation",
    "hip_flexion_r", "hip_flexion_l", "hip_adduction_r", "hip_adduction_l", "knee_angle_r", "knee_angle_l",
    "neck_flexion", "arm_flex_r", "arm_flex_l", "arm_add_r", "arm_add_l", "elbow_flex_r", "elbow_flex_l",
)  # fmt: skip


@pytest.fixture(scope="module")
def results(finished):
    return read_trial(RunPaths(finished.results, "S01"), "bow")


@pytest.fixture(scope="module")
def true_spine(truth):
    size = dict.fromkeys(truth.body.bodies, truth.size)
    return spine_kinematics(
        body_poses(truth.body, truth.motion),
        forward_kinematics(truth.body, truth.motion),
        scale_vertebrae(read_endplates(), size),
        spine_markers=virtual_spine_markers(truth.body),
    )


def test_the_points_are_where_they_were(results, truth):
    """Half a pixel of noise at 4 m and f = 1500 px is 1.3 mm per view; the 6 Hz low-pass rounds the motion a little."""
    common = [name for name in truth.markers.names if name in results.markers.names]
    assert len(common) == 33
    error = np.linalg.norm(results.markers.select(common).xyz - truth.markers.select(common).xyz, axis=-1)
    assert np.median(error) < 1.5e-3
    assert error.max() < 5e-3
    assert results.markers.frame == "y_up"
    assert set(results.markers.origin) == {Origin.DETECTED}


def test_every_segment_gets_its_size(finished, truth):
    factors = json.loads((finished.results / "S01/model/scaling.json").read_text())
    sizes = {entry["segment"]: entry["factor"] for entry in factors["factors"]}
    assert set(sizes) == {"pelvis", "torso", "head", "upper_arm", "forearm", "thigh", "shank", "foot"}
    for segment, size in sizes.items():
        # a shoulder marker lies beside the joint, so the arms' sizes depend a little on how the arms are held
        assert size == pytest.approx(truth.size, rel=0.025 if "arm" in segment else 0.008), segment
    assert factors["femur_m"]["left"] == pytest.approx(factors["femur_m"]["right"], rel=1e-6)


def test_the_motion_is_recovered(results, truth):
    motion = results.result.motion
    assert results.result.converged.all()
    for name in WELL_SEEN:
        error = np.degrees(np.abs(motion.column(name) - truth.motion.column(name)))
        assert error.max() < 3.0, name
    pelvis = np.stack([motion.column(f"pelvis_t{a}") - truth.motion.column(f"pelvis_t{a}") for a in "xyz"], -1)
    assert np.linalg.norm(pelvis, axis=-1).max() < 0.01


def test_the_curvatures_and_the_spine_points_are_recovered(results, true_spine):
    assert np.ptp(true_spine.lla) > np.radians(20), "the bow must change the lumbar curvature, or nothing is tested"
    assert np.degrees(np.abs(results.spine.lla - true_spine.lla)).max() < 3.0
    assert np.degrees(np.abs(results.spine.tka - true_spine.tka)).max() < 1.0  # the thorax is one rigid body
    assert results.spine.markers.names == true_spine.markers.names
    error = np.linalg.norm(results.spine.markers.xyz - true_spine.markers.xyz, axis=-1)
    assert np.median(error) < 0.004
    assert error.max() < 0.012


def test_clinical_parameters_are_recovered(results, truth):
    """Beside those of the true poses: what the limbs see well, within a few degrees."""
    plates = scale_vertebrae(read_endplates(), dict.fromkeys(truth.body.bodies, truth.size))
    true = clinical_parameters(clinical_measures(plates, truth.body.bodies), body_poses(truth.body, truth.motion))
    found = results.spine.clinical
    assert found.names == true.names
    assert np.ptp(true.of("trunk_inclination")) > np.radians(20), "the bow must move the trunk, or nothing is tested"
    well = ("pelvic_tilt", "sacral_slope", "trunk_inclination", "lumbar_flexion", "knee_flexion_r", "hip_flexion_l")
    for name in (*well, "hip_adduction_r", "shoulder_elevation_l", "pelvic_incidence"):
        assert np.degrees(np.abs(found.of(name) - true.of(name))).max() < 3.0, name
    assert np.abs(found.of("sagittal_vertical_axis") - true.of("sagittal_vertical_axis")).max() < 0.02
    assert (found.deviation > 0)[:, [found.names.index(name) for name in well]].all()


def test_no_frame_of_a_good_trial_is_rejected(results):
    assert results.verdict.counts["rejected"] == 0


def test_the_data_set_holds_the_trial(finished, results):
    with DatasetFile(finished.results / "synthetic.h5") as data:
        assert data.subjects == ("S01",)
        trial = data.trial("S01", "bow")
    assert trial.markers.xyz == pytest.approx(results.spine.markers.xyz, abs=1e-6)
    clinical = results.spine.clinical
    assert trial.clinical_names == clinical.names
    np.testing.assert_array_equal(trial.clinical, clinical.values)
    np.testing.assert_array_equal(trial.clinical_sd, clinical.deviation)
    assert trial.forced == {**results.spine.forced, **clinical.forced}
    assert trial.fk_deviation < 1e-6, "published points are the forward kinematics of the published angles"


def test_the_summary_is_that_of_the_trial(finished, results, truth, true_spine):
    """Oracles: the noise put in, the person's true spine and thigh, the results themselves."""
    summary = json.loads((finished.results / "summary.json").read_text())
    assert (summary["frames"], summary["views"], summary["frames_rejected"]) == (16, 4, 0)
    assert summary["points_kept_share"] == 1.0, "no point is an outlier"
    # Residuals of a point seen by four cameras, of 8 coordinates of which 3 are fitted: a Rayleigh distribution.
    left = NOISE_PX * np.sqrt(5 / 8)
    assert summary["reprojection_px_median"] == pytest.approx(left * np.sqrt(2 * np.log(2)), rel=0.1)
    assert summary["reprojection_px_p90"] == pytest.approx(left * np.sqrt(2 * np.log(10)), rel=0.1)
    apart = np.linalg.norm(results.model_markers.select(results.markers.names).xyz - results.markers.xyz, axis=-1)
    assert summary["marker_rms_mm"] == pytest.approx(1000 * np.sqrt(np.mean(apart**2)), rel=1e-6)
    for name, tolerance in (("lla", 3.0), ("tka", 1.0)):
        mean = summary[f"{name}_deg_mean"]
        assert mean == pytest.approx(np.degrees(getattr(results.spine, name).mean()))
        assert mean == pytest.approx(np.degrees(getattr(true_spine, name).mean()), abs=tolerance)
    stated = max(np.degrees(np.median(results.spine.lla_sd)), ERROR_IN_PEOPLE_DEG["lla"])
    assert summary["trials"]["S01/bow"]["lla_deg_sd"] == pytest.approx(stated)
    poses = body_poses(truth.body, truth.motion)
    thigh = np.linalg.norm(poses["tibia_l"][0, :3, 3] - poses["femur_l"][0, :3, 3])
    assert summary["femur_m"] == pytest.approx({"left": thigh, "right": thigh}, rel=0.01)
    manifests = [json.loads(file.read_text()) for file in (finished.results / "S01/manifests").rglob("*.json")]
    spent = sum(manifest["seconds"] for manifest in manifests)
    timings = json.loads((finished.results / "timings.json").read_text())
    assert 0 < timings["seconds"] == pytest.approx(spent, abs=0.01)
    assert timings["made_on"] == max(manifest["made_on"] for manifest in manifests) <= date.today().isoformat()
    assert "seconds" not in summary
    assert "timings.json" not in json.loads((finished.results / "manifest.json").read_text())["files"]


def test_provenance_names_inputs_and_versions(finished):
    origin = json.loads((finished.results / "provenance.json").read_text())
    assert origin["configuration_hash"] == finished.config.hash
    inputs = origin["inputs_sha256"]["S01/bow"]
    assert set(inputs) == {"cameras.toml", "cam01_json", "cam02_json", "cam03_json", "cam04_json"}
    assert all(len(sha) == 64 for sha in inputs.values())
    assert origin["versions"]["opensim"] == "4.6"


def test_provenance_has_the_checksums_of_all_files_of_one_name(copied):
    """As of `cam1/walk.mp4` and `cam2/walk.mp4`."""
    trial = copied.settings["subjects"]["S01"]["trials"]["bow"]
    folders = [copied.folder / f"{camera}/points" for camera in "abcd"]
    for old, new in zip(trial["keypoints"], folders, strict=True):
        shutil.copytree(old, new)
    copied.trial(keypoints=[str(folder) for folder in folders])
    copied.run("detect")
    inputs = dataset.provenance_of_results(copied.config)["inputs_sha256"]["S01/bow"]
    assert list(inputs) == ["cameras.toml", "points", "points (1)", "points (2)", "points (3)"]
    assert len(set(inputs.values())) == 5


def test_nothing_but_results_lies_in_the_results(finished):
    names = {path.relative_to(finished.results).as_posix() for path in finished.results.rglob("*") if path.is_file()}
    assert not [name for name in names if ".tmp" in name]
    of_trials = {f"S01/manifests/{stage}/bow.json" for stage in STAGES if stage != "scale"}
    assert of_trials | {"S01/manifests/scale.json", "S01/manifests/triangulate.json"} <= names
    assert {"S01/kinematics/bow.mot", "S01/kinematics/bow_ik_marker_errors.sto", "S01/markers/bow.trc"} <= names


@pytest.mark.slow
def test_report_is_one_page_that_names_the_files_next_to_it(copied):
    from simspine.workflow.reporting import write_report_of

    page = write_report_of(copied.config).read_text()
    assert "bow" in page
    assert "default-src 'none'" in page  # so that nothing is fetched, by scripts neither
    page = re.sub("<script.*?</script>", "", page, flags=re.DOTALL)
    named = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!#|data:)([^"')\s>]+)""", page)
    assert all(re.fullmatch(r"\w+(\.\w+|/)", name) for name in named), named  # no address and no other folder


@pytest.mark.slow
def test_a_point_seen_by_one_camera_is_missing_and_the_rest_goes_on(copied, truth):
    """The left knee in one view only: no 3D point, hence a marker without any data; the fit does without."""
    for folder in sorted(copied.folder.glob("pose/bow/*_json"))[1:]:
        for file in folder.glob("*.json"):
            content = json.loads(file.read_text())
            knee = 3 * truth.keypoints.names.index("left_knee")
            content["people"][0]["pose_keypoints_2d"][knee : knee + 3] = [0.0, 0.0, 0.0]
            file.write_text(json.dumps(content))
    copied.run("detect", "triangulate", "merge", "scale", "ik", "vertebrae", "quality", "export")
    results = read_trial(RunPaths(copied.results, "S01"), "bow")
    assert not results.markers.select(["LKnee"]).present.any()
    knee = results.result.marker_names.index("LKnee")
    assert np.isnan(results.result.marker_error[:, knee]).all()
    assert results.result.converged.all()
    tilt = results.result.motion.column("pelvis_tilt") - truth.motion.column("pelvis_tilt")
    assert np.degrees(np.abs(tilt)).max() < 3
