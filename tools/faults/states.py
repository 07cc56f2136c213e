"""What the disk can hold at the moment at which all ends."""

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.faults.runs import FILES_THAT_VARY, without_seconds
from tools.faults.watch import Change

from simspine.workflow.jobs import STATE

State = dict[str, bytes | None]
"""Content of each file below a folder, by its path there; None of a folder."""

TEMPORARY_NAME = re.compile(r"\.[0-9a-f]{6}-\d+-[0-9a-f]{12}\.tmp")
TIME_OF_DECISION = re.compile(rb', "t": [0-9.]+')


class CrashStates:
    """Of one command: its changes, and what a crash before each can leave below a folder.

    A power cut takes what was not flushed: contents; and with the last kind names as well, where their folder was not.
    """

    def __init__(self, folder: Path, confirmed: Callable[[], int]):
        self.folder, self.confirmed = folder, confirmed
        self.changes: list[Change] = []
        self.states: list[list[tuple[str, State, int]]] = []  # fault, what is left, how much was confirmed
        self._files: dict[int, tuple[int, int, int, bytes]] = {}  # inode: identity, size, time, content
        self._identities = 0
        now, identities = self._look()
        self._flushed = {identities[path]: content for path, content in now.items() if content is not None}
        self._names: dict[str, dict[str, int | None]] = {}
        for path in ("", *(path for path, content in now.items() if content is None)):
            self._keep_names(path, identities)

    def before(self, change: Change) -> int:
        """Keep what a crash leaves, and let the change happen."""
        now, identities = self._look()
        path, (place, piece) = change.paths[-1], change.piece
        found = {"killed": now}
        if len(piece) > 1 and now.get(path) is not None:
            old = now[path] or b""
            half = piece[: len(piece) // 2]
            torn = old[:place].ljust(place, b"\0") + half + old[place + len(half) :]
            found["killed within the piece"] = {**now, path: torn}
        found["power cut"] = {
            name: None if content is None else self._flushed.get(identities[name] or 0, b"")
            for name, content in now.items()
        }
        found["power cut, names lost"] = dict(self._flushed_names(""))
        self.changes.append(change)
        confirmed = self.confirmed()
        self.states.append([(fault, state, confirmed) for fault, state in found.items()])
        if change.name in ("fsync", "fdatasync"):
            content = now.get(path)
            if content is not None:
                self._flushed[identities[path] or 0] = content
            elif path in now or not path:
                self._keep_names(path, identities)
        if change.name.startswith(("unlink", "rename")) and (self.folder / path).is_file():
            self._files.pop((self.folder / path).stat().st_ino, None)  # the next file may get its number
        return 0

    def _look(self) -> tuple[State, dict[str, int | None]]:
        """Contents and identities of all files; what seems unchanged is not read again."""
        state: State = {}
        identities: dict[str, int | None] = {}
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            state[name], identities[name] = None, None
            if not path.is_dir():
                facts = path.stat()
                identity, *known, content = self._files.get(facts.st_ino, (0, -1, -1, b""))
                recent = time.time_ns() - facts.st_mtime_ns < 10**8
                if recent or known != [facts.st_size, facts.st_mtime_ns]:
                    content = path.read_bytes()
                    self._identities += not identity
                    identity = identity or self._identities
                    self._files[facts.st_ino] = identity, facts.st_size, facts.st_mtime_ns, content
                state[name], identities[name] = content, identity
        return state, identities

    def _keep_names(self, folder: str, identities: dict[str, int | None]) -> None:
        inside = f"{folder}/" if folder else ""
        self._names[folder] = {
            name: identity
            for name, identity in identities.items()
            if name.startswith(inside) and "/" not in name[len(inside) :]
        }

    def _flushed_names(self, folder: str) -> Iterator[tuple[str, bytes | None]]:
        for name, identity in self._names.get(folder, {}).items():
            yield name, None if identity is None else self._flushed.get(identity, b"")
            if identity is None:
                yield from self._flushed_names(name)


def read_state(folder: Path) -> State:
    paths = sorted(folder.rglob("*"))
    return {path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes() for path in paths}


def write_state(folder: Path, state: State) -> None:
    """Nothing else is in the folder afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in state.items():
        path = folder / name
        path.mkdir() if content is None else path.write_bytes(content)


def comparable(state: State, whole: bool = False) -> dict[str, str]:
    """{file: sha256 of its content} without times, and without random parts of names.

    whole: with folders, and with logs and temporary files, whose content no reader looks at, by their names; without
    what Snakemake keeps, which a run removes before anything else.
    """
    found = {}
    for name, content in state.items():
        if name.startswith(f"{STATE}/"):
            continue
        if whole or (content is not None and not name.startswith(FILES_THAT_VARY)):
            plain = TEMPORARY_NAME.sub(".tmp", name)
            dull = plain != name or name.startswith(FILES_THAT_VARY)
            content = b"" if dull else TIME_OF_DECISION.sub(b"", content or b"")
            found[plain] = hashlib.sha256(without_seconds(name, content)).hexdigest()
    return found
