"""The marker atlas, docs/marker-atlas.md: where each keypoint is on the body, and what that means anatomically.

Made anew by: python -m simspine.body.atlas [FOLDER]
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from simspine.body.articulation import Articulation
from simspine.body.kinematics import neutral_poses
from simspine.body.model import Body
from simspine.body.recipes import INFERRED, Place, build, models_folder, read_marker_set, read_recipe
from simspine.formats.atomic import write_text
from simspine.skeletons import load
from simspine.spine.endplates import Vertebrae, read_endplates
from simspine.spine.measure import Bone, attached_bones

FIGURE = "images/marker-atlas.png"


@dataclass(frozen=True)
class Atlas:
    """What the tables and the figure are drawn from, in the neutral pose; points (m) in ground, x forward, y up.

    body: the coupled one with BlazePose's markers. poses: {body: (4, 4)}. spine, others: entries of meanings.yaml.
    """

    body: Body
    plan: Articulation
    poses: Mapping[str, np.ndarray]
    vertebrae: Vertebrae
    bones: Mapping[str, Bone]
    geometry: Path
    release: Mapping[str, Place]
    blazepose: Mapping[str, Place]
    halpe: Mapping[str, Place]
    spine: Mapping[str, Mapping[str, str]]
    others: Mapping[str, Mapping[str, str]]

    def at(self, place: Place) -> np.ndarray:
        """(3,) m in ground."""
        return self.point(place.body, place.offset)

    def point(self, body: str, offset: Sequence[float]) -> np.ndarray:
        """(3,) m in ground of a point of a body, or (points, 3) of several."""
        pose = self.poses[body]
        return np.asarray(offset) @ pose[:3, :3].T + pose[:3, 3]

    def centroid(self, level: str) -> np.ndarray:
        return self.point(self.vertebrae[level].body, self.vertebrae[level].centroid)

    def mesh(self, level: str) -> np.ndarray:
        """(points, 3) of a vertebra's mesh."""
        return self.point(self.bones[level].body, self.bones[level].points)

    def process(self, level: str) -> np.ndarray:
        """Tip of the spinous process: the mesh's rearmost point."""
        mesh = self.mesh(level)
        return mesh[np.argmin(mesh[:, 0])]

    def inferred(self, name: str) -> np.ndarray:
        i = self.body.marker_index(name + INFERRED)
        return self.point(self.body.marker_bodies[i], self.body.marker_offsets[i])

    def joint(self, child: str) -> np.ndarray:
        """Centre of the joint that carries a body, on its parent."""
        tree = self.body.tree
        j = int(np.flatnonzero(tree.child == self.body.bodies.index(child) + 1)[0])
        return self.point(self.body.bodies[tree.parent[j] - 1], tree.to_joint[j, :, 3])


def survey() -> Atlas:
    """Build the bodies and read the tables."""
    recipe, body = read_recipe("coupled"), build("coupled", "blazepose")
    meanings = yaml.safe_load((models_folder() / "meanings.yaml").read_text(encoding="utf-8"))
    geometry = recipe.base.parent / "Geometry"
    sets = {name: read_marker_set(name).places for name in ("simspine-release", "blazepose", "halpe26")}
    return Atlas(
        body=body,
        plan=read_recipe("articulated").articulation,
        poses=neutral_poses(body),
        vertebrae=read_endplates(),
        bones={bone.level: bone for bone in attached_bones(recipe.base, geometry)},
        geometry=geometry,
        release=sets["simspine-release"],
        blazepose=sets["blazepose"],
        halpe=sets["halpe26"],
        spine=meanings["spine"],
        others=meanings["others"],
    )


def page(atlas: Atlas) -> str:
    """The text of docs/marker-atlas.md."""
    lumbar, thoracic = ("Spine_01", "Spine_02", "Spine_03"), ("Spine_04", "Spine_05")
    hips = (_released(atlas, "LHip") + _released(atlas, "RHip")) / 2
    template = Path(__file__).with_name("atlas_page.md").read_text(encoding="utf-8")
    return template.format(
        figure=FIGURE,
        tips=_range(
            np.linalg.norm(_released(atlas, n) - atlas.process(atlas.spine[n]["level"])) for n in lumbar + thoracic
        ),
        origins=_range(-atlas.release[n].offset[0] for n in lumbar),
        centroids=_range((atlas.centroid(atlas.spine[n]["level"]) - _released(atlas, n))[0] for n in lumbar),
        hip=_range([np.linalg.norm(_released(atlas, "Hip") - hips)]),
        ankle=_range([(_released(atlas, "RAnkle") - atlas.joint("talus_r"))[1]]),
        spine_table=_spine_table(atlas),
        other_table=_other_table(atlas),
        spacing_table=_spacing_table(atlas),
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
    for name in load("simspine37").names:
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


def _spacing_table(atlas: Atlas) -> str:
    rows = []
    for pair, (mean, sd) in atlas.plan.spacing.items():
        own = np.linalg.norm(np.subtract(*(atlas.centroid(level) for level in pair.split("-"))))
        rows.append((pair, f"{1e3 * own:.1f}", f"{1e3 * mean:.1f} ± {1e3 * sd:.1f}", _signed((own - mean) / sd)))
    return _table("level; model, mm; CT, mm; difference, sd", rows)


def _signed(value: float) -> str:
    return f"{round(value, 1) + 0:+.1f}".replace("-", "−")


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
    import sys

    from simspine.body.atlas_figure import draw

    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    found = survey()
    write_text(folder / "marker-atlas.md", page(found))
    (folder / FIGURE).parent.mkdir(parents=True, exist_ok=True)
    draw(found, folder / FIGURE)
