"""Trained networks written as ONNX files, and files of `torch.export` read safely. Needs PyTorch."""

import ast
import io
import json
import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simspine.core.errors import InputError
from simspine.io.atomic import atomic_path, check_announced_bytes
from simspine.vision.spinepose import open_session

# A trained network is written atomically, with metadata, after its outputs were compared with PyTorch's.

ONNX_OPSET = 17
ONNX_TOLERANCE = 1e-4  # largest allowed difference of an output between PyTorch and onnxruntime


def write_onnx(path: Path, network: nn.Module, crops: Tensor, outputs: tuple[str, ...], points: Sequence[str]) -> float:
    """Write a network; returns the largest difference between onnxruntime's and PyTorch's outputs for `crops`.

    outputs: names; their second axis is that of the points, whose names go into the file's metadata. The first axis of
    all has any length. Raises `InputError` where outputs differ by more than `ONNX_TOLERANCE`, relative to 1 or their
    greatest value."""
    network = network.eval()
    free = {name: {0: "n"} for name in ("crops", *outputs)}
    with atomic_path(path) as temporary:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch announces another exporter, which needs further packages
            torch.onnx.export(
                network, (crops,), str(temporary), input_names=["crops"], output_names=list(outputs),
                opset_version=ONNX_OPSET, dynamic_axes=free, dynamo=False,
            )  # fmt: skip
        _complete_onnx(temporary, points)
        # another batch size shows what tracing took for a constant
        worst = max(_largest_difference(network, temporary, given) for given in (crops, crops[:1]))
        if not worst <= ONNX_TOLERANCE:
            raise InputError(f"{path}: onnxruntime and PyTorch differ by {worst:.1e}, over {ONNX_TOLERANCE}.")
    return worst


def _complete_onnx(path: Path, points: Sequence[str]) -> None:
    """Add what tracing does not record."""
    import onnx

    model = onnx.load(str(path))
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_value = len(points)
    onnx.helper.set_model_props(model, {"names": json.dumps(points)})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _largest_difference(network: nn.Module, path: Path, crops: Tensor) -> float:
    """Largest difference of an output, relative to its greatest value where that is above 1."""
    found = open_session(path).run(None, {"crops": crops.numpy()})
    with torch.no_grad():
        wanted = [part.numpy() for part in network(crops)]
    return max(
        float(np.abs(output - expected).max() / max(np.abs(expected).max(), 1.0))
        for output, expected in zip(found, wanted, strict=True)
    )


# Safe reading of `torch.export` files from unknown sources. PyTorch unpickles parts of such a file, calls each function
# that its graph names, and evaluates its size expressions as Python. So only data and network operators pass, in a
# rewritten archive.

# Allowed files in the archive: of PyTorch 2.9 and later, and (last line) of earlier versions.
_DATA_PART = re.compile(
    r"(.*/)?(\.data/\w+|byteorder|version|archive_format|archive_version|models/model\.json|data/sample_inputs/model\.pt"
    r"|data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|serialized_(exported_program\.json|(state_dict|constants|example_inputs)\.(pt|json)))"
)
_OPERATOR = re.compile(r"torch\.ops\.aten\.(?!save\b|from_file\b)_?[a-z]\w*\.[A-Za-z]\w*|_operator\.getitem")
_SIZE_NAME = re.compile(r"s\d+|Symbol|Integer|Add|Mul|FloorDiv|Mod|PythonMod|Max|Min")
_SIZE_NODES = (ast.Expression, ast.Call, ast.Load, ast.keyword, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.FloorDiv)


def inert_archive(path: str | Path) -> io.BytesIO:
    """A copy of the archive for `torch.export.load`. Raises `InputError` where a part could run code."""
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
        check_announced_bytes(str(path), sum(part.file_size for part in source.infolist()), Path(path).stat().st_size)
        for name in source.namelist():
            content = source.read(name)
            if not _DATA_PART.fullmatch(name) or name in target.namelist() or not _holds_data(name, content):
                raise InputError(f"it holds {name:.80}, which can be a program")
            if name.endswith(".json") and content:
                content = json.dumps(_checked(json.loads(content))).encode()
            target.writestr(name, content)
    copy.seek(0)
    return copy


def _holds_data(name: str, content: bytes) -> bool:
    """Whether a pickled part (`.pt`) loads without calling functions; True for all other parts."""
    try:
        return not (name.endswith(".pt") and content) or torch.load(io.BytesIO(content), weights_only=True) is not None
    except Exception:  # damaged parts raise various classes
        return False


def _checked(value: Any) -> Any:
    """Return a JSON value unchanged. Raises `InputError` for a function, code or size expression not allowed in it."""
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _checked(part)
    if not isinstance(value, dict):
        return value
    operator, size = str(value.get("target", "_operator.getitem")), str(value.get("expr_str", "1"))
    if not _OPERATOR.fullmatch(operator):
        raise InputError(f"it calls {operator:.80}, which is not an allowed network operator")
    names_class = any(re.search(r"__enum__|\\u", str(value.get(key))) for key in ("in_spec", "out_spec"))
    if value.get("use_pickle") or value.get("guards_code") or names_class:
        raise InputError("it holds code of Python")
    if not all(map(_is_allowed_in_size, ast.walk(ast.parse(size, mode="eval")))):
        raise InputError(f"it has the size {size:.80}, which is not plain arithmetic")
    return value


def _is_allowed_in_size(node: ast.AST) -> bool:
    if isinstance(node, ast.Name | ast.Constant):
        text = node.id if isinstance(node, ast.Name) else str(node.value)
        return bool(re.fullmatch(_SIZE_NAME if isinstance(node, ast.Name) else r"\w{1,20}", text))
    return isinstance(node, _SIZE_NODES)
