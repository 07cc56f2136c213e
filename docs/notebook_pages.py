"""Notebooks as pages of the site: their text, code and the outputs stored in them. Nothing is run here."""

import json
from itertools import groupby

from myst_parser.parsers.sphinx_ import MystParser

LONGEST = 40  # lines of printed output on a page


def as_markdown(text: str) -> str:
    """A notebook's JSON text as MyST Markdown; pictures become data URIs."""
    notebook = json.loads(text)
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        else:
            parts.append(_fenced(source, "python"))
            seen = [output for output in cell["outputs"] if output["output_type"] == "stream" or _shown(output)]
            for printed, outputs in groupby(seen, lambda output: output["output_type"] == "stream"):
                if printed:
                    parts.append(_fenced("".join("".join(output["text"]) for output in outputs), "text"))
                else:
                    parts += map(_shown, outputs)
    return "\n\n".join(part for part in parts if part)


def _shown(output: dict) -> str:
    """What a cell gave beside printed text: a picture, a table in Markdown, or the text of a value."""
    data = output.get("data", {})
    if "image/png" in data:
        picture = "".join(data["image/png"]).replace("\n", "")
        return f"![Figure that the code above draws](data:image/png;base64,{picture})"
    if "text/markdown" in data:
        return "".join(data["text/markdown"])
    return _fenced("".join(data.get("text/plain", "")), "text")


def _fenced(text: str, language: str) -> str:
    lines = text.rstrip("\n").splitlines()
    if language == "text" and len(lines) > LONGEST:
        lines = [*lines[:LONGEST], f"… {len(lines) - LONGEST} lines more"]
    return "\n".join([f"```{language}", *lines, "```"]) if any(lines) else ""


class NotebookParser(MystParser):
    """MyST's parser for sources that end in `.ipynb`."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document) -> None:
        super().parse(as_markdown(inputstring), document)


def setup(app) -> dict:
    app.add_source_suffix(".ipynb", "notebook")
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": True}
