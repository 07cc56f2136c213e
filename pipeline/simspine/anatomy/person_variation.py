"""How one person differs from the model: places of joints, the curve of the standing spine, the tilt of the pelvis.

Each is a number, or a few, with what is assumed of people. What one knows of a person comes from `estimation`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simspine.anatomy import osim as _opensim
from simspine.anatomy.body import Body
from simspine.anatomy.curvature import PointTuple, parse_point
from simspine.anatomy.priors import LEVEL_AXIS_COORDINATES, LevelPrior, LinearPrior
from simspine.anatomy.tree import Functions, Tree, slots_of_joints, with_identity_function
from simspine.core.errors import InputError, require_known

# Joints that lie elsewhere in the body that carries them. Each variation is one number, zero in the body as it was
# scaled. In a tree it is a coordinate that slides joints (`add_variations`), so that a solver can find it; in a model
# file it is where these joints are (`vary_joint_places`).


@dataclass(frozen=True)
class Variation:
    """A number that differs between people, 0 ± sd.

    stretch: bodies that grow along the chain by that share of their height, so that the joint above each moves away
    from the one below. shift: {body: (forward, up, right) in the body that carries it}: its joint moves that way by
    that many metres. source: where sd is from.
    """

    name: str
    sd: float
    stretch: tuple[str, ...] = ()
    shift: Mapping[str, PointTuple] | None = None
    source: str = ""


def variation_from(name: str, entry: Mapping) -> Variation:
    """From an entry of a recipe's `anatomy`; raises `InputError` unless it says one way to vary, and how much."""
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


JointMoves = Mapping[int, np.ndarray]  # {joint: (3,) m in its parent body, for a variation of one}


def joint_moves_of(body: Body, variations: Sequence[Variation], chain: Sequence[str]) -> list[JointMoves]:
    """Which joints of a sized body each variation moves, and where to. chain: bodies along which parts stretch.

    Raises `InputError` for a body that does not exist.
    """
    tree = body.tree
    index = {name: i + 1 for i, name in enumerate(body.bodies)}
    joint_of = {int(child): j for j, child in enumerate(tree.child)}

    def carried(name: str) -> int:
        if name not in index:
            raise InputError(f"the recipe's anatomy names the body {name!r}, which {body.name!r} lacks.")
        return joint_of[index[name]]

    found: list[JointMoves] = []
    for variation in variations:
        moves: dict[int, np.ndarray] = {}
        for name in variation.stretch:
            own = tree.from_joint[carried(name)]
            below = -own[:, :3].T @ own[:, 3]
            for j in np.flatnonzero(tree.parent == index[name]):
                if body.bodies[tree.child[j] - 1] in chain:
                    moves[int(j)] = tree.to_joint[j, :, 3] - below
        for name, direction in (variation.shift or {}).items():
            moves[carried(name)] = np.array(direction, float)
        found.append(moves)
    return found


def add_variations(tree: Tree, moves: Sequence[JointMoves]) -> Tree:
    """The tree with one more free coordinate per variation, after the others.

    Raises `InputError` where a joint has no translation left that could slide it.
    """
    first = len(tree.rest)
    functions, itself = with_identity_function(tree.functions)
    function, argument, axes = tree.function.copy(), tree.argument.copy(), tree.axes.copy()
    for k, own in enumerate(moves):
        for j, vector in own.items():
            spare = [m for m in (3, 4, 5) if argument[j, m] < 0 and _is_zero(tree.functions, function[j, m])]
            if not spare:
                raise InputError("a joint that slides by itself cannot be moved by the recipe's anatomy as well.")
            m = spare[0]
            function[j, m], argument[j, m] = itself, first + k
            axes[j, m] = tree.to_joint[j, :, :3].T @ vector
    return with_free_lengths(tree, len(moves))._replace(
        function=function,
        argument=argument,
        axes=axes,
        functions=functions,
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
    """The body whose joints lie where variations of these values put them. Bodies and their sizes stay.

    markers: {name: (3,) m}, how far markers lie from where they were, along the axes of the bodies that carry them.
    """
    shift = np.zeros((len(body.tree.parent), 3))
    for own, value in zip(moves, values, strict=True):
        for j, vector in own.items():
            shift[j] += value * vector
    carried = {body.bodies[child - 1]: row for child, row in zip(body.tree.child, shift, strict=True) if row.any()}
    api, model = _opensim.opensim_api(), _opensim.load_opensim_model(body.osim)
    model.initSystem()
    for joint in model.getJointSet():
        name = joint.getChildFrame().findBaseFrame().getName()
        if name in carried:  # models built here have a frame of its own for each joint
            frame = api.PhysicalOffsetFrame.safeDownCast(joint.getParentFrame())
            frame.set_translation(api.Vec3(*(frame.get_translation().to_numpy() + carried[name]).tolist()))
    for name, offset in (markers or {}).items():
        marker = model.getMarkerSet().get(name)
        marker.set_location(api.Vec3(*(marker.get_location().to_numpy() + offset).tolist()))
    return Body.of_model(model, f"the body {body.name!r} of this person")


def _is_zero(functions: Functions, f: int) -> bool:
    if f < 0:
        return True
    piece = functions.first[f]
    return functions.slope(f) == 0.0 and functions.coefficients[piece, 0] == 0.0


# A person's own standing curve is a difference to people's mean curve, in extension, one number a level. It moves
# nothing by itself: postures of the levels scatter about it. It counts from bones of the model's shape; published
# curves count from endplates. The sacrum's endplate may tilt in a person's sacrum, which no point shows. Then the two
# differ at the lowest level, and a spine that leaves the sacrum steeply suggests a steep endplate. How strongly
# depends on the mean of the lowest disc, of which publications differ; the error of that mean is one more unknown,
# which no recording of one person shows. Lordosis grows with the pelvic incidence, and so does the slope of the
# sacrum when standing. The incidence is that of the model, the displacement of the hips, and the tilt of the
# endplate: so hips far in front of the sacrum suggest a hollow back, and a hollow back a steep endplate.
SACRAL_TILT = "tilt of the sacral endplate"  # rad, forward against the model's
LOWEST_LEVEL_MEAN_NAME = "mean of the lowest disc"  # rad, error of the mean of people that is assumed


def curve_names(levels: Sequence[LevelPrior]) -> tuple[str, ...]:
    """Names of the unknowns of the curve; at the end `LOWEST_LEVEL_MEAN_NAME` and `SACRAL_TILT`, where a prior has
    them."""
    own = (
        _own_curve_name(name) for name in dict.fromkeys(n for p in levels if has_own_curve(p) for n in p.combination)
    )
    mean = [LOWEST_LEVEL_MEAN_NAME] if _unsure_coordinate(levels) else []
    return (*own, *mean, *([SACRAL_TILT] if _tilting_coordinate(levels) else []))


def curve_prior(
    levels: Sequence[LevelPrior], hips: Mapping[str, float], coronal_scale: float = 1.0
) -> list[LinearPrior]:
    """Priors on the curve of any person, between endplates, and on the endplate that it counts from.

    hips: {variation of the body: rad of pelvic incidence for one of it}. coronal_scale: by how much a person's spine is
    more crooked than people's without scoliosis.
    """
    lowest = ((SACRAL_TILT, _tilting_coordinate(levels)), (LOWEST_LEVEL_MEAN_NAME, _unsure_coordinate(levels)))
    found = [LinearPrior({unknown: 1.0}, 0.0, sd, "endplates") for unknown, at in lowest for sd in at.values()]
    tilt = {SACRAL_TILT: 1.0} if _tilting_coordinate(levels) else {}
    for name, prior in _single_priors(levels):
        row = {_own_curve_name(name): 1.0} | {unknown: 1.0 for unknown, at in lowest if name in at}
        for unknown, part in (tilt | dict(hips)).items() if prior.on_incidence else ():
            row[unknown] = row.get(unknown, 0.0) - prior.on_incidence * part
        scale = 1.0 if is_flexion_prior(prior) else coronal_scale
        found.append(LinearPrior(row, 0.0, scale * prior.curve, prior.source))
    return found


def in_coronal_plane(names: Sequence[str]) -> np.ndarray:
    """(k,) bool: which of `curve_names` are of lateral bending."""
    return np.array([name.endswith(LEVEL_AXIS_COORDINATES[1]) for name in names], bool)


def _tilting_coordinate(levels: Sequence[LevelPrior]) -> dict[str, float]:
    """{coordinate whose level counts from an endplate that tilts: rad, its sd}; at most one."""
    return {name: prior.tilt for name, prior in _single_priors(levels) if prior.tilt}


def _unsure_coordinate(levels: Sequence[LevelPrior]) -> dict[str, float]:
    """{coordinate of whose level people's mean is unsure: rad, its sd}; at most one."""
    return {name: prior.mean_sd for name, prior in _single_priors(levels) if prior.mean_sd}


def _single_priors(levels: Sequence[LevelPrior]) -> list[tuple[str, LevelPrior]]:
    """The priors on one coordinate of the curve, by its name."""
    priors = (prior for prior in levels if has_own_curve(prior) and len(prior.combination) == 1)
    return [(name, prior) for prior in priors for name in prior.combination]


def levels_given_curve(levels: Sequence[LevelPrior]) -> list[LinearPrior]:
    """Priors on the posture of the moment, about a curve that is unknown."""
    return [_prior_about_curve(prior) if has_own_curve(prior) else prior.population_prior() for prior in levels]


def _prior_about_curve(prior: LevelPrior) -> LinearPrior:
    away = {_own_curve_name(name): -c for name, c in prior.combination.items()}
    about = prior.prior_about_mean(prior.mean, prior.motion)
    return replace(about, combination={**about.combination, **away})


def levels_given_known_curve(
    levels: Sequence[LevelPrior], names: Sequence[str], mean: np.ndarray, covariance: np.ndarray, anyone: np.ndarray
) -> list[LinearPrior]:
    """Priors on the posture of the moment about a curve of which something is known.

    names: of (k,) unknowns, those of `curve_names` among them; mean, covariance: what is known of them. anyone: (k, k)
    covariance between people. With as much known as of any person these are the priors of `rhythm_and_posture`.
    """
    found = []
    for prior in levels:
        if not has_own_curve(prior):
            found.append(prior.population_prior())
            continue
        row = np.zeros(len(names))
        for name, c in prior.combination.items():
            row[list(names).index(_own_curve_name(name))] = c
        left = (row @ covariance @ row) / (row @ anyone @ row)
        sd = float(np.hypot(prior.motion, prior.lasting_sd * np.sqrt(left)))
        found.append(prior.prior_about_mean(prior.mean + float(row @ mean), sd))
    return found


def has_own_curve(prior: LevelPrior) -> bool:
    """Whether the prior is about flexion or lateral bending: a person's standing curve has both planes."""
    return all(name.endswith(LEVEL_AXIS_COORDINATES[:2]) for name in prior.combination)


def is_flexion_prior(prior: LevelPrior) -> bool:
    return all(name.endswith(LEVEL_AXIS_COORDINATES[0]) for name in prior.combination)


def _own_curve_name(coordinate: str) -> str:
    return f"own {coordinate}"


# The tilt of the pelvis on the thighs goes with the pelvic incidence. Nothing else says how a pelvis is turned whose
# hips and lowest vertebra lie elsewhere than the model's. People differ in it, each stands nearly the same way
# whenever they stand; of other postures nothing is assumed.
OWN_TILT_NAME = "own tilt of the pelvis"  # rad, of this person when standing, from what is expected of people


@dataclass(frozen=True)
class StandingPelvis:
    """How people hold the pelvis when standing.

    incidence: {variation of the body: rad of pelvic incidence for one of it}. combination: of coordinates; in people
    who stand it is mean ± sd, rad, at the model's pelvic incidence, and grows by `on_incidence` of what theirs is
    larger. sway: rad, sd from frame to frame.
    """

    incidence: Mapping[str, float]
    combination: Mapping[str, float]
    mean: float
    on_incidence: float
    sd: float
    sway: float
    source: str

    def population_prior(self, tilts: bool = True) -> LinearPrior:
        """What is assumed of a person. The sacrum's slope counts from its endplate, the coordinates from the bone.

        tilts: whether the endplate's tilt in the bone is unknown.
        """
        tilt = {SACRAL_TILT: 1 - self.on_incidence} if tilts else {}
        row = {name: -self.on_incidence * part for name, part in self.incidence.items()}
        return LinearPrior({OWN_TILT_NAME: 1.0} | tilt | row, 0.0, self.sd, self.source)

    def prior_about_own_tilt(self) -> LinearPrior:
        """What is assumed of a frame in which they stand."""
        return LinearPrior({**self.combination, OWN_TILT_NAME: -1.0}, self.mean, self.sway, self.source)


def standing_pelvis_from(entry: Mapping, anatomy: Collection[str]) -> StandingPelvis:
    """From a recipe's `pelvis` (degrees). anatomy: names of the recipe's variations.

    Raises `InputError` unless it says all of it, of variations that there are, with positive spreads.
    """
    standing = entry["standing"]
    known = {"combination", "mean", "on_incidence", "sd", "sway", "source"}
    if set(entry) != {"incidence", "standing"} or set(standing) != known:
        raise InputError(
            f"pelvis has {', '.join(entry)}; expected incidence, and standing with {', '.join(sorted(known))}."
        )
    require_known("variation", entry["incidence"], anatomy, "pelvis.incidence")
    mean, sd, sway = (float(np.radians(float(standing[key]))) for key in ("mean", "sd", "sway"))
    if not (sd > 0 and sway > 0):
        raise InputError(
            f"pelvis.standing has sd {standing['sd']} and sway {standing['sway']}; expected positive numbers."
        )
    return StandingPelvis(
        incidence={str(name): float(part) for name, part in entry["incidence"].items()},
        combination={str(name): float(part) for name, part in standing["combination"].items()},
        mean=mean,
        on_incidence=float(standing["on_incidence"]),
        sd=sd,
        sway=sway,
        source=str(standing["source"]),
    )
