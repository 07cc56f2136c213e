"""The page's server: this computer only, and only whoever was given the address.

Bound to the loopback interface. The first part of every path is a random token. A request whose Host is not this
server's (DNS rebinding) or whose Origin is another page's is refused, so that no page open in the same browser can read
or write.
"""

import hmac
import json
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from simspine.annotation.session import Session
from simspine.errors import InputError
from simspine.report import plain_page

HOST = "127.0.0.1"
LARGEST = 8 << 20  # bytes of a request
KINDS = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_STATIC = re.compile(r"[a-z]+\.(html|js|css|svg)")


class AnnotationServer(ThreadingHTTPServer):
    """Serves one session. port: 0 for any that is free. pages: {name.html: what makes it}, beside the session's own."""

    daemon_threads = True

    def __init__(self, session: Session, port: int = 0, pages: Mapping[str, Callable[[], str]] | None = None):
        self.session = session
        self.pages = dict(pages or {})
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise InputError(
                f"port {port} of this computer cannot be used ({error.strerror}); choose another."
            ) from None

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no error; anything else is told."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        super().server_close()
        self.session.images.close()


class _Handler(BaseHTTPRequestHandler):
    server: AnnotationServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "simspine", ""
    timeout = 120

    def log_message(self, format: str, *args: Any) -> None:
        """The terminal is for the annotator."""

    def do_GET(self) -> None:
        path = self._allowed()
        if path is not None:
            policy = plain_page.POLICY if path in self.server.pages else POLICY
            self._answer(lambda: self._get(path), policy)

    def do_POST(self) -> None:
        path = self._allowed()
        if path is None:
            return
        length = self.headers.get("Content-Length", "")
        fits = length.isdecimal() and len(length) <= len(str(LARGEST)) and int(length) <= LARGEST
        if self.headers.get_content_type() != "application/json" or not fits:
            self.close_connection = True
            self._send(HTTPStatus.BAD_REQUEST, b"expected JSON of at most 8 MB", "text/plain")
            return
        body = self.rfile.read(int(length))
        self._answer(lambda: self._post(path, body))

    def _allowed(self) -> str | None:
        """The path behind the token; None, with the request refused, for anybody else's."""
        own = {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site")
        _, token, path = (*self.path.split("?", 1)[0].split("/", 2), "", "")[:3]
        fault = None
        if self.headers.get("Host") not in own:
            fault = "another host's name"
        elif (origin is not None and origin not in {f"http://{name}" for name in own}) or (
            site is not None and site not in ("none", "same-origin")
        ):
            fault = "asked by another page"
        elif not hmac.compare_digest(token.encode(), self.server.token.encode()):
            fault = "the token in the address is missing or wrong"
        if fault is None:
            return path
        self.close_connection = True
        self._send(HTTPStatus.FORBIDDEN, f"refused: {fault}".encode(), "text/plain; charset=utf-8")
        return None

    def _answer(self, work, policy: str = POLICY) -> None:
        try:
            body, kind = work()
        except InputError as error:
            self._send(HTTPStatus.BAD_REQUEST, str(error).encode(), "text/plain; charset=utf-8")
        except OSError as error:  # the disk is full, the folder is gone: the page keeps what it has and tries again
            text = f"not saved: {error.strerror or error}"
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, text.encode(), "text/plain; charset=utf-8")
        else:
            self._send(HTTPStatus.OK, body, kind, policy)

    def _get(self, path: str) -> tuple[bytes, str]:
        session = self.server.session
        if path in ("", "index.html"):
            return _static("index.html")
        if match := re.fullmatch(r"image/(\d{1,4})/(\d{1,9})\.jpg", path):
            return session.images.jpeg(int(match[2]), int(match[1])), "image/jpeg"
        if match := re.fullmatch(r"api/outline/(\d{1,4})/(\d{1,9})", path):
            return _json(session.proposed_outline(int(match[2]), int(match[1])))
        if match := re.fullmatch(r"api/frame/(\d{1,9})", path):
            return _json(session.frame(int(match[1])))
        if path in self.server.pages:
            return self.server.pages[path]().encode(), KINDS[".html"]
        if path == "api/project":
            return _json(session.project() | {"pages": sorted(self.server.pages)})
        found = {"api/summary": session.summary, "api/agreement": session.agreement}
        if path in found:
            return _json(found[path]())
        if _STATIC.fullmatch(path):
            return _static(path)
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
            return _json(self.server.session.edit(entries))
        if path == "api/batch":
            return _json(self.server.session.next_batch())
        raise InputError(f"there is no {path!r:.80} here.")

    def _send(self, status: HTTPStatus, body: bytes, kind: str, policy: str = POLICY) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")  # the address holds the token
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "private, max-age=3600" if kind == "image/jpeg" else "no-store")
        self.end_headers()
        self.wfile.write(body)


def _static(name: str) -> tuple[bytes, str]:
    file = files("simspine.annotation").joinpath("site", name)
    if not file.is_file():
        raise InputError(f"there is no {name!r} here.")
    return file.read_bytes(), KINDS[name[name.rindex(".") :]]


def _json(content: Any) -> tuple[bytes, str]:
    return json.dumps(content, allow_nan=False).encode(), "application/json"
