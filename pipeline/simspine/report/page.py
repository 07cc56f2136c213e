"""One self-contained HTML page: no requests to anywhere, light and dark, phone and paper, 3D players."""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from simspine.formats.atomic import write_text
from simspine.report.content import FINDING_LIGHTS, PageFinding, ReportContent
from simspine.report.player.assets import policy, scripts
from simspine.report.style import NAMED

TEMPLATE = "page.html.j2"
_WORDS = {"good": "in order", "info": "information", "check": "look at this", "bad": "problem"}


def render(content: ReportContent) -> str:
    """The page as text. The same content gives the same text."""
    several = len(content.trials) > 1
    own = [replace(f, trial=trial.name if several else "") for trial in content.trials for f in trial.findings]
    findings = [*content.findings, *own]
    carried = scripts(any(trial.player for trial in content.trials), content.overview is not None)
    return _template().render(
        content=content,
        scripts={"player": "", "table": ""} | carried,
        noticed=findings,
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
    """Findings with the same code and light together, a line for each cause, the worst first."""
    kinds: dict[tuple[str, str], list[PageFinding]] = {}
    for finding in findings:
        kinds.setdefault((finding.light, finding.code), []).append(finding)
    return sorted(kinds.values(), key=lambda group: -FINDING_LIGHTS.index(group[0].light))


@cache
def _template():
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("simspine.report", ".")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    return environment.get_template(TEMPLATE)
