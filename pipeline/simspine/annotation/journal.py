"""One file per annotator that only grows: a line per decision, on the disk before it is confirmed.

A killed process can leave at most a last line that is cut short; it is not read. The head names the recording, its
views and points, so that decisions cannot be taken for another recording's.
"""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from simspine.annotation.labels import Edit, OutlineEdit, PointStatus, Visibility
from simspine.errors import InputError
from simspine.formats._text import read_bytes
from simspine.formats.atomic import write_text

ENDING = ".jsonl"
SCHEMA = 1
FARTHEST_PX = 1e7  # beyond any image
MOST_RINGS, MOST_CORNERS = 100, 10_000
_NAME = re.compile(r"[\w][\w .@-]{0,60}")


def journal_file(folder: Path, annotator: str) -> Path:
    """Where an annotator's decisions are; `InputError` for a name that cannot be a file's."""
    if not _NAME.fullmatch(annotator):
        raise InputError(
            f"annotator {annotator!r}: expected a name of letters, digits, spaces, '.', '-', '_' or '@', 61 at most."
        )
    return folder / f"{annotator}{ENDING}"


def annotators(folder: Path) -> list[str]:
    """Names of those who have a journal, sorted."""
    return sorted(path.name.removesuffix(ENDING) for path in folder.glob(f"*{ENDING}") if path.name[0] != ".")


def start_journal(path: Path, recording: str, views: Sequence[str], names: Sequence[str]) -> None:
    """Make the file where there is none; cut off a last line that a kill left unfinished.

    Raises `InputError` for a journal of another recording.
    """
    head = {"schema": SCHEMA, "recording": recording, "views": list(views), "points": list(names)}
    if not path.exists():
        write_text(path, json.dumps(head) + "\n")
        return
    content = read_bytes(path)
    found = _head(path, content)
    if found.get("views") != head["views"]:
        raise InputError(
            f"{path}: decisions about the views {', '.join(map(str, found.get('views') or ['none']))}; this recording "
            f"has {', '.join(views)}. Choose another folder with --out."
        )
    if not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)


def append(path: Path, edits: Sequence[Edit | OutlineEdit], when: float | None = None) -> None:
    """Add decisions; they are on the disk when this returns. when: s since 1970, if a person made them then."""
    stamp = {} if when is None else {"t": round(when, 1)}
    append_lines(path, [_to_json(edit) | stamp for edit in edits])


def append_lines(path: Path, entries: Sequence[dict]) -> None:
    """Add entries, a line each; they are on the disk when this returns."""
    text = "".join(json.dumps(entry) + "\n" for entry in entries)
    with open(path, "a", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_journal(path: Path) -> list[Edit]:
    """All decisions about points in their order. `InputError` names the line for what is none; a torn last line is left
    out."""
    return [edit for edit in _decisions(path) if isinstance(edit, Edit)]


def read_outlines(path: Path) -> dict[tuple[int, int], OutlineEdit]:
    """{(frame, view): last decision about the person's outline}; {} where there is no journal."""
    if not path.exists():
        return {}
    return {(edit.frame, edit.view): edit for edit in _decisions(path) if isinstance(edit, OutlineEdit)}


def _decisions(path: Path) -> list[Edit | OutlineEdit]:
    content = read_bytes(path)
    _head(path, content)
    edits = []
    for number, line in enumerate(content.split(b"\n")[1:-1], 2):
        if line.strip():
            try:
                edits.append(edit_from(json.loads(line)))
            except (InputError, ValueError, RecursionError) as error:
                raise InputError(f"{path}, line {number}: no decision about a point or an outline ({error}).") from None
    return edits


def read_times(path: Path) -> list[tuple[float, int]]:
    """When each decision was made (s since 1970), and of which frame; those without a time are left out."""
    found = []
    for number, line in enumerate(read_bytes(path).split(b"\n")[1:-1], 2):
        try:
            entry = json.loads(line) if line.strip() else {}
            if isinstance(entry.get("t"), int | float) and isinstance(entry.get("f"), int):
                found.append((float(entry["t"]), entry["f"]))
        except (ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: no decision with a time ({error}).") from None
    return found


def edit_from(entry) -> Edit | OutlineEdit:
    """A decision as JSON says it: f, v, p, x, y, see, how; or f, v, rings, how. `InputError` for anything else."""
    if isinstance(entry, dict) and "rings" in entry:
        return _outline_from(entry)
    try:
        frame, view, point, x, y = (entry[key] for key in "fvpxy")
        visibility, status = Visibility(entry["see"]), PointStatus(entry["how"])
    except (TypeError, LookupError, ValueError) as error:
        raise InputError(f"not a decision about a point: {error!r}") from None
    if type(frame) is not int or type(view) is not int or not isinstance(point, str):
        raise InputError(f"frame {frame!r}, view {view!r}, point {point!r}: expected two whole numbers and a name")
    numbers = all(type(v) in (int, float) and abs(v) < FARTHEST_PX for v in (x, y))  # not so: NaN
    if not numbers and not (x is None and y is None):
        raise InputError(f"x {x!r}, y {y!r}: expected two numbers of px, or null for both")
    if not numbers and visibility:
        raise InputError("a point that is not absent needs a place")
    return Edit(frame, view, point, float(x) if numbers else None, float(y) if numbers else None, visibility, status)


def _outline_from(entry: dict) -> OutlineEdit:
    try:
        frame, view, rings, status = entry["f"], entry["v"], entry["rings"], PointStatus(entry["how"])
        if type(frame) is not int or type(view) is not int:
            raise ValueError(f"frame {frame!r}, view {view!r}")
        if rings is None:
            return OutlineEdit(frame, view, None, status)
        drawn = tuple(tuple((float(x), float(y)) for x, y in ring) for ring in rings)
    except (TypeError, LookupError, ValueError, OverflowError) as error:
        raise InputError(f"not a decision about an outline: {error!r}") from None
    if not drawn or len(drawn) > MOST_RINGS or any(not 3 <= len(ring) <= MOST_CORNERS for ring in drawn):
        raise InputError(f"{len(drawn)} rings: expected 1 to {MOST_RINGS}, of 3 to {MOST_CORNERS} corners each")
    if not all(abs(v) < FARTHEST_PX for ring in drawn for corner in ring for v in corner):  # not so: NaN
        raise InputError("a corner of an outline is no place in an image")
    return OutlineEdit(frame, view, drawn, status)


def _to_json(edit: Edit | OutlineEdit) -> dict:
    if isinstance(edit, OutlineEdit):
        rings = None if edit.rings is None else [[[round(v, 2) for v in at] for at in ring] for ring in edit.rings]
        return {"f": edit.frame, "v": edit.view, "rings": rings, "how": int(edit.status)}
    x, y = (None if v is None else round(v, 3) for v in (edit.x, edit.y))
    return {
        "f": edit.frame, "v": edit.view, "p": edit.point, "x": x, "y": y,
        "see": int(edit.visibility), "how": int(edit.status),
    }  # fmt: skip


def _head(path: Path, content: bytes) -> dict:
    try:
        head = json.loads(content.split(b"\n", 1)[0])
        schema = head["schema"]
    except (ValueError, TypeError, LookupError, RecursionError):
        raise InputError(f"{path}: not an annotator's journal: its first line is no head.") from None
    if schema != SCHEMA:
        raise InputError(f"{path}: schema {schema!r}, this version reads {SCHEMA}. Update simspine.")
    return head
