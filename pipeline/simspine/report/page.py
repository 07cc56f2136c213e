"""One self-contained HTML page: no requests to anywhere, light and dark, phone and paper, 3D players."""

import os
from collections.abc import Sequence
from functools import cache

from simspine.formats.atomic import write_text
from simspine.report.content import FINDING_LIGHTS, PageFinding, ReportContent
from simspine.report.player.assets import policy, scripts
from simspine.report.style import NAMED

TEMPLATE = "page.html.j2"
FEW = 2  # findings of one kind that are shown one by one; more share a box
_WORDS = {"good": "in order", "info": "information", "check": "look at this", "bad": "problem"}


def render(content: ReportContent) -> str:
    """The page as text. The same content gives the same text."""
    findings = [*content.findings, *(finding for trial in content.trials for finding in trial.findings)]
    carried = scripts(any(trial.player for trial in content.trials))
    return _template().render(
        content=content,
        scripts=carried | {"player": carried.get("player", "")},
        policy=policy(carried),
        named=NAMED,
        lights=FINDING_LIGHTS,
        words=_WORDS,
        counts={light: sum(f.light == light for f in findings) for light in FINDING_LIGHTS},
        grouped=_grouped,
    )


def write_report(path: str | os.PathLike, content: ReportContent) -> None:
    """Write the page to `path` atomically: a killed run leaves the old page or the new one."""
    write_text(path, render(content))


def _grouped(findings: Sequence[PageFinding]) -> list[list[PageFinding]]:
    """Findings with the same code and light together, the worst first; a few of a kind stay single."""
    kinds: dict[tuple[str, str], list[PageFinding]] = {}
    for finding in findings:
        kinds.setdefault((finding.light, finding.code), []).append(finding)
    groups = [part for kind in kinds.values() for part in ([kind] if len(kind) > FEW else [[f] for f in kind])]
    return sorted(groups, key=lambda group: -FINDING_LIGHTS.index(group[0].light))


@cache
def _template():
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("simspine.report", ".")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(TEMPLATE)
