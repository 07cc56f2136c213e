"""People with skin: a body, the surface on it at the body's sizes and mass, dressed, as a mesh in any pose."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simspine.body.kinematics import neutral_poses
from simspine.body.model import Body
from simspine.capture.rendered.appearance import Appearance, draw_appearance, face_tint, skin_material
from simspine.geometry import frame_rotation
from simspine.rendering.mesh import Material, Mesh, looks
from simspine.surface.asset import RestSurface, rest_surface, skin_asset
from simspine.surface.binding import BoundSkin, bind
from simspine.surface.clothing import Shell, dressed
from simspine.surface.posing import blend, normals, posed_points, segment_maps

DENSITY = 985.0  # kg/m³, of a living body with air in its lungs (from memory)
_BUILD = (-1.25, 2.4)  # units of lighter and heavier between which mass is looked for; beyond 1 extrapolated
_EYE = Material((0.62, 0.6, 0.57), mottle=0.0, gloss=0.5)
_BREATH = 0.006  # m, how far a calm breath moves the front of the chest (ours)


@dataclass(frozen=True, eq=False)
class Worn:
    """The skin and, after it, the points of clothes and hair, innermost first: all that does not change with the pose.

    rest: (n, 3) m. carriers, weights: (n, 8), as of the skin. breathing: (n, 3) m, at a full breath. looks: (n, 7),
    triangles: (t, 3) int32, material: (t,), of what shows, as in `Mesh`; materials are skin, eyes and the garments'.
    whole: (u, 3) int32, all triangles of skin and garments, for normals.
    """

    rest: np.ndarray
    carriers: np.ndarray
    weights: np.ndarray
    breathing: np.ndarray
    looks: np.ndarray
    triangles: np.ndarray
    material: np.ndarray
    whole: np.ndarray


@dataclass(frozen=True, eq=False)
class RenderedPerson:
    """A body with its skin, and what is drawn of both."""

    body: Body
    skin: BoundSkin
    appearance: Appearance
    worn: Worn

    def maps(self, poses: Mapping[str, np.ndarray]) -> np.ndarray:
        """(frames, segments, 3, 4): rest → world (z_up), from the poses of the bodies in ground (y_up)."""
        return frame_rotation("y_up", "z_up") @ segment_maps(self.skin, poses)


def make_person(body: Body, female: bool, mass: float | None, rng: np.random.Generator) -> RenderedPerson:
    """A person of this body, of a build that has this mass (kg), of a shape and look drawn from `rng`."""
    shape = {f"body {i + 1}": float(rng.normal(0, 0.22)) for i in range(10)}
    shape |= {f"face {i + 1}": float(rng.normal(0, 0.5)) for i in range(8)}
    shape["older"] = float(max(rng.normal(0.2, 0.35), 0))
    muscle = rng.normal(0.1, 0.4)
    shape["muscular" if muscle > 0 else "slender"] = float(abs(muscle))
    sex = float(np.clip((1.0 if female else 0.0) + rng.normal(0, 0.08), 0, 1))
    build = 0.0 if mass is None else build_of(body, sex, shape, mass)
    return person_of(body, sex, shape | weight_shape(build), draw_appearance(rng, female))


def person_of(body: Body, female: float, shape: Mapping[str, float], appearance: Appearance) -> RenderedPerson:
    """A person of this body, shape and look."""
    rest = rest_surface(female, shape)
    skin = bind(rest, body)
    shells, bare = dressed(rest, [cut for cut, _ in appearance.garments])
    asset = skin_asset()
    eye_kinds = [asset.kinds.index(name) for name in ("eye_front.R", "eye_front.L")]
    eyes = np.zeros(len(rest.points), bool)
    eyes[asset.triangles[np.isin(asset.kind, eye_kinds)].ravel()] = True
    tint = face_tint(rest.points, rest.landmarks, appearance)
    _paint_eyes(tint, eyes, rest, appearance)
    return RenderedPerson(body, skin, appearance, _worn(rest, shells, bare, eyes, tint))


def _worn(rest: RestSurface, shells: tuple[Shell, ...], bare: np.ndarray, eyes: np.ndarray, tint: np.ndarray) -> Worn:
    """shells: clothes and hair. bare: (t, 3), the skin's triangles that show. eyes: (n,) bool. tint: (n, 3)."""
    asset = skin_asset()
    carried = np.concatenate([np.arange(len(rest.points)), *(shell.carried for shell in shells)])
    starts = np.cumsum([len(rest.points), *(len(shell.points) for shell in shells)])
    placed = np.concatenate([rest.points, *(shell.points for shell in shells)])
    plain = np.ones((len(carried) - len(tint), 3))
    sky = np.concatenate([asset.occlusion, *(shell.occlusion for shell in shells)])
    cloth = [shell.triangles + start for shell, start in zip(shells, starts[:-1], strict=True)]
    number = [np.full(len(part), i + 2) for i, part in enumerate(cloth)]
    return Worn(
        rest=placed, carriers=asset.carriers[carried], weights=asset.weights[carried],
        breathing=_BREATH * _chest(rest)[carried], looks=looks(placed, np.concatenate([tint, plain]), sky),
        triangles=np.concatenate([bare, *cloth]).astype(np.int32),
        material=np.concatenate([eyes[bare].all(1).astype(np.int64), *number]),
        whole=np.concatenate([asset.triangles, *cloth]).astype(np.int32),
    )  # fmt: skip


def weight_shape(build: float) -> dict[str, float]:
    """A build from −1 (lightest) over 0 (average) to 1 (heaviest) as directions of shape."""
    return {"heavier": build} if build > 0 else {"lighter": -build}


def build_of(body: Body, female: float, shape: Mapping[str, float], mass: float) -> float:
    """The build at which the skin's volume weighs `mass` kg; the nearest one there is."""
    poses = {name: pose[None] for name, pose in neutral_poses(body).items()}

    def weight(build: float) -> float:
        skin = bind(rest_surface(female, {**shape, **weight_shape(build)}), body)
        return DENSITY * volume(posed_points(skin, segment_maps(skin, poses)[0]), skin_asset().triangles)

    low, high = _BUILD
    if weight(low) >= mass:
        return low
    if weight(high) <= mass:
        return high
    for _ in range(7):
        middle = (low + high) / 2
        low, high = (middle, high) if weight(middle) < mass else (low, middle)
    return (low + high) / 2


def volume(points: np.ndarray, triangles: np.ndarray) -> float:
    """m³ inside a surface."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    return float(np.einsum("ti,ti->", a, np.cross(b, c)) / 6)


def person_mesh(person: RenderedPerson, maps: np.ndarray, breath: float = 0.0) -> Mesh:
    """The person in the pose of the segments' maps (segments, 3, 4), as from `RenderedPerson.maps`. breath: −1 … 1."""
    worn = person.worn
    points = blend(worn.rest + breath * worn.breathing, worn.carriers, worn.weights, np.ascontiguousarray(maps))
    materials = (skin_material(person.appearance), _EYE, *(material for _, material in person.appearance.garments))
    return Mesh(points, normals(points, worn.whole), worn.looks, worn.triangles, worn.material, materials)


def _paint_eyes(tint: np.ndarray, eyes: np.ndarray, rest: RestSurface, appearance: Appearance) -> None:
    """Iris and pupil: discs about each eye's axis."""
    tint[eyes] = 1.0
    for side in "rl":
        centre = rest.landmarks[f"eye_{side}"]
        off = np.hypot(rest.points[:, 1] - centre[1], rest.points[:, 2] - centre[2])
        tint[eyes & (off < 0.0065)] = np.array(appearance.iris) / _EYE.colour
        tint[eyes & (off < 0.0025)] = 0.02


def _chest(rest: RestSurface) -> np.ndarray:
    """(n, 3): how breathing moves the rest surface, 1 at the front of the ribs, forward and a little up."""
    at, v = rest.landmarks, rest.points
    middle, half = (at["T9"][1] + at["lumbar1"][1]) / 2, at["T3"][1] - at["T9"][1]
    height = np.exp(-(((v[:, 1] - middle) / half) ** 2))
    forward = np.clip((v[:, 0] - at["T9"][0]) / 0.15, 0, 1) * (np.abs(v[:, 2]) < 0.22)
    return (height * forward)[:, None] * np.array([1.0, 0.25, 0.0])
