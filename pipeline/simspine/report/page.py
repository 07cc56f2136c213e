"""Self-contained HTML pages, one file each, as plain data and as text."""

import base64
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from simspine.core.arrays import NORMAL_95
from simspine.core.errors import InputError
from simspine.core.settings import read_yaml
from simspine.io.atomic import write_text
from simspine.quality.findings import THRESHOLDS, Finding, findings_by_kind
from simspine.quality.observability import narrowing_text
from simspine.report.figure_style import NAMED_COLOURS, POINT_COLOURS
from simspine.report.scene import PackedScene, content_security_policy, page_scripts

_all_words = cache(partial(read_yaml, Path(__file__).with_name("words.yaml")))


def page_words(part: str) -> dict:
    """A part of `words.yaml`: 'causes', 'notes', 'figures' or 'licences'."""
    return _all_words()[part]


def cause_of_finding(code: str) -> str:
    """Words for the cause of a finding with this code; the code itself where words.yaml has none."""
    return page_words("causes").get(code, code.replace("_", " "))


def number_text(value: float | None, digits: int = 1, unit: str = "") -> str:
    """'12.3 px'; an en dash for a missing value."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{round(value, digits) + 0.0:.{digits}f}{' ' + unit if unit else ''}"  # + 0.0: no "-0"


UNIT_SIGNS = {"deg": "°", "mm": " mm", "1": ""}


def interval_text(value: float | None, sd: float | None, unit: str, signed: bool = False) -> str:
    """'12.5 ± 2.1°' or '12 ± 14°': a value with its interval of 95 %, from the standard deviation.

    With minus signs and non-breaking spaces. Rounded to whole numbers where the interval reaches 3, and in mm. signed:
    with a plus sign.
    """
    if value is None or not math.isfinite(value):
        return "–"
    reach, digits = None if sd is None or not math.isfinite(sd) else NORMAL_95 * sd, interval_digits(sd, unit)
    texts = [number_text(number, digits) for number in (value, reach) if number is not None]
    plus = "+" if signed and round(value, digits) > 0 else ""
    return unbreakable(f"{plus}{' ± '.join(texts)}{UNIT_SIGNS[unit]}")


WHOLE_FROM = 3.0  # beyond this interval, tenths say nothing


def interval_digits(sd: float | None, unit: str) -> int:
    """Digits after the point in `interval_text`."""
    return 0 if unit == "mm" or (sd is not None and NORMAL_95 * sd >= WHOLE_FROM) else 1


def is_beyond(value: float, sd: float, unit: str) -> bool:
    """Whether a value exceeds its interval of 95 %, both rounded as in `interval_text`."""
    digits = interval_digits(sd, unit)
    return round(abs(value), digits) > round(NORMAL_95 * sd, digits)


def unbreakable(text: str) -> str:
    """The text with minus signs and non-breaking spaces."""
    return text.replace("-", "−").replace(" ", "\u00a0")


@dataclass(frozen=True)
class Row:
    """One line of a summary. light: '', 'good', 'check' or 'bad', 'info' where it was not tested. note: meaning of the
    value, or the value to compare it with."""

    label: str
    value: str
    note: str = ""
    light: str = ""


@dataclass(frozen=True)
class Statement:
    """A name and a sentence about it."""

    name: str
    reason: str


@dataclass(frozen=True)
class PageTable:
    """A plain table; every row has a cell for each column. folded: heading under which it is hidden until opened.

    notes: below the table. links: target of the first cell of each row; empty for a table without links.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    folded: str = ""
    notes: tuple[Statement, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A figure: `svg` markup from `canvas.figure_svg`, or `data`, the bytes of an image from `encode_jpeg`.

    Instead of both, `chart`: markup of `level_figures`, which fits any width; or `curves`: the player's curves that the
    page's script draws, 'spinal' or 'limbs'.
    alt: description for readers who cannot see it. caption: how to read it. cycles: {angle: (cycles, 2,
    101) degrees and their ± of 95 %}, to save.
    """

    title: str
    alt: str
    caption: str = ""
    svg: str = ""
    data: bytes = b""
    chart: str = ""
    curves: str = ""
    cycles: Mapping[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The image as a data URI."""
        return f"data:image/jpeg;base64,{base64.b64encode(self.data).decode('ascii')}"


def named_picture(key: str, more: str = "", **content: Any) -> Picture:
    """A picture with its title, alternative text and caption from `words.yaml`. more: text after the caption."""
    title, alt, caption = page_words("figures")[key]
    return Picture(title, alt, caption + more, **content)


def named_notes(*keys: str) -> tuple[Statement, ...]:
    """Notes from `words.yaml`."""
    return tuple(Statement(*page_words("notes")[key]) for key in keys)


@dataclass(frozen=True)
class TrialSection:
    """One trial's part of the page. rejected: (frames, reason) pairs as text. player: its 3D view, packed.

    usable, moments: the results to use, and a picture of one. glance: the statements. figures: of the angles; fit:
    of cameras and markers. posture: the spine of a single frame. methods: text for a paper; references: the
    sources that it cites. recorded: who and what, in a sentence.
    """

    name: str
    findings: tuple[Finding, ...] = ()
    overlays: tuple[Picture, ...] = ()
    figures: tuple[Picture, ...] = ()
    tables: tuple[PageTable, ...] = ()
    rejected: tuple[tuple[str, str], ...] = ()
    player: PackedScene | None = None
    usable: PageTable | None = None
    moments: tuple[Picture, ...] = ()
    glance: tuple[Statement, ...] = ()
    fit: tuple[PageTable, ...] = ()
    posture: tuple[Picture, ...] = ()
    methods: str = ""
    references: tuple[Statement, ...] = ()
    recorded: str = ""


@dataclass(frozen=True)
class ReportContent:
    """The whole page.

    overview: a table over all trials, for data sets. provenance: name → origin of the results. licences: name → terms.
    notice: closing words. home: (address, name) of the parent page. alone: a page without provenance. comparisons:
    tables of trials of one person. validation_tables: the data set compared with the literature. files: those next to
    the page.
    """

    title: str
    subtitle: str = ""
    summary: tuple[Row, ...] = ()
    findings: tuple[Finding, ...] = ()
    overview: PageTable | None = None
    trials: tuple[TrialSection, ...] = ()
    provenance: dict[str, str] = field(default_factory=dict)
    licences: dict[str, str] = field(default_factory=dict)
    notice: str = ""
    home: tuple[str, str] | None = None
    alone: bool = False
    validation_tables: tuple[PageTable, ...] = ()
    comparisons: tuple[PageTable, ...] = ()
    files: tuple[Statement, ...] = ()


PAGE_TEMPLATE = "page.html.j2"
_HEAD_OF_SENTENCE = re.compile(r"(?:(?<=\. )|^)([A-Z][^.:;]{2,60}:)(?= )")  # such as 'Partly measured:'
_LIGHT_WORDS = {"good": "in order", "info": "information", "check": "warning", "bad": "error"}


def render_page(content: ReportContent) -> str:
    """The page as text. The same content gives the same text."""
    several = len(content.trials) > 1
    own = [replace(f, trial=trial.name if several else "") for trial in content.trials for f in trial.findings]
    findings = [*content.findings, *own]
    carried = page_scripts(any(trial.player for trial in content.trials), content.overview is not None)
    return _page_template().render(
        content=content,
        scripts={"player": "", "table": ""} | carried,
        noticed=findings,
        policy=content_security_policy(carried),
        generator=OWN_PAGE,
        named=NAMED_COLOURS,
        point_colours=POINT_COLOURS,
        words=_LIGHT_WORDS,
        grouped=findings_by_kind,
        cause=cause_of_finding,
        definitions=page_words("definitions"),
        limits={name: narrowing_text(THRESHOLDS[name].value_si) for name in ("measured", "assumed")},
    )


OWN_PAGE = '<meta name="generator" content="simspine">'


def require_own_page(path: Path | None) -> None:
    """`InputError` where the file is there and is no page of simspine: it would be replaced."""
    if path is not None and path.is_file() and OWN_PAGE.encode() not in path.read_bytes()[:2000]:
        raise InputError(f"{path} exists already, and is no page of this version. Name another one, or remove it.")


def write_report(path: str | os.PathLike, content: ReportContent) -> None:
    """Write the page to `path` atomically: a killed run leaves the old page or the new one."""
    write_text(path, render_page(content))


@cache
def _page_template():
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("simspine.report", ".")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    environment.tests["containing"] = lambda where, place: place in where.split(", ")
    environment.filters["bold_heads"] = lambda text: _HEAD_OF_SENTENCE.sub(r"<b>\1</b>", str(text))
    return environment.get_template(PAGE_TEMPLATE)
