"""What was written is shown where there is a desktop, and nowhere else."""

import pytest

from simspine.cli import options


@pytest.mark.parametrize(
    ("system", "display", "shown"),
    [
        ("linux", {}, []),
        ("linux", {"DISPLAY": ":0"}, ["page.html"]),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, ["page.html"]),
        ("darwin", {}, ["page.html"]),
    ],
)
def test_the_desktop_is_asked_where_there_is_one(monkeypatch, system, display, shown):
    opened = []
    monkeypatch.setattr(options.click, "launch", opened.append)
    monkeypatch.setattr(options.sys, "platform", system)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in display.items():
        monkeypatch.setenv(name, value)
    options.show_on_desktop("page.html")
    assert opened == shown
