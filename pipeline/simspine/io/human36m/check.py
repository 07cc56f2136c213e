"""Check whether a copy of Human3.6M is complete and readable, and list its contents."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from simspine.core.errors import InputError, names_text, unknown_name
from simspine.io.human36m import names
from simspine.io.human36m.copy import Copy
from simspine.io.human36m.names import TrialFault, is_unusable, length_faults
from simspine.io.video import open_video

MOST_NAMED = 6  # missing trials of a subject that a report lists


@dataclass(frozen=True)
class TrialState:
    """One trial: frames of motion capture (0 if missing or unreadable), number of videos, problems, known faults."""

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
    """One subject: its trials, canonical names of missing ones, file names that are no trial, and the fault of its
    cameras ('' if none).
    """

    subject: str
    trials: tuple[TrialState, ...]
    missing: tuple[str, ...]
    strays: tuple[str, ...]
    cameras: str


@dataclass(frozen=True)
class CopyState:
    """Result of `examine_copy`."""

    root: Path
    subjects: tuple[SubjectState, ...]

    @property
    def trials(self) -> tuple[TrialState, ...]:
        return tuple(trial for subject in self.subjects for trial in subject.trials)

    def lines(self) -> list[str]:
        """The report: for each subject a line and its problems, then known faults and the usable trials."""
        out = [f"Human3.6M copy {self.root}"]
        absent = [s.subject for s in self.subjects if not s.trials and not s.strays]
        for s in (s for s in self.subjects if s.subject not in absent):
            frames = sum(trial.frames for trial in s.trials)
            out.append(f"  {s.subject}: {len(s.trials)} trials, {frames} frames, {_views_text(s.trials)}")
            if s.missing:
                out.append(f"    missing: {names_text(s.missing, MOST_NAMED)}")
            if s.strays:
                out.append(f"    no trials of {s.subject}, left out: {', '.join(s.strays)}")
            if s.cameras:
                out.append(f"    cameras: {s.cameras}")
            out += [f"    {trial.trial}: {problem}" for trial in s.trials for problem in trial.problems]
        out += [f"  nothing of {', '.join(absent)}"] if absent else []
        faults = [str(fault) for trial in self.trials for fault in trial.faults]
        out += ["  known faults:"] * bool(faults) + [f"    {fault}" for fault in faults]
        usable = [trial.frames for trial in self.trials if trial.usable]
        frames, rate = sum(usable), names.HUMAN36M_RATE_HZ
        time = f"{frames / rate / 3600:.2f} h" if frames / rate > 360 else f"{frames / rate:.1f} s"
        out.append(f"  usable: {len(usable)} trials, {frames} frames, {time} at {rate:g} frames/s")
        return out


def examine_copy(
    copy: Copy, subjects: Iterable[str] | None = None, actions: Iterable[str] | None = None, *, videos: bool = True
) -> CopyState:
    """Check every trial of the subjects and actions.

    subjects, actions: as in the configuration; if None, the subjects with published motion capture and all actions.
    videos: open every video and decode its first frame.
    """
    wanted = names.select_trials(actions)
    states = [_subject_state(copy, subject, wanted, videos) for subject in subjects or names.HUMAN36M_SUBJECT_NAMES]
    return CopyState(copy.root, tuple(states))


def _subject_state(copy: Copy, subject: str, wanted: list[str], videos: bool) -> SubjectState:
    if subject not in copy.subjects:
        if subject not in names.HUMAN36M_SUBJECT_NAMES:
            raise unknown_name("subject", subject, copy.subjects, str(copy.root))
        return SubjectState(subject=subject, trials=(), missing=tuple(wanted), strays=(), cameras="")
    present = [trial for trial in copy.trials(subject) if trial in wanted]
    states = tuple(_trial_state(copy, subject, trial, videos) for trial in present)
    missing = tuple(trial for trial in wanted if trial not in present)
    return SubjectState(
        subject=subject,
        trials=states,
        missing=missing,
        strays=copy.strays(subject),
        cameras=_camera_fault(copy, subject),
    )


def _trial_state(copy: Copy, subject: str, trial: str, videos: bool) -> TrialState:
    problems, faults = [], copy.faults(subject, trial)
    spoilt = {fault.camera for fault in faults if fault.spoils == "video"}
    frames, paths = 0, copy.video_files(subject, trial)
    try:
        frames = copy.positions(subject, trial).frames
    except InputError as error:
        problems.append(str(error))
    counts = {}
    for camera, path in paths.items() if videos else ():
        try:
            counts[camera] = open_video(path).frames
        except InputError as error:
            if camera not in spoilt:
                problems.append(str(error))
    if frames and not is_unusable(faults):
        faults += [fault for fault in length_faults(subject, trial, frames, counts) if fault.camera not in spoilt]
    return TrialState(
        subject=subject, trial=trial, frames=frames, views=len(paths), problems=tuple(problems), faults=tuple(faults)
    )


def _camera_fault(copy: Copy, subject: str) -> str:
    """The fault of the subject's cameras, '' if none."""
    try:
        copy.cameras(subject)
    except InputError as error:
        return str(error)
    return ""


def _views_text(trials: Iterable[TrialState]) -> str:
    views = sorted({trial.views for trial in trials})
    if not views or views == [0]:
        return "no videos"
    return f"videos of {views[0]} to {views[-1]} cameras" if len(views) > 1 else f"videos of {views[0]} cameras"
