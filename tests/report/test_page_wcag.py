"""The pages for eyes and hands that are not perfect: contrast, and all of them with the tab key."""

import shutil
from dataclasses import replace

import pytest
from opened_page import Opened
from page_audit import low_contrast, tab_walk
from small_project import Project

from simspine.report import page as content
from simspine.report.page import write_report
from simspine.report.scene import pack_scene
from simspine.workflow.reporting import write_report_of


@pytest.fixture(scope="module")
def reports(finished, scene, tmp_path_factory):
    """A whole report, and a page with a player of many curves and a name without blanks, as `view` makes them."""
    folder = tmp_path_factory.mktemp("wcag")
    shutil.copytree(finished.folder, folder / "project")  # the finished one is never changed
    copy = Project(folder / "project")
    copy.file.write_text(finished.file.read_text().replace(str(finished.folder), str(copy.folder)))
    report = write_report_of(copy.config)
    many = tuple(replace(scene.curves[0], name=f"angle_{i}", label=f"angle {i}") for i in range(30))
    alone = content.TrialSection("walk", player=pack_scene(replace(scene, curves=many)))
    long = "/a/folder/with/many/folders/in/it/and/no/blank/at/all/walking_at_a_speed_of_1.3_m_s.trc"
    write_report(folder / "alone.html", content.ReportContent("walk", subtitle=long, trials=(alone,), alone=True))
    return {"report": report, "alone": folder / "alone.html"}


@pytest.mark.parametrize(
    ("width", "name"),
    [
        (390, "report"),
        (1440, "alone"),
        pytest.param(1440, "report", marks=pytest.mark.long),
        pytest.param(390, "alone", marks=pytest.mark.long),
    ],
)
def test_contrast_tab_key_and_width(browser, reports, name, width):
    with Opened(browser, reports[name].as_uri(), width) as window:
        page = window.page
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert low_contrast(page) == [], scheme
            assert page.evaluate("document.documentElement.scrollWidth") == width, scheme
        assert tab_walk(page).faults == []


SIZES = """() => [...document.querySelectorAll('figure svg')].flatMap((svg) => {
  const { a, b } = svg.getScreenCTM();
  return [...svg.querySelectorAll('text')].filter((text) => text.textContent.trim())
    .map((text) => Math.hypot(a, b) * parseFloat(getComputedStyle(text).fontSize));
})"""  # px on the screen


def test_text_of_figures_can_be_read_on_telephones_and_tablets(browser, reports):
    with Opened(browser, reports["report"].as_uri(), 320) as window:
        window.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        for width in (320, 390, 700, 820, 900):
            window.page.set_viewport_size({"width": width, "height": 900})
            sizes = window.page.evaluate(SIZES)
            assert len(sizes) > 100, width
            assert min(sizes) >= 9.0, width
            assert window.page.evaluate("document.documentElement.scrollWidth") == width


def test_the_audit_finds_what_is_wrong(browser):
    """Grey on grey, a button without ring, one that the tab key passes over, an order unlike the page's, a trap."""
    page = browser.new_page()
    page.set_content(
        '<body style="background:#fff"><p style="color:#999">pale</p><p style="color:#767676">just enough</p>'
        '<p style="font-size:24px;color:#949494">large</p>'
        '<div style="background:rgba(0,0,0,.6)"><p>dark on dark</p></div>'
        '<p style="opacity:.5">see-through</p><button tabindex="2">second</button><button tabindex="1">first</button>'
        '<button style="outline:none">ringless</button>'
    )
    assert sorted(line.split(": ")[1] for line in low_contrast(page)) == ["dark on dark", "pale", "see-through"]
    walk = tab_walk(page)
    assert not walk.in_order
    assert [line.split(":")[0] for line in walk.faults] == ["no ring", "order (1, 0, 2)"]
    page.locator("button").last.evaluate("e => e.addEventListener('keydown', (event) => event.preventDefault())")
    with pytest.raises(AssertionError, match="never left"):
        tab_walk(page)
    page.close()
