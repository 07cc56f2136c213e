"""The documentation as a site: `make docs`. Its sources are the Markdown files of the whole repository."""

import json
import re
import shutil
import sys
from pathlib import Path
from unittest.mock import patch

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import simspine

HERE = Path(__file__).parent
DEMO_REPORT = HERE.parent / "results/demo/report.html"  # `make docs` makes it
sys.path.insert(0, str(HERE))  # notebook_pages

project, author, copyright = "simspine", "the simspine developers", "2026, the simspine developers"
release = simspine.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "notebook_pages"]
root_doc = "docs/README"
include_patterns = [
    "*.md",
    "docs/**.md",
    "notebooks/*.md",
    "notebooks/*.ipynb",
    "benchmarks/*.md",
    "opensim_models/*.md",
]
# Only folders of pages are gone through: those of environments and results hold many thousand files.
exclude_patterns = ["docs/_build", ".*", "results", "pipeline", "tests", "tools", "third_party", "containers"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
default_role = "code"
python_maximum_signature_line_length = 100
autodoc_member_order = "bysource"
autodoc_use_type_comments = False  # there are none; to look for them takes a twentieth of the time
# Types in docstrings are words and shapes, so they must not become links to whatever has such a name.
napoleon_google_docstring, napoleon_use_param, napoleon_use_rtype = False, False, False
napoleon_custom_sections = [("Attributes", "params_style")]
autodoc_mock_imports = ["torch"]  # pages are built without it; `Tensor | None` stands in quotes for that reason
html_theme = "furo"
html_title = f"simspine {release}"
html_static_path, html_css_files = ["site"], ["site.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0072b2", "color-brand-content": "#005f94"},
    "dark_css_variables": {"color-brand-primary": "#56b4e9", "color-brand-content": "#7cc4ee"},
}
pygments_style, pygments_dark_style = "friendly", "github-dark"
html_math_renderer = "mathml"


def contents() -> str:
    """The sidebar: every page that docs/README.md lists in a table, under the heading above it."""
    text = (HERE / "README.md").read_text(encoding="utf-8")
    parts = []
    for heading, table in re.findall(r"^## (.+)\n\n((?:\|.*\n)+)", text, re.MULTILINE):
        first = re.findall(r"^\| \[([^\]]+)\]\(([^)#]+)\.md\)", table, re.MULTILINE)
        lines = (f"{title} </docs/{page}>".replace("/docs/../", "/") for title, page in first)
        parts.append(toctree(lines, f":caption: {heading}"))
    return "\n\n".join(parts)


def toctree(pages, *options: str) -> str:
    return "\n".join(["```{toctree}", ":hidden:", *options, "", *pages, "```"])


def all_keys() -> str:
    """A table of a configuration's keys, from its JSON schema."""
    schema = json.loads((HERE.parent / "configs/schema.json").read_text(encoding="utf-8"))
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for section, found in schema["properties"].items():
        options = schema["$defs"].get(found.get("$ref", "").rpartition("/")[2], {}).get("properties", {})
        for key, option in options.items():
            meaning = " ".join(option.get("description", "").split()).replace("|", r"\|")
            default = f"`{json.dumps(option['default'])}`" if "default" in option else "–"
            rows.append(f"| `{section}.{key}` | {default} | {meaning} |")
    return "\n".join(rows)


def add_contents(app, name: str, source: list[str]) -> None:
    if name == "docs/configuration":
        source[0] += "\n" + all_keys()
    elif name == root_doc:
        link = f'<p><a href="../{DEMO_REPORT.name}">The report on the demonstration</a>, as simspine makes it.</p>'
        source[0] += "\n\n" + (link + "\n\n") * DEMO_REPORT.is_file() + contents()
    elif name == "notebooks/README":
        source[0] += "\n\n" + toctree(sorted(path.stem for path in (HERE.parent / "notebooks").glob("*.ipynb")))


sidebar_titles: dict[str, nodes.Node] = {}


def titles_alone(app, page: str, template: str, context: dict, doctree) -> None:
    """The sidebar of each page is made of the pages' titles: to copy headings too takes a third of the time."""
    env, every = app.env, context["toctree"]
    if not sidebar_titles:
        sidebar_titles.update({name: toc.deepcopy() for name, toc in env.tocs.items()})
        for item in (item for name in env.tocs.keys() - env.toctree_includes.keys() for item in sidebar_titles[name]):
            del item[1:]

    def tree_of_titles(**options) -> str:
        with patch.object(env, "tocs", sidebar_titles):
            return every(**options)

    context["toctree"] = tree_of_titles


def inline(writer, node) -> None:
    """Equations as MathML, which browsers draw themselves: no script, nothing from a network."""
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def display(writer, node) -> None:
    writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


property_docstrings: dict[str, list[str]] = {}


def plain(app, what, name, obj, options, lines: list[str]) -> None:
    """Docstrings are plain text with code marks: |x| is no substitution, `Name`s may have an s, tables are indented."""
    for i, line in enumerate(lines):
        line = re.sub(r"(?<=[\w)]`)(?=\w)", r"\\ ", line)
        lines[i] = "`".join(part if k % 2 else part.replace("|", r"\|") for k, part in enumerate(line.split("`")))
    for i in range(len(lines) - 1, 0, -1):
        if lines[i].startswith("    ") and not lines[i - 1].strip():
            lines.insert(i, "::")
            lines.insert(i + 1, "")
    if what in ("attribute", "property"):
        property_docstrings[name] = list(lines)


def unparsed(app, what, name, obj, options, lines: list[str]) -> None:
    """Of a property the docstring without napoleon, which takes what stands before a colon for a type."""
    lines[:] = property_docstrings.pop(name, lines)


def write_index(app, error) -> None:
    if error is None:
        page = '<!doctype html><meta http-equiv="refresh" content="0; url=docs/README.html"><title>simspine</title>\n'
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")
        if DEMO_REPORT.is_file():
            shutil.copy(DEMO_REPORT, app.outdir)


def setup(app) -> None:
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-docstring", plain, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", unparsed, priority=600)
    app.connect("html-page-context", titles_alone, priority=400)  # before furo
    app.connect("build-finished", write_index)
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
