"""A lifter of any method: fitted to some people's views, applied to others'."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simspine.errors import InputError
from simspine.evaluation.points import PointSequence
from simspine.learning.controls import FITTED
from simspine.learning.dataset_views import dataset_views
from simspine.learning.encoding import Encoding
from simspine.learning.options import CONTROLS, LiftingOptions, LiftingSource
from simspine.learning.redrawing import redrawn
from simspine.learning.torch_import import chosen_device, require_torch
from simspine.learning.views import SPINE, LiftingView, Samples, chosen_points, digest, predicted, samples
from simspine.learning.virtual_views import virtual_views
from simspine.skeletons import load

if TYPE_CHECKING:
    from torch import nn

    from simspine.learning.descent import DescentRun
    from simspine.learning.training import History, LearningData

# (samples, frames, inputs) → standardised targets, (samples, outputs).
Apply = Callable[[np.ndarray], np.ndarray]
Say = Callable[[str], None]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class FittedLifter:
    """What `fit_lifter` gives. names: points that it lifts, the root first. history: losses of a network, by epoch.
    network: of a method that has one; data: digest of what it learnt from; rate: frames/s of that.
    """

    options: LiftingOptions
    names: tuple[str, ...]
    encoding: Encoding
    apply: Apply
    history: "History | None" = None
    network: "nn.Module | None" = None
    data: str = ""
    rate: float | None = None

    def samples(self, views: Sequence[LiftingView]) -> Samples:
        """Scored frames of the views with the points, image and context that the lifter sees."""
        return samples_for(self.options, views, self.names)

    def lift(self, views: Sequence[LiftingView]) -> tuple[PointSequence, ...]:
        """Points in space of the scored frames, root-relative, camera's axes, m; NaN where no point was seen."""
        return predicted(views, self.names, self.lift_samples(self.samples(views)))

    def lift_samples(self, data: Samples) -> np.ndarray:
        """(samples, points, 3) m."""
        blind = ~np.isfinite(data.seen[:, data.seen.shape[1] // 2]).any((1, 2))
        return np.where(blind[:, None, None], np.nan, self.encoding.points(self.apply(self.encoding.features(data))))


def source_views(
    source: LiftingSource, subjects: Sequence[str], progress: Progress | None = None
) -> tuple[LiftingView, ...]:
    """All trials of the subjects as cameras see them: synthetic subjects, or those of a data set."""
    make = virtual_views if source.dataset is None else dataset_views
    return make(source, subjects, progress)


def of_subjects(views: Sequence[LiftingView], subjects: Sequence[str]) -> tuple[LiftingView, ...]:
    """The views of these subjects, in the order they have."""
    return tuple(view for view in views if view.truth.subject in subjects)


def samples_for(options: LiftingOptions, views: Sequence[LiftingView], names: Sequence[str]) -> Samples:
    """The samples that the options ask for; image points that their detector does not give are missing."""
    found = samples(views, names, options.input == "truth", sample_length(options))
    given = np.isin(names, given_points(options, names))
    return replace(found, seen=np.where(given[:, None], found.seen, np.nan))


def given_points(options: LiftingOptions, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the names that the options' detector gives."""
    skeleton = None if options.skeleton is None else load(options.skeleton)
    return tuple(name for name in names if skeleton is None or skeleton.from_simspine(name) is not None)


def sample_length(options: LiftingOptions) -> int:
    """Frames of a sample."""
    return options.network.receptive if options.method == "temporal" else 1


def fit_lifter(
    options: LiftingOptions, views: Sequence[LiftingView], folder: str | Path, say: Say = lambda line: None
) -> FittedLifter:
    """A lifter fitted to the views of the training subjects; those of others are watched while a network learns.

    folder: where a network keeps its checkpoint, and goes on from. Raises `InputError` where there is nothing to learn
    from, PyTorch is needed and missing, or the checkpoint is of other data or settings.
    """
    names = chosen_points(views[0].truth.names, options.points) if views else SPINE
    learnt = of_subjects(views, options.train)
    every = samples_for(options, learnt, names)
    data = every.usable()
    if len(data) < 2:
        raise InputError(
            f"{len(data)} samples to learn from (subjects {', '.join(options.train)}, input {options.input}): at least "
            "two are needed. Detected points of a data set come from source.keypoints."
        )
    encoding = Encoding.of(data)
    if options.method in CONTROLS:
        control = FITTED[options.method](encoding.features(data)[:, 0], encoding.targets(data))
        return FittedLifter(options, names, encoding, lambda features: control.predict(features[:, 0]))
    learning = _learning(data, encoding, samples_for(options, of_subjects(views, options.test), names))
    if options.training.redraw:
        exact = samples(learnt, names, True, sample_length(options)).rows(every.good)
        learning = replace(learning, redrawn=partial(_redrawn, data, exact, encoding, options.seed))
    lifter = _fit_network(options, data, encoding, learning, (Path(folder), say))
    return replace(lifter, rate=views[0].truth.rate)


def _fit_network(
    options: LiftingOptions, data: Samples, encoding: Encoding, learning: "LearningData", place: tuple[Path, Say]
) -> FittedLifter:
    from simspine.learning.training import apply_network, fit_network

    run = _run(options, data, place)
    network, history = fit_network(
        lambda: _network(options, learning.features.shape[-1], encoding), learning, options.training, run
    )
    return FittedLifter(
        options, data.names, encoding, lambda features: apply_network(network, features), history, network=network,
        data=run.identity.data,
    )  # fmt: skip


def _redrawn(data: Samples, exact: Samples, encoding: Encoding, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and targets of an epoch."""
    found = redrawn(data, exact, seed, epoch)
    return encoding.features(found), encoding.targets(found)


def _learning(data: Samples, encoding: Encoding, watched: Samples) -> "LearningData":
    require_torch()
    from simspine.learning.training import LearningData

    spine = [data.names.index(name) for name in SPINE]

    def error_mm(targets: np.ndarray) -> float:
        return 1e3 * float(
            np.nanmean(np.linalg.norm(encoding.points(targets)[:, spine] - watched.xyz[:, spine], axis=-1))
        )

    features = encoding.features(data)
    if not len(watched):
        return LearningData(features, encoding.targets(data))
    return LearningData(features, encoding.targets(data), encoding.features(watched), error_mm)


def _run(options: LiftingOptions, data: Samples, place: tuple[Path, Say]) -> "DescentRun":
    from simspine.learning.checkpoints import Identity
    from simspine.learning.descent import DescentRun

    stated = options.model_dump(mode="json", exclude={"training": {"device"}})
    device = chosen_device(options.training.device)
    return DescentRun(place[0], Identity(stated, digest(data)), options.seed, device, place[1])


def _network(options: LiftingOptions, inputs: int, encoding: Encoding):
    """The network of the options' method, with fresh weights."""
    from simspine.learning.networks import SimpleBaseline, TemporalLifter

    outputs = encoding.space_mean.size
    if options.method == "simple":
        return SimpleBaseline(inputs, outputs, options.network)
    return TemporalLifter(inputs, outputs, options.network)
