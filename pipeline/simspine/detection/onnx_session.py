"""ONNX networks: opened with clear errors, on the device that was asked for."""

from pathlib import Path

from simspine.errors import InputError

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


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
        raise InputError(f"{weights} cannot be opened as an ONNX network: {error}") from None
    if session.get_providers()[0] != provider:
        raise InputError(f"{provider} could not be started for {weights}. Check the CUDA installation, or use 'cpu'.")
    return session


def input_shape(session, fallback: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the images a network (batch, 3, height, width) takes; `fallback` where it leaves them open."""
    shape = session.get_inputs()[0].shape
    if len(shape) != 4:
        raise InputError(f"the network's input has shape {shape}, expected (batch, 3, height, width).")
    height, width = (s if isinstance(s, int) else f for s, f in zip(shape[2:], fallback, strict=True))
    return height, width
