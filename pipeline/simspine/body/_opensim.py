"""OpenSim, quietly: the one place that imports it, and models held in memory as text."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from simspine.errors import InputError


def api():
    """The `opensim` module, without its log file in the working directory and without its chatter.

    What goes wrong reaches us as an exception all the same.
    """
    import opensim

    opensim.Logger.removeFileSink()
    opensim.Logger.setLevelString("off")
    return opensim


def load(osim: str):
    """A fresh `opensim.Model` from the XML text of an `.osim` file, its system not yet made (`initSystem`)."""
    with _passed_on() as path:
        path.write_text(osim, encoding="utf-8")
        return api().Model(str(path))


def text(model) -> str:
    """The XML text of an `opensim.Model`, in the file version of the installed OpenSim."""
    with _passed_on() as path:
        try:
            model.printToXML(str(path))
        except RuntimeError as error:
            if "Failed to write" not in str(error):
                raise
            folder = tempfile.gettempdir()
            raise InputError(
                f"{folder}: OpenSim could not write a model there for a moment. Is the disk full, or are files limited "
                "in size? The variable TMPDIR may name another folder."
            ) from None
        return path.read_text(encoding="utf-8")


@contextmanager
def _passed_on() -> Iterator[Path]:
    """A temporary file by which a model goes to OpenSim, or comes from there. What the system refuses is said with a
    name that tells the user which disk it is about."""
    with tempfile.TemporaryDirectory(prefix="simspine-") as folder:
        try:
            yield Path(folder) / "model.osim"
        except OSError as error:
            error.filename = f"the temporary file of a model for OpenSim in {tempfile.gettempdir()}"
            raise


def set_coordinates(coordinates: Sequence, row: Sequence[float], state) -> None:
    """Set `opensim.Coordinate`s to values (rad, m) without enforcing constraints; locked ones too."""
    for coordinate, value in zip(coordinates, row, strict=True):
        if coordinate.getLocked(state):
            if value == coordinate.getDefaultValue():
                continue
            raise InputError(
                f"the coordinate {coordinate.getName()!r} is locked at {coordinate.getDefaultValue():g} in the model, "
                f"but the motion has {value:g}. Unlock it in the model or leave it out of the motion."
            )
        coordinate.setValue(state, value, False)
