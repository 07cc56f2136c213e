"""Open a copy of Human3.6M, whichever layout it has."""

from pathlib import Path

from simspine.errors import InputError, unknown_name
from simspine.sources.human36m.archives import Archives
from simspine.sources.human36m.copy import Copy
from simspine.sources.human36m.fetch import Fetched
from simspine.sources.human36m.rigs import find_rigs, open_rigs
from simspine.sources.human36m.videopose3d import VideoPose3D

LAYOUTS = (Archives, Fetched, VideoPose3D)  # looked for in this order


def open_copy(
    root: str | Path, layout: str = "auto", cameras: str | Path | None = None, lens: str | None = None
) -> Copy:
    """A copy of Human3.6M, whichever layout it has.

    root: folder of the copy (or the .npz itself). layout: 'archives' (official, unpacked), 'fetch' (annot.h5 per
    trial), 'videopose3d', or 'auto' to look, in this order. cameras: file or folder of camera parameters (default:
    looked for in the copy); lens: see `rigs.open_rigs`. Raises `InputError` that lists what was looked for.
    """
    root = Path(root)
    if not root.exists():
        raise InputError(f"Human3.6M copy {root} does not exist.")
    kinds = {kind.layout: kind for kind in LAYOUTS}
    if layout != "auto" and layout not in kinds:
        raise unknown_name("layout", layout, ("auto", *kinds))
    for kind in kinds.values() if layout == "auto" else (kinds[layout],):
        place = kind.find(root)
        if place is None:
            continue
        copy = kind(place, None)
        if cameras is not None:
            copy.rigs = open_rigs(cameras, lens)
        else:
            folders = [place, root] if place.is_dir() else [place.parent, root]
            folders += [place.parent] * (place.name in ("extracted", "processed"))
            copy.rigs = find_rigs([folder for folder in folders if folder.is_dir()], copy.subjects, lens)
        return copy
    looked = "; ".join(f"{name}: {kind.LOOKED_FOR}" for name, kind in kinds.items() if layout in ("auto", name))
    raise InputError(f"no Human3.6M data in {root}. Looked for {looked}.{_hint(root)}")


def _hint(root: Path) -> str:
    """What may be wrong with a folder that has none of the layouts."""
    if not root.is_dir():
        return " It is a file; name the folder."
    packed = sorted(path for pattern in ("*.tgz", "*/*.tgz") for path in root.glob(pattern))
    if packed:
        return f" Archives are still packed ({packed[0].name}, …): unpack them, a folder for each subject."
    if any((root / name).is_dir() for name in ("MyPoseFeatures", "Videos")):
        return " This is the folder of one subject; name the one above it."
    inside = next((p for p in sorted(root.iterdir()) if p.is_dir() and any(p.glob("S[0-9]*/*"))), None)
    return f" There are subjects in {inside}." if inside else ""
