"""Synthetic subjects as cameras and a detector see them, in memory: no bodies are fitted, so an hour takes seconds.

Points are thinned before they are detected. The detector's errors have their correlation times all the same, since they
are drawn for the thinned rate; spells shorter than its interval last one frame.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from simspine.body.recipes import VIRTUAL
from simspine.capture import truth
from simspine.capture.detections import detect
from simspine.capture.presets import Preset, read_preset
from simspine.capture.rig import rig
from simspine.capture.subjects import SyntheticSubject, make_subject, subject_name
from simspine.capture.trial_files import motion_of
from simspine.errors import require_known
from simspine.evaluation.points import PointSequence
from simspine.geometry import undistort
from simspine.learning.options import LiftingSource
from simspine.learning.views import LiftingView
from simspine.skeletons import TARGET, load
from simspine.sources.human36m.names import select_trials
from simspine.types import Camera, Markers

MOST = 50  # subjects that names are looked for among
Progress = Callable[[int, int], None]


def virtual_views(
    source: LiftingSource, subjects: Sequence[str], progress: Progress | None = None
) -> tuple[LiftingView, ...]:
    """All trials of the named subjects of a virtual capture, as each camera sees them, with 37 points.

    Equal arguments give equal numbers. progress: called with (trials done, trials in all). Raises `InputError` for
    subjects, actions or presets that do not exist.
    """
    known = [subject_name(index) for index in range(MOST)]
    require_known("subject", subjects, known, "the virtual capture")
    preset, trials = read_preset(source.detections), select_trials(source.actions)
    found: list[LiftingView] = []
    for i, name in enumerate(subjects):
        person, cameras = make_subject(source.seed, known.index(name), source.spines), rig(source.seed, name)
        for k, trial in enumerate(trials):
            found += trial_views(source, person, trial, cameras, preset)
            if progress is not None:
                progress(i * len(trials) + k + 1, len(subjects) * len(trials))
    return tuple(found)


def trial_views(
    source: LiftingSource, person: SyntheticSubject, trial: str, cameras: Sequence[Camera], preset: Preset
) -> list[LiftingView]:
    """One trial ('Walking_1') as each camera sees it."""
    whole = truth.make_trial(person, *motion_of(trial), source.frames)
    frames = np.arange(0, whole.frames, source.context)
    motion = replace(whole.motion, values=whole.motion.values[frames], rate=whole.motion.rate / source.context)
    thin = replace(whole, motion=motion)
    points, parts = _points(thin, source.family), truth.capsules(thin)
    keypoints = detect(points, cameras, parts.ends, parts.radii, preset, source.seed, person.name, trial).keypoints
    made = []
    for v, camera in enumerate(cameras):
        sequence = PointSequence(
            subject=person.name,
            trial=trial,
            frames=frames,
            names=points.names,
            xyz=points.xyz @ camera.R.T + camera.t,
            axes="camera",
            camera=camera.name,
            rate=whole.motion.rate,
        )
        made.append(LiftingView(sequence, normalised(camera, keypoints.xy[:, v]), frames % source.every == 0))
    return made


def normalised(camera: Camera, xy: np.ndarray) -> np.ndarray:
    """Pixels (frames, points, 2) as ideal normalised coordinates; NaN stays."""
    out = np.full(xy.shape, np.nan)
    there = np.isfinite(xy).all(-1)
    out[there] = undistort(camera, xy[there])
    return out


def _points(trial: truth.TruthTrial, family: str) -> Markers:
    """The 37 points, z_up; of the family 'released' with the spine's at the places of the released marker set."""
    every, names = truth.markers(trial), load(TARGET).names
    if family == "centroids":
        return every.select(names)
    released = [name + VIRTUAL if name + VIRTUAL in every.names else name for name in names]
    return Markers(names, every.rate, every.select(released).xyz, every.frame)
