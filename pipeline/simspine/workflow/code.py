"""Which of the package's own files decide what a piece of work makes, and their digest.

A result made by other code than the one at hand is not up to date, whatever its inputs. The files are those that the
work's module imports, directly or by others, wherever in a file the import stands, and the tables, templates and
networks in their folders. A change of a comment counts as well: rather once too often than a wrong result kept.
"""

import hashlib
import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(simspine[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+(simspine[\w.]*))",
    re.MULTILINE,
)


@cache
def code_digest(module: str) -> str:
    """sha256 over names and contents of `source_files`."""
    found = hashlib.sha256()
    for path in source_files(module):
        found.update(f"{path.relative_to(PACKAGE).as_posix()}\0".encode())
        found.update(_digest(path))
    return found.hexdigest()


def source_files(module: str) -> list[Path]:
    """Files of the package that decide what a module does, in the order of their names. module: 'simspine.x.y'."""
    seen: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        for path in _files(name):
            if path not in seen:
                seen.add(path)
                waiting += _imported(path)
    return sorted(seen | {file for folder in {path.parent for path in seen} for file in _data(folder)})


@cache
def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


@cache
def _files(module: str) -> list[Path]:
    """A module's file and those of the packages it is in, which are imported with it."""
    parts = module.split(".")[1:]
    bases = (PACKAGE.joinpath(*parts[:end]) for end in range(1, len(parts) + 1))
    return [
        path for base in bases for path in (base.with_name(f"{base.name}.py"), base / "__init__.py") if path.is_file()
    ]


@cache
def _imported(path: Path) -> list[str]:
    """Modules that a file imports; what it takes out of a package may be modules as well."""
    found = []
    for package, names, module in _IMPORT.findall(path.read_text(encoding="utf-8")):
        found.append(module or package)
        found += [f"{package}.{name}" for name in re.findall(r"\w+", names)]
    return found


@cache
def _data(folder: Path) -> list[Path]:
    """Files beside the modules of a folder that are none, those in folders without modules included."""
    found = []
    for path in folder.iterdir() if folder != PACKAGE else ():
        if path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            found += [file for file in path.rglob("*") if file.is_file()]
        elif path.is_file() and path.suffix not in (".py", ".pyc"):
            found.append(path)
    return found
