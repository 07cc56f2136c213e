"""Standard deviations of published figures, from the posterior covariance of the coordinates.

Errors that last, or that markers share, enlarge this covariance. Standard deviations of the spine's figures and of the
paper's 62 axes follow from it by linear propagation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from simspine.anatomy.alignment import RHYTHM_PARAMETERS
from simspine.anatomy.body import Body, follow_couplers
from simspine.anatomy.clinical import ClinicalMeasure
from simspine.anatomy.curvature import (
    SACRAL_TILT_SD,
    Level,
    Vertebra,
    curvature_sd_of_people,
    lumbar_lordosis,
    thoracic_kyphosis,
)
from simspine.anatomy.paper_axes import AXIS_COMPOSED, paper_axes_of, to_paper_axes
from simspine.anatomy.tree import Tree, all_coordinates, all_poses, markers_and_jacobian, moved_poses
from simspine.anatomy.vertebrae import SpineKinematics, angles_of_level
from simspine.core.geometry import wrap_angles
from simspine.core.types import Motion
from simspine.estimation.banded import MATRICES_PER_BATCH, inverses_of_blocks
from simspine.estimation.result import CHANGE_KEY, GRADIENT_KEY, root_joint
from simspine.estimation.terms import UNIFORM_VARIANCE_DIVISOR, MarkerTerm, PriorTerm

# Covariance when the markers' errors are correlated in time: a hip that is detected too low stays so for many frames.
# Two covariances are upper bounds then. The first is the trajectory's times the k frames that share one error, as if
# only every k-th frame had been observed; it is exact where smoothing reaches much further than errors last. The second
# is that of a single frame with the priors but no smoothness, exact where smoothing reaches much less far. In between,
# a coordinate's variance is less than both (`covariance_of_single_frames`), with the correlations of the single frame.


def covariance_of_correlated_errors(
    markers: MarkerTerm, prior: PriorTerm, z: np.ndarray, blocks: np.ndarray, frames: float, misfit_sd: float
) -> tuple[np.ndarray, np.ndarray]:
    """Covariances (frames, free, free) of coordinates, and of their changes within a trial.

    z: (frames, free). blocks: the trajectory's posterior covariance. frames: how many frames share an error, at least
    1. misfit_sd: m, of the body's misfit, which changes with the posture. Changes have it and the trajectory's errors.
    """
    total, changes = frames * blocks, blocks.copy()
    assumed = prior.information()
    observed = np.flatnonzero(markers.seen)  # a single frame without markers has no information
    for part in np.split(observed, range(MATRICES_PER_BATCH, len(observed), MATRICES_PER_BATCH)):
        piece = markers.of_window(part)
        single = _inverses_of_frames(piece.information(z[part]) + assumed, total[part])
        misfit = replace(piece, w=piece.w * np.minimum(1.0, piece.w * misfit_sd**2)).information(z[part])
        changes[part] += single @ misfit @ single
        ratio = np.einsum("tii->ti", total[part]) / np.einsum("tii->ti", single)
        shrink = np.sqrt(covariance_of_single_frames(ratio))
        total[part] = shrink[:, :, None] * single * shrink[:, None, :]
    return total, changes


def covariance_of_single_frames(ratio: np.ndarray) -> np.ndarray:
    """Share of a single frame's variance that a coordinate gets, 0…1.

    ratio: of the trajectory's variance, times the frames that share an error, to the single frame's variance. A mean
    weighted by exp(−|t|/T) reduces the variance of errors with the autocorrelation exp(−|t|/τ) to the share
    τ (T + 2 τ) / 2 (T + τ)². Errors that are independent every 2 τ it reduces to τ / 2 T, which is `ratio`. With
    penalised accelerations and the posterior's variance, as here, errors exceed the result by 1 % at most."""
    return ratio * (1 + 4 * ratio) / (1 + 2 * ratio) ** 2


def _inverses_of_frames(information: np.ndarray, instead: np.ndarray) -> np.ndarray:
    """Inverses of information (frames, free, free); `instead` for frames where that is not positive definite."""
    try:
        return inverses_of_blocks(information)
    except np.linalg.LinAlgError:
        if len(information) == 1:
            return instead
    return np.concatenate([_inverses_of_frames(information[[i]], instead[[i]]) for i in range(len(information))])


# Deviations are computed in some frames and interpolated linearly in between.


def spaced_frames(seen: np.ndarray, spacing: int) -> np.ndarray:
    """Every `spacing`-th frame, the last one, and both frames where a gap begins or ends. seen: (frames,) bool."""
    frames = len(seen)
    edges = np.flatnonzero(seen[1:] != seen[:-1])
    return np.unique(np.concatenate([np.arange(0, frames, spacing), [frames - 1], edges, edges + 1]))


def on_lines_between(computed: np.ndarray, values: np.ndarray, frames: int) -> np.ndarray:
    """(frames, …): values (computed, …) at the frames `computed`, interpolated linearly for the others."""
    place = np.interp(np.arange(frames), computed, np.arange(len(computed)))
    before = np.minimum(place.astype(int), max(len(computed) - 2, 0))
    after = np.minimum(before + 1, len(computed) - 1)
    share = (place - before).reshape(-1, *[1] * (values.ndim - 1))
    return values[before] + share * (values[after] - values[before])


def along_root_axes(tree: Tree, z: np.ndarray, changes: np.ndarray, *, back: bool = False) -> np.ndarray:
    """Changes (frames, free, r) of coordinates, the root's as its turn and slide along its own axes; `back`: reversed.
    Its coordinates count from the ground: a body's error changes them in another way where the person faces elsewhere.
    z: (frames, free). changes: (free, r) or (frames, free, r)."""
    changes = np.broadcast_to(changes, (len(z), *changes.shape[-2:])).copy()
    joint = root_joint(tree)
    columns = np.array([-1]) if joint is None else tree.column[tree.argument[joint]]
    if (columns < 0).any():
        return changes
    moved = moved_poses(tree, np.ascontiguousarray(z), np.full(7, tree.child[joint]), np.array([-1, *columns]), 1.0)
    axes, step = moved[:, :1, :3, :3], moved[:, 1:, :3] - moved[:, :1, :3]
    turn = (axes.swapaxes(2, 3) @ step[..., :3])[..., [2, 0, 1], [1, 2, 0]]
    rates = np.concatenate([turn, step[..., 3] @ axes[:, 0]], 2).swapaxes(1, 2)  # (frames, axes, columns)
    changes[:, columns] = (np.linalg.pinv(rates) if back else rates) @ changes[:, columns]
    return changes


def coordinate_deviation(tree: Tree, z: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """(frames, coordinates) standard deviations; driven coordinates follow their driver, locked ones have 0.

    z: (frames, free). blocks: (frames, free, free) covariance. None exceeds that of a uniform distribution over the
    coordinate's range."""
    _, factor = all_coordinates(tree, z)
    free = blocks.shape[-1]
    of_range = (tree.upper[:free] - tree.lower[:free]) ** 2 / UNIFORM_VARIANCE_DIVISOR
    variance = np.minimum(np.einsum("tii->ti", blocks), of_range)
    column = np.where(tree.column >= 0, tree.column, 0)
    return np.abs(factor) * np.sqrt(variance[:, column])


def marker_covariance(tree: Tree, z: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """(frames, markers, 3, 3) m²: covariance of the places of the tree's markers, in the ground's frame."""
    covariance = np.empty((len(z), len(tree.marker_body), 3, 3))
    for t in range(len(z)):
        J = markers_and_jacobian(tree, z[t])[1]  # (markers, free, 3)
        rows = J.transpose(0, 2, 1).reshape(-1, J.shape[1])
        covariance[t] = (rows @ blocks[t]).reshape(-1, 3, J.shape[1]) @ J
    return covariance


# Figures of the spine: curvature, level angles, points.

DIFFERENCE_STEP = 1e-5  # rad or m, of a coordinate


def spine_deviation(
    body: Body,
    z: np.ndarray,
    blocks: np.ndarray,
    vertebrae: Mapping[str, Vertebra],
    levels: Sequence[Level],
    sacral_tilt_sd: float = SACRAL_TILT_SD,
    measures: Sequence[ClinicalMeasure] = (),
) -> dict[str, np.ndarray]:
    """Deviations {lla, tka: (frames,) rad, angles: (frames, levels, 3) rad, clinical: (frames, parameters) rad or m}.

    Also the gradient (frames, figures, free), by `GRADIENT_KEY`, of LLA, TKA and the parameters of the lumbopelvic
    rhythm, in the order of `RHYTHM_PARAMETERS`. z: (frames, free) coordinates and blocks: (frames, free, free) their
    covariance, as `inverse_kinematics` passes to `derive`. sacral_tilt_sd: rad. measures: clinical parameters
    (`simspine.anatomy.clinical.clinical_measures`).

    The covariance is propagated linearly. LLA, TKA and some clinical parameters refer to endplates, whose tilt differs
    between people and is not observed: its spread is added, for the sacrum sacral_tilt_sd. Gradients are finite
    differences, of each figure only by the coordinates between its bodies, since others do not change it."""
    own_figures = [*_curvature_figures(body, vertebrae), *(_level_figure(body, level) for level in levels)]
    gradients = _figure_gradients(body, z, [*own_figures, *(_clinical_figure(body, m) for m in measures)])
    rows = np.concatenate(gradients, 1)  # one product for all figures: selecting blocks of a covariance is slow
    each = np.sqrt(np.einsum("tki,tki->tk", rows, rows @ blocks))
    sd = np.split(each, np.cumsum([gradient.shape[1] for gradient in gradients])[:-1], axis=1)
    with_gradient = [0, 1, *(len(own_figures) + i for i in _rhythm_measures(measures))]
    clinical = [name for measure in measures for name in measure.names]
    people = np.array([curvature_sd_of_people(name, sacral_tilt_sd) for name in ("lla", "tka", *clinical)])
    return {
        "lla": np.hypot(sd[0][:, 0], people[0]),
        "tka": np.hypot(sd[1][:, 0], people[1]),
        "angles": np.stack(sd[2 : len(own_figures)], 1),
        "clinical": np.hypot(np.concatenate([np.empty((len(z), 0)), *sd[len(own_figures) :]], 1), people[2:]),
        GRADIENT_KEY: np.stack([gradients[i][:, 0] for i in with_gradient], 1),
    }


def place_covariance(
    body: Body,
    z: np.ndarray,
    blocks: np.ndarray,
    vertebrae: Mapping[str, Vertebra],
    markers: Sequence[int],
    own: np.ndarray,
) -> dict[str, np.ndarray]:
    """Covariances {markers: (frames, markers, 3, 3) m², centres: (frames, vertebrae, 3, 3) m²}.

    z, blocks: as for `spine_deviation`. markers: indices, in the body, of the spine's points. own: (markers and
    vertebrae, 3, 3) m², covariances of their places on the bodies, along the bodies' axes.
    """
    carriers = [body.bodies.index(vertebra.body) + 1 for vertebra in vertebrae.values()]
    centroids = np.array([vertebra.centroid for vertebra in vertebrae.values()]).reshape(-1, 3)
    chosen, whole = list(markers), body.tree
    tree: Tree = whole._replace(  # with these markers only, followed by the centroids as markers
        marker_body=np.concatenate([whole.marker_body[chosen], np.array(carriers, whole.marker_body.dtype)]),
        marker_offset=np.concatenate([whole.marker_offset[chosen], centroids]),
    )
    covariance = marker_covariance(tree, z, blocks)
    rotation = all_poses(tree, all_coordinates(tree, z)[0])[0][:, tree.marker_body]
    covariance += rotation @ own @ rotation.transpose(0, 1, 3, 2)
    return {"markers": covariance[:, : len(markers)], "centres": covariance[:, len(markers) :]}


def _rhythm_measures(measures: Sequence[ClinicalMeasure]) -> list[int]:
    """Indices of the lumbopelvic rhythm's measures, in the order of `RHYTHM_PARAMETERS`; empty if one is missing."""
    names = [measure.names for measure in measures]
    indices = [names.index((name,)) for name in RHYTHM_PARAMETERS if (name,) in names]
    return indices if len(indices) == len(RHYTHM_PARAMETERS) else []


class _Figure(NamedTuple):
    """A figure computed from the poses of some bodies. columns: the free coordinates that change it."""

    bodies: tuple[str, ...]
    of: Callable[[Mapping[str, np.ndarray]], np.ndarray]
    columns: np.ndarray


def _curvature_figures(body: Body, vertebrae: Mapping[str, Vertebra]) -> list[_Figure]:
    def between(of, *names: str) -> _Figure:
        plates = (p for n in names for p in (vertebrae[n].superior, vertebrae[n].inferior) if p)
        bodies = tuple(dict.fromkeys(plate.body for plate in plates))
        return _Figure(bodies, lambda poses: of(poses, vertebrae), columns_between(body, bodies))

    return [between(lumbar_lordosis, "L1", "S1"), between(thoracic_kyphosis, "T3", "T12")]


def _level_figure(body: Body, level: Level) -> _Figure:
    bodies = (level.child,) if level.parent is None else (level.parent, level.child)
    return _Figure(bodies, lambda poses: angles_of_level(level, poses)[0], columns_between(body, bodies))


def _clinical_figure(body: Body, measure: ClinicalMeasure) -> _Figure:
    """A grounded measure also depends on its bodies' poses relative to the ground, not only to one another."""
    ground = ("ground",) if measure.grounded else ()
    return _Figure(measure.bodies, measure.of, columns_between(body, (*measure.bodies, *ground)))


def columns_between(body: Body, bodies: Sequence[str]) -> np.ndarray:
    """Free columns that move some of the bodies but not all of them; for one body, those that move it."""
    moving = [set(body.tree.columns_of(_body_index(body, name)).tolist()) for name in bodies]
    common = set.intersection(*moving) if len(moving) > 1 else set()
    return np.array(sorted(set.union(*moving) - common), int)


def _body_index(body: Body, name: str) -> int:
    """Index of a body in the tree, where the ground has 0."""
    return 0 if name == "ground" else body.bodies.index(name) + 1


def _figure_gradients(body: Body, z: np.ndarray, figures: Sequence[_Figure]) -> list[np.ndarray]:
    """Gradients (frames, values, free) of each figure, by forward differences of its bodies' poses."""
    moved = [(_body_index(body, name), c) for f in figures for name in f.bodies for c in (-1, *f.columns)]
    bodies, columns = np.array(moved, int).T.copy()
    poses = moved_poses(body.tree, np.ascontiguousarray(z), bodies, columns, DIFFERENCE_STEP)
    gradients, first = [], 0
    for figure in figures:
        chosen, size = {}, 1 + len(figure.columns)
        for name in figure.bodies:
            chosen[name] = poses[:, first : first + size].reshape(-1, 4, 4)
            first += size
        values = np.asarray(figure.of(chosen)).reshape(len(z), size, -1)
        gradient = np.zeros((len(z), values.shape[2], z.shape[1]))
        change = wrap_angles(values[:, 1:] - values[:, :1])
        gradient[:, :, figure.columns] = change.swapaxes(1, 2) / DIFFERENCE_STEP
        gradients.append(gradient)
    return gradients


def with_deviation(spine: SpineKinematics, deviation: Mapping[str, np.ndarray] | None) -> SpineKinematics:
    """The spine kinematics with a posterior's derived deviations and covariances; unchanged for None."""
    if deviation is None:
        return spine
    return replace(
        spine,
        lla_sd=deviation["lla"],
        tka_sd=deviation["tka"],
        lla_change_sd=deviation[CHANGE_KEY][:, 0],
        tka_change_sd=deviation[CHANGE_KEY][:, 1],
        angles_sd=deviation["angles"],
        markers=spine.markers.with_(covariance=deviation["markers"]),
        centres=None if spine.centres is None else spine.centres.with_(covariance=deviation["centres"]),
    )


PAPER_NECK_AXES = ("neck_flexion", "neck_bending", "neck_rotation")


def known_deviations(
    body: Body, levels: Mapping[str, np.ndarray | None], lumbar_flexion: np.ndarray | None
) -> dict[str, np.ndarray]:
    """{composed axis: (frames,) rad}: deviations of axes that equal a published figure, with all covariances.

    levels: {level: (frames, 3) rad, deviations of its angles}. lumbar_flexion: (frames,) rad, deviation of the flexion
    of T12 on the sacrum. Where they span the same bodies, the neck's axes equal the angles of the level 'neck', and the
    abdomen's flexion equals lumbar flexion.
    """
    spans = {axis.name: axis.spans for axis in paper_axes_of(body)}
    known: dict[str, np.ndarray] = {}
    neck = levels.get("neck")
    if neck is not None and spans["neck_flexion"] == ("T1", "head"):
        known |= {name: neck[:, k] for k, name in enumerate(PAPER_NECK_AXES)}
    if lumbar_flexion is not None and spans["Abs_r3"] == ("sacrum", "T12"):
        known["Abs_r3"] = lumbar_flexion
    return known


def paper_axes_deviation(body: Body, motion: Motion, known: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """(frames, 62) rad, m: standard deviations of `to_paper_axes`; NaN where a frame is not solved, None where `motion`
    has no deviations. motion: of all the body's coordinates, in the body's order.

    known: {axis: (frames,) rad}, deviations of composed axes from the covariances (`known_deviations`). Axes that are
    coordinates of the body have these coordinates' deviations. Those of other composed axes are propagated linearly
    from the coordinates between the bodies that the axis spans. Their errors count as independent, since covariances
    are not kept. This is rough: errors of neighbouring levels are correlated (docs/how-to/data-set.md)."""
    if motion.deviation is None:
        return None
    axes, base = paper_axes_of(body), to_paper_axes(body, motion)
    sd = np.zeros(base.values.shape)
    for i, axis in enumerate(axes):
        if axis.how != AXIS_COMPOSED and axis.name in motion.names:
            sd[:, i] = motion.deviation[:, motion.names.index(axis.name)]
    spans = {
        axis.spans: [i for i, other in enumerate(axes) if other.spans == axis.spans] for axis in axes if axis.spans
    }
    between = {span: columns_between(body, span) for span in spans}
    for column in sorted({int(c) for columns in between.values() for c in columns}):
        coordinate = int(body.tree.free[column])
        moved = np.array(motion.values)
        moved[:, coordinate] += DIFFERENCE_STEP
        changed = to_paper_axes(body, motion.with_(values=follow_couplers(body, moved), deviation=None))
        own = [i for span, columns in between.items() if column in columns for i in spans[span]]
        slope = wrap_angles(changed.values[:, own] - base.values[:, own]) / DIFFERENCE_STEP
        sd[:, own] = np.hypot(sd[:, own], slope * motion.deviation[:, [coordinate]])
    for name, deviation in known.items():
        sd[:, base.names.index(name)] = deviation
    return np.where(np.isfinite(base.values), sd, np.nan)
