"""The marker atlas as a page: docs/marker-atlas.md and its figure.

Made anew by: python -m tools.marker_atlas.page [FOLDER]
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tools.marker_atlas.figure import draw
from tools.marker_atlas.survey import Atlas, survey

from simspine.anatomy.marker_sets import Place
from simspine.core.skeletons import load_skeleton
from simspine.io.atomic import write_text

FIGURE = "images/marker-atlas.png"


def page(atlas: Atlas) -> str:
    """The text of docs/marker-atlas.md."""
    lumbar, thoracic = ("Spine_01", "Spine_02", "Spine_03"), ("Spine_04", "Spine_05")
    hips = (_released(atlas, "LHip") + _released(atlas, "RHip")) / 2
    template = Path(__file__).with_name("page.md").read_text(encoding="utf-8")
    return template.format(
        figure=FIGURE,
        tips=_range(
            np.linalg.norm(_released(atlas, n) - atlas.process(atlas.spine[n]["level"])) for n in lumbar + thoracic
        ),
        origins=_range(-atlas.release[n].offset[0] for n in lumbar),
        centroids=_range((atlas.centroid(atlas.spine[n]["level"]) - _released(atlas, n))[0] for n in lumbar),
        hip=_range([np.linalg.norm(_released(atlas, "Hip") - hips)]),
        spine_table=_spine_table(atlas),
        other_table=_other_table(atlas),
        spacing=_spacing_range(atlas),
    )


def _range(lengths: Iterable[float]) -> str:
    """Smallest and largest, mm."""
    found = [f"{1e3 * length:.0f}" for length in sorted(lengths)]
    return "–".join(dict.fromkeys((found[0], found[-1])))


def _released(atlas: Atlas, name: str) -> np.ndarray:
    return atlas.at(atlas.release[name])


def _spine_table(atlas: Atlas) -> str:
    rows = []
    for name, entry in atlas.spine.items():
        level, place = entry["level"], atlas.release[name]
        carrier, _ = atlas.plan.relocate(place.body, place.offset, name)
        places = (atlas.at(place), atlas.process(level), atlas.inferred(name))
        relative = (_mm(where - atlas.centroid(level)) for where in places)
        rows.append((f"`{name}`", level, _arrow(place.body, carrier), _mm(place.offset), *relative, entry["meaning"]))
    return _table("keypoint; named; carrier; offset; released; spinous tip; inferred; the released place is", rows)


def _other_table(atlas: Atlas) -> str:
    rows = []
    for name in load_skeleton("simspine37").names:
        base = name[1:] if name[0] in "LR" and name[1:] in atlas.others else name
        if name in atlas.spine or (base != name and name[0] == "L"):
            continue
        entry, place = atlas.others[base], atlas.release.get(name, atlas.blazepose.get(name))
        carrier, _ = atlas.plan.relocate(place.body, place.offset, name)
        joint = "–"
        if "joint" in entry:
            turn = atlas.poses[place.body][:3, :3]
            joint = _mm((atlas.at(place) - atlas.joint(f"{entry['joint']}_r")) @ turn)
        label = f"`{name}`" if base == name else f"`{name}`, `L{base}`"
        apart = (_apart(atlas, name, places) for places in (atlas.blazepose, atlas.halpe))
        rows.append((label, _arrow(place.body, carrier), _mm(place.offset), joint, *apart, entry["meaning"]))
    return _table("keypoint; carrier (right); offset; from the joint; BlazePose; HALPE; the place is", rows)


def _apart(atlas: Atlas, name: str, places: Mapping[str, Place]) -> str:
    """How far a set's place is from the released one, mm; – where one of the two is missing."""
    if name not in places or name not in atlas.release:
        return "–"
    return f"{1e3 * np.linalg.norm(atlas.at(places[name]) - _released(atlas, name)):.0f}"


def _spacing_range(atlas: Atlas) -> str:
    """Smallest and largest difference between the model's spacing and that of CT scans, standard deviations."""
    own = {pair: np.linalg.norm(np.subtract(*map(atlas.centroid, pair.split("-")))) for pair in atlas.plan.spacing}
    apart = sorted(((own[pair] - mean) / sd, pair) for pair, (mean, sd) in atlas.plan.spacing.items())
    ends = (f"{round(value, 1) + 0:+.1f}".replace("-", "−") + f" ({pair})" for value, pair in (apart[0], apart[-1]))
    return " to ".join(ends)


def _arrow(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _mm(vector: Sequence[float]) -> str:
    """Three components in mm, without minus zero."""
    return " ".join(f"{round(1e3 * v) + 0:d}".replace("-", "−") for v in np.asarray(vector, float).tolist())


def _table(header: str, rows: Iterable[Sequence[str]]) -> str:
    heads = header.split("; ")
    lines = ["| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows)]
    return "\n".join(lines)


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    found = survey()
    write_text(folder / "marker-atlas.md", page(found))
    (folder / FIGURE).parent.mkdir(parents=True, exist_ok=True)
    draw(found, folder / FIGURE)
