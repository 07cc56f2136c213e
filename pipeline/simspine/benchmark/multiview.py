"""The multi-view protocol without anybody's data: a small virtual capture, and what three methods make of it.

Each method gets the same 2D points and cameras, and no motion capture. True are the places that the detector is asked
to mark; with the preset `exact` it marks them exactly, as 'GT 2D' does in the papers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np

from simspine.benchmark.methods import PLACES, Experiment, ObservedTrial, our_markers
from simspine.benchmark.peer import triangulate_plainly
from simspine.benchmark.virtual_trials import StudySize
from simspine.body.kinematics import forward_kinematics
from simspine.body.options import ScalingOptions
from simspine.body.recipes import read_recipe
from simspine.capture.detections import detect
from simspine.capture.presets import read_preset
from simspine.capture.rig import rig
from simspine.capture.truth import ACTIONS, capsules, make_subject, make_trial, points
from simspine.errors import InputError, require_known
from simspine.evaluation.points import PointSequence
from simspine.geometry import in_frame
from simspine.pipeline.fit_person import body_of_person
from simspine.pipeline.kinematics import solve_kinematics
from simspine.types import Camera, Keypoints, Markers

CONFIDENT = 0.3  # Pose2Sim's default; the paper does not say
SMALL = StudySize(subjects=2, actions=("Walking", "Sitting"), frames=60)
PRESETS = MappingProxyType({"exact": "GT 2D", "finetuned": "fine-tuned", "zero-shot": "zero-shot"})  # the paper's rows
# A detector's places for the limbs are off by centimetres, and not alike left and right; motion capture's are not.
SETTINGS = Experiment(use_mocap=False, scaling=ScalingOptions(max_asymmetry=0.3))
RECIPE = SETTINGS.recipe


Method = Callable[[Sequence[ObservedTrial]], list[Markers]]  # points of all trials of a person


@dataclass(frozen=True)
class MultiviewStudy:
    """predictions: {'method, detector': points}, a sequence per trial. refused: {'method, detector, subject': why there
    is nothing}."""

    predictions: Mapping[str, tuple[PointSequence, ...]]
    truth: tuple[PointSequence, ...]
    refused: Mapping[str, str]


def triangulate_confident(keypoints: Keypoints, cameras: Sequence[Camera], threshold: float = CONFIDENT) -> Markers:
    """The paper's baseline (z_up): weighted linear triangulation of the views that are confident enough.

    Views with less confidence than `threshold` are rejected, point by point; NaN with fewer than two left.
    """
    sure = np.where(keypoints.confidence >= threshold, keypoints.confidence, 0.0)
    return triangulate_plainly(keypoints.with_(confidence=sure), cameras)


def run(
    size: StudySize = SMALL,
    presets: Sequence[str] = tuple(PRESETS),
    threshold: float = CONFIDENT,
    bodies: Sequence[str] = (RECIPE,),
    progress: Callable[[str], None] = lambda line: None,
) -> MultiviewStudy:
    """Predictions of all methods of all virtual trials, as the detectors of the presets see them.

    bodies: recipes of the third method, which takes most of the time; () leaves it out. A subject whom it refuses
    counts as not predicted.
    """
    if size.subjects < 1 or size.frames < 20 or not size.actions:
        raise InputError(
            f"{size.subjects} people, {len(size.actions)} actions, {size.frames} frames: expected at least 1, 1 and 20 "
            "(the filters need so many)."
        )
    require_known("detector of the virtual capture", presets, PRESETS)
    found: dict[str, list[PointSequence]] = {}
    truth: list[PointSequence] = []
    refused: dict[str, str] = {}
    methods: dict[str, Method] = {"linear": partial(linear, threshold=threshold), "ours": ours}
    for recipe in bodies:
        read_recipe(recipe)  # before anything is made
        name = "ours + body" if recipe == RECIPE else f"ours + {recipe} body"
        methods[name] = partial(with_body, recipe=recipe)
    for first, preset in enumerate(presets):
        for observed, exact in recorded(size, preset):
            if not first:
                truth += [as_sequence(o, e) for o, e in zip(observed, exact, strict=True)]
            for method, estimate in methods.items():
                name = f"{method}, {PRESETS[preset]}"
                progress(f"{name}: {observed[0].subject}")
                own = found.setdefault(name, [])
                try:
                    own += map(as_sequence, observed, estimate(observed))
                except InputError as error:
                    refused[f"{name}, {observed[0].subject}"] = str(error)
    return MultiviewStudy({name: tuple(own) for name, own in found.items()}, tuple(truth), refused)


def recorded(size: StudySize, preset: str) -> Iterator[tuple[list[ObservedTrial], list[Markers]]]:
    """Of each subject: the trials as the detector of `preset` sees them, and the places it is asked to mark (z_up)."""
    require_known("action", size.actions, ACTIONS)
    for index in range(size.subjects):
        subject = make_subject(size.seed, index, size.spines)
        observed, exact = [], []
        cameras = tuple(rig(size.seed, subject.name))
        for action in size.actions:
            trial = make_trial(subject, action, 1, size.frames)
            parts, true = capsules(trial), points(trial)
            detector = read_preset(preset)
            seen = detect(true, cameras, parts.ends, parts.radii, detector, size.seed, subject.name, trial.trial)
            observed.append(ObservedTrial(subject.name, trial.trial, seen.keypoints, cameras))
            exact.append(true)
        yield observed, exact


def linear(trials: Sequence[ObservedTrial], threshold: float = CONFIDENT) -> list[Markers]:
    """The paper's baseline on each trial."""
    return [triangulate_confident(trial.keypoints, trial.cameras, threshold) for trial in trials]


def ours(trials: Sequence[ObservedTrial]) -> list[Markers]:
    """Our triangulation and filter on each trial."""
    return [our_markers(trial, SETTINGS)[0] for trial in trials]


def with_body(trials: Sequence[ObservedTrial], recipe: str = RECIPE) -> list[Markers]:
    """The forward kinematics of a body that is fitted to ours; all trials are of one person.

    Points that the body lacks (most of the face) stay ours.
    """
    markers = ours(trials)
    sized, _ = body_of_person(markers, recipe, SETTINGS.marker_set, SETTINGS.options)
    results = [solve_kinematics(sized, own, PLACES, SETTINGS.ik) for own in markers]
    return [_joined(forward_kinematics(sized.body, r.motion), own) for r, own in zip(results, markers, strict=True)]


def _joined(model: Markers, measured: Markers) -> Markers:
    """The measured points with the model's in their places where it has them; both y_up."""
    shared = [name for name in measured.names if name in model.names]
    xyz = np.array(measured.xyz)
    xyz[:, measured.indices(shared)] = model.select(shared).xyz
    return Markers(measured.names, measured.rate, xyz, measured.frame)


def as_sequence(trial: ObservedTrial, markers: Markers) -> PointSequence:
    """Markers of a trial, in the world (z_up)."""
    world = in_frame(markers, "z_up")
    return PointSequence(
        trial.subject, trial.trial, np.arange(world.frames), world.names, world.xyz, "z_up", rate=world.rate
    )
