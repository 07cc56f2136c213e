"""The house as docs/architecture.md draws it: rooms in order, imports downwards, nothing too large, plain names."""

import ast
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

import simspine

ROOT = Path(__file__).parents[1]
PACKAGE = Path(simspine.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = re.findall(
    r"^\| `([a-z_]+)(?:/|\.py)` \|", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"), re.MULTILINE
)
CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def functions(path: Path):
    """(name, node, whether it is compiled by numba) of all functions of a file, methods included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node, any("njit" in ast.unparse(d) for d in node.decorator_list)


def test_the_page_and_the_contract_have_the_same_order():
    assert CONTRACT["layers"][::-1] == ROOMS
    assert set(ROOMS) == {room(path) for path in FILES} - {"__init__"}
    assert CONTRACT["exhaustive"]


def test_imports_only_point_down():
    """By the syntax tree, imports inside functions and for type checkers included: an oracle beside import-linter."""
    height = {name: i for i, name in enumerate(ROOMS)}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("simspine."):
                other = node.module.split(".")[1]
                assert height.get(other, -1) <= height.get(room(path), 99), f"{path.name} imports {node.module}"


def test_no_circles_among_files():
    """Depth-first over all imports of files by name; a grey file met again closes a circle."""
    names = {".".join(("simspine", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in FILES}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    edges = defaultdict(set)
    for name, path in names.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in names:
                inner = {f"{node.module}.{alias.name}" for alias in node.names} & set(names)
                edges[name] |= inner or {node.module}
    colour: dict[str, str] = {}

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert colour.get(name) != "grey", " → ".join((*way, name))
        if name not in colour:
            colour[name] = "grey"
            for other in sorted(edges[name] - {name}):
                visit(other, (*way, name))
            colour[name] = "black"

    for name in names:
        visit(name, ())


def test_no_function_is_longer_than_eighty_lines():
    long = {
        f"{path.relative_to(PACKAGE)}: {name}": node.end_lineno - node.lineno + 1
        for path in FILES
        for name, node, _ in functions(path)
    }
    assert {name: lines for name, lines in long.items() if lines > 80} == {}


def test_no_function_has_more_than_eight_parameters():
    """Private ones neither. Excepted are compiled kernels, which take flat arrays, and commands, whose are options."""
    many = {}
    for path in FILES:
        for name, node, compiled in functions(path):
            arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            count = len([a for a in arguments if a not in ("self", "cls")])
            if count > 8 and not compiled and room(path) not in ("cli", "commands"):
                many[f"{path.relative_to(PACKAGE)}: {name}"] = count
    assert many == {}


def test_no_class_name_means_two_things():
    places = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path.relative_to(PACKAGE).as_posix())
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_modules_stay_small():
    sizes = {path.relative_to(PACKAGE).as_posix(): len(path.read_text().splitlines()) for path in FILES}
    assert {name: size for name, size in sizes.items() if size > 400} == {}


RETIRED = {
    "belief": "prior",
    "beliefs": "priors",
    "believed": "assumed",
    "error_lasts_s": "error_correlation_s",
    "common_errors": "shared_errors",
    "sureness": "uncertainty",
    "readable": "canonical branch",
}


@pytest.mark.parametrize("word", RETIRED)
def test_the_package_speaks_the_fields_words(word):
    allowed = {"config/reading.py", "body/recipes.py"}  # old keys, named in the error that says the new one
    plain = {"readable": r"\breadable\("}.get(word, rf"\b{word}\b")
    for path in FILES:
        if path.relative_to(PACKAGE).as_posix() not in allowed:
            assert not re.search(plain, path.read_text(encoding="utf-8"), re.IGNORECASE), f"{path}: {RETIRED[word]}"
