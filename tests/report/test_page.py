"""The page: well-formed, self-contained, safe against hostile names, written whole or not at all."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from jinja2 import UndefinedError
from player_scene import HOSTILE

from simspine.io.image_streams import encode_jpeg
from simspine.quality.assess import _MIX_UPS
from simspine.quality.findings import ADVICE, Finding
from simspine.report import page as c
from simspine.report.level_figures import range_charts
from simspine.report.page import page_words, render_page, write_report

VOID = {"meta", "img", "link", "br", "hr", "input", "col"}


class Page(HTMLParser):
    """Checks that tags close in order, and gathers what the page refers to."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.stack, self.tags, self.ids, self.references, self.text, self.alts = [], [], [], [], "", []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"event handler {name}"
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
                self.references.append((tag, value))
            if name == "alt":
                self.alts.append(value)
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        assert self.stack, f"</{tag}> closes nothing"
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text += data


def full(name="S01 walking"):
    chart = range_charts([name, "L5-S1"], np.full((6, 2, 3), 0.1), None, np.ones((2, 3)))
    picture = c.Picture("Points over time", "when each point is known", "Full is better.", chart=chart)
    photo = c.Picture(name, name, name, data=encode_jpeg(np.zeros((20, 30, 3), np.uint8)))
    findings = (
        Finding("SPINE", "info", "Fine.", "Nothing.", where=name),
        Finding("FEMUR", "error", name, name, range(3, 8)),
        Finding("REPROJECTION", "warning", "Look.", "There."),
    )
    trial = c.TrialSection(name, findings, (photo,), (picture,),
                    (c.PageTable((name, "b"), ((name, "2"),), name),), (("3–7", name),))  # fmt: skip
    return c.ReportContent(
        name, name, (c.Row("Frames", "100", "60 Hz", "good"), c.Row("TKA", c.number_text(float("nan")))), findings,
        c.PageTable(("trial",), ((name,),)), (trial,),
        {"Configuration (SHA-256)": "ab" * 32, "seed": "0", "simspine": "0.1"}, {name: name}, name,
    )  # fmt: skip


def test_page_is_well_formed_and_complete():
    page = Page(render_page(full()))
    for wanted in (
        "S01 walking", "Frames", "100", "60 Hz", "3–7", "Rejected frames", "Full is better.", "ab" * 32,
        "warning", "error", "no gross fault", "information",
    ):  # fmt: skip
        assert wanted in page.text, wanted
    assert len(page.ids) == len(set(page.ids))
    inner = {value[1:] for tag, value in page.references if tag == "a"}
    assert inner
    assert inner <= set(page.ids)
    assert all(alt for alt in page.alts)
    assert "nan" not in page.text.lower().split()


def scripts_of(text):
    """The scripts a browser would run: those it allows by the policy's checksums must be all there are."""
    found = re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL)
    run = [body for attributes, body in found if "type=" not in attributes or "three-js" in attributes]
    sums = {base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in run}
    assert sums == set(re.findall(r"'sha256-([^']+)'", text))
    return run


def test_page_asks_nobody_for_anything():
    text = render_page(full())
    page = Page(text)
    assert len(scripts_of(text)) == 2  # light or dark; the table of trials
    assert not {"link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    for tag, value in page.references:
        assert value.startswith("#" if tag in ("a", "use") else "data:image/"), (tag, value[:60])
    assert not re.search(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", re.sub(r"base64,[^\"]*", "", text))
    assert "@import" not in text
    assert "default-src 'none'" in text  # the browser enforces it as well


def test_hostile_names_stay_text():
    text = render_page(full(HOSTILE))
    page = Page(text)
    assert len(scripts_of(text)) == page.tags.count("script") == 2
    assert text.count("</style>") == 1
    assert page.text.count("alert('x')") > 15  # shown as it is, everywhere


def test_worst_findings_come_first():
    text = Page(render_page(full())).text
    section = text[text.index("Data quality", text.index("S01 walking")) :]
    assert section.index("FEMUR") < section.index("REPROJECTION") < section.index("SPINE")


def test_findings_of_many_trials_share_a_box():
    some = [
        Finding("FAR", "warning", f"Far {i}.", "Check.", where=f"m{i % 20}", trial=f"trial {i % 5}") for i in range(60)
    ]
    text = Page(render_page(c.ReportContent("Many", findings=tuple(some)))).text
    assert "60 findings" in text
    assert "in 5 trials: m0, m1" in text
    assert "and 8 more" in text
    assert "trial 3: Far 13." in re.sub(r"\s+", " ", text)


def test_trials_on_pages_of_their_own_are_linked():
    table = c.PageTable(("Trial", "n"), (("S01 · a", "1"), ("S01 · b", "2")), links=("report/a%20b.html", ""))
    text = render_page(c.ReportContent("Many", overview=table))
    assert '<a href="report/a%20b.html">S01 · a</a>' in text
    assert '<th scope="row">S01 · b</th>' in text
    page = Page(render_page(c.ReportContent("a", home=("../report.html", "all <trials>"), alone=True)))
    assert ("a", "../report.html") in page.references
    assert "all <trials>" in page.text
    assert "Provenance" not in page.text


def test_images_are_inside():
    address = next(value for tag, value in Page(render_page(full())).references if tag == "img")
    assert base64.b64decode(address.split(",")[1]) == encode_jpeg(np.zeros((20, 30, 3), np.uint8))


def test_empty_content_still_makes_a_page():
    page = Page(render_page(c.ReportContent("Nothing yet")))
    assert "No finding was reported." in page.text


def test_ten_trials_with_pictures_stay_small(tmp_path):
    rng = np.random.default_rng(0)
    photo = encode_jpeg(np.kron(rng.integers(0, 255, (60, 80, 3), np.uint8), np.ones((20, 20, 1), np.uint8)))
    chart = range_charts([f"m{i}" for i in range(37)], rng.normal(0, 0.1, (200, 37, 3)), None, np.ones((37, 3)))
    trials = tuple(
        c.TrialSection(
            f"t{i}", overlays=(c.Picture("o", "o", data=photo),), figures=(c.Picture("f", "f", chart=chart),)
        )
        for i in range(10)
    )
    write_report(tmp_path / "out" / "report.html", c.ReportContent("Ten", trials=trials))
    assert 1e5 < (tmp_path / "out" / "report.html").stat().st_size < 15e6
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["report.html"]  # nothing half-written stays


def test_a_failed_write_leaves_the_old_page(tmp_path):
    target = tmp_path / "report.html"
    write_report(target, c.ReportContent("old"))
    with pytest.raises(UndefinedError):
        write_report(target, c.ReportContent("new", summary=("no row",)))
    assert "old" in target.read_text(encoding="utf-8")
    assert len(list(tmp_path.iterdir())) == 1
    write_report(target, c.ReportContent("new"))
    assert target.read_text(encoding="utf-8") == render_page(c.ReportContent("new"))


def test_numbers_as_text():
    assert c.number_text(1.25, 1, "px") == "1.2 px"
    assert c.number_text(None) == c.number_text(float("inf")) == "–"


def test_the_cause_of_each_finding_has_words():
    codes = {*ADVICE, *(f"camera_{kind}" for kind in _MIX_UPS)}
    assert codes <= page_words("causes").keys()
