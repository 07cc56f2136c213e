"""Bodies from recipes: a base model, a marker set for the detector's skeleton, and data for scaling.

A built body carries three kinds of markers, distinguished by their names (docs/body.md):
`Name` is fitted to the point of that name, `Name_inferred` to a point that was inferred; `Name_virtual` is read out.
"""

import math
import pickle
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from simspine.anatomy import osim as _opensim
from simspine.anatomy.body import Body, check_xml, neutral_markers, neutral_poses, read_model_file
from simspine.anatomy.curvature import MESH_LEVELS, SPINE_MARKERS, parse_point, read_endplates
from simspine.anatomy.marker_sets import Place, Segment, place_of, read_marker_set, read_skin_table, segment_from
from simspine.anatomy.osim import enforced_couplers
from simspine.anatomy.person_variation import StandingPelvis, Variation, standing_pelvis_from, variation_from
from simspine.anatomy.priors import (
    LEVEL_AXIS_COORDINATES,
    LevelRegion,
    LinearPrior,
    Prior,
    region_from,
    rhythm_and_posture,
)
from simspine.anatomy.spine_from_joints import REQUIRED_JOINTS, spine_from_joints
from simspine.anatomy.split_torso import WHOLE, Articulation, Partition, articulation_from, carried_vertebrae, neck_from
from simspine.core.errors import InputError, file_version, naming_content, require_known
from simspine.core.settings import models_folder, packaged_file, pose2sim_folder, read_mapping, recipe_path
from simspine.core.skeletons import INFERRED_SUFFIX, VERTEBRA_OF, base_name
from simspine.core.types import Markers

VIRTUAL_SUFFIX = "_virtual"
RECIPE_KEYS = (
    "name", "from", "base", "remove", "measuring_pose", "coordinate_tasks", "priors", "segments", "stature",
    "virtual", "inferred", "articulation", "anatomy", "pelvis", "regions", "free", "neck",
)  # fmt: skip
_REMOVABLE_SETS = {"forces": "ForceSet", "controllers": "ControllerSet", "contact_geometry": "ContactGeometrySet"}


@dataclass(frozen=True)
class Recipe:
    """How a body is made. See the comments in opensim_models/coupled.yaml."""

    name: str
    base: Path
    remove: tuple[str, ...]
    segments: tuple[Segment, ...]
    measuring_pose: Mapping[str, float]
    stature_top: Place
    sole_bodies: tuple[str, ...]
    sole_height: float
    virtual: Mapping[str, Place]
    inferred: Mapping[str, str]
    inferred_weight: float
    coordinate_tasks: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # name: (target rad, weight)
    priors: tuple[LinearPrior, ...] = ()  # of the trajectory engine, besides those of the articulation's regions
    articulation: Articulation | None = None  # torso of single vertebrae; bodies and places above: unsplit model's
    anatomy: tuple[Variation, ...] = ()  # how people differ beyond the sizes of segments
    pelvis: StandingPelvis | None = None  # how standing people hold the pelvis
    freed: tuple[LevelRegion, ...] = ()  # regions without couplers; those of an articulation have none either
    neck: Partition | None = None  # the neck as a body of its own, where there is no articulation

    @property
    def partition(self) -> Partition:
        """How a body of the base model becomes several; `WHOLE` where it stays whole."""
        return self.articulation or self.neck or WHOLE

    @property
    def regions(self) -> tuple[LevelRegion, ...]:
        """Regions of the levels without couplers, with published motion."""
        return self.freed if self.articulation is None else self.articulation.regions


def read_recipe(name: str = "coupled") -> Recipe:
    """The recipe of this name or path; raises `InputError` naming what is missing or not understood."""
    path = recipe_path(name)
    with naming_content(path, "a body recipe; compare coupled.yaml"):
        data = _with_base(path)
        require_known("key", data, RECIPE_KEYS, str(path))
        split, neck = None, None
        if "articulation" in data:
            split = articulation_from(data["articulation"], data["regions"], read_endplates())
        if "neck" in data:
            neck = neck_from(**data["neck"])
        if split is not None and ("neck" in data or "free" in data):
            raise InputError("`free` and `neck` go without `articulation`, whose levels are free as they are.")
        parts = split or neck or WHOLE
        virtual = data["virtual"]
        read_out = {virtual["from"]: virtual["names"]} | dict(virtual.get("others", {}))
        places_by_set = {kind: read_marker_set(kind).places for kind in read_out}
        pelvis: Mapping = data.get("pelvis", {})
        lists = tuple(_linear_prior(**prior) for prior in pelvis.get("list", ()))
        return Recipe(
            name=data["name"],
            base=_base_model_path(path, **data["base"]),
            remove=tuple(data.get("remove", ())),
            segments=tuple(
                segment_from(key, **entry | {"bodies": parts.bodies_of(entry["bodies"])})
                for key, entry in data["segments"].items()
            ),
            measuring_pose={key: float(v) for key, v in data.get("measuring_pose", {}).items()},
            stature_top=place_of(data["stature"]["top"]),
            sole_bodies=tuple(data["stature"]["sole"]["bodies"]),
            sole_height=float(data["stature"]["sole"]["height"]),
            virtual={key: places_by_set[kind][key] for kind, keys in read_out.items() for key in keys},
            inferred={key: parts.carrier(body, key) for key, body in data["inferred"]["bodies"].items()},
            inferred_weight=float(data["inferred"]["weight"]),
            coordinate_tasks={
                key: (float(t["target"]), float(t["weight"])) for key, t in data.get("coordinate_tasks", {}).items()
            },
            priors=tuple(_linear_prior(**entry) for entry in data.get("priors", ())),
            articulation=split,
            anatomy=tuple(variation_from(key, entry) for key, entry in data.get("anatomy", {}).items()),
            pelvis=standing_pelvis_from(pelvis, data.get("anatomy", ()), lists) if pelvis else None,
            freed=_freed_regions(**data["free"]) if "free" in data else (),
            neck=neck,
        )


def measured_by(recipe: Recipe, marker_set: str, names: Collection[str]) -> Recipe:
    """The recipe with the marker set's pairs for those segments whose own pairs are not among the names."""
    pairs = read_marker_set(marker_set).segments
    segments = []
    for segment in recipe.segments:
        measuring = {name for pair in segment.pairs for name in pair}
        if segment.name in pairs and not measuring <= set(names):
            segment = replace(pairs[segment.name], bodies=segment.bodies)
        segments.append(segment)
    return replace(recipe, segments=tuple(segments))


def build_body(
    recipe: str | Recipe = "coupled", marker_set: str = "blazepose", skin: Sequence[str] = (), skin_height: float = 0.0
) -> Body:
    """The unscaled body of a recipe, with the fit markers of a marker set, virtual and inferred markers.

    marker_set: its name, or that of a skeleton that has one. skin: names of markers on the skin (`T7_skin`), whose
    centres are `skin_height` m above it. Raises `InputError` for names that do not exist.
    """
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    marks = read_skin_table().of(skin)
    version = file_version(recipe.base)
    return _built_body(
        pickle.dumps((recipe, read_marker_set(marker_set), read_endplates(), marks, skin_height, version))
    )


@lru_cache(maxsize=8)
def _built_body(ingredients: bytes) -> Body:
    """The result of `build_body`. ingredients: its inputs, pickled, so that equal ones are built once."""
    recipe, fit, endplates, marks, skin_height, _ = pickle.loads(ingredients)
    model = opensim_base_model(recipe.base)
    require_known("kind of component to remove", recipe.remove, _REMOVABLE_SETS)
    for kind in recipe.remove:
        getattr(model, f"upd{_REMOVABLE_SETS[kind]}")().clearAndDestroy()
    model.updMarkerSet().clearAndDestroy()
    _limit_levels(model, recipe.regions)
    model.setName(f"simspine_{recipe.name}_{fit.name}")
    for name, place in fit.places.items():
        _add_marker(model, name, _place_on_recipe(recipe, base_name(name), place))
    for name, place in recipe.virtual.items():
        _add_marker(model, name + VIRTUAL_SUFFIX, _place_on_recipe(recipe, name, place))
    for level, vertebra in carried_vertebrae(recipe.partition, endplates).items():
        _add_marker(model, level + VIRTUAL_SUFFIX, Place(vertebra.body, vertebra.centroid))
    for name, mark in marks.items():
        carried = recipe.partition.relocate_on_bone(mark.vertebra, mark.body, mark.offset(skin_height))
        _add_marker(model, name, Place(*carried))
    return place_inferred(finished_body(model), recipe)


def place_inferred(body: Body, recipe: str | Recipe = "coupled") -> Body:
    """The body with its inferred markers where inference from its joints puts them in the neutral pose.

    Inference uses the body's own hips, shoulders and head, so that in the neutral pose an inferred point and its marker
    agree and the fit is not biased. Call it again when the body's proportions change (`scale_body` does).
    """
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    model = _opensim.load_opensim_model(body.osim)
    markers = model.updMarkerSet()
    for name in [m.getName() for m in markers if m.getName().endswith(INFERRED_SUFFIX)]:
        markers.remove(markers.getIndex(name))
    for name, (carrier, offset) in _inferred_places(body, recipe.inferred).items():
        _add_marker(model, name + INFERRED_SUFFIX, Place(carrier, parse_point(offset)))
    return finished_body(model)


def _inferred_places(body: Body, carriers: Mapping[str, str]) -> dict[str, tuple[str, np.ndarray]]:
    """Inferred point → (body that carries it, offset (3,) m), as inferred from the body's joints in the neutral pose.

    carriers: {point: body}. The way to infer them is `simspine.anatomy.spine_from_joints`. Empty where the body lacks
    markers for hips or shoulders. Raises `InputError` for a carrier that the body does not have.
    """
    names = body.marker_names
    if not set(REQUIRED_JOINTS) <= set(names):
        return {}
    require_known(
        "body", dict.fromkeys(carriers.values()), body.bodies, f"{body.name!r} (hand in the recipe it was made by)"
    )
    poses = neutral_poses(body)
    spine = spine_from_joints(Markers(names, 1.0, neutral_markers(body, poses)[None], "y_up"))
    placed = {point: spine.xyz[0, spine.index(level)] for point, level in VERTEBRA_OF.items()}
    return {
        point: (carrier, poses[carrier][:3, :3].T @ (placed[point] - poses[carrier][:3, 3]))
        for point, carrier in carriers.items()
        if point in placed and np.isfinite(placed[point]).all()
    }


def virtual_spine_markers(body: Body) -> dict[str, str]:
    """SIMSPINE name → the marker of `body` that stands for it, for the fifteen points of the spine.

    In bodies built here that is `<name>_virtual`; in a model from elsewhere the marker of the plain name. Points that
    the body has neither for are left out; raises `InputError` if that leaves none.
    """
    candidates = {
        name: [marker for marker in (name + VIRTUAL_SUFFIX, name) if marker in body.marker_names]
        for name in SPINE_MARKERS
    }
    chosen = {name: markers[0] for name, markers in candidates.items() if markers}
    if not chosen:
        raise InputError(
            f"body {body.name!r} has none of the spine's markers ({', '.join(SPINE_MARKERS)}). "
            f"Its markers: {', '.join(body.marker_names) or 'none'}. Build it with simspine.anatomy.recipes.build_body."
        )
    return chosen


def vertebra_markers(body: Body) -> dict[str, str]:
    """Level (C1 … L5, S1) → the marker of `body` at that vertebra's centroid; only levels that have one."""
    names = {level: level + VIRTUAL_SUFFIX for level in MESH_LEVELS.values()}
    return {level: marker for level, marker in names.items() if marker in body.marker_names}


def default_weights(recipe: str | Recipe, marker_set: str) -> dict[str, float]:
    """Weights of inverse kinematics by marker name: those of the marker set, and of the inferred markers."""
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    weights = {name: place.weight for name, place in read_marker_set(marker_set).places.items()}
    return weights | {name + INFERRED_SUFFIX: recipe.inferred_weight for name in recipe.inferred}


def read_prior(recipe: str | Recipe) -> Prior:
    """A recipe's priors on posture and, where no couplers decide it, on rhythm. Names: coordinates; rad."""
    recipe = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    return Prior((*recipe.priors, *rhythm_and_posture(recipe.regions).terms))


def fit_markers(body: Body, markers: Markers) -> Markers:
    """The markers that `body` has, in their order; raises `InputError` listing both sides if there is none."""
    common = [name for name in markers.names if name in body.marker_names]
    if not common:
        raise InputError(
            f"no marker of the data exists in body {body.name!r}. "
            f"Data: {', '.join(markers.names)}. Body: {', '.join(body.marker_names) or 'none'}."
        )
    return markers.select(common)


def _with_base(path: Path, files: tuple[Path, ...] = ()) -> dict:
    """A recipe's entries; keys that the file lacks are those of the recipe named in `from`."""
    data = read_mapping(path)
    if "from" not in data:
        return data
    if path in files:
        raise InputError(f"{path} names itself in `from`, by way of {', '.join(str(f.name) for f in files)}.")
    return _with_base(recipe_path(data["from"]), (*files, path)) | data


def _base_model_path(recipe: Path, file: str) -> Path:
    """The base model: in the folder of the recipe, else among those packaged."""
    packaged = (models_folder(), pose2sim_folder())
    for folder in (recipe.parent, *packaged):
        if (folder / file).is_file():
            return packaged_file(folder / file) if folder in packaged else folder / file
    raise InputError(f"{recipe} names the model {recipe.parent / file}, which does not exist.")


def _freed_regions(regions: Sequence[str], of: str) -> tuple[LevelRegion, ...]:
    """Regions of another recipe, by name."""
    known = _with_base(recipe_path(of))["regions"]
    require_known("region", regions, known, f"the recipe {of!r}")
    return tuple(region_from(name, known[name]) for name in regions)


def _linear_prior(
    of: Mapping[str, float], sd: float, source: str, mean: float = 0.0, correlation_time_s: float = 1.0
) -> LinearPrior:
    """The prior in a recipe's entry, degrees."""
    return LinearPrior(
        combination={k: float(v) for k, v in of.items()},
        mean=math.radians(mean),
        sd=math.radians(sd),
        source=source,
        correlation_time=float(correlation_time_s),
    )


def _place_on_recipe(recipe: Recipe, point: str, place: Place) -> Place:
    """A place on the unsplit model → on the recipe's body."""
    return Place(*recipe.partition.relocate(place.body, place.offset, point), place.weight)


def opensim_base_model(path: Path):
    """The `opensim.Model` in a file. It is loaded by path, since OpenSim looks for meshes in its folder."""
    check_xml(read_model_file(path), f"model file {path}")
    with naming_content(path, "a model for OpenSim, though XML"):
        return _opensim.opensim_api().Model(str(path))


def _limit_levels(model, regions: Sequence[LevelRegion]) -> None:
    """Give the coordinates of each level the ranges of its region."""
    coordinates = model.updCoordinateSet()
    known = {coordinate.getName() for coordinate in coordinates}
    known -= {dependent for dependent, _, _ in enforced_couplers(model)}
    for region in regions:
        for axis, motions in zip(LEVEL_AXIS_COORDINATES, region.axes, strict=True):
            for level, low, high in zip(region.levels, motions.lower, motions.upper, strict=True):
                name = f"{level}_{axis}"
                if name not in known:
                    raise InputError(
                        f"the base model has no free coordinate {name}, which the recipe's regions want; use the base "
                        "of articulated.yaml or of paper.yaml."
                    )
                coordinates.get(name).setRangeMin(float(low))
                coordinates.get(name).setRangeMax(float(high))
                coordinates.get(name).setDefaultClamped(True)


def _add_marker(model, name: str, place: Place) -> None:
    bodies = [body.getName() for body in model.getBodySet()]
    require_known("body", (place.body,), bodies, f"the place of marker {name!r}")
    osim = _opensim.opensim_api()
    marker = osim.Marker(name, model.getBodySet().get(place.body), osim.Vec3(*place.offset))
    marker.set_fixed(True)
    model.updMarkerSet().adoptAndAppend(marker)  # `addMarker` goes through the whole model each time


def finished_body(model) -> Body:
    model.finalizeConnections()
    return Body.of_model(model, f"model {model.getName()!r}")
