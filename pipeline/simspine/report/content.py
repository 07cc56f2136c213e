"""What the report page says, as plain data: no files, no arrays. `page.write_report` turns it into HTML."""

import base64
import math
from dataclasses import dataclass, field

from simspine.errors import InputError, unknown_name
from simspine.report.causes import cause_of
from simspine.report.player.pack import Packed

LIGHTS = ("good", "check", "bad")
_LIGHT_OF = {"info": "info", "warning": "check", "error": "bad"}
FINDING_LIGHTS = tuple(_LIGHT_OF.values())


def number(value: float | None, digits: int = 1, unit: str = "") -> str:
    """'12.3 px'; an en dash where the value is missing, so that nobody reads nan as a result."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{round(value, digits) + 0.0:.{digits}f}{' ' + unit if unit else ''}"  # + 0.0: no "-0"


@dataclass(frozen=True)
class Row:
    """One line of a summary. light: '' or one of `LIGHTS`. note: what the figure means or was compared with."""

    label: str
    value: str
    note: str = ""
    light: str = ""

    def __post_init__(self):
        if self.light and self.light not in LIGHTS:
            raise unknown_name("light", self.light, LIGHTS)


@dataclass(frozen=True)
class PageTable:
    """A plain table; every row has a cell for each column. folded: heading under which it is hidden until opened.

    links: for each row where its first cell leads, none if empty. curves: for each row values over time, drawn small
    at its end (NaN = a gap), none if empty.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    folded: str = ""
    links: tuple[str, ...] = ()
    curves: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self):
        if self.curves and len(self.curves) != len(self.rows):
            raise InputError(f"a table of {len(self.rows)} rows has {len(self.curves)} curves, expected one for each.")
        if self.links and len(self.links) != len(self.rows):
            raise InputError(f"a table of {len(self.rows)} rows has {len(self.links)} links, expected one for each.")
        for row in self.rows:
            if len(row) != len(self.columns):
                raise InputError(f"a table row has {len(row)} cells, expected {len(self.columns)}: {self.columns}.")

    @property
    def paths(self) -> tuple[str, ...]:
        """`curves` as SVG paths in a box of 100 × 24, all on one scale, so that rows can be compared."""
        known = [value for curve in self.curves for value in curve if math.isfinite(value)]
        low, high = (min(known), max(known)) if known else (0.0, 0.0)
        return tuple(_path(curve, low, max(high - low, 1e-9)) for curve in self.curves)


def _path(curve: tuple[float, ...], low: float, span: float) -> str:
    parts, pen = [], "M"
    for k, value in enumerate(curve):
        if not math.isfinite(value):
            pen = "M"
            continue
        parts.append(f"{pen}{100 * k / max(1, len(curve) - 1):.1f} {23 - 22 * (value - low) / span:.1f}")
        pen = "L"
    return "".join(parts)


@dataclass(frozen=True)
class PageFinding:
    """A traffic light: what was found and what to do about it. frames: '3–7, 12' or ''. where: marker, level, bone.

    trial: its name, on a page about several.
    """

    code: str
    severity: str
    message: str
    suggestion: str = ""
    frames: str = ""
    where: str = ""
    trial: str = ""

    def __post_init__(self):
        if self.severity not in _LIGHT_OF:
            raise unknown_name("severity", self.severity, _LIGHT_OF)

    @property
    def cause(self) -> str:
        """What it is about, in words that findings of one code share."""
        return cause_of(self.code)

    @property
    def light(self) -> str:
        """One of `FINDING_LIGHTS`: no finding says that something is in order."""
        return _LIGHT_OF[self.severity]


@dataclass(frozen=True)
class Picture:
    """A figure: `svg` markup out of `embed.svg`, or `data`, the bytes of a WebP image out of `embed.webp`.

    alt: what it shows, for those who cannot see it. caption: how to read it.
    """

    title: str
    alt: str
    caption: str = ""
    svg: str = ""
    data: bytes = b""

    def __post_init__(self):
        if bool(self.svg) == bool(self.data):
            raise InputError(f"picture {self.title!r} needs either svg or data, not both or none.")
        if self.svg and not self.svg.startswith("<svg"):
            raise InputError(f"picture {self.title!r}: svg must start with <svg; make it with report.embed.svg.")

    @property
    def address(self) -> str:
        """The image as a data URI."""
        return f"data:image/webp;base64,{base64.b64encode(self.data).decode('ascii')}"


@dataclass(frozen=True)
class Statement:
    """A name and why it is no measurement: inferred by a rule, or forced by the model."""

    name: str
    reason: str


@dataclass(frozen=True)
class TrialSection:
    """One trial's part of the page. rejected: (frames, reason) pairs as text. player: its 3D view, packed.

    glance: what comes first. figures: of the angles; checks: of cameras and markers.
    """

    name: str
    findings: tuple[PageFinding, ...] = ()
    overlays: tuple[Picture, ...] = ()
    figures: tuple[Picture, ...] = ()
    tables: tuple[PageTable, ...] = ()
    rejected: tuple[tuple[str, str], ...] = ()
    player: Packed | None = None
    glance: tuple[Statement, ...] = ()
    checks: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Provenance:
    """Where the numbers come from. versions: name → version. inputs: path → SHA-256. settings: what else matters."""

    config_hash: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportContent:
    """The whole page.

    inferred, forced, assumed: what is not a measurement; shown in a box of its own before any curve. overview: a table
    over all trials, for data sets. licences: name → terms. notice: closing words. home: (address, name) of the page
    this one belongs to. alone: a player and nothing else. validation, validation_tables: the data set beside the
    literature. comparisons: trials of one person beside each other.
    """

    title: str
    subtitle: str = ""
    summary: tuple[Row, ...] = ()
    findings: tuple[PageFinding, ...] = ()
    inferred: tuple[Statement, ...] = ()
    forced: tuple[Statement, ...] = ()
    overview: PageTable | None = None
    trials: tuple[TrialSection, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    licences: dict[str, str] = field(default_factory=dict)
    notice: str = ""
    assumed: tuple[Statement, ...] = ()
    home: tuple[str, str] | None = None
    alone: bool = False
    validation: tuple[Picture, ...] = ()
    validation_tables: tuple[PageTable, ...] = ()
    comparisons: tuple[PageTable, ...] = ()
