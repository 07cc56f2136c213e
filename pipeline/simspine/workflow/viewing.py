"""Scenes for the 3D player, out of results' files or a data set."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from simspine.errors import InputError, unknown_name
from simspine.formats.dataset import open_dataset
from simspine.formats.store import load
from simspine.quality.observability import forced_mask
from simspine.report.content import ReportContent, TrialSection
from simspine.report.page import write_report
from simspine.report.player.bones import Bone, bones, segments
from simspine.report.player.pack import pack
from simspine.report.player.scene import Curve, Scene
from simspine.report.summary import very_uncertain
from simspine.spine.bands import bands
from simspine.spine.levels import CHAIN
from simspine.types import Markers
from simspine.workflow.paths import Paths
from simspine.workflow.results import TrialResults

STAGES = ("keypoints", "points", "markers", "kinematics", "vertebrae")  # folders of a subject with a .h5 per trial
NOTICE = (
    "Angles and curvatures come from a body model fitted to points seen by cameras. They were not checked against "
    "images of this person's vertebrae and are not for diagnosis."
)
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


def read_scene(result: Path, subject: str | None = None, trial: str | None = None) -> Scene:
    """The scene of a trial in a results folder, a file of one, or a data set's file.

    Raises `InputError` for what is none of these, and where a choice is needed and not made.
    """
    results = find_results(result, subject, trial)
    if results is not None:
        return scene_of(results)
    if is_dataset(result):
        return _scene_of_dataset(result, subject, trial)
    stored = load(result)
    if "spine_markers" not in stored:
        raise InputError(
            f"{result} holds {', '.join(stored)}, not the vertebrae of a trial. Expected a results folder, a trial's "
            "vertebrae/<trial>.h5, or a data set's .h5."
        )
    angles = {key: (stored[key], stored[f"{key}_sd"]) for key in LABELS}
    return make_scene(
        result.stem, stored["spine_markers"], stored["poses"], "", None, (), None, None, angles, stored["forced"]
    )


def find_results(result: Path, subject: str | None = None, trial: str | None = None) -> TrialResults | None:
    """The results that a folder, or a file of one of its stages, belongs to; None for any other file."""
    if not result.exists():
        raise InputError(f"{result} does not exist. Expected a results folder, a trial's .h5, or a data set's .h5.")
    if result.is_dir():
        if (result / "vertebrae").is_dir():
            return find_trial(result.parent, result.name, trial)
        return find_trial(result, subject, trial)
    if result.parent.name in STAGES:
        paths = Paths(result.parents[2], result.parents[1].name)
        if paths.vertebrae(result.stem).is_file():
            return TrialResults(paths, result.stem)
    return None


def is_dataset(path: Path) -> bool:
    """Whether an HDF5 file is a data set rather than a container of one stage."""
    import h5py

    try:
        with h5py.File(path) as file:
            return "metadata" in file
    except OSError:
        raise InputError(
            f"{path} is not an HDF5 file, or is damaged. Expected a trial's or a data set's .h5."
        ) from None


def _scene_of_dataset(path: Path, subject: str | None, trial: str | None) -> Scene:
    with open_dataset(path) as file:
        found = [(s, t) for s in file.subjects for t in file.trials(s)]
        chosen = choose(found, subject, trial, str(path))
        entry, cameras, model = file.trial(*chosen), file.cameras(chosen[0]), file.model(chosen[0])
    angles = {key: (getattr(entry, key), getattr(entry, f"{key}_sd")) for key in LABELS}
    return make_scene(
        " · ".join(chosen), entry.markers, entry.poses, model, None, cameras, entry.status, entry.reasons, angles,
        entry.forced,
    )  # fmt: skip


def write_view(result: Path, out: Path | None = None, subject: str | None = None, trial: str | None = None) -> Path:
    """Write a page with the player of one trial; into a temporary folder where no file is named."""
    scene = read_scene(result, subject, trial)
    if out is None:
        out = Path(tempfile.mkdtemp(prefix="simspine-")) / f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', scene.name)}.html"
    view = TrialSection(scene.name, player=pack(scene))
    write_report(out, ReportContent(title=scene.name, subtitle=str(result), trials=(view,), alone=True, notice=NOTICE))
    return out


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
    note = "set by the model" if forced else "very uncertain" if very_uncertain(key, typical) else ""
    band = bands(key)[0]
    return Curve(
        *LABELS[key], degrees, None if forced else doubt, (band.low, band.high, f"standing adults, {band.span}"), note
    )


def find_trial(folder: Path, subject: str | None, trial: str | None) -> TrialResults:
    """The trial of a results folder; the only one if none is named. Raises `InputError` that lists those there are."""
    found = [(p.parent.parent.name, p.stem) for p in sorted(folder.glob("*/vertebrae/*.h5"))]
    if not found:
        raise InputError(f"{folder} holds no results: no <subject>/vertebrae/<trial>.h5. Run the stages first.")
    person, name = choose(found, subject, trial, str(folder))
    return TrialResults(Paths(folder, person), name)


def choose(found: Sequence[tuple[str, str]], subject: str | None, trial: str | None, where: str) -> tuple[str, str]:
    """The one (subject, trial) of those found that is meant. Raises `InputError` if there is none, or a choice."""
    for wanted, kind, place in ((subject, "subject", 0), (trial, "trial", 1)):
        if wanted is not None and wanted not in {entry[place] for entry in found}:
            raise unknown_name(kind, wanted, dict.fromkeys(entry[place] for entry in found), where)
    chosen = [entry for entry in found if subject in (None, entry[0]) and trial in (None, entry[1])]
    if len(chosen) != 1:
        names = [" / ".join(entry) for entry in chosen or found]
        some = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        raise InputError(f"{where} holds several trials ({some}); choose one with --subject and --trial.")
    return chosen[0]
