"""Files that were named for something else are told by how they begin."""

import cv2
import numpy as np
import pytest

from simspine.io.video import describe_foreign_file

PICTURE = np.zeros((8, 8, 3), np.uint8)
CASES = {
    "empty": (b"", "empty"),
    "text": ("hello — Schön\n".encode(), "a text file, which begins with “hello — Schön”"),
    "long text": (b"word " * 1000, "a text file, which begins with “word word word word word word…”"),
    "picture": (cv2.imencode(".png", PICTURE)[1].tobytes(), "a PNG picture"),
    "photograph": (cv2.imencode(".jpg", PICTURE)[1].tobytes(), "a JPEG picture"),
    "bytes": (bytes(range(256)), ""),
    "video, cut short": (b"\0\0\0\x18ftypmp42\0\0\0\0", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_is_what_it_begins_as(case, tmp_path):
    content, expected = CASES[case]
    path = tmp_path / "file.mp4"
    path.write_bytes(content)
    assert describe_foreign_file(path) == expected


def test_a_letter_cut_by_the_end_of_what_is_read_does_not_matter(tmp_path):
    path = tmp_path / "letters.txt"
    path.write_text("x" + "ä" * 4000, encoding="utf-8")  # the 1024th byte is half of a letter
    assert describe_foreign_file(path).startswith("a text file")
