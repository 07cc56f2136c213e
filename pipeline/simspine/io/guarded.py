"""Third-party readers in a separate process: a file that makes them crash, hang or fill the memory is refused.

ezc3d (C3D) is C++ and does not check a file's counts; cdflib follows an index without end and unpacks any amount of
data. Their results come back as plain arrays and JSON. Starting the process takes 0.3 to 0.5 s. An ONNX network, whose
work may have no end, is run there once before it is used; HDF5's texts of any length are read there once.
"""

import json
import os
import pickletools
import re
import signal
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from simspine.core.errors import InputError, naming_content, require_file
from simspine.io.atomic import ALWAYS_ALLOWED_BYTES, MAX_EXPANSION_FACTOR

# XML of unknown origin: no document type, so no entities that expand or fetch, and no nesting that breaks the stack.
_MAX_XML_DEPTH = 100  # elements within elements; models in use have about 15
_MAX_XML_TAGS = 500_000  # begins and ends of elements; the largest packaged model has 42,349


def parse_xml(text: str) -> ElementTree.Element:
    """The root element of a checked XML text."""
    if "<!DOCTYPE" in text:
        raise InputError("it declares a document type (<!DOCTYPE …>), whose entities can expand endlessly. Remove it.")
    if text.count("<") > _MAX_XML_TAGS:  # each takes 100 times its bytes
        raise InputError(f"it has more than {_MAX_XML_TAGS // 2} elements, which no model has.")
    parser: Any = ElementTree.XMLPullParser(("start", "end"))
    parser.feed(text)
    depth, events = 0, list(parser.read_events())  # a fault is raised here, with its line, which `close` would double
    parser.close()
    for event, element in (*events, *parser.read_events()):
        depth += 1 if event == "start" else -1
        if depth > _MAX_XML_DEPTH:
            raise InputError(f"its elements are nested deeper than {_MAX_XML_DEPTH} (<{element.tag:.40}>).")
    return element


# OpenSim names some elements after nested classes, `HuntCrossleyForce::ContactParameters`: no valid name in XML.


def opensim_xml(osim: str) -> ElementTree.Element:
    return ElementTree.fromstring(strict_xml(osim))


def strict_xml(osim: str) -> str:
    """A model's text with `..` for `::` in the names of elements, and comments empty: OpenSim allows `--` in them."""
    osim = re.sub(r"<!--.*?(?:-->|\Z)", lambda comment: "\n" * comment[0].count("\n"), osim, flags=re.DOTALL)
    return re.sub(r"(</?\w+)::(?=\w)", r"\1..", osim)


# Pickles are programs: their opcodes are only listed, nothing is called, and arrays are made from the bytes.
MAX_CALL_CHARACTERS = 200  # of the names of a function and its module


def pickled_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of numbers in a pickled dictionary. Raises `InputError` for any other file."""
    require_file(path)
    with naming_content(path, "a pickle of a dictionary of arrays, as OpenCap writes it; nothing in it was run"):
        content = _inert_pickle(Path(path).read_bytes())
        arrays = {name: _array_of_call(call) for name, call in content.items() if isinstance(call, list)}
        return {name: array for name, array in arrays.items() if array is not None}


def _inert_pickle(content: bytes) -> Any:
    """The object that a pickle's opcodes build; a call in it is [function's name, arguments, state]."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    marks: list[int] = []
    for step, argument, _ in pickletools.genops(content):
        name, first = step.name, len(stack) - 2
        if name == "MEMOIZE" or name.endswith("PUT"):
            memo[len(memo) if name == "MEMOIZE" else int(argument or 0)] = stack[-1]
        elif name.endswith("GET"):
            stack.append(memo[int(argument or 0)])
        elif name == "MARK":
            marks.append(len(stack))
        elif name.startswith("TUPLE"):
            first = marks.pop() if name == "TUPLE" else len(stack) - int(name[-1])
            stack[first:] = [tuple(stack[first:])]
        elif name.startswith("SETITEM"):
            first = marks.pop() if name == "SETITEMS" else first
            if not all(isinstance(key, str) for key in stack[first::2]):  # nested tuples take years to hash
                raise ValueError("a dictionary has keys that are no texts")
            stack[first - 1].update(zip(stack[first::2], stack[first + 1 :: 2], strict=True))
            del stack[first:]
        elif name == "STACK_GLOBAL":
            stack[first:] = [" ".join(stack[first:])[-MAX_CALL_CHARACTERS:]]  # else it doubles with each step
        elif name.startswith(("APPEND", "ADDITEMS")):  # what lists and sets hold is not needed
            del stack[first + 1 if name == "APPEND" else marks.pop() :]
        elif name in ("REDUCE", "NEWOBJ"):
            stack[first:] = [[*stack[first:], ()]]
        elif name == "BUILD":
            state = stack.pop()
            stack[-1][-1] = state
        elif name not in ("PROTO", "FRAME", "STOP"):
            stack.append({"NEWTRUE": True, "NEWFALSE": False, "EMPTY_DICT": {}}.get(name, argument))
    return stack[-1]


def _array_of_call(call: list) -> np.ndarray | None:
    """The array of numbers that a recorded call would make; None if it makes anything else."""
    if not call[0].endswith((" _reconstruct", " _frombuffer")):  # the latter of protocol 5
        return None
    content, number, shape, layout = call[1] if call[0][-1] == "r" else (call[-1][i] for i in (4, 2, 1, 3))
    (kind, *_), (_, order, *_) = number[1:]
    if kind[0] not in "iuf":
        return None
    if isinstance(content, list):  # the oldest pickles hold bytes as a text
        content = content[1][0].encode("latin1")
    numbers = np.frombuffer(content, np.dtype(kind).newbyteorder(order.replace("|", "=")))
    return numbers.reshape(shape, order="F" if layout in (True, "F") else "C")


# Code of the child process, which reads a file with a third-party library and writes plain arrays.
SMALLEST_CDF_RECORD = 28  # bytes
REFUSED_EXIT_CODE = 2  # exit code of the child if stderr holds a message for the user
_LIBRARY_ADDRESS_SPACE = 512 << 20  # bytes for Python and the libraries, which take 120 MB before a file is opened


def run_guarded_reader() -> None:
    """Read a file in the child. Arguments: kind of file, .npz to write, bytes, seconds, file; errors go to stderr."""
    kind, out, memory, seconds, path = sys.argv[1:]
    try:
        readers = {"C3D": _c3d_arrays, "CDF": _cdf_arrays, "HDF5": _read_texts, "ONNX": _run_network}
        _limit_resources(int(memory), int(seconds))
        arrays, metadata = readers[kind](path)
        content = json.dumps(metadata, default=lambda value: value.tolist() if hasattr(value, "tolist") else str(value))
        np.savez(out, said=np.frombuffer(content.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    except InputError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(REFUSED_EXIT_CODE)
    except Exception as error:  # damaged files end in many ways
        print(_library_reason(error), file=sys.stderr)
        sys.exit(1)


def _library_reason(error: Exception) -> str:
    """The library's message; if it has one word or none, preceded by the type of the error (KeyError: 'LABELS')."""
    text = " ".join((getattr(error, "strerror", None) or str(error)).split())
    return text if " " in text else f"{type(error).__name__}: {text}".rstrip(": ")


def _limit_resources(memory: int, seconds: int) -> None:
    """Limit memory, core files and processor time where the system can; the child must also end without its parent."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_AS, (_LIBRARY_ADDRESS_SPACE + memory, _LIBRARY_ADDRESS_SPACE + memory))


def _c3d_arrays(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """points (4, points, frames), residuals (1, points, frames), poses (4, 4, segments, frames); the header."""
    import ezc3d

    file = ezc3d.c3d(path)
    parameters = {
        group: {
            name: {"value": entry["value"]}
            for name, entry in entries.items()
            if isinstance(entry, dict) and "value" in entry
        }
        for group, entries in file["parameters"].items()
    }
    header = {group: dict(entries) for group, entries in file["header"].items()}
    data = file["data"]
    arrays = {"points": data["points"], "residuals": data["meta_points"]["residuals"], "poses": data["rotations"]}
    return arrays, {"parameters": parameters, "header": header}


def _cdf_arrays(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The variable `Pose` of one of Human3.6M's files."""
    import cdflib

    _check_records(Path(path))
    file = cdflib.CDF(Path(path))
    _check_records(Path(file.file))  # the unpacked copy of a compressed file
    names = [*file.cdf_info().rVariables, *file.cdf_info().zVariables]
    if "Pose" not in names:
        raise InputError(f"no variable 'Pose' in the file; found {', '.join(names) or 'none'}.")
    values = file.varget("Pose")
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        raise ValueError("its variable 'Pose' holds no numbers")
    return {"pose": values.astype(float)}, {}


def _read_texts(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read all texts of any length of an HDF5 file. Only a lack of memory is an error, as of networks."""
    import h5py

    with h5py.File(path) as file:
        nodes: list[Any] = [file]
        file.visititems(lambda _, node: nodes.append(node))
        places: list[tuple[Any, Any]] = [(node.attrs, name) for node in nodes for name in node.attrs]
        places += [(node, ()) for node in nodes if isinstance(node, h5py.Dataset) and node.dtype.hasobject]
        for holder, name in places:
            try:
                holder[name]
            except Exception as error:  # h5py has one class for all that HDF5 says
                if isinstance(error, MemoryError) or "alloc" in str(error):
                    raise InputError("a text in it states more bytes than the file can hold.") from None
    return {}, {}


MAX_NETWORK_SIDE_PX = 4096  # largest side of a network's input images
_FIXED = range(1, MAX_NETWORK_SIDE_PX + 1)
FREE_SIDE_PX = 256  # side of the image for a trial where a network's file leaves it open


def _run_network(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Open a network and run it on zeros. Only a lack of memory is an error: who opens it next meets all others."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4  # fatal errors only
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        sides = {i.name: [n if n in _FIXED else FREE_SIDE_PX for n in i.shape[1:]] for i in session.get_inputs()}
        session.run(None, {name: np.zeros([1, *image], np.float32) for name, image in sides.items()})
    except Exception as error:  # onnxruntime raises classes of its compiled part
        if "alloc" in str(error):
            raise InputError("it takes more memory than a network of its size may. Do you know its source?") from None
    return {}, {}


def _check_records(path: Path) -> None:
    """Raise `ValueError` where the second record announces more bytes or records than there are; cdflib trusts it."""
    content = path.read_bytes()
    if content[4:8] != b"\0\0\xff\xff":
        return  # compressed
    width = 8 if content.startswith(b"\xcd\xf3") else 4
    start = int.from_bytes(content[12 + width : 12 + 2 * width], "big")
    place = start + 4 + 4 * width
    end = int.from_bytes(content[place : place + width], "big")
    if max(start, end) > len(content):
        raise ValueError(f"{len(content)} of {max(start, end)} bytes are there")
    variables, attributes, _, dimensions, others = struct.unpack_from(">5I", content, place + width)
    if SMALLEST_CDF_RECORD * max(variables, attributes, dimensions, others) > len(content):
        raise ValueError("its header announces more records than the file can hold")


MIN_READ_SECONDS, SECONDS_PER_BYTE = 3.0, 1e-6  # s of processor time; starting takes 0.5 s, reading 50 MB/s and more
MAX_WAIT_FACTOR = 20.0  # wall-clock limit as a multiple of the processor time: 6 refused sound files on busy machines
_CHILD_CODE = "from simspine.io.guarded import run_guarded_reader; run_guarded_reader()"
_CHILD_COMMAND = (sys.executable, "-P", "-c", _CHILD_CODE)


def read_guarded(
    kind: str, path: str | os.PathLike, parts: Sequence[Path] = ()
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays by name, and other contents, of a file. kind: of the reader. parts: other files that the reader opens."""
    require_file(path)
    size = sum(Path(file).stat().st_size for file in (path, *parts) if os.path.isfile(file))
    memory, seconds = ALWAYS_ALLOWED_BYTES + MAX_EXPANSION_FACTOR * size, MIN_READ_SECONDS + SECONDS_PER_BYTE * size
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="simspine-") as folder:
        out = Path(folder) / "found.npz"
        environment["TMPDIR"] = folder  # temporary files of a reader are removed with the folder
        command = [*_CHILD_COMMAND, kind, str(out), str(memory), str(round(seconds) + 1), os.path.abspath(path)]
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=MAX_WAIT_FACTOR * seconds, check=False, env=environment,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired as end:
            late = f"its reader found no end in {end.timeout:.0f} s"
            raise InputError(f"{path}: {late}; damaged, or this computer overloaded?") from None
        if os.name == "posix" and done.returncode == -signal.SIGXCPU:
            raise InputError(f"{path}: its reader found no end in {seconds:.0f} s; damaged?")
        words = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        if words and done.returncode == REFUSED_EXIT_CODE:
            raise InputError(f"{path}: {words[0]}")
        if done.returncode:
            reason = words[0][:300] if words and done.returncode == 1 else f"its reader ended with {done.returncode}"
            raise InputError(f"{path}: cannot be read as {kind}; cut short or damaged? ({reason}) Copy it anew.")
        with np.load(out, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    return arrays, json.loads(arrays.pop("said").tobytes())
