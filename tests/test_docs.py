"""Links and names in the documentation lead somewhere."""

import ast
import html
import importlib
import json
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import simspine

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "THIRD_PARTY.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "opensim_models/README.md",
    ROOT / "notebooks/README.md",
    *sorted(ROOT.glob("benchmarks/*.md")),
    *sorted(page for page in ROOT.glob("docs/**/*.md") if "_build" not in page.parts),
]
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]
pages = pytest.mark.parametrize("page", PAGES, ids=IDS)


def prose(page: Path) -> str:
    """The page without fenced code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Names that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


@pages
def test_links_and_images_resolve(page):
    for text, target in re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path) if path else page
        assert there.exists(), f"[{text}]({target})"
        if anchor:
            assert anchor in anchors(there), f"[{text}]({target}): headings are {sorted(anchors(there))}"


@pages
def test_images_have_alternative_texts(page):
    for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", prose(page)):
        assert alt.strip(), target


def exists(name: str) -> bool:
    """Whether `simspine.x.y` is a module, or something in one."""
    module, missing = name, []
    while not _is_module(module):
        module, _, last = module.rpartition(".")
        missing.insert(0, last)
    found = importlib.import_module(module) if missing else module
    for part in missing:
        found = getattr(found, part, None)
    return found is not None


@pages
def test_module_names_exist(page):
    assert [name for name in set(re.findall(r"`(simspine(?:\.\w+)+)", prose(page))) if not exists(name)] == []


def test_names_in_comments_exist():
    """Modules and documents that docstrings and comments of the package name."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("pipeline/**/*.py"))
    assert [name for name in set(re.findall(r"`(simspine(?:\.\w+)+)`", sources)) if not exists(name)] == []
    assert [name for name in set(re.findall(r"\bdocs/[\w/-]+\.md\b", sources)) if not (ROOT / name).exists()] == []


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture(scope="module")
def files() -> list[str]:
    """Python files of the repository."""
    tops = ("pipeline", "tests", "benchmarks", "tools")
    return [path.as_posix() for top in tops for path in ROOT.glob(f"{top}/**/*.py*")]


@pages
def test_source_files_named_in_code_marks_exist(page, files):
    """Python files by their name or the end of their path; folders of the architecture page's table of rooms."""
    for name in set(re.findall(r"`([\w./-]+\.pyi?)`", prose(page))):
        assert any(file.endswith(f"/{name}") for file in files), f"{name} in {page.name}"
    if page.stem == "architecture":
        rooms = re.findall(r"^\| `([a-z_]+/|[a-z_]+\.py)` \|", page.read_text(encoding="utf-8"), re.MULTILINE)
        package = ROOT / "pipeline/simspine"
        there = {path.name + "/" for path in package.iterdir() if (path / "__init__.py").exists()}
        there |= {path.name for path in package.glob("*.py")} - {"__init__.py", "__main__.py"}
        assert set(rooms) == there, "the table of rooms is the package's"


@pages
def test_folders_named_in_code_marks_exist(page):
    """Folders below a top-level folder of the repository or a room of the package."""
    package = ROOT / "pipeline/simspine"
    rooms = {path.name for path in package.iterdir() if (path / "__init__.py").exists()}
    tops = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"results"}
    for name in set(re.findall(r"`((?:[\w.-]+/)+)`", prose(page))):
        if name.partition("/")[0] in tops | rooms and name.count("/") > 1:
            assert (ROOT / name).is_dir() or (package / name).is_dir(), f"{name} in {page.name}"


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Functions and classes of the package."""
    sources = (ROOT / "pipeline/simspine").glob("**/*.py")
    return set(re.findall(r"^ *(?:def|class) (\w+)", "\n".join(map(Path.read_text, sources)), re.MULTILINE))


@pages
def test_functions_named_in_code_marks_exist(page, known):
    """Those that are called, and those that read and write the formats: functions of the package. The changelog also
    names older ones."""
    named = set(re.findall(r"`(?:simspine[\w.]+\.)?([A-Za-z_]\w*)\(|`((?:read|write)_\w+)`", prose(page)))
    assert {one or other for one, other in named} - known == set() or page.stem == "CHANGELOG"


@pages
def test_python_uses_names_that_exist(page):
    """Imports from the package in Python code, and names of the library in code and in code marks."""
    text = page.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("simspine"):
            missing = {alias.name for alias in node.names} - set(dir(importlib.import_module(node.module)))
            assert not missing, f"{node.module} has no {missing}"
    marks = " ".join(re.findall(r"`[^`\n]+`", prose(page)))
    assert set(re.findall(r"\bss\.(\w+)", f"{code}\n{marks}")) <= {*simspine.__all__, "__version__"}


@pages
def test_nothing_of_a_machine(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(^|[\s`(])/(home|root|work|tmp|Users)/|\.\./shared", text)


def test_the_index_lists_every_page():
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    for page in PAGES:
        if not page.is_relative_to(ROOT / "docs"):
            continue
        name = page.relative_to(ROOT / "docs").as_posix()
        assert name == "README.md" or f"({name})" in index, name


def test_readme_is_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 90
    assert len(text.split()) <= 700


def test_the_reference_has_every_public_name():
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\.\. auto(?:function|class|exception):: (\w+)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(simspine.__all__)
    tables = re.findall(r"^   ([A-Za-z]\w+)$", text, re.MULTILINE)
    assert sorted(tables) == sorted(simspine.__all__)


def test_the_reference_names_modules_that_exist():
    rooms = re.findall(r"^\.\. automodule:: (\S+)$", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rooms) > 10
    assert all(_is_module(room) for room in rooms)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built as `make docs` does, any warning being an error."""
    folder = tmp_path_factory.mktemp("site")
    command = re.search(r"-m sphinx .*", (ROOT / "Makefile").read_text()).group().split()[:-1]
    done = subprocess.run([sys.executable, *command, folder], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_site_builds_without_a_warning(site):
    page = (site / "docs/method.html").read_text(encoding="utf-8")
    assert "<math" in page
    assert "\\frac" not in page
    assert (site / "index.html").exists()
    reference = (site / "docs/api.html").read_text(encoding="utf-8")
    for name in simspine.__all__:
        assert f'id="simspine.{name}"' in reference, name


@pytest.mark.slow
def test_notebooks_are_on_the_site_with_their_outputs(site):
    for notebook in ROOT.glob("notebooks/*.ipynb"):
        page = (site / f"notebooks/{notebook.stem}.html").read_text(encoding="utf-8")
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        outputs = [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]
        assert page.count("data:image/png") == sum("image/png" in output.get("data", {}) for output in outputs)
        printed = next("".join(output["text"]) for output in outputs if output["output_type"] == "stream")
        assert html.escape(printed.splitlines()[0].split()[0], quote=False) in page, notebook.name


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_the_site_in_a_browser(site, browser, width, scheme):
    """Nothing is fetched from a network or runs off the screen; colours are those asked for."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or wrong.append(request.url))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    for name in ("docs/concepts", "docs/method", "notebooks/2_lla_and_tka", "index"):
        page.goto((site / f"{name}.html").as_uri())
        page.wait_for_selector("article h1")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", dark)[:3])) < 200) == (scheme == "dark")
    assert not wrong
    context.close()


def test_help_lists_every_target():
    text = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE).group(1).split()
    assert sorted(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE)) == sorted(targets)


def test_versions_agree():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == simspine.__version__
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == simspine.__version__
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(simspine.__version__)}( \(\d{{4}}-\d\d-\d\d\))?$", changes, re.MULTILINE)


def test_every_dependency_has_its_licence():
    listed = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    for requirement in (*project["project"]["dependencies"], *project["dependency-groups"]["dev"]):
        name = re.match(r"[\w-]+", requirement).group()
        assert re.search(rf"\b{name}\b", listed), name
    for extra in extras:
        assert f"`{extra}`" in listed, extra
    assert "CC-BY-NC-4.0" in listed
