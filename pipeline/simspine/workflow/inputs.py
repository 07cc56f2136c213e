"""Which files a trial starts from, and a resolved configuration for the stages of a workflow."""

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from simspine.config import Config, Trial
from simspine.errors import InputError
from simspine.formats.atomic import write_text
from simspine.sources.pose2sim import demo_folder, find_capture

PACKAGED = "pose2sim:"


@dataclass(frozen=True)
class Capture:
    """A trial's files: the calibration and either videos or folders of keypoints, one per camera; perhaps mocap."""

    calibration: Path
    videos: tuple[Path, ...] = ()
    keypoints: tuple[Path, ...] = ()
    mocap: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All input files, for checksums; every JSON of a keypoint folder counts."""
        frames = tuple(file for folder in self.keypoints for file in sorted(folder.glob("*.json")))
        return (self.calibration, *self.videos, *frames, *((self.mocap,) if self.mocap else ()))


def capture_of(trial: Trial) -> Capture:
    """The trial's files; `InputError` names the first that is missing."""
    mocap = None if trial.mocap is None else _existing(trial.mocap, "mocap file")
    if trial.folder is not None:
        project = packaged_folder(trial.folder) if trial.folder.startswith(PACKAGED) else Path(trial.folder)
        found = find_capture(project)
        calibration = found.calibration if trial.calibration is None else _existing(trial.calibration, "calibration")
        return Capture(calibration, videos=tuple(found.videos), mocap=mocap)
    calibration = _existing(trial.calibration, "calibration")
    if trial.videos is not None:
        return Capture(calibration, videos=tuple(_existing(v, "video") for v in trial.videos), mocap=mocap)
    folders = tuple(_existing(k, "keypoint folder") for k in trial.keypoints)
    return Capture(calibration, keypoints=folders, mocap=mocap)


def packaged_folder(name: str) -> Path:
    """`pose2sim:Demo_SinglePerson` → the folder inside the installed package."""
    return demo_folder().parent / name.removeprefix(PACKAGED)


def input_files(config: dict, subject: str) -> list[str]:
    """All input files of a subject, for the workflow's dependencies."""
    trials = Config.model_validate(config).subject(subject).trials.values()
    return [str(file) for trial in trials for file in capture_of(trial).files]


def write_config(config: dict, path: str | Path) -> None:
    """The resolved configuration as YAML."""
    plain = json.loads(json.dumps(config))  # a workflow manager may hand in its own kinds of dict
    write_text(Path(path), yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def _existing(path: str, kind: str) -> Path:
    found = Path(path)
    if not found.exists():
        raise InputError(f"{kind} {found} does not exist (looked from {Path.cwd()}).")
    return found
