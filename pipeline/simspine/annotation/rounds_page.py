"""The detector over rounds of annotation, as a table for the terminal and as a page."""

from collections.abc import Callable, Sequence
from typing import Any

from simspine.annotation.recording import CHAIN
from simspine.annotation.rounds import STEPS, Round
from simspine.skeletons.vertebrae import VERTEBRA_OF

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 170, 14, 26, 26, 24  # px of a chart and its margins
NEXT = {
    "corrected": "corrected", "exported": "corrected and exported; waits for a detector",
    "proposed": "done",
}  # fmt: skip


def as_text(rounds: Sequence[Round], now: Sequence[int] = ()) -> str:
    """A line per round. now: finished frames of the recording, for the round that is open."""
    if not rounds:
        return "no round has begun; `simspine annotations round` draws the first."
    heads = ("round", "images", "error %", "at random", "px", "moved %", "at random", "min/image", "agreement %")
    lines = [" ".join(f"{head:>11}" for head in heads) + "  state"]
    for one in rounds:
        f = one.figures
        cells = [str(one.number)] + ([""] * 8 if f is None else [
            str(f["images"]), _text(f["all"]["median_share"], 100, 2), _text(f["control"]["median_share"], 100, 2),
            _text(f["all"]["median_px"], 1, 1), _text(f["all"]["moved"], 100, 0), _text(f["control"]["moved"], 100, 0),
            _text(f["minutes"], 1, 2), _text((f["agreement"] or {}).get("median_share"), 100, 2),
        ])  # fmt: skip
        lines.append(" ".join(f"{cell:>11}" for cell in cells) + f"  {state(one, now)}")
    lines += ["", "error: median distance from proposal to where a person placed it, in % of the person's size."]
    lines.append("at random: in frames of the batch drawn at random; the others are those that seemed worst.")
    return "\n".join(lines)


def state(one: Round, now: Sequence[int] = ()) -> str:
    """What is to be done next about a round."""
    last = [step for step in STEPS if step in one.done][-1]
    if last != "drawn":
        return NEXT[last]
    return f"{sum(frame in now for frame in one.frames)} of {len(one.frames)} frames corrected"


def rounds_page(name: str, rounds: Sequence[Round], now: Sequence[int] = (), links: bool = False) -> str:
    """The page as HTML, one file that needs nothing else. name: of the recording. now: finished frames. links: whether
    the annotation page is `index.html` beside this one."""
    from simspine.report.plain_page import rendered

    closed = [one for one in rounds if one.figures is not None]
    charts = [
        _chart("Error of proposals", "median, % of the person's size", closed, [
            ("whole batch", "bad", lambda f: _times(f["all"]["median_share"])),
            ("frames drawn at random", "good", lambda f: _times(f["control"]["median_share"])),
        ]),
        _chart("Points that were moved", "%", closed, [
            ("whole batch", "bad", lambda f: _times(f["all"]["moved"])),
            ("frames drawn at random", "good", lambda f: _times(f["control"]["moved"])),
        ]),
        _chart("Work", "minutes per image", closed, [("", "plain", lambda f: f["minutes"])]),
        _chart("Agreement of annotators", "median distance, % of the size", closed, [
            ("", "plain", lambda f: _times((f["agreement"] or {}).get("median_share"))),
        ]),
    ]  # fmt: skip
    return rendered(
        "rounds.html.j2", name=name, links=links, charts=[chart for chart in charts if chart is not None],
        rounds=[(one, state(one, now), one.figures) for one in rounds], points=_points(closed),
        numbers=[one.number for one in closed], current=rounds[-1] if rounds else None,
        said=_said(rounds, closed, now), text=_text,
    )  # fmt: skip


def _said(rounds: Sequence[Round], closed: Sequence[Round], now: Sequence[int]) -> str:
    if not rounds:
        return "No round has begun."
    begun = f"Round {rounds[-1].number}: {state(rounds[-1], now)}."
    control = [(one.number, _times((one.figures or {})["control"]["median_share"])) for one in closed]
    known = [(number, error) for number, error in control if error is not None]
    if len(known) < 2:
        return begun
    (first, before), (last, after) = known[0], known[-1]
    return (
        f"{begun} On frames drawn at random the proposals were {before:.1f} % of the person's size off in round "
        f"{first} and {after:.1f} % in round {last}."
    )


def _points(closed: Sequence[Round]) -> list[dict[str, Any]]:
    """A row per point, the spine first: error in % of the size and share moved, by round."""
    found = [one.figures["points"] for one in closed if one.figures is not None]
    names = list(dict.fromkeys(name for points in found for name in points))
    names = [name for name in CHAIN if name in names] + [name for name in names if name not in CHAIN]
    most = max((points[name]["median_share"] or 0 for points in found for name in points), default=0) or 1
    rows = []
    for name in names:
        cells = []
        for points in found:
            one = points.get(name)
            share = None if one is None else one["median_share"]
            cells.append({
                "error": _text(share, 100, 2), "width": 0 if share is None else round(100 * share / most, 1),
                "moved": "–" if one is None else _text(one["moved"], 100, 0),
                "title": "" if one is None else f"{one['count']} points, median {_text(one['median_px'], 1, 1)} px",
            })  # fmt: skip
        rows.append({"name": name, "level": VERTEBRA_OF.get(name, ""), "cells": cells})
    return rows


Series = tuple[str, str, Callable[[Any], float | None]]


def _chart(title: str, unit: str, closed: Sequence[Round], series: Sequence[Series]) -> dict[str, Any] | None:
    """Lines over rounds from zero; None where there is nothing to draw."""
    lines = [(label, kind, [value(one.figures) for one in closed]) for label, kind, value in series]
    known = [v for _, _, values in lines for v in values if v is not None]
    if not known:
        return None
    most = max(known) or 1.0
    digits = 0 if most >= 20 else 1 if most >= 2 else 2
    across = (WIDTH - LEFT - RIGHT) / max(len(closed) - 1, 1)
    drawn = []
    for number, (label, kind, values) in enumerate(lines):
        at = [
            (LEFT + i * across, HEIGHT - BOTTOM - v / most * (HEIGHT - TOP - BOTTOM), v)
            for i, v in enumerate(values)
            if v is not None
        ]
        beside = 17 if number else -9  # figures of the first line stand above it, of the second below
        spots = [(round(x, 1), round(y, 1), round(y + beside, 1), f"{v:.{digits}f}") for x, y, v in at]
        drawn.append({"label": label, "kind": kind, "spots": spots, "path": " ".join(f"{x},{y}" for x, y, *_ in spots)})
    marks = [(round(LEFT + i * across, 1), one.number) for i, one in enumerate(closed)]
    return {"title": title, "unit": unit, "lines": drawn, "marks": marks, "base": HEIGHT - BOTTOM}


def _times(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _text(value: float | None, times: float, digits: int) -> str:
    return "–" if value is None else f"{times * value:.{digits}f}"
