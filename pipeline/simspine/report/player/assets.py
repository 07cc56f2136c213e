"""The scripts of a page: the player's own, the library it stands on, the switch between light and dark.

The library is three.js (MIT), cut down by `tools/vendor_three.py` to what the player uses.
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files

_SCRIPTS = ("1-data", "2-orbit", "3-names", "3-skin", "3-tube", "4-stage", "5-plot", "6-film", "7-player")


@cache
def player_script() -> str:
    """The player as one script; nothing of it is visible from outside but `player` on its elements."""
    parts = [_packaged(f"player/script/{name}.js") for name in _SCRIPTS]
    return "(() => {\n'use strict';\n" + "\n".join(parts) + "})();"


@cache
def _packaged(name: str) -> str:
    return files("simspine.report").joinpath(name).read_text(encoding="utf-8")


def scripts(player: bool, table: bool = False) -> dict[str, str]:
    """{name: script} a page carries. player, table: whether it holds one, and a table of trials.

    theme: the button that switches between light and dark. table: sorts and filters. three: the global `THREE`.
    """
    found = {"theme": _packaged("theme.js")}
    if table:
        found["table"] = _packaged("table.js")
    if player:
        found |= {"three": _packaged("player/three.js"), "player": player_script()}
    return found


def policy(carried: dict[str, str]) -> str:
    """Content security policy: no request to anywhere, and no script but these, by their SHA-256."""
    digests = (hashlib.sha256(script.encode()).digest() for script in carried.values())
    sums = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {sums}"
