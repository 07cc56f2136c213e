"""Pictures of the demonstration for the documents: `python -m tools.document_pictures RESULTS`, after `simspine demo`.

Writes `demo.png`, `player.png`, `report.jpg` and `report-screens.jpg` into `docs/images`.
Needs Chromium and playwright.
"""

import shutil
import sys
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from simspine.core.arrays import NORMAL_95
from simspine.report import canvas
from simspine.report.figure_style import ASSUMED_DASHES, BLUE, ORANGE, matplotlib_style, new_figure
from simspine.report.overlay import sample_frames
from simspine.report.statements import overlay_picture
from simspine.report.trial_sections import curves_of_trial
from simspine.workflow.config import read_config
from simspine.workflow.inputs import Context
from simspine.workflow.results import SolvedTrial, read_trial

IMAGES = Path(__file__).resolve().parents[1] / "docs/images"
SUBJECT, TRIAL = "S01", "balance"
CURVES_INCHES = (8.6, 2.6)
CREDIT = "Videos: demo data of Pose2Sim, BSD-3-Clause"
PLAYER_FRAME = 45
COLOURS = 256  # of a small PNG file
REPORT_SIZE = (1200, 833)  # px
# Width in px, colours and medium of the report's screens side by side; their height there.
SCREENS = ((1440, "dark", "screen"), (900, "light", "screen"), (390, "light", "screen"), (794, "light", "print"))
SCREEN_HEIGHT = 640
BROWSER_SWITCHES = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


def read_demonstration(results: Path) -> SolvedTrial:
    """The solved trial with its 2D points."""
    context = Context(read_config(results / "config.yaml"), SUBJECT)
    return read_trial(context.paths, TRIAL, context.capture(TRIAL).videos, keypoints=True)


def demonstration_picture(trial: SolvedTrial) -> np.ndarray:
    """The views of one frame above lordosis and kyphosis over time."""
    views = overlay_picture(trial, sample_frames(trial.spine.frames, 1, trial.rejected), range(len(trial.videos)))
    width = views.shape[1]
    curves = curves_of_trial(trial.spine, (*trial.curvature_figures, *trial.clinical_figures))[:2]
    with matplotlib_style():
        figure, buffer = new_figure(CURVES_INCHES[1], CURVES_INCHES[0]), BytesIO()
        for axes, curve in zip(figure.subplots(1, 2), curves, strict=True):
            colour, dashes = (ORANGE, ASSUMED_DASHES) if curve.assumed else (BLUE, "-")
            if curve.sd is not None:
                reach = NORMAL_95 * curve.sd
                axes.fill_between(
                    trial.spine.time, curve.values - reach, curve.values + reach, color=colour, alpha=0.16
                )
            axes.plot(trial.spine.time, curve.values, color=colour, linestyle=dashes)
            axes.set_title(f"{curve.label} ({', '.join(filter(None, (curve.unit, curve.note)))})", fontsize=9.0)
            axes.set_xlim(trial.spine.time[0], trial.spine.time[-1])
            axes.set_xlabel("time (s)")
        figure.savefig(buffer, format="png", dpi=width / CURVES_INCHES[0], facecolor="white")
    below = cv2.imdecode(np.frombuffer(buffer.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    below = cv2.resize(below, (width, round(below.shape[0] * width / below.shape[1])))
    credit = 255 - canvas.draw_text(np.zeros((44, width, 3), np.uint8), (14, 22), CREDIT, 18)  # black on white
    return np.vstack([views, below, credit])


def photograph_report(page_file: Path, folder: Path) -> None:
    """The player and the top of the report, as a browser shows them: player.png and report.png."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=BROWSER_SWITCHES)
        page = browser.new_page(viewport={"width": 1440, "height": 1160}, color_scheme="light")
        page.set_default_timeout(120_000)
        page.goto(page_file.resolve().as_uri())
        page.locator(".player").scroll_into_view_if_needed()
        page.wait_for_selector('.player[data-ready="yes"]')
        page.evaluate(f"document.querySelector('.player').player.seek({PLAYER_FRAME})")
        page.wait_for_timeout(6000)
        page.locator(".player").screenshot(path=folder / "player.png")
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(1500)
        page.set_viewport_size({"width": 1440, "height": 1000})
        page.screenshot(path=folder / "report.png")
        for number, (width, colours, medium) in enumerate(SCREENS):
            page = browser.new_page(viewport={"width": width, "height": 1100}, color_scheme=colours)
            page.goto(page_file.resolve().as_uri())
            page.locator(".player").scroll_into_view_if_needed()
            page.wait_for_selector('.player[data-ready="yes"]', timeout=120_000)
            page.evaluate("scrollTo(0, 0)")
            page.emulate_media(media=medium, color_scheme=colours)
            if medium == "print":  # a browser that prints says so first, and the player shows a still
                page.evaluate("dispatchEvent(new Event('beforeprint'))")
            page.wait_for_timeout(4000)
            page.screenshot(path=folder / f"screen-{number}.png")
            page.close()
        browser.close()


def screens_side_by_side(folder: Path) -> Image.Image:
    """The report on a desktop in the dark, a tablet, a telephone and paper."""
    screens = [Image.open(folder / f"screen-{number}.png").convert("RGB") for number in range(len(SCREENS))]
    scaled = [screen.resize((screen.width * SCREEN_HEIGHT // screen.height, SCREEN_HEIGHT)) for screen in screens]
    gap = 12
    sheet = Image.new("RGB", (sum(screen.width + gap for screen in scaled) - gap, SCREEN_HEIGHT), "white")
    left = 0
    for screen in scaled:
        sheet.paste(screen, (left, 0))
        left += screen.width + gap
    return sheet


def save_small(picture: Image.Image, path: Path) -> None:
    """As a PNG file of few colours."""
    picture.quantize(COLOURS, kmeans=COLOURS).save(path, optimize=True)


if __name__ == "__main__":
    demonstration = Path(sys.argv[1])
    views_and_curves = demonstration_picture(read_demonstration(demonstration))
    save_small(Image.fromarray(cv2.cvtColor(views_and_curves, cv2.COLOR_BGR2RGB)), IMAGES / "demo.png")
    with TemporaryDirectory() as taken:
        photograph_report(demonstration / "report.html", Path(taken))
        save_small(Image.open(Path(taken, "player.png")), IMAGES / "player.png")
        top = Image.open(Path(taken, "report.png")).convert("RGB").resize(REPORT_SIZE)
        top.save(IMAGES / "report.jpg", quality=85)
        screens_side_by_side(Path(taken)).save(IMAGES / "report-screens.jpg", quality=80)
