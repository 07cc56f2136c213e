"""A compiled body as a small file, so that the solver runs where OpenSim cannot be installed."""

from os import PathLike

from simspine.body.model import Body, Coordinates
from simspine.body.tree import Functions, Tree
from simspine.errors import InputError
from simspine.formats.store import load, save

VERSION = 1


def write_body(path: str | PathLike, body: Body) -> None:
    """Write everything that is known about the body (HDF5, atomic); the text of its model file comes along."""
    tree = body.tree._asdict()
    functions = tree.pop("functions")._asdict()
    save(
        path, compiled_body=VERSION, name=body.name, osim=body.osim, marker_offsets=body.marker_offsets,
        coordinates=vars(body.coordinates), tree=tree, functions=functions, bodies=body.bodies,
        marker_names=body.marker_names, marker_bodies=body.marker_bodies,
    )  # fmt: skip


def read_body(path: str | PathLike) -> Body:
    """A body that `write_body` wrote. OpenSim is not needed. Raises `InputError` for another file or version."""
    stored = load(path)
    version = stored.get("compiled_body")
    if version != VERSION:
        found = "no compiled body" if version is None else f"a compiled body of version {version}"
        raise InputError(f"{path} holds {found}; expected version {VERSION}. Write it anew from its .osim file.")
    try:
        return Body(
            name=stored["name"],
            osim=stored["osim"],
            bodies=tuple(stored["bodies"]),
            coordinates=Coordinates(**stored["coordinates"] | {"names": tuple(stored["coordinates"]["names"])}),
            marker_names=tuple(stored["marker_names"]),
            marker_bodies=tuple(stored["marker_bodies"]),
            marker_offsets=stored["marker_offsets"],
            tree=Tree(**stored["tree"], functions=Functions(**stored["functions"])),
        )
    except Exception as error:  # damaged files end in many ways
        raise InputError(f"{path} is damaged ({error!r}). Write it anew from its .osim file.") from None
