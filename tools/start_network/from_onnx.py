"""An ONNX pose network as a PyTorch module that learns on, with rows for other points.

Exported graphs have lost the names of their layers, so the nodes themselves are run, by the operators that RTMPose,
SpinePose, HRNet and ViTPose consist of. What they give is compared with onnxruntime's.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from simspine.core.errors import InputError
from simspine.learning.options import CROP_SIZE_PX
from simspine.vision.spinepose import input_shape, open_session, run_session

GRAPH_TOLERANCE = 1e-3  # largest difference from onnxruntime, relative to 1 or the greatest value

# Operators of ONNX: inputs by place, attributes by their names.


def _numbers(whole: np.ndarray | Tensor) -> list[int]:
    return [int(value) for value in whole]


def _padded(seen: Tensor, pads: Sequence[int], value: float = 0.0) -> Tensor:
    """pads: rows and columns before, then rows and columns behind."""
    above, left, below, right = pads
    return functional.pad(seen, (left, right, above, below), value=value) if any(pads) else seen


def _convolution(seen, weight, bias=None, pads=(0, 0, 0, 0), strides=(1, 1), dilations=(1, 1), group=1, **_):
    return functional.conv2d(_padded(seen, pads), weight, bias, tuple(strides), 0, tuple(dilations), group)


def _transposed_convolution(seen, weight, bias=None, pads=(0, 0, 0, 0), strides=(1, 1), group=1, **others):
    more = tuple(others.get("output_padding", (0, 0)))
    return functional.conv_transpose2d(seen, weight, bias, tuple(strides), tuple(pads[:2]), more, group)


def _greatest_around(seen, kernel_shape, pads=(0, 0, 0, 0), strides=(1, 1), **_):
    return functional.max_pool2d(_padded(seen, pads, -torch.inf), tuple(kernel_shape), tuple(strides))


def _linear(seen, weight, bias=0.0, alpha=1.0, beta=1.0, transA=0, transB=0):
    return alpha * (seen.T if transA else seen) @ (weight.T if transB else weight) + beta * bias


def _batch_norm(seen, scale, bias, mean, variance, epsilon=1e-5, **_):
    return functional.batch_norm(seen, mean, variance, scale, bias, eps=epsilon)


def _layer_norm(seen, scale, bias=None, axis=-1, epsilon=1e-5, **_):
    return functional.layer_norm(seen, seen.shape[axis:], scale, bias, epsilon)


def _quotient(first, second):
    return first / second if first.is_floating_point() else torch.div(first, second, rounding_mode="floor")


def _reshaped(seen, shape, **_):
    return seen.reshape([seen.shape[i] if side == 0 else side for i, side in enumerate(_numbers(shape))])


def _expanded(seen, shape):
    sides = _numbers(shape)
    own = (1,) * (len(sides) - seen.ndim) + tuple(seen.shape)
    return seen.expand([had if side in (0, 1) else side for had, side in zip(own, sides, strict=True)])


def _widened(seen, places=None, axes=None):
    for axis in sorted(axes if places is None else _numbers(places)):
        seen = seen.unsqueeze(axis)
    return seen


def _narrowed(seen, places=None, axes=None):
    return seen.squeeze(tuple(axes if places is None else _numbers(places)))


def _sliced(seen, starts, ends, axes, steps=None):
    chosen = [slice(None)] * seen.ndim
    steps = np.ones(len(starts)) if steps is None else steps
    for axis, first, last, step in zip(*map(_numbers, (axes, starts, ends, steps)), strict=True):
        chosen[axis] = slice(first, last, step)
    return seen[tuple(chosen)]


def _parts(seen, sizes=None, axis=0, split=None, num_outputs=2):
    given = split if sizes is None else _numbers(sizes)
    return seen.split(given if given is not None else -(-seen.shape[axis] // num_outputs), axis)


def _gathered(seen, places, axis=0):
    chosen = np.asarray(places)
    parts = [seen.select(axis, int(i)) for i in chosen.reshape(-1)]
    return parts[0] if not chosen.ndim else torch.stack(parts, axis)


def _resized(seen, _=None, scales=None, sizes=None, mode="nearest", coordinate_transformation_mode="", **__):
    wanted = _numbers(sizes)[2:] if sizes is not None else [
        int(side * float(scale)) for side, scale in zip(seen.shape[2:], scales[2:], strict=True)
    ]  # fmt: skip
    if mode == "nearest":
        return functional.interpolate(seen, wanted)
    aligned = coordinate_transformation_mode == "align_corners"
    return functional.interpolate(seen, wanted, mode="bilinear", align_corners=aligned)


def _reduction(reduce):
    """Of axes that are named by an attribute or an input, whichever the version of ONNX has."""

    def run(seen, places=None, axes=None, keepdims=1):
        return reduce(seen, tuple(axes if places is None else _numbers(places)), bool(keepdims))

    return run


OPERATORS: Mapping[str, Any] = {
    "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": _quotient, "Sqrt": torch.sqrt,
    "Pow": lambda seen, power: seen ** float(power),
    "Exp": torch.exp, "Erf": torch.erf, "Tanh": torch.tanh, "Sigmoid": torch.sigmoid, "Relu": torch.relu,
    "Max": torch.maximum, "Min": torch.minimum, "Equal": torch.eq, "Where": torch.where, "MatMul": torch.matmul,
    "HardSwish": functional.hardswish, "Gelu": functional.gelu, "Identity": lambda seen: seen,
    "HardSigmoid": lambda seen, alpha=0.2, beta=0.5: (alpha * seen + beta).clamp(0, 1),
    "Clip": lambda seen, low=None, high=None, min=-np.inf, max=np.inf: seen.clamp(
        float(min if low is None else low), float(max if high is None else high)
    ),
    "Softmax": lambda seen, axis=-1: seen.softmax(axis), "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "Transpose": lambda seen, perm: seen.permute(perm), "Flatten": lambda seen, axis=1: seen.flatten(axis),
    "Shape": lambda seen: torch.tensor(seen.shape), "Expand": _expanded,
    "Cast": lambda seen, to: seen.to(torch.as_tensor(np.empty(0, helper.tensor_dtype_to_np_dtype(to))).dtype),
    "ConstantOfShape": lambda shape, value: torch.full(_numbers(shape), numpy_helper.to_array(value).item()),
    "Conv": _convolution, "ConvTranspose": _transposed_convolution, "MaxPool": _greatest_around, "Gemm": _linear,
    "GlobalAveragePool": lambda seen: seen.mean((2, 3), keepdim=True), "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm, "ReduceMean": _reduction(torch.mean), "ReduceSum": _reduction(torch.sum),
    "ReduceMax": _reduction(torch.amax), "ReduceL2": _reduction(lambda seen, axes, kept: seen.norm(2, axes, kept)),
    "Reshape": _reshaped, "Unsqueeze": _widened, "Squeeze": _narrowed, "Slice": _sliced, "Split": _parts,
    "Gather": _gathered, "Resize": _resized,
}  # fmt: skip
_SHAPES_AT = {"Reshape": 1, "Expand": 1, "Resize": 3, "ConstantOfShape": 0}  # which input is a shape
_NOT_LEARNT = ("Resize", "Clip", "Pow")  # operators whose constants are settings
_STATISTICS = {"BatchNormalization": slice(3, 5)}  # inputs that descent does not change


class OnnxNetwork(nn.Module):
    """Crops (n, 3, height, width) → the network's maps: two (n, points, bins), or heat maps (n, points, rows, columns).

    own: names of the file's points in their order; wanted: names of the points that come out. Rows of weights of points
    that the file has are kept; those of others are drawn from a normal distribution with the mean and the standard
    deviation of the file's rows, by the seed. Normalisation keeps its statistics.
    Raises `InputError` for a file that cannot be read, run, or given other points.
    """

    def __init__(self, path: Path, own: Sequence[str], wanted: Sequence[str], seed: int):
        super().__init__()
        self._path = path
        session = open_session(path)
        size = input_shape(session, CROP_SIZE_PX, path)
        if size != CROP_SIZE_PX:
            raise InputError(f"{path} takes images of {size} px, expected {CROP_SIZE_PX}.")
        graph = onnx.load(str(path)).graph
        self._entry = graph.input[0].name
        heat = len(session.get_outputs()[0].shape) == 4
        self._exits = [output.name for output in graph.output[: 1 if heat else 2]]
        self._arrays = {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}
        self._arrays |= {node.output[0]: _constant(node) for node in graph.node if node.op_type == "Constant"}
        self._nodes = _needed_nodes(graph.node, self._exits)
        if unknown := sorted({node.op_type for node in self._nodes} - set(OPERATORS)):
            raise InputError(f"{path}: operators {', '.join(unknown)} are not known here.")
        self._fix_shapes()
        self._compare(session)
        last = self._node_of_points(len(own))
        if list(wanted) != list(own):
            self._replace_points(last, own, wanted, seed)
        self._make_parameters(last)

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        return self._run(
            crops, {name: getattr(self.get_submodule(part), key) for name, (part, key) in self._at.items()}
        )

    def _run(self, crops: Tensor, tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        known: dict[str, Any] = {**self._arrays, **tensors, self._entry: crops}
        for node in self._nodes:
            given = [known[name] if name else None for name in node.input]
            made = OPERATORS[node.op_type](*given, **_attributes(node))
            known.update(zip(node.output, made if isinstance(made, tuple | list) else (made,), strict=False))
        return tuple(known[name] for name in self._exits)

    def _tensors(self) -> dict[str, Tensor]:
        return {name: torch.tensor(array) for name, array in self._arrays.items()}

    def _fix_shapes(self) -> None:
        """Compute shapes, and what follows from them alone, once. Sides that follow the number of crops become 0, as it
        is, or -1, what is left.
        """
        first, second = (self._whole_numbers(count) for count in (2, 3))
        for name, found in first.items():
            array, other = found.numpy().copy(), second[name].numpy()
            for i in np.flatnonzero(array != other) if array.ndim == 1 and array.shape == other.shape else ():
                array[i] = 0 if i == 0 else -1
            self._arrays[name] = array
        self._nodes = [node for node in self._nodes if not set(node.output) & set(first)]

    def _whole_numbers(self, count: int) -> dict[str, Tensor]:
        """Whole numbers within the network for so many crops, and what is computed from them alone."""
        found: dict[str, Tensor] = {}
        known: dict[str, Any] = {**self._tensors(), self._entry: torch.zeros(count, 3, *CROP_SIZE_PX)}
        for node in self._nodes:
            try:
                given = [known[name] if name else None for name in node.input]
                made = OPERATORS[node.op_type](*given, **_attributes(node))
            except (TypeError, ValueError, RuntimeError, IndexError, KeyError) as error:
                raise InputError(f"{self._path}: PyTorch cannot run {node.op_type} {node.name!r}: {error}") from None
            outputs = dict(zip(node.output, made if isinstance(made, tuple | list) else (made,), strict=False))
            known |= outputs
            alone = all(name in found or name in self._arrays for name in node.input if name)
            found |= {name: part for name, part in outputs.items() if alone or not part.is_floating_point()}
        return found

    def _compare(self, session) -> None:
        images = np.random.default_rng(1).standard_normal((1, 3, *CROP_SIZE_PX)).astype(np.float32)
        found = self._run(torch.as_tensor(images), self._tensors())
        wanted = run_session(session, images, self._path)
        worst = max(
            float(np.abs(own.numpy() - true).max() / max(np.abs(true).max(), 1))
            for own, true in zip(found, wanted, strict=False)
        )
        if not worst <= GRAPH_TOLERANCE:
            raise InputError(f"{self._path}: PyTorch's outputs differ from onnxruntime's by {worst:.1e}.")

    def _node_of_points(self, points: int) -> int:
        """Index of the last convolution that gives one map for each point."""
        rows = [
            i
            for i, node in enumerate(self._nodes)
            if node.op_type == "Conv" and len(self._arrays[node.input[1]]) == points
        ]
        if not rows:
            raise InputError(f"{self._path}: no convolution gives one map for each of its {points} points.")
        return rows[-1]

    def _replace_points(self, last: int, own: Sequence[str], wanted: Sequence[str], seed: int) -> None:
        rng = np.random.default_rng(seed)
        for name in self._nodes[last].input[1:]:
            self._arrays[name] = rows_of_points(self._arrays[name], own, wanted, rng)
        for node in self._nodes[last:]:
            if node.op_type in _SHAPES_AT and len(node.input) > _SHAPES_AT[node.op_type]:
                name = node.input[_SHAPES_AT[node.op_type]]
                shape = self._arrays.get(name)
                if shape is not None:
                    self._arrays[name] = np.where(shape == len(own), len(wanted), shape)

    def _make_parameters(self, last: int) -> None:
        """What is first used before the maps of points is the backbone; the rest is the head."""
        self.backbone, self.head = nn.Module(), nn.Module()
        self._at: dict[str, tuple[str, str]] = {}
        for i, node in enumerate(self._nodes):
            statistics = node.input[_STATISTICS.get(node.op_type, slice(0, 0))]
            for name in node.input if node.op_type not in _NOT_LEARNT else ():
                array = self._arrays.get(name)
                if array is None or array.dtype.kind != "f" or name in self._at:
                    continue
                part, key = "backbone" if i < last else "head", f"array_{len(self._at)}"
                self._at[name] = part, key
                if array.ndim and array.size and name not in statistics:
                    setattr(self.get_submodule(part), key, nn.Parameter(torch.tensor(array)))
                else:
                    self.get_submodule(part).register_buffer(key, torch.tensor(array))


def rows_of_points(old: np.ndarray, own: Sequence[str], wanted: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """Rows of the points wanted, of a network's own points and others: see `OnnxNetwork`."""
    rows = rng.normal(old.mean(), old.std(), (len(wanted), *old.shape[1:])).astype(old.dtype)
    for i, name in enumerate(wanted):
        if name in own:
            rows[i] = old[own.index(name)]
    return rows


def _needed_nodes(nodes: Sequence[onnx.NodeProto], exits: Sequence[str]) -> list[onnx.NodeProto]:
    """Those that the exits depend on, without constants."""
    needed, kept = set(exits), []
    for node in reversed(nodes):
        if node.op_type != "Constant" and needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    return kept[::-1]


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    found = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}


def _constant(node: onnx.NodeProto) -> np.ndarray:
    (value,) = _attributes(node).values()
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.array(value)
