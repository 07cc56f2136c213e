"""The house as docs/architecture.md draws it: rooms in order, few modules, small functions, plain and unique names."""

import ast
import dataclasses
import inspect
import re
import tomllib
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

import simspine
from simspine.reconstruction.stages import STAGES

ROOT = Path(__file__).parents[1]
PACKAGE = Path(simspine.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
ROOMS = re.findall(r"^\| `([a-z]+)/` \|", PAGE, re.MULTILINE)
CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]

MOST_MODULES = 220
MOST_LINES = 55653
MOST_LINES_OF_A_MODULE = 500
MOST_LINES_OF_A_FUNCTION = 80
MOST_PARAMETERS = 8
MOST_LOCAL_NAMES = 20
MOST_POSITIONAL_ARGUMENTS = 4
MOST_MODULES_TO_READ, MOST_LINES_TO_READ = 20, 4_000


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_compiled(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("njit" in ast.unparse(decorator) for decorator in function.decorator_list)


def functions(path: Path):
    """All functions of a file, methods included."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    arguments = function.args
    named = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return {argument.arg for argument in named} - {"self", "cls"}


def local_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Parameters and what the body binds; not what inner functions and comprehensions bind for themselves."""
    names, nodes = parameters(function), list(function.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            nodes.append(node.generators[0].iter)
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id != "_":
            names.add(node.id)
        nodes.extend(ast.iter_child_nodes(node))
    return names


def test_the_page_and_the_contract_have_the_same_order():
    layers = [layer for layer in CONTRACT["layers"] if layer != "__main__"]
    assert layers[::-1] == ROOMS
    assert set(ROOMS) == {room(path) for path in FILES if path.parent != PACKAGE}
    assert CONTRACT["exhaustive"]
    assert len(ROOMS) == 15


def test_the_package_stays_small():
    sizes = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert len(sizes) <= MOST_MODULES
    assert sum(sizes.values()) <= MOST_LINES
    assert {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_MODULE} == {}


def lines_without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    docstring = function.body[0] if ast.get_docstring(function) else None
    return function.end_lineno - function.lineno + 1 - (docstring.end_lineno - docstring.lineno + 1 if docstring else 0)


def test_functions_stay_small():
    long = {
        f"{relative(path)}: {node.name}": lines
        for path in FILES
        for node in functions(path)
        if (lines := lines_without_docstring(node)) > MOST_LINES_OF_A_FUNCTION
    }
    assert long == {}


def test_functions_have_few_parameters():
    """Excepted are compiled kernels, which take flat arrays, and commands, whose parameters are options."""
    many = {
        f"{relative(path)}: {node.name}": len(parameters(node))
        for path in FILES
        if room(path) != "cli"
        for node in functions(path)
        if not is_compiled(node) and len(parameters(node)) > MOST_PARAMETERS
    }
    assert many == {}


def test_functions_have_few_local_names():
    many = {
        f"{relative(path)}: {node.name}": len(local_names(node))
        for path in FILES
        for node in functions(path)
        if not is_compiled(node) and len(local_names(node)) > MOST_LOCAL_NAMES
    }
    assert many == {}


def called_of_module(function: ast.expr, modules: set[str]) -> str:
    """'make' for `module.make` of one of the modules; '' for any other expression."""
    of_module = isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)
    return function.attr if of_module and function.value.id in modules else ""


def test_calls_name_their_arguments():
    """At most four positional arguments, wherever a function or a record of the package is called by its name."""
    compiled = {node.name for path in FILES for node in functions(path) if is_compiled(node)}
    own = {
        node.name
        for path in FILES
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    } - compiled
    modules = {path.stem for path in FILES}
    unnamed = [
        f"{relative(path)}:{node.lineno} {ast.unparse(node.func)}"
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and len(node.args) > MOST_POSITIONAL_ARGUMENTS
        if {ast.unparse(node.func), called_of_module(node.func, modules)} & own
        if not any(isinstance(argument, ast.Starred) for argument in node.args)
    ]
    assert unnamed == []


def test_public_functions_and_classes_have_a_name_of_their_own():
    places = defaultdict(list)
    for path in FILES:
        for node in tree(path).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith(
                "_"
            ):
                places[node.name].append(relative(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_the_reading_list_is_short_and_true():
    """docs/architecture.md names the modules by which a reader follows a video to an angle."""
    section = PAGE.split("## Reading list")[1].split("\n## ")[0]
    modules = re.findall(r"^\d+\. `([a-z_/]+\.py)`", section, re.MULTILINE)
    assert 10 <= len(modules) <= MOST_MODULES_TO_READ
    lines = sum(len((PACKAGE / module).read_text(encoding="utf-8").splitlines()) for module in modules)
    assert lines <= MOST_LINES_TO_READ


def test_each_room_says_what_it_is_for():
    for name in ROOMS:
        text = ast.get_docstring(tree(PACKAGE / name / "__init__.py")) or ""
        assert 4 <= len(text.splitlines()) <= 12, name
        assert "Read `" in text, name
        mentioned = set(re.findall(r"`([a-z_]+)`", text))
        there = {path.stem for path in (PACKAGE / name).rglob("*.py")}
        assert mentioned & there, f"{name}: names none of its modules"


def documented(text: str, section: str) -> set[str]:
    """Names that a section of a numpydoc docstring describes."""
    found = re.search(rf"^{section}\n-{{{len(section)}}}\n(.*?)(?=^\w[\w ]*\n-+$|\Z)", text, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^[*{\w][^:\n]*", found[1], re.MULTILINE) if found else ()
    return {name.strip("* ") for line in lines for name in line.split(",")}


def fields_of(kind: type) -> set[str]:
    """Fields of a record, sections of options, members of an enumeration."""
    if dataclasses.is_dataclass(kind):
        return {field.name for field in dataclasses.fields(kind)}
    return set(getattr(kind, "model_fields", None) or kind.__members__)


@pytest.mark.parametrize("name", sorted(simspine.__all__))
def test_the_public_surface_is_documented(name):
    """numpydoc: a summary; each parameter or field by its name; Returns where something is returned."""
    thing = getattr(simspine, name)
    text = inspect.getdoc(thing) or ""
    assert text.partition("\n")[0].endswith(".")
    if inspect.isclass(thing):
        assert documented(text, "Attributes") == (set() if issubclass(thing, Exception) else fields_of(thing))
        return
    signature = inspect.signature(thing)
    assert documented(text, "Parameters") == set(signature.parameters)
    assert bool(documented(text, "Returns")) == (signature.return_annotation is not None)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_stages_are_documented(stage):
    text = inspect.getdoc(stage.work)
    assert text.startswith(f"The stage `{stage.name}`: ")
    assert [name for name in stage.gives if name not in text] == []
