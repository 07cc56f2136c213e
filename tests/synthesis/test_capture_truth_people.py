"""Whom the virtual capture draws: equal seeds give equal people, and many people have the published distributions."""

import json
from dataclasses import fields
from functools import partial

import numpy as np
import pytest

from simspine.anatomy.alignment import pelvic_incidence
from simspine.anatomy.body import body_poses
from simspine.synthesis.population import (
    make_subject,
    read_levels,
    read_population,
    sample_spine,
    subject_name,
    truncated_normal,
)
from simspine.synthesis.signals import random_stream
from simspine.synthesis.virtual_trial import make_trial

# n = 51, 2.4 % and 9.9 %: standard errors of the published mean and sd of the arc from T1 to L5
ARC_T1_L5_MM = (430.7, 30.4)


def same(a, b) -> bool:
    pairs = ([getattr(x, f.name) for x in (a, b)] for f in fields(a))
    return all(v is w if v is None else np.array_equal(v, w, equal_nan=True) for v, w in pairs)


def test_the_same_seed_gives_the_same_person():
    a, b, other = make_subject(5, 2), make_subject(5, 2), make_subject(6, 2)
    assert (a.name, a.sex, a.stature, a.mass, a.proportions) == (b.name, b.sex, b.stature, b.mass, b.proportions)
    assert same(a.spine, b.spine)
    assert a.stature != other.stature
    assert not np.allclose(a.spine.shares, other.spine.shares)


def test_a_quantity_does_not_depend_on_what_is_drawn_before_it():
    draw = partial(random_stream, 5, "subject", "2")
    person = make_subject(5, 2)
    spine, table = person.spine, read_population()["lordosis"]
    own = np.sqrt(table["sd"] ** 2 - (0.62 * np.hypot(6.9, np.degrees(0.015 / 0.117))) ** 2)  # at one incidence
    drawn = np.radians(truncated_normal(draw("lordosis"), table["mean"], own))
    assert spine.lordosis == pytest.approx(drawn + 0.62 * (person.hips[0] / 0.117 - spine.sacral_tilt))
    assert spine.kyphosis == np.radians(truncated_normal(draw("kyphosis"), *read_population()["kyphosis"]["male"]))
    # one person's spine at another stature: only lengths change, all alike
    taller, shorter = (sample_spine(draw, "male", stature) for stature in (1.9, 1.6))
    known = np.isfinite(taller.spacing)
    np.testing.assert_allclose(taller.spacing[known] / shorter.spacing[known], 1.9 / 1.6)
    np.testing.assert_array_equal(taller.shares, shorter.shares)


def test_names_are_the_data_sets_and_go_on():
    assert [subject_name(i) for i in range(9)] == ["S1", "S5", "S6", "S7", "S8", "S9", "S11", "S12", "S13"]


@pytest.mark.parametrize("sex", ["female", "male"])
def test_stature_and_mass_are_the_populations(people, sex):
    table = read_population()
    chosen = [p for p in people if p.sex == sex]
    mean, sd = table["stature_m"][sex]
    statures = np.array([p.stature for p in chosen])
    assert len(chosen) > 0.4 * len(people)
    assert statures.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(len(chosen)))
    assert statures.std() == pytest.approx(sd, rel=0.15)
    index = np.array([p.mass / p.stature**2 for p in chosen])
    assert index.min() >= 17
    assert index.max() <= 29


def test_lordosis_and_the_sacrum_go_with_the_pelvic_incidence(people):
    """As in n = 324 (Sci Rep 2022): 15.4° of lordosis in 25.0°; the tilt of the endplate is 0.69 of it (Ru 2023)."""
    tilt = -np.array([p.spine.sacral_tilt for p in people])
    incidence = tilt + np.array([p.hips[0] for p in people]) / read_population()["pelvic_radius_m"]
    assert np.degrees(incidence.std()) == pytest.approx(10.1, rel=0.15)
    slope = np.polyfit(incidence, [p.spine.lordosis for p in people], 1)[0]
    assert slope == pytest.approx(0.62, abs=3 * 9.3 / 10.1 / np.sqrt(len(people)))
    assert np.corrcoef(tilt, incidence)[0, 1] == pytest.approx(0.69, abs=3 * (1 - 0.69**2) / np.sqrt(len(people)))


def test_an_endplate_tilted_back_makes_the_true_incidence_smaller(people):
    """That of the vertebrae and hips of a body that was made, against what was drawn."""
    found, drawn = [], []
    for person in people[:4]:
        made = make_trial(person, "Waiting", 1, 20)
        poses = body_poses(made.body, made.motion)
        found.append(np.degrees(pelvic_incidence(poses, made.truth.vertebrae)[0]))
        drawn.append(54.5 + np.degrees(person.hips[0] / 0.117 - person.spine.sacral_tilt))
    np.testing.assert_allclose(found, drawn, atol=3)


def test_curves_are_the_published_ones(people):
    table = read_population()
    lordosis = np.degrees([p.spine.lordosis for p in people])
    assert lordosis.mean() == pytest.approx(49.8, abs=4 * 11.2 / np.sqrt(len(people)))  # Asian Spine J 2019, n = 627
    assert lordosis.std() == pytest.approx(11.2, rel=0.15)
    for sex in ("female", "male"):
        mean, sd = table["kyphosis"][sex]
        kyphosis = np.degrees([p.spine.kyphosis for p in people if p.sex == sex])
        assert kyphosis.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(len(kyphosis)))
        assert kyphosis.std() == pytest.approx(sd, rel=0.15)


def test_spacings_have_the_published_means_and_spreads(people):
    levels = read_levels()
    spacing = np.array([p.spine.spacing for p in people])
    known = np.isfinite(levels.spacing)
    assert known.sum() == 22  # C2–C3 to L4–L5
    np.testing.assert_allclose(spacing.mean(0)[known], levels.spacing[known], rtol=0.02)
    np.testing.assert_allclose(spacing.std(0)[known], levels.spacing_sd[known], rtol=0.25)
    names = list(levels.names)
    arc = 1e3 * spacing[:, names.index("L4_L5") : names.index("T1_T2") + 1].sum(1)
    # the levels' means and the arc's are of different scans (39–123 per level, 51 with the whole arc)
    assert arc.mean() == pytest.approx(ARC_T1_L5_MM[0], rel=0.03)
    assert arc.std() == pytest.approx(ARC_T1_L5_MM[1], rel=0.15)


def test_shares_vary_about_the_published_proportions_and_sum_to_one(people):
    levels = read_levels()
    shares = np.array([p.spine.shares for p in people])
    for i in levels.regions.values():
        np.testing.assert_allclose(shares[:, i].sum(1), 1.0)
        published = levels.motion[i] / levels.motion[i].sum(0)
        np.testing.assert_allclose(shares[:, i].mean(0), published, rtol=0.08)
        assert (shares[:, i] > 0).all()
    lumbar = shares[:, levels.regions["lumbar"], 0]
    spread = lumbar.std(0) / lumbar.mean(0)
    assert spread.min() > 0.12
    assert spread.max() < 0.35


def test_truth_is_not_drawn_from_the_estimators_prior():
    """Another mean share at most levels, so that the articulated body's prior is not the ground truth."""
    from simspine.anatomy.recipes import read_recipe

    levels, different = read_levels(), 0
    for region in read_recipe("articulated").articulation.regions:
        i = [levels.names.index(level) for level in region.levels]
        for axis, motions in enumerate(region.axes):
            ours = levels.motion[i, axis] / levels.motion[i, axis].sum()
            different += int((np.abs(ours - motions.shares) > 0.02 * ours).sum())
    assert different > 50  # of 75


def test_tables_are_complete():
    levels, table = read_levels(), read_population()
    assert len(levels.names) == 25
    assert len(set(levels.names)) == 25
    assert (levels.motion > 0).all()
    assert (levels.motion_cv > 0).all()
    for figures in ("forward_per_flexion", "down_per_flexion", "right_per_bending", "rotation_per_bending"):
        assert set(table[figures]) == set(levels.regions)
    json.dumps(table)  # plain data
