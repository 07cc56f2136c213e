"""The table of trials in a browser: two hundred trials are sorted and filtered, and the page stays quick."""

import pytest

from simspine.report import page as content
from simspine.report.page import write_report

TRIALS = 210


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    rows = tuple((f"S{i // 30 + 1} · trial {i}", "●", f"{(i * 37) % 101 - 20}.5° ± 3°") for i in range(TRIALS))
    table = content.PageTable(
        ("Trial", "Findings", "LLA"), rows, links=tuple(f"report/{i}.html" for i in range(TRIALS))
    )
    path = tmp_path_factory.mktemp("table") / "many.html"
    write_report(path, content.ReportContent("Many", overview=table))
    with browser.new_context() as context:
        context.set_offline(True)
        opened = context.new_page()
        opened.goto(path.as_uri())
        yield opened


FIRST_PAINT = """() => new Promise((done) => new PerformanceObserver((list) => {
  const paint = list.getEntriesByName("first-contentful-paint")[0];
  if (paint) done(paint.startTime);
}).observe({ type: "paint", buffered: true }))"""  # ms


def shown(page):
    return page.locator("table.sortable tbody tr:visible th").all_inner_texts()


def test_a_heading_sorts_by_its_first_number(page):
    page.get_by_role("button", name="LLA").click()
    values = [float(text.split("°")[0]) for text in page.locator("table.sortable td:last-child").all_inner_texts()]
    assert values == sorted(values)
    assert min(values) < 0
    page.get_by_role("button", name="LLA").click()
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("LLA")
    page.get_by_role("button", name="Trial").click()
    assert shown(page)[:3] == ["S1 · trial 0", "S1 · trial 1", "S1 · trial 2"]  # numbers in names count as numbers


def test_a_word_filters(page):
    field = page.get_by_label("Filter the trials")
    field.fill("trial s3")
    assert shown(page) == [f"S3 · trial {i}" for i in range(60, 90)]
    assert page.get_by_role("status").inner_text() == f"30 of {TRIALS} trials"
    field.fill("")
    assert len(shown(page)) == TRIALS


def test_each_trial_has_its_link(page):
    assert page.locator("table.sortable a").count() == TRIALS
    times = []  # of several loads, since other programs may keep the processor
    for _ in range(5):
        times.append(page.evaluate(FIRST_PAINT))
        page.reload()
    assert min(times) < 1500


def test_a_sign_filters_together_with_words(page):
    """Every row of this table is in order; a second press takes the filter off."""
    button = page.get_by_role("button", name=f"● in order ({TRIALS})")
    assert page.get_by_role("button", name="problems").count() == 0
    page.get_by_label("Filter the trials").fill("s2")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert len(shown(page)) == 30
    button.click()
    page.get_by_label("Filter the trials").fill("")
    assert len(shown(page)) == TRIALS
