"""Scenes for the 3D player, out of results' files or a data set."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from simspine.errors import InputError, unknown_name
from simspine.quality.decided import forced_mask
from simspine.report.player.bones import Bone, bones, segments
from simspine.report.player.scene import Curve, Scene
from simspine.report.summary import very_unsure
from simspine.spine.bands import bands
from simspine.spine.levels import CHAIN
from simspine.types import Markers
from simspine.workflow.paths import Paths
from simspine.workflow.results import TrialResults

LABELS = {"lla": ("LLA", "Lumbar lordosis, L1–S1"), "tka": ("TKA", "Thoracic kyphosis, T3–T12")}


def geometry_folder() -> Path | None:
    """Where the meshes of the full-body model lie: inside the installed pose2sim package; None without it."""
    spec = find_spec("Pose2Sim")
    folder = Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None
    folder = folder / "OpenSim_Setup" / "Geometry" if folder else None
    return folder if folder and folder.is_dir() else None


def scene_of(results: TrialResults) -> Scene:
    """One trial as the player shows it; cameras, measured points and verdict where their files are there."""
    spine, paths, name = results.spine, results.paths, results.name
    verdict = results.verdict if paths.quality(name).is_file() else None
    markers = results.markers if paths.markers(name).is_file() else None
    model = paths.model.read_text(encoding="utf-8") if paths.model.is_file() else ""
    return make_scene(
        f"{paths.subject} · {name}",
        spine.markers,
        results.poses,
        model,
        markers,
        results.cameras if paths.keypoints(name).is_file() else (),
        None if verdict is None else tuple(map(str, verdict.status)),
        None if verdict is None else tuple(", ".join(codes) for codes in verdict.reasons),
        {key: (getattr(spine, key), getattr(spine, f"{key}_sd")) for key in LABELS},
        spine.forced,
    )


def make_scene(
    name: str,
    spine: Markers,
    poses: Mapping[str, np.ndarray],
    model: str,
    points: Markers | None,
    cameras: Sequence,
    status: Sequence[str] | None,
    reasons: Sequence[str] | None,
    angles: Mapping[str, tuple[np.ndarray | None, np.ndarray | None]],
    forced: Mapping[str, str],
) -> Scene:
    """The parts joined. angles: {'lla' or 'tka': (values, sd)}, (frames,) rad. model: text of the `.osim`, or ''."""
    shapes, pairs = _anatomy(model)
    curves = [
        _curve(key, values, sd, bool(forced_mask([key], forced).any()))
        for key, (values, sd) in angles.items()
        if values is not None
    ]
    chain = [point for point in CHAIN if point in spine.names]
    return Scene(
        name, spine.select(chain) if chain else spine, points, poses, shapes, pairs, tuple(cameras), status, reasons,
        tuple(curves),
    )  # fmt: skip


def _anatomy(model: str) -> tuple[tuple[Bone, ...], tuple[tuple[str, str], ...]]:
    """Bones, and joints between bodies that have some or carry some."""
    if not model:
        return (), ()
    folder = geometry_folder()
    found = bones(model, folder)[0] if folder else ()
    pairs = segments(model)
    parents, boned = {a for a, _ in pairs}, {bone.body for bone in found}
    return found, tuple((a, b) for a, b in pairs if b in parents or b in boned or not found)


def _curve(key: str, values: np.ndarray, sd: np.ndarray | None, forced: bool) -> Curve:
    degrees, doubt = np.degrees(values), None if sd is None else np.degrees(sd)
    typical = None if doubt is None or not np.isfinite(doubt).any() else float(np.nanmedian(doubt))
    note = "set by the model" if forced else "very unsure" if very_unsure(key, typical) else ""
    band = bands(key)[0]
    return Curve(
        *LABELS[key], degrees, None if forced else doubt, (band.low, band.high, f"standing adults, {band.span}"), note
    )


def find_trial(folder: Path, subject: str | None, trial: str | None) -> TrialResults:
    """The trial of a results folder; the only one if none is named. Raises `InputError` that lists those there are."""
    found = [(p.parent.parent.name, p.stem) for p in sorted(folder.glob("*/vertebrae/*.h5"))]
    if not found:
        raise InputError(f"{folder} holds no results: no <subject>/vertebrae/<trial>.h5. Run the stages first.")
    for wanted, kind, place in ((subject, "subject", 0), (trial, "trial", 1)):
        if wanted is not None and wanted not in {entry[place] for entry in found}:
            raise unknown_name(kind, wanted, dict.fromkeys(entry[place] for entry in found), str(folder))
    chosen = [e for e in found if subject in (None, e[0]) and trial in (None, e[1])]
    if len(chosen) != 1:
        names = ", ".join("/".join(entry) for entry in (chosen or found))
        raise InputError(f"{folder} holds several trials ({names}); choose one with --subject and --trial.")
    return TrialResults(Paths(folder, chosen[0][0]), chosen[0][1])
