"""YAML that stands for more than it says is refused before anything is made of it."""

import time

import pytest

from simspine.core.errors import InputError
from simspine.core.settings import MAX_YAML_ENTRIES, read_yaml
from simspine.workflow.config import read_config


def written(tmp_path, text: str):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_aliases_are_read(tmp_path):
    assert read_yaml(written(tmp_path, "a: &a [1, 2]\nb: *a\nc: {<<: {x: 1}, y: *a}")) == {
        "a": [1, 2], "b": [1, 2], "c": {"x": 1, "y": [1, 2]},
    }  # fmt: skip


def bomb(levels: int, entry: str = "[*a{0}, *a{0}]") -> str:
    lines = [f"a{i}: &a{i} {entry.format(i - 1)}" for i in range(1, levels)]
    return "\n".join(["a0: &a0 {x: 1}", *lines])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (bomb(40), f"aliases stand for more than {MAX_YAML_ENTRIES}"),
        (bomb(40, "{{<<: [*a{0}, *a{0}]}}"), f"aliases stand for more than {MAX_YAML_ENTRIES}"),
        ("a: &a [*a]", "a piece that holds itself"),
        ("a: [1" + ",1" * 200_000 + "]", f"more than {MAX_YAML_ENTRIES} entries"),
        ("[" * 60 + "]" * 60, "levels of nesting"),
        ("[" * 30_000, "levels of nesting"),
        ("a: " + "- " * 2000, "cannot be read as YAML"),
        ("- " * 2000, "levels of nesting"),
        ("a0: &a0 1\n" + "".join(f"a{i}: &a{i} [[[*a{i - 1}]]]\n" for i in range(1, 40)), "levels of nesting"),
        ("a: 1\nb: " + "9" * 5000, "line 2: a number of 5000 characters"),
        ("a: " + ":".join(["59"] * 200_000), "a number of 599999 characters"),  # of base 60
        ("a: " + ":".join(["59"] * 2000) + ".5", "a number of 6001 characters"),
        ("a: 0b" + "1" * 9000, "a number of 9002 characters"),
        ("a: !!python/object/apply:os.system ['touch y']", "cannot be read as YAML"),
        ("x" * (1 << 21), "larger than 1 MiB"),
        ("a: 2024-99-99", "cannot be read as YAML"),
    ],
)
def test_what_is_refused(tmp_path, text, words):
    path = written(tmp_path, text)
    start = time.process_time()
    with pytest.raises(InputError, match=words) as caught:
        read_config(path)
    assert "mine.yaml" in str(caught.value)
    assert time.process_time() - start < 5


def test_a_folder_and_bytes_that_are_no_text(tmp_path):
    with pytest.raises(InputError, match="cannot be read as YAML"):
        read_yaml(tmp_path)
    (tmp_path / "x.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(InputError, match=r"x\.yaml is no text in UTF-8"):
        read_yaml(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\nresults: b\nname: c\n", r"mine\.yaml, line 3: the key 'name' stands in line 1 already"),
        ("subjects:\n  S1: {}\n  S2: {}\n  S1: {}\n", r"line 4: the key 'S1' stands in line 2 already"),
        ("a: {x: 1, 'x': 2}", r"line 1: the key 'x' stands in line 1 already"),
        ("- [{1: a, 1: b}]", r"line 1: the key '1'"),
    ],
)
def test_a_key_twice_is_refused_with_both_lines(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        read_yaml(written(tmp_path, text))


def test_equal_keys_of_different_mappings_and_merged_ones_are_read(tmp_path):
    text = "base: &base {x: 1, y: 2}\na: {<<: *base, x: 3}\nb: {x: 4, '1': text, 1: number}\n"
    read = read_yaml(written(tmp_path, text))
    assert read["a"] == {"x": 3, "y": 2}
    assert read["b"] == {"x": 4, "1": "text", 1: "number"}


@pytest.mark.parametrize("number", ["0070", "-06", "1:10", "00_7", "1:10.5"])
def test_numbers_of_base_8_and_60_are_refused_with_their_line(tmp_path, number):
    path = written(tmp_path, f"name: a\nmass: {number}\n")
    with pytest.raises(InputError, match=rf"mine\.yaml, line 2: {number} is another number in YAML"):
        read_yaml(path)


def test_numbers_with_a_zero_and_texts_are_read(tmp_path):
    path = written(tmp_path, "a: [0, 0.5, 10, 1.05e-3, '007', 0x1F]\n")
    assert read_yaml(path)["a"] == [0, 0.5, 10, 1.05e-3, "007", 31]
