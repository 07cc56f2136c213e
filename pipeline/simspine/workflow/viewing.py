"""Scenes for the 3D player, out of results' files or a data set."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from simspine.body.model import Body
from simspine.errors import InputError, unknown_name
from simspine.formats.dataset import DatasetFile
from simspine.formats.forced import forced_from_json
from simspine.formats.hdf5 import open_file
from simspine.formats.store import load
from simspine.pipeline.page import NOTICE
from simspine.pipeline.scene import LABELS, anatomy, chain_of, curves, scene_of, skin_of
from simspine.quality.observability import is_estimated
from simspine.report.content import ReportContent, TrialSection
from simspine.report.page import write_report
from simspine.report.player.pack import pack
from simspine.report.player.scene import Scene
from simspine.workflow.loose_files import LOOSE, scene_of_file
from simspine.workflow.paths import Paths
from simspine.workflow.trials import read_trial

STAGES = ("keypoints", "points", "markers", "kinematics", "vertebrae")  # folders of a subject with a .h5 per trial


def read_scene(result: Path, subject: str | None = None, trial: str | None = None, model: Path | None = None) -> Scene:
    """The scene of a trial in a results folder, a file of one, a data set's file, or a file of markers or of a motion.

    model: the .osim file that a motion belongs to. Raises `InputError` for what is none of these, and where a choice is
    needed and not made.
    """
    found = find_results(result, subject, trial)
    if found is not None:
        return scene_of(read_trial(*found))
    if result.suffix.lower() in LOOSE:
        return scene_of_file(result, model)
    if is_dataset(result):
        return _scene_of_dataset(result, subject, trial)
    stored = load(result)
    if "spine_markers" not in stored:
        raise InputError(
            f"{result} holds {', '.join(stored)}, not the vertebrae of a trial. Expected a results folder, a trial's "
            "vertebrae/<trial>.h5, a data set's .h5, or a .trc, .c3d, .mot or .sto."
        )
    angles = {key: (stored[key], stored[f"{key}_sd"]) for key in LABELS}
    spine = chain_of(stored["spine_markers"])
    return Scene(
        result.stem,
        spine,
        poses=stored["poses"],
        curves=curves(angles, forced_from_json(stored["forced"], str(result))),
    )


def find_results(result: Path, subject: str | None = None, trial: str | None = None) -> tuple[Paths, str] | None:
    """The subject's files and the trial that a folder, or a file of a stage, belongs to; None for any other file."""
    if not result.exists():
        raise InputError(f"{result} does not exist. Expected a results folder, a trial's .h5, or a data set's .h5.")
    if result.is_dir():
        if (result / "vertebrae").is_dir():
            return find_trial(result.parent, result.name, trial)
        return find_trial(result, subject, trial)
    if result.parent.name in STAGES:
        paths = Paths(result.parents[2], result.parents[1].name)
        if paths.vertebrae(result.stem).is_file():
            return paths, result.stem
    return None


def is_dataset(path: Path) -> bool:
    """Whether an HDF5 file is a data set rather than a container of one stage."""
    try:
        with open_file(path) as file:
            return "metadata" in file
    except Exception:  # damaged files end in many ways
        raise InputError(
            f"{path} is not an HDF5 file, or is damaged. Expected a trial's or a data set's .h5."
        ) from None


def _scene_of_dataset(path: Path, subject: str | None, trial: str | None) -> Scene:
    with DatasetFile(path) as file:
        found = [(s, t) for s in file.subjects for t in file.trials(s)]
        chosen = choose(found, subject, trial, str(path))
        entry, cameras, model = file.trial(*chosen), file.cameras(chosen[0]), file.model(chosen[0])
    angles = {key: (getattr(entry, key), getattr(entry, f"{key}_sd")) for key in LABELS}
    shapes, pairs = anatomy(model)
    estimated = is_estimated(entry.fitted, entry.fitted_origin)
    return Scene(
        " · ".join(chosen), chain_of(entry.markers), None, entry.poses, shapes, pairs, tuple(cameras), entry.status,
        entry.reasons, curves(angles, entry.forced, estimated=estimated),
        skin=skin_of(Body.from_text(model, str(path)), shapes) if model else None,
    )  # fmt: skip


def write_view(
    result: Path,
    out: Path | None = None,
    subject: str | None = None,
    trial: str | None = None,
    model: Path | None = None,
) -> Path:
    """Write a page with the player of one trial; into a temporary folder where no file is named. See `read_scene`."""
    scene = read_scene(result, subject, trial, model)
    if out is None:
        out = Path(tempfile.mkdtemp(prefix="simspine-")) / f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', scene.name)}.html"
    view = TrialSection(scene.name, player=pack(scene))
    write_report(
        out,
        ReportContent(
            title=scene.name, subtitle=str(result), trials=(view,), alone=True, notice=NOTICE if scene.poses else ""
        ),
    )
    return out


def find_trial(folder: Path, subject: str | None, trial: str | None) -> tuple[Paths, str]:
    """The trial of a results folder; the only one if none is named. Raises `InputError` that lists those there are."""
    found = [(p.parent.parent.name, p.stem) for p in sorted(folder.glob("*/vertebrae/*.h5"))]
    if not found:
        raise InputError(f"{folder} holds no results: no <subject>/vertebrae/<trial>.h5. Run the stages first.")
    person, name = choose(found, subject, trial, str(folder))
    return Paths(folder, person), name


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
