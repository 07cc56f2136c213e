"""The articulated body: nothing moves in the neutral pose, each level is free, priors have sources."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from tools.split_models import split_mass

from simspine.anatomy import osim
from simspine.anatomy.body import body_poses, forward_kinematics, neutral_markers, neutral_motion, neutral_poses
from simspine.anatomy.curvature import (
    SPINE_MARKERS,
    lumbar_lordosis,
    read_endplates,
    scale_vertebrae,
    thoracic_kyphosis,
)
from simspine.anatomy.priors import EVERYDAY_MOTION_SHARE, LEVEL_AXIS_COORDINATES, level_priors
from simspine.anatomy.recipes import build_body, read_prior, read_recipe
from simspine.anatomy.scaling import measure_factors, scale_body
from simspine.anatomy.split_torso import WHOLE, carried_vertebrae, spine_levels
from simspine.anatomy.vertebrae import forced_by_model, spine_kinematics, vertebra_centroids
from simspine.core.errors import InputError
from simspine.core.settings import models_folder
from simspine.core.types import Motion

VERTEBRAE = [f"T{i}" for i in range(12, 0, -1)] + [f"C{i}" for i in range(7, 0, -1)]


@pytest.fixture(scope="session")
def articulated():
    return build_body("articulated", "simspine37")


@pytest.fixture(scope="session")
def plan():
    return read_recipe("articulated").articulation


def stacked(body, **values):
    """Poses of one frame, (1, 4, 4) each."""
    return body_poses(body, neutral_motion(body, values))


def test_neutral_pose_is_the_coupled_bodys(articulated, release):
    split, whole = neutral_poses(articulated), neutral_poses(release)
    assert set(whole) - set(split) == {"torso"}
    assert set(split) - set(whole) == {*VERTEBRAE, "clavicle_r", "clavicle_l"}
    for name in set(whole) & set(split):
        np.testing.assert_allclose(split[name], whole[name], atol=1e-9, err_msg=name)
    for name in VERTEBRAE:  # parallel to the torso, origin where the torso has the centroid
        np.testing.assert_allclose(split[name][:3, :3], whole["torso"][:3, :3], atol=1e-9)
        there = whole["torso"] @ [*read_endplates()[name].centroid, 1]
        np.testing.assert_allclose(split[name][:3, 3], there[:3], atol=1e-9)


@pytest.mark.parametrize("skeleton", ["simspine-release", "blazepose", "halpe26", "human36m"])
def test_every_marker_keeps_its_place(skeleton):
    split, whole = build_body("articulated", skeleton), build_body("coupled", skeleton)
    assert split.marker_names == whole.marker_names
    np.testing.assert_allclose(neutral_markers(split), neutral_markers(whole), atol=1e-9)


def test_spine_points_ride_on_their_vertebrae(articulated):
    carriers = dict(zip(articulated.marker_names, articulated.marker_bodies, strict=True))
    wanted = {"Spine_03": "lumbar1", "Spine_04": "T8", "Spine_05": "T3", "Neck": "C7", "Neck_02": "C4", "Neck_03": "C1"}
    wanted |= {"LShoulder": "clavicle_l", "RClavicle": "T4", "LLatissimus": "T6", "Head": "head"}
    assert {name: carriers[name] for name in wanted} == wanted
    assert carriers["Spine_04_virtual"] == carriers["Spine_04_inferred"] == "T8"
    assert "torso" not in carriers.values()


def test_limits_contain_the_neutral_pose(articulated, plan):
    c = articulated.coordinates
    for level in plan.levels:
        for axis in LEVEL_AXIS_COORDINATES:
            i = c.index(f"{level}_{axis}")
            assert c.clamped[i]
            assert c.default[i] == 0
            assert np.radians(-50) < c.lower[i] < 0 < c.upper[i] < np.radians(50)
    for region in plan.regions:
        for motions in region.axes:
            lower, upper, share = np.array(motions.lower), np.array(motions.upper), motions.shares
            assert (
                upper - lower > share * motions.region_half_range
            ).all()  # a level can do its share of the region's motion
            assert (upper - lower).sum() > 2 * motions.region_half_range


def test_levels_turn_about_discs(articulated, plan):
    """The middle of the disc stays where it is on both neighbours when its level moves."""
    rest = stacked(articulated)
    moved = stacked(articulated, T7_T8_Flex_Ext=-0.1, T7_T8_axial_rotation=0.1)
    disc = plan.centre("T7_T8")
    on = {name: np.append(disc - plan.origins[name], 1) for name in ("T7", "T8")}
    np.testing.assert_allclose(moved["T8"], rest["T8"], atol=1e-12)
    np.testing.assert_allclose((moved["T7"] @ on["T7"])[0], (rest["T8"] @ on["T8"])[0], atol=1e-9)
    vertebrae = read_endplates()
    for level in plan.levels:  # strictly between the neighbouring centroids, near the line that joins them
        below, above = plan.pair(level)
        if below in plan.origins and above in plan.origins and level not in plan.centres:
            a, b = (np.array(vertebrae[name].centroid) for name in (below, above))
            along = (plan.centre(level) - a) @ (b - a) / ((b - a) @ (b - a))
            assert 0.4 < along < 0.6
            assert np.linalg.norm(plan.centre(level) - a - along * (b - a)) < 2e-3


def test_kyphosis_moves_now(articulated, release, plan):
    whole, split = read_endplates(), carried_vertebrae(plan, read_endplates())
    before = thoracic_kyphosis(stacked(articulated), split)
    np.testing.assert_allclose(before, thoracic_kyphosis(stacked(release), whole), atol=1e-9)
    assert lumbar_lordosis(stacked(articulated), split) == pytest.approx(
        lumbar_lordosis(stacked(release), whole), abs=1e-9
    )
    flexed = stacked(articulated, T7_T8_Flex_Ext=-0.05, T5_T6_Flex_Ext=-0.05, T1_T2_Flex_Ext=-0.05)
    assert thoracic_kyphosis(flexed, split) - before == pytest.approx(0.10, abs=1e-6)  # T1–T2 is above T3
    assert carried_vertebrae(WHOLE, whole) == whole


def test_vertebrae_follow_through_scaling(articulated, release, plan):
    """Centroids of a scaled body: the same on both, as both scale torso and neck by one factor."""
    factors = measure_factors(articulated, walking(articulated), "articulated")
    assert {name: factors.by_body[name] for name in VERTEBRAE} == dict.fromkeys(VERTEBRAE, factors.by_segment["torso"])
    big = replace(factors, factors=tuple(replace(f, factor=1.1) for f in factors.factors))
    places = []
    for body, recipe, p in ((articulated, "articulated", plan), (release, "coupled", WHOLE)):
        body = scale_body(body, big, recipe=recipe) if p is plan else scale_body(body, _named_torso(big), recipe=recipe)
        by_body = {name: 1.1 for name in body.bodies}
        vertebrae = scale_vertebrae(carried_vertebrae(p, read_endplates()), by_body)
        places.append(vertebra_centroids(stacked(body), vertebrae, 50).xyz)
        np.testing.assert_allclose(body_marker(body, "Head"), body_marker(release, "Head") * 1.1, atol=1e-9)
    np.testing.assert_allclose(*places, atol=1e-9)


def _named_torso(factors):
    """The same factors for the body with one torso."""

    def whole(factor):
        rest = tuple(body for body in factor.bodies if body not in (*VERTEBRAE, "clavicle_r", "clavicle_l"))
        return replace(factor, bodies=("torso", *rest) if factor.segment == "torso" else rest)

    return replace(factors, factors=tuple(map(whole, factors.factors)))


def body_marker(body, name):
    """Neutral place over the hips' middle, which does not depend on where the pelvis stands."""
    places = neutral_markers(body)
    hips = (places[body.marker_index("LHip")] + places[body.marker_index("RHip")]) / 2
    return places[body.marker_index(name)] - hips


def walking(body, frames=8, **values):
    c = body.coordinates
    rows = np.tile(neutral_motion(body, {"arm_add_r": 0.0, "arm_add_l": 0.0} | values).values, (frames, 1))
    rows[:, c.index("pelvis_tx")] = np.arange(frames) * 0.02
    names = [n for n in body.marker_names if not n.endswith(("_virtual", "_inferred"))]
    return forward_kinematics(body, Motion(c.names, 50, rows, c.rotational)).select(names)


def test_scaling_finds_the_size(articulated):
    factors = measure_factors(articulated, walking(articulated), "articulated")
    np.testing.assert_allclose(list(factors.by_segment.values()), 1, atol=1e-6)
    large = replace(factors, factors=tuple(replace(f, factor=1.07) for f in factors.factors))
    bigger = scale_body(articulated, large, recipe="articulated")
    again = measure_factors(articulated, walking(bigger), "articulated")
    np.testing.assert_allclose(list(again.by_segment.values()), 1.07, atol=1e-6)
    with pytest.raises(InputError, match=r"'torso'.*recipe"):
        scale_body(articulated, large)  # as if it were the coupled one


def test_mass_is_kept(articulated, release, plan):
    totals = []
    for body in (articulated, release):
        model = osim.load_opensim_model(body.osim)
        state = model.initSystem()
        inertia = model.getMatterSubsystem().calcSystemCentralInertiaInGround(state)
        centre = model.calcMassCenterPosition(state).to_numpy()
        totals.append([model.getTotalMass(state), *centre, *(inertia.getMoments().get(i) for i in range(3))])
    np.testing.assert_allclose(*totals, atol=1e-6)
    slices = split_mass(plan, [22.53], [0.0162, 0.1802, 0.0], [1.366, 0.7, 1.326, 0, 0, 0])
    for mass, _, inertia in slices.values():
        assert mass > 0.05
        moments = np.sort(inertia[:3])
        assert moments[0] > 0
        assert moments[0] + moments[1] > moments[2]
    assert sum(mass for name, (mass, _, _) in slices.items() if name[0] == "C") == pytest.approx(0.05 * 22.53)


def test_model_spacing_is_within_published_spread(articulated, plan):
    poses = stacked(articulated)
    centroids = vertebra_centroids(poses, carried_vertebrae(plan, read_endplates()), 50)
    place = dict(zip(centroids.names, centroids.xyz[0], strict=True))
    score = {}
    for pair, (mean, sd) in plan.spacing.items():
        a, b = pair.split("-")
        score[pair] = (np.linalg.norm(place[a] - place[b]) - mean) / sd
    assert len(score) == 23
    assert max(abs(v) for v in score.values()) < 1.3, score


def test_prior_names_the_bodys_coordinates(articulated):
    prior = read_prior("articulated")
    assert (
        len(prior.terms) == 2 * 75 + 5 + 2
    )  # the levels, the clavicles and their difference, and the adduction of the hips
    assert all(len(term.source) > 8 for term in prior.terms)
    S, mean, precision, decay = prior.arrays(articulated.coordinates.names, 50.0)
    assert ((decay > 0.9) & (decay < 1)).all()
    assert np.isfinite(precision).all()
    assert (precision > 0).all()
    # people's standing spine: flexion from L5–S1 to L1–L2 and the lumbar rhythm; turn of 8 levels, and two rhythms
    assert (mean != 0).sum() == 5 + 6 + 8 + (6 + 11)
    hips = [articulated.coordinates.index(f"hip_flexion_{side}") for side in "rl"]
    used = np.abs(S).sum(0) > 0
    assert used[hips].all()
    used[hips] = False  # held by nothing here
    assert used.sum() == 75 + 4 + 2
    H = S.T @ np.diag(precision) @ S
    assert np.linalg.eigvalsh(H[np.ix_(used, used)]).min() > 1  # rad⁻²: every level is held, by at least 1 rad
    assert len(read_prior("coupled").terms) == 6


def test_rhythm_is_free_and_its_sum_has_the_published_width(plan):
    """Moving a region in the published shares costs only posture: one sd where its motion says so, or its part of it.

    People's curves differ level by level, each as it is said to; the sacrum's endplate is left out.
    """
    level_terms = level_priors(plan.regions)
    for region in plan.regions:
        for axis, motions in zip(LEVEL_AXIS_COORDINATES, region.axes, strict=True):
            names = [f"{level}_{axis}" for level in region.levels]
            q = dict(zip(names, motions.shares * EVERYDAY_MOTION_SHARE * motions.region_half_range, strict=True))
            cost = {"rhythm": 0.0, "posture": 0.0}
            for term in level_terms:
                if set(term.combination) <= set(names):
                    kind = "rhythm" if "rhythm" in term.source else "posture"
                    cost[kind] += sum(k * q[n] for n, k in term.combination.items()) ** 2 / term.motion**2
                    if kind == "rhythm":
                        spread = np.array([term.combination[n] for n in names]) * motions.standing_angle_sd
                        assert term.curve == pytest.approx(np.linalg.norm(spread))
                    else:
                        (name,) = term.combination
                        assert term.curve == motions.standing_angle_sd[names.index(name)]
            assert cost["rhythm"] == pytest.approx(0, abs=1e-20)
            assert cost["posture"] == pytest.approx(len(names) / motions.together)
    for k in (1, 2):  # lumbar and thoracic levels bend to one side, and turn, as one region
        assert sum(len(region.levels) / region.axes[k].together for region in plan.regions[:2]) == 1


def test_prior_keeps_the_coupled_rhythm_plausible(plan):
    """An independent look: the shares the coupled body forces lie within 2.5 sd of ours at full flexion."""
    lumbar = plan.regions[0].axes[0]
    coupled = np.array([1, 1.8571, 1.6429, 1.1429, 0.9286, 0.5714]) / 7.1429
    sd = np.hypot(lumbar.level_share_sd * lumbar.shares * lumbar.region_half_range, lumbar.standing_angle_sd)
    assert (np.abs(coupled - lumbar.shares) * lumbar.region_half_range < 2.5 * sd).all()


def test_levels_serve_spine_kinematics(articulated, plan):
    levels = spine_levels(plan)
    names = [level.name for level in levels]
    assert names[:7] == ["L5-S1", "L4-L5", "L3-L4", "L2-L3", "L1-L2", "T12-L1", "T11-T12"]
    assert names[23:25] == ["C1-C2", "skull-C1"]
    values = {"T11_T12_Flex_Ext": -0.1, "C1_skull_Lat_Bending": 0.05, "C1_C2_axial_rotation": 0.3}
    motion = neutral_motion(articulated, values)
    virtual = {name: f"{name}_virtual" for name in SPINE_MARKERS}
    spine = spine_kinematics(
        body_poses(articulated, motion),
        forward_kinematics(articulated, motion),
        carried_vertebrae(plan, read_endplates()),
        levels=levels,
        spine_markers=virtual,
    )
    wanted = np.zeros((25, 3))
    wanted[6, 0], wanted[24, 1], wanted[23, 2] = 0.1, 0.05, 0.3
    np.testing.assert_allclose(spine.angles[0, :25], wanted, atol=1e-8)
    np.testing.assert_allclose(spine.level("thorax-pelvis")[0], [0.1, 0, 0], atol=1e-8)
    np.testing.assert_allclose(spine.level("thoracic")[0], [0.1, 0, 0], atol=1e-8)
    np.testing.assert_allclose(spine.level("lumbar")[0], 0, atol=1e-8)


def test_nothing_is_forced(articulated, plan):
    """Every level has freedom of its own, and so have both curvatures."""
    plates = carried_vertebrae(plan, read_endplates())
    forced = forced_by_model(articulated.couplers, plates, levels=spine_levels(plan))
    assert {"lla", "tka", "T7-T8", "skull-C1"} <= set(forced)
    assert not any(forced.values())


def test_what_a_recipe_may_not_say_of_vertebrae(plan, tmp_path):
    with pytest.raises(InputError, match="part of the split body 'sternum'"):
        replace(plan, rest="sternum")
    with pytest.raises(InputError, match="no disc"):
        replace(plan, centres={}).centre("C1_C2")
    data = yaml.safe_load((models_folder() / "articulated.yaml").read_text())
    data["regions"]["lumbar"]["Flex_Ext"]["mean"] = [1, 2]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(InputError, match="lumbar: Flex_Ext has lists of other lengths than its 6 levels"):
        read_recipe(str(tmp_path / "mine.yaml"))
    data["articulation"]["neck_mass_share"] = 0.05
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(InputError, match="unknown key 'neck_mass_share' in articulation"):
        read_recipe(str(tmp_path / "mine.yaml"))
