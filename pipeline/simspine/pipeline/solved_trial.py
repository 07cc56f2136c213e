"""`SolvedTrial`: what each stage found in one trial, and what follows from it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from simspine.arrays import Unchanging
from simspine.body.kinematics import body_poses, forward_kinematics
from simspine.body.model import Body
from simspine.cameras.clocks import Timing
from simspine.errors import InputError
from simspine.ik.result import Result
from simspine.pipeline.clinical import decided_shares, rhythm_of
from simspine.pipeline.sized_body import SizedBody
from simspine.pipeline.verdict import shares
from simspine.quality.clinical_figures import ClinicalFigure, clinical_figures
from simspine.quality.curvature_figures import curvature_figures
from simspine.quality.findings import Finding, Verdict
from simspine.quality.observability import forced_mask, is_estimated
from simspine.skeletons import TARGET, load
from simspine.spine.lumbopelvic import LumbopelvicRhythm
from simspine.spine.vertebrae import SpineKinematics
from simspine.triangulation import TriangulationReport, exchange
from simspine.types import Camera, Keypoints, Markers, Motion


@dataclass(frozen=True, eq=False)
class SolvedTrial(Unchanging):
    """What each stage found in one trial; lengths m, angles rad, times s.

    markers: what inverse kinematics was given, y_up, with origin and covariance. sized: the person's body. result: of
    inverse kinematics. spine: angles per level, LLA, TKA, points and vertebral centres, with uncertainty. verdict:
    which frames can be trusted; None where nobody asked. Where the trial came from images besides: cameras in the order
    of the views, keypoints (frames, views, points), triangulation (how well they fit), points (triangulated, z_up; None
    where read from files, for the memory of long trials); videos: their files, for pictures; timing: which frames of
    them belong together, where not those of one number.
    """

    subject: str
    trial: str
    markers: Markers
    sized: SizedBody
    result: Result
    spine: SpineKinematics
    verdict: Verdict | None = None
    cameras: tuple[Camera, ...] = ()
    keypoints: Keypoints | None = None
    triangulation: TriangulationReport | None = None
    points: Markers | None = None
    videos: tuple[Path, ...] = ()
    timing: Timing | None = None

    @property
    def name(self) -> str:
        return f"{self.subject} · {self.trial}"

    @property
    def body(self) -> Body:
        return self.sized.body

    @property
    def motion(self) -> Motion:
        return self.result.motion

    @property
    def findings(self) -> tuple[Finding, ...]:
        return () if self.verdict is None else self.verdict.findings

    @property
    def lla(self) -> np.ndarray:
        """(frames,) rad: lumbar lordosis; its standard deviation is `spine.lla_sd`."""
        return self.spine.lla

    @property
    def tka(self) -> np.ndarray:
        """(frames,) rad: thoracic kyphosis; its standard deviation is `spine.tka_sd`."""
        return self.spine.tka

    def video_frames(self, view: int) -> np.ndarray:
        """(frames,) int: the frame of a view's video nearest to each frame of the trial."""
        return np.arange(self.spine.frames) if self.timing is None else self.timing.nearest(view)[: self.spine.frames]

    @cached_property
    def poses(self) -> dict[str, np.ndarray]:
        """{body: (frames, 4, 4)} in ground, y_up."""
        return body_poses(self.body, self.motion)

    @cached_property
    def model_markers(self) -> Markers:
        """All markers of the body by forward kinematics, y_up."""
        return forward_kinematics(self.body, self.motion)

    @cached_property
    def model_points(self) -> Markers:
        """The body's own markers under SIMSPINE names: the limbs fitted, and the fifteen of the spine; y_up."""
        spine, model = self.spine.markers, self.model_markers
        limbs = [name for name in model.names if name.isalpha() and name not in spine.names]
        both = model.select(limbs)
        return both.with_(names=(*both.names, *spine.names), xyz=np.concatenate([both.xyz, spine.xyz], 1))

    @cached_property
    def shares(self) -> np.ndarray:
        """(levels, 3) share of each level's angle that the data decided; NaN where that is not known."""
        return shares(self.sized, self.result, self.spine)

    @property
    def spine_estimated(self) -> bool:
        """Whether points of the spine that were fitted were estimated, so that what they say is no measurement."""
        return is_estimated(self.markers.names, self.markers.origins)

    @cached_property
    def clinical_figures(self) -> tuple[ClinicalFigure, ...]:
        """Clinical parameters over the frames that were not rejected, with what decided them."""
        clinical = self.spine.clinical
        if clinical is None:
            return ()
        return clinical_figures(clinical, ~self.rejected, decided_shares(self.sized, self.result), self.spine_estimated)

    @cached_property
    def curvature_figures(self) -> tuple[ClinicalFigure, ...]:
        """Lordosis and kyphosis over the frames that were not rejected, with what decided them."""
        spine = self.spine
        angles = {"lla": (spine.lla, spine.lla_sd), "tka": (spine.tka, spine.tka_sd)}
        forced = {name: bool(forced_mask([name], spine.forced).any()) for name in angles}
        return curvature_figures(angles, ~self.rejected, forced, self.spine_estimated)

    @cached_property
    def lumbopelvic_rhythm(self) -> LumbopelvicRhythm | None:
        """Of the frames that were not rejected; None where the trial has no clinical parameters."""
        clinical = self.spine.clinical
        return None if clinical is None else rhythm_of(clinical, ~self.rejected, self.result)

    @property
    def rejected(self) -> np.ndarray:
        """(frames,) bool."""
        return np.zeros(self.spine.frames, bool) if self.verdict is None else self.verdict.rejected

    @property
    def inferred(self) -> np.ndarray:
        """(frames,) bool: rejected frames that were filled in from the frames around."""
        return np.zeros(self.spine.frames, bool) if self.verdict is None else self.verdict.inferred

    @property
    def images(self) -> tuple[Keypoints, TriangulationReport]:
        """The keypoints and how well they fit. Raises `InputError` where the trial did not come from images."""
        if self.keypoints is None or self.triangulation is None:
            raise InputError(f"{self.name}: was not triangulated from images, which this needs; start from 2D points.")
        return self.keypoints, self.triangulation

    @cached_property
    def detected(self) -> Keypoints:
        """The keypoints as triangulation used them, left and right put right. Needs images."""
        return self.detected_in(slice(None))

    def detected_in(self, frames: slice) -> Keypoints:
        """`detected` of some frames: pictures show few of a long trial."""
        keypoints, report = self.images
        some = keypoints.with_(xy=keypoints.xy[frames], confidence=keypoints.confidence[frames])
        return exchange(some.select(report.names), report.swapped[frames])


def body_edges() -> tuple[tuple[str, str], ...]:
    """Pairs of SIMSPINE points that a picture joins by lines."""
    skeleton = load(TARGET)
    return tuple((skeleton.names[p], n) for n, p in zip(skeleton.names, skeleton.parents, strict=True) if p >= 0)
