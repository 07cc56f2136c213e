"""SpinePose: 37 points, nine of them on the spine, one person per box (Khan et al., CVPR workshops 2025).

Its networks are RTMPose (Jiang et al. 2023): for each point of a crop they give two one-dimensional maps, along x and
along y, with `split` bins per pixel (SimCC, Li et al. 2022). Any such ONNX network can be used, and any that gives heat
maps (HRNet, ViTPose, Sapiens). The number of points determines the skeleton (37 SpineTrack, 26 HALPE, 17 COCO).

SpinePose's weights are CC-BY-NC-4.0, not for commercial use; they are not part of this package.
"""

import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from simspine.core import skeletons
from simspine.core.errors import InputError, missing_file
from simspine.io.guarded import MAX_NETWORK_SIDE_PX, read_guarded
from simspine.io.video import describe_foreign_file
from simspine.vision.detector import Detector, extent_boxes

_OWN_NETWORKS = Path(__file__).resolve().with_name("networks")  # all others are tried first: their work may not end
_PROVIDER_OF_DEVICE = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

_EXTERNAL_DATA = re.compile(rb"\n\x08location\x12([\x80-\xff]?[\0-\x7f])")  # an entry of ONNX, up to its text's length
_MAX_REASON_CHARACTERS = 160  # characters of onnxruntime's own message that are quoted


def fastest_device() -> str | None:
    """'cuda' where the installed onnxruntime supports it, else None."""
    import onnxruntime

    return "cuda" if _PROVIDER_OF_DEVICE["cuda"] in onnxruntime.get_available_providers() else None


def open_session(weights: str | Path, device: str = "cpu"):
    """An `onnxruntime.InferenceSession`.

    device: 'cpu', 'cuda' or 'cuda:N'. Raises `InputError` for a file that is no ONNX network or computes without end,
    and for a device that is missing: onnxruntime would use the CPU silently.
    """
    import onnxruntime

    kind, _, number = device.partition(":")
    if kind not in _PROVIDER_OF_DEVICE or (number and (kind == "cpu" or not number.isdigit())):
        raise InputError(f"device is {device!r}, expected 'cpu', 'cuda' or 'cuda:N'.")
    provider = _PROVIDER_OF_DEVICE[kind]
    available = onnxruntime.get_available_providers()
    if provider not in available:
        text = f"device {device!r} needs onnxruntime's {provider}; the build offers {', '.join(available)}"
        raise InputError(f"{text}. Install onnxruntime-gpu in place of onnxruntime, or use device 'cpu'.")
    path = Path(weights)
    if path.is_file() and path.resolve().parent != _OWN_NETWORKS:
        read_guarded("ONNX", path, network_files(path)[1:])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, and need no line of their own
    try:
        session = onnxruntime.InferenceSession(
            str(weights), options, providers=[(provider, {"device_id": int(number)} if number else {})]
        )
    except Exception as error:  # onnxruntime raises classes of its compiled part
        text = f"{weights} cannot be opened as an ONNX network: {_fault_text(path, error)}"
        raise InputError(f"{text}. Export the network again, or copy its file again.") from None
    if session.get_providers()[0] != provider:
        raise InputError(f"{provider} could not be started for {weights}. Check the CUDA installation, or use 'cpu'.")
    return session


def _fault_text(path: Path, error: Exception) -> str:
    """The fault of a file that onnxruntime refuses, in a few words."""
    found = describe_foreign_file(path) if path.is_file() else "no file"
    if found:
        return f"it is {found}"
    if type(error).__name__ == "InvalidProtobuf":
        return "it is no ONNX file, or was cut short"
    return f"onnxruntime refuses it ({_onnxruntime_reason(error)})"


def _onnxruntime_reason(error: Exception) -> str:
    """The first line of onnxruntime's message, without its codes and places in its source."""
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error)).strip().splitlines()
    line = re.sub(r"^/\S+:\d+ .*?\) ", "", text[0]) if text else type(error).__name__
    ending = "…" if len(line) > _MAX_REASON_CHARACTERS else ""
    return (line[:_MAX_REASON_CHARACTERS].rstrip() + ending).rstrip(".")


def run_session(session, images: np.ndarray, weights: str | Path, outputs: int | None = None) -> list[np.ndarray]:
    """Outputs of a network for a batch of images, with one entry for each image.

    outputs: number of outputs, the first ones; default: all. weights: the network's file. Raises `InputError` where it
    fails, or where outputs differ from those declared in the file."""
    declared = session.get_outputs()[:outputs]
    try:
        results = session.run(None, {session.get_inputs()[0].name: images})[:outputs]
    except Exception as error:  # onnxruntime raises classes of its compiled part
        text = f"{weights}: the network fails on images of shape {images.shape} ({_onnxruntime_reason(error)})"
        raise InputError(f"{text}. Export it again for such images.") from None
    for output, result in zip(declared, results, strict=True):
        wanted = [len(images), *output.shape[1:]]
        shape, kind = getattr(result, "shape", ()), getattr(result, "dtype", np.dtype(object)).kind
        expected = [n if isinstance(side, str | None) else side for side, n in zip(wanted, shape, strict=False)]
        if kind != "f" or len(wanted) != len(shape) or expected != list(shape) or 0 in shape:
            text = f"{weights}: the output {output.name} is of shape {shape}, announced as {wanted}"
            raise InputError(f"{text}. Export it again.")
    return results


def input_shape(session, fallback: tuple[int, int], weights: str | Path) -> tuple[int, int]:
    """(height, width) of a network's input images (batch, 3, height, width); `fallback` where its file does not fix it.

    weights: its file, for the `InputError` about other inputs.
    """
    inputs = session.get_inputs()
    shape = inputs[0].shape if inputs else []
    if len(inputs) != 1 or len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
        found = "; ".join(f"{entry.name} {entry.shape}" for entry in inputs) or "none"
        raise InputError(f"{weights}: the network's inputs are {found}; expected one of (batch, 3, height, width).")
    if inputs[0].type != "tensor(float)":
        raise InputError(f"{weights}: the network's input is {inputs[0].type}, expected tensor(float).")
    height, width = (s if isinstance(s, int) else f for s, f in zip(shape[2:], fallback, strict=True))
    if not 0 < min(height, width) <= max(height, width) <= MAX_NETWORK_SIDE_PX:
        raise InputError(f"{weights}: the network's images are {height} × {width} px, at most {MAX_NETWORK_SIDE_PX}.")
    return height, width


def output_shapes(session, size: tuple[int, int], weights: str | Path) -> list[list]:
    """Shapes of a network's outputs. If the file leaves sides open, as some exporters do, the network is run once."""
    shapes = [output.shape for output in session.get_outputs()]
    if all(isinstance(side, int) for shape in shapes[:2] for side in shape[1:]):
        return shapes
    return [list(part.shape) for part in run_session(session, np.zeros((1, 3, *size), np.float32), weights)]


# Points from heat maps, to fractions of a cell, for networks such as HRNet and ViTPose.
# A heat map is trained to be a Gaussian around the point. Its greatest cell is found, and moved to the vertex of the
# logarithm of the map, a parabola around the point: one Newton step from second differences
# (DARK, Zhang et al. 2020, "Distribution-aware coordinate representation for human pose estimation"). The map is
# smoothed before, so that noise does not distort the parabola; a Gaussian remains a Gaussian.


GAUSSIAN_KERNEL_CELLS = 11  # OpenCV's Gaussian of this size has a standard deviation of 2 cells, that of trained maps
MIN_HEAT_LOGARITHM = 1e-10  # least value of a map before its logarithm is taken
MAX_REFINEMENT_CELLS = 1.0  # largest move of a maximum along each axis, cells


def decode_heatmaps(maps: np.ndarray, size: tuple[int, int], unbiased: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Maps (people, points, rows, columns) → points (people, points, 2) px of the crop, confidence (people, points).

    size: (height, width) px of the crop. unbiased: the first and last cells' centres are those of the crop's first and
    last pixels (UDP, Huang et al. 2020: ViTPose); else a cell stands for a block of whole pixels (HRNet). The
    confidence is the map's maximum, clipped to 0…1. Points are NaN where it is not positive (the network saw nothing).
    """
    people, points, rows, columns = maps.shape
    greatest = maps.reshape(people, points, rows * columns).argmax(-1)
    cells = np.stack([greatest % columns, greatest // columns], -1)  # (people, points, 2)
    confidence = np.clip(maps.max((2, 3)), 0.0, 1.0).astype(float)
    pairs = zip(maps.reshape(people * points, rows, columns), cells.reshape(-1, 2), strict=True)
    xy = cells + np.array([_refined_maximum(heat, cell) for heat, cell in pairs]).reshape(cells.shape)
    grid, crop = np.array([columns, rows]), np.array(size[::-1])
    scale = (crop - 1) / np.maximum(grid - 1, 1) if unbiased else crop / grid
    return np.where(confidence[..., None] > 0, xy * scale, np.nan), confidence


def _refined_maximum(heat: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Offset (2,) in cells from the greatest cell (x, y) to the vertex of the parabola through the logarithms around.

    0 at the map's edge, or where the surface has no maximum.
    """
    import cv2

    x, y = cell
    if not (1 <= x < heat.shape[1] - 1 and 1 <= y < heat.shape[0] - 1):
        return np.zeros(2)
    reach = GAUSSIAN_KERNEL_CELLS // 2 + 1
    low = np.maximum([y - reach, x - reach], 0)
    around = np.ascontiguousarray(heat[low[0] : y + reach + 1, low[1] : x + reach + 1], np.float32)
    smooth = cv2.GaussianBlur(around, (GAUSSIAN_KERNEL_CELLS, GAUSSIAN_KERNEL_CELLS), 0, borderType=cv2.BORDER_CONSTANT)
    row, column = y - low[0], x - low[1]
    near = np.log(np.maximum(smooth[row - 1 : row + 2, column - 1 : column + 2].astype(float), MIN_HEAT_LOGARITHM))
    slope = np.array([near[1, 2] - near[1, 0], near[2, 1] - near[0, 1]]) / 2
    bend_x = near[1, 2] - 2 * near[1, 1] + near[1, 0]
    bend_y = near[2, 1] - 2 * near[1, 1] + near[0, 1]
    twist = (near[2, 2] - near[2, 0] - near[0, 2] + near[0, 0]) / 4
    determinant = bend_x * bend_y - twist**2
    if bend_x >= 0 or determinant <= 0:  # a saddle, or flat
        return np.zeros(2)
    step = -np.array([bend_y * slope[0] - twist * slope[1], bend_x * slope[1] - twist * slope[0]]) / determinant
    return np.clip(step, -MAX_REFINEMENT_CELLS, MAX_REFINEMENT_CELLS)


SPINEPOSE_SIZES = ("small", "medium", "large", "xlarge")
# v1: trained on SpineTrack; v2: on SIMSPINE as well
SPINEPOSE_MODELS = {("v1", "xlarge"), *product(("v1", "v2"), SPINEPOSE_SIZES[:-1])}
BOX_PADDING = 1.25  # side of the crop relative to the box, as in training
UNBIASED_NAME_PARTS = ("udp", "vitpose", "sapiens")  # in file names of networks that give unbiased heat maps
IMAGENET_MEAN = np.array([123.675, 116.28, 103.53], np.float32)  # ImageNet, order red green blue
IMAGENET_SD = np.array([58.395, 57.12, 57.375], np.float32)


class SpinePose:
    """A network of SimCC or heat maps on onnxruntime; crops of all views and people are processed in one call if the
    network takes batches.

    weights: path of an ONNX file, or a model id (see `find_weights`). device: 'cpu', 'cuda', 'cuda:N'. finder: detector
    whose points give the boxes if `detect` gets none; the whole image without it. people: most per image. The network
    gets red, green and blue in this order, as RTMPose is trained; the released SpinePose code gives blue first, as
    OpenCV reads images, and smooths the spine of its v1 models.
    Heat maps are decoded as unbiased (UDP) where the file's name contains one of `UNBIASED_NAME_PARTS`.
    """

    def __init__(
        self, weights: str | Path = "medium", device: str = "cpu", finder: Detector | None = None, people: int = 4
    ):
        path = self._path = find_weights(weights)
        self._session = open_session(path, device)
        self._size = input_shape(self._session, (384, 288) if "384x288" in path.name else (256, 192), path)
        self._points, self._maps = _network_outputs(output_shapes(self._session, self._size, path), path)
        self._unbiased = reads_unbiased(path)
        self.skeleton = skeletons.skeleton_of_size(self._points).name
        self.people = people
        self._finder = finder

    def detect(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray | None] | None = None
    ) -> list[np.ndarray]:
        given = [None] * len(images) if boxes is None else list(boxes)
        found: Sequence[Any] = [()] * len(images)
        if self._finder is not None and any(box is None for box in given):
            found = self._finder.detect(images)
        boxes_by_view = [
            (extent_boxes(people, image.shape[1::-1]) if box is None else _checked_boxes(box))[: self.people]
            for box, people, image in zip(given, found, images, strict=True)
        ]
        crops = [
            (image, frame_box(box, self._size))
            for image, rows in zip(images, boxes_by_view, strict=True)
            for box in rows
        ]
        return np.split(self._run(crops), np.cumsum([len(rows) for rows in boxes_by_view])[:-1])

    def _run(self, crops) -> np.ndarray:
        """Points (people, points, 3) of pairs of an image and a box as of `frame_box`."""
        if not crops:
            return np.empty((0, self._points, 3))
        batch = np.stack([self._crop(image, frame) for image, frame in crops])
        network = self._session.get_inputs()[0]
        size = network.shape[0]
        if isinstance(size, int) and size != 1:
            raise InputError(
                f"{self._path}: the network takes exactly {size} images at a time; export it with a free batch axis."
            )
        parts = np.split(batch, len(batch)) if size == 1 else [batch]
        maps = [run_session(self._session, part, self._path, self._maps) for part in parts]
        outputs = [np.concatenate(axis) for axis in zip(*maps, strict=True)]
        if not all(np.isfinite(output).all() for output in outputs):
            raise InputError(f"{self._path}: the network gives infinite or no numbers; export it again, in float32.")
        if self._maps == 1:
            xy, confidence = decode_heatmaps(outputs[0], self._size, self._unbiased)
        else:
            xy, confidence = decode_simcc(outputs[0], outputs[1], self._size)
        frame = np.array([f for _, f in crops])[:, None]
        scale = frame[..., 2:] / np.array(self._size[::-1])
        return np.concatenate([frame[..., :2] + xy * scale, confidence[..., None]], -1)

    def _crop(self, image: np.ndarray, frame: np.ndarray) -> np.ndarray:
        import cv2

        height, width = self._size
        x0, y0, w, h = frame
        matrix = np.array([[width / w, 0, -x0 * width / w], [0, height / h, -y0 * height / h]])
        return normalised_crop(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR))

    def forget(self) -> None:
        """See `Detector.forget`: SpinePose follows nobody, but the finder may."""
        if self._finder is not None:
            self._finder.forget()

    def close(self) -> None:
        self._session = None
        if self._finder is not None:
            self._finder.close()


def reads_unbiased(path: str | Path) -> bool:
    """Whether the heat maps of a network's file are unbiased, by its name."""
    return any(word in Path(path).name.lower() for word in UNBIASED_NAME_PARTS)


def frame_box(box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """x0 y0 x1 y1 → x0, y0, width, height px of the network's crop: padded, and widened to the aspect of (h, w)."""
    centre, extent = (box[:2] + box[2:]) / 2, BOX_PADDING * (box[2:] - box[:2])
    aspect = size[1] / size[0]
    width = max(extent[0], extent[1] * aspect)
    return np.r_[centre - [width / 2, width / aspect / 2], width, width / aspect]


def normalised_crop(crop: np.ndarray) -> np.ndarray:
    """(height, width, 3) uint8 BGR → (3, height, width) float32 RGB, standardised by ImageNet's mean and deviation."""
    return ((crop[..., ::-1].astype(np.float32) - IMAGENET_MEAN) / IMAGENET_SD).transpose(2, 0, 1)


def decode_simcc(x: np.ndarray, y: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """SimCC maps (people, points, bins) → points (people, points, 2) px of the crop, confidence (people, points).

    A point is the bin of the greatest value; its confidence is the mean of the two greatest values, clipped to 0…1.
    Points are NaN where it is not positive (the network saw nothing).
    """
    split = np.array([x.shape[-1] / size[1], y.shape[-1] / size[0]])
    xy = np.stack([x.argmax(-1), y.argmax(-1)], -1) / split
    confidence = np.clip((x.max(-1) + y.max(-1)) / 2, 0.0, 1.0).astype(float)
    return np.where(confidence[..., None] > 0, xy, np.nan), confidence


def find_weights(weights: str | Path) -> Path:
    """The ONNX file of a path or of a model id: 'medium', 'v1/medium', 'spinepose_v2_medium' (`SPINEPOSE_SIZES`).

    The optional package spinepose resolves ids, and downloads weights at first use. Default version: the newest.
    """
    check_weights(weights)
    path = Path(weights)
    if path.is_file():
        return path
    version, size = _model_id(str(weights))
    from spinepose.pose_estimator import SpinePoseEstimator
    from spinepose.tools.utils.file import download_checkpoint

    address = SpinePoseEstimator.MODE[size]["pose"]
    address = address % {"v1": "spinetrack", "v2": "simspine"}[version] if "%s" in address else address
    try:
        return Path(download_checkpoint(address))
    except OSError as error:
        text = f"the weights of SpinePose's model {str(weights)!r} could not be downloaded ({error})"
        raise InputError(f"{text}. Without network, copy the ONNX file and hand in its path.") from None


def check_weights(weights: str | Path) -> None:
    """`InputError` for neither a file nor a model id, and for an id if the package spinepose is not installed."""
    known_weights(weights)
    if not Path(weights).is_file() and find_spec("spinepose") is None:
        raise InputError(
            f"SpinePose's model {str(weights)!r} needs the package spinepose: pip install 'simspine[spinepose]'. "
            "Its code and weights are licensed CC-BY-NC-4.0: not for commercial use. "
            "Or hand in the path of an ONNX file."
        )


def known_weights(weights: str | Path) -> None:
    """`InputError` for a text that is neither a file nor a model id."""
    if not Path(weights).is_file():
        _model_id(str(weights))


def network_files(weights: str | Path) -> tuple[Path, ...]:
    """An ONNX file and the files in its folder that contain its weights (external data); () for a model id."""
    path, names = Path(weights), set()
    content = path.read_bytes() if path.is_file() else b""
    for entry in _EXTERNAL_DATA.finditer(content):
        length = sum(byte % 128 << 7 * i for i, byte in enumerate(entry[1]))
        names.add(os.fsdecode(content[entry.end() : entry.end() + length]))
    for name in names:
        if not name.isprintable() or Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{path}: its weights are in {name!r:.100}, not in its folder. Export the network again.")
    return (path, *(path.parent / name for name in sorted(names))) if content else ()


def _model_id(text: str) -> tuple[str, str]:
    parts = text.removeprefix("spinepose_").replace("/", "_").split("_")
    size = parts[-1]
    version = parts[0] if len(parts) == 2 else ("v1" if size == "xlarge" else "v2")
    if len(parts) > 2 or (version, size) not in SPINEPOSE_MODELS:
        ids = f"{', '.join(SPINEPOSE_SIZES)}, with v1/ or v2/ before it for a version (xlarge: v1 only)"
        raise InputError(f"SpinePose's weights {text!r}: {missing_file(text)}, and no model id. Ids: {ids}.")
    return version, size


def _network_outputs(shapes: list[list], path: Path) -> tuple[int, int]:
    """Number of points of a network, and number of maps for each: two along the axes (SimCC), or one heat map."""
    simcc = [shape for shape in shapes[:2] if len(shape) == 3 and all(shape[1:])]
    if len(simcc) == 2 and simcc[0][1] == simcc[1][1]:
        return simcc[0][1], 2
    if shapes and len(shapes[0]) == 4 and all(shapes[0][1:]):
        return shapes[0][1], 1
    wanted = "two of (people, points, bins), or one of heat maps (people, points, rows, columns)"
    raise InputError(f"{path} is no SimCC pose network: outputs {shapes}, expected {wanted}.")


def _checked_boxes(boxes) -> np.ndarray:
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    if not np.isfinite(boxes).all() or (boxes[:, 2:] <= boxes[:, :2]).any():
        raise InputError(f"person boxes must be x0 y0 x1 y1 with x0 < x1, y0 < y1; got {boxes.tolist()}.")
    return boxes
