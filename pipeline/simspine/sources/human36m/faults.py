"""Known faults of the data set, as a table with sources (`faults.csv`), and what each of them spoils.

Sources count sub-actions or name files, which are numbered differently (see `names`); translated, they agree.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np

from simspine.sources.human36m.names import SUBJECTS

LONGER_IS_NORMAL = 0.02  # videos run on a little after the motion capture in most trials (3d-pose-baseline#48)
Spoils = Literal["trial", "video", "points_2d"]


@dataclass(frozen=True)
class TrialFault:
    """One fault of one trial.

    spoils: 'trial' (motion capture and images do not belong together: unusable), 'video' (the images of one camera),
    'points_2d' (published 2D points only). camera: None where all are concerned. sources: where it was reported, or
    'found in the files'.
    """

    subject: str
    trial: str
    camera: str | None
    spoils: Spoils
    reason: str
    sources: tuple[str, ...]

    def __str__(self) -> str:
        camera = f", camera {self.camera}" if self.camera else ""
        return f"{self.subject} {self.trial}{camera}: {self.reason} ({'; '.join(self.sources)})"


def faults_of(subject: str, trial: str | None = None) -> list[TrialFault]:
    """Known faults of a subject, or of one trial (canonical name). None for subjects the data set does not have."""
    return [fault for fault in known_faults() if fault.subject == subject and trial in (None, fault.trial)]


def unusable(faults: Sequence[TrialFault]) -> bool:
    """Whether one of them makes the whole trial unusable."""
    return any(fault.spoils == "trial" for fault in faults)


def spoilt_videos(faults: Sequence[TrialFault]) -> set[str]:
    """Cameras whose video must not be used."""
    return {fault.camera for fault in faults if fault.spoils == "video" and fault.camera}


@cache
def known_faults() -> tuple[TrialFault, ...]:
    """The table, ordered by subject."""
    text = files(__package__).joinpath("faults.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    spoils: dict[str, Spoils] = {"trial": "trial", "video": "video", "points_2d": "points_2d"}
    faults = [
        TrialFault(row["subject"], row["trial"], row["camera"] or None, spoils[row["spoils"]], row["reason"],
                   tuple(row["sources"].split("; ")))
        for row in rows
    ]  # fmt: skip
    return tuple(sorted(faults, key=lambda fault: SUBJECTS.index(fault.subject)))


def length_faults(
    subject: str, trial: str, positions: int | None, points_2d: dict[str, int], videos: dict[str, int]
) -> list[TrialFault]:
    """Faults that show in numbers of rows: frames of the motion capture, and of 2D points and video by camera.

    2D points are made from the motion capture and must have as many rows. A video may be longer by 2 % (the common
    case, the surplus at its end is left out), not shorter.
    """
    if positions is None:
        positions = int(np.median(list(points_2d.values()))) if points_2d else None
    if positions is None:
        return []
    texts: list[tuple[str, Spoils, str]] = [
        (camera, "points_2d", f"{rows} rows of 2D points for {positions} of motion capture")
        for camera, rows in points_2d.items()
        if rows != positions
    ]
    for camera, frames in videos.items():
        if frames < positions:
            texts.append((camera, "video", f"the video has {frames} frames, the motion capture {positions}"))
        elif frames > positions * (1 + LONGER_IS_NORMAL) + 2:
            text = f"the video has {frames} frames, the motion capture only {positions}: they may not start together"
            texts.append((camera, "video", text))
    return [TrialFault(subject, trial, *found, ("found in the files",)) for found in texts]
