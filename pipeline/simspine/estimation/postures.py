"""Which postures of a person's trials the fit of the body uses: some frames of each, far apart, smoothed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simspine.anatomy.body import Body
from simspine.anatomy.recipes import fit_markers
from simspine.core.geometry import off_vertical
from simspine.core.types import Markers, Origin
from simspine.estimation.noise import BURST_TIMES_S, ik_inputs, smooth_positions, white_noise_variance
from simspine.estimation.options import KinematicsOptions

MAX_POSTURES = 150  # of all trials together
MIN_POSTURES_PER_TRIAL, MAX_POSTURES_PER_TRIAL = 6, 60
MIN_MARKERS_PER_POSTURE = 3
MAX_THIGH_TILT_RAD, MAX_TRUNK_TILT_RAD = np.radians(20.0), np.radians(15.0)  # from upright, of a person who stands
UPRIGHT_POINTS = tuple(side + name for side in "LR" for name in ("Knee", "Hip", "Shoulder"))
FrameCheck = Callable[[Markers], np.ndarray]  # of markers to frames, (frames,) bool


@dataclass(frozen=True, eq=False)
class PostureRecording:
    """markers: a trial. fast_variance: (markers,) m², of what smoothing took out of it. postures: some frames of the
    smoothed trial. bursts: (bursts, 3), which of the postures are `BURST_TIMES_S` apart."""

    markers: Markers
    fast_variance: np.ndarray
    postures: Markers
    bursts: np.ndarray


def sampled_recordings(
    body: Body,
    trials: Sequence[Markers],
    weights: Mapping[str, float],
    options: KinematicsOptions,
    exchanged: FrameCheck,
) -> list[PostureRecording]:
    """The trials that show a posture."""
    padded = _padded_to_common_markers([fit_markers(body, trial) for trial in trials])
    shown = [(trial, _frames_with_enough_markers(options, trial, weights)) for trial in padded]
    recordings, chosen = [], _without_swapped_frames(shown, exchanged)
    for trial, frames in chosen:
        smooth = smooth_positions(trial)
        postures, bursts = _sampled_in_bursts(smooth, frames, len(chosen))
        recordings.append(PostureRecording(trial, white_noise_variance(trial, smooth), postures, bursts))
    return recordings


def is_standing(markers: Markers) -> np.ndarray:
    """(frames,) bool: thighs and trunk upright, within `MAX_THIGH_TILT_RAD` and `MAX_TRUNK_TILT_RAD`; where they are
    not seen, not."""
    if not set(UPRIGHT_POINTS) <= set(markers.names):
        return np.zeros(markers.frames, bool)
    thighs, trunk = (
        np.maximum(*(off_vertical(markers, side + lower, side + upper) for side in "LR"))
        for lower, upper in (("Knee", "Hip"), ("Hip", "Shoulder"))
    )
    return (thighs < MAX_THIGH_TILT_RAD) & (trunk < MAX_TRUNK_TILT_RAD)


def _sampled_in_bursts(markers: Markers, shown: np.ndarray, trials: int) -> tuple[Markers, np.ndarray]:
    """Frames evenly over those that show a posture, in bursts where the trial is long enough; and which of them make a
    burst, (bursts, 3).
    """
    wanted = int(np.clip(MAX_POSTURES // trials, MIN_POSTURES_PER_TRIAL, MAX_POSTURES_PER_TRIAL))
    steps = np.round(np.array(BURST_TIMES_S) * markers.rate).astype(int)
    begin = shown[shown < markers.frames - steps[-1]]
    if not begin.size or markers.frames <= wanted:
        chosen = shown[np.unique(np.linspace(0, shown.size - 1, min(wanted, shown.size)).astype(int))]
        bursts = np.zeros((0, len(steps)), int)
    else:
        evenly = np.linspace(0, begin.size - 1, max(1, wanted // len(steps))).astype(int)
        together = begin[evenly][:, None] + steps
        chosen = np.unique(together)
        bursts = np.searchsorted(chosen, together)
    part = {"xyz": markers.xyz[chosen]}
    for name in ("weight", "filled", "covariance"):
        values = getattr(markers, name)
        part[name] = None if values is None else values[chosen]
    spacing = (markers.frames - 1) / markers.rate / max(1, len(chosen) - 1)
    return markers.with_(**part, rate=1 / max(spacing, 1 / markers.rate)), bursts


def _frames_with_enough_markers(
    options: KinematicsOptions, markers: Markers, weights: Mapping[str, float]
) -> np.ndarray:
    """Indices of the frames that show enough for a posture."""
    weighted, w = ik_inputs(options, markers, weights)
    return np.flatnonzero(((w > 0) & weighted.present).sum(1) >= MIN_MARKERS_PER_POSTURE)


def _without_swapped_frames(
    seen: Sequence[tuple[Markers, np.ndarray]], exchanged: FrameCheck
) -> list[tuple[Markers, np.ndarray]]:
    """Trials with the indices of the frames to fit, if any: those in which left and right, or head and feet, are
    exchanged tell of another body than the person's. Where all are such, all are left."""
    sound = [(trial, shown[~exchanged(trial)[shown]]) for trial, shown in seen]
    return [pair for pair in sound if pair[1].size] or [pair for pair in seen if pair[1].size]


def _padded_to_common_markers(trials: Sequence[Markers]) -> list[Markers]:
    """With the same names: a marker that a trial lacks is missing in all its frames."""
    origin = {name: of for trial in trials for name, of in zip(trial.names, trial.origins, strict=True)}
    return [_with_all_names(trial, origin) for trial in trials]


def _with_all_names(markers: Markers, origin: Mapping[str, Origin]) -> Markers:
    lacking = [name for name in origin if name not in markers.names]

    def padded(values: np.ndarray | None, fill: float) -> np.ndarray | None:
        if values is None:
            return None
        return np.concatenate([values, np.full((len(values), len(lacking), *values.shape[2:]), fill, values.dtype)], 1)

    fills = {"xyz": np.nan, "weight": 0.0, "covariance": np.nan, "filled": False}
    arrays = {field: padded(getattr(markers, field), fill) for field, fill in fills.items()}
    origins = (*markers.origins, *(origin[name] for name in lacking))
    return markers.with_(names=(*markers.names, *lacking), origin=origins, **arrays).select(list(origin))
