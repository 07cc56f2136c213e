"""What a chart of `level_figures` draws and says."""

import re

_BOX = re.compile(r'<rect class="([\w-]+)" x="([\d.-]+)%" width="([\d.-]+)%"')


def boxes(markup: str) -> list[tuple[str, float, float]]:
    """(look, left end, width) of each box, in % of the chart's width."""
    return [(look, float(left), float(width)) for look, left, width in _BOX.findall(markup)]


def said(markup: str) -> list[str]:
    """The texts of a chart."""
    return [text.strip() for text in re.findall(r">([^<>]+)<", markup) if text.strip()]
