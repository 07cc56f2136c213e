"""What every layout of a copy offers: trials, positions, cameras, videos, 2D points, and the files behind them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from simspine.errors import InputError, unknown_name
from simspine.skeletons import load
from simspine.sources.human36m import names
from simspine.sources.human36m.faults import TrialFault, faults_of, spoilt_videos
from simspine.sources.human36m.rigs import SHARED_FILES, Rigs
from simspine.types import Camera, Keypoints, Markers, Origin

SKELETONS = ("human36m32", "human36m17")
_LEG = (0.5, 1.25)  # m, thigh and shank together; adults: 0.7–1.0
_BONES = (("RHip", "RKnee"), ("RKnee", "RAnkle"), ("LHip", "LKnee"), ("LKnee", "LAnkle"))


class Copy(ABC):
    """A licence holder's copy of Human3.6M in one of its layouts, or another capture laid out like it.

    root: folder of the copy. layout: 'archives', 'fetch' or 'videopose3d'. rigs: camera parameters, if there are any.
    Folders are listed once; nothing else is kept in memory unless a layout says so.
    """

    layout: str

    def __init__(self, root: Path, rigs: Rigs | None):
        self.root, self.rigs = root, rigs

    @property
    @abstractmethod
    def subjects(self) -> tuple[str, ...]:
        """Subjects there is anything of, in order of their numbers."""

    @abstractmethod
    def trials(self, subject: str) -> list[str]:
        """Canonical names of the trials there is anything of."""

    def strays(self, subject: str) -> tuple[str, ...]:
        """Names in the subject's folders that are no trial of this subject."""
        return ()

    @abstractmethod
    def lengths(self, subject: str, trial: str) -> tuple[int | None, dict[str, int], dict[str, Path]]:
        """Frames of the motion capture (None: there is none), rows of 2D points by camera, videos by camera.

        From headers where the layout has them. Raises `InputError` for files that cannot be read.
        """

    @abstractmethod
    def _trial_files(self, subject: str, trial: str) -> list[Path]:
        """All files of the trial but those of cameras."""

    @abstractmethod
    def _positions(self, subject: str, trial: str) -> tuple[np.ndarray, float, float]:
        """(frames, 32 or 17, 3) m in the world, frames per second, time of the first frame."""

    @abstractmethod
    def _points_2d(self, subject: str, trial: str) -> Mapping[str, np.ndarray]:
        """{camera: (frames, 32 or 17, 2) px} as given; empty if the layout has none."""

    def _videos(self, subject: str, trial: str) -> Mapping[str, Path]:
        """{camera: video}."""
        return {}

    def files(self, subject: str, trial: str) -> list[Path]:
        """All files of the trial, cameras included: what a result made of it depends on."""
        found = self._trial_files(subject, self._known(subject, trial))
        return found + ([self.rigs.file(subject)] if self.rigs is not None else [])

    def positions(self, subject: str, trial: str, skeleton: str = "human36m32") -> Markers:
        """Motion capture of one trial: metres, world with z up, 50 frames/s, 32 or 17 joints.

        Raises `InputError` for trials that are not there, files that cannot be read, and bodies that cannot be human
        (units).
        """
        xyz, rate, start = self._positions(subject, self._known(subject, trial))
        joints = load(_skeleton_of(xyz.shape[1]))
        markers = Markers(joints.names, rate, xyz, "z_up", origin=(Origin.GIVEN,) * len(joints), start=start)
        check_size(markers, f"{self.root}, {subject} {trial}")
        return _select(markers, skeleton)

    def points_2d(self, subject: str, trial: str, skeleton: str = "human36m32") -> Keypoints:
        """Published 2D points of all joints, views in the order of `cameras`; NaN where a camera has no file.

        Views of different length are cut to the shortest.
        """
        given = self._points_2d(subject, self._known(subject, trial))
        if not given:
            raise InputError(f"{self.root}, {subject} {trial}: no 2D points in this copy (layout {self.layout}).")
        order = [camera.name for camera in self.cameras(subject)] if self.rigs is not None else sorted(given)
        unknown = sorted(set(given) - set(order))
        if unknown:
            raise InputError(
                f"{self.root}, {subject} {trial}: 2D points of cameras {', '.join(unknown)}, but the camera parameters "
                f"are of {', '.join(order)}."
            )
        frames = min(len(points) for points in given.values())
        joints = load(_skeleton_of(next(iter(given.values())).shape[1]))
        xy = np.full((frames, len(order), len(joints), 2), np.nan)
        for name, points in given.items():
            xy[:, order.index(name)] = points[:frames]
        confidence = np.isfinite(xy).all(-1).astype(float)
        keypoints = Keypoints(joints.names, names.RATE, xy, confidence, (Origin.GIVEN,) * len(joints))
        return _select(keypoints, skeleton)

    def cameras(self, subject: str) -> list[Camera]:
        """The subject's cameras: metres, x_camera = R X + t, OpenCV's model of the lens of their images."""
        if self.rigs is None:
            raise InputError(
                f"no camera parameters for {self.root}; looked for {', '.join(SHARED_FILES)} and Calib_<subject>.toml "
                "there. Put the data set's metadata.xml into the folder, or name a file (capture.cameras)."
            )
        return self.rigs.cameras(subject)

    def videos(self, subject: str, trial: str) -> list[Path]:
        """Videos in the order of the cameras, without those known to be corrupt."""
        found = self._videos(subject, self._known(subject, trial))
        bad = spoilt_videos(self.faults(subject, trial))
        order = [camera.name for camera in self.cameras(subject)] if self.rigs is not None else list(names.CAMERAS)
        rank = {name: i for i, name in enumerate(order)}
        return [found[name] for name in sorted(found, key=lambda n: (rank.get(n, len(rank)), n)) if name not in bad]

    def faults(self, subject: str, trial: str | None = None) -> list[TrialFault]:
        """Known faults of the data set; none for a capture of other origin in its layout (its metadata.xml says)."""
        made = self.rigs is not None and self.rigs.metadata is not None and self.rigs.metadata.ours
        return [] if made else faults_of(subject, trial)

    def _known(self, subject: str, trial: str) -> str:
        """The trial's canonical name; `InputError` lists what there is."""
        if subject not in self.subjects:
            raise unknown_name("subject", subject, self.subjects, str(self.root))
        canonical = "{}_{}".format(*names.split_trial(trial))
        there = self.trials(subject)
        if canonical not in there:
            strays = self.strays(subject)
            hint = f" Files that are no trial of {subject}: {', '.join(strays)}." if strays else ""
            raise InputError(
                f"{self.root}: {subject} has no {canonical} (file name {names.official_name(subject, canonical)!r})."
                f"{hint} There: {', '.join(there) or 'none'}."
            )
        return canonical


def check_size(markers: Markers, where: str) -> None:
    """`InputError` unless the legs are as long as a person's: catches millimetres taken for metres."""
    bones = [(a, b) for a, b in _BONES if a in markers.names and b in markers.names]
    if len(bones) < len(_BONES):
        return
    lengths = [np.linalg.norm(np.diff(markers.xyz[:, markers.indices(bone)], axis=1)[:, 0], axis=-1) for bone in bones]
    leg = float(np.nanmedian(np.sum(lengths, 0))) / 2
    if not _LEG[0] <= leg <= _LEG[1]:
        unit = next((u for u, f in (("millimetres", 1e-3), ("metres", 1e3)) if _LEG[0] <= leg * f <= _LEG[1]), None)
        hint = f" The file seems to be in {unit}." if unit else ""
        raise InputError(f"{where}: thigh and shank are {leg:.4g} m long together, expected 0.5–1.25 m.{hint}")


def _skeleton_of(joints: int) -> str:
    for name in SKELETONS:
        if len(load(name)) == joints:
            return name
    raise InputError(f"{joints} joints in a frame; Human3.6M has 32, or 17 of them.")


def _select(points, skeleton: str):
    if skeleton not in SKELETONS:
        raise unknown_name("skeleton of Human3.6M", skeleton, SKELETONS)
    wanted: Sequence[str] = load(skeleton).names
    if len(wanted) > len(points.names):
        raise InputError(f"the copy holds {len(points.names)} joints only; {skeleton} has {len(wanted)}.")
    return points if tuple(wanted) == points.names else points.select(wanted)
