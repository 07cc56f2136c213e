"""OpenSim, quietly: the one place that imports it, and models held in memory as text."""

import tempfile
from pathlib import Path


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
    with tempfile.TemporaryDirectory(prefix="simspine-") as folder:
        path = Path(folder) / "model.osim"
        path.write_text(osim, encoding="utf-8")
        return api().Model(str(path))


def text(model) -> str:
    """The XML text of an `opensim.Model`, in the file version of the installed OpenSim."""
    with tempfile.TemporaryDirectory(prefix="simspine-") as folder:
        path = Path(folder) / "model.osim"
        model.printToXML(str(path))
        return path.read_text(encoding="utf-8")
