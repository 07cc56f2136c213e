import numpy as np
import pytest
from detector_errors import PAPER, region_errors
from mean_distances import mpjpe
from scipy.stats import spearmanr
from stick_person import stick_person
from tools.bench.engines import triangulate_plainly

from simspine.core.errors import InputError
from simspine.core.geometry import project_points
from simspine.core.skeletons import POINTS_BY_REGION, load_skeleton
from simspine.synthesis import virtual_detector, virtual_trial
from simspine.synthesis.population import make_subject
from simspine.synthesis.virtual_detector import (
    SWAPPED_LIMB_PAIRS,
    Capsules,
    RegionErrors,
    parse_preset,
    person_size_in_image,
    preset_names,
    read_preset,
    simulate_detections,
)
from simspine.synthesis.virtual_trial import make_trial, virtual_rig

NAMES = load_skeleton("simspine37").names
FRAMES = 1500


@pytest.fixture(scope="module")
def person():
    return stick_person(FRAMES)


@pytest.fixture(scope="module", autouse=True)
def hidden_once():
    """Who hides what takes most of the time, and is the same for the same person before the same cameras."""
    known, compute = {}, virtual_detector.occlusion_of_points

    def occlusion(points, cameras, capsules):
        centres = np.stack([camera.centre for camera in cameras])
        key = tuple(array.tobytes() for array in (points.xyz, capsules.ends, capsules.radii, centres))
        if key not in known:
            known[key] = compute(points, cameras, capsules)
        return known[key].copy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(virtual_detector, "occlusion_of_points", occlusion)
        yield


@pytest.fixture(scope="module")
def cameras():
    return virtual_rig(1, "S1")


@pytest.fixture(scope="module")
def seen(person, cameras):
    """Detections of each preset."""
    return {
        name: simulate_detections(*_in(person, cameras), read_preset(name), 1, "S1", "Walking_1")
        for name in preset_names()
    }


@pytest.fixture(scope="module")
def walker():
    trial = make_trial(make_subject(5, 0), "Walking", 1, 150)
    capsules = virtual_detector.capsules_of(trial.subject, virtual_trial.true_markers(trial))
    return virtual_trial.true_points(trial), capsules


def _capsules(person):
    return Capsules(person[1], person[2])


def _in(person, cameras):
    return person[0], cameras, _capsules(person)


def plain(noise=0.01, **changes):
    """A preset of noise only, the same for all points."""
    regions = {name: RegionErrors(offset_m=0.0, noise=noise) for name in POINTS_BY_REGION}
    return read_preset("finetuned").model_copy(update={"regions": regions, **NOTHING, **changes})


NOTHING = {"foreshortened": 0.0, "occluded": 0.0, "outliers": 0.0, "swaps": 0.0, "dropouts": 0.0}


def error_px(found):
    return found.keypoints.xy - found.exact


def test_exact_points_give_the_truth_back(person, cameras, seen):
    found = seen["exact"].keypoints
    np.testing.assert_array_equal(found.confidence[found.confidence > 0], 1.0)
    np.testing.assert_allclose(found.xy[5], project_points(cameras, person[0].xyz[5]), rtol=0, atol=1e-12)
    assert mpjpe(triangulate_plainly(found, cameras).xyz, person[0].xyz) < 1e-8  # m; 0.01 mm is asked for


def test_a_point_outside_the_image_is_missing(person, cameras):
    shift = np.array([2.5, 0, 0])
    away, parts = person[0].with_(xyz=person[0].xyz[:20] + shift), (None, person[1][:20] + shift, person[2])
    found = simulate_detections(away, cameras, _capsules(parts), read_preset("exact"), 1, "S1", "t").keypoints
    xy = np.moveaxis(project_points(cameras, away.xyz), 0, 1)
    outside = ((xy < 0) | (xy > np.array([c.size for c in cameras])[:, None])).any(-1)
    assert outside.any()
    assert not outside.all()
    np.testing.assert_array_equal(np.isnan(found.xy[..., 0]), outside)
    np.testing.assert_array_equal(found.confidence == 0, outside)


def test_equal_arguments_equal_bytes(person, cameras, seen):
    def again(seed=1, subject="S1", trial="Walking_1"):
        return simulate_detections(*_in(person, cameras), read_preset("zero-shot"), seed, subject, trial).keypoints

    assert again().xy.tobytes() == seen["zero-shot"].keypoints.xy.tobytes()
    assert again().confidence.tobytes() == seen["zero-shot"].keypoints.confidence.tobytes()
    for change in ({"seed": 2}, {"subject": "S5"}, {"trial": "Walking_2"}):
        assert np.nanmedian(np.abs(again(**change).xy - seen["zero-shot"].keypoints.xy)) > 1


def test_switching_one_kind_of_error_off_leaves_the_others(person, cameras, seen):
    """Streams of their own: the same noise with and without swaps."""
    preset = read_preset("finetuned").model_copy(update={"swaps": 0.0})
    without = simulate_detections(*_in(person, cameras), preset, 1, "S1", "Walking_1")
    kept = ~seen["finetuned"].swapped.any((1, 2))
    np.testing.assert_array_equal(without.keypoints.xy[kept], seen["finetuned"].keypoints.xy[kept])


def test_size_of_the_noise(person, cameras):
    """Share of the person's size: RMS over many views and points, bias included."""
    found = [simulate_detections(*_in(person, cameras), plain(), seed, "S1", "t") for seed in range(3)]
    share = np.concatenate([error_px(f) / person_size_in_image(f.exact)[..., None, None] for f in found])
    assert np.sqrt(np.nanmean(share**2)) == pytest.approx(0.01, rel=0.05)
    height = person_size_in_image(found[0].exact).mean() / 1147 * 5.5
    assert 1.6 < height < 2.6  # m: a person with swinging limbs


def test_the_bias_stays_with_subject_view_and_point(person, cameras):
    def means(subject, trial):
        found = simulate_detections(*_in(person, cameras), plain(), 1, subject, trial)
        return np.nanmean(error_px(found) / person_size_in_image(found.exact)[..., None, None], 0).ravel()

    first, second, other = means("S1", "a"), means("S1", "b"), means("S5", "a")
    assert np.corrcoef(first, second)[0, 1] > 0.85
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.3
    # The mean of 60 s still has a part of the slow wandering: variance 2 · 2 s / 60 s of its share.
    expected = virtual_detector.BIAS_VARIANCE_SHARE + virtual_detector.NOISE_VARIANCE_SHARES[0][0] * 2 * 2.0 / (
        FRAMES / 50
    )
    assert first.std() == pytest.approx(0.01 * np.sqrt(expected), rel=0.15)


def test_how_long_errors_last(person, cameras):
    """Autocorrelation over seconds beside that of the processes it is made of."""
    total, count = 0.0, 0
    for seed in range(4):
        found = simulate_detections(*_in(person, cameras), plain(), seed, "S1", "t")
        share = error_px(found) / person_size_in_image(found.exact)[..., None, None] / 0.01
        product = [np.nanmean(share[lag:] * share[: FRAMES - lag]) for lag in (0, 1, 5, 15, 100)]
        total, count = total + np.array(product), count + 1
    time = np.array([0, 1, 5, 15, 100]) / 50
    parts = [
        share * (np.exp(-time / tau) if tau else time == 0) for share, tau in virtual_detector.NOISE_VARIANCE_SHARES
    ]
    assert total / count == pytest.approx(virtual_detector.BIAS_VARIANCE_SHARE + sum(parts), abs=0.06)


def test_noise_grows_where_a_point_is_hidden_or_foreshortened(person, cameras):
    preset = plain(foreshortened=1.0, occluded=2.0)
    found = simulate_detections(*_in(person, cameras), preset, 1, "S1", "t")
    short = virtual_detector.segment_foreshortening(person[0], cameras)
    even = simulate_detections(*_in(person, cameras), plain(), 1, "S1", "t")
    constant = np.nanmean(error_px(even), 0)
    ratio = np.nanmedian(np.abs(error_px(found) - constant) / np.abs(error_px(even) - constant), -1)
    expected = 1 + short + 2 * found.hidden
    easy, free = short < 0.02, found.hidden == 0
    for group in (easy & free, (short > 0.4) & free, easy & (found.hidden == 1)):
        assert group.sum() > 300
        assert np.median(ratio[group]) == pytest.approx(np.median(expected[group]), rel=0.1)
    # From the front the back's points are hidden, from behind the nose.
    at = [NAMES.index("Nose"), NAMES.index("Spine_04")]
    both = found.hidden[..., at] > 0.5
    assert both.any((0, 1)).all()
    assert not both.all(-1).any()


def test_foreshortening_is_the_share_of_length_lost(person, cameras):
    knee, ankle = (person[0].xyz[:, NAMES.index(n)] for n in ("LKnee", "LAnkle"))
    sight = ankle - cameras[0].centre
    across = np.cross(ankle - knee, sight)
    apparent = np.linalg.norm(across, axis=-1) / np.linalg.norm(sight, axis=-1) / np.linalg.norm(ankle - knee, axis=-1)
    found = virtual_detector.segment_foreshortening(person[0], cameras)[:, 0, NAMES.index("LAnkle")]
    np.testing.assert_allclose(found, 1 - apparent, atol=1e-9)


@pytest.mark.parametrize("name", ["finetuned", "zero-shot"])
def test_shares_of_outliers_and_dropouts(seen, name):
    preset, found = read_preset(name), seen[name]
    assert found.outlier.mean() == pytest.approx(preset.outliers, rel=0.2)
    inside, missing = ~np.isnan(found.exact[..., 0]), np.isnan(found.keypoints.xy[..., 0])
    assert (missing & inside).mean() == pytest.approx(preset.dropouts, rel=0.2)
    for flags, duration in (
        (found.outlier, virtual_detector.OUTLIER_DURATION_S),
        (missing, virtual_detector.DROPOUT_DURATION_S),
    ):
        starts = (flags[1:] & ~flags[:-1]).sum()
        assert flags.sum() / starts / 50 == pytest.approx(duration, rel=0.3)
    assert (found.keypoints.confidence[missing] == 0).all()


def test_outliers_are_far_off(person, cameras):
    found = simulate_detections(*_in(person, cameras), plain(0.001, outliers=0.02), 1, "S1", "t")
    share = np.linalg.norm(error_px(found), axis=-1) / person_size_in_image(found.exact)[..., None]
    assert np.nanmin(share[found.outlier]) > 0.09
    assert np.nanmax(share[found.outlier]) < 0.31
    assert np.nanmax(share[~found.outlier]) < 0.02


def test_swapped_limbs_lie_on_the_other_side(person, cameras):
    found = simulate_detections(*_in(person, cameras), plain(0.0005, swaps=0.05), 1, "S1", "t")
    assert found.swapped.mean() == pytest.approx(0.05, rel=0.3)
    for k, limb in enumerate(SWAPPED_LIMB_PAIRS):
        for part in limb:
            left, right = NAMES.index(f"L{part}"), NAMES.index(f"R{part}")
            swapped = found.swapped[..., k]
            off = found.keypoints.xy[:, :, left] - found.exact[:, :, right]
            assert np.abs(off[swapped]).max() < 3
            assert np.abs((found.keypoints.xy[:, :, left] - found.exact[:, :, left])[~swapped]).max() < 3
    # Likelier in side view, where hips coincide.
    apart = np.linalg.norm(found.exact[:, :, NAMES.index("LHip")] - found.exact[:, :, NAMES.index("RHip")], axis=-1)
    assert np.median(apart[found.swapped[..., 0]]) < 0.8 * np.median(apart)


@pytest.mark.parametrize("name", ["finetuned", "zero-shot"])
def test_confidence_tells_something_but_not_all(seen, name):
    found = seen[name]
    error = np.linalg.norm(error_px(found), axis=-1) / person_size_in_image(found.exact)[..., None]
    present = np.isfinite(found.keypoints.xy[..., 0])
    rank = spearmanr(found.keypoints.confidence[present], error[present]).statistic
    assert -0.55 < rank < -0.25
    assert 0.5 < np.median(found.keypoints.confidence[present]) < 0.95
    wrong = found.outlier & present
    usual = np.median(found.keypoints.confidence[present & ~found.outlier])
    noticed = (found.keypoints.confidence[wrong] < 0.7 * usual).mean()
    assert 0.2 < noticed < 0.8


def test_what_the_detector_means_turns_with_the_body(cameras):
    """Offsets alone: triangulated, they have the length that the preset says, in whatever direction the body looks."""
    regions = {name: RegionErrors(offset_m=0.04, noise=0.0) for name in POINTS_BY_REGION}
    preset = read_preset("finetuned").model_copy(update={"regions": regions, **NOTHING})
    person, lengths = stick_person(30, rate=5), []
    for subject in ("S1", "S5", "S6", "S7", "S8", "S9", "S11"):
        found = simulate_detections(*_in(person, cameras), preset, 1, subject, "t").keypoints
        off = triangulate_plainly(found, cameras).xyz - person[0].xyz
        length = np.linalg.norm(off, axis=-1)
        assert np.ptp(length, 0).max() < 1e-6  # constant …
        assert np.ptp(off[:, NAMES.index("Spine_02")], 0)[:2].min() > 0.005  # … but turning with the person
        spine = off[:, [NAMES.index(n) for n in POINTS_BY_REGION["lumbar"]]]
        assert np.abs(spine - spine[:, :1]).max() < 1e-6  # common to the region
        lengths.append(length[0])
    assert np.sqrt(np.mean(np.square(lengths))) == pytest.approx(0.04, rel=0.15)


@pytest.mark.parametrize("name", list(PAPER))
def test_triangulated_as_the_paper_reports(walker, name):
    """One walk, seen by seven rigs and with seven people's biases; fitted on other people and motions."""
    points, parts = walker
    rows = []
    for subject in ("S1", "S5", "S6", "S7", "S8", "S9", "S11"):
        cameras = virtual_rig(1, subject)
        found = simulate_detections(points, cameras, parts, read_preset(name), 1, subject, "t").keypoints
        rows.append(region_errors(triangulate_plainly(found, cameras), points))
    mean = {region: np.mean([row[region] for row in rows], 0) for region in rows[0]}
    assert mean["all"][0] == pytest.approx(PAPER[name]["all"][0], rel=0.1)
    for region, wanted in PAPER[name].items():
        assert mean[region] == pytest.approx(wanted, rel=0.3), region


def test_presets_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    rows = "\n".join(f"    {name}: {{offset_m: 0.01, noise: 0.02}}" for name in POINTS_BY_REGION)
    path.write_text(f"mine:\n  regions:\n{rows}\n  swaps: 0.1\n")
    preset = read_preset(str(path))
    assert (preset.name, preset.swaps, preset.outliers) == ("mine", 0.1, 0.0)
    assert preset.regions["lumbar"] == RegionErrors(offset_m=0.01, noise=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"swaps": 0.7}, "swaps"),
        ({"swap": 0.1}, "swap.*swaps"),
        ({"occluded": "much"}, "occluded"),
        ({"occluded": -1}, "occluded"),
        ({"regions": {"lumbar": {"offset_m": 0.1, "noise": 0.1}}}, "some are lacking"),
        ({"regions": {"lumber": {"offset_m": 0.1, "noise": 0.1}}}, "Did you mean 'lumbar'"),
        ({"regions": 3}, "regions"),
    ],
)
def test_presets_that_cannot_be_used(change, message):
    row = {"regions": {name: {"offset_m": 0.01, "noise": 0.02} for name in POINTS_BY_REGION}}
    with pytest.raises(InputError, match=message):
        parse_preset("mine", row | change, "mine.yaml")


def test_unknown_presets(tmp_path):
    with pytest.raises(InputError, match="zero-shot"):
        read_preset("zero_shot")
    with pytest.raises(InputError, match="does not exist"):
        read_preset(str(tmp_path / "absent.yaml"))
    assert set(PAPER) == set(preset_names()) - {"exact"}
