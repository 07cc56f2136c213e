"""What a file is that was named for something else, by how it begins."""

from pathlib import Path

_BEGINNINGS = {  # of files, and what such a file is; the first that fits counts
    b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"GIF8": "a GIF picture",
    b"BM": "a BMP picture", b"%PDF": "a PDF document", b"PK\x03\x04": "a zip archive (or an Office document)",
    b"\x1f\x8b": "a gzip archive", b"\x89HDF": "an HDF5 file", b"\x93NUMPY": "a NumPy array",
    b"\x7fELF": "a program", b"version https://git-lfs": "a pointer of Git LFS, whose file was not fetched",
}  # fmt: skip
_SHOWN = 30  # characters of a text
_READ = 1024  # bytes


def what_it_is(path: Path) -> str:
    """'a text file, which begins with "…"', 'a PNG picture', …; '' where the beginning does not tell."""
    with path.open("rb") as file:
        start = file.read(_READ)
    if not start:
        return "empty"
    known = next((name for beginning, name in _BEGINNINGS.items() if start.startswith(beginning)), "")
    if known:
        return known
    try:
        text = start.decode("utf-8", "strict" if len(start) < _READ else "ignore")
    except UnicodeDecodeError:
        return ""
    if not all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text):
        return ""
    words = " ".join(text.replace("\ufeff", "").split())
    shown = words[:_SHOWN].rstrip() + "…" * (len(words) > _SHOWN)
    return f"a text file, which begins with “{shown}”" if words else "a text file of blanks"
