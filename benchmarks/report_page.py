"""How soon a report's page shows, how smoothly its player plays, and how large it is.

    python benchmarks/report_page.py results/demo/report.html [--seconds 5] [--browser chromium]

In a Chromium without a graphics card, from a file, offline, 1440 × 900 px. First paint: First Contentful Paint of the
Performance API. Player: when the body first stands in 3D. Playing at 1×: pictures drawn per second, the main thread's
processor time for each, and all of the browser's, software rendering included. On a machine with other work only
processor times can be compared with other runs.
"""

import argparse
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

SWITCHES = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--mute-audio"]
GOALS = {"size_mb": 15.0, "paint_s": 1.0, "rate": 30.0, "main_ms": 33.0}
_COUNT = """() => {
  const player = document.querySelector(".player").player, { stage } = player;
  window.drawn = 0;
  if (!stage.counted) {
    const draw = stage.draw.bind(stage);
    stage.counted = true;
    stage.draw = (fine) => { window.drawn++; draw(fine); };
  }
}"""


@dataclass(frozen=True)
class Smoothness:
    """rate: pictures drawn per second. main_ms, all_ms: processor time for each, main thread and whole browser."""

    rate: float
    main_ms: float
    all_ms: float


def processor_s(browser, page) -> tuple[float, float]:
    """Processor time so far, s: of the page's main thread, and of all processes of the browser."""
    metrics = page.send("Performance.getMetrics")["metrics"]
    main = next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")
    everything = sum(process["cpuTime"] for process in browser.send("SystemInfo.getProcessInfo")["processInfo"])
    return main, everything


def play(page, sessions, seconds: float) -> Smoothness:
    """Play in a loop, after a second to settle."""
    page.evaluate("document.querySelector('.player').player.toggle(true)")
    page.wait_for_timeout(1000)
    page.evaluate(_COUNT)
    before, start = processor_s(*sessions), time.perf_counter()
    page.wait_for_timeout(1000 * seconds)
    after, drawn, took = processor_s(*sessions), page.evaluate("window.drawn"), time.perf_counter() - start
    page.evaluate("document.querySelector('.player').player.toggle(false)")
    main, everything = (1000 * (b - a) / max(drawn, 1) for a, b in zip(before, after, strict=True))
    return Smoothness(drawn / took, main, everything)


def measure(path: Path, program: str, seconds: float) -> None:
    """Open the page and print what it took."""
    from playwright.sync_api import sync_playwright

    print(f"{'size':32}{path.stat().st_size / 1e6:8.1f} MB  (goal: at most {GOALS['size_mb']:g})")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=SWITCHES)
        # The page forbids all scripts but its own, and so what waits for its first paint.
        context = browser.new_context(viewport={"width": 1440, "height": 900}, bypass_csp=True)
        context.set_offline(True)
        page = context.new_page()
        start = time.perf_counter()
        page.goto(path.resolve().as_uri(), wait_until="commit")
        page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
        print(f"{'first paint':32}{paint:8.2f} s   (goal: at most {GOALS['paint_s']:g})")
        if not page.locator(".player").count():
            return
        page.wait_for_selector(".player[data-ready=yes]", timeout=60_000)
        print(f"{'player stands':32}{time.perf_counter() - start:8.2f} s")
        sessions = browser.new_browser_cdp_session(), context.new_cdp_session(page)
        sessions[1].send("Performance.enable", {"timeDomain": "threadTicks"})
        found = play(page, sessions, seconds)
        print(
            f"{'playing':32}{found.rate:8.1f} pictures/s (goal: {GOALS['rate']:g}), each "
            f"{found.main_ms:.1f} ms of the main thread (goal: {GOALS['main_ms']:g}), {found.all_ms:.1f} ms in all"
        )
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path, help="a report's or a view's .html")
    parser.add_argument("--seconds", type=float, default=5.0, help="of playing")
    parser.add_argument("--browser", default=shutil.which("chromium") or "google-chrome")
    given = parser.parse_args()
    measure(given.page, given.browser, given.seconds)


if __name__ == "__main__":
    main()
