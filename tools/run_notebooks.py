"""Run notebooks and store what they print and draw in them, with a checksum of the code that did.

    python -m tools.run_notebooks [NUMBER …]

The site and the pages of a repository show the outputs. The data must be there: `simspine run configs/demo.yaml` and
`simspine run configs/virtual.yaml` make them. A test compares the checksum with the code: no output outlives it.
"""

import argparse
import hashlib
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from simspine.io.atomic import write_text

FOLDER = Path(__file__).parents[1] / "notebooks"
CHECKSUM = "outputs_of"  # in the notebook's metadata


def code_checksum(notebook: nbformat.NotebookNode) -> str:
    """SHA-256 of all code, cell by cell."""
    return hashlib.sha256("\0".join(c.source for c in notebook.cells if c.cell_type == "code").encode()).hexdigest()


def run(path: Path) -> None:
    """Run one notebook from its first cell to its last, and write it back with its outputs.

    Raises `nbclient.exceptions.CellExecutionError` where a cell fails; the file then stays as it is.
    """
    notebook = nbformat.read(path, as_version=4)
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    client = NotebookClient(
        notebook, timeout=900, record_timing=False, resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [_lasting(output) for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = {
        "kernelspec": notebook.metadata["kernelspec"],
        "language_info": {"name": "python"},
        CHECKSUM: code_checksum(notebook),
    }
    write_text(path, nbformat.writes(notebook) + "\n")


def _lasting(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without counters of a session, and of a picture nothing but the picture."""
    if "execution_count" in output:
        output.execution_count = None
    if "image/png" in output.get("data", {}):
        output.data = {"image/png": output.data["image/png"].replace("\n", "")}
        output.metadata = {}
    return output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="*", help="the first characters of their names; all where none is given")
    numbers = parser.parse_args().numbers
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not numbers or path.name.partition("_")[0] in numbers:
            run(path)
            print(path.name, f"{path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
