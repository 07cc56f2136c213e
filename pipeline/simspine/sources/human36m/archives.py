"""The official archives, unpacked: CDF files and videos per subject.

    <root>/S1/MyPoseFeatures/D3_Positions/Directions 1.cdf               world, mm
    <root>/S1/MyPoseFeatures/D3_Positions_mono/Directions 1.54138969.cdf camera, mm
    <root>/S1/MyPoseFeatures/D2_Positions/Directions 1.54138969.cdf      px
    <root>/S1/Videos/Directions 1.54138969.mp4
    <root>/metadata.xml

h36m-fetch unpacks the same files as <root>/extracted/S1/Poses_D3_Positions/…; read as well. The folder
`D3_Positions_mono_universal` (everybody with the limbs of one person) is never read.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simspine.errors import InputError
from simspine.sources.human36m import cdf, names
from simspine.sources.human36m.copy import Copy

WORLD, MONO, POINTS, VIDEOS = "D3_Positions", "D3_Positions_mono", "D2_Positions", "Videos"
_FOLDERS = ("MyPoseFeatures/{kind}", "Poses_{kind}", "{kind}")
_ENDINGS = {WORLD: ".cdf", MONO: ".cdf", POINTS: ".cdf", VIDEOS: ".mp4"}
_AGREE = 1e-3  # m, within which the cameras of a trial must place a joint


class _Listing(NamedTuple):
    """{trial: {camera or '': file}} of one subject and kind, and names that are no trial."""

    trials: dict[str, dict[str, Path]]
    strays: tuple[str, ...]


class Archives(Copy):
    """The official layout, and h36m-fetch's unpacked archives."""

    layout = "archives"
    LOOKED_FOR = (
        f"<subject>/MyPoseFeatures/{WORLD}/*.cdf or <subject>/Poses_{WORLD}/*.cdf (also {MONO}), <subject>/Videos"
    )

    @staticmethod
    def find(root: Path) -> Path | None:
        """The folder with the subjects, if `root` has this layout."""
        return next((p for p in (root, root / "extracted") if p.is_dir() and _subject_folders(p)), None)

    @cached_property
    def _listings(self) -> dict[str, dict[str, _Listing]]:
        return {
            subject: {kind: _list(subject, folder, kind) for kind in _ENDINGS}
            for subject, folder in _subject_folders(self.root).items()
        }

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(self._listings)

    def trials(self, subject: str) -> list[str]:
        there = set().union(*(listing.trials for listing in self._listings[subject].values()))
        return [trial for trial in names.canonical_trials() if trial in there]

    def strays(self, subject: str) -> tuple[str, ...]:
        return tuple(sorted(set().union(*(listing.strays for listing in self._listings[subject].values()))))

    def lengths(self, subject: str, trial: str) -> tuple[int | None, dict[str, int], dict[str, Path]]:
        source = self._files(subject, trial, WORLD) or self._files(subject, trial, MONO)
        points = self._files(subject, trial, POINTS)
        counts = [len(poses) for poses in cdf.read_poses([*source.values(), *points.values()])]
        frames = min(counts[: len(source)], default=None)
        return frames, dict(zip(points, counts[len(source) :], strict=True)), dict(self._videos(subject, trial))

    def _trial_files(self, subject: str, trial: str) -> list[Path]:
        return [path for kind in _ENDINGS for path in self._files(subject, trial, kind).values()]

    def _files(self, subject: str, trial: str, kind: str) -> dict[str, Path]:
        return self._listings[subject][kind].trials.get(trial, {})

    def _videos(self, subject: str, trial: str) -> dict[str, Path]:
        return {camera: path for camera, path in self._files(subject, trial, VIDEOS).items() if camera}

    def _positions(self, subject: str, trial: str) -> tuple[np.ndarray, float, float]:
        world = self._files(subject, trial, WORLD)
        if world:
            return _read(world, 3)[""] / 1000, names.RATE, 0.0
        mono = {camera: poses / 1000 for camera, poses in _read(self._files(subject, trial, MONO), 3).items()}
        if not mono:
            raise InputError(
                f"{self.root}, {subject} {trial}: no motion capture ({WORLD} or {MONO}), only other files."
            )
        return to_world(mono, self.cameras(subject), f"{self.root}, {subject} {trial}"), names.RATE, 0.0

    def _points_2d(self, subject: str, trial: str) -> dict[str, np.ndarray]:
        return _read(self._files(subject, trial, POINTS), 2)


def to_world(local: dict[str, np.ndarray], cameras, where: str) -> np.ndarray:
    """(frames, joints, 3) m in the world, from what single cameras have in their frames.

    All cameras must say the same to 1 mm; else the parameters are not those of the data (or of another subject).
    """
    by_name = {camera.name: camera for camera in cameras}
    known = [name for name in local if name in by_name]
    if not known:
        raise InputError(f"{where}: positions in the frames of {', '.join(local)}; cameras are {', '.join(by_name)}.")
    frames = min(len(local[name]) for name in known)
    world = [(local[name][:frames] - by_name[name].t) @ by_name[name].R for name in known]
    apart = max(float(np.abs(other - world[0]).max()) for other in world)
    if apart > _AGREE:
        raise InputError(
            f"{where}: the cameras place the same joint up to {apart:.3g} m apart; their parameters do not belong to "
            "these data. Check that they are this subject's, in metres, with x_camera = R X + t."
        )
    return world[0]


def _read(files: dict[str, Path], dimensions: int) -> dict[str, np.ndarray]:
    """Poses by camera."""
    found = dict(zip(files, cdf.read_poses(files.values()), strict=True))
    for camera, poses in found.items():
        if poses.shape[2] != dimensions:
            raise InputError(f"{files[camera]}: {poses.shape[2]}D points in a folder of {dimensions}D points.")
    return found


def _subject_folders(root: Path) -> dict[str, Path]:
    """{subject: folder} for folders named like subjects that hold one of the kinds."""
    found = {
        path.name: path
        for path in root.iterdir()
        if re.fullmatch(r"S\d+", path.name) and any(_kind_folder(path, kind) for kind in _ENDINGS)
    }
    return {subject: found[subject] for subject in names.subject_order(found)}


def _kind_folder(subject: Path, kind: str) -> Path | None:
    return next((p for f in _FOLDERS if (p := subject / f.format(kind=kind)).is_dir()), None)


def _list(subject: str, folder: Path, kind: str) -> _Listing:
    place = _kind_folder(folder, kind)
    files: dict[str, dict[str, Path]] = {}
    for path in sorted(place.iterdir()) if place else ():
        if path.name.startswith(".") or path.suffix.lower() != _ENDINGS[kind]:
            continue
        name, _, camera = path.stem.partition(".") if kind != WORLD else (path.stem, "", "")
        files.setdefault(name, {})[camera] = path
    matched = names.match_files(subject, files)
    return _Listing({trial: files[name] for trial, name in matched.trials.items()}, matched.strays)
