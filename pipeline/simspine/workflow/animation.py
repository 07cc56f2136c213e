"""A trial for animation programs: glTF and BVH out of results' files."""

from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.formats.bvh import write_bvh
from simspine.formats.gltf import write_gltf
from simspine.formats.skeleton_motion import JointMesh, SkeletonMotion, ordered
from simspine.pipeline.page import NOTICE
from simspine.report.player.scene import Scene
from simspine.workflow.viewing import read_scene

_COLOURS = {"bone": (0.89, 0.86, 0.78), "rib": (0.89, 0.86, 0.78), "vertebra": (0.94, 0.77, 0.42)}
WRITERS = (".glb", ".bvh")


def write_animation(
    result: Path, out: Path, subject: str | None = None, trial: str | None = None, model: Path | None = None
) -> Path:
    """Write a trial as .glb or .bvh, by the ending of `out`; returns its path. model: see `read_scene`.

    Raises `InputError` for another ending, and for a result without poses of a body.
    """
    if out.suffix.lower() not in WRITERS:
        raise InputError(f"{out}: animations are written as .glb (glTF) or .bvh; name the file so.")
    scene = read_scene(result, subject, trial, model)
    motion = motion_of(scene)
    if out.suffix.lower() == ".glb":
        write_gltf(out, motion, scene.name, NOTICE)
    else:
        write_bvh(out, motion)
    return out


def motion_of(scene: Scene) -> SkeletonMotion:
    """The bodies of a scene as joints, with its bones. Raises `InputError` where it has none."""
    if not scene.poses:
        raise InputError(f"{scene.name}: the result holds points and no poses of a body; an animation needs these.")
    names, parents = ordered(tuple(scene.poses), scene.segments)
    meshes = [
        JointMesh(names.index(bone.body), bone.points, bone.triangles, bone.kind, _COLOURS[bone.kind])
        for bone in scene.bones
        if bone.body in names
    ]
    return SkeletonMotion(names, parents, np.stack([scene.poses[n] for n in names], 1), scene.spine.rate, meshes)
