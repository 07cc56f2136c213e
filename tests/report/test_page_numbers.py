"""The pages of a finished run against its own posterior: one quantity, one verdict, one interval; trials compared."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from command_line import call, succeeded
from opened_page import Opened
from player_data import unpack

from simspine.io.hdf5 import read_store, write_store
from simspine.quality.observability import ERROR_IN_PEOPLE_DEG
from simspine.workflow.config import read_config
from simspine.workflow.reporting import write_report_of
from simspine.workflow.results import read_trial
from simspine.workflow.up_to_date import RunPaths, file_checksum

pytestmark = pytest.mark.slow
DOUBTED = ("assumed", "no larger than its error")
NARROW_PX, DESKTOP_PX, LONGEST_PX, SMALLEST_TEXT_PX = 390, 1440, 6000, 10.95


class Tables(HTMLParser):
    """Rows of all tables of a page as texts with ordinary spaces, and its texts."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.text, self.cell = [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.cell = None

    def handle_data(self, data):
        data = data.replace("\u00a0", " ")
        self.text += data
        if self.cell:
            self.rows[-1][-1] += data

    def row(self, label):
        return next(row for row in self.rows if row and row[0].startswith(label))


def players(text):
    """Header and arrays of each player in a page."""
    found = re.findall(r'data-part="header">(.*?)</script>.*?data-part="block">(.*?)</script>', text, re.DOTALL)
    return [unpack(*parts) for parts in found]


@pytest.fixture(scope="module")
def page(finished, tmp_path_factory):
    write_report_of(read_config(finished.file))
    return finished.results / "report.html"


@pytest.fixture(scope="module")
def trial(finished):
    return read_trial(RunPaths(finished.results, "S01"), "bow")


def as_text(mean, sd, unit):
    reach = 1.96 * sd
    digits = 0 if unit == " mm" or reach >= 9.95 else 1
    return f"{mean:.{digits}f} ± {reach:.{digits}f}{unit}".replace("-", "−")


def test_cursor_table_and_statement_come_from_one_posterior(page, trial):
    """The page against the arrays of the trial: nothing of the report's own code computes the expectation."""
    tables, ((header, arrays),) = Tables(page.read_text()), players(page.read_text())
    kept = ~trial.rejected
    for key, label in (("lla", "Lumbar lordosis"), ("tka", "Thoracic kyphosis")):
        values, sd = np.degrees(getattr(trial.spine, key)), np.degrees(getattr(trial.spine, f"{key}_sd"))
        sd = np.maximum(sd, ERROR_IN_PEOPLE_DEG[key])
        curves = [i for i, curve in enumerate(header["curves"]) if curve["label"].startswith(label)]
        wanted = as_text(values[kept].mean(), np.median(sd[kept]), "°")
        doubted = tables.row(label)[-1].startswith(DOUBTED)
        said = wanted in tables.text.partition("In three dimensions")[0]  # the statement
        given = "model" in tables.row(label)[-1]
        assert bool(curves) != (doubted or given), "what is not a result has no curve"
        unused = doubted or given or any(cell.startswith("(") for cell in tables.row(label))
        assert said != unused, "what is not a result has no value"
        if doubted or given:
            continue
        (number,) = curves
        np.testing.assert_allclose(arrays[f"curve/{number}"], values, atol=0.01)
        np.testing.assert_allclose(arrays[f"sd/{number}"], sd, atol=0.01)


def test_all_figures_are_there(page, trial):
    """Of the levels no segment in space, which turns too far for their scale."""
    text = page.read_text()
    titles = [
        "Pelvis and spine over time", "Limbs over time", "Range of each level",
    ]  # fmt: skip
    at = [text.index(f"<h4>{title}</h4>") for title in titles]
    assert at == sorted(at)
    levels = text[at[2] : text.index("</figure>", at[2])]
    assert "L4-L5" in levels
    assert "pelvis" not in levels


def test_a_range_has_the_deviations_of_its_two_frames(page, trial):
    clinical, kept = trial.spine.clinical, ~trial.rejected
    values, sd = np.degrees(clinical.of("knee_flexion_r")[kept]), np.degrees(clinical.sd("knee_flexion_r")[kept])
    wanted = as_text(np.ptp(values), np.hypot(sd[values.argmin()], sd[values.argmax()]), "°")
    assert wanted in Tables(page.read_text()).row("Knee, flexion")[1]


def test_each_curve_is_drawn_as_the_table_judges_it(page):
    """None is of an angle of whose source the table doubts, and none of alignment in a movement."""
    tables, ((header, _),) = Tables(page.read_text()), players(page.read_text())
    singles = [curve for curve in header["curves"] if not curve["panel"]]
    assert len(singles) > 5
    for curve in singles:
        verdict = tables.row(curve["label"])[-1]
        assert not verdict.startswith(DOUBTED), curve["label"]
        assert not curve["assumed"]
    lordosis, flexion = (tables.row(label)[-1] for label in ("Lumbar lordosis", "Lumbar flexion"))
    assert flexion == lordosis


def test_the_page_says_what_its_interval_is_once_and_prints_no_diagnosis(page):
    said = Tables(page.read_text()).text
    assert f"Computed on {json.loads((page.parent / 'timings.json').read_text())['made_on']} by simspine" in said
    assert said.count("Every ± is an interval of 95 %") == 1
    assert said.count("scoliosis") == said.count("can neither show nor exclude scoliosis") == 1
    for wrong in ("to be checked", "standard deviation of a frame", "more or less measured"):
        assert wrong not in said


_SMALL = """(least) => {
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, svg = element.closest("svg");
    if (!walker.currentNode.textContent.trim() || element.closest("script, style, noscript")) continue;
    if (!element.checkVisibility({ visibilityProperty: true })) continue;
    const scale = svg?.viewBox.baseVal.width ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
    const size = parseFloat(getComputedStyle(element).fontSize) * scale;
    if (size < least) found.push(`${size.toFixed(1)} px: ${walker.currentNode.textContent.trim().slice(0, 30)}`);
  }
  return found;
}"""


@pytest.mark.parametrize("width", [NARROW_PX, pytest.param(900, marks=pytest.mark.long), DESKTOP_PX])
def test_a_page_is_readable_and_short(browser, page, width):
    """Texts of 11 px or more, with every heading open; closed, 6,000 px on a desktop; statements before the player."""
    with Opened(browser, page.as_uri(), width) as window:
        height = window.page.evaluate("document.documentElement.scrollHeight")
        assert width != DESKTOP_PX or height <= LONGEST_PX
        assert window.page.evaluate("document.documentElement.scrollWidth") <= width
        statements, player = (window.page.locator(part).first.bounding_box() for part in (".glance", ".player"))
        assert statements["y"] + statements["height"] <= player["y"]
        for reading in window.root.locator(".p-reading").all_inner_texts():
            assert "±" in reading or reading.count("°") == 1  # also on a telephone
        window.page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        assert window.page.evaluate(_SMALL, SMALLEST_TEXT_PX) == []
        assert window.complaints == []


def test_a_link_at_the_top_opens_what_it_leads_to(browser, page):
    with Opened(browser, page.as_uri()) as window:
        links = window.page.locator("nav a[href^='#']")
        for link in links.all():
            link.click()
            target = window.page.locator(link.get_attribute("href"))
            # The browser tells the page of the new address some time after the click.
            for inside in (
                "part.closest('details:not([open])')",
                "part.querySelector(':scope > details:not([open]):first-child')",
            ):
                opened = f"(part) => !{inside}"
                window.page.wait_for_function(opened, arg=target.element_handle(), polling=50, timeout=5000)
        assert links.count() > 5


def test_paper_shows_what_stands_behind_headings(browser, page):
    with Opened(browser, page.as_uri()) as window:
        window.page.evaluate(
            "addEventListener('afterprint', () => { folded = document.querySelectorAll('.fold:not([open])').length })"
        )
        window.page.pdf(format="A5")  # as narrow as a telephone, but paper
        assert window.page.evaluate("folded") == 0
        closed = "document.querySelectorAll('details.part:not([open])').length"
        before = window.page.evaluate(closed)
        assert before > 2
        window.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert window.page.evaluate(closed) == 0
        window.page.emulate_media(media="print")
        assert "Only on screen" in window.page.inner_text("body")
        assert not any(part.is_visible() for part in window.page.locator(".on-screen").all())
        kept = window.page.locator(".trial > .pane .value, figure").all()
        assert len(kept) > 10
        assert all(one.is_visible() for one in kept)  # intervals of the person's angles, and pictures
        window.page.emulate_media(media="screen")
        assert "Only on screen" not in window.page.inner_text("body")
        window.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert window.page.evaluate(closed) == before


def compare(*words):
    return call("compare", *words)


@pytest.fixture
def changed(copied):
    """The same results with a right knee that is bent 25° further in every frame."""
    file = copied.results / "S01/vertebrae/bow.h5"
    stored = read_store(file)
    clinical = dict(stored["clinical"])
    values = np.array(clinical["values"])
    values[:, list(clinical["names"]).index("knee_flexion_r")] += np.radians(25.0)
    file.unlink()
    write_store(file, **(stored | {"clinical": clinical | {"values": values}}))
    manifest = RunPaths(copied.results, "S01").manifest("vertebrae", "bow")
    entry = json.loads(manifest.read_text())
    entry["outputs"][file.name] = file_checksum(file)  # as if the run had made it so
    manifest.write_text(json.dumps(entry))
    for later in ("quality", "export"):  # they read the file of before
        RunPaths(copied.results, "S01").manifest(later, "bow").unlink()
    return copied.results


def test_a_known_change_is_found_and_nothing_else(finished, changed, tmp_path, trial):
    succeeded(compare(finished.results, changed, "--out", tmp_path / "c.html"))
    text = (tmp_path / "c.html").read_text()
    tables = Tables(text)
    deviation = np.median(np.degrees(trial.spine.clinical.sd("knee_flexion_r"))[~trial.rejected])
    row = tables.row("Knee flexion, right")
    assert row[3] == "+" + as_text(25.0, np.sqrt(2) * deviation, "")
    differences = {row[0]: row[3:] for row in tables.rows if len(row) == 5}
    beyond = {
        label for label, pair in differences.items() if any("±" in cell and not cell.startswith("(") for cell in pair)
    }
    assert beyond == {"Knee flexion, right"}
    assert differences["Knee flexion, right"][1].startswith("(")  # the range did not change
    assert len(players(text)) == 2
    for header, arrays in players(text):
        poses = np.stack([trial.poses[name][:, :3, 3] for name in header["bodies"]], 1)
        np.testing.assert_allclose(arrays["place"], poses, atol=1e-4)


def test_what_cannot_be_compared_is_one_error(finished, copied, tmp_path):
    results, other = finished.results, copied.results
    for words, message in (
        ((results, results), "are the same trial"),
        ((results, tmp_path / "none"), "does not exist"),
        ((results, results / "synthetic.h5"), "expected a results folder, or a trial's .h5"),
        ((results, other, "--out", tmp_path / "page.pdf"), "the ending for a comparison is .html"),
        ((results, other, "--trial", "bw"), "Did you mean 'bow'"),
        ((results, finished.file), "expected a results folder, or a trial's .h5"),
    ):
        done = compare(*words)
        assert done.exit_code == 2, words
        assert message in done.stderr, done.stderr
        assert done.stderr.count("error:") == 1
        assert not list(tmp_path.glob("*.html"))
