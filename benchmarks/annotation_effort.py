"""How long a person takes to correct 1,000 points with `simspine annotate`: a scripted user, and a model of human pace.

    python -m benchmarks.annotation_effort RESULTS --config CONFIG [--points 1000] [--off 16] [--json figures.json]

The scripted user works in a real browser with mouse and keys, on a recording whose points in space stand for the truth;
it begins with pseudo-labels that are off by a detector's error: along the spine smoothly, as by a rule that bends a
curve, elsewhere each by itself (`--rough`: along the spine as well). How long the script takes says nothing about
people. So every action is counted, and its time taken from models of people at a screen:

- Pointing and dragging take log2(D / W + 1) / throughput (Fitts's law in Shannon's form; D: way on the screen, W: width
  of the target). Throughput of a mouse: 3.7 to 4.9 bits/s (Soukoreff & MacKenzie 2004, Int. J. Human-Computer Studies
  61, 751; grade C). A drag counts as two such tasks, to the point and with it (MacKenzie & Buxton 1994, Interacting
  with Computers 6, 213; grade A).
- A key takes 0.20 s (skilled) to 0.28 s (not), a thought before an action 1.35 s (Card, Moran & Newell 1980, Commun.
  ACM 23, 396; grade B); pressing or letting go a mouse button 0.1 s (the same; grade C).
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from simspine.annotation.labels import Labels, PointStatus, pseudo_labels
from simspine.annotation.recording import CHAIN, RecordedViews, Target, open_target
from simspine.annotation.server import AnnotationServer
from simspine.annotation.session import Session
from simspine.geometry import project
from simspine.triangulation.solve import triangulate
from simspine.types import Keypoints

DOT_PX, ROW_PX = 22.0, 26.0  # on the screen: how wide a point is to be taken, how high a row of the list is
ENDS_FIRST = (4, 0, 8, 2, 6, 1, 3, 5, 7)  # of the chain: what is between follows, and is often right by then
ALIKE = 4.0  # points of the spine over which its error stays alike
SD_OF_WIDTH = 4.133  # a target's width holds 96 % of the ends of movements (Soukoreff & MacKenzie 2004)


@dataclass(frozen=True)
class Pace:
    """throughput: bits/s. key_s, button_s, thought_s: seconds each."""

    throughput: float
    key_s: float
    button_s: float = 0.1
    thought_s: float = 1.35


PACES = {"quick": Pace(4.9, 0.20), "slow": Pace(3.7, 0.28)}


@dataclass
class Actions:
    """What was done. moves: (way, width) px of each pointing or dragging; decisions: points moved by hand; looks: views
    that were looked at as a whole."""

    moves: list[tuple[float, float]] = field(default_factory=list)
    buttons: int = 0
    keys: int = 0
    decisions: int = 0
    looks: int = 0

    def seconds(self, pace: Pace, thoughts: bool) -> float:
        """thoughts: whether a thought goes before every point that is moved; else only before every view."""
        bits = sum(np.log2(way / width + 1) for way, width in self.moves)
        pauses = self.looks + (self.decisions if thoughts else 0)
        hands = self.buttons * pace.button_s + self.keys * pace.key_s
        return float(bits / pace.throughput + hands + pauses * pace.thought_s)


class ScriptedUser:
    """Corrects the frame that is shown, with a browser's mouse and keys. tolerance: px of the image."""

    def __init__(self, page, truth: Keypoints, views: Sequence[int], tolerance: float, seed: int = 0):
        self.page, self.truth, self.views, self.tolerance = page, truth, views, tolerance
        self.done = Actions()
        self._rng = np.random.default_rng(seed)
        self._at = np.zeros(2)
        order = self.ask("return a.order")
        ends_first = [self.truth.names.index(CHAIN[k]) for k in ENDS_FIRST]
        self._order = ends_first + [point for point in order if point not in ends_first]
        self._boxes = [canvas.bounding_box() for canvas in page.locator("figure canvas").all()]

    def ask(self, code: str, argument=None):
        return self.page.evaluate(f"(argument) => {{ const a = window.annotate; {code} }}", argument)

    def correct_frame(self) -> None:
        """By hand in two views, in the others from these; what is off then by hand; and the frame is accepted."""
        for view in self.views:
            self._look_at(view, self.tolerance)
        self.page.keyboard.press("Shift+R")
        self.done.keys += 2
        for view in range(len(self._boxes)):
            if view not in self.views:
                self._look_at(view, 2 * self.tolerance)
        before = self.ask("return a.frame")
        self.page.keyboard.press("Enter")
        self.done.keys += 1
        self.page.wait_for_function("(frame) => document.body.dataset.frame !== String(frame)", arg=before)

    def _look_at(self, view: int, tolerance: float) -> None:
        self.done.looks += 1
        frame = self.ask("return a.frame")
        for point in self._order:
            x, y, see = self.ask(
                "const {x, y, see} = a.points[argument[0]][argument[1]]; return [x, y, see]", [view, point]
            )
            goal = self.truth.xy[frame, view, point]
            if see and np.isfinite(goal).all() and np.hypot(x - goal[0], y - goal[1]) > tolerance:
                self._move(view, point, np.array([x, y]), goal)

    def _move(self, view: int, point: int, place: np.ndarray, goal: np.ndarray) -> None:
        scale = self.ask("return a.views[argument].scale", view)
        width = 2 * self.tolerance * scale
        aim = goal + self._rng.normal(0, 2 * self.tolerance / SD_OF_WIDTH, 2)
        start, end = self._spot(view, place), self._spot(view, aim)
        self.done.decisions += 1
        box = self._boxes[view]
        on_screen = [start[0] - box["x"], start[1] - box["y"]]
        if self.ask("return a.views[argument[0]].hit(...argument[1])", [view, on_screen]) == point:
            self._go(start, DOT_PX)
            self.page.mouse.down()
            self._go(end, width)
            self.page.mouse.up()
            self.done.buttons += 2
        else:  # another point covers it: select it in the list, then click where it belongs
            row = self.page.locator(f'[data-point="{self.truth.names[point]}"]')
            row.scroll_into_view_if_needed()
            at = row.bounding_box()
            self._go(np.array([at["x"] + 60, at["y"] + at["height"] / 2]), ROW_PX)
            self.page.mouse.click(*self._at)
            self._go(end, width)
            self.page.keyboard.down("Control")  # a click beside other points, however near
            self.page.mouse.click(*self._at)
            self.page.keyboard.up("Control")
            self.done.buttons += 4
            self.done.keys += 1

    def _go(self, to: np.ndarray, width: float) -> None:
        self.done.moves.append((float(np.linalg.norm(to - self._at)), width))
        self.page.mouse.move(*to, steps=2)
        self._at = to

    def _spot(self, view: int, place: np.ndarray) -> np.ndarray:
        """In the window."""
        u, v = self.ask("return a.views[argument[0]].toScreen(...argument[1])", [view, place.tolist()])
        return np.array([self._boxes[view]["x"] + u, self._boxes[view]["y"] + v])


def pair_of_views(recording: RecordedViews) -> tuple[int, int]:
    """The two cameras that look at the person nearest to at right angles."""
    assert recording.cameras is not None
    ways = [camera.R[2] for camera in recording.cameras]
    return min(combinations(range(len(ways)), 2), key=lambda pair: abs(float(ways[pair[0]] @ ways[pair[1]])))


def true_points(recording: RecordedViews) -> Keypoints:
    """Where the recording's points in space project: places that all views agree about, as they do of a real body."""
    assert recording.cameras is not None
    start = recording.start
    keypoints = Keypoints(start.names, recording.rate, start.xy, start.confidence)
    xyz = triangulate(keypoints, recording.cameras, min_confidence=0.0).xyz
    xy = np.moveaxis(project(recording.cameras, xyz), 0, 1)
    size = np.array([camera.size for camera in recording.cameras])[:, None]
    inside = ((xy >= 0) & (xy < size)).all(-1)
    return Keypoints(start.names, recording.rate, np.where(inside[..., None], xy, np.nan), inside.astype(float))


def with_error(
    recording: RecordedViews, truth: Keypoints, off: float, rough: bool = False, seed: int = 0
) -> RecordedViews:
    """The recording with pseudo-labels `off` px from the truth, standard deviation in x and y; smooth along the spine
    unless `rough`."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, off, truth.xy.shape)
    chain = [truth.names.index(name) for name in CHAIN]
    if not rough:
        place = np.arange(len(chain))
        alike = np.exp(-(((place[:, None] - place) / ALIKE) ** 2)) + 1e-6 * np.eye(len(chain))
        noise[:, :, chain] = np.linalg.cholesky(alike) @ noise[:, :, chain]
    begin = Keypoints(truth.names, truth.rate, truth.xy + noise, np.where(truth.confidence > 0, 0.6, 0.0))
    return replace(recording, start=pseudo_labels(begin))


def needed(start: Labels, truth: Keypoints, tolerance: float) -> np.ndarray:
    """(frames, views, points) bool: pseudo-labels that are further off than the tolerance."""
    return np.linalg.norm(start.xy - truth.xy, axis=-1) > tolerance


def measure(browser, recording: RecordedViews, truth: Keypoints, points: int, tolerance: float) -> dict:
    """Let the scripted user work until so many wrong points are right; the counts, times and errors."""
    session = Session(recording, "script")
    server = AnnotationServer(session)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        page = browser.new_page(viewport={"width": 1600, "height": 950})
        page.goto(server.address)
        page.wait_for_selector("body[data-ready=yes]")
        user = ScriptedUser(page, truth, pair_of_views(recording), tolerance)
        wrong = needed(recording.start, truth, tolerance)
        began, frames, corrected = time.perf_counter(), 0, 0
        while corrected < points:
            user.correct_frame()
            frames += 1
            page.wait_for_function("() => !window.annotate.labels.unsaved.length")
            labels = session.labels()
            corrected = int((wrong & (labels.status == PointStatus.CORRECTED)).sum())
        robot = time.perf_counter() - began
        page.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    done = (labels.status == PointStatus.CORRECTED) & wrong
    found = _figures(user.done, corrected, frames, robot) | {"tolerance_px": tolerance}
    for name, some in (("before", recording.start), ("after", labels)):
        off = np.linalg.norm(some.xy - truth.xy, axis=-1)[done]
        found[f"error_px_{name}"] = {f"{100 * q:.0f} %": round(float(np.quantile(off, q)), 2) for q in (0.5, 0.9)}
    return found


def _figures(done: Actions, corrected: int, frames: int, robot: float) -> dict:
    per_1000 = 1000 / corrected
    minutes = {
        f"{name}, {'a thought before every point' if thoughts else 'a thought before every view'}": round(
            done.seconds(pace, thoughts) * per_1000 / 60, 1
        )
        for name, pace in PACES.items()
        for thoughts in (False, True)
    }
    return {
        "corrected": corrected, "frames": frames, "moved_by_hand": done.decisions, "keys": done.keys,
        "minutes_per_1000": minutes, "robot_minutes_per_1000": round(robot * per_1000 / 60, 2),
    }  # fmt: skip


def main() -> None:
    """Run on results, print and write the figures."""
    import shutil

    from playwright import sync_api

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--off", type=float, default=16.0, help="px, standard deviation in x and y")
    parser.add_argument("--tolerance", type=float, default=6.0, help="px")
    parser.add_argument("--rough", action="store_true", help="errors along the spine are not smooth")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_api.sync_playwright() as driver:
        target = Target(options.results, options.config, home=Path(folder))
        recording = open_target(target)
        truth = true_points(recording)
        recording = with_error(recording, truth, options.off, options.rough)
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        found = measure(browser, recording, truth, options.points, options.tolerance)
        browser.close()
    text = json.dumps(found, indent=1, ensure_ascii=False)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
