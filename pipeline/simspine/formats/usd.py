"""Write a skeleton in motion as USD text (.usda): a skinned skeleton (UsdSkel) that Blender, Unreal and usdview read.

Format: OpenUSD 1.0 text, schemas SkelRoot, Skeleton, SkelAnimation, Mesh. Y up and metres, a time code for each frame.
Frames that are not known have no sample: programs go straight over them, and `customLayerData` names them.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from simspine.arrays import frame_ranges
from simspine.formats.atomic import write_text
from simspine.formats.skeleton_motion import JointMesh, SkeletonMotion, turned_quaternions


def write_usd(path: str | os.PathLike, motion: SkeletonMotion, name: str, notice: str = "") -> None:
    """Write `motion` to `path` (.usda). name: what the file says it shows. notice: kept as its comment."""
    known = np.flatnonzero(motion.known)
    bind = motion.poses[known[0]]
    lines = [
        *_head(motion, name, notice),
        'def SkelRoot "person" (prepend apiSchemas = ["SkelBindingAPI"])',
        "{",
        *_indented(_skeleton(motion, bind)),
        *_indented(_animation(motion, known)),
    ]
    for material in dict.fromkeys(mesh.material for mesh in motion.meshes):
        lines += _indented(_mesh(material, [m for m in motion.meshes if m.material == material], bind))
    write_text(path, "\n".join([*lines, "}"]) + "\n")


def joint_paths(names: Sequence[str], parents: Sequence[int]) -> list[str]:
    """A joint's name behind those of its parents, as USD has them: 'pelvis/lumbar5/lumbar4'.

    Letters that USD's names cannot have become '_'; of joints whose names are then the same each has a number.
    """
    paths: list[str] = []
    for name, parent in zip(names, parents, strict=True):
        word = re.sub(r"\W", "_", name, flags=re.ASCII)
        word = f"_{word}" if word[:1].isdigit() or not word else word
        stem = f"{paths[parent]}/{word}" if parent >= 0 else word
        number = next(k for k in range(len(names) + 1) if (f"{stem}_{k}" if k else stem) not in paths)
        paths.append(f"{stem}_{number}" if number else stem)
    return paths


def _head(motion: SkeletonMotion, name: str, notice: str) -> list[str]:
    gaps = frame_ranges(np.flatnonzero(~motion.known)) if not motion.known.all() else ""
    return [
        "#usda 1.0",
        "(",
        f"    doc = {_text(f'{name}, by simspine. {notice}'.strip())}",
        '    defaultPrim = "person"',
        '    upAxis = "Y"',
        "    metersPerUnit = 1",
        f"    timeCodesPerSecond = {motion.rate:.9g}",
        f"    framesPerSecond = {motion.rate:.9g}",
        "    startTimeCode = 0",
        f"    endTimeCode = {len(motion.poses) - 1}",
        f"    customLayerData = {{ string gaps = {_text(gaps)} }}",
        ")",
        "",
    ]


def _skeleton(motion: SkeletonMotion, bind: np.ndarray) -> Iterator[str]:
    """bind: (joints, 4, 4) in ground; at rest the skeleton stands so, too."""
    first = np.flatnonzero(motion.known)[0]
    yield 'def Skeleton "skeleton" (prepend apiSchemas = ["SkelBindingAPI"])'
    yield "{"
    yield f"    uniform token[] joints = {_joints(motion)}"
    yield f"    uniform matrix4d[] bindTransforms = [{', '.join(map(_matrix, bind))}]"
    yield f"    uniform matrix4d[] restTransforms = [{', '.join(map(_matrix, motion.local[first]))}]"
    yield "    rel skel:animationSource = </person/motion>"
    yield "}"


def _animation(motion: SkeletonMotion, known: np.ndarray) -> Iterator[str]:
    """Places and rotations in the parent's frame at the frames that are known."""
    local = motion.local[known]
    turns = turned_quaternions(local[..., :3, :3])[..., [3, 0, 1, 2]]  # the real part first
    yield 'def SkelAnimation "motion"'
    yield "{"
    yield f"    uniform token[] joints = {_joints(motion)}"
    yield f"    half3[] scales = [{', '.join(['(1, 1, 1)'] * len(motion.names))}]"
    for track, values, digits in (("float3[] translations", local[..., :3, 3], 6), ("quatf[] rotations", turns, 7)):
        yield f"    {track}.timeSamples = {{"
        for frame, row in zip(known, values, strict=True):
            yield f"        {frame}: [{_tuples(row, digits)}],"
        yield "    }"
    yield "}"


def _mesh(material: str, meshes: Sequence[JointMesh], bind: np.ndarray) -> Iterator[str]:
    """Meshes of one material as one, in ground at the bind pose; each corner goes with its joint."""
    points = np.concatenate([m.points @ bind[m.joint, :3, :3].T + bind[m.joint, :3, 3] for m in meshes])
    starts = np.cumsum([0, *(len(m.points) for m in meshes[:-1])])
    corners = np.concatenate([m.triangles + start for m, start in zip(meshes, starts, strict=True)])
    joints = np.concatenate([np.full(len(m.points), m.joint) for m in meshes])
    yield f'def Mesh "{re.sub(r"[^A-Za-z0-9_]", "_", material)}" (prepend apiSchemas = ["SkelBindingAPI"])'
    yield "{"
    yield "    rel skel:skeleton = </person/skeleton>"
    yield '    uniform token subdivisionScheme = "none"'
    yield "    uniform bool doubleSided = 1"
    yield f"    float3[] extent = [{_tuples(np.stack([points.min(0), points.max(0)]), 6)}]"
    yield f"    point3f[] points = [{_tuples(points, 6)}]"
    yield f"    int[] faceVertexCounts = [{', '.join(['3'] * len(corners))}]"
    yield f"    int[] faceVertexIndices = [{', '.join(map(str, corners.ravel()))}]"
    yield f"    color3f[] primvars:displayColor = [{_tuples(np.array([meshes[0].colour]), 4)}]"
    for kind, values in (("int[] primvars:skel:jointIndices", joints), ("float[] primvars:skel:jointWeights", None)):
        numbers = ", ".join(["1"] * len(points) if values is None else map(str, values))
        yield f'    {kind} = [{numbers}] (elementSize = 1; interpolation = "vertex")'
    yield "}"


def _joints(motion: SkeletonMotion) -> str:
    return "[" + ", ".join(f'"{path}"' for path in joint_paths(motion.names, motion.parents)) + "]"


def _matrix(pose: np.ndarray) -> str:
    """A pose (4, 4) as USD has it: rows are the axes, the place comes last."""
    return f"({_tuples(pose.T, 9)})"


def _tuples(rows: Iterable[np.ndarray], digits: int) -> str:
    return ", ".join("(" + ", ".join(f"{value:.{digits}f}" for value in row) + ")" for row in rows)


def _text(text: str) -> str:
    """A quoted string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "")
    return f'"{escaped}"'


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]
