"""A reconstruction as the 3D player shows it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from simspine.anatomy.body import Body, body_poses
from simspine.anatomy.clinical import PUBLISHED_ADULTS, SIDE_WORDS, published_bands
from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS
from simspine.anatomy.skin import SKIN_SEGMENTS, BoundSkin
from simspine.anatomy.vertebrae import ClinicalParameters
from simspine.core.settings import pose2sim_folder
from simspine.core.types import Forced, Markers
from simspine.quality.observability import (
    GIVEN_BY_MODEL,
    SET_BY_OTHER_ANGLES,
    WRITTEN_UNITS,
    ClinicalFigure,
    Observability,
    forced_mask,
)
from simspine.reconstruction.solved_trial import SolvedTrial
from simspine.report.bones import Bone, bones_of_model, joint_pairs
from simspine.report.people_pictures import average_skin_solid
from simspine.report.scene import Curve, Scene
from simspine.report.summary import DOUBTED_VERDICTS, ESTIMATED_VERDICTS, median_or_none, verdict_on

CURVATURE_LABELS = {"lla": ("LLA", "Lumbar lordosis, L1–S1"), "tka": ("TKA", "Thoracic kyphosis, T3–T12")}
INITIAL_CURVES = ("hip_flexion_r", "hip_flexion_l", "trunk_inclination")  # shown from the start, with LLA and TKA
# {'lla' or 'tka': (values, sd)}, (frames,) rad
CurvatureCurves = Mapping[str, tuple[np.ndarray | None, np.ndarray | None]]


def scene_of_trial(trial: SolvedTrial, step: int = 1) -> Scene:
    """One trial in 3D; cameras, measured points and verdict where they are known. step: poses are of every step-th
    frame, for the memory of long trials.
    """
    spine, verdict = trial.spine, trial.verdict
    angles = {key: (getattr(spine, key), getattr(spine, f"{key}_sd")) for key in CURVATURE_LABELS}
    shapes, pairs = bones_and_joints(trial.body.osim)
    return Scene(
        name=trial.name,
        spine=chain_of_body(spine.markers),
        points=trial.markers,
        poses=trial.poses if step == 1 else body_poses(trial.body, trial.motion.every(step)),
        bones=shapes,
        segments=pairs,
        cameras=tuple(trial.cameras),
        status=None if verdict is None else tuple(map(str, verdict.status)),
        reasons=None if verdict is None else tuple(", ".join(codes) for codes in verdict.reasons),
        curves=(
            *curvature_curves(angles, spine.forced, ~trial.rejected, trial.spine_estimated),
            *clinical_curves(spine.clinical, trial.clinical_figures),
        ),
        skin=skin_of_trial(trial.body, shapes),
        step=step,
    )


def skin_of_trial(body: Body, shapes: Sequence[Bone] = ()) -> BoundSkin | None:
    """The skin of an average person around a body's bones; None for a body that cannot carry one."""
    return average_skin_solid(body, shapes) if set(SKIN_SEGMENTS) <= set(body.bodies) else None


def chain_of_body(spine: Markers) -> Markers:
    """Those of the spine's points that a tube joins; all of them where none of the usual names is there."""
    chain = [point for point in SPINE_CHAIN_MARKERS if point in spine.names]
    return spine.select(chain) if chain else spine


def curvature_curves(
    angles: CurvatureCurves,
    forced: Mapping[str, Sequence[Forced]],
    kept: np.ndarray | None = None,
    estimated: bool = False,
) -> tuple[Curve, ...]:
    """LLA and TKA over time with their normal bands, and the verdict on them where it is a doubt.

    forced: of the spine kinematics. kept: (frames,) bool, the frames whose standard deviations count; all by default.
    estimated: points of the spine were.
    """
    return tuple(
        _curvature_curve(key, values, sd, forced=bool(forced_mask([key], forced).any()), kept=kept, estimated=estimated)
        for key, (values, sd) in angles.items()
        if values is not None
    )


def _curvature_curve(
    key: str, values: np.ndarray, sd: np.ndarray | None, forced: bool, kept: np.ndarray | None, estimated: bool
) -> Curve:
    doubt = None if sd is None else np.degrees(sd)
    verdict = verdict_on(
        key, median_or_none(doubt if doubt is None or kept is None else doubt[kept]), forced, estimated
    )
    note = str(verdict) if verdict in (Observability.FORCED, *DOUBTED_VERDICTS, *ESTIMATED_VERDICTS) else ""
    band = published_bands(key)[0]
    published = (band.low, band.high, f"standing adults, {band.span}")
    (name, label), sd = CURVATURE_LABELS[key], None if forced else doubt
    return Curve(name, label, np.degrees(values), sd, band=published, note=note, forced=forced)


def clinical_curves(clinical: ClinicalParameters | None, figures: Sequence[ClinicalFigure]) -> tuple[Curve, ...]:
    """Clinical parameters over time, right and left in one panel; without those that the model gives.

    figures: what each rests on. Bands: mean ± 2 standard deviations of standing adults, where they are published.
    """
    if clinical is None:
        return ()
    return tuple(
        _clinical_curve(clinical, figure)
        for figure in figures
        if figure.decided_by not in (GIVEN_BY_MODEL, SET_BY_OTHER_ANGLES)
        and figure.minimum is not None
        and figure.maximum != figure.minimum
    )


def _clinical_curve(clinical: ClinicalParameters, figure: ClinicalFigure) -> Curve:
    factor = WRITTEN_UNITS[clinical.units[clinical.names.index(figure.name)]][1]
    sd = clinical.sd(figure.name)
    of_side = figure.name.endswith(tuple(f"_{side}" for side in SIDE_WORDS))
    panel, _, side = figure.label.rpartition(", ") if of_side else ("", "", "")
    adults, band = PUBLISHED_ADULTS.get(figure.name), None
    if adults is not None and adults.mean is not None and adults.sd is not None:
        band = (adults.mean - 2 * adults.sd, adults.mean + 2 * adults.sd, "standing adults, mean ± 2 sd")
    doubted = [
        text for text in map(str, (*DOUBTED_VERDICTS, *ESTIMATED_VERDICTS)) if figure.decided_by.startswith(text)
    ]
    return Curve(
        name=side or figure.label,
        label=figure.label,
        values=factor * clinical.of(figure.name),
        sd=None if sd is None else factor * sd,
        band=band,
        note=doubted[0] if doubted else "",
        panel=panel,
        chosen=figure.name in INITIAL_CURVES,
        unit="°" if figure.unit == "deg" else " mm",
    )


@lru_cache(maxsize=1)  # all trials of a person have one body
def bones_and_joints(model: str) -> tuple[tuple[Bone, ...], tuple[tuple[str, str], ...]]:
    """Bones of the text of an `.osim` file, and joints between bodies that have some or carry some; () of ''."""
    if not model:
        return (), ()
    found = bones_of_model(model, geometry_folder())[0]
    pairs = joint_pairs(model)
    parents, boned = {a for a, _ in pairs}, {bone.body for bone in found}
    return found, tuple((a, b) for a, b in pairs if b in parents or b in boned or not found)


def geometry_folder() -> Path:
    """Where the meshes of the full-body model lie."""
    return pose2sim_folder() / "Geometry"
