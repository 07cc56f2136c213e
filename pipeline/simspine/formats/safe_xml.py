"""XML from strangers: no document type, so no entities that expand or fetch, and no nesting that breaks the stack."""

import os
import xml.etree.ElementTree as ElementTree
from xml.parsers import expat

from simspine.errors import InputError
from simspine.formats._text import read_bytes

DEPTH = 32  # elements within elements; annotation files have six


def read_xml(path: str | os.PathLike) -> ElementTree.Element:
    """The root element. Raises `InputError` for what is no XML, for a document type, and for deep nesting."""
    content = read_bytes(path)
    depth = 0

    def refuse(*_) -> None:
        raise InputError(
            f"{path}: the file declares a document type (<!DOCTYPE …>), which can hold entities that expand without "
            "end. Remove the declaration."
        )

    def start(name: str, _) -> None:
        nonlocal depth
        depth += 1
        if depth > DEPTH:
            raise InputError(f"{path}: <{name:.40}> stands {depth} elements deep; at most {DEPTH} are read.")

    def end(_) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, end
    try:
        parser.Parse(content, True)
        return ElementTree.fromstring(content)
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not readable as XML ({error}).") from None
