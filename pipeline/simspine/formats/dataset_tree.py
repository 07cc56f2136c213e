"""The in-memory tree of a data set: subjects, their trials, and what is known about each. Layout on disk: `dataset`."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np

from simspine.arrays import Unchanging
from simspine.errors import InputError, require_known
from simspine.skeletons.vertebrae import at_vertebrae
from simspine.types import Camera, Forced, Markers, Motion, Origin, read_only

STATUSES = ("kept", "corrected", "rejected", "inferred")


@dataclass(frozen=True, eq=False)
class TrialData(Unchanging):
    """One trial. Angles rad, lengths m, times s; NaN = missing. markers: y_up, the forward kinematics of `motion`.

    levels: names of the spinal levels. angles: (frames, levels, 3) flexion, lateral bending, axial rotation. lla, tka:
    (frames,). angles_sd, lla_sd, tka_sd: standard deviations of the same shapes; those of the coordinates are
    `motion.deviation`, the covariances of the points `markers.covariance`. response: (coordinates,) share of each
    coordinate that the data decided, 0…1, NaN where there is none; level_share: (levels, 3) the same of each level's
    angles. clinical_names: of the clinical parameters, clinical_units: 'rad' or 'm' of each; clinical, clinical_sd:
    (frames, parameters); clinical_decided: in words what each parameter rests on in this trial. forced: {level, 'lla',
    'tka' or clinical parameter: what the model forces there, () where nothing}. status: per frame kept, corrected,
    rejected or inferred (rejected and filled in). reasons: per frame, '' where there is nothing to say. fitted: names
    of the markers inverse kinematics fitted, with their origin; marker_error: (frames, fitted) m; filled: (frames,
    fitted) bool, where a gap of the fitted marker was interpolated. centres: centroids of the vertebrae C1 … L5, S1
    (y_up). poses: {body: (frames, 4, 4)} in ground. fk_deviation: largest distance, m, between `markers` or `centres`
    and the forward kinematics of `motion` as written. withheld: the points are left out on purpose (a licence), so
    `markers` are all NaN.
    """

    markers: Markers
    motion: Motion
    levels: tuple[str, ...] = ()
    angles: np.ndarray | None = None
    lla: np.ndarray | None = None
    tka: np.ndarray | None = None
    angles_sd: np.ndarray | None = None
    lla_sd: np.ndarray | None = None
    tka_sd: np.ndarray | None = None
    response: np.ndarray | None = None
    level_share: np.ndarray | None = None
    clinical_names: tuple[str, ...] = ()
    clinical_units: tuple[str, ...] = ()
    clinical: np.ndarray | None = None
    clinical_sd: np.ndarray | None = None
    clinical_decided: tuple[str, ...] = ()
    forced: Mapping[str, tuple[Forced, ...]] = field(default_factory=dict)
    status: tuple[str, ...] | None = None
    reasons: tuple[str, ...] | None = None
    fitted: tuple[str, ...] = ()
    fitted_origin: tuple[Origin, ...] | None = None
    marker_error: np.ndarray | None = None
    filled: np.ndarray | None = None
    centres: Markers | None = None
    poses: Mapping[str, np.ndarray] = field(default_factory=dict)
    fk_deviation: float | None = None
    withheld: bool = False

    def __post_init__(self):
        frames = self.markers.frames
        if self.markers.frame != "y_up":
            raise InputError(
                f"TrialData.markers is in frame {self.markers.frame!r}, expected 'y_up'; see change_frame."
            )
        if self.centres is not None and (self.centres.frames, self.centres.frame) != (frames, "y_up"):
            raise InputError(
                f"TrialData.centres has {self.centres.frames} frames in {self.centres.frame!r}, expected {frames} in "
                "'y_up'."
            )
        if self.motion.frames != frames:
            raise InputError(
                f"TrialData.motion has {self.motion.frames} frames, markers have {frames}; cut both alike."
            )
        shapes = {
            "angles": (frames, len(self.levels), 3), "lla": (frames,), "tka": (frames,),
            "angles_sd": (frames, len(self.levels), 3), "lla_sd": (frames,), "tka_sd": (frames,),
            "response": (len(self.motion.names),), "level_share": (len(self.levels), 3),
            "clinical": (frames, len(self.clinical_names)), "clinical_sd": (frames, len(self.clinical_names)),
            "marker_error": (frames, len(self.fitted)), "filled": (frames, len(self.fitted)),
        }  # fmt: skip
        for name, shape in shapes.items():
            if (value := getattr(self, name)) is not None:
                self._set(name, read_only("TrialData", name, value, shape, bool if name == "filled" else float))
        for name in ("levels", "fitted", "clinical_names", "clinical_units", "clinical_decided"):
            self._set(name, tuple(str(text) for text in getattr(self, name)))
        if self.clinical_decided and len(self.clinical_decided) != len(self.clinical_names):
            raise InputError(
                f"TrialData.clinical_decided has {len(self.clinical_decided)} entries, clinical_names "
                f"{len(self.clinical_names)}."
            )
        for name in ("status", "reasons"):
            texts = getattr(self, name)
            if texts is not None:
                self._set(name, tuple(str(text) for text in texts))
                if len(texts) != frames:
                    raise InputError(
                        f"TrialData.{name} has {len(texts)} entries, expected one for each of {frames} frames."
                    )
        require_known("frame status", dict.fromkeys(self.status or ()), STATUSES)
        if self.fitted_origin is not None:
            self._set("fitted_origin", tuple(Origin(origin) for origin in self.fitted_origin))
            if len(self.fitted_origin) != len(self.fitted):
                raise InputError(
                    f"TrialData.fitted_origin has {len(self.fitted_origin)} entries, fitted {len(self.fitted)}."
                )
        poses = {str(k): read_only("TrialData", f"poses[{k!r}]", v, (frames, 4, 4)) for k, v in self.poses.items()}
        self._set("poses", MappingProxyType(poses))
        self._set("forced", MappingProxyType({str(k): tuple(v) for k, v in self.forced.items()}))

    @property
    def vertebral(self) -> Markers | None:
        """`markers` with the points along the spine at their vertebrae's centroids; None where these are not known."""
        return None if self.centres is None else at_vertebrae(self.markers, self.centres)

    @property
    def valid(self) -> np.ndarray:
        """(frames,) bool: solved and not rejected. Frames that are not stay in the file, also those that were rejected
        and then filled in (`inferred`)."""
        solved = np.isfinite(self.motion.values).all(1)
        return solved if self.status is None else solved & ~np.isin(self.status, ("rejected", "inferred"))

    @property
    def inferred(self) -> np.ndarray:
        """(frames,) bool: rejected, and filled in from the frames around."""
        return np.array([status == "inferred" for status in self.status or ("",) * self.motion.frames], bool)

    @property
    def degrees(self) -> np.ndarray:
        """(frames, coordinates): rotations in degrees, translations in metres."""
        return np.where(self.motion.rotational, np.degrees(self.motion.values), self.motion.values)

    @property
    def degrees_sd(self) -> np.ndarray | None:
        """Standard deviations of `degrees`."""
        sd = self.motion.deviation
        return None if sd is None else np.where(self.motion.rotational, np.degrees(sd), sd)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __eq__(self, other) -> bool:
        if type(other) is not TrialData:
            return NotImplemented
        return all(_same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))


class LazyTrials(Mapping):
    """Trials by name, each made when it is asked for and not kept: a data set larger than the memory is written so."""

    def __init__(self, names: Iterable[str], read: Callable[[str], TrialData]):
        self._names, self._read = tuple(names), read

    def __getitem__(self, name: str) -> TrialData:
        if name not in self._names:
            raise KeyError(name)
        return self._read(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True)
class SubjectData:
    """One person. cameras: in the order of the views. model: the scaled `.osim` as text; model_file: where it was."""

    cameras: tuple[Camera, ...]
    trials: Mapping[str, TrialData]
    model: str = ""
    model_file: str = ""


@dataclass(frozen=True)
class Dataset:
    """The whole tree. subjects: names as in the release ('S1') or any other. provenance: what JSON can say."""

    subjects: Mapping[str, SubjectData]
    provenance: Mapping[str, Any] = field(default_factory=dict)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return list(a) == list(b) and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (a != a and b != b)
    return type(a) is type(b) and a == b
