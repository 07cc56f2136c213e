"""Angles of the spine that an angle lifter found, as `simspine benchmark angles` reads them."""

from collections.abc import Sequence

import numpy as np

from simspine.body.articulation import carried_vertebrae, spine_levels
from simspine.body.kinematics import body_poses, forward_kinematics
from simspine.body.recipes import build, read_recipe, virtual_spine_markers
from simspine.errors import InputError
from simspine.evaluation.angles import AngleSequence, angle_names, joined
from simspine.learning.angle_body import MARKERS, RECIPE
from simspine.learning.lifters import FittedLifter
from simspine.learning.views import LiftingView
from simspine.spine.endplates import read_endplates
from simspine.spine.vertebrae import spine_kinematics
from simspine.types import Motion


def lifted_angles(lifter: FittedLifter, views: Sequence[LiftingView]) -> dict[str, tuple[AngleSequence, ...]]:
    """{camera: LLA, TKA and the rotations of each level in the scored frames, rad}; NaN where no point was seen.

    Every camera has an opinion of its own on each trial. Raises `InputError` for a lifter of another method.
    """
    if lifter.angles is None:
        raise InputError(f"the method {lifter.options.method} predicts no angles; train the method angles.")
    recipe = read_recipe(RECIPE)
    body = build(recipe, MARKERS)
    rotational = np.array(body.coordinates.rotational)[body.tree.free]
    articulation = recipe.articulation
    assert articulation is not None  # of the articulated recipe
    vertebrae = carried_vertebrae(articulation, read_endplates())
    found: dict[str, list[AngleSequence]] = {}
    for view in views:
        data = lifter.samples([view])
        values = lifter.angles(lifter.encoding.features(data))
        blind = ~np.isfinite(data.seen[:, data.seen.shape[1] // 2]).any((1, 2))
        motion = Motion(body.free_names, 1.0, np.where(blind[:, None], np.nan, values), rotational)
        spine = spine_kinematics(
            body_poses(body, motion),
            forward_kinematics(body, motion),
            vertebrae,
            levels=spine_levels(articulation),
            spine_markers=virtual_spine_markers(body),
        )
        truth = view.truth
        sequence = AngleSequence(
            subject=truth.subject,
            trial=truth.trial,
            frames=truth.frames[view.scored],
            names=angle_names(spine.levels),
            angle=joined(spine.lla, spine.tka, spine.angles),
            action=truth.action,
            rate=truth.rate,
        )
        found.setdefault(truth.camera or "", []).append(sequence)
    return {camera: tuple(own) for camera, own in found.items()}
