"""A lifter of any method, controls among them: fitted to some people's views, applied to others'."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tools.lifting_baselines.options import CONTROL_METHODS, LiftingOptions, LiftingSource
from tools.lifting_baselines.samples import (
    LIFTED_SPINE_POINTS,
    Encoding,
    LiftingSamples,
    LiftingView,
    chosen_points,
    lifting_samples,
    lifting_views_of_dataset,
    lifting_views_of_subjects,
    predicted_sequences,
    samples_digest,
)

from simspine.core.errors import InputError
from simspine.evaluation.point_sources import PointSequence
from simspine.learning.options import SayLine, chosen_device, require_torch

if TYPE_CHECKING:
    from tools.lifting_baselines.networks import LearningData

    from simspine.learning.descent import DescentHistory, DescentRun


# Controls: what any lifter must beat. All are fitted to standardised features and targets (`Encoding`).


RIDGE_PENALTIES = tuple(10.0 ** np.arange(-4, 3))  # of ridge regression, relative to the number of samples
QUERY_BLOCK_SIZE = 2000  # queries compared with all of the training data at once

# Features (samples, inputs) → targets (samples, outputs).
ApplyLifter = Callable[[np.ndarray], np.ndarray]


def fit_mean_pose(features: np.ndarray, targets: np.ndarray) -> ApplyLifter:
    """Always the mean of the training data."""
    mean = targets.mean(0)
    return lambda queries: np.broadcast_to(mean, (len(queries), len(mean)))


def fit_nearest_neighbour(features: np.ndarray, targets: np.ndarray) -> ApplyLifter:
    """The pose of the training sample whose standardised image points are nearest."""
    known = features.astype(np.float32)

    def predict(queries: np.ndarray) -> np.ndarray:
        found = []
        for start in range(0, len(queries), QUERY_BLOCK_SIZE):
            wanted = queries[start : start + QUERY_BLOCK_SIZE].astype(np.float32)
            distance = (known**2).sum(1) - 2 * wanted @ known.T  # squared, less the query's own length
            found.append(targets[distance.argmin(1)])
        return np.concatenate(found) if found else targets[:0]

    return predict


def fit_ridge(features: np.ndarray, targets: np.ndarray) -> ApplyLifter:
    """Linear in the features, with the penalty of `best_ridge_penalty`."""
    x = _with_constant(features)
    weights = ridge_weights(x.T @ x, x.T @ targets, best_ridge_penalty(features, targets))
    return lambda queries: _with_constant(queries) @ weights


def best_ridge_penalty(features: np.ndarray, targets: np.ndarray) -> float:
    """The penalty with the smallest error of held-out fifths of the training data.

    The fifths are blocks of neighbouring samples, since neighbours in time tell of one another."""
    x = _with_constant(features)
    parts = np.array_split(np.arange(len(x)), 5)
    squares = [x[part].T @ x[part] for part in parts]
    products = [x[part].T @ targets[part] for part in parts]
    errors = []
    for penalty in RIDGE_PENALTIES:
        held = 0.0
        for k, part in enumerate(parts):
            weights = ridge_weights(sum(squares) - squares[k], sum(products) - products[k], penalty)
            held += float(((x[part] @ weights - targets[part]) ** 2).sum())
        errors.append(held)
    return float(RIDGE_PENALTIES[int(np.argmin(errors))])


CONTROL_FITTERS: Mapping[str, Callable[[np.ndarray, np.ndarray], ApplyLifter]] = {
    "mean": fit_mean_pose,
    "nearest": fit_nearest_neighbour,
    "ridge": fit_ridge,
}


def _with_constant(features: np.ndarray) -> np.ndarray:
    return np.concatenate([features, np.ones((len(features), 1))], 1)


def ridge_weights(square: np.ndarray, product: np.ndarray, penalty: float) -> np.ndarray:
    """Ridge weights; the last feature, the constant, goes free. The number of samples is the constant's square."""
    ridge = penalty * square[-1, -1] * np.eye(len(square))
    ridge[-1, -1] = 0.0
    return np.linalg.solve(square + ridge, product)


@dataclass(frozen=True, eq=False)
class FittedLifter:
    """What `fit_lifter` gives. names: points that it lifts, the root first. history: of a network, by epoch, watched in
    mm."""

    options: LiftingOptions
    names: tuple[str, ...]
    encoding: Encoding
    apply: ApplyLifter
    history: "DescentHistory | None" = None

    def samples(self, views: Sequence[LiftingView]) -> LiftingSamples:
        """Scored frames of the views with the points and image that the lifter sees."""
        return lifting_samples(views, self.names, self.options.input == "truth")

    def lift(self, views: Sequence[LiftingView]) -> tuple[PointSequence, ...]:
        """Points in space of the scored frames, root-relative, camera's axes, m; NaN where no point was seen."""
        return predicted_sequences(views, self.names, self.lift_samples(self.samples(views)))

    def lift_samples(self, data: LiftingSamples) -> np.ndarray:
        """(samples, points, 3) m."""
        blind = ~np.isfinite(data.seen).any((1, 2))
        return np.where(blind[:, None, None], np.nan, self.encoding.points(self.apply(self.encoding.features(data))))


def source_views(source: LiftingSource, subjects: Sequence[str]) -> tuple[LiftingView, ...]:
    """All trials of the subjects as cameras see them: synthetic subjects, or those of a data set."""
    make = lifting_views_of_subjects if source.dataset is None else lifting_views_of_dataset
    return make(source, subjects)


def views_of_subjects(views: Sequence[LiftingView], subjects: Sequence[str]) -> tuple[LiftingView, ...]:
    """The views of these subjects, in the order they have."""
    return tuple(view for view in views if view.truth.subject in subjects)


def fit_lifter(
    options: LiftingOptions, views: Sequence[LiftingView], folder: str | Path, say: SayLine = lambda line: None
) -> FittedLifter:
    """A lifter fitted to the views of the training subjects; those of others are watched while a network learns.

    folder: where a network keeps its checkpoint, and goes on from. Raises `InputError` where there is nothing to learn
    from, PyTorch is needed and missing, or the checkpoint is of other data or settings."""
    names = chosen_points(views[0].truth.names, options.points) if views else LIFTED_SPINE_POINTS
    learnt = views_of_subjects(views, options.train)
    exact = options.input == "truth"
    data = lifting_samples(learnt, names, exact).usable()
    if len(data) < 2:
        raise InputError(
            f"{len(data)} samples to learn from (subjects {', '.join(options.train)}, input {options.input}): at least "
            "two are needed. Detected points of a data set come from source.keypoints."
        )
    encoding = Encoding.of(data)
    if options.method in CONTROL_METHODS:
        control = CONTROL_FITTERS[options.method](encoding.features(data), encoding.targets(data))
        return FittedLifter(options, names, encoding, control)
    require_torch()
    from simspine.learning.descent import DescentRun, TrainingIdentity

    watched = lifting_samples(views_of_subjects(views, options.test), names, exact)
    learning = _learning_data(data, encoding, watched)
    stated = options.model_dump(mode="json", exclude={"training": {"device"}})
    run = DescentRun(
        folder=Path(folder),
        identity=TrainingIdentity(stated, samples_digest(data)),
        seed=options.seed,
        device=chosen_device(options.training.device),
        say=say,
    )
    return _fit_network(options, names, encoding, learning=learning, run=run)


def _fit_network(
    options: LiftingOptions, names: tuple[str, ...], encoding: Encoding, learning: "LearningData", run: "DescentRun"
) -> FittedLifter:
    from tools.lifting_baselines.networks import SimpleBaseline, apply_network, fit_network

    network, history = fit_network(
        lambda: SimpleBaseline(learning.features.shape[-1], encoding.space_mean.size, options.network),
        learning,
        options.training,
        run,
    )
    return FittedLifter(
        options=options,
        names=names,
        encoding=encoding,
        apply=lambda features: apply_network(network, features),
        history=history,
    )


def _learning_data(data: LiftingSamples, encoding: Encoding, watched: LiftingSamples) -> "LearningData":
    from tools.lifting_baselines.networks import LearningData

    spine = [data.names.index(name) for name in LIFTED_SPINE_POINTS]

    def error_mm(apply: ApplyLifter) -> float:
        if not len(watched):
            return float("nan")
        found = encoding.points(apply(encoding.features(watched)))[:, spine]
        return 1e3 * float(np.nanmean(np.linalg.norm(found - watched.xyz[:, spine], axis=-1)))

    return LearningData(encoding.features(data), encoding.targets(data), error_mm)
