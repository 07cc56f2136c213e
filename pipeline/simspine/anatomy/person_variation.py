"""How one person differs from the model: places of joints, the curve of the standing spine, the tilt of the pelvis.

Each is one unknown or a few, with a prior. `estimation` estimates them for a person.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simspine.anatomy import osim as _opensim
from simspine.anatomy.body import Body
from simspine.anatomy.curvature import PointTuple, parse_point
from simspine.anatomy.priors import LEVEL_AXIS_COORDINATES, LevelPrior, LinearPrior
from simspine.anatomy.tree import IDENTITY_FUNCTION, Tree, slots_of_joints
from simspine.core.errors import InputError, require_known

# Variations: joints at other places in the bodies that carry them. Each variation is one number, 0 in the scaled body.
# In a tree it is a coordinate that slides joints (`add_variations`), so that a solver can find it; in a model file it
# changes the places of these joints (`vary_joint_places`).


@dataclass(frozen=True)
class Variation:
    """A number that differs between people, 0 ± sd.

    stretch: bodies that grow along the chain by this share of their height, so that the joint above each moves away
    from the one below. shift: {body: (forward, up, right)}: its joint moves by the number, m, times this vector, in the
    axes of the body that carries it. source: of sd.
    """

    name: str
    sd: float
    stretch: tuple[str, ...] = ()
    shift: Mapping[str, PointTuple] | None = None
    source: str = ""


def variation_from(name: str, entry: Mapping) -> Variation:
    """From an entry of a recipe's `anatomy`; raises `InputError` unless it has one kind of variation and a spread."""
    kind, unit = ("stretch", "sd") if "stretch" in entry else ("shift", "sd_mm")
    if set(entry) != {kind, unit, "source"} or not float(entry[unit]) > 0:
        raise InputError(
            f"anatomy {name!r} has {', '.join(entry)}; expected stretch with a positive sd (a share), or shift with a "
            "positive sd_mm; and source."
        )
    source = str(entry["source"])
    if kind == "stretch":
        return Variation(name, float(entry[unit]), stretch=tuple(entry[kind]), source=source)
    shift = {body: parse_point(direction) for body, direction in entry[kind].items()}
    return Variation(name, float(entry[unit]) / 1e3, shift=shift, source=source)


JointMoves = Mapping[int, np.ndarray]  # {joint: displacement (3,) m in its parent body, per unit of a variation}


def joint_moves_of(body: Body, variations: Sequence[Variation], chain: Sequence[str]) -> list[JointMoves]:
    """For each variation the joints of a sized body that it moves, and how far. chain: bodies along which parts grow.

    Raises `InputError` for a body that does not exist.
    """
    tree = body.tree
    index = {name: i + 1 for i, name in enumerate(body.bodies)}
    joint_of = {int(child): j for j, child in enumerate(tree.child)}

    def carried(name: str) -> int:
        if name not in index:
            raise InputError(f"the recipe's anatomy names the body {name!r}, which {body.name!r} lacks.")
        return joint_of[index[name]]

    moves_by_variation: list[JointMoves] = []
    for variation in variations:
        moves: dict[int, np.ndarray] = {}
        for name in variation.stretch:
            from_joint = tree.from_joint[carried(name)]
            below = -from_joint[:, :3].T @ from_joint[:, 3]
            for j in np.flatnonzero(tree.parent == index[name]):
                if body.bodies[tree.child[j] - 1] in chain:
                    moves[int(j)] = tree.to_joint[j, :, 3] - below
        for name, direction in (variation.shift or {}).items():
            moves[carried(name)] = np.array(direction, float)
        moves_by_variation.append(moves)
    return moves_by_variation


def add_variations(tree: Tree, moves: Sequence[JointMoves]) -> Tree:
    """The tree with one more free coordinate per variation, after the others.

    Raises `InputError` where a joint has no translation left that could slide it.
    """
    first = len(tree.rest)
    function, argument, axes = tree.function.copy(), tree.argument.copy(), tree.axes.copy()
    for k, moved in enumerate(moves):
        for j, vector in moved.items():
            spare = [m for m in (3, 4, 5) if function[j, m] < 0]
            if not spare:
                raise InputError("a joint that slides by itself cannot be moved by the recipe's anatomy as well.")
            m = spare[0]
            function[j, m], argument[j, m] = IDENTITY_FUNCTION, first + k
            axes[j, m] = tree.to_joint[j, :, :3].T @ vector
    return with_free_lengths(tree, len(moves))._replace(
        function=function,
        argument=argument,
        axes=axes,
        **slots_of_joints(tree.parent, tree.child, argument, tree.bodies),
    )


def with_free_lengths(tree: Tree, count: int) -> Tree:
    """The tree with more free coordinates, after the others: lengths that move nothing yet, without limits."""
    added = {
        "column": len(tree.free) + np.arange(count),
        "free": len(tree.rest) + np.arange(count),
        "rest": np.zeros(count),
        "lower": np.full(count, -np.inf),
        "upper": np.full(count, np.inf),
        "turning": np.zeros(count, bool),
        "periodic": np.zeros(count, bool),
    }
    joined: dict[str, Any] = {name: np.concatenate([getattr(tree, name), values]) for name, values in added.items()}
    return tree._replace(**joined)


def vary_joint_places(
    body: Body, moves: Sequence[JointMoves], values: Sequence[float], markers: Mapping[str, np.ndarray] | None = None
) -> Body:
    """The body with its joints moved by variations of these values; its bodies keep their sizes.

    markers: {name: displacement (3,) m, along the axes of the body that carries it}.
    """
    shift = np.zeros((len(body.tree.parent), 3))
    for moved, value in zip(moves, values, strict=True):
        for j, vector in moved.items():
            shift[j] += value * vector
    carried = {body.bodies[child - 1]: row for child, row in zip(body.tree.child, shift, strict=True) if row.any()}
    api, model = _opensim.opensim_api(), _opensim.load_opensim_model(body.osim)
    model.initSystem()
    for joint in model.getJointSet():
        name = joint.getChildFrame().findBaseFrame().getName()
        if name in carried:  # in models built here each joint has its own frame
            frame = api.PhysicalOffsetFrame.safeDownCast(joint.getParentFrame())
            frame.set_translation(api.Vec3(*(frame.get_translation().to_numpy() + carried[name]).tolist()))
    for name, offset in (markers or {}).items():
        marker = model.getMarkerSet().get(name)
        marker.set_location(api.Vec3(*(marker.get_location().to_numpy() + offset).tolist()))
    return Body.of_model(model, f"the body {body.name!r} of this person")


# A person's own standing curve is the difference to people's mean curve, in extension, one number per level. It moves
# no joint: it shifts the mean about which postures of the levels scatter. It is measured between bones of the model's
# shape, published curves between endplates. In a person's sacrum the endplate may be tilted, which no point shows. Then
# the two curves differ at the lowest level, so a spine that leaves the sacrum steeply suggests a steep endplate. How
# strongly depends on the mean of the lowest disc, on which publications differ; the error of that mean is another
# unknown, which no recording of one person shows. Lordosis grows with pelvic incidence, and so does the standing sacral
# slope. Incidence is the sum of the model's, of the displacement of the hips, and of the tilt of the endplate. So hips
# far in front of the sacrum suggest a hollow back, and a hollow back suggests a steep endplate.
SACRAL_TILT = "tilt of the sacral endplate"  # rad, forward against the model's
LOWEST_LEVEL_MEAN_NAME = "mean of the lowest disc"  # rad, error of the assumed mean of people


def curve_names(levels: Sequence[LevelPrior]) -> tuple[str, ...]:
    """Names of the unknowns of the curve; last `LOWEST_LEVEL_MEAN_NAME` and `SACRAL_TILT`, where a prior has them."""
    names = (
        _own_curve_name(name) for name in dict.fromkeys(n for p in levels if has_own_curve(p) for n in p.combination)
    )
    mean = [LOWEST_LEVEL_MEAN_NAME] if _unsure_coordinate(levels) else []
    return (*names, *mean, *([SACRAL_TILT] if _tilting_coordinate(levels) else []))


def curve_prior(
    levels: Sequence[LevelPrior], hips: Mapping[str, float], coronal_scale: float = 1.0
) -> list[LinearPrior]:
    """Priors on the standing curve of any person, between endplates, and on the tilt of the sacrum's endplate.

    hips: {variation of the body: rad of pelvic incidence per unit}. coronal_scale: spread of the curve's lateral
    bending, relative to that of people without scoliosis.
    """
    lowest = ((SACRAL_TILT, _tilting_coordinate(levels)), (LOWEST_LEVEL_MEAN_NAME, _unsure_coordinate(levels)))
    priors = [LinearPrior({unknown: 1.0}, 0.0, sd, "endplates") for unknown, sd_of in lowest for sd in sd_of.values()]
    tilt = {SACRAL_TILT: 1.0} if _tilting_coordinate(levels) else {}
    for name, prior in _single_priors(levels):
        row = {_own_curve_name(name): 1.0} | {unknown: 1.0 for unknown, sd_of in lowest if name in sd_of}
        for unknown, part in (tilt | dict(hips)).items() if prior.on_incidence else ():
            row[unknown] = row.get(unknown, 0.0) - prior.on_incidence * part
        scale = 1.0 if is_flexion_prior(prior) else coronal_scale
        priors.append(LinearPrior(row, 0.0, scale * prior.curve, prior.source))
    return priors


def in_coronal_plane(names: Sequence[str]) -> np.ndarray:
    """(k,) bool: which of `curve_names` are of lateral bending."""
    return np.array([name.endswith(LEVEL_AXIS_COORDINATES[1]) for name in names], bool)


def _tilting_coordinate(levels: Sequence[LevelPrior]) -> dict[str, float]:
    """{coordinate of the level above an endplate of unknown tilt: sd of the tilt, rad}; at most one."""
    return {name: prior.tilt for name, prior in _single_priors(levels) if prior.tilt}


def _unsure_coordinate(levels: Sequence[LevelPrior]) -> dict[str, float]:
    """{coordinate of the level whose mean in people is uncertain: sd of that mean, rad}; at most one."""
    return {name: prior.mean_sd for name, prior in _single_priors(levels) if prior.mean_sd}


def _single_priors(levels: Sequence[LevelPrior]) -> list[tuple[str, LevelPrior]]:
    """The priors on one coordinate of the curve, by its name."""
    priors = (prior for prior in levels if has_own_curve(prior) and len(prior.combination) == 1)
    return [(name, prior) for prior in priors for name in prior.combination]


def levels_given_curve(levels: Sequence[LevelPrior]) -> list[LinearPrior]:
    """Priors on the current posture, about a standing curve that is itself unknown."""
    return [_prior_about_curve(prior) if has_own_curve(prior) else prior.population_prior() for prior in levels]


def _prior_about_curve(prior: LevelPrior) -> LinearPrior:
    curve = {_own_curve_name(name): -c for name, c in prior.combination.items()}
    about = prior.prior_about_mean(prior.mean, prior.motion)
    return replace(about, combination={**about.combination, **curve})


def levels_given_known_curve(
    levels: Sequence[LevelPrior], names: Sequence[str], mean: np.ndarray, covariance: np.ndarray, anyone: np.ndarray
) -> list[LinearPrior]:
    """Priors on the current posture, about a standing curve that was estimated.

    names: of k unknowns, `curve_names` among them. mean (k,), covariance (k, k): their estimate. anyone: (k, k)
    covariance between people; with mean 0 and this covariance these are the priors of `rhythm_and_posture`.
    """
    priors = []
    for prior in levels:
        if not has_own_curve(prior):
            priors.append(prior.population_prior())
            continue
        row = np.zeros(len(names))
        for name, c in prior.combination.items():
            row[list(names).index(_own_curve_name(name))] = c
        unknown_share = (row @ covariance @ row) / (row @ anyone @ row)
        sd = float(np.hypot(prior.motion, prior.lasting_sd * np.sqrt(unknown_share)))
        priors.append(prior.prior_about_mean(prior.mean + float(row @ mean), sd))
    return priors


def has_own_curve(prior: LevelPrior) -> bool:
    """Whether the prior is about flexion or lateral bending: a person's standing curve has both planes."""
    return all(name.endswith(LEVEL_AXIS_COORDINATES[:2]) for name in prior.combination)


def is_flexion_prior(prior: LevelPrior) -> bool:
    return all(name.endswith(LEVEL_AXIS_COORDINATES[0]) for name in prior.combination)


def _own_curve_name(coordinate: str) -> str:
    return f"own {coordinate}"


# The tilt of the pelvis on the thighs depends on pelvic incidence. Nothing else shows the tilt of a pelvis whose hips
# and lowest vertebra are not where the model has them. Standing tilt differs between people and is nearly constant in
# one person; nothing is assumed about other postures.
OWN_TILT_NAME = "own tilt of the pelvis"  # rad, this person's standing tilt minus the expected one
OWN_LIST_NAME = "own list of the pelvis"  # rad, in standing; else hips detected at unequal heights would look like one


@dataclass(frozen=True)
class StandingPelvis:
    """How people hold the pelvis when standing.

    incidence: {variation of the body: rad of pelvic incidence per unit}. combination: {coordinate: factor}; in standing
    people the sum is mean ± sd, rad, at the model's pelvic incidence, and grows by `on_incidence` times their excess of
    incidence. sway: rad, sd from frame to frame. list_priors: on a person's own list, and on a frame's about it.
    """

    incidence: Mapping[str, float]
    combination: Mapping[str, float]
    mean: float
    on_incidence: float
    sd: float
    sway: float
    source: str
    list_priors: tuple[LinearPrior, ...]

    def population_prior(self, tilts: bool = True) -> LinearPrior:
        """Prior on a person's own tilt. Sacral slope is measured at the endplate, the coordinates at the bone.

        tilts: whether the endplate's tilt in the bone is unknown.
        """
        tilt = {SACRAL_TILT: 1 - self.on_incidence} if tilts else {}
        row = {name: -self.on_incidence * part for name, part in self.incidence.items()}
        return LinearPrior({OWN_TILT_NAME: 1.0} | tilt | row, 0.0, self.sd, self.source)

    def prior_about_own_tilt(self) -> LinearPrior:
        """Prior on a frame in which the person stands."""
        return LinearPrior({**self.combination, OWN_TILT_NAME: -1.0}, self.mean, self.sway, self.source)


def standing_pelvis_from(
    entry: Mapping, anatomy: Collection[str], list_priors: tuple[LinearPrior, ...]
) -> StandingPelvis:
    """From a recipe's `pelvis` (degrees). anatomy: names of the recipe's variations. list_priors: see `StandingPelvis`.

    Raises `InputError` unless all keys are there, the variations exist, and spreads are positive.
    """
    standing = entry["standing"]
    known = {"combination", "mean", "on_incidence", "sd", "sway", "source"}
    if set(entry) != {"incidence", "list", "standing"} or set(standing) != known or len(list_priors) != 2:
        wanted = f"incidence, list of two priors, and standing with {', '.join(sorted(known))}"
        raise InputError(f"pelvis has {', '.join(entry)}; expected {wanted}.")
    require_known("variation", entry["incidence"], anatomy, "pelvis.incidence")
    mean, sd, sway = (float(np.radians(float(standing[key]))) for key in ("mean", "sd", "sway"))
    if not (sd > 0 and sway > 0):
        raise InputError(
            f"pelvis.standing has sd and sway {standing['sd'], standing['sway']}; expected positive numbers."
        )
    return StandingPelvis(
        incidence={str(name): float(part) for name, part in entry["incidence"].items()},
        combination={str(name): float(part) for name, part in standing["combination"].items()},
        mean=mean,
        on_incidence=float(standing["on_incidence"]),
        sd=sd,
        sway=sway,
        source=str(standing["source"]),
        list_priors=list_priors,
    )
