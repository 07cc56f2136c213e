"""`simspine add-spine`: reconstructs a session of another program and adds the spine to its folders.

No file of the session is changed. `simspine.reconstruction.session_files` reads the files of each program.
"""

import re
import shutil
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simspine.core.arrays import NORMAL_95
from simspine.core.errors import InputError
from simspine.core.geometry import markers_in_frame
from simspine.core.types import Markers
from simspine.io.atomic import remove_empty
from simspine.io.c3d import write_c3d
from simspine.io.exchange import ExportTrial
from simspine.io.mot import write_mot
from simspine.io.text_tables import repeated_names
from simspine.io.trc import write_trc
from simspine.quality.findings import Severity
from simspine.quality.observability import ClinicalFigure
from simspine.reconstruction.publish import trial_data
from simspine.reconstruction.reconstruct import Reconstruction, as_reconstructions
from simspine.reconstruction.sessions import OtherSession, SessionTrial, solve_session
from simspine.reconstruction.stage import Options
from simspine.workflow.inputs import progress_bar
from simspine.workflow.up_to_date import hold_lock

SHARED_ENDINGS = (".toml",)  # of files for a program's viewer that serve several trials; written once


class AddedSpine(NamedTuple):
    """files: those added. notes: warnings and errors, results: figures, as lines. faults: whether there are errors."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]
    results: tuple[str, ...]
    faults: bool


def add_spine(
    session: OtherSession,
    marker_set: str | None = None,
    scaling: Mapping[str, float] | None = None,
    quiet: bool = False,
) -> AddedSpine:
    """Reconstruct all trials and write their spine into the session; `InputError` first where another file is there.

    scaling: as in a configuration, such as `min_factor` for children. Files of a killed command are written again.
    """
    targets = [path for trial in session.trials for path in trial.targets if path.suffix not in SHARED_ENDINGS]
    if shared := repeated_names(map(str, targets)):
        raise InputError(f"the spine of two trials would be one file, {shared}; rename the file of one of them.")
    lock = targets[0].with_name(f".{targets[0].name}.lock")
    writing = partial(hold_lock, lock, f"another add-spine writes to {lock.parent}", 0.0, "Wait for it.")
    if lock.exists():  # that command was killed, or is still writing
        with writing():
            _remove(targets)
    if there := [path for path in targets if path.exists()]:
        raise InputError(f"{there[0]} exists already; nothing of a session is written over. Move it away first.")
    options = Options(body={} if marker_set is None else {"markers": marker_set}, scaling=scaling or {})
    solved = as_reconstructions(solve_session(session, options, partial(progress_bar, quiet=quiet)))
    written: list[Path] = []
    new = sorted({place for path in targets for place in path.parents if not place.exists()}, reverse=True)
    with writing():  # after the last is solved, so that nothing is half-written
        try:
            for trial in session.trials:
                for path in (path for path in trial.targets if not path.exists()):
                    _write_spine(path, solved[trial.name], trial)
                    written.append(path)
        except BaseException:  # also ctrl-C
            _remove(written)
            remove_empty(new)
            raise
    findings = [(name, finding) for name, found in solved.items() for finding in found.findings]
    notes = (f"{name}: {f.severity}: {f.message} {f.suggestion}" for name, f in findings if f.severity != Severity.INFO)
    figures = ((name, figure) for name, found in solved.items() for figure in found.curvature_figures)
    results = (f"{name}: {curvature_text(figure)}" for name, figure in figures)
    faults = any(finding.severity == Severity.ERROR for _, finding in findings)
    return AddedSpine(tuple(written), tuple(notes), tuple(results), faults)


def _remove(paths: Iterable[Path]) -> None:
    """Remove what a command that ended early wrote; a folder stays if it holds files that have other names."""
    for path in paths:
        if not path.is_dir() or path.is_symlink():
            path.unlink(missing_ok=True)
        elif all((path.with_name("keypoints3d") / file.name).is_file() for file in path.iterdir()):
            shutil.rmtree(path)


def curvature_text(figure: ClinicalFigure) -> str:
    """'Lumbar lordosis, L1–S1: 58° ± 19° (95 %), measured'."""
    interval = "" if figure.sd is None else f" ± {NORMAL_95 * figure.sd:.0f}° (95 %)"
    value = "unknown" if figure.mean is None else f"{figure.mean:.0f}°{interval}, {figure.decided_by}"
    return f"{figure.label}: {value}"


def grouped_messages(messages: Iterable[str]) -> list[str]:
    """The first message of each kind, and the number of others; messages of a kind differ in names and numbers only."""
    kinds: dict[str, list[str]] = {}
    for text in messages:
        kinds.setdefault(re.sub(r"'[^']*'|\S*\d\S*", "", text), []).append(text)
    return [first + (f" ({len(others)} more of this kind.)" if others else "") for first, *others in kinds.values()]


def spine_points(found: Reconstruction) -> Markers:
    """Observed markers of the person, and the centroids of the vertebrae; y_up."""
    centres = found.spine.centres
    assert centres is not None  # of the packaged recipes
    seen = found.markers.select([name for name in found.markers.names if name not in centres.names])
    xyz = np.concatenate([seen.xyz, centres.xyz], axis=1)
    return Markers((*seen.names, *centres.names), seen.rate, xyz, "y_up", start=seen.start)


def _write_spine(path: Path, found: Reconstruction, trial: SessionTrial) -> None:
    """Write a file in the format of its ending, else as a table of the session's program."""
    centres = found.spine.centres
    assert centres is not None
    if path.suffix == ".trc":
        points = spine_points(found)
        write_trc(path, points.with_(start=points.start + trial.start))
    elif path.suffix == ".mot":
        write_mot(path, found.motion.with_(start=found.motion.start + trial.start))
    elif path.suffix == ".osim":
        found.body.write_osim(path)
    elif path.suffix == ".c3d":
        assert isinstance(trial.source, Markers)
        write_c3d(path, ExportTrial(found.subject, found.trial, trial_data(found)), frame=trial.source.frame)
    else:
        assert trial.turn is not None
        assert trial.write_table is not None
        xyz = markers_in_frame(centres, "z_up").xyz @ np.linalg.inv(trial.turn).T
        trial.write_table(path, centres.names, xyz)
