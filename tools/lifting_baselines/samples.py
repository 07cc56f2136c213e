"""What lifters learn from: trials as single cameras see them, samples of these, and the numbers that a method sees."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tools.lifting_baselines.options import LiftingSource

from simspine.core.arrays import mean_of_known, rms_of_known
from simspine.core.errors import InputError, require_known, safe_file_name
from simspine.core.geometry import change_frame, undistort_pixels
from simspine.core.skeletons import SIMSPINE_SKELETON, SPINE_REGIONS, load_skeleton
from simspine.core.types import Camera
from simspine.dataset.recordings import Recording, open_dataset
from simspine.evaluation.point_sources import PointSequence
from simspine.io.hdf5 import read_store
from simspine.io.human36m.names import select_trials
from simspine.synthesis import virtual_trial
from simspine.synthesis.population import SyntheticSubject, make_subject, subject_name
from simspine.synthesis.virtual_detector import Preset, read_preset
from simspine.synthesis.virtual_trial import motion_of_trial, virtual_rig

# Image points are ideal normalised coordinates (x right, y down, in focal lengths from the principal point), free
# of the lens, so that cameras do not differ by more than their places. Points in space are in the camera's frame, m.


LIFTED_SPINE_POINTS = tuple(
    name for name in load_skeleton(SIMSPINE_SKELETON).names if name in sum(SPINE_REGIONS.values(), ())
)


@dataclass(frozen=True, eq=False)
class LiftingView:
    """One trial as one camera sees it.

    truth: true points in the camera's frame. seen: (frames, points, 2) detected points, normalised; NaN = missing.
    scored: (frames,) bool, the frames that are learnt from and scored."""

    truth: PointSequence
    seen: np.ndarray
    scored: np.ndarray

    @property
    def projected(self) -> np.ndarray:
        """(frames, points, 2) true points, normalised: what a perfect detector sees."""
        return self.truth.values[..., :2] / self.truth.values[..., 2:]

    def select(self, names: Sequence[str]) -> "LiftingView":
        """Only the named points."""
        columns = [self.truth.names.index(name) for name in names]
        return replace(self, truth=self.truth.select(names), seen=self.seen[:, columns])


@dataclass(frozen=True, eq=False)
class LiftingSamples:
    """Scored frames of many views, one after the other.

    names: of the points, the root first. seen: (samples, points, 2) normalised, NaN = missing. xyz: (samples, points,
    3) m, root-relative, camera's axes."""

    names: tuple[str, ...]
    seen: np.ndarray
    xyz: np.ndarray

    def usable(self) -> "LiftingSamples":
        """Samples to learn from: some point is seen, and all are known in space."""
        good = np.isfinite(self.seen).any((1, 2)) & np.isfinite(self.xyz).all((1, 2))
        return LiftingSamples(self.names, self.seen[good], self.xyz[good])

    def __len__(self) -> int:
        return len(self.xyz)


def chosen_points(names: Sequence[str], points: str) -> tuple[str, ...]:
    """The points of 'spine' (15) or 'full' (all SIMSPINE points among `names`), in the skeleton's order, root first.

    Raises `InputError` where a point of the spine is not among the names."""
    missing = [name for name in LIFTED_SPINE_POINTS if name not in names]
    if missing:
        raise InputError(f"lifting needs the 15 points of the spine; {', '.join(missing)} are not in the data.")
    return tuple(
        name
        for name in load_skeleton(SIMSPINE_SKELETON).names
        if name in (LIFTED_SPINE_POINTS if points == "spine" else names)
    )


def lifting_samples(views: Iterable[LiftingView], names: Sequence[str], exact: bool) -> LiftingSamples:
    """The scored frames of views. The first of the names is the root.

    exact: image points are the projected truth instead of the detections. Frames whose root is not known in space have
    no truth."""
    names = tuple(names)
    seen, xyz = [np.empty((0, len(names), 2))], [np.empty((0, len(names), 3))]
    for view in (view.select(names) for view in views):
        true = view.truth.values[view.scored]
        seen.append((view.projected if exact else view.seen)[view.scored])
        xyz.append(true - true[:, :1])
    return LiftingSamples(names, np.concatenate(seen), np.concatenate(xyz))


def predicted_sequences(
    views: Iterable[LiftingView], names: Sequence[str], xyz: np.ndarray
) -> tuple[PointSequence, ...]:
    """What a lifter made of `samples(views, names, …)`, as sequences: root-relative, the root at 0.

    xyz: (samples, points, 3) m, camera's axes."""
    made, start = [], 0
    for view in views:
        part = slice(start, start + int(view.scored.sum()))
        truth = view.truth.select(names, view.truth.frames[view.scored])
        made.append(replace(truth, values=xyz[part]))
        start = part.stop
    return tuple(made)


def samples_digest(data: LiftingSamples) -> str:
    """sha256 of samples: equal only for the same points, images and truth."""
    found = hashlib.sha256("\x1f".join(data.names).encode())
    for array in (data.seen, data.xyz):
        found.update(str(array.shape).encode())
        found.update(np.ascontiguousarray(array, "<f8").tobytes())
    return found.hexdigest()


# Samples as the numbers that a method sees: points relative to the root, standardised, gaps at the mean.
# The root's entry in the image is where the root itself is seen, all other points are relative to it. A root that
# was not detected is taken to be at the mean of the points next to it in the skeleton, or of all points where
# they lack too. In space the root is left out: it is 0 by definition, and put back by `Encoding.points`.


MIN_FEATURE_SD = 1e-6  # a standard deviation below which a number is a constant, and is only shifted


@dataclass(frozen=True, eq=False)
class Encoding:
    """Means and standard deviations over the training data, per coordinate of each point.

    names: root first. image_mean, image_sd: (points, 2). space_mean, space_sd: (points − 1, 3) m."""

    names: tuple[str, ...]
    image_mean: np.ndarray
    image_sd: np.ndarray
    space_mean: np.ndarray
    space_sd: np.ndarray

    @classmethod
    def of(cls, data: LiftingSamples) -> "Encoding":
        """From samples to learn from."""
        image = relative_to_root(data.names, data.seen)
        mean = np.nan_to_num(mean_of_known(image, 0))
        sd = np.nan_to_num(rms_of_known(image - mean, 0))
        space = data.xyz[:, 1:]
        return cls(
            names=data.names,
            image_mean=mean,
            image_sd=np.maximum(sd, MIN_FEATURE_SD),
            space_mean=space.mean(0),
            space_sd=np.maximum(space.std(0), MIN_FEATURE_SD),
        )

    def features(self, data: LiftingSamples) -> np.ndarray:
        """(samples, 2 points) standardised image points; 0 where one is missing."""
        image = (relative_to_root(self.names, data.seen) - self.image_mean) / self.image_sd
        return np.nan_to_num(image).reshape(len(data), -1)

    def targets(self, data: LiftingSamples) -> np.ndarray:
        """(samples, 3 (points − 1)) standardised points in space, without the root."""
        return ((data.xyz[:, 1:] - self.space_mean) / self.space_sd).reshape(len(data), -1)

    def points(self, targets: np.ndarray) -> np.ndarray:
        """(samples, points, 3) m from standardised targets, the root put back at 0."""
        space = np.asarray(targets, float).reshape(len(targets), *self.space_mean.shape)
        return np.insert(space * self.space_sd + self.space_mean, 0, 0.0, axis=1)


def relative_to_root(names: tuple[str, ...], image: np.ndarray) -> np.ndarray:
    """Image points (…, points, 2), NaN = missing, relative to the first; in the first's place where it is seen."""
    root = _filled_root(names, image)
    return np.concatenate([root[..., None, :], image[..., 1:, :] - root[..., None, :]], -2)


def _filled_root(names: tuple[str, ...], image: np.ndarray) -> np.ndarray:
    """(…, 2) where the root is, or what stands for it; NaN where no point is seen."""
    place = image[..., 0, :]
    for others in (image[..., neighbours_of_root(names), :], image[..., 1:, :]):
        place = np.where(np.isfinite(place), place, mean_of_known(others, -2))
    return place


def neighbours_of_root(names: tuple[str, ...]) -> list[int]:
    """Positions of the points next to the root in the skeleton: it is at their mean where it is missing."""
    skeleton = load_skeleton(SIMSPINE_SKELETON)
    root = skeleton.index(names[0])
    return [i for i, name in enumerate(names) if skeleton.parents[skeleton.index(name)] == root]


# Synthetic subjects as cameras and a detector see them, in memory: no bodies are fitted, so an hour takes seconds.
# Points are thinned before they are detected. The detector's errors have their correlation times all the same,
# since they are drawn for the thinned rate; spells shorter than its interval last one frame.


MAX_NAMED_SUBJECTS = 50  # subjects that names are looked for among


def lifting_views_of_subjects(source: LiftingSource, subjects: Sequence[str]) -> tuple[LiftingView, ...]:
    """All trials of the named subjects of a virtual capture, as each camera sees them, with 37 points.

    Equal arguments give equal numbers. Raises `InputError` for subjects, actions or presets that do not exist."""
    known = [subject_name(index) for index in range(MAX_NAMED_SUBJECTS)]
    require_known("subject", subjects, known, "the virtual capture")
    preset, trials = read_preset(source.detections), select_trials(source.actions)
    found: list[LiftingView] = []
    for name in subjects:
        person, cameras = make_subject(source.seed, known.index(name)), virtual_rig(source.seed, name)
        for trial in trials:
            found += lifting_views_of_trial(source, person, trial, cameras=cameras, preset=preset)
    return tuple(found)


def lifting_views_of_trial(
    source: LiftingSource, person: SyntheticSubject, trial: str, cameras: Sequence[Camera], preset: Preset
) -> list[LiftingView]:
    """One trial ('Walking_1') as each camera sees it."""
    whole = replace(virtual_trial.make_trial(person, *motion_of_trial(trial), source.frames), trial=trial)
    frames = np.arange(0, whole.frames, source.context)
    motion = replace(whole.motion, values=whole.motion.values[frames], rate=whole.motion.rate / source.context)
    thin = replace(whole, motion=motion)
    points = virtual_trial.true_points(thin)
    seen = virtual_trial.detect_trial(thin, cameras, preset).keypoints
    world = PointSequence(person.name, trial, frames, points.names, values=points.xyz)
    return [
        lifting_view(source, world, camera, undistort_pixels(camera, seen.xy[:, v])) for v, camera in enumerate(cameras)
    ]


def lifting_view(source: LiftingSource, world: PointSequence, camera: Camera, seen: np.ndarray) -> LiftingView:
    """Points of the world (z_up) as a camera has them. seen: detected points, normalised."""
    xyz = world.values @ camera.R.T + camera.t
    truth = replace(world, values=xyz, axes="camera", camera=camera.name)
    return LiftingView(truth, seen, world.frames % source.every == 0)


# Trials of a data set as its cameras see them.


def lifting_views_of_dataset(source: LiftingSource, subjects: Sequence[str]) -> tuple[LiftingView, ...]:
    """All trials of the subjects as each of their cameras sees them; frames that were rejected have no truth.

    Detected points are missing (NaN) where the source names no folder of them. Raises `InputError` for subjects or
    actions that are not in the data set, for one without cameras, and for detections that are not there or do not fit.
    """
    assert source.dataset is not None  # whoever asks for them has one
    found: list[LiftingView] = []
    with open_dataset(source.dataset) as data:
        for recording in data.trials(list(subjects), source.actions):
            found += _recording_views(source, recording)
    return tuple(found)


def _recording_views(source: LiftingSource, recording: Recording) -> list[LiftingView]:
    where = f"{source.dataset}: {recording.subject}/{recording.name}"
    if not recording.cameras:
        raise InputError(f"{where} has no cameras; lifting needs them.")
    frames = np.arange(0, recording.frames, source.context)
    names = tuple(name for name in load_skeleton(SIMSPINE_SKELETON).names if name in recording.data.marker_names)
    columns = [recording.data.marker_names.index(name) for name in names]
    xyz = change_frame(recording.array("markers")[frames][:, columns], "y_up", "z_up")
    valid = recording.array("valid")[frames]
    xyz = np.where(valid[:, None, None], xyz, np.nan)
    pixels = None if source.keypoints is None else _detections_by_camera(source.keypoints, recording, names)
    world = PointSequence(recording.subject, recording.name, frames, names, values=xyz)
    made = []
    for camera in recording.cameras:
        seen = np.full((*xyz.shape[:2], 2), np.nan)
        if pixels is not None:
            seen = undistort_pixels(camera, pixels[camera.name][frames])
        made.append(lifting_view(source, world, camera, seen))
    return made


def _detections_by_camera(folder: str, recording: Recording, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """{camera: (frames, points, 2) px} from <folder>/<subject>/<trial>.h5, of all cameras of the recording."""
    path = Path(folder) / safe_file_name(recording.subject) / f"{safe_file_name(recording.name)}.h5"
    found = read_store(path, ("keypoints", "cameras"))
    keypoints, cameras = found["keypoints"].select(names), found["cameras"]
    if len(keypoints.xy) != recording.frames or keypoints.xy.shape[1] != len(cameras):
        raise InputError(
            f"{path}: {len(keypoints.xy)} frames of {keypoints.xy.shape[1]} views with {len(cameras)} cameras; the "
            f"data set has {recording.frames} frames of this trial."
        )
    there = {camera.name: keypoints.xy[:, v] for v, camera in enumerate(cameras)}
    if missing := [camera.name for camera in recording.cameras if camera.name not in there]:
        raise InputError(f"{path}: no detections of camera {', '.join(missing)}; there are {', '.join(there)}.")
    return there
