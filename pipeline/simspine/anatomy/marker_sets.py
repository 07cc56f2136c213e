"""Where markers and detected points are on the unscaled model: marker sets, markers on the skin, tapes with dots."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from simspine.anatomy.curvature import PointTuple, parse_point
from simspine.core.errors import InputError, naming_content, nearest_name, require_known, unknown_name
from simspine.core.geometry import distances_along
from simspine.core.settings import models_folder, read_mapping, recipe_path
from simspine.core.skeletons import (
    SKIN_SUFFIX,
    is_skin_marker,
    is_tape_dot,
    levels_of_tape_dot,
    plain_name,
    skin_landmark,
)
from simspine.core.types import Markers, Origin


@dataclass(frozen=True)
class Place:
    """Where a marker is: offset (3,) m in the frame of `body`. weight: its weight in inverse kinematics."""

    body: str
    offset: PointTuple
    weight: float = 1.0


@dataclass(frozen=True)
class Segment:
    """Bodies that share a scale factor, and the marker pairs that measure it: one, or a left and a right one.

    bends: the pair spans joints of the trunk, so that its length changes with posture. max_asymmetry: allowed
    difference between the sides where that must be wider than for the other segments.
    """

    name: str
    bodies: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    bends: bool = False
    max_asymmetry: float | None = None


@dataclass(frozen=True)
class MarkerSet:
    """Places of points or markers on the unscaled model, by name.

    names: {name in a recording: name of its place}, where they differ. unused: names of markers without a place. own:
    names that the set's own file has, without those of the set with its places, `places_of`. origin: of points whose
    recording states none; that of skin markers, whose places on the bone vary, is DETECTED. segments: {segment: its
    marker pairs, used where the recipe's are missing}; the recipe says which bodies it has.
    """

    name: str
    places: Mapping[str, Place]
    names: Mapping[str, str] = field(default_factory=dict)
    origin: Origin | None = None
    segments: Mapping[str, Segment] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    places_of: str = ""

    def place_names(self, recorded: Sequence[str]) -> dict[str, str | None]:
        """{name in a recording: name of its place} of the markers that the set knows; None for one it does not use.

        A name must match exactly, or else as `plain_name` has it. Names of joint centres must match exactly in a set
        with names of its own: R_KNEE is a marker, RKnee a joint centre.
        `InputError` where a name means several markers.
        """
        named: dict[str, str | None] = dict(self.names) | dict.fromkeys(self.unused)
        places: dict[str, str | None] = {name: name for name in self.places}
        exact = places | named
        loose: dict[str, dict[str | None, str]] = {}
        for name, place in (named or places).items():
            loose.setdefault(plain_name(name), {})[place] = name
        places_by_name: dict[str, str | None] = {}
        for name in recorded:
            meanings = loose.get(plain_name(name), {})
            if name in exact or name.endswith(SKIN_SUFFIX):
                places_by_name[name] = exact.get(name, name)
            elif len(meanings) == 1:
                places_by_name[name] = next(iter(meanings))
            elif meanings:
                raise InputError(
                    f"the marker {name!r} may be {' or '.join(map(repr, meanings.values()))} of the marker set "
                    f"{self.name!r}; expected one of these names as it is written. Rename it."
                )
        return places_by_name

    def renamed(self, markers: Markers) -> Markers:
        """A recording's markers renamed by this set, without those that it does not use.

        `InputError` where two would have the same name.
        """
        known = self.place_names(markers.names)
        markers = markers.select([name for name in markers.names if known.get(name, name) is not None])
        names = tuple(known.get(name) or name for name in markers.names)
        people = sorted({recorded.rpartition(":")[0] for recorded in known} - {""})
        if len(people) > 1:
            raise InputError(f"the markers are those of {', '.join(people)}; expected one person's. Export each alone.")
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            taken = [recorded for recorded, name in zip(markers.names, names, strict=True) if name in repeated]
            raise InputError(
                f"the markers {', '.join(taken)} are the same place in the marker set {self.name!r}; expected one of "
                "them. Leave the others out."
            )
        origin = markers.origin
        if origin is None and self.origin is not None:
            skin = is_skin_marker(names)
            origin = tuple(Origin.DETECTED if name in skin else self.origin for name in names)
        return markers.with_(names=names, origin=origin)

    def unknown_markers(self, recorded: Sequence[str]) -> dict[str, str | None]:
        """{name in a recording that the set does not know: the known name that was probably meant, if any}."""
        known = self.place_names(recorded)
        taken = {plain_name(name) for name in known}
        free = {plain_name(name): name for name in (*self.own, *self.names) if plain_name(name) not in taken}
        near = {name: nearest_name(plain_name(name), list(free)) for name in recorded if name not in known}
        return {name: None if meant is None else free[meant] for name, meant in near.items()}


MARKER_FILE_SET = "centres"  # marker set of markers without cameras, where their names are of no other set
LEAST_SHARE, ENOUGH_MARKERS = 0.5, 12  # a set must know this share of a recording's names, or this number
RIVAL_SHARE = 0.8  # a set that knows this share of the best set's number of names may be meant as well


def marker_set_names() -> list[str]:
    """Names of the packaged sets of physical markers."""
    files = sorted((models_folder() / "markers").glob("*.yaml"))
    return [path.stem for path in files if "source" in read_mapping(path)]


def find_marker_set(recorded: Sequence[str]) -> MarkerSet:
    """The marker set whose names a recording has; that of joint centres where no set knows enough of the names.

    Raises `InputError` where two sets know as many, and put the same name at different places.
    """
    sets = [read_marker_set(name) for name in marker_set_names()]
    centres = read_marker_set(MARKER_FILE_SET)
    known = {one.name: _own_names(one, recorded) for one in (centres, *sets)}
    best = max((centres, *sets), key=lambda one: (len(known[one.name]), -len(one.own)))
    count = len(known[best.name])
    if best is centres or count < min(LEAST_SHARE * len(recorded), ENOUGH_MARKERS):
        return centres
    for other in sets:
        mine, its = known[best.name], known[other.name]
        differ = [name for name in recorded if mine.get(name) and its.get(name) and mine[name] != its[name]]
        if differ and len(its) >= RIVAL_SHARE * count:
            raise InputError(
                f"the markers' names are those of the marker sets {best.name!r} and {other.name!r}, which have "
                f"{', '.join(differ)} at different places; name the one that was used (`body.markers` in a "
                "configuration, `--marker-set`, or `marker_set=`)."
            )
    return best


def _own_names(known: MarkerSet, recorded: Sequence[str]) -> dict[str, str | None]:
    """As `MarkerSet.place_names`, of those names that the set's own file has."""
    plain_names = {plain_name(name) for name in known.own}
    return known.place_names([name for name in recorded if plain_name(name) in plain_names])


def read_marker_set(name: str) -> MarkerSet:
    """A marker set by its name ('blazepose'), by a skeleton it serves ('blazepose33') or by its YAML file's path."""
    path = marker_set_path(name)
    data = read_mapping(path)
    with naming_content(path, "a marker set; compare blazepose.yaml"):
        base = read_marker_set(data["from"]) if "from" in data else MarkerSet("", {})
        placed = data.get("markers", {}) if "from" in data else data["markers"]
        places = {key: place_of(entry) for key, entry in placed.items()}
        names = {str(own): base.names.get(str(name), str(name)) for own, name in data.get("names", {}).items()}
        known = {**base.names, **base.places, **places}
        require_known("landmark", [place for place in names.values() if not place.endswith(SKIN_SUFFIX)], known)
        unused = tuple(str(name) for name in data.get("unused", ()))
        name = data.get("name", path.stem)
        own_names = () if base.name in ("", base.places_of) else base.own  # of a set without places of its own
        return MarkerSet(
            name=name,
            places={**base.places, **places},  # other places as in the base set
            names={name: place for name, place in base.names.items() if name not in unused} | names,
            origin=Origin(data["origin"]) if "origin" in data else base.origin,
            segments={**base.segments, **{key: segment_from(key, **e) for key, e in data.get("pairs", {}).items()}},
            unused=tuple(name for name in (*base.unused, *unused) if name not in names),
            own=(*own_names, *names, *places, *unused) if names else tuple({**base.places, **places}),
            places_of=name if places else base.places_of,
        )


def marker_set_path(name: str) -> Path:
    """The YAML file of a marker set, named as for `read_marker_set`; `InputError` with the nearest name if none is."""
    is_path = str(name).endswith((".yaml", ".yml"))
    return recipe_path(name if is_path else f"markers/{_set_of_skeleton(str(name))}")


def place_of(entry: Mapping) -> Place:
    """A place out of a YAML entry {body, offset, weight}."""
    return Place(str(entry["body"]), parse_point(entry["offset"]), float(entry.get("weight", 1.0)))


def segment_from(
    name: str, pairs, bodies: Iterable[str] = (), bends: bool = False, max_asymmetry: float | None = None
) -> Segment:
    """A segment out of a YAML entry."""
    named = tuple((str(a), str(b)) for a, b in pairs)
    return Segment(name, tuple(bodies), pairs=named, bends=bool(bends), max_asymmetry=max_asymmetry)


def _set_of_skeleton(name: str) -> str:
    folder = models_folder() / "markers"
    files = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if name in files:
        return name
    skeletons = {stem: read_mapping(path).get("skeletons", ()) for stem, path in files.items()}
    serving = [stem for stem, served in skeletons.items() if name in served]
    if not serving:
        known = dict.fromkeys([*skeletons, *(s for served in skeletons.values() for s in served)])
        raise unknown_name("marker set or skeleton", name, known, str(folder))
    return serving[0]


# Markers on the skin, and how well their places are known, are in opensim_models/skin.yaml.
PELVIS_SKIN_MARKERS = ("LPSIS", "RPSIS")


def pelvis_skin_pair(names: Iterable[str]) -> tuple[str, ...]:
    """Of markers on the skin, those over both posterior superior iliac spines; () where one is missing."""
    both = tuple(name for name in names if skin_landmark(name) in PELVIS_SKIN_MARKERS)
    return both if len(both) == len(PELVIS_SKIN_MARKERS) else ()


@dataclass(frozen=True)
class SkinPlace:
    """The bone under a marker: `bone` (3,) m in the frame of `body`; `vertebra`: its carrier where the body is split.

    depth: of the soft tissue behind it, m. sd: of the bone's place under a marker, forward, up, right, m.
    """

    body: str
    vertebra: str
    bone: PointTuple
    depth: float
    sd: PointTuple

    def offset(self, height: float) -> PointTuple:
        """Offset (3,) m of a marker whose centre is `height` m above the skin, in the frame of `body` (x forward)."""
        x, y, z = self.bone
        return x - self.depth - height, y, z


@dataclass(frozen=True)
class SkinTable:
    """Places by landmark ('C7', 'LPSIS'). noise: sd of the skin's movement over the bone within a recording, m.

    origins: (3,) m of the bodies in the neutral pose, whose axes are parallel there. correlation: correlation length of
    errors of tape dots along the skin, m. person_depth_sd: sd of the error that all depths of a person share, m.
    pelvis_sd: sd of the error that both posterior superior iliac spines share: forward, up, right, m.
    """

    places: Mapping[str, SkinPlace]
    noise: float
    origins: Mapping[str, PointTuple]
    correlation: float
    person_depth_sd: float
    pelvis_sd: PointTuple

    def of(self, names: Iterable[str]) -> dict[str, SkinPlace]:
        """{marker: place}. Raises `InputError` for a landmark that the table lacks."""
        return {landmark + SKIN_SUFFIX: self._place(landmark) for landmark in map(skin_landmark, names)}

    def of_single_markers(self, names: Sequence[str]) -> dict[str, SkinPlace]:
        """{marker: place} of skin markers without dots of a tape, whose errors are correlated."""
        dots = is_tape_dot(names)
        return self.of(name for name in is_skin_marker(names) if name not in dots)

    @property
    def levels(self) -> tuple[str, ...]:
        """Landmarks along the spine, downwards."""
        return tuple(name for name in self.places if name not in PELVIS_SKIN_MARKERS)

    def along(self, name: str) -> float:
        """Distance (m) along the skin of the unscaled model from the uppermost level to a landmark or tape dot."""
        level, share = levels_of_tape_dot(skin_landmark(name)) or (skin_landmark(name), 0.0)
        return float(np.interp(self.levels.index(level) + share, range(len(self.levels)), self._distances))

    def landmark_at(self, along: float) -> str:
        """The dot of a tape that far along the skin: 'T7.40'; the inverse of `along`, to a hundredth of a level."""
        number = np.interp(along, self._distances, range(len(self.levels)))
        level, hundredths = divmod(round(100 * float(number)), 100)
        return f"{self.levels[level]}.{hundredths:02}"

    @cached_property
    def _distances(self) -> np.ndarray:
        """(levels,) distances along the skin, m."""
        skin = np.array([self._neutral(self.places[name]) - [self.places[name].depth, 0, 0] for name in self.levels])
        return distances_along(skin)

    def _neutral(self, place: SkinPlace) -> np.ndarray:
        """(3,) m: the bone's position from the pelvis in the neutral pose."""
        return np.array(self.origins[place.body]) + place.bone

    def _place(self, name: str) -> SkinPlace:
        """The place of a landmark, or of a dot between two, which the nearer vertebra carries."""
        level, share = levels_of_tape_dot(name) or (name, 0.0)
        if level not in self.places or (share and level not in self.levels[:-1]):
            raise unknown_name("marker on the skin", name, self.places)
        above = self.places[level]
        if not share:
            return above
        below = self.places[self.levels[self.levels.index(level) + 1]]
        carrier = above if share < 0.5 else below
        bone = (1 - share) * self._neutral(above) + share * self._neutral(below) - self.origins[carrier.body]
        depth = (1 - share) * above.depth + share * below.depth
        sd = (1 - share) * np.array(above.sd) + share * np.array(below.sd)
        return SkinPlace(
            body=carrier.body, vertebra=carrier.vertebra, bone=parse_point(bone), depth=depth, sd=parse_point(sd)
        )


@cache
def read_skin_table() -> SkinTable:
    """The table of skin markers that comes with simspine."""
    path: Path = models_folder() / "skin.yaml"
    data = read_mapping(path)
    with naming_content(path, "a table of markers on the skin"):
        places = {name: _skin_place(entry) for name, entry in data["markers"].items()}
        origins = {body: parse_point(origin) for body, origin in data["origins"].items()}
        noise, correlation, depth_sd = (
            float(data[key]) / 1000 for key in ("noise_mm", "tape_correlation_mm", "person_depth_sd_mm")
        )
        pelvis_sd = parse_point(value / 1000 for value in data["pelvis_sd_mm"])
        return SkinTable(places, noise, origins, correlation=correlation, person_depth_sd=depth_sd, pelvis_sd=pelvis_sd)


def _skin_place(entry: Mapping) -> SkinPlace:
    return SkinPlace(
        body=str(entry["body"]),
        vertebra=str(entry["vertebra"]),
        bone=parse_point(entry["bone"]),
        depth=float(entry["depth_mm"]) / 1000,
        sd=parse_point(value / 1000 for value in entry["sd_mm"]),
    )


@dataclass(frozen=True)
class Tape:
    """A tape with evenly spaced dots on the skin over the spine.

    dots: their number. spacing: of neighbours along the tape, m. first, last: levels ('C7', 'S1') under the first and
    the last dot. clicks: {number of a dot, from 1 at the top: {view: {frame: (x, y) px}}}. radius: of a dot, px.
    Raises `InputError` for levels that do not exist, or where `last` is not below `first`.
    """

    dots: int
    spacing: float
    first: str
    last: str
    clicks: Mapping[int, Mapping[str, Mapping[int, tuple[float, float]]]]
    radius: float = 4.0

    def __post_init__(self):
        table = read_skin_table()
        for level in (self.first, self.last):
            if level not in table.levels:
                hint = " A tape lies over the spine." if level in PELVIS_SKIN_MARKERS else ""
                raise InputError(f"{unknown_name('level of the tape', level, table.levels)}{hint}")
        if table.along(self.first) >= table.along(self.last):
            raise InputError(
                f"the tape is from {self.first} to {self.last}; its first dot is the one nearest to the head, so "
                "`last` must be a level below `first`."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the dots, by their level; they are evenly spaced on the skin: 'C7.00_skin', 'C7.66_skin', …."""
        table = read_skin_table()
        ends = table.along(self.first), table.along(self.last)
        return tuple(table.landmark_at(along) + SKIN_SUFFIX for along in np.linspace(*ends, self.dots))

    def clicks_in(self, view: str) -> Mapping[int, Mapping[int, tuple[float, float]]]:
        """{number: {frame: (x, y) px}} of one view; empty where it has none."""
        return {number: views[view] for number, views in self.clicks.items() if view in views}

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the views in which a dot is clicked."""
        return tuple(dict.fromkeys(view for views in self.clicks.values() for view in views))
