"""How sure the spine's figures are: standard deviations of curvature, level angles and points from the posterior."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simspine.body.kernels import all_poses, expand, moved_poses
from simspine.body.model import Body
from simspine.body.tree import Tree
from simspine.geometry import wrap
from simspine.ik.result import CHANGE, GRADIENT
from simspine.ik.uncertainty import marker_covariance
from simspine.spine.clinical import Measure
from simspine.spine.curvature import lumbar_lordosis, people_sd, thoracic_kyphosis
from simspine.spine.endplates import SACRAL_TILT_SD, Vertebra
from simspine.spine.levels import Level
from simspine.spine.lumbopelvic import OF
from simspine.spine.vertebrae import SpineKinematics, level_angles

STEP = 1e-5  # rad or m
CHUNK = 100  # frames whose moved copies are evaluated together


def spine_deviation(
    body: Body,
    z: np.ndarray,
    blocks: np.ndarray,
    vertebrae: Mapping[str, Vertebra],
    levels: Sequence[Level],
    sacral_tilt_sd: float = SACRAL_TILT_SD,
    measures: Sequence[Measure] = (),
) -> dict[str, np.ndarray]:
    """Deviations {lla, tka: (frames,) rad, angles: (frames, levels, 3) rad, clinical: (frames, parameters) rad or m};
    the gradient (frames, figures, free) of LLA, TKA and those of the measures that make the lumbopelvic rhythm, in
    its order.

    z: (frames, free) coordinates, blocks: (frames, free, free) their covariance, as `inverse_kinematics` hands to its
    `derive`. sacral_tilt_sd: rad. measures: clinical parameters (`simspine.spine.clinical.measures`). Linear
    propagation of the covariance. LLA, TKA and some clinical parameters count from endplates, which tilt from person to
    person, unseen: that spread is added, the sacrum's as given. Gradients are differences between poses in which one
    coordinate was moved; of each figure only by the coordinates that lie between its bodies, since the others cannot
    change it.
    """
    own_figures = [*_curvatures(vertebrae), *(_of_level(level) for level in levels)]
    figures = [*own_figures, *(_Figure(m.bodies, m.of, m.grounded) for m in measures)]
    columns = [_moving(body, figure) for figure in figures]
    moved, column, first = _moves(body, figures, columns)
    found = []
    followed = [0, 1, *(len(own_figures) + i for i in _of_rhythm(measures))]
    slope = np.zeros((len(z), len(followed), z.shape[1]))
    for start in range(0, len(z), CHUNK):
        part = z[start : start + CHUNK]
        poses = moved_poses(body.tree, part, moved, column, STEP)
        gradients = []
        for i, (figure, own) in enumerate(zip(figures, columns, strict=True)):
            size = 1 + len(own)
            begins = range(first[i], first[i + 1], size)
            chosen = {
                name: poses[:, begin : begin + size].reshape(-1, 4, 4)
                for name, begin in zip(figure.bodies, begins, strict=True)
            }
            values = np.asarray(figure.of(chosen)).reshape(len(part), size, -1)
            change = values[:, 1:] - values[:, :1]
            gradient = np.zeros((len(part), values.shape[2], z.shape[1]))
            gradient[:, :, own] = wrap(change).swapaxes(1, 2) / STEP
            gradients.append(gradient)
            if i in followed:
                slope[start : start + len(part), followed.index(i)] = gradient[:, 0]
        rows = np.concatenate(gradients, 1)  # one product for all figures: NumPy picks parts of a covariance slowly
        found.append(np.sqrt(np.einsum("tki,tki->tk", rows, rows @ blocks[start : start + len(part)])))
    sd = np.split(np.concatenate(found), np.cumsum([gradient.shape[1] for gradient in gradients])[:-1], axis=1)
    clinical = [name for measure in measures for name in measure.names]
    people = np.array([people_sd(name, sacral_tilt_sd) for name in ("lla", "tka", *clinical)])
    return {
        "lla": np.hypot(sd[0][:, 0], people[0]),
        "tka": np.hypot(sd[1][:, 0], people[1]),
        "angles": np.stack(sd[2 : len(own_figures)], 1),
        "clinical": np.hypot(np.concatenate([np.empty((len(z), 0)), *sd[len(own_figures) :]], 1), people[2:]),
        GRADIENT: slope,
    }


def place_covariance(
    body: Body, z: np.ndarray, blocks: np.ndarray, vertebrae: Mapping[str, Vertebra], markers: Sequence[int]
) -> dict[str, np.ndarray]:
    """Covariances {markers: (frames, markers, 3, 3) m², centres: (frames, vertebrae, 3, 3) m²}.

    z, blocks: as of `spine_deviation`. markers: indices, in the body, of the spine's points.
    """
    covariance = marker_covariance(_with_centroids(body, markers, vertebrae), z, blocks)
    return {"markers": covariance[:, : len(markers)], "centres": covariance[:, len(markers) :]}


def carried_covariance(body: Body, z: np.ndarray, markers: Sequence[int], own: np.ndarray) -> np.ndarray:
    """(frames, markers, 3, 3) m² in ground. own: (markers, 3, 3) m², along the axes of the bodies that carry them.

    markers: indices in the body.
    """
    carriers = body.tree.marker_body[list(markers)]
    turned = all_poses(body.tree, expand(body.tree, z)[0])[0][:, carriers]
    return turned @ own @ turned.transpose(0, 1, 3, 2)


def _of_rhythm(measures: Sequence[Measure]) -> list[int]:
    """Which measures make the lumbopelvic rhythm, in its order; none where one of them is not there."""
    names = [measure.names for measure in measures]
    found = [names.index((name,)) for name in OF if (name,) in names]
    return found if len(found) == len(OF) else []


def _with_centroids(body: Body, markers: Sequence[int], vertebrae: Mapping[str, Vertebra]) -> Tree:
    """The body's tree with some of its markers, and the vertebrae's centroids as markers after them."""
    tree = body.tree
    carriers = [body.bodies.index(vertebra.body) + 1 for vertebra in vertebrae.values()]
    places = np.array([vertebra.centroid for vertebra in vertebrae.values()]).reshape(-1, 3)
    return tree._replace(
        marker_body=np.concatenate([tree.marker_body[list(markers)], np.array(carriers, tree.marker_body.dtype)]),
        marker_offset=np.concatenate([tree.marker_offset[list(markers)], places]),
    )


@dataclass(frozen=True)
class _Figure:
    """Something computed from the poses of some bodies. grounded: it depends on how they stand to the ground as well,
    not to one another only (that of one body always does)."""

    bodies: tuple[str, ...]
    of: Callable[[Mapping[str, np.ndarray]], np.ndarray]
    grounded: bool = False


def _curvatures(vertebrae: Mapping[str, Vertebra]) -> list[_Figure]:
    def on(*names: str) -> tuple[str, ...]:
        plates = (p for n in names for p in (vertebrae[n].superior, vertebrae[n].inferior) if p)
        return tuple(dict.fromkeys(plate.body for plate in plates))

    return [
        _Figure(on("L1", "S1"), lambda poses: lumbar_lordosis(poses, vertebrae)),
        _Figure(on("T3", "T12"), lambda poses: thoracic_kyphosis(poses, vertebrae)),
    ]


def _of_level(level: Level) -> _Figure:
    bodies = (level.child,) if level.parent is None else (level.parent, level.child)
    return _Figure(bodies, lambda poses: level_angles(level, poses, {})[0])


def _moving(body: Body, figure: _Figure) -> np.ndarray:
    """Free columns that change a figure."""
    return columns_between(body, (*figure.bodies, *(["ground"] if figure.grounded else [])))


def columns_between(body: Body, bodies: Sequence[str]) -> np.ndarray:
    """Free columns that move some of the bodies, but not all of them alike. Of one body: those that move it."""
    moved = [set(body.tree.columns_of(_index(body, name)).tolist()) for name in bodies]
    alike = set.intersection(*moved) if len(moved) > 1 else set()
    return np.array(sorted(set.union(*moved) - alike), int)


def _index(body: Body, name: str) -> int:
    """Of a body in the tree, whose first is the ground."""
    return 0 if name == "ground" else body.bodies.index(name) + 1


def _moves(
    body: Body, figures: Sequence[_Figure], columns: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """For each figure and each of its bodies, its pose as it is, then with each of the figure's columns moved: body in
    the tree (poses,), column or −1 (poses,), and where the poses of each figure begin.
    """
    moved, column, first = [], [], [0]
    for figure, own in zip(figures, columns, strict=True):
        for name in figure.bodies:
            moved += [_index(body, name)] * (1 + len(own))
            column += [-1, *own.tolist()]
        first.append(len(moved))
    return np.array(moved, int), np.array(column, int), first


def with_deviation(spine: SpineKinematics, deviation: Mapping[str, np.ndarray] | None) -> SpineKinematics:
    """The spine kinematics with what `spine_deviation` found; unchanged for None."""
    if deviation is None:
        return spine
    return replace(
        spine,
        lla_sd=deviation["lla"],
        tka_sd=deviation["tka"],
        lla_change_sd=deviation[CHANGE][:, 0],
        tka_change_sd=deviation[CHANGE][:, 1],
        angles_sd=deviation["angles"],
        markers=spine.markers.with_(covariance=deviation["markers"]),
        centres=None if spine.centres is None else spine.centres.with_(covariance=deviation["centres"]),
    )
