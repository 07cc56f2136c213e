import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import chi2
from tools.learn_spine_shape import in_trunk_frame, learn_shape, main, read_table, shape_model_json
from tools.spine_shape_statistics import (
    expectation_maximisation,
    folds,
    level_angles_and_marks,
    vector_names,
    vector_parameters,
)

import simspine as ss
from simspine.anatomy import shape_model
from simspine.anatomy.shape_model import (
    CHAIN_LEVELS,
    CHAIN_VECTOR_COUNT,
    chain_derivatives,
    chain_jacobian,
    chain_positions,
    packaged_shape_model,
    read_shape_model,
)
from simspine.core.errors import InputError

FIVE = ("T3", "T8", "L1", "L3", "L5")

# Means of published tables, mm: distances of neighbouring centres, VerSe 2019/2020, 166 scans, outliers removed.
PUBLISHED = {"C2-C3": 18.44, "C6-C7": 17.55, "T1-T2": 20.79, "T5-T6": 23.12, "T9-T10": 25.50, "T12-L1": 31.56,
             "L2-L3": 34.06, "L4-L5": 32.05}  # fmt: skip


def samples(count, seed, posture="supine"):
    mean, cov = packaged_shape_model().prior(posture)
    return chain_positions(np.random.default_rng(seed).multivariate_normal(mean, cov, count))


def points_of(x, levels):
    return {level: x[..., CHAIN_LEVELS.index(level), :] for level in levels}


def stacked(values):
    return np.stack([values[level] for level in CHAIN_LEVELS], axis=-1)


TYPICAL = chain_positions(packaged_shape_model().mean)
SPINE = samples(1, 5)[0]


# --- the chain


def test_chain_and_its_parameters_are_inverse():
    z = np.concatenate(
        [
            np.full(CHAIN_VECTOR_COUNT, np.log(0.02)),
            np.linspace(-1, 2, CHAIN_VECTOR_COUNT),
            np.linspace(-0.8, 0.9, CHAIN_VECTOR_COUNT),
        ]
    )
    np.testing.assert_allclose(vector_parameters(chain_positions(z)), z, atol=1e-12)


def test_jacobian_equals_central_differences():
    z, levels = packaged_shape_model().mean + 0.1, np.array([0, 3, 11, 24])
    J = chain_jacobian(chain_derivatives(z), levels)
    for column in range(len(z)):
        step = np.zeros(len(z))
        step[column] = 1e-6
        numeric = (chain_positions(z + step) - chain_positions(z - step))[levels] / 2e-6
        np.testing.assert_allclose(J[..., column], numeric, atol=1e-9, err_msg=f"parameter {column}")


# --- completion


def test_a_covariance_of_each_point_turns_with_it():
    R = Rotation.from_rotvec([0.4, -1.0, 2.0]).as_matrix()
    C = {level: np.diag([1e-6, 4e-5 * (i + 1), 2e-4]) for i, level in enumerate(FIVE)}
    here = ss.complete_spine(points_of(SPINE, FIVE), C)
    there = ss.complete_spine(points_of(SPINE @ R.T, FIVE), {level: R @ c @ R.T for level, c in C.items()})
    for level in CHAIN_LEVELS:
        np.testing.assert_allclose(there.positions[level], R @ here.positions[level], atol=2e-5)


def test_all_points_known_are_reproduced():
    for posture in ("supine", "any"):
        drawn = samples(8, 2, posture)
        tilt = np.abs(vector_parameters(drawn)[:, 2 * CHAIN_VECTOR_COUNT :]).max(1)
        for x in drawn[tilt < np.radians(80)]:  # the model's angles are singular at 90°
            spine = ss.complete_spine(points_of(x, CHAIN_LEVELS), 1e-10, posture=posture)
            for i, level in enumerate(CHAIN_LEVELS):
                assert np.linalg.norm(spine.positions[level] - x[i]) < 1e-4, (posture, level)
                assert np.sqrt(np.trace(spine.covariance[level])) < 2e-4


def test_order_of_the_points_is_irrelevant():
    points = points_of(SPINE, FIVE)
    a, b = ss.complete_spine(points), ss.complete_spine(dict(reversed(points.items())))
    for level in CHAIN_LEVELS:
        np.testing.assert_array_equal(a.positions[level], b.positions[level])


def test_covariance_is_positive_definite_and_shrinks_with_more_points():
    few, more, all_of = ("T3", "L5"), FIVE, CHAIN_LEVELS
    sizes = []
    for levels in (few, more, all_of):
        spine = ss.complete_spine(points_of(SPINE, levels), 0.005**2)
        for level in CHAIN_LEVELS:
            assert np.linalg.eigvalsh(spine.covariance[level]).min() > 0
        sizes.append([np.trace(spine.covariance[level]) for level in CHAIN_LEVELS])
    assert (np.array(sizes[1]) < sizes[0]).all()
    assert (np.array(sizes[2]) < sizes[1]).all()


@pytest.mark.slow
@pytest.mark.parametrize(("sd", "posture"), [(0.0005, "any"), (0.015, "supine")])
def test_ellipsoids_cover_samples_of_the_model(sd, posture):
    x = samples(150, 3, posture)
    seen = x + np.random.default_rng(4).normal(0, sd, x.shape)
    spine = ss.complete_spine(points_of(seen, FIVE), sd**2, posture=posture)
    trunk = [level for level in CHAIN_LEVELS if level[0] in "TL" and level not in FIVE]
    d = np.stack([spine.positions[level] - x[:, CHAIN_LEVELS.index(level)] for level in trunk])
    q = np.einsum("lfi,lfij,lfj->lf", d, np.linalg.inv([spine.covariance[level] for level in trunk]), d)
    assert 0.85 < (q < chi2.ppf(0.9, 3)).mean() < 0.95


def test_two_points_give_an_axis_and_a_circle_of_doubt():
    a, b = np.array([0.0, 0.45, 0.0]), np.zeros(3)
    spine = ss.complete_spine({"T1": a, "L5": b}, 1e-6)
    for level in ("T4", "T8", "L1"):
        assert np.hypot(*spine.positions[level][[0, 2]]) < 1e-4  # as likely on any side
        C = spine.covariance[level]
        np.testing.assert_allclose(C[0, 0], C[2, 2], rtol=1e-3)
    radius = np.sqrt(2 * spine.covariance["T8"][0, 0])
    typical = np.linalg.norm(np.cross(TYPICAL[14] - TYPICAL[7], _unit(TYPICAL[23] - TYPICAL[7])))
    assert 0.5 * typical < radius < 2 * typical


def _unit(v):
    return v / np.linalg.norm(v)


def test_larger_spine_is_completed_larger():
    def length(scale):
        p = stacked(ss.complete_spine(points_of(scale * SPINE, FIVE)).positions).T
        return np.linalg.norm(np.diff(p, axis=0), axis=1).sum()

    assert length(1.1) / length(1.0) == pytest.approx(1.1, abs=0.025)


def test_movement_leaves_less_certain_and_follows_bending():
    supine, anyhow = (ss.complete_spine(points_of(SPINE, FIVE), posture=p) for p in ("supine", "any"))
    assert all(np.trace(anyhow.covariance[k]) > 0.99 * np.trace(supine.covariance[k]) for k in CHAIN_LEVELS)
    z = packaged_shape_model().mean.copy()  # the lumbar spine bent forward by 50° in all (Pearcy's flexion), evenly
    z[CHAIN_VECTOR_COUNT + 17 : CHAIN_VECTOR_COUNT + 24] += np.radians(50) * np.linspace(0, 1, 7)
    bent = chain_positions(z)

    def miss(posture):
        spine = ss.complete_spine(points_of(bent, ("T3", "T8", "T12", "L3", "S1")), 0.003**2, posture=posture)
        return np.linalg.norm(stacked(spine.positions).T - bent, axis=1)[8:].max()

    assert miss("any") < 0.02


def test_forms_of_the_covariance_agree():
    points = points_of(SPINE, FIVE)
    forms = [4e-6, 4e-6 * np.eye(3), {level: 4e-6 for level in FIVE}, {level: 4e-6 * np.eye(3)[None] for level in FIVE}]
    results = [ss.complete_spine(points, form).positions["T5"] for form in forms]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    default = ss.complete_spine(points).positions["T5"]
    np.testing.assert_array_equal(default, ss.complete_spine(points, 1e-6).positions["T5"])


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        ({"T3": [0, 0, 0], "Q7": [0, 0.1, 0]}, {}, r"unknown vertebral level 'Q7'.*C1, C2.*S1"),
        ({"T3": [0, 0, 0]}, {}, r"1 vertebral centre.*at least 2"),
        ({}, {}, r"0 vertebral centre"),
        ({"T3": [0, 0, 0], "L1": [0, np.nan, 0]}, {}, r"points\['L1'\] is not finite"),
        ({"T3": [0, 0, 0], "L1": [0, np.inf, 0]}, {}, r"not finite"),
        ({"T3": [0, 0, 0], "L1": [0, 200, 0]}, {}, r"200 m.*are they metres"),
        ({"T3": [0, 0, 0], "L1": [0, 0.0002, 0]}, {}, r"0.0002 m.*are they metres"),
        ({"T3": [0, 0.4, 0], "T12": [0, 0.1, 0], "T6": [0, 0, 0]}, {}, r"T3, T6, T12 do not lie along the spine"),
        ({"T3": [0, 0, 0], "L1": [0, 0.2]}, {}, r"shape \(2,\)"),
        ({"T3": [0, 0, 0], "L1": [[0, 0.2, 0]]}, {}, r"shape \(1, 3\)"),
        ({"T3": [0, 0, 0], "L1": "abc"}, {}, r"not made of numbers"),
        ({"T3": [0, 0, 0], "L1": [0, 0.2, 0]}, {"covariance": 0.0}, r"not symmetric positive definite"),
        ({"T3": [0, 0, 0], "L1": [0, 0.2, 0]}, {"covariance": np.diag([1e300, 1e-5, 1e-5])}, r"m², above 0"),
        ({"T3": [0, 0, 0], "L1": [0, 0.2, 0]}, {"covariance": -np.eye(3)}, r"positive definite"),
        ({"T3": [0, 0, 0], "L1": [0, 0.2, 0]}, {"covariance": np.nan}, r"positive definite"),
        ({"T3": [0, 0, 0], "L1": [0, 0.2, 0]}, {"covariance": np.eye(2)}, r"shape \(2, 2\)"),
        ({"T3": [0, 0, 0], "L1": [0, 0.2, 0]}, {"covariance": {"T3": 1e-4}}, r"covariance lacks L1"),
        ({"T3": [0, 0, 0], "L1": [0, 0.2, 0]}, {"covariance": {"X": 1e-4}}, r"unknown vertebral level 'X'"),
        ({"T3": [0, 0, 0], "L1": [0, 0.2, 0]}, {"posture": "sitting"}, r"unknown posture 'sitting'.*supine"),
    ],
)
def test_bad_input_is_named(points, options, message):
    with pytest.raises(InputError, match=message):
        ss.complete_spine(points, **options)


def test_a_covariance_that_was_turned_is_symmetric_but_for_rounding():
    """R (σ² I) Rᵀ is σ² I, with 1e-22 off the diagonal that is not the same on both sides."""
    points = {"T1": [0.0, 0.40, -0.02], "T8": [-0.04, 0.22, 0.0], "L3": [0.02, 0.0, 0.0]}
    R = Rotation.from_rotvec([0.3, 0.2, 0.5]).as_matrix()
    turned = R @ np.diag([1e-6] * 3) @ R.T
    assert turned[0, 1] != turned[1, 0]
    np.testing.assert_allclose(
        ss.complete_spine(points, turned).positions["T12"], ss.complete_spine(points, 1e-6).positions["T12"], atol=1e-9
    )
    with pytest.raises(InputError, match="not symmetric positive definite"):
        ss.complete_spine(points, 1e-6 * np.eye(3) + 1e-10 * np.eye(3, k=1))


# --- statistics


def mean_lengths(model):
    """(24,) m, of log-normal distances between neighbouring centres."""
    return np.exp(model.mean + np.diag(model.covariance) / 2)[:CHAIN_VECTOR_COUNT]


def test_shipped_spacing_agrees_with_published_means():
    lengths = dict(zip(vector_names(), mean_lengths(packaged_shape_model()), strict=True))
    for vector, mm in PUBLISHED.items():
        assert lengths[vector] == pytest.approx(1e-3 * mm, rel=0.04), vector
    assert 0.030 < lengths["L5-S1"] < 0.042


def test_shipped_shape_is_a_spine():
    pitch = np.degrees(packaged_shape_model().mean[CHAIN_VECTOR_COUNT : 2 * CHAIN_VECTOR_COUNT])
    at = dict(zip(vector_names(), pitch, strict=True))
    # published angles between vectors of the same scans: T3-T4 / T11-T12 33 ± 11°, L1-L2 / L4-L5 21 ± 12°
    assert at["T11-T12"] - at["T3-T4"] == pytest.approx(33, abs=6)
    assert at["L1-L2"] - at["L4-L5"] == pytest.approx(21, abs=6)


@pytest.mark.parametrize("posture", list(shape_model.MOVEMENT_SHARES_OF_POSTURE))
def test_prior_is_positive_definite(posture):
    assert np.linalg.eigvalsh(packaged_shape_model().prior(posture)[1]).min() > 1e-7


def test_movement_allowance_is_what_is_stated():
    """Turn of T12 on S1 in flexion: the difference between vectors far below and far above, without levels' own."""
    mean, added = (
        packaged_shape_model().mean,
        shape_model.movement_covariance(shape_model.MOVEMENT_SHARES_OF_POSTURE["any"]),
    )
    lumbar = np.zeros(len(mean))
    lumbar[CHAIN_VECTOR_COUNT + 17], lumbar[CHAIN_VECTOR_COUNT + 23] = 1, -1
    assert 25 < np.degrees(np.sqrt(lumbar @ added @ lumbar)) < 33
    assert np.abs(added[:CHAIN_VECTOR_COUNT]).max() == 0  # bending changes no length


def test_file_round_trip(tmp_path):
    path = tmp_path / "shape.json"
    path.write_text(shape_model_json(packaged_shape_model()), encoding="utf-8")
    again = read_shape_model(path)
    np.testing.assert_array_equal(again.mean, packaged_shape_model().mean)
    np.testing.assert_array_equal(again.covariance, packaged_shape_model().covariance)
    assert again.counts == packaged_shape_model().counts


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "shape.json"
    path.write_text('{"format": "other"}')
    with pytest.raises(InputError, match=r"shape\.json: not a file of spine shape statistics"):
        read_shape_model(path)
    with pytest.raises(InputError, match="no such file"):
        read_shape_model(tmp_path / "absent.json")
    whole = json.loads(shape_model_json(packaged_shape_model()))
    for key in whole:
        path.write_text(json.dumps({name: value for name, value in whole.items() if name != key}))
        with pytest.raises(InputError, match=rf"shape\.json: not a file of spine shape statistics .*{key}"):
            read_shape_model(path)


# --- learning


def test_expectation_maximisation_recovers_mean_and_covariance():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(4, 4))
    true = A @ A.T + np.eye(4)
    rows = rng.multivariate_normal([1, 2, 3, 4], true, 1500)
    hide = rng.random(rows.shape) < 0.3 * (rows[:, :1] > 0)  # missing depends on what is seen: a plain mean is biased
    hide[:, 0] = False
    rows[hide] = np.nan
    start = np.diag(np.nanvar(rows, 0))
    mean, cov = expectation_maximisation(rows, np.nanmean(rows, 0), start, 1.0, fixed_mean=False)
    np.testing.assert_allclose(mean, [1, 2, 3, 4], atol=0.12)
    np.testing.assert_allclose(cov, true, atol=0.08 * np.abs(true).max())


@pytest.mark.parametrize("mark", [0.0003, 0.0015])
def test_angles_of_levels_and_marks_beside_the_curve_are_told_apart(mark):
    rng, lengths, scans = np.random.default_rng(3), np.linspace(0.02, 0.034, 17), 300
    turned = np.cumsum(rng.normal(0, np.radians(3.5), (scans, 17)), 1) + rng.normal(0, 0.3, (scans, 1))
    pitches = turned + np.diff(rng.normal(0, mark, (scans, 18)), axis=1) / lengths
    pitches[::3, :5] = np.nan
    level, found = level_angles_and_marks(pitches, lengths)
    assert np.degrees(level) == pytest.approx(3.5, rel=0.06)
    assert found == pytest.approx(mark, abs=0.0002)


def test_scans_of_one_person_stay_in_one_fold():
    person = ["verse258", "verse405_verse258_CT-sag", "verse405_verse259_CT-sag"]
    scans = ["verse1", *person, "verse2_CT-iso", "verse3_CT-iso"]
    dealt = folds(scans, 3)
    assert sorted(i for fold in dealt for i in fold) == list(range(6))
    assert any({1, 2, 3} <= set(fold) for fold in dealt)
    assert not any({4, 5} <= set(fold) for fold in dealt)


def test_axes_of_the_scanner_are_recognised():
    trunk = samples(5, 7)[:, :CHAIN_VECTOR_COUNT]
    for signs in ((1, 1, 1), (-1, 1, -1), (1, -1, -1)):
        scanner = np.stack([trunk[..., 2] * signs[0], trunk[..., 0] * signs[1], trunk[..., 1] * signs[2]], -1)
        found = in_trunk_frame(scanner)
        np.testing.assert_allclose(found[..., :2], trunk[..., :2])


@pytest.mark.slow
def test_learning_from_a_table_of_samples_finds_them_again(tmp_path):
    x = 1e3 * samples(40, 9)
    lines = ["scan,level,x_mm,y_mm,z_mm"]
    for s, spine in enumerate(x):
        first, last = (0, 15) if s % 4 == 0 else (5, 24) if s % 4 == 1 else (0, 24)
        lines += [
            f"s{s},{CHAIN_LEVELS[k]},{p[2]},{-p[0]},{p[1]}" for k, p in enumerate(spine[:24]) if first <= k < last
        ]
    table = tmp_path / "centroids.csv"
    table.write_text("\n".join(lines) + "\n")
    out = tmp_path / "shape.json"
    main([str(table), str(out)])
    learned = read_shape_model(out)
    np.testing.assert_allclose(mean_lengths(learned), mean_lengths(packaged_shape_model()), rtol=0.06)
    assert learned.counts["L4-L5"] == 30
    sd, true = (np.sqrt(np.diag(m.covariance)) for m in (learned, packaged_shape_model()))
    np.testing.assert_allclose(sd / true, 1.0, atol=0.35)


def test_a_table_that_is_none_is_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"table.csv: not a table with columns scan, level"):
        read_table(path)
    with pytest.raises(InputError, match="at least 3 are needed"):
        learn_shape(samples(2, 1)[:, :CHAIN_VECTOR_COUNT])


def test_the_models_arrays_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        packaged_shape_model().mean[0] = 1
