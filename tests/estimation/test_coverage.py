"""Intervals hold the truth as often as they say, where the truth is drawn from the very assumptions of the solver."""

import numpy as np
import pytest
from scipy.linalg import solve_banded

from simspine.anatomy.body import forward_kinematics
from simspine.anatomy.priors import LinearPrior, MarkerErrors, Prior, Smoothness
from simspine.anatomy.tree import all_coordinates
from simspine.core.types import Motion
from simspine.estimation.banded import BandedSystem
from simspine.estimation.inverse_kinematics import inverse_kinematics
from simspine.estimation.path_basis import path_basis
from simspine.estimation.result import Solver
from simspine.estimation.terms import PriorTerm
from simspine.estimation.trajectory_engine import NO_PRIOR_SD_RAD

RATE, NOISE, FRAMES, TRIALS = 60.0, 0.02, 60, 60
SMOOTH = Smoothness(acceleration=20.0)
GROUPS = {
    "pelvis, turned": ("pelvis_tilt", "pelvis_list", "pelvis_rotation"),
    "pelvis, moved": ("pelvis_tx", "pelvis_ty", "pelvis_tz"),
    "lumbar spine": ("L5_S1_Flex_Ext", "L5_S1_Lat_Bending", "L5_S1_axial_rotation"),
    "neck": ("neck_flexion", "neck_bending", "neck_rotation"),
    "hips": tuple(f"hip_{what}_{side}" for what in ("flexion", "adduction", "rotation") for side in "rl"),
    "knees": ("knee_angle_r", "knee_angle_l"),
    "ankles": tuple(f"{what}_{side}" for what in ("ankle_angle", "subtalar_angle") for side in "rl"),
    "toes": ("mtp_angle_r", "mtp_angle_l"),
    "shoulders": tuple(f"arm_{what}_{side}" for what in ("flex", "add", "rot") for side in "rl"),
    "elbows": ("elbow_flex_r", "elbow_flex_l"),
    "forearms": ("pro_sup_r", "pro_sup_l"),
    "what no marker sees": ("wrist_flex_r", "wrist_dev_l"),
}


@pytest.fixture(scope="module")
def drawn(release):
    """Priors about every coordinate, well inside its range, and a function that draws motions from them."""
    tree, c = release.tree, release.coordinates
    names = [c.names[i] for i in tree.free]
    low, high = np.maximum(tree.lower, -0.9), np.minimum(tree.upper, 0.9)
    mean = np.where(c.rotational[tree.free], (low + high) / 2, [0.94 if n == "pelvis_ty" else 0.0 for n in names])
    for name in ("arm_add_r", "arm_add_l"):
        mean[names.index(name)] = -0.5
    for name in ("elbow_flex_r", "elbow_flex_l", "hip_flexion_r", "hip_flexion_l"):
        mean[names.index(name)] = 0.6
    sd = np.minimum(0.1, (tree.upper - tree.lower) / 12)
    sd[[name.startswith("L5_S1") for name in names]] = (
        0.02  # the couplers turn the whole spine by up to eleven times it
    )
    beliefs = [LinearPrior({n: 1.0}, m, s, correlation_time=0.3) for n, m, s in zip(names, mean, sd, strict=True)]
    prior = Prior(beliefs)
    S, means, precision, decay = prior.arrays(names, RATE)
    basis = path_basis(FRAMES, 1)
    system = BandedSystem(basis, len(names))
    gradient = np.zeros((FRAMES, len(names)))
    system.add_forms([basis.acceleration_form], [np.diag(RATE**4 * SMOOTH.precisions(names, c.rotational[tree.free]))])
    # A belief of the solver's own about each angle, wide, is part of its assumptions.
    wide = Prior(
        [LinearPrior({n: 1.0}, c.default[c.index(n)], NO_PRIOR_SD_RAD) for n in names if not n.startswith("pelvis")]
    )
    for term in (
        PriorTerm(S, means, precision, decay),
        PriorTerm(*wide.arrays(names, RATE)),
    ):
        everywhere = np.tile(mean, (FRAMES, 1))
        term.cost(everywhere, gradient)
        term.curve(everywhere, system)
    factor = system.factorise()
    middle = mean - factor.solve(gradient)  # where all assumptions together are most content
    upper = np.zeros_like(factor.lower)
    for d in range(len(upper)):  # Lᵀ in scipy's layout of upper bands
        upper[len(upper) - 1 - d, d:] = factor.lower[d, : factor.lower.shape[1] - d]

    def draw(rng):
        z = solve_banded((0, len(upper) - 1), upper, rng.normal(size=FRAMES * len(names))).reshape(FRAMES, -1)
        return Motion(c.names, RATE, all_coordinates(tree, middle + z)[0], c.rotational)

    return prior, draw


@pytest.mark.slow
def test_intervals_cover_the_truth_in_every_group_of_coordinates(release, fit_names, drawn):
    prior, draw = drawn
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(TRIALS):
        motion = draw(rng)
        markers = forward_kinematics(release, motion).select(fit_names)
        seen = markers.with_(xyz=markers.xyz + rng.normal(0, NOISE, markers.xyz.shape))
        found = inverse_kinematics(
            release, seen, None, SMOOTH, prior, errors=MarkerErrors(sd=NOISE), solver=Solver(tolerance=1e-07)
        ).motion
        inside.append(np.abs(found.values - motion.values) < 1.645 * found.deviation)
    share = np.mean(inside, axis=(0, 1))
    covered = {
        group: float(np.mean([share[release.coordinates.index(name)] for name in names]))
        for group, names in GROUPS.items()
    }
    assert all(0.87 <= value <= 0.93 for value in covered.values()), covered
