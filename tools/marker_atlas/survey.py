"""The marker atlas, docs/marker-atlas.md: where each keypoint is on the body, and what that means anatomically."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from tools.measure_endplates import BoneMesh, attached_bones

from simspine.anatomy.body import Body, neutral_poses
from simspine.anatomy.curvature import VertebraeOfBody, read_endplates
from simspine.anatomy.marker_sets import Place, read_marker_set
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.anatomy.split_torso import Articulation
from simspine.core.settings import models_folder
from simspine.core.skeletons import INFERRED_SUFFIX


@dataclass(frozen=True)
class Atlas:
    """What the tables and the figure are drawn from, in the neutral pose; points (m) in ground, x forward, y up.

    body: the coupled one with BlazePose's markers. poses: {body: (4, 4)}. spine, others: entries of meanings.yaml.
    """

    body: Body
    plan: Articulation
    poses: Mapping[str, np.ndarray]
    vertebrae: VertebraeOfBody
    bones: Mapping[str, BoneMesh]
    geometry: Path
    release: Mapping[str, Place]
    blazepose: Mapping[str, Place]
    halpe: Mapping[str, Place]
    spine: Mapping[str, Mapping[str, str]]
    others: Mapping[str, Mapping[str, str]]

    def at(self, place: Place) -> np.ndarray:
        """(3,) m in ground."""
        return self.point(place.body, place.offset)

    def point(self, body: str, offset: Sequence[float]) -> np.ndarray:
        """(3,) m in ground of a point of a body, or (points, 3) of several."""
        pose = self.poses[body]
        return np.asarray(offset) @ pose[:3, :3].T + pose[:3, 3]

    def centroid(self, level: str) -> np.ndarray:
        return self.point(self.vertebrae[level].body, self.vertebrae[level].centroid)

    def mesh(self, level: str) -> np.ndarray:
        """(points, 3) of a vertebra's mesh."""
        return self.point(self.bones[level].body, self.bones[level].points)

    def process(self, level: str) -> np.ndarray:
        """Tip of the spinous process: the mesh's rearmost point."""
        mesh = self.mesh(level)
        return mesh[np.argmin(mesh[:, 0])]

    def inferred(self, name: str) -> np.ndarray:
        i = self.body.marker_index(name + INFERRED_SUFFIX)
        return self.point(self.body.marker_bodies[i], self.body.marker_offsets[i])

    def joint(self, child: str) -> np.ndarray:
        """Centre of the joint that carries a body, on its parent."""
        tree = self.body.tree
        j = int(np.flatnonzero(tree.child == self.body.bodies.index(child) + 1)[0])
        return self.point(self.body.bodies[tree.parent[j] - 1], tree.to_joint[j, :, 3])


def survey() -> Atlas:
    """Build the bodies and read the tables."""
    recipe, body = read_recipe("coupled"), build_body("coupled", "blazepose")
    meanings = yaml.safe_load((models_folder() / "meanings.yaml").read_text(encoding="utf-8"))
    geometry = recipe.base.parent / "Geometry"
    sets = {name: read_marker_set(name).places for name in ("simspine-release", "blazepose", "halpe26")}
    return Atlas(
        body=body,
        plan=read_recipe("articulated").articulation,
        poses=neutral_poses(body),
        vertebrae=read_endplates(),
        bones={bone.level: bone for bone in attached_bones(recipe.base, geometry)},
        geometry=geometry,
        release=sets["simspine-release"],
        blazepose=sets["blazepose"],
        halpe=sets["halpe26"],
        spine=meanings["spine"],
        others=meanings["others"],
    )
