"""Networks that `torch.export` wrote, from strangers. PyTorch unpickles parts of such a file, calls any function that
its graph names, and evaluates its sizes as Python; so only parts that are data, and PyTorch's own operators, are let
through, in an archive written anew."""

import ast
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from simspine.core.errors import InputError
from simspine.io.atomic import check_announced_bytes

# An archive of PyTorch 2.9 and later; the last group is that of those before.
_DATA_PART = re.compile(
    r"(.*/)?(\.data/\w+|byteorder|version|archive_format|archive_version|models/model\.json"
    r"|data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|data/sample_inputs/model\.pt|serialized_(exported_program\.json|(state_dict|constants|example_inputs)\.(pt|json)))"
)
_OPERATOR = re.compile(r"torch\.ops\.aten\.(?!save\b|from_file\b)_?[a-z]\w*\.[A-Za-z]\w*|_operator\.getitem")
_SIZE_NAMES = ("Symbol", "Integer", "Add", "Mul", "FloorDiv", "Mod", "PythonMod", "Max", "Min")
_SIZE_PARTS = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.Add, ast.Sub, ast.Mult,
    ast.FloorDiv,
)  # fmt: skip


def inert_archive(path: str | Path) -> io.BytesIO:
    """The file's archive for `torch.export.load`. Raises `InputError` for parts that could run a program."""
    made = io.BytesIO()
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(made, "w") as written:
        check_announced_bytes(str(path), sum(part.file_size for part in given.infolist()), Path(path).stat().st_size)
        for name in given.namelist():
            content = given.read(name)
            if not _DATA_PART.fullmatch(name) or name in written.namelist() or not _holds_data(name, content):
                raise InputError(f"it holds {name:.80}, which can be a program")
            if name.endswith(".json") and content:
                stated = json.loads(content)
                _check_stated(stated)
                content = json.dumps(stated).encode()  # as it was checked
            written.writestr(name, content)
    made.seek(0)
    return made


def _holds_data(name: str, content: bytes) -> bool:
    """Whether nothing of a part would be called on unpickling."""
    try:
        if name.endswith(".pt") and content:
            torch.load(io.BytesIO(content), weights_only=True)
    except Exception:  # as many as there are damages
        return False
    return True


def _check_stated(stated: Any) -> None:
    """`InputError` unless what a graph calls and evaluates is known to be harmless."""
    if isinstance(stated, list):
        for part in stated:
            _check_stated(part)
    if not isinstance(stated, dict):
        return
    if "target" in stated and not _OPERATOR.fullmatch(str(stated["target"])):
        raise InputError(f"it calls {stated['target']!s:.80}, which is no operator of networks")
    imported = any(re.search(r"__enum__|\\u", str(stated.get(key))) for key in ("in_spec", "out_spec"))
    if stated.get("use_pickle") or stated.get("guards_code") or imported:
        raise InputError("it holds code of Python")
    if "expr_str" in stated:
        for part in ast.walk(ast.parse(str(stated["expr_str"]), mode="eval")):
            known = not isinstance(part, ast.Name) or part.id in _SIZE_NAMES or re.fullmatch(r"s\d+", part.id)
            plain = not isinstance(part, ast.Constant) or re.fullmatch(r"\w+", str(part.value))
            if not (isinstance(part, _SIZE_PARTS) and known and plain):
                raise InputError(f"it has the size {stated['expr_str']!r:.80}")
    for part in stated.values():
        _check_stated(part)
