"""Is a copy complete and readable, and what does it hold? Headers only, unless asked to read everything."""

import hashlib
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

FOREIGN_PX = 2.0  # no lens formula is off by that much: the cameras are others
LENS_PX = 0.02  # the right formula leaves rounding, the other one 0.1 px and more
_DIGEST_METHODS = {32: "md5", 40: "sha1", 64: "sha256"}  # by their number of hexadecimal digits


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
    """What `examine_copy` found. checksums: remarks on files that differ from their checksum or are absent."""

    root: Path
    subjects: tuple[SubjectState, ...]
    checksums: tuple[str, ...] = ()
    files_checked: int = 0

    @property
    def trials(self) -> tuple[TrialState, ...]:
        return tuple(trial for subject in self.subjects for trial in subject.trials)

    @property
    def frames(self) -> int:
        """Frames of motion capture in all usable trials."""
        return sum(trial.frames for trial in self.trials if trial.usable)

    @property
    def hours(self) -> float:
        """Their duration."""
        return self.frames / names.HUMAN36M_RATE_HZ / 3600

    @property
    def complete(self) -> bool:
        """Everything asked for is there, readable and as its checksum says. Known faults do not count: nobody can
        repair them.
        """
        whole = all(not (s.missing or s.cameras) for s in self.subjects)
        return bool(self.subjects) and whole and not self.checksums and not any(t.problems for t in self.trials)

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
        out += [f"  checksum: {remark}" for remark in self.checksums]
        faults = [str(fault) for trial in self.trials for fault in trial.faults]
        out += ["  known faults:"] * bool(faults) + [f"    {fault}" for fault in faults]
        count = sum(trial.usable for trial in self.trials)
        time = f"{self.hours:.2f} h" if self.hours > 0.1 else f"{self.frames / names.HUMAN36M_RATE_HZ:.1f} s"
        out.append(f"  usable: {count} trials, {self.frames} frames, {time} at {names.HUMAN36M_RATE_HZ:g} frames/s")
        return out


def examine_copy(
    copy: Copy,
    subjects: Iterable[str] | None = None,
    actions: Iterable[str] | None = None,
    *,
    read: bool = False,
    videos: bool = True,
    checksums: str | Path | None = None,
) -> CopyState:
    """Look at every trial asked for.

    subjects, actions: as in the configuration; the subjects with published motion capture and all actions if None.
    read: read all positions instead of headers only. videos: open every video and decode its first frame.
    checksums: a file of md5sum, sha1sum or sha256sum, paths relative to it or to the copy.
    """
    wanted = names.select_trials(actions)
    states = [
        _subject_state(copy, subject, wanted, read=read, videos=videos)
        for subject in subjects or names.HUMAN36M_SUBJECT_NAMES
    ]
    remarks, count = ((), 0) if checksums is None else verify_checksums(checksums, copy.root)
    return CopyState(copy.root, tuple(states), tuple(remarks), count)


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


def verify_checksums(file: str | Path, root: Path) -> tuple[list[str], int]:
    """Remarks on files that are absent or differ, and how many agree."""
    file = Path(file)
    try:
        lines = [line.split(maxsplit=1) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"checksum file {file} cannot be read ({error}).") from None
    remarks, agree = [], 0
    for number, parts in enumerate(lines, start=1):
        if len(parts) != 2 or len(parts[0]) not in _DIGEST_METHODS:
            raise InputError(f"{file}, line {number}: expected a checksum and a path, as md5sum and sha256sum write.")
        digest, name = parts[0].lower(), parts[1].lstrip("*").strip()
        path = next((p for p in (file.parent / name, root / name) if p.is_file()), None)
        if path is None:
            remarks.append(f"{name} is not there")
        elif _file_digest(path, _DIGEST_METHODS[len(digest)]) != digest:
            remarks.append(f"{name} differs from its checksum; copy or unpack it again")
        else:
            agree += 1
    return remarks, agree


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


def _file_digest(path: Path, method: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, method).hexdigest()
