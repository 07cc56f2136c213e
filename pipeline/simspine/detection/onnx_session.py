"""ONNX networks: opened with clear errors, on the device that was asked for."""

import re
from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.sources.foreign_file import what_it_is

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

_LONGEST = 160  # characters of onnxruntime's own words


def open_session(weights: str | Path, device: str = "cpu"):
    """An `onnxruntime.InferenceSession`.

    device: 'cpu', 'cuda' or 'cuda:N'. Raises `InputError` for a file that is no ONNX network, and where the device is
    not there: onnxruntime would go on with the CPU without a word.
    """
    import onnxruntime

    kind, _, number = device.partition(":")
    if kind not in _PROVIDERS or (number and (kind == "cpu" or not number.isdigit())):
        raise InputError(f"device is {device!r}, expected 'cpu', 'cuda' or 'cuda:N'.")
    provider = _PROVIDERS[kind]
    there = onnxruntime.get_available_providers()
    if provider not in there:
        raise InputError(
            f"device {device!r} needs onnxruntime's {provider}; the installed build offers {', '.join(there)}. "
            "Install onnxruntime-gpu in place of onnxruntime, or use device 'cpu'."
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    try:
        session = onnxruntime.InferenceSession(
            str(weights), options, providers=[(provider, {"device_id": int(number)} if number else {})]
        )
    except Exception as error:  # onnxruntime raises classes of its compiled part
        raise InputError(
            f"{weights} cannot be opened as an ONNX network: {_fault(Path(weights), error)}. Export the network again, "
            "or copy its file again."
        ) from None
    if session.get_providers()[0] != provider:
        raise InputError(f"{provider} could not be started for {weights}. Check the CUDA installation, or use 'cpu'.")
    return session


def _fault(path: Path, error: Exception) -> str:
    """What is wrong with a file that onnxruntime refuses, in a few words."""
    found = what_it_is(path) if path.is_file() else "no file"
    if found:
        return f"it is {found}"
    if type(error).__name__ == "InvalidProtobuf":
        return "it is no ONNX file, or was cut short"
    return f"onnxruntime refuses it ({_reason(error)})"


def _reason(error: Exception) -> str:
    """The first line of what onnxruntime says, without its codes and places in its own source."""
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error)).strip().splitlines()
    line = re.sub(r"^/\S+:\d+ .*?\) ", "", text[0]) if text else type(error).__name__
    return (line[:_LONGEST].rstrip() + "…" * (len(line) > _LONGEST)).rstrip(".")


def run_session(session, images: np.ndarray, weights: str | Path) -> list[np.ndarray]:
    """What a network of images gives for a batch of them; `InputError` where it fails on them. weights: its file."""
    try:
        return session.run(None, {session.get_inputs()[0].name: images})
    except Exception as error:  # onnxruntime raises classes of its compiled part
        raise InputError(
            f"{weights}: the network fails on images of shape {images.shape} ({_reason(error)}). Export it again for "
            "such images."
        ) from None


def input_shape(session, fallback: tuple[int, int], weights: str | Path) -> tuple[int, int]:
    """(height, width) of the images a network (batch, 3, height, width) takes; `fallback` where it leaves them open.

    weights: its file, for the error where it takes something else.
    """
    given = session.get_inputs()
    shape = given[0].shape if given else []
    if len(given) != 1 or len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
        said = "; ".join(f"{entry.name} {entry.shape}" for entry in given) or "none"
        raise InputError(f"{weights}: the network's inputs are {said}; expected one of (batch, 3, height, width).")
    if given[0].type != "tensor(float)":
        raise InputError(f"{weights}: the network's input is {given[0].type}, expected tensor(float).")
    height, width = (s if isinstance(s, int) else f for s, f in zip(shape[2:], fallback, strict=True))
    return height, width
