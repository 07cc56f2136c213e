"""Results of all stages for one trial, and quantities from them: points of the body, figures, fit of each view."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from simspine.anatomy.alignment import LumbopelvicRhythm
from simspine.anatomy.body import Body, body_poses, forward_kinematics
from simspine.anatomy.vertebrae import SpineKinematics
from simspine.core.arrays import Unchanging
from simspine.core.errors import InputError
from simspine.core.geometry import change_frame, project_points
from simspine.core.skeletons import SIMSPINE_SKELETON, load_skeleton, without_skin_markers
from simspine.core.types import Camera, Keypoints, Markers, Motion, Origin
from simspine.estimation.fit_person import SizedBody
from simspine.estimation.result import Result
from simspine.estimation.solve_trial import decided_shares, lumbopelvic_rhythm_of
from simspine.quality import observability
from simspine.quality.assess import ViewFit, observed_angle_shares
from simspine.quality.doubts import with_doubts
from simspine.quality.findings import Finding, Verdict
from simspine.quality.marker_checks import unseen_limb_joints
from simspine.vision.side_swaps import exchange_sides
from simspine.vision.synchronise import Timing
from simspine.vision.triangulation import TriangulationReport

SEEN_SHARE = 0.5  # of the frames, from which a point counts as a source


@dataclass(frozen=True, eq=False)
class SolvedTrial(Unchanging):
    """Results of all stages for one trial; `simspine.Reconstruction` describes the fields.

    `points` is None in a trial read from files, to save memory.
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

    def __post_init__(self):
        results = (self.markers, self.result.motion, self.spine, self.verdict)
        frames = [part.frames for part in results if part is not None]
        if len(set(frames)) > 1:
            lengths = f"markers, kinematics, vertebrae and quality of {frames} frames"
            raise InputError(f"{self.name}: {lengths}, which are not of one run. Run `simspine run` again.")
        if self.cameras and self.videos and len(self.cameras) != len(self.videos):
            counts = f"{len(self.videos)} videos now, but results of {len(self.cameras)} cameras"
            raise InputError(f"{self.name}: {counts}. Run `simspine run` again.")
        if self.keypoints is not None and self.triangulation is not None:
            self._set(**_seen_at(self.markers, self.keypoints, self.triangulation, self.timing))

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
        frames = self.spine.frames
        return np.arange(frames) if self.timing is None else self.timing.nearest_frames(view)[:frames]

    @cached_property
    def poses(self) -> dict[str, np.ndarray]:
        """{body: (frames, 4, 4)} in ground, y_up."""
        return body_poses(self.body, self.motion)

    def shown_poses(self, step: int = 1) -> dict[str, np.ndarray]:
        """Poses of every step-th frame for pictures; NaN for limbs in frames in which they were not seen."""
        every = self.poses if step == 1 else body_poses(self.body, self.motion.every(step))
        return without_unseen_limbs(every, self.body, self.motion, step)

    @cached_property
    def model_markers(self) -> Markers:
        """All markers of the body by forward kinematics, y_up."""
        return forward_kinematics(self.body, self.motion)

    @cached_property
    def model_points(self) -> Markers:
        """The body's own markers under SIMSPINE names: the limbs fitted, and the fifteen of the spine; y_up. Limbs are
        missing in frames in which they were not seen."""
        spine, model = self.spine.markers, self.model_markers
        limbs = [name for name in model.names if name.isalpha() and name not in spine.names]
        xyz, unseen = np.array(model.xyz), unseen_bodies(self.body, self.motion)
        for name in limbs:
            xyz[unseen.get(self.body.marker_bodies[self.body.marker_index(name)], ()), model.index(name)] = np.nan
        both = model.with_(xyz=xyz).select(limbs)
        return both.with_(names=(*both.names, *spine.names), xyz=np.concatenate([both.xyz, spine.xyz], 1))

    @cached_property
    def observed_shares(self) -> np.ndarray:
        """(levels, 3) share of each angle that the data decided; NaN where not known."""
        return observed_angle_shares(self.sized, self.result, self.spine)

    @property
    def spine_estimated(self) -> bool:
        """Whether fitted points of the spine were estimated, so that angles of the spine are no measurements."""
        return bool(observability.estimated_of_spine(self.markers.names, self.markers.origins))

    @cached_property
    def clinical_figures(self) -> tuple[observability.ClinicalFigure, ...]:
        """Clinical parameters over the frames that were not rejected, with what decided them."""
        clinical, kept = self.spine.clinical, ~self.rejected
        if clinical is None:
            return ()
        lordosis = observability.share_of_curvature("lla", self.curvature_figures[0].sd)
        composed = observability.composed_shares(lordosis, self.spine.levels, self.observed_shares)
        shares = decided_shares(self.sized, self.result) | composed
        figures = observability.clinical_figures(
            clinical, kept, shares, estimated=self.spine_estimated, sacral_tilt_sd=self.sized.sacral_tilt_sd
        )
        if not self.shows_pelvis_tilt:
            unseen = observability.counted_from_unseen_tilt
            figures = tuple(unseen(one) if one.name.startswith("hip_flexion") else one for one in figures)
        return with_doubts(figures, self.findings)

    @cached_property
    def shows_pelvis_tilt(self) -> bool:
        """Whether a point of pelvis or sacrum besides both hips, which lie on the axis of its tilt, was seen in half of
        the frames."""
        carriers, markers = dict(zip(self.body.marker_names, self.body.marker_bodies, strict=True)), self.markers
        left_out = {"RHip", "LHip", *markers.names_of(Origin.INFERRED)}
        return any(
            carriers.get(name) in ("pelvis", "sacrum") and name not in left_out and share >= SEEN_SHARE
            for name, share in zip(markers.names, markers.present.mean(0), strict=True)
        )

    @cached_property
    def curvature_figures(self) -> tuple[observability.ClinicalFigure, ...]:
        """Lordosis and kyphosis over the frames that were not rejected, with what decided them."""
        figures = observability.curvature_figures(self.spine, ~self.rejected, estimated=self.spine_estimated)
        return with_doubts(figures, self.findings)

    @cached_property
    def lumbopelvic_rhythm(self) -> LumbopelvicRhythm | None:
        """The rhythm over frames that were not rejected; None where the trial has no clinical parameters."""
        clinical = self.spine.clinical
        return None if clinical is None else lumbopelvic_rhythm_of(clinical, ~self.rejected, self.result)

    @property
    def rejected(self) -> np.ndarray:
        """(frames,) bool."""
        return np.zeros(self.spine.frames, bool) if self.verdict is None else self.verdict.rejected

    @property
    def inferred(self) -> np.ndarray:
        """(frames,) bool: rejected frames that were filled in from the frames around."""
        return np.zeros(self.spine.frames, bool) if self.verdict is None else self.verdict.inferred

    @property
    def keypoints_and_triangulation(self) -> tuple[Keypoints, TriangulationReport]:
        """The keypoints and how well they fit. Raises `InputError` where the trial did not come from images."""
        if self.keypoints is None or self.triangulation is None:
            raise InputError(f"{self.name}: was not triangulated from images, which this needs; start from 2D points.")
        return self.keypoints, self.triangulation

    @cached_property
    def used_keypoints(self) -> Keypoints:
        """The keypoints as triangulation used them, left and right exchanged where they were mixed up. Needs images."""
        return self.used_keypoints_of(slice(None))

    def used_keypoints_of(self, frames: slice) -> Keypoints:
        """`used_keypoints` of some frames: pictures show few of a long trial."""
        keypoints, report = self.keypoints_and_triangulation
        part = keypoints.with_(xy=keypoints.xy[frames], confidence=keypoints.confidence[frames])
        return exchange_sides(part.select(report.names), report.swapped[frames])


def _seen_at(
    markers: Markers, keypoints: Keypoints, report: TriangulationReport, timing: Timing | None
) -> dict[str, Any]:
    """Keypoints, triangulation and timing at the frames of the markers, which are those of motion capture if there is
    any: of the images nearest in time. {} where these frames are the same."""
    if (keypoints.rate, keypoints.frames) == (markers.rate, markers.frames):
        return {}
    start = 0.0 if timing is None else timing.first / keypoints.rate
    rows = np.round((markers.time - start) * keypoints.rate).astype(int).clip(0, keypoints.frames - 1)
    views, none_late = range(keypoints.views), np.zeros(keypoints.views)
    shown = tuple(rows if timing is None else timing.nearest_frames(view)[rows] for view in views)
    parts = {name: getattr(report, name)[rows] for name in ("used", "error_px", "swapped", "reason")}
    return {
        "keypoints": keypoints.with_(rate=markers.rate, xy=keypoints.xy[rows], confidence=keypoints.confidence[rows]),
        "triangulation": replace(report, **parts),
        "timing": Timing(report.views, none_late, none_late, first=0, frames=len(rows), native=shown),
    }


def unseen_bodies(body: Body, motion: Motion) -> dict[str, np.ndarray]:
    """{body of an arm or leg: (frames,) bool, True where a joint that moves it was not seen}."""
    joints, names, unseen = unseen_limb_joints(motion), body.free_names, {}
    for number, name in enumerate(body.bodies, 1):
        moving = [joints[names[column]] for column in body.tree.columns_of(number) if names[column] in joints]
        if np.any(moving):
            unseen[name] = np.any(moving, axis=0)
    return unseen


def without_unseen_limbs(
    poses: Mapping[str, np.ndarray], body: Body, motion: Motion, step: int = 1
) -> dict[str, np.ndarray]:
    """The poses (4, 4) of every step-th frame, with NaN for `unseen_bodies`."""
    unseen, shown = unseen_bodies(body, motion), dict(poses)
    for name in unseen.keys() & shown.keys():
        shown[name] = np.where(unseen[name][::step, None, None], np.nan, shown[name])
    return shown


def body_edges() -> tuple[tuple[str, str], ...]:
    """Pairs of SIMSPINE points that a picture joins by lines."""
    skeleton = load_skeleton(SIMSPINE_SKELETON)
    return tuple((skeleton.names[p], n) for n, p in zip(skeleton.names, skeleton.parents, strict=True) if p >= 0)


VIEW_FIT_LIMB_POINTS = tuple(
    f"{side}{point}" for side in "LR" for point in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")
)


def limb_distance(found: SolvedTrial) -> np.ndarray:
    """(frames, views, points) px from the body's limb points to the detected ones; NaN where either is missing.

    Raises `InputError` where the trial did not come from images.
    """
    cameras, model, keypoints = found.cameras, found.model_markers, found.used_keypoints
    if len(cameras) != keypoints.views or model.frames != keypoints.frames:
        raise InputError(
            f"{len(cameras)} cameras and {model.frames} frames of markers do not fit keypoints of {keypoints.views} "
            f"views and {keypoints.frames} frames."
        )
    names = [name for name in VIEW_FIT_LIMB_POINTS if name in keypoints.names and name in model.names]
    xyz = change_frame(model.select(names).xyz, model.frame, "z_up")
    images = np.moveaxis(project_points(cameras, xyz), 0, 1)
    return np.linalg.norm(images - keypoints.select(names).xy, axis=-1)


def view_fits(found: SolvedTrial) -> tuple[ViewFit, ...]:
    """One for each camera, in the order of the views; none where the trial did not come from images."""
    if found.keypoints is None or found.triangulation is None:
        return ()
    distance, fits = limb_distance(found), []
    report = found.triangulation.of_points(without_skin_markers(found.triangulation.names))
    for view, camera in enumerate(found.cameras):
        observed, apart = np.isfinite(report.error_px[:, view]), distance[:, view]
        used = report.used[:, view].sum() / observed.sum() if observed.any() else np.nan
        median = float(np.nanmedian(apart)) if np.isfinite(apart).any() else np.nan
        fits.append(ViewFit(camera.name, float(report.used[:, view].mean()), float(used), median))
    return tuple(fits)
