"""A person whose spine is known, as sessions of other programs hold them, and `simspine add-spine` tried on these."""

import numpy as np
from command_line import call, failed

from simspine.anatomy.body import forward_kinematics
from simspine.anatomy.marker_sets import read_marker_set
from simspine.anatomy.recipes import VIRTUAL_SUFFIX, build_body
from simspine.core.geometry import markers_in_frame
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Markers, Motion
from simspine.io.c3d import read_markers
from simspine.io.trc import write_trc

FRAMES, RATE = 12, 50.0
LEVELS = ("T8", "T12", "L3", "S1")
FAR = 0.06  # m, of an unseen vertebra from the truth; wrong axes, units or sides are far beyond


def person(layout: str, recipe: str = "articulated") -> tuple[Markers, Markers]:
    """Points of a layout on a person who stands and sways, z up, by their native names; and centres of vertebrae."""
    body = build_body(recipe, layout, skin_of(layout), 0.007)
    c = body.coordinates
    values = np.tile(c.default, (FRAMES, 1))
    values[:, c.names.index("pelvis_ty")] = 0.95
    values[:, c.names.index("pelvis_tilt")] += 0.05 * np.sin(np.arange(FRAMES) / 4)
    whole = forward_kinematics(body, Motion(c.names, RATE, values, c.rotational))
    whole = markers_in_frame(whole, "z_up")
    centres = whole.select([level + VIRTUAL_SUFFIX for level in LEVELS]).with_(names=LEVELS)
    return whole, centres


def skin_of(layout: str) -> list[str]:
    return [name for name in set(read_marker_set(layout).names.values()) if name.endswith("_skin")]


def native(layout: str) -> tuple[tuple[str, ...], np.ndarray, Markers]:
    """Names and places of all points of a detector's layout, and the centres, of that `person`.

    Points without a counterpart are where the nose is.
    """
    skeleton, (whole, centres) = load_skeleton(layout), person(layout)
    places = [whole.xyz[:, whole.index(skeleton.to_simspine.get(name, "Nose"))] for name in skeleton.names]
    return skeleton.names, np.stack(places, 1), centres


def write_wide(path, names, xyz, first: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [([first] if first else []) + [f"{name}_{axis}" for name in names for axis in "xyz"]]
    rows += [([str(k)] if first else []) + [f"{value:.9g}" for value in row.ravel()] for k, row in enumerate(xyz)]
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")


def read_wide(path) -> dict[str, np.ndarray]:
    head, *rows = [line.split(",") for line in path.read_text().splitlines()]
    cells = np.array(rows, float)
    return {level: np.stack([cells[:, head.index(f"{level}_{axis}")] for axis in "xyz"], 1) for level in LEVELS}


def write_opencap(folder, change=lambda labels, xyz: xyz) -> Markers:
    """MarkerData/walk.trc of a person whose vertebrae are returned. change: of the points (frames, markers, 3)."""
    whole, centres = person("opencap")
    known = read_marker_set("opencap")
    labels = [label for label, place in known.names.items() if label.endswith("_study") and place in whole.names]
    xyz = change(labels, np.array(whole.select([known.names[label] for label in labels]).xyz))
    (folder / "MarkerData").mkdir()
    write_trc(folder / "MarkerData/walk.trc", Markers(tuple(labels), RATE, xyz, "z_up"))
    return centres


def add(folder, *more, code=0):
    """The command's output; no file of the session is changed, and a second call writes nothing. code: its exit code"""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = call("add-spine", folder, *more)
    assert done.exit_code == code, done.output
    assert all(path.read_bytes() == content for path, content in before.items())
    assert "exists already; nothing of a session is written over" in failed(call("add-spine", folder, *more))
    return done.output


def check_near(found: dict[str, np.ndarray], centres: Markers, unit: float = 1.0) -> None:
    for level, places in found.items():
        far = np.linalg.norm(places * unit - centres.xyz[:, centres.index(level)], axis=1)
        assert far.max() < FAR, (level, far.max())


def check_markers(path, centres: Markers) -> None:
    written = markers_in_frame(read_markers(path), "z_up")
    check_near({level: written.xyz[:, written.index(level)] for level in LEVELS}, centres)


def long_rows(xyz, frames, first: int = 0) -> list[str]:
    """Rows of Caliscope's table of single points: sync_index, object, point, x, y, z, time."""
    return [
        f"{first + k},0,{i},{x:.9g},{y:.9g},{z:.9g},{100 + k / RATE:.6f}"
        for k in frames
        for i, (x, y, z) in enumerate(xyz[k])
    ]
