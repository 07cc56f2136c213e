"""Measure endplates and centroids on the meshes of the OpenSim model (run once; result:
`opensim_models/endplates.yaml`).

Method, per vertebra: (1) triangles that share an edge and are within `SEED_ANGLE` of one another make facets; (2) the
largest facet in the front half of the bone that faces the head (the feet) is the seed of the superior (inferior)
endplate; (3) it grows over neighbouring triangles within `GROW_ANGLE` of its mean normal, so that a concave endplate
is taken whole; (4) the plane is the least-squares plane of the rim, as a radiologist draws the endplate line from
edge to edge. The centroid of a vertebral body is the middle between its two endplate centres.

Those planes are where the endplates are. How they are turned is not taken from the drawings (`across_the_curve`),
which contradict people at the junction of thorax and lumbar spine: from T12's lower endplate to L4's upper one they
have 28° of lordosis, while their centroids lie on a curve of people who have 16° standing (n = 627, Asian Spine Journal
2019); from T3 to T12 45° of kyphosis, people 36° (Bernhardt & Bridwell 1989, n = 102). Vertebrae of the model's own
curve whose bodies are at right angles to it, wedged as published, have 16° and 37°.

The sacrum is different. Its largest face towards the head is the wings and joint facets beside and behind the first
sacral body; the endplate itself slopes forwards and down between them, and the mesh draws it as a ridge of few
triangles. So S1 is measured on the mid-sagittal profile, as on a lateral radiograph: a line from the promontory to the
rear corner of the body (`find_sacral_endplate`). The model joins its sacrum 10 mm further forward and 17 mm lower than
the mesh was drawn for, which is in the frame of the pelvis like the meshes of the hip bones. There it fits them and L5:
the last disc is 13 mm high instead of 21 mm, and S1 36 mm from L5 instead of 49 mm. So that is where S1 is measured.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import yaml
from scipy.interpolate import make_smoothing_spline
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from simspine.anatomy import osim as _opensim
from simspine.anatomy.curvature import ENDPLATE_SIDES, MESH_LEVELS, Endplate, Vertebra, VertebraeOfBody
from simspine.anatomy.shape_model import CHAIN_VECTOR_COUNT, packaged_shape_model
from simspine.report.bones import read_polygons

SEED_ANGLE = np.radians(12.0)
GROW_ANGLE = np.radians(30.0)
FACING = np.cos(np.radians(50.0))  # how far an endplate may be tilted from horizontal
MIDLINE = 0.001  # m, how far from the mid-plane a point of the profile may be

SMOOTHING = 1e-5  # of the curve, m units: it passes the centroids of T1 to L3 within 1.4 mm, L5 and S1 within 3 mm
# Degrees, higher in front is negative. Mean of 120 women's and 120 men's vertebrae: Masharawi & Salame 2010, table 1.
WEDGE = {"T9": 3.8, "T10": 3.2, "T11": 5.0, "T12": 4.2, "L1": 3.35, "L2": 1.65, "L3": 0.1, "L4": -1.9, "L5": -6.2}

ORDER = tuple(MESH_LEVELS.values())


@dataclass(frozen=True)
class BoneMesh:
    """A mesh on a body. points: (points, 3) m in the body's frame. faces: index arrays of three or more points."""

    level: str
    body: str
    mesh: str
    points: np.ndarray
    faces: tuple[np.ndarray, ...]


def measure_model(model: str | Path, geometry: str | Path) -> VertebraeOfBody:
    """Vertebrae of an OpenSim model. model: `.osim` file. geometry: folder of its `.vtp` meshes."""
    bones = attached_bones(model, geometry)
    origins = _neutral_origins(model)
    shift = origins["pelvis"] - origins["sacrum"]
    drawn = measure(replace(b, points=b.points + shift) if b.level == "S1" else b for b in bones)
    return across_the_curve(drawn, origins)


def _neutral_origins(model: str | Path) -> dict[str, np.ndarray]:
    """{body: (3,) m from the ground's origin to its own, in the neutral pose, in which all axes are the ground's}."""
    osim = _opensim.opensim_api().Model(str(model))
    state = osim.initSystem()
    bodies = osim.getBodySet()
    found = {}
    for k in range(bodies.getSize()):
        place = bodies.get(k).getTransformInGround(state).p()
        found[bodies.get(k).getName()] = np.array([place.get(i) for i in range(3)])
    return found


def across_the_curve(vertebrae: VertebraeOfBody, origins: Mapping[str, np.ndarray]) -> VertebraeOfBody:
    """Endplates of T1 to L5 turned at right angles to the curve of the centroids, half the wedge to either side.

    origins: {body: (3,) m}, of bodies whose axes are the ground's. Wedges are `WEDGE`'s, above it the drawn ones.
    """
    levels = [level for level in vertebrae if level not in ("C1", "C2")]
    places = np.array([vertebrae[level].centroid + origins[vertebrae[level].body] for level in levels])[:, :2]
    along = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(places, axis=0), axis=1))]
    forward, up = (make_smoothing_spline(along, values, lam=SMOOTHING)(along, 1) for values in places.T)
    lean = dict(zip(levels, np.arctan2(-forward, -up), strict=True))
    return {
        level: _turned(vertebra, lean[level]) if level[0] in "TL" else vertebra for level, vertebra in vertebrae.items()
    }


def _turned(vertebra: Vertebra, lean: float) -> Vertebra:
    """lean: rad, of the spine's direction towards the head, forward."""
    superior, inferior = vertebra.superior, vertebra.inferior
    drawn = _lean(superior) - _lean(inferior)
    half = np.radians(WEDGE[vertebra.level]) / 2 if vertebra.level in WEDGE else drawn / 2
    turned = (
        replace(plate, normal=_tuple([np.sin(angle), np.cos(angle), 0.0]))
        for plate, angle in ((superior, lean + half), (inferior, lean - half))
    )
    return replace(vertebra, **dict(zip(ENDPLATE_SIDES, turned, strict=True)))


def _lean(plate: Endplate) -> float:
    return float(np.arctan2(plate.normal[0], plate.normal[1]))


def attached_bones(model: str | Path, geometry: str | Path) -> list[BoneMesh]:
    """The spine's meshes as OpenSim attaches them: scale factors, then the offset of the frame that carries each."""
    opensim = _opensim.opensim_api()
    osim = opensim.Model(str(model))
    osim.initSystem()
    bones = []
    for component in osim.getComponentsList():
        if component.getConcreteClassName() != "Mesh":
            continue
        mesh = opensim.Mesh.safeDownCast(component)
        if mesh.get_mesh_file() not in MESH_LEVELS:
            continue
        frame, scale = mesh.getFrame(), mesh.get_scale_factors()
        offset = frame.findTransformInBaseFrame()
        rotation = np.array([[offset.R().get(i, j) for j in range(3)] for i in range(3)])
        points, faces = read_polygons(Path(geometry) / mesh.get_mesh_file())
        points = (points * [scale[i] for i in range(3)]) @ rotation.T + [offset.p()[i] for i in range(3)]
        name = mesh.get_mesh_file()
        bones.append(BoneMesh(MESH_LEVELS[name], frame.findBaseFrame().getName(), name, points, faces))
    return sorted(bones, key=lambda bone: ORDER.index(bone.level))


def measure(bones: Iterable[BoneMesh]) -> VertebraeOfBody:
    """Endplates and centroids of meshes whose bodies' axes are x forward, y up, z right."""
    bones = list(bones)
    plates = {
        bone.level: {side: find_endplate(bone, side) for side in ENDPLATE_SIDES} for bone in bones if bone.level != "S1"
    }
    plates |= {b.level: {"superior": find_sacral_endplate(b), "inferior": None} for b in bones if b.level == "S1"}
    heights = {
        level: np.linalg.norm(np.subtract(p["superior"].centre, p["inferior"].centre))
        for level, p in plates.items()
        if p["superior"] and p["inferior"]
    }
    found = {}
    for bone in bones:
        superior, inferior = (plates[bone.level][side] for side in ENDPLATE_SIDES)
        if bone.level == "C1":  # a ring without a body
            superior = inferior = None
        if bone.level == "C2":  # what faces the head there is the dens, no endplate
            superior = None
        centroid = _centroid(bone, superior, inferior, heights)
        found[bone.level] = Vertebra(bone.level, bone.body, _tuple(centroid), superior, inferior, bone.mesh)
    if {"C1", "C2", "C3"} <= set(found):
        found["C1"] = replace(found["C1"], centroid=_tuple(_atlas(found["C2"].centroid, found["C3"].centroid)))
    return found


def _atlas(axis: Sequence[float], below: Sequence[float]) -> np.ndarray:
    """C1's centre, a ring without a body: as far from C2's as in CT scans, turned as there against the vector below.

    axis, below: centroids of C2 and C3, m, in one frame, as is the result.
    """
    scans, down = packaged_shape_model(), np.subtract(below, axis)
    pitch = np.arctan2(down[0], -down[1]) + scans.mean[CHAIN_VECTOR_COUNT] - scans.mean[CHAIN_VECTOR_COUNT + 1]
    length = np.exp(scans.mean[0] + scans.covariance[0, 0] / 2)  # of C1-C2: the mean of a log-normal
    return np.array([axis[0] - length * np.sin(pitch), axis[1] + length * np.cos(pitch), 0.0])


def _centroid(
    bone: BoneMesh, superior: Endplate | None, inferior: Endplate | None, heights: dict[str, float]
) -> np.ndarray:
    if superior and inferior:
        return (np.array(superior.centre) + inferior.centre) / 2
    if superior:  # S1: half the height of L5 below its endplate
        return np.array(superior.centre) - np.array(superior.normal) * heights["L5"] / 2
    if inferior:  # C2: half the height of C3 above its lower endplate
        return np.array(inferior.centre) + np.array(inferior.normal) * heights["C3"] / 2
    return bone.points.mean(0)


def find_endplate(bone: BoneMesh, side: str) -> Endplate | None:
    """The endplate of one mesh, or None where no facet in the front half faces that way."""
    normals, areas = _normals(bone)
    centres = np.array([bone.points[face].mean(0) for face in bone.faces])
    pairs = _sharing_an_edge(bone.faces)
    up = normals[:, 1] * (1.0 if side == "superior" else -1.0)
    front = centres[:, 0] > (bone.points[:, 0].min() + bone.points[:, 0].max()) / 2
    candidates = (up > FACING) & front
    if not candidates.any():
        return None
    alike = (normals[pairs[:, 0]] * normals[pairs[:, 1]]).sum(1) > np.cos(SEED_ANGLE)
    facet = _connected(pairs[alike & candidates[pairs].all(1)], len(areas))
    region = facet == np.argmax(np.bincount(facet, np.where(candidates, areas, 0.0)))
    for _ in range(20):
        mean = (areas[region, None] * normals[region]).sum(0)
        allowed = region | (normals @ (mean / np.linalg.norm(mean)) > np.cos(GROW_ANGLE))
        part = _connected(pairs[allowed[pairs].all(1)], len(areas))
        grown = np.isin(part, part[region])
        if (grown == region).all():
            break
        region = grown
    rim = bone.points[_rim([bone.faces[k] for k in np.flatnonzero(region)])]
    centre = (rim.min(0) + rim.max(0)) / 2  # rim points are unevenly spaced, so not their mean
    middle = rim.mean(0)
    normal = np.linalg.svd(rim - middle)[2][2]
    normal = normal * np.sign(normal[1])
    centre = centre - normal * ((centre - middle) @ normal)
    return Endplate(bone.body, _tuple(centre), _tuple(normal))


def find_sacral_endplate(bone: BoneMesh) -> Endplate:
    """The endplate of S1 on a sacrum that is the same to the right and to the left.

    The promontory is the foremost point of the mid-sagittal profile. From there the endplate rises backwards as far as
    the profile does; it ends where the profile falls into the sacral canal.
    """
    steps = {point for edge in _by_edge(bone.faces) for point in _within(bone, edge)}
    if not steps:
        raise ValueError(f"the mesh of {bone.level} has no edges within {MIDLINE} m of the mid-plane.")
    promontory = here = max(steps, key=lambda point: bone.points[point, 0])
    while higher := _higher_neighbours(bone, here):
        here = max(higher, key=lambda point: bone.points[point, 1])
    front, rear = bone.points[promontory], bone.points[here]
    along = (front - rear) * [1, 1, 0]
    normal = np.array([-along[1], along[0], 0]) / np.linalg.norm(along)
    middle, corner = ((front + rear) / 2 * [1, 1, 0], rear * [1, 1, 0])
    return Endplate(bone.body, _tuple(middle), _tuple(normal), _tuple(corner))


def _within(bone: BoneMesh, edge: Iterable[int]) -> tuple[int, ...]:
    """The points of an edge in the mid-plane, none if one of them is beside it."""
    return tuple(edge) if all(abs(bone.points[point, 2]) < MIDLINE for point in edge) else ()


def _higher_neighbours(bone: BoneMesh, here: int) -> list[int]:
    """Points of the profile one edge from `here`, behind it and nearer to the head."""
    found = [point for edge in _by_edge(bone.faces) if here in edge for point in _within(bone, edge)]
    x, y, _ = bone.points[here]
    return [point for point in found if bone.points[point, 0] < x and bone.points[point, 1] > y]


def _normals(bone: BoneMesh) -> tuple[np.ndarray, np.ndarray]:
    """Unit normal and area of each face (a fan of triangles)."""
    vectors = []
    for face in bone.faces:
        v = bone.points[face]
        vectors.append(np.cross(v[1:-1] - v[0], v[2:] - v[0]).sum(0) / 2)
    areas = np.linalg.norm(vectors, axis=1)
    return np.array(vectors) / np.maximum(areas, 1e-15)[:, None], areas


def _by_edge(faces: Sequence[np.ndarray]) -> dict[frozenset[int], list[int]]:
    """{the two points of an edge: numbers of its faces}."""
    found: dict[frozenset[int], list[int]] = {}
    for k, face in enumerate(faces):
        for edge in zip(face, np.roll(face, -1), strict=True):
            found.setdefault(frozenset(map(int, edge)), []).append(k)
    return found


def _sharing_an_edge(faces: Sequence[np.ndarray]) -> np.ndarray:
    """(pairs, 2) numbers of faces."""
    pairs = [pair for sharing in _by_edge(faces).values() for pair in combinations(sharing, 2)]
    return np.array(pairs, int).reshape(-1, 2)


def _connected(pairs: np.ndarray, count: int) -> np.ndarray:
    """(count,) number of the part each face belongs to, parts being held together by the pairs."""
    return connected_components(coo_array((np.ones(len(pairs)), pairs.T), (count, count)), directed=False)[1]


def _rim(faces: Sequence[np.ndarray]) -> list[int]:
    """Points on edges that belong to one face only."""
    return sorted({point for edge, sharing in _by_edge(faces).items() if len(sharing) == 1 for point in edge})


def _tuple(v) -> tuple[float, float, float]:
    return tuple(round(float(x), 6) + 0.0 for x in v)


HEADER = """\
# Centroids and endplates of the vertebrae of Pose2Sim's Model_Pose2Sim_muscles_flex.osim (unscaled), in metres, each
# in the frame of the body that carries it (x forward, y up, z right). Normals point towards the head.
# Measured on the model's own meshes by tools.measure_endplates: the endplate is the largest flat facet at the front of
# the bone that faces up (down), grown over neighbouring triangles within 30 degrees; its plane is the least-squares
# plane of the rim. From T1 to L5 only the centres are the meshes': the normals are those of vertebrae at right angles
# to the curve of the centroids, wedged as published (T9 to L5: Masharawi & Salame 2010; above as drawn). S1: the
# mid-sagittal profile from the promontory to the rear corner at the sacral canal, which is kept too. Centroid: the
# middle between both endplate centres. S1, C2: half the height of L5, C3 from their only endplate. C1, a ring: where CT
# scans have its centre from C2. The sacrum is taken where it fits the hip bones and L5, in the frame of the pelvis; the
# model draws it 10 mm further forward and 17 mm lower.
# Made anew by: python -m tools.measure_endplates MODEL.osim GEOMETRY_FOLDER
"""


def as_yaml(vertebrae: VertebraeOfBody) -> str:
    """The text of `endplates.yaml`."""
    entries = {}
    for level, vertebra in vertebrae.items():
        entries[level] = {"body": vertebra.body, "mesh": vertebra.mesh, "centroid": list(vertebra.centroid)}
        for side in ENDPLATE_SIDES:
            if plate := getattr(vertebra, side):
                entries[level][side] = {"centre": list(plate.centre), "normal": list(plate.normal)}
                if plate.rear is not None:
                    entries[level][side]["rear"] = list(plate.rear)
    return HEADER + yaml.safe_dump({"vertebrae": entries}, sort_keys=False, default_flow_style=None, width=120)


if __name__ == "__main__":
    import sys

    sys.stdout.write(as_yaml(measure_model(sys.argv[1], sys.argv[2])))
