import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from served_recording import Served

from simspine.annotation.labels import PointStatus, finished_frames, read_journal
from simspine.annotation.server import MAX_CONNECTIONS, MAX_REQUEST_BYTES, AnnotationServer
from simspine.core.errors import InputError

EDIT = {"f": 2, "v": 1, "p": "Spine_03", "x": 100.5, "y": 200.25, "see": 2, "how": 2}


def ask(served, path, method="GET", body=None, token=None, **headers):
    """(status, headers, body) of a request whose headers are our own."""
    server = served.server
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.putrequest(method, f"/{server.token if token is None else token}/{path}", skip_host=True)
    headers = {"Host": f"127.0.0.1:{server.server_port}"} | {k.replace("_", "-"): v for k, v in headers.items()}
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
        headers["Content-Length"] = str(len(body))
    for key, value in headers.items():
        connection.putheader(key, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def test_only_this_computer_is_served(served):
    assert served.server.server_address[0] == "127.0.0.1"
    assert len(served.server.token) >= 32


@pytest.mark.parametrize(
    "strange",
    [
        {"token": "guess"},
        {"token": ""},
        {"Host": "example.org"},
        {"Host": "127.0.0.1"},
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
    ids=str,
)
def test_a_stranger_is_refused_and_learns_nothing(served, strange):
    for path, method, body in (
        ("api/project", "GET", None),
        ("api/edits", "POST", json.dumps({"edits": [EDIT]}).encode()),
    ):
        status, _, answer = ask(served, path, method, body, **strange)
        assert status == 403
        assert b"refused" in answer
    assert served.server.token.encode() not in answer
    assert read_journal(served.session._path) == []


def test_the_page_may_load_nothing_from_elsewhere(served):
    status, headers, page = ask(served, "")
    assert status == 200
    assert b"http" not in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert (
        ask(served, "main.js", Origin=f"http://localhost:{served.server.server_port}")[1]["Content-Type"]
        == "text/javascript"
    )


@pytest.mark.parametrize(
    "path",
    ["../labels.py", "..%2flabels.py", "nothing.js", "api/nothing", "image/0/99.jpg", "image/9/0.jpg", "api/frame/99"],
)
def test_what_is_not_there(served, path):
    assert ask(served, path)[0] == 400


def test_frames_and_images(served, drawn):
    status, headers, body = ask(served, "image/2/3.jpg")
    assert (status, headers["Content-Type"], body[:2]) == (200, "image/jpeg", b"\xff\xd8")
    points = json.loads(ask(served, "api/frame/3")[2])["points"]
    assert [len(view) for view in points] == [38] * 4
    assert points[0][-1] == [None, None, 0, 0, 0.0, False]  # the marker on the skin, not placed


def test_decisions_are_on_the_disk_when_the_answer_comes(served):
    status, _, body = ask(served, "api/edits", "POST", json.dumps({"edits": [EDIT]}).encode())
    assert status == 200
    assert json.loads(body)["counts"]["corrected"] == 1
    (edit,) = read_journal(served.session._path)
    assert (edit.frame, edit.view, edit.point, edit.x, edit.y) == (2, 1, "Spine_03", 100.5, 200.25)
    x, y, see, how, *_ = json.loads(ask(served, "api/frame/2")[2])["points"][1][served.session.project()["chain"][3]]
    assert (x, y, see, how) == (100.5, 200.25, 2, 2)


def test_progress_is_that_of_all_labels_counted_anew(served):
    rng = np.random.default_rng(0)
    names = served.session.recording.start.names
    for _ in range(30):
        edits = [
            {"f": int(rng.integers(6)), "v": int(rng.integers(4)), "p": str(rng.choice(names)), "x": 9, "y": 9,
             "see": int(rng.integers(1, 3)), "how": int(rng.integers(4))}
            for _ in range(5)
        ]  # fmt: skip
        progress = served.session.edit(edits)
    labels = served.session.labels()
    some = labels.labelled | labels.decided
    counts = {status.name.lower(): (some & (labels.status == status)).sum() for status in PointStatus}
    assert progress["counts"] == counts
    assert progress["done"] == np.flatnonzero(finished_frames(labels)).tolist()
    assert "scores" not in progress  # of all frames: not with every answer


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b'{"edits": 3}', b"[" * 100_000, json.dumps({"edits": [EDIT, EDIT | {"p": "tail"}]}).encode(),
        json.dumps({"edits": [EDIT | {"f": 6}]}).encode(), b'{"edits": [{"f": NaN}]}',
    ],
)  # fmt: skip
def test_nothing_of_a_bad_request_is_taken(served, body):
    assert ask(served, "api/edits", "POST", body)[0] == 400
    assert read_journal(served.session._path) == []


@pytest.mark.parametrize("length", ["9" * 5000, str(MAX_REQUEST_BYTES + 1), "-1", "a", "²"])
def test_lengths_that_cannot_be_are_refused(served, length):
    headers = {"Content_Type": "application/json", "Content_Length": length}
    assert ask(served, "api/edits", "POST", **headers)[0] == 400


def test_forms_of_other_pages_are_no_json(served):
    body = json.dumps({"edits": [EDIT]}).encode()
    assert ask(served, "api/edits", "POST", body, Content_Type="text/plain")[0] == 400
    assert read_journal(served.session._path) == []


def test_a_disk_that_refuses_is_told_and_the_decision_not_taken(served, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("simspine.annotation.server.append_edits", full)
    status, _, answer = ask(served, "api/edits", "POST", json.dumps({"edits": [EDIT]}).encode())
    assert status == 500
    assert b"No space" in answer
    assert served.session.summary()["counts"]["corrected"] == 0


def test_the_worst_frames_come_in_batches(served):
    first = json.loads(ask(served, "api/summary")[2])["batch"]
    frame = first[0]["frame"]
    edits = [
        {"f": frame, "v": v, "p": name, "x": 5, "y": 5, "see": 2, "how": 2}
        for v in range(4)
        for name in served.session.recording.start.names
    ]
    ask(served, "api/edits", "POST", json.dumps({"edits": edits}).encode())
    again = json.loads(ask(served, "api/batch", "POST", b"{}")[2])
    assert frame in again["done"]
    assert frame not in [entry["frame"] for entry in again["batch"]]


def test_the_command_prints_the_address_serves_and_ends_with_ctrl_c(drawn, tmp_path):
    command = [sys.executable, "-m", "simspine", "annotate", str(drawn[0]), "--out", str(tmp_path), "--no-open"]
    with subprocess.Popen(
        [*command, "--annotator", "ben"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background processes ignore it
    ) as process:
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(address, timeout=60) as page:
            assert b"<h1>" in page.read()
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(timeout=120) == 0
        finally:
            process.kill()
        said = process.stderr.read()
    assert str(tmp_path / "ben.jsonl") in said
    assert "everything is saved" in said
    assert read_journal(tmp_path / "ben.jsonl") == []


def test_a_refused_decision_is_not_called_saved(served):
    """The journal is emptied by another program; the session remembers why the last decision was not stored."""
    body = json.dumps({"edits": [{"f": 0, "v": 0, "p": "Hip", "x": 5, "y": 6, "see": 2, "how": 2}]}).encode()
    assert ask(served, "api/edits", "POST", body)[0] == 200
    assert served.session.refusal == ""
    journal = Path(served.session.project()["file"])
    journal.write_bytes(b"")
    status, _, said = ask(served, "api/edits", "POST", body)
    assert status == 500
    assert b"not saved: another program replaced or changed it" in said
    assert served.session.refusal.startswith("another program")
    assert journal.read_bytes() == b""


def test_a_port_in_use_is_told(served):
    with pytest.raises(InputError, match="cannot be used"):
        AnnotationServer(served.session, served.server.server_port)


def test_a_restart_has_the_same_port_and_another_token(recording):
    """The browser keeps decisions that were not sent by host and port; the token is for one run."""
    found = []
    for _ in range(2):
        served = Served(recording)
        found.append((served.server.server_port, served.server.token))
        served.stop()
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


def test_a_port_that_others_have_taken_is_no_hindrance(served):
    """The page has its images with another port as well."""
    second = Served(served.session.recording, annotator=served.session.annotator)
    try:
        assert second.server.server_port != served.server.server_port
        assert ask(second, "image/0/0.jpg")[0] == 200
    finally:
        second.stop()


def test_what_a_browser_is_started_with_works_once(served):
    """Other users can read the arguments of a program; they come too late, and do not learn the token."""
    server, address = served.server, served.server.address_for_once
    assert server.token not in address
    with urllib.request.urlopen(address, timeout=60) as page:  # follows the redirection
        assert page.url == server.address
        assert b"<h1>" in page.read()
    status, headers, body = ask(served, "", token=address.rstrip("/").rpartition("/")[2])
    assert status == 403
    assert server.token not in f"{headers}{body}"


def test_who_does_not_read_the_answers_does_not_keep_the_program(recording):
    served = Served(recording)
    server = served.server
    head = f"GET /{server.token}/image/0/0.jpg HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n\r\n"
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", server.server_port))
        reader.sendall(400 * head.encode())
        time.sleep(1)
        start = time.monotonic()
        served.stop()
        assert time.monotonic() - start < 10


def test_strangers_who_hold_connections_do_not_fill_the_memory_or_keep_others_out(recording):
    served = Served(recording)
    port, threads_before = served.server.server_port, threading.active_count()
    held = []
    for _ in range(3 * MAX_CONNECTIONS):
        held.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        held[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")  # its headers never end
        time.sleep(0.005)
    assert ask(served, "api/summary")[0] == 200
    assert threading.active_count() <= threads_before + MAX_CONNECTIONS + 10  # ended ones take a moment
    assert held[0].recv(1) == b""  # the oldest were ended
    for connection in held:
        connection.close()
    served.stop()
