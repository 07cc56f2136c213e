"""Networks that `torch.export` wrote, from strangers. PyTorch unpickles parts of such a file, calls any function that
its graph names, and evaluates its sizes as Python; so only data and operators of networks are let through, in an
archive written anew."""

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

# Parts of PyTorch 2.9 and later; in the last line those of earlier ones.
_DATA_PART = re.compile(
    r"(.*/)?(\.data/\w+|byteorder|version|archive_format|archive_version|models/model\.json|data/sample_inputs/model\.pt"
    r"|data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|serialized_(exported_program\.json|(state_dict|constants|example_inputs)\.(pt|json)))"
)
_OPERATOR = re.compile(r"torch\.ops\.aten\.(?!save\b|from_file\b)_?[a-z]\w*\.[A-Za-z]\w*|_operator\.getitem")
_SIZE_NAME = re.compile(r"s\d+|Symbol|Integer|Add|Mul|FloorDiv|Mod|PythonMod|Max|Min")
_SIZE_PARTS = (ast.Expression, ast.Call, ast.Load, ast.keyword, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.FloorDiv)


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
                content = json.dumps(_checked(json.loads(content))).encode()
            written.writestr(name, content)
    made.seek(0)
    return made


def _holds_data(name: str, content: bytes) -> bool:
    """Whether nothing is called where a part is unpickled."""
    try:
        return not (name.endswith(".pt") and content) or torch.load(io.BytesIO(content), weights_only=True) is not None
    except Exception:  # of damaged parts as well
        return False


def _checked(stated: Any) -> Any:
    """What was given; `InputError` unless what a graph calls and evaluates is known to be harmless."""
    for part in stated.values() if isinstance(stated, dict) else stated if isinstance(stated, list) else ():
        _checked(part)
    if not isinstance(stated, dict):
        return stated
    called, size = str(stated.get("target", "_operator.getitem")), str(stated.get("expr_str", "1"))
    if not _OPERATOR.fullmatch(called):
        raise InputError(f"it calls {called:.80}, which is no operator of networks")
    imported = any(re.search(r"__enum__|\\u", str(stated.get(key))) for key in ("in_spec", "out_spec"))
    if stated.get("use_pickle") or stated.get("guards_code") or imported:
        raise InputError("it holds code of Python")
    if not all(map(_is_of_a_size, ast.walk(ast.parse(size, mode="eval")))):
        raise InputError(f"it has the size {size:.80}")
    return stated


def _is_of_a_size(part: ast.AST) -> bool:
    if isinstance(part, ast.Name | ast.Constant):
        text = part.id if isinstance(part, ast.Name) else str(part.value)
        return bool(re.fullmatch(_SIZE_NAME if isinstance(part, ast.Name) else r"\w{1,20}", text))
    return isinstance(part, _SIZE_PARTS)
