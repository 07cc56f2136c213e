"""How sure the spine's figures are: standard deviations of curvature, level angles and points from the posterior."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from simspine.body.kernels import all_poses
from simspine.body.model import Body
from simspine.ik.uncertainty import derived_deviation, marker_covariance
from simspine.spine.curvature import lumbar_lordosis, thoracic_kyphosis
from simspine.spine.endplates import Vertebra
from simspine.spine.levels import Level
from simspine.spine.vertebrae import SpineKinematics, level_angles


def spine_deviation(
    body: Body,
    z: np.ndarray,
    blocks: np.ndarray,
    vertebrae: Mapping[str, Vertebra],
    levels: Sequence[Level],
    markers: Sequence[int],
) -> dict[str, np.ndarray]:
    """Deviations {lla, tka: (frames,) rad, angles: (frames, levels, 3) rad, markers: (frames, markers, 3, 3) m²}.

    z: (frames, free) coordinates, blocks: (frames, free, free) their covariance, as `inverse_kinematics` hands to its
    `derive`. markers: indices, in the body, of the spine points whose covariance is wanted. Linear
    propagation of the covariance, with gradients by central differences.
    """
    wanted = {
        plate.body for vertebra in vertebrae.values() for plate in (vertebra.superior, vertebra.inferior) if plate
    }
    wanted |= {name for level in levels for name in (level.parent, level.child) if name}
    columns = {name: body.bodies.index(name) + 1 for name in sorted(wanted)}

    def derived(values: np.ndarray) -> np.ndarray:
        R, p, _ = all_poses(body.tree, values)
        poses = {}
        for name, i in columns.items():
            pose = np.zeros((len(values), 4, 4))
            pose[:, :3, :3], pose[:, :3, 3], pose[:, 3, 3] = R[:, i], p[:, i], 1.0
            poses[name] = pose
        angles = np.stack([level_angles(level, poses, {})[0] for level in levels], 1)
        curvature = [lumbar_lordosis(poses, vertebrae), thoracic_kyphosis(poses, vertebrae)]
        return np.column_stack([*curvature, angles.reshape(len(values), -1)])

    sd = derived_deviation(body.tree, z, blocks, derived)
    return {
        "lla": sd[:, 0],
        "tka": sd[:, 1],
        "angles": sd[:, 2:].reshape(len(sd), len(levels), 3),
        "markers": marker_covariance(body.tree, z, blocks, list(markers)),
    }


def with_deviation(spine: SpineKinematics, deviation: Mapping[str, np.ndarray] | None) -> SpineKinematics:
    """The spine kinematics with what `spine_deviation` found; unchanged for None."""
    if deviation is None:
        return spine
    return replace(
        spine,
        lla_sd=deviation["lla"],
        tka_sd=deviation["tka"],
        angles_sd=deviation["angles"],
        markers=spine.markers.with_(covariance=deviation["markers"]),
    )
