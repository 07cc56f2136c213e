"""Names of the trials of Human3.6M, and their known faults (`faults.csv`, with sources).

A trial is named `<Action>_<1|2>` here, numbered as the data set's own table numbers its sub-actions (the `mapping` of
metadata.xml). File names do not follow that order: `Directions 1` is mostly sub-action 1 and `Directions` sub-action 2,
but S5 has `Discussion 2` and `Discussion 3`, S11 `Phoning 3` before `Phoning 2`, and the file `SittingDown` without a
number is sub-action 1 of some subjects and 2 of others. `trials.csv` lists them all, so nothing is guessed. Sources of
faults number sub-actions or name files; converted to one numbering, they agree.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from simspine.core.errors import InputError, unknown_name

HUMAN36M_SUBJECT_NAMES = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")  # those with published motion capture
HUMAN36M_ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Posing", "Purchases", "Sitting", "SittingDown",
    "Smoking", "TakingPhoto", "Waiting", "Walking", "WalkingDog", "WalkTogether",
)  # fmt: skip
HUMAN36M_RATE_HZ = 50.0  # frames/s of motion capture and videos
HUMAN36M_CAMERA_SIZES = {
    "54138969": (1000, 1002),
    "55011271": (1000, 1000),
    "58860488": (1000, 1000),
    "60457274": (1000, 1002),
}

# S1's files say TakingPhoto and WalkingDog, all others' Photo and WalkDog; metadata.xml says WalkingTogether.
_ACTION_SPELLINGS = {action.lower(): action for action in HUMAN36M_ACTIONS} | {
    "photo": "TakingPhoto", "walkdog": "WalkingDog", "walkingtogether": "WalkTogether",
}  # fmt: skip
_WHOLE_SESSION_FILE = "all"  # files `_ALL` hold the whole session and are no trial


def canonical_trials() -> list[str]:
    """The 30 trials of each subject (`Directions_1`, `Directions_2`, …), whatever files there are."""
    return [f"{action}_{number}" for action in HUMAN36M_ACTIONS for number in (1, 2)]


def canonical_action(name: str) -> str:
    """The action that a spelling stands for (`Photo`, `taking photo`, `Walking_Together`); `InputError` for none."""
    action = _ACTION_SPELLINGS.get(re.sub(r"[\s_-]+", "", name).lower())
    if action is None:
        raise unknown_name("action of Human3.6M", name, HUMAN36M_ACTIONS)
    return action


def split_trial(trial: str) -> tuple[str, int]:
    """`Photo-2` → ('TakingPhoto', 2), by canonical numbers, not those of files; `InputError` if it is no trial."""
    name, number = _split_name(trial)
    if number not in (1, 2):
        raise InputError(f"{trial!r} is no trial of Human3.6M; expected an action and its number, such as Walking_1.")
    return canonical_action(name), number


def select_trials(actions: Iterable[str] | None = None) -> list[str]:
    """Trials named by actions or single trials (`Walking`, `Photo_1`), in canonical order; all 30 if None."""
    if actions is None:
        return canonical_trials()
    chosen = set()
    for name in actions:
        if _split_name(name)[1] is None:
            chosen |= {f"{canonical_action(name)}_{number}" for number in (1, 2)}
        else:
            chosen.add("{}_{}".format(*split_trial(name)))
    return [trial for trial in canonical_trials() if trial in chosen]


def official_name(subject: str, trial: str) -> str:
    """A trial's file name in the official archives, ('S1', 'Eating_1') → `Eating 2`; else by the commonest pattern."""
    action, number = split_trial(trial)
    if subject in HUMAN36M_SUBJECT_NAMES:
        return _official_names()[subject][f"{action}_{number}"]
    return f"{action} 1" if number == 1 else action


def match_files(subject: str, names: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """{trial: name of its file}, in canonical order, and names that are no trial of this subject. Spelling is ignored,
    numbers are not; a file of the whole session (`_ALL`) is left out silently."""
    trial_of_key = {_spelling_key(official_name(subject, trial)): trial for trial in canonical_trials()}
    file_names: dict[str, str] = {}
    strays = []
    for name in sorted(set(names)):
        trial = trial_of_key.get(_spelling_key(name))
        if trial is None:
            if _split_name(name)[0].strip(" _").lower() != _WHOLE_SESSION_FILE:
                strays.append(name)
        elif trial in file_names:
            raise InputError(f"{subject}: {file_names[trial]!r} and {name!r} both name {trial}. Keep one of them.")
        else:
            file_names[trial] = name
    return {trial: file_names[trial] for trial in canonical_trials() if trial in file_names}, tuple(strays)


def subject_order(subjects: Iterable[str]) -> list[str]:
    """Subjects by their numbers (S1, S5, …, S11), others after them by name."""
    return sorted(subjects, key=lambda s: (0, int(s[1:]), s) if re.fullmatch(r"S\d{1,9}", s) else (1, 0, s))


def _split_name(name: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"\s*(.*?)[\s_-]*(\d{1,9})?\s*", name, flags=re.DOTALL)
    assert match is not None  # every part may be empty
    return match[1], None if match[2] is None else int(match[2])


def _spelling_key(name: str) -> tuple[str, int | None]:
    """Key that is equal for names that differ only in spelling."""
    stem, number = _split_name(name)
    plain = re.sub(r"[\s_-]+", "", stem).lower()
    return _ACTION_SPELLINGS.get(plain, plain), number


@cache
def _official_names() -> dict[str, dict[str, str]]:
    """{subject: {trial: file name}}; source of the table: the mapping in metadata.xml as public code quotes it."""
    rows = list(csv.DictReader(files(__package__).joinpath("trials.csv").read_text(encoding="utf-8").splitlines()))
    return {subject: {row["trial"]: row[subject] for row in rows} for subject in HUMAN36M_SUBJECT_NAMES}


LONGER_IS_NORMAL = 0.02  # share by which videos may outlast the motion capture, as most do (3d-pose-baseline#48)
SpoiltPart = Literal["trial", "video"]


@dataclass(frozen=True)
class TrialFault:
    """One fault of one trial. spoils: 'trial' (motion capture and images do not match), or 'video' of one camera.
    camera: None for all. sources: where it was reported."""

    subject: str
    trial: str
    camera: str | None
    spoils: SpoiltPart
    reason: str
    sources: tuple[str, ...]

    def __str__(self) -> str:
        camera = f", camera {self.camera}" if self.camera else ""
        return f"{self.subject} {self.trial}{camera}: {self.reason} ({'; '.join(self.sources)})"


def known_faults_of(subject: str, trial: str | None = None) -> list[TrialFault]:
    """Known faults of a subject, or of one trial (canonical name). None for subjects the data set does not have."""
    return [fault for fault in known_faults() if fault.subject == subject and trial in (None, fault.trial)]


def is_unusable(faults: Sequence[TrialFault]) -> bool:
    """Whether one of the faults makes the whole trial unusable."""
    return any(fault.spoils == "trial" for fault in faults)


def spoilt_videos(faults: Sequence[TrialFault]) -> set[str]:
    """Cameras whose video must not be used."""
    return {fault.camera for fault in faults if fault.spoils == "video" and fault.camera}


@cache
def known_faults() -> tuple[TrialFault, ...]:
    """All known faults, ordered by subject."""
    text = files(__package__).joinpath("faults.csv").read_text(encoding="utf-8")
    rows: Iterable[dict[str, Any]] = csv.DictReader(text.splitlines())
    parsed = (row | {"camera": row["camera"] or None, "sources": tuple(row["sources"].split("; "))} for row in rows)
    faults = [TrialFault(**row) for row in parsed]
    return tuple(sorted(faults, key=lambda fault: HUMAN36M_SUBJECT_NAMES.index(fault.subject)))


def length_faults(subject: str, trial: str, positions: int, videos: dict[str, int]) -> Iterator[TrialFault]:
    """Faults of videos {camera: frames} that are shorter than the motion capture, or more than 2 % longer."""
    for camera, frames in videos.items():
        text = ""
        if frames < positions:
            text = f"the video has {frames} frames, the motion capture {positions}"
        elif frames > positions * (1 + LONGER_IS_NORMAL) + 2:
            text = f"the video has {frames} frames, the motion capture only {positions}: they may not start together"
        if text:
            yield TrialFault(subject, trial, camera, "video", reason=text, sources=("found in the files",))
