"""The server of the annotation page, for this computer only and under a secret address.

Bound to the loopback interface. The first part of every path is a random token. A request whose Host is not this
server's (DNS rebinding) or whose Origin is another page's is refused, so that no page open in the same browser can read
or write.
"""

import contextlib
import hashlib
import hmac
import json
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

import numpy as np

from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS
from simspine.annotation.labels import (
    FRAMES_PER_BATCH,
    Labels,
    PointStatus,
    append_edits,
    apply_edits,
    check_edit,
    edit_from,
    finished_frames,
    frame_batch,
    journal_file,
    journal_state,
    rank_frames,
    read_journal,
    start_journal,
    write_edits,
)
from simspine.annotation.recording import Images, RecordedViews
from simspine.core import skeletons
from simspine.core.errors import InputError
from simspine.core.skeletons import is_skin_marker, skin_landmark

POINT_GROUPS = (
    ("Spine", SPINE_CHAIN_MARKERS),
    ("Head", ("Head", "Nose", "LEye", "REye", "LEar", "REar")),
    ("Trunk", ("LClavicle", "RClavicle", "LLatissimus", "RLatissimus")),
    ("Arms", ("LShoulder", "RShoulder", "LElbow", "RElbow", "LWrist", "RWrist")),
    ("Legs", ("LHip", "RHip", "LKnee", "RKnee", "LAnkle", "RAnkle")),
    ("Feet", ("LHeel", "RHeel", "LBigToe", "RBigToe", "LSmallToe", "RSmallToe")),
)


def labels_of(recording: RecordedViews, annotator: str) -> Labels:
    """The recording's points with an annotator's decisions; the pseudo-labels alone where there are none."""
    path = journal_file(recording.home, annotator)
    if not path.exists():
        return recording.start
    return apply_edits(recording.start, read_journal(path, recording.name, recording.views, recording.images))


class Session:
    """The work of one annotator; several threads may call every method.

    first: frames of the first batch instead of the worst ones, such as those of a validation. in_round: number of the
    round of these frames, 0 outside rounds; the page shows them one by one and then ends.
    """

    def __init__(
        self,
        recording: RecordedViews,
        annotator: str,
        batch_size: int = FRAMES_PER_BATCH,
        first: Sequence[int] = (),
        in_round: int = 0,
    ):
        self.recording, self.annotator, self._size, self._round = recording, annotator, batch_size, in_round
        self._path = journal_file(recording.home, annotator).absolute()
        start_journal(self._path, recording.name, recording.views, recording.start.names, images=recording.images)
        self._journal = journal_state(self._path.stat())
        self.refusal = ""  # why the last decisions were not stored
        labels = labels_of(recording, annotator)
        kept = ("xy", "visibility", "status", "confidence", "inferred")
        # Decisions are written into these arrays: copying all frames for each click would be slow.
        self._names, self._arrays = labels.names, {name: getattr(labels, name).copy() for name in kept}
        self._counts = np.zeros((labels.frames, len(PointStatus)), int)
        self._done, self._begun = np.zeros((2, labels.frames), bool)
        self._tally(np.arange(labels.frames))
        self.images = Images(recording)
        self._lock = threading.Lock()
        self._batch: list[dict[str, Any]] = []
        self._scores: list[float] = []
        self.next_batch()
        if first:
            if beyond := [frame for frame in first if not 0 <= frame < recording.frames]:
                raise InputError(f"no frame {beyond[0]}: {recording.name} has {recording.frames}, counted from 0.")
            chosen = list(dict.fromkeys(first))[: None if in_round else batch_size]
            reason = "round" if in_round else "named"
            self._batch = [{"frame": f, "score": self._scores[f], "reason": reason} for f in chosen]

    def _tally(self, frames: np.ndarray) -> None:
        labels = self._labels_of_frames(frames)
        known = labels.labelled | labels.decided
        for kind in PointStatus:
            self._counts[frames, kind] = (known & (labels.status == kind)).sum((1, 2))
        self._done[frames] = finished_frames(labels)
        self._begun[frames] = labels.confirmed.any((1, 2)) & ~self._done[frames]

    def _labels_of_frames(self, frames: np.ndarray | slice) -> Labels:
        return Labels(self._names, **{name: array[frames] for name, array in self._arrays.items()})

    def labels(self) -> Labels:
        """The labels with all decisions so far."""
        with self._lock:
            return self._labels_of_frames(np.s_[:])

    def project(self) -> dict[str, Any]:
        """Data for the page that do not change while it is open."""
        recording = self.recording
        cameras = recording.cameras or (None,) * len(recording.views)
        views = [
            {"name": name, "size": list(source.size), "camera": None if camera is None else _camera_entry(camera)}
            for name, source, camera in zip(recording.views, recording.sources, cameras, strict=True)
        ]
        return {
            "name": recording.name, "annotator": self.annotator, "rate": recording.rate, "frames": recording.frames,
            "views": views, "points": _point_entries(self._names),
            "chain": [self._names.index(name) for name in SPINE_CHAIN_MARKERS if name in self._names],
            "file": str(self._path), "round": self._round, "images": self._photographs(),
            "store": " ".join((str(self._path), *recording.images)),  # unsent decisions are about these images
        }  # fmt: skip

    def _photographs(self) -> list[list[str]] | None:
        """[frame][view] file names of photographs; None for videos."""
        recording = self.recording
        if not recording.photographs:
            return None
        views = range(len(recording.views))
        return [[recording.image_name(f, v).rpartition("/")[2] for v in views] for f in range(recording.frames)]

    def frame(self, frame: int) -> dict[str, Any]:
        """[view][point] x, y, visibility, status, confidence, inferred; null for a coordinate that is NaN."""
        if not 0 <= frame < self.recording.frames:
            raise InputError(f"no frame {frame}: there are {self.recording.frames}, counted from 0.")
        with self._lock:
            now = {name: array[frame] for name, array in self._arrays.items()}
            xy = now["xy"].round(3)
            flags = now["visibility"], now["status"], now["confidence"].round(3), now["inferred"]
            parts = zip(xy.reshape(-1, 2).tolist(), *(values.ravel().tolist() for values in flags), strict=True)
            flat = [[*(None if np.isnan(v) else v for v in place), *more] for place, *more in parts]
        points = len(self._names)
        return {"points": [flat[i : i + points] for i in range(0, len(flat), points)]}

    def edit(self, entries: Sequence[Any]) -> dict[str, Any]:
        """Store decisions; they are on the disk when this returns. For a faulty one: `InputError`, and none is kept."""
        now = time.time()
        edits = [replace(edit_from(entry), time=now) for entry in entries]
        for edit in edits:
            check_edit(self.recording.start, edit)
        with self._lock:
            try:
                self._journal = append_edits(self._path, edits, self._journal)
            except OSError as error:
                self.refusal = str(error.strerror or error)
                raise
            self.refusal = ""
            write_edits(edits, self._names, self._arrays)
            self._tally(np.unique([edit.frame for edit in edits]).astype(int))
        return self.progress()

    def progress(self) -> dict[str, Any]:
        """Progress of the work: counts by status, frames of the batch, frames done and begun."""
        with self._lock:
            total = self._counts.sum(0).tolist()
            return {
                "counts": {kind.name.lower(): total[kind] for kind in PointStatus}, "batch": self._batch,
                "done": np.flatnonzero(self._done).tolist(), "begun": np.flatnonzero(self._begun).tolist(),
            }  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """`progress`, and the score of each frame."""
        return self.progress() | {"scores": self._scores}

    def next_batch(self) -> dict[str, Any]:
        """Rank the frames again by the decisions so far, and choose the worst that are not finished."""
        labels = self.labels()
        reasons = rank_frames(labels, self.recording.rate, self.recording.cameras)
        names, weights = [*reasons], np.array([*reasons.values()])
        need, greatest = weights.sum(0), weights.argmax(0)
        chosen = frame_batch(need, self.recording.rate, self._size, finished_frames(labels))
        self._scores = need.round(3).tolist()
        self._batch = [{"frame": f, "score": self._scores[f], "reason": names[greatest[f]]} for f in chosen]
        return self.summary()


def _point_entries(names: Sequence[str]) -> list[dict[str, Any]]:
    table = skeletons.load_skeleton(skeletons.SIMSPINE_SKELETON)
    group = {name: title for title, members in POINT_GROUPS for name in members}
    entries = []
    for name in names:
        known = name in table.names
        i = table.index(name) if known else -1
        parent = table.names[table.parents[i]] if known and table.parents[i] >= 0 else None
        skin = name in is_skin_marker([name])
        side = "left" if name[0] == "L" and known else "right" if name[0] == "R" and known else "middle"
        entries.append({
            "name": name, "level": skin_landmark(name) if skin else table.levels[i] if known else "",
            "parent": names.index(parent) if parent in names else -1, "side": "skin" if skin else side,
            "group": "Skin" if skin else group.get(name, "Other"),
        })  # fmt: skip
    return entries


def _camera_entry(camera) -> dict[str, Any]:
    arrays = {field: getattr(camera, field).tolist() for field in ("K", "R", "t", "distortion")}
    return {**arrays, "lens": camera.lens, "size": list(camera.size)}


LOCAL_HOST = "127.0.0.1"
MAX_REQUEST_BYTES = 8 << 20  # bytes of a request
MAX_CONNECTIONS = 32  # at a time; a browser opens six, and a stranger's may hold 6 MB of headers each
LAST_ANSWERS_S = 2.0  # s that answers in progress may take when the server ends
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
SERVER_CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_STATIC_FILE_NAME = re.compile(r"[a-z]+\.(html|js|css|svg)")


class AnnotationServer(ThreadingHTTPServer):
    """Serves one session. port: 0 for a port derived from the journal's path, or any free one if that is taken. A
    restart has the same port, under which the browser keeps decisions that were not sent."""

    daemon_threads = False  # ending the interpreter while a thread decodes would crash: `server_close` waits for it

    def __init__(self, session: Session, port: int = 0):
        self.session = session
        self._connections: dict[socket.socket, None] = {}  # in the order of their beginning
        self.token = secrets.token_urlsafe(24)
        self.tickets = {secrets.token_urlsafe(24): True}
        journal = hashlib.sha256(session.project()["file"].encode("utf-8", "surrogateescape")).digest()
        own_port = 49152 + int.from_bytes(journal[:2], "big") // 4  # up to 65535: the dynamic ports
        for number in (port,) if port else (own_port, 0):
            try:
                super().__init__((LOCAL_HOST, number), _Handler)
                return
            except OSError as error:
                fault = InputError(f"port {number} of this computer cannot be used ({error.strerror}); choose another.")
        raise fault

    @property
    def address(self) -> str:
        return f"http://{LOCAL_HOST}:{self.server_port}/{self.token}/"

    @property
    def address_for_once(self) -> str:
        """Address that works once and leads to `address`, since other users can read the arguments of a browser."""
        return f"http://{LOCAL_HOST}:{self.server_port}/{next(iter(self.tickets), '')}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print errors, except for connections that the browser closed."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def get_request(self) -> tuple[socket.socket, Any]:
        request, address = super().get_request()
        self._connections[request] = None
        if len(self._connections) > MAX_CONNECTIONS:  # another user of this computer may hold them
            oldest = next(iter(tuple(self._connections)))
            self._connections.pop(oldest, None)
            with contextlib.suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)
        return request, address

    def close_request(self, request: Any) -> None:
        self._connections.pop(request, None)
        super().close_request(request)

    def server_close(self) -> None:
        """End connections, which browsers keep open, and wait for answers in progress, not long if nobody reads."""
        for ending in (socket.SHUT_RD, socket.SHUT_RDWR):
            for connection in tuple(self._connections):
                with contextlib.suppress(OSError):  # closed by its own thread meanwhile
                    connection.shutdown(ending)
            end = time.monotonic() + LAST_ANSWERS_S
            while self._connections and time.monotonic() < end:
                time.sleep(0.01)
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    server: AnnotationServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "simspine", ""
    timeout = 20

    def log_message(self, format: str, *args: Any) -> None:
        """No log, since the terminal is for the annotator."""

    def do_GET(self) -> None:
        if (path := self._allowed()) is not None:
            self._answer(lambda: self._get(path))

    def do_POST(self) -> None:
        path = self._allowed()
        if path is None:
            return
        length = self.headers.get("Content-Length", "")
        fits = length.isdecimal() and len(length) <= len(str(MAX_REQUEST_BYTES)) and int(length) <= MAX_REQUEST_BYTES
        if self.headers.get_content_type() != "application/json" or not fits:
            self.close_connection = True
            self._send(HTTPStatus.BAD_REQUEST, b"expected JSON of at most 8 MB", "text/plain")
            return
        body = self.rfile.read(int(length))
        self._answer(lambda: self._post(path, body))

    def _allowed(self) -> str | None:
        """The path behind the token; None where the request is refused or redirected."""
        hosts = {f"{name}:{self.server.server_port}" for name in (LOCAL_HOST, "localhost")}
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site")
        _, token, path = (*self.path.split("?", 1)[0].split("/", 2), "", "")[:3]
        refusal = None
        if self.headers.get("Host") not in hosts:
            refusal = "another host's name"
        elif (origin is not None and origin not in {f"http://{name}" for name in hosts}) or (
            site is not None and site not in ("none", "same-origin")
        ):
            refusal = "asked by another page"
        elif self.command == "GET" and self.server.tickets.pop(token, False):
            self._send(HTTPStatus.SEE_OTHER, b"", "text/plain", f"/{self.server.token}/")
            return None
        elif not hmac.compare_digest(token.encode(), self.server.token.encode()):
            refusal = "the token in the address is missing or wrong"
        if refusal is None:
            return path
        self.close_connection = True
        self._send(HTTPStatus.FORBIDDEN, f"refused: {refusal}".encode(), "text/plain; charset=utf-8")
        return None

    def _answer(self, work: Callable[[], tuple[bytes, str]]) -> None:
        try:
            body, kind = work()
        except InputError as error:
            self._send(HTTPStatus.BAD_REQUEST, str(error).encode(), "text/plain; charset=utf-8")
        except OSError as error:  # the disk is full, the folder is gone: the page keeps what it has and tries again
            text = f"not saved: {error.strerror or error}"
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, text.encode(), "text/plain; charset=utf-8")
        else:
            self._send(HTTPStatus.OK, body, kind)

    def _get(self, path: str) -> tuple[bytes, str]:
        session = self.server.session
        if path in ("", "index.html"):
            return _static_response("index.html")
        if match := re.fullmatch(r"image/(\d{1,4})/(\d{1,9})\.jpg", path):
            return session.images.jpeg(int(match[2]), int(match[1])), "image/jpeg"
        if match := re.fullmatch(r"api/frame/(\d{1,9})", path):
            return _json_response(session.frame(int(match[1])))
        responses = {"api/project": session.project, "api/summary": session.summary}
        if path in responses:
            return _json_response(responses[path]())
        if _STATIC_FILE_NAME.fullmatch(path):
            return _static_response(path)
        raise InputError(f"there is no {path!r:.80} here.")

    def _post(self, path: str, body: bytes) -> tuple[bytes, str]:
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            raise InputError("the request is no JSON.") from None
        if path == "api/edits":
            entries = content.get("edits") if isinstance(content, dict) else None
            if not isinstance(entries, list):
                raise InputError("expected {edits: […]}.")
            return _json_response(self.server.session.edit(entries))
        if path == "api/batch":
            return _json_response(self.server.session.next_batch())
        raise InputError(f"there is no {path!r:.80} here.")

    def _send(self, status: HTTPStatus, body: bytes, kind: str, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", SERVER_CONTENT_POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")  # the address holds the token
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "private, max-age=3600" if kind == "image/jpeg" else "no-store")
        self.end_headers()
        self.wfile.write(body)


def _static_response(name: str) -> tuple[bytes, str]:
    file = files("simspine.annotation").joinpath("site", name)
    if not file.is_file():
        raise InputError(f"there is no {name!r} here.")
    return file.read_bytes(), CONTENT_TYPES[name[name.rindex(".") :]]


def _json_response(content: Any) -> tuple[bytes, str]:
    return json.dumps(content, allow_nan=False).encode(), "application/json"
