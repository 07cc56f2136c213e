"""Validation tables and figures of a data set, written as files."""

from pathlib import Path

from simspine.dataset.recordings import open_dataset
from simspine.errors import InputError
from simspine.formats.atomic import atomic_path, write_text
from simspine.report.embed import png
from simspine.report.figures.validation import figures
from simspine.report.style import styled
from simspine.validation import as_csv, as_markdown, records, tables

DPI = 160


def write_validation(dataset: Path, out: Path) -> list[Path]:
    """Write <table>.csv, validation.md with all tables and figures, and each figure as PNG and SVG into `out`.

    dataset: a data set's HDF5 file, ours or a released one, or a folder with exactly one. Returns the files written.
    """
    with open_dataset(dataset) as file:
        some = records(file)
    if not some:
        raise InputError(f"{dataset}: holds no trial, so there is nothing to validate.")
    made, text = [], [f"# Validation of {dataset.stem}", ""]
    for name, rows in tables(some).items():
        made.append(out / f"{name}.csv")
        write_text(made[-1], as_csv(rows))
        text.append(as_markdown(name, rows))
    for name, figure in figures(some).items():
        made += [out / f"{name}.png", out / f"{name}.svg"]
        with atomic_path(made[-2]) as temporary:
            temporary.write_bytes(png(figure, DPI))
        with atomic_path(made[-1]) as temporary, styled():
            figure.savefig(temporary, format="svg", facecolor="white", metadata={"Date": None})
        text += [f"![{name.replace('_', ' ')}]({name}.png)", ""]
    made.append(out / "validation.md")
    write_text(made[-1], "\n".join(text))
    return made
