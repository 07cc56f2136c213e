"""A reconstruction as the 3D player shows it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from simspine.body.kinematics import body_poses
from simspine.body.model import Body
from simspine.data_files import pose2sim_folder
from simspine.pipeline.solved_trial import SolvedTrial
from simspine.quality.clinical_figures import FOLLOWS, GIVEN, UNITS, ClinicalFigure
from simspine.quality.observability import Observability, forced_mask
from simspine.report.player.bones import Bone, bones, segments
from simspine.report.player.scene import Curve, Scene
from simspine.report.solid import average_skin
from simspine.report.summary import DOUBTED, ESTIMATES, typical, verdict_on
from simspine.spine.adults import ADULTS
from simspine.spine.bands import bands
from simspine.spine.clinical import SIDES
from simspine.spine.levels import CHAIN
from simspine.spine.parameters import ClinicalParameters
from simspine.surface.binding import BoundSkin
from simspine.surface.segments import SEGMENTS
from simspine.types import Forced, Markers

LABELS = {"lla": ("LLA", "Lumbar lordosis, L1–S1"), "tka": ("TKA", "Thoracic kyphosis, T3–T12")}
CHOSEN = ("hip_flexion_r", "hip_flexion_l", "trunk_inclination")  # curves shown from the start beside LLA and TKA
Angles = Mapping[str, tuple[np.ndarray | None, np.ndarray | None]]  # {'lla' or 'tka': (values, sd)}, (frames,) rad


def scene_of(found: SolvedTrial, step: int = 1) -> Scene:
    """One trial in 3D; cameras, measured points and verdict where they are known. step: poses are of every step-th
    frame, for the memory of long trials.
    """
    spine, verdict = found.spine, found.verdict
    angles = {key: (getattr(spine, key), getattr(spine, f"{key}_sd")) for key in LABELS}
    shapes, pairs = anatomy(found.body.osim)
    return Scene(
        found.name,
        chain_of(spine.markers),
        found.markers,
        found.poses if step == 1 else body_poses(found.body, found.motion.every(step)),
        shapes,
        pairs,
        tuple(found.cameras),
        None if verdict is None else tuple(map(str, verdict.status)),
        None if verdict is None else tuple(", ".join(codes) for codes in verdict.reasons),
        (
            *curves(angles, spine.forced, ~found.rejected, found.spine_estimated),
            *clinical_curves(spine.clinical, found.clinical_figures),
        ),
        skin=skin_of(found.body, shapes),
        step=step,
    )


def skin_of(body: Body, shapes: Sequence[Bone] = ()) -> BoundSkin | None:
    """The skin of an average person around a body's bones; None for a body that cannot carry one."""
    return average_skin(body, shapes) if set(SEGMENTS) <= set(body.bodies) else None


def chain_of(spine: Markers) -> Markers:
    """Those of the spine's points that a tube joins; all of them where none of the usual names is there."""
    chain = [point for point in CHAIN if point in spine.names]
    return spine.select(chain) if chain else spine


def curves(
    angles: Angles, forced: Mapping[str, Sequence[Forced]], kept: np.ndarray | None = None, estimated: bool = False
) -> tuple[Curve, ...]:
    """LLA and TKA over time with their normal bands, and the verdict on them where it is a doubt.

    forced: of the spine kinematics. kept: (frames,) bool, the frames whose standard deviations count; all by default.
    estimated: points of the spine were.
    """
    return tuple(
        _curve(key, values, sd, bool(forced_mask([key], forced).any()), kept, estimated)
        for key, (values, sd) in angles.items()
        if values is not None
    )


def _curve(
    key: str, values: np.ndarray, sd: np.ndarray | None, forced: bool, kept: np.ndarray | None, estimated: bool
) -> Curve:
    doubt = None if sd is None else np.degrees(sd)
    verdict = verdict_on(key, typical(doubt if doubt is None or kept is None else doubt[kept]), forced, estimated)
    note = str(verdict) if verdict in (Observability.FORCED, *DOUBTED, *ESTIMATES) else ""
    band = bands(key)[0]
    published = (band.low, band.high, f"standing adults, {band.span}")
    return Curve(*LABELS[key], np.degrees(values), None if forced else doubt, published, note, forced)


def clinical_curves(clinical: ClinicalParameters | None, figures: Sequence[ClinicalFigure]) -> tuple[Curve, ...]:
    """Clinical parameters over time, right and left in one panel; without those that the model gives.

    figures: what each rests on. Bands: mean ± 2 standard deviations of standing adults, where they are published.
    """
    if clinical is None:
        return ()
    return tuple(
        _clinical_curve(clinical, figure)
        for figure in figures
        if figure.decided not in (GIVEN, FOLLOWS) and figure.low is not None and figure.high != figure.low
    )


def _clinical_curve(clinical: ClinicalParameters, figure: ClinicalFigure) -> Curve:
    factor = UNITS[clinical.units[clinical.names.index(figure.name)]][1]
    sd = clinical.sd(figure.name)
    panel, _, side = figure.label.rpartition(", ") if figure.name.endswith(tuple(f"_{s}" for s in SIDES)) else ("",) * 3
    adults, band = ADULTS.get(figure.name), None
    if adults is not None and adults.mean is not None and adults.sd is not None:
        band = (adults.mean - 2 * adults.sd, adults.mean + 2 * adults.sd, "standing adults, mean ± 2 sd")
    doubted = [text for text in map(str, (*DOUBTED, *ESTIMATES)) if figure.decided.startswith(text)]
    return Curve(
        side or figure.label, figure.label, factor * clinical.of(figure.name), None if sd is None else factor * sd,
        band, doubted[0] if doubted else "", panel=panel, chosen=figure.name in CHOSEN,
        unit="°" if figure.unit == "deg" else " mm",
    )  # fmt: skip


@lru_cache(maxsize=1)  # all trials of a person have one body
def anatomy(model: str) -> tuple[tuple[Bone, ...], tuple[tuple[str, str], ...]]:
    """Bones of the text of an `.osim` file, and joints between bodies that have some or carry some; () of ''."""
    if not model:
        return (), ()
    found = bones(model, geometry_folder())[0]
    pairs = segments(model)
    parents, boned = {a for a, _ in pairs}, {bone.body for bone in found}
    return found, tuple((a, b) for a, b in pairs if b in parents or b in boned or not found)


def geometry_folder() -> Path:
    """Where the meshes of the full-body model lie."""
    return pose2sim_folder() / "Geometry"
