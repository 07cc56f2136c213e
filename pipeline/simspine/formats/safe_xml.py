"""XML from strangers: no document type, so no entities that expand or fetch, and no nesting that breaks the stack.

defusedxml refuses the former and not the latter; the standard library's parser tells of both while it reads.
"""

import os
import xml.etree.ElementTree as ElementTree

from simspine.errors import InputError
from simspine.formats._text import read_bytes

DEPTH = 32  # elements within elements; annotation files have six


class _LimitedTree(ElementTree.TreeBuilder):
    def __init__(self, deepest: int):
        super().__init__()
        self.deepest, self.depth = deepest, 0

    def doctype(self, *_) -> None:
        raise InputError(
            "the file declares a document type (<!DOCTYPE …>), which can hold entities that expand without end. Remove "
            "the declaration."
        )

    def start(self, tag, attrs):
        self.depth += 1
        if self.depth > self.deepest:
            raise InputError(f"its elements are nested deeper than {self.deepest} (<{tag:.40}>).")
        return super().start(tag, attrs)

    def end(self, tag):
        self.depth -= 1
        return super().end(tag)


def parse_xml(content: bytes, deepest: int, encoding: str | None = None) -> ElementTree.Element:
    """The root element. Raises `InputError` for a document type and for nesting deeper than `deepest`, and what
    ElementTree raises for what is no XML. encoding: instead of the one that the file declares."""
    parser = ElementTree.XMLParser(target=_LimitedTree(deepest), encoding=encoding)
    return ElementTree.fromstring(content, parser)


def read_xml(path: str | os.PathLike) -> ElementTree.Element:
    """The root element of a file. Raises `InputError` for what is no XML, for a document type, and for deep nesting."""
    content = read_bytes(path)
    try:
        return parse_xml(content, DEPTH)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{path}: not readable as XML ({error}).") from None
