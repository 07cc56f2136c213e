"""Is a copy complete and readable, and what does it hold? Headers only, unless asked to read everything."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.core.errors import InputError, unknown_name
from simspine.core.geometry import project_points
from simspine.io.human36m import names
from simspine.io.human36m.cameras import LENS_FORMULAS, to_opencv
from simspine.io.human36m.copy import Copy
from simspine.io.human36m.names import TrialFault, is_unusable, length_faults
from simspine.io.video import open_video

FOREIGN_PX = 2.0  # no two lens formulas differ by that much: the cameras are others
LENS_PX = 0.02  # the right formula leaves rounding, the other one 0.1 px and more


@dataclass(frozen=True)
class TrialState:
    """One trial: frames of motion capture (0 if there is none or it cannot be read), what is wrong, known faults."""

    subject: str
    trial: str
    frames: int
    views: int
    problems: tuple[str, ...]
    faults: tuple[TrialFault, ...]

    @property
    def usable(self) -> bool:
        return self.frames > 0 and not self.problems and not is_unusable(self.faults)


@dataclass(frozen=True)
class SubjectState:
    """One subject: trials there, canonical names of those missing, file names that are no trial, what is wrong with
    the cameras ('' if nothing).
    """

    subject: str
    trials: tuple[TrialState, ...]
    missing: tuple[str, ...]
    strays: tuple[str, ...]
    cameras: str


@dataclass(frozen=True)
class CopyState:
    """What `examine_copy` found."""

    root: Path
    subjects: tuple[SubjectState, ...]

    @property
    def trials(self) -> tuple[TrialState, ...]:
        return tuple(trial for subject in self.subjects for trial in subject.trials)

    @property
    def frames(self) -> int:
        """Frames of motion capture in all usable trials."""
        return sum(trial.frames for trial in self.trials if trial.usable)

    def lines(self) -> list[str]:
        """The report in words: a line per subject, then what is wrong, then known faults."""
        out = [f"Human3.6M copy {self.root}"]
        for s in self.subjects:
            frames = sum(trial.frames for trial in s.trials)
            out.append(f"  {s.subject}: {len(s.trials)} trials, {frames} frames, {_views_text(s.trials)}")
            if s.missing:
                out.append(f"    missing: {', '.join(s.missing)}")
            if s.strays:
                out.append(f"    no trials of {s.subject}, left out: {', '.join(s.strays)}")
            if s.cameras:
                out.append(f"    cameras: {s.cameras}")
            out += [f"    {trial.trial}: {problem}" for trial in s.trials for problem in trial.problems]
        faults = [str(fault) for trial in self.trials for fault in trial.faults]
        out += ["  known faults:"] * bool(faults) + [f"    {fault}" for fault in faults]
        count = sum(trial.usable for trial in self.trials)
        seconds = self.frames / names.HUMAN36M_RATE_HZ
        time = f"{seconds / 3600:.2f} h" if seconds > 360 else f"{seconds:.1f} s"
        out.append(f"  usable: {count} trials, {self.frames} frames, {time} at {names.HUMAN36M_RATE_HZ:g} frames/s")
        return out


def examine_copy(
    copy: Copy,
    subjects: Iterable[str] | None = None,
    actions: Iterable[str] | None = None,
    *,
    read: bool = False,
    videos: bool = True,
) -> CopyState:
    """Look at every trial asked for.

    subjects, actions: as in the configuration; the subjects with published motion capture and all actions if None.
    read: read all positions instead of headers only. videos: open every video and decode its first frame.
    """
    wanted = names.select_trials(actions)
    states = [
        _subject_state(copy, subject, wanted, read=read, videos=videos)
        for subject in subjects or names.HUMAN36M_SUBJECT_NAMES
    ]
    return CopyState(copy.root, tuple(states))


def lens_of_points(copy: Copy, subject: str, trial: str) -> dict[str, float]:
    """{lens: largest distance, px} between given 2D points and positions projected with each lens.

    The smaller one tells which formula p1 and p2 of the camera file belong to: the right one leaves rounding
    (1e-4 px), the wrong one up to a pixel, cameras of another subject tens. Uses up to 50 frames.
    """
    points = copy.points_2d(subject, trial, "human36m17")
    markers = copy.positions(subject, trial, "human36m17")
    every = max(1, min(points.frames, markers.frames) // 50)
    count = min(points.frames, markers.frames)
    xy, xyz = points.xy[:count:every].swapaxes(0, 1), markers.xyz[:count:every]
    copy.cameras(subject)  # says it where there are none
    assert copy.rigs is not None
    given = copy.rigs.given(subject)
    shown = {
        "opencv": project_points(given, xyz),
        "human36m": project_points([to_opencv(camera) for camera in given], xyz),
    }
    return {lens: float(np.nanmax(np.linalg.norm(shown[lens] - xy, axis=-1))) for lens in LENS_FORMULAS}


def _subject_state(copy: Copy, subject: str, wanted: list[str], read: bool, videos: bool) -> SubjectState:
    if subject not in copy.subjects:
        if subject not in names.HUMAN36M_SUBJECT_NAMES:
            raise unknown_name("subject", subject, copy.subjects, str(copy.root))
        return SubjectState(subject=subject, trials=(), missing=tuple(wanted), strays=(), cameras="")
    there = [trial for trial in copy.trials(subject) if trial in wanted]
    states = tuple(_trial_state(copy, subject, trial, read=read, videos=videos) for trial in there)
    missing = tuple(trial for trial in wanted if trial not in there)
    return SubjectState(
        subject=subject,
        trials=states,
        missing=missing,
        strays=copy.strays(subject),
        cameras=_camera_faults(copy, subject, there),
    )


def _trial_state(copy: Copy, subject: str, trial: str, read: bool, videos: bool) -> TrialState:
    problems, faults = [], copy.faults(subject, trial)
    known = {(fault.camera, fault.spoils) for fault in faults}
    frames: int | None = None
    lengths: dict[str, int] = {}
    paths: dict[str, Path] = {}
    try:
        frames, lengths, paths = copy.lengths(subject, trial)
        if frames is None:
            problems.append("no motion capture")
        elif read:
            frames = copy.positions(subject, trial).frames
    except InputError as error:
        problems.append(str(error))
    counts = {}
    for camera, path in paths.items() if videos else ():
        try:
            counts[camera] = open_video(path).frames
        except InputError as error:
            if (camera, "video") not in known:
                problems.append(str(error))
    found = length_faults(subject, trial, frames, points_2d=lengths, videos=counts)
    faults += [fault for fault in found if (fault.camera, fault.spoils) not in known and not is_unusable(faults)]
    return TrialState(
        subject=subject,
        trial=trial,
        frames=frames or 0,
        views=len(paths),
        problems=tuple(problems),
        faults=tuple(faults),
    )


def _camera_faults(copy: Copy, subject: str, trials: list[str]) -> str:
    """What is wrong with the subject's cameras, '' if nothing; the lens is judged where there are 2D points."""
    try:
        copy.cameras(subject)
    except InputError as error:
        return str(error)
    assert copy.rigs is not None  # without them there are no cameras
    for trial in trials:
        if is_unusable(copy.faults(subject, trial)):
            continue
        try:
            errors = lens_of_points(copy, subject, trial)
        except InputError:
            continue  # no 2D points of this trial, or unreadable ones, which the trial's own line says
        best = min(errors, key=errors.__getitem__)
        if errors[best] > FOREIGN_PX:
            return (
                f"the 2D points of {trial} are up to {errors[best]:.3g} px from where the cameras see its motion "
                "capture; the camera parameters do not belong to these data"
            )
        if errors[copy.rigs.lens] > max(LENS_PX, 3 * errors[best]):
            return (
                f"the 2D points of {trial} were made with the lens formula of {best}, not that of {copy.rigs.lens} "
                f"({errors[copy.rigs.lens]:.2g} px apart)"
            )
        return ""
    return ""


def _views_text(trials: Iterable[TrialState]) -> str:
    views = sorted({trial.views for trial in trials})
    if not views or views == [0]:
        return "no videos"
    return f"videos of {views[0]} to {views[-1]} cameras" if len(views) > 1 else f"videos of {views[0]} cameras"
