"""Which files a trial starts from, and a resolved configuration for the stages of a workflow."""

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from simspine.config import Trial, check_config
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
    def detected(self) -> tuple[Path, ...]:
        """What the 2D points are made from; a folder of keypoints stands for its files."""
        return (self.calibration, *self.videos, *self.keypoints)


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
    folders = tuple(_existing(k, "keypoint folder", folder=True) for k in trial.keypoints)
    return Capture(calibration, keypoints=folders, mocap=mocap)


def packaged_folder(name: str) -> Path:
    """`pose2sim:Demo_SinglePerson` → the folder inside the installed package."""
    return demo_folder().parent / name.removeprefix(PACKAGED)


def input_files(config: dict, subject: str) -> list[str]:
    """Inputs of a subject whose times tell a workflow manager whether to call `detect` again.

    A folder of keypoints (its time changes with the files in it) and its newest file stand for their thousands.
    """
    paths = []
    for trial in check_config(config).subject(subject).trials.values():
        capture = capture_of(trial)
        newest = [max(folder.glob("*.json"), key=_age, default=folder) for folder in capture.keypoints]
        paths += [*capture.detected, *newest, *((capture.mocap,) if capture.mocap else ())]
    return list(dict.fromkeys(map(str, paths)))


def write_config(config: dict, path: str | Path) -> None:
    """The resolved configuration as YAML."""
    plain = json.loads(json.dumps(config))  # a workflow manager may hand in its own kinds of dict
    write_text(Path(path), yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def _age(path: Path) -> tuple[float, str]:
    return path.stat().st_mtime, path.name


def _existing(path: str, kind: str, folder: bool = False) -> Path:
    found = Path(path)
    if not found.exists():
        raise InputError(f"{kind} {found} does not exist (looked from {Path.cwd()}).")
    if found.is_dir() != folder:
        raise InputError(f"{kind} {found} is {'no' if folder else 'a'} folder.")
    return found
