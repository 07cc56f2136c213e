"""VideoPose3D's data_3d_h36m.npz: one pickled dictionary of world positions in metres.

`positions_3d` is {subject: {file name: (frames, 32, 3) float32 m}}, with the names of the official files, except that
S1 has Photo and WalkDog like the others; its writer leaves out the trial S11 Directions, whose video is corrupt.
`data_2d_h36m_gt.npz` beside it, if there, holds projections of 17 joints: {subject: {file name: [per camera (frames,
17, 2) px]}}.
"""

from functools import cached_property
from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.formats.npz import read_npz
from simspine.sources.human36m import names
from simspine.sources.human36m.copy import Copy

FILE, FILE_2D = "data_3d_h36m.npz", "data_2d_h36m_gt.npz"


class VideoPose3D(Copy):
    """The layout of VideoPose3D's archive. It is read as a whole (about 200 MB) when first needed, and kept."""

    layout = "videopose3d"
    LOOKED_FOR = f"{FILE}, also in data/"

    @staticmethod
    def find(root: Path) -> Path | None:
        """The archive, if `root` is one or holds one."""
        if root.is_file():
            return root if root.suffix == ".npz" else None
        return next((p for p in (root / FILE, root / "data" / FILE) if p.is_file()), None)

    @cached_property
    def _data(self) -> dict[str, dict[str, np.ndarray]]:
        return _by_trial(self.root, "positions_3d")

    @cached_property
    def _data_2d(self) -> dict[str, dict[str, list[np.ndarray]]]:
        path = self.root.with_name(FILE_2D)
        return _by_trial(path, "positions_2d") if path.is_file() else {}

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(names.subject_order(self._data))

    def trials(self, subject: str) -> list[str]:
        return list(self._data[subject])

    def lengths(self, subject: str, trial: str) -> tuple[int | None, dict[str, int], dict[str, Path]]:
        points = {camera: len(values) for camera, values in self._points_2d(subject, trial).items()}
        return len(self._data[subject][trial]), points, {}

    def _trial_files(self, subject: str, trial: str) -> list[Path]:
        return [self.root]

    def _positions(self, subject: str, trial: str) -> tuple[np.ndarray, float, float]:
        xyz = np.asarray(self._data[subject][trial], float)
        if xyz.ndim != 3 or xyz.shape[2] != 3 or not len(xyz) or not np.isfinite(xyz).all():
            raise InputError(f"{self.root}, {subject} {trial}: positions {xyz.shape}, expected finite (frames, 32, 3).")
        return xyz, names.RATE, 0.0

    def _points_2d(self, subject: str, trial: str) -> dict[str, np.ndarray]:
        views = self._data_2d.get(subject, {}).get(trial, [])
        return {camera: np.asarray(view, float) for camera, view in zip(names.CAMERAS, views, strict=False)}


def _by_trial(path: Path, key: str) -> dict[str, dict]:
    """The dictionary `key` of an archive, with canonical trials."""
    content = read_npz(path, [key])[key]
    if not isinstance(content, dict) or not all(isinstance(actions, dict) for actions in content.values()):
        raise InputError(f"{path}: {key} is not a dictionary of subjects with a dictionary of actions each.")
    found = {}
    for subject, actions in content.items():
        matched = names.match_files(subject, actions)
        if matched.strays:
            raise InputError(f"{path}: {subject} has {', '.join(matched.strays)}, which are none of its trials.")
        found[subject] = {trial: actions[name] for trial, name in matched.trials.items()}
    return found
