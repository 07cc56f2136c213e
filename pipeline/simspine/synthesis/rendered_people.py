"""People with skin, hair and clothes that fit a body's sizes and mass, as a mesh in any pose."""

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array

from simspine.anatomy.body import Body, neutral_poses
from simspine.anatomy.skin import (
    SKIN_SEGMENTS,
    SPINE_SEGMENTS,
    BoundSkin,
    RestSurface,
    bind_skin,
    blend_points,
    posed_points,
    rest_surface,
    segment_maps,
    skin_asset,
    surface_normals,
)
from simspine.core.geometry import frame_rotation
from simspine.synthesis.raster import Material, Mesh, Pattern, surface_looks

# Clothes are shells over the skin that end in hems and move with the skin below.
# A garment covers the skin where its field (about the distance to its hem, m) is positive. Skin points just outside the
# hem slide to it, so that the hem is straight.


_FIELD_LIMIT_M = 1.0  # m; field of points far inside or far outside a garment
_SHOE_SMOOTHING_SHARE = 0.25  # share of the smoothing below the skin that is undone in shoes
_GARMENT_GAP_M = 0.004  # m between a garment and the one worn under it
_HIDDEN_UNDER_HEM_M = 0.02  # m; skin is not drawn where it is farther inside the hem


@dataclass(frozen=True)
class GarmentCut:
    """A garment's cut. kind: 'top', 'bottom', 'shoes' or 'hair'. end: where it ends, see `garment_field`. thickness: m
    from the skin. smooth: rounds of smoothing, which hide the body's details.
    """

    kind: str
    end: float
    thickness: float
    smooth: int = 12


@dataclass(frozen=True, eq=False)
class Garment:
    """A garment's shell. points: (m, 3) m at rest. carried: (m,) indices of the skin points that move them. triangles:
    (t, 3). occlusion: (m,), visible share of the sky.
    """

    points: np.ndarray
    carried: np.ndarray
    triangles: np.ndarray
    occlusion: np.ndarray


def garment_shell(
    rest: RestSurface, cut: GarmentCut, outward: np.ndarray, below: np.ndarray
) -> tuple[Garment, np.ndarray, np.ndarray]:
    """A garment; (n,) bool, whether the skin is under it; (n,) m, height above the skin of it and the garments below.

    outward: (n, 3) normals of the skin. below: (n,) m, height above the skin of the garments worn under it.
    """
    asset = skin_asset()
    value = garment_field(rest, cut)
    inside = value > 0
    kept = asset.triangles[inside[asset.triangles].any(1)]
    smooth = smooth_points(rest.points, asset.triangles, inside, cut.smooth)
    rise = ((smooth - rest.points) * outward).sum(1)
    # Smoothing must not move cloth below the skin, except in shoes, in which the skin is not drawn.
    held = _SHOE_SMOOTHING_SHARE if cut.kind == "shoes" else 1.0
    height = np.maximum(
        rise + cut.thickness + held * np.maximum(-rise, 0.0), np.where(below > 0, below + _GARMENT_GAP_M, 0.0)
    )
    placed = cut_to_hem(smooth + (height - rise)[:, None] * outward, value, asset.triangles)
    used, triangles = np.unique(kept, return_inverse=True)
    made = Garment(placed[used], used, triangles.reshape(-1, 3), 0.4 + 0.6 * asset.occlusion[used])
    on = np.zeros(len(value), bool)
    on[used] = True
    return made, value > _HIDDEN_UNDER_HEM_M, np.where(on, np.maximum(height, below), below)


def garment_field(rest: RestSurface, cut: GarmentCut) -> np.ndarray:
    """(n,) m: how far inside the garment a point of the skin is; negative outside.

    end of a top: length of the sleeves (0: none, 1: to the elbow, 2: to the wrist); of a bottom: length of the legs (1:
    to the knee, 2: to the ankle); of shoes: m above the ankle; of hair: m below the ears at the back.
    """
    v, at = rest.points, rest.landmarks
    share = _limb_shares()
    arm = share["arm"] > 0.5
    hips = (at["hip_r"] + at["hip_l"]) / 2
    if cut.kind == "top":
        hem = v[:, 1] - (hips[1] + 0.02)
        collar = (at["C7"] + [0.0, 0.035, 0.0] - v) @ np.array([0.42, 0.91, 0.0])
        return np.where(arm, _limb_field(v, at, ("shoulder", "elbow", "wrist"), cut.end), np.minimum(hem, collar))
    if cut.kind == "bottom":
        waist = at["lumbar4"][1] + 0.01 - v[:, 1]
        low = np.interp(cut.end, [0, 1, 2], [at[f"{joint}_r"][1] for joint in ("hip", "knee", "ankle")])
        return np.where(arm, -_FIELD_LIMIT_M, np.minimum(waist, v[:, 1] - low))
    if cut.kind == "shoes":
        return np.where(share["foot"] > 0.1, at["ankle_r"][1] + cut.end - v[:, 1], -_FIELD_LIMIT_M)
    return np.where(share["head"] > 0.5, _hair_field(v, at, cut.end), -_FIELD_LIMIT_M)


def _hair_field(v: np.ndarray, at, end: float) -> np.ndarray:
    """Field of hair: behind a plane from forehead to temples, above the nape, outside the ears."""
    eye, ear, vertex = (at["eye_r"] + at["eye_l"]) / 2, (at["ear_r"] + at["ear_l"]) / 2, at["vertex"]
    forehead = np.array([eye[0], 0.45 * eye[1] + 0.55 * vertex[1], 0.0])
    temple = np.array([0.4 * ear[0] + 0.6 * eye[0] - 0.025, eye[1], 0.0])
    along = (forehead - temple) * [1, 1, 0]
    along = along / np.linalg.norm(along)
    back = np.array([-along[1], along[0], 0.0])
    line = (v - forehead) @ (back if back[0] < 0 else -back)
    nape = v[:, 1] - (ear[1] - end)
    ears = np.hypot(v[:, 0] - ear[0] - 0.004, v[:, 1] - ear[1] + 0.004) - 0.036
    ears = np.where(np.abs(v[:, 2]) > 0.055, ears, _FIELD_LIMIT_M)
    return np.minimum(np.minimum(line, nape), ears)


def _limb_field(v: np.ndarray, at, joints: tuple[str, str, str], end: float) -> np.ndarray:
    """(n,) m along the limb of a point's side to the end of the sleeve or leg."""
    out = np.full(len(v), -_FIELD_LIMIT_M)
    for side, sign in (("r", 1.0), ("l", -1.0)):
        a, b, c = (at[f"{name}_{side}"] for name in joints)
        upper, lower = np.linalg.norm(b - a), np.linalg.norm(c - b)
        along = np.minimum((v - a) @ (b - a) / upper, upper)
        along = along + np.maximum((v - b) @ (c - b) / lower, 0.0)
        length = min(end, 1.0) * upper + max(end - 1.0, 0.0) * lower
        own = sign * v[:, 2] > 0
        out[own] = (length - along)[own]
    return out


def _limb_shares() -> dict[str, np.ndarray]:
    """{part: (n,) 0…1}: share of a point's skin weights on arms, feet and head."""
    asset = skin_asset()
    parts = {"arm": ("humerus", "ulna", "radius", "hand"), "foot": ("calcn", "toes"), "head": SPINE_SEGMENTS[-1:]}
    shares = {}
    for name, stems in parts.items():
        in_part = np.array([segment.startswith(stems) for segment in SKIN_SEGMENTS])
        shares[name] = (asset.weights * in_part[asset.carriers]).sum(1)
    return shares


def smooth_points(points: np.ndarray, triangles: np.ndarray, inside: np.ndarray, rounds: int) -> np.ndarray:
    """Points (n, 3), of which those inside moved towards the mean of their neighbours, `rounds` times."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    ways = np.concatenate([edges, edges[:, ::-1]]).T
    neighbours = coo_array((np.ones(ways.shape[1]), ways), shape=(len(points),) * 2).tocsr()
    count = np.maximum(neighbours.sum(1), 1)[:, None]
    out = points.copy()
    for _ in range(rounds):
        out = np.where(inside[:, None], 0.5 * out + 0.5 * (neighbours @ out) / count, out)
    return out


def cut_to_hem(points: np.ndarray, value: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Points (n, 3), of which those outside with neighbours inside moved to the zero of the field between them."""
    edges = np.concatenate([triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0], [1, 0], [2, 1], [0, 2])])
    crossing = (value[edges[:, 0]] <= 0) & (value[edges[:, 1]] > 0)
    out, into = edges[crossing].T
    share = np.clip(-value[out] / (value[into] - value[out]), 0, 1)[:, None]
    target = points[out] + share * (points[into] - points[out])
    total, count = np.zeros_like(points), np.zeros(len(points))
    np.add.at(total, out, target)
    np.add.at(count, out, 1.0)
    return np.where(count[:, None] > 0, total / np.maximum(count, 1.0)[:, None], points)


def dress_skin(rest: RestSurface, cuts: Sequence[GarmentCut]) -> tuple[tuple[Garment, ...], np.ndarray]:
    """Garments (innermost first) and triangles (t, 3) of the skin, without triangles that an outer garment hides."""
    asset = skin_asset()
    outward = surface_normals(rest.points, asset.triangles)
    made, height = [], np.zeros(len(rest.points))
    for cut in cuts:
        garment, under, height = garment_shell(rest, cut, outward, height)
        made.append((garment, under))
    hidden = np.zeros(len(rest.points), bool)
    shown: list[Garment] = []
    for garment, under in reversed(made):
        covered = hidden[garment.carried][garment.triangles].all(1)
        shown.insert(0, replace(garment, triangles=garment.triangles[~covered]))
        hidden = hidden | under
    return tuple(shown), asset.triangles[~hidden[asset.triangles].all(1)]


# Appearance of a rendered person: skin, hair and clothes, all random; no real person.


# sRGB, from light to dark; tones between two neighbours are drawn.
SKIN_TONES = ((244, 214, 194), (231, 188, 158), (208, 158, 120), (172, 118, 82), (122, 78, 54), (74, 47, 36))
HAIR_COLOURS = ((18, 15, 14), (42, 28, 20), (78, 52, 32), (130, 96, 56), (176, 146, 100), (122, 118, 116), (96, 44, 24))
IRIS_COLOURS = ((58, 40, 28), (74, 96, 112), (84, 92, 62))


@dataclass(frozen=True)
class Appearance:
    """Appearance. skin, hair, iris: linear RGB. garments: cuts with materials, innermost first; hair is one of them."""

    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    garments: tuple[tuple[GarmentCut, Material], ...]


def linear_rgb(srgb: tuple[float, float, float] | np.ndarray) -> tuple[float, float, float]:
    """Linear RGB 0…1 of sRGB 0…255."""
    r, g, b = linear_light(np.asarray(srgb, float) / 255).tolist()
    return r, g, b


def linear_light(srgb: np.ndarray) -> np.ndarray:
    """Linear values 0…1 of sRGB 0…1."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def draw_appearance(rng: np.random.Generator, female: bool) -> Appearance:
    """Draw an appearance: a top, a bottom, mostly shoes and mostly hair."""
    place = rng.uniform(0, len(SKIN_TONES) - 1.001)
    low, share = int(place), place % 1
    tone = (1 - share) * np.array(SKIN_TONES[low]) + share * np.array(SKIN_TONES[low + 1])
    hair = linear_rgb(np.clip(np.array(HAIR_COLOURS[rng.integers(len(HAIR_COLOURS))]) * rng.uniform(0.8, 1.2), 0, 255))
    # shorts, to the calf, or to the ankle; no sleeves, short or long ones
    legs = rng.choice([rng.uniform(0.35, 0.8), rng.uniform(1.4, 1.7), rng.uniform(1.9, 2.0)], p=[0.4, 0.15, 0.45])
    trousers = GarmentCut("bottom", float(legs), float(rng.uniform(0.008, 0.016)), int(rng.integers(20, 45)))
    garments = [(trousers, _draw_cloth(rng, dark=True))]
    sleeves = rng.choice([0.05, rng.uniform(0.35, 0.75), rng.uniform(1.6, 1.95)], p=[0.25, 0.45, 0.3])
    shirt = GarmentCut("top", float(sleeves), float(rng.uniform(0.009, 0.017)), int(rng.integers(18, 40)))
    garments.append((shirt, _draw_cloth(rng)))
    if rng.random() < 0.8:
        garments.append((GarmentCut("shoes", float(rng.uniform(-0.01, 0.05)), 0.010, 90), _draw_shoe(rng)))
    if female or rng.random() < 0.88:
        long = rng.uniform(0.06, 0.11) if female and rng.random() < 0.6 else rng.uniform(0.02, 0.055)
        thick = rng.uniform(0.014, 0.024) if female else rng.uniform(0.005, 0.016)
        cap = Material(hair, mottle=0.35, fold=0.6, fold_size=0.012, gloss=0.12)
        garments.append((GarmentCut("hair", float(long), float(thick), 2), cap))
    return Appearance(
        linear_rgb(tone), hair, linear_rgb(IRIS_COLOURS[rng.integers(len(IRIS_COLOURS))]), tuple(garments)
    )


def recolour_clothes(appearance: Appearance, rng: np.random.Generator) -> Appearance:
    """The appearance with new colours and patterns of the clothes."""
    cloth = {"top": False, "bottom": True}
    garments = []
    for cut, material in appearance.garments:
        if cut.kind in cloth:
            material = _draw_cloth(rng, dark=cloth[cut.kind])
        elif cut.kind == "shoes":
            material = _draw_shoe(rng)
        garments.append((cut, material))
    return replace(appearance, garments=tuple(garments))


def _draw_cloth(rng: np.random.Generator, dark: bool = False) -> Material:
    pattern = Pattern(rng.choice([int(p) for p in Pattern], p=[0.66, 0.1, 0.08, 0.08, 0.08]))
    colour = _draw_colour(rng, 0.6 if dark else 1.0)
    return Material(
        colour, _draw_colour(rng), pattern, size=float(rng.uniform(0.04, 0.14)), mottle=float(rng.uniform(0.02, 0.12)),
        fold=float(rng.uniform(0.15, 0.6)), fold_size=float(rng.uniform(0.03, 0.08)), gloss=float(rng.uniform(0, 0.08)),
    )  # fmt: skip


def _draw_shoe(rng: np.random.Generator) -> Material:
    return Material(_draw_colour(rng), mottle=0.04, gloss=0.2)


def _draw_colour(rng: np.random.Generator, most: float = 1.0) -> tuple[float, float, float]:
    saturation = rng.choice([rng.uniform(0, 0.2), rng.uniform(0.2, 0.75)])
    srgb = colorsys.hsv_to_rgb(rng.random(), saturation, most * rng.uniform(0.08, 0.95))
    return linear_rgb(255 * np.array(srgb))


def face_tint(points: np.ndarray, at: Mapping[str, np.ndarray], appearance: Appearance) -> np.ndarray:
    """(n, 3) factors of the skin's colour, for lips and brows. points, at: of the rest surface, m; at: landmarks."""
    tint = np.ones((len(points), 3))
    nose, eye = at["nose"], (at["eye_r"] + at["eye_l"]) / 2
    size = (at["vertex"][1] - eye[1]) / 0.125  # of the head, against an adult's
    down, aside = (nose[1] - points[:, 1]) / size, np.abs(points[:, 2]) / size
    front = points[:, 0] > nose[0] - 0.045 * size
    lips = front & (np.hypot((down - 0.036) / 0.0085, aside / 0.023) < 1)
    tint[lips] = [0.85, 0.5, 0.5]
    above = (points[:, 1] - eye[1]) / size
    brow = front & (np.abs(above - 0.024 + 0.12 * np.abs(aside - 0.03)) < 0.0055) & (aside > 0.012) & (aside < 0.052)
    tint[brow] = np.clip(np.array(appearance.hair) / np.array(appearance.skin), 0.05, 1.0)
    return tint


BODY_DENSITY = 985.0  # kg/m³, of a living body with air in its lungs (from memory)
_BUILD_RANGE = (-1.25, 2.4)  # range of builds that is searched for the mass; beyond ±1 shapes are extrapolated
_EYE_MATERIAL = Material((0.62, 0.6, 0.57), mottle=0.0, gloss=0.5)
_BREATH_AMPLITUDE_M = 0.006  # m, motion of the front of the chest in a calm breath (ours)


@dataclass(frozen=True, eq=False)
class WornSurface:
    """Pose-independent data of the skin and, after it, of clothes and hair, innermost first.

    rest: (n, 3) m. carriers, weights: (n, 8), as of the skin. breathing: (n, 3) m, displacement at a full breath.
    looks: (n, 7), triangles: (t, 3) int32, material: (t,), of the visible part, as in `Mesh`; materials are skin, eyes
    and the garments'. whole: (u, 3) int32, all triangles of skin and garments, for normals.
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
    """A body with its skin, appearance and visible surface."""

    body: Body
    skin: BoundSkin
    appearance: Appearance
    worn: WornSurface

    def maps(self, poses: Mapping[str, np.ndarray]) -> np.ndarray:
        """(frames, segments, 3, 4): rest → world (z_up), from the poses of the bodies in ground (y_up)."""
        return frame_rotation("y_up", "z_up") @ segment_maps(self.skin, poses)


def make_person(body: Body, female: bool, mass: float | None, rng: np.random.Generator) -> RenderedPerson:
    """Draw a person with this body, a build with this mass (kg; None: average), and random shape and appearance."""
    shape = {f"body {i + 1}": float(rng.normal(0, 0.22)) for i in range(10)}
    shape |= {f"face {i + 1}": float(rng.normal(0, 0.5)) for i in range(8)}
    shape["older"] = float(max(rng.normal(0.2, 0.35), 0))
    muscle = rng.normal(0.1, 0.4)
    shape["muscular" if muscle > 0 else "slender"] = float(abs(muscle))
    sex = float(np.clip((1.0 if female else 0.0) + rng.normal(0, 0.08), 0, 1))
    build = 0.0 if mass is None else build_of(body, sex, shape, mass)
    appearance, rest = draw_appearance(rng, female), rest_surface(sex, shape | weight_shape(build))
    shells, bare = dress_skin(rest, [cut for cut, _ in appearance.garments])
    asset = skin_asset()
    eye_kinds = [asset.kinds.index(name) for name in ("eye_front.R", "eye_front.L")]
    eyes = np.zeros(len(rest.points), bool)
    eyes[asset.triangles[np.isin(asset.kind, eye_kinds)].ravel()] = True
    tint = face_tint(rest.points, rest.landmarks, appearance)
    tint[eyes] = 1.0
    for side in "rl":  # iris and pupil: discs about each eye's axis
        centre = rest.landmarks[f"eye_{side}"]
        off = np.hypot(rest.points[:, 1] - centre[1], rest.points[:, 2] - centre[2])
        tint[eyes & (off < 0.0065)] = np.array(appearance.iris) / _EYE_MATERIAL.colour
        tint[eyes & (off < 0.0025)] = 0.02
    return RenderedPerson(
        body, bind_skin(rest, body), appearance, _assemble_worn(rest, shells, bare, eyes=eyes, tint=tint)
    )


def _assemble_worn(
    rest: RestSurface, shells: tuple[Garment, ...], bare: np.ndarray, eyes: np.ndarray, tint: np.ndarray
) -> WornSurface:
    """shells: clothes and hair. bare: (t, 3), visible triangles of the skin. eyes: (n,) bool. tint: (n, 3)."""
    asset = skin_asset()
    carried = np.concatenate([np.arange(len(rest.points)), *(shell.carried for shell in shells)])
    starts = np.cumsum([len(rest.points), *(len(shell.points) for shell in shells)])
    placed = np.concatenate([rest.points, *(shell.points for shell in shells)])
    plain = np.ones((len(carried) - len(tint), 3))
    sky = np.concatenate([asset.occlusion, *(shell.occlusion for shell in shells)])
    cloth = [shell.triangles + start for shell, start in zip(shells, starts[:-1], strict=True)]
    number = [np.full(len(part), i + 2) for i, part in enumerate(cloth)]
    return WornSurface(
        rest=placed,
        carriers=asset.carriers[carried],
        weights=asset.weights[carried],
        breathing=_BREATH_AMPLITUDE_M * _chest_motion(rest)[carried],
        looks=surface_looks(placed, np.concatenate([tint, plain]), sky),
        triangles=np.concatenate([bare, *cloth]).astype(np.int32),
        material=np.concatenate([eyes[bare].all(1).astype(np.int64), *number]),
        whole=np.concatenate([asset.triangles, *cloth]).astype(np.int32),
    )


def weight_shape(build: float) -> dict[str, float]:
    """Shape parameters of a build from −1 (lightest) over 0 (average) to 1 (heaviest)."""
    return {"heavier": build} if build > 0 else {"lighter": -build}


def build_of(body: Body, female: float, shape: Mapping[str, float], mass: float) -> float:
    """The build whose skin encloses `mass` kg, limited to the range of builds."""
    poses = {name: pose[None] for name, pose in neutral_poses(body).items()}

    def weight(build: float) -> float:
        skin = bind_skin(rest_surface(female, {**shape, **weight_shape(build)}), body)
        return BODY_DENSITY * enclosed_volume(posed_points(skin, segment_maps(skin, poses)[0]), skin_asset().triangles)

    low, high = _BUILD_RANGE
    if weight(low) >= mass:
        return low
    if weight(high) <= mass:
        return high
    for _ in range(7):
        middle = (low + high) / 2
        low, high = (middle, high) if weight(middle) < mass else (low, middle)
    return (low + high) / 2


def enclosed_volume(points: np.ndarray, triangles: np.ndarray) -> float:
    """m³ inside a surface."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    return float(np.einsum("ti,ti->", a, np.cross(b, c)) / 6)


def person_mesh(person: RenderedPerson, maps: np.ndarray, breath: float = 0.0) -> Mesh:
    """The person's mesh in the pose of maps (segments, 3, 4) from `RenderedPerson.maps`. breath: −1 … 1."""
    worn = person.worn
    points = blend_points(worn.rest + breath * worn.breathing, worn.carriers, worn.weights, np.ascontiguousarray(maps))
    materials = (
        Material(person.appearance.skin, mottle=0.08, gloss=0.06),
        _EYE_MATERIAL,
        *(material for _, material in person.appearance.garments),
    )
    return Mesh(
        points=points,
        normals=surface_normals(points, worn.whole),
        looks=worn.looks,
        triangles=worn.triangles,
        material=worn.material,
        materials=materials,
    )


def _chest_motion(rest: RestSurface) -> np.ndarray:
    """(n, 3): motion of the rest surface in breathing, forward (1 at the front of the ribs) and slightly up."""
    at, v = rest.landmarks, rest.points
    middle, half = (at["T9"][1] + at["lumbar1"][1]) / 2, at["T3"][1] - at["T9"][1]
    height = np.exp(-(((v[:, 1] - middle) / half) ** 2))
    forward = np.clip((v[:, 0] - at["T9"][0]) / 0.15, 0, 1) * (np.abs(v[:, 2]) < 0.22)
    return (height * forward)[:, None] * np.array([1.0, 0.25, 0.0])
