"""A page in a window of its own, and its first player."""

import re
from io import BytesIO

import numpy as np

HARMLESS = re.compile(r"GPU stall|GL Driver Message|Automatic fallback to software WebGL")


class Opened:
    """A page in a window of its own, offline, with what it complained about."""

    def __init__(self, browser, address, width=1100, height=900, **more):
        self.context = browser.new_context(viewport={"width": width, "height": height}, **more)
        self.context.set_offline(True)
        self.requests, self.complaints = [], []
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on(
            "console",
            lambda m: m.type in ("error", "warning") and not HARMLESS.search(m.text) and self.complaints.append(m.text),
        )
        self.address = address

    def __enter__(self):
        self.page.goto(self.address)
        self.root = self.page.locator(".player").first
        self.root.scroll_into_view_if_needed()
        self.page.wait_for_selector(".player[data-ready=yes]")
        return self

    def __exit__(self, *_):
        self.context.close()

    def do(self, code, argument=None):
        """Run `code` with `p` the first player."""
        return self.page.evaluate(
            f"(argument) => {{ const p = document.querySelector('.player').player; {code} }}", argument
        )

    @property
    def frame(self):
        return self.do("return p.frame")

    def part(self, name):
        return self.root.locator(f'[data-part="{name}"]')

    def picture(self):
        """The stage as drawn at rest: (height, width, 3)."""
        from PIL import Image

        self.do("p.stage.draw(true)")
        data = self.part("stage").screenshot()
        return np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)
