"""YAML that stands for more than it says is refused before anything is made of it; what is wrong is named."""

import random
import re
import time
from pathlib import Path

import pytest
import yaml

from simspine.core.errors import InputError
from simspine.core.settings import MAX_YAML_ENTRIES, models_folder, parse_yaml, read_yaml
from simspine.io.text_tables import parse_toml
from simspine.workflow.config import read_config


def read_toml(path):
    return parse_toml(path.read_text(encoding="utf-8"), path)


def written(tmp_path, text: str):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(autouse=True, params=[True, False], ids=["libyaml", "Python"])
def has_libyaml(request, monkeypatch):
    """Every test runs as where PyYAML has libyaml, and as where it has not."""
    if request.param and not yaml.__with_libyaml__:
        pytest.skip("PyYAML is built without libyaml here")
    monkeypatch.setattr(yaml, "__with_libyaml__", request.param)
    return request.param


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


BACKSLASH, COMMA = r"In double quotes \\ begins an escape", "Write decimal points, not commas"


@pytest.mark.parametrize(
    ("text", "read", "cause"),
    [
        ('a: "D:\\Lab\\cam1.mp4"', read_yaml, BACKSLASH),
        ('a = "E:\\Users\\cam"', read_toml, BACKSLASH),
        ("K = [\n  1402,25,\n  0,0,\n  08,5\n]", read_toml, COMMA),
        ("t = [0,25 1,5 -2,75]", read_toml, COMMA),
        ("height = 1,68", read_toml, COMMA),
        ("a = [1,2,3]\nb = [4,5\n", read_toml, ""),
        ("a: [b, 'c'", read_yaml, ""),
    ],
)
def test_what_keeps_a_file_from_being_read_is_named(tmp_path, text, read, cause):
    with pytest.raises(InputError, match=cause) as caught:
        read(written(tmp_path, text))
    assert bool(cause) == any(re.search(words, str(caught.value)) for words in (BACKSLASH, COMMA))


def test_an_escape_that_became_part_of_a_path(tmp_path):
    file = read_yaml(written(tmp_path, 'video: "F:\\rehab\\north.mp4"'))["video"]
    with pytest.raises(InputError, match=r"'F:\\rehab\\north.mp4': no such file. " + BACKSLASH):
        read_yaml(file)
    (tmp_path / "two\nlines.yaml").write_text("a: 1")  # where it is the name of a file, it is read
    assert read_yaml(tmp_path / "two\nlines.yaml") == {"a": 1}


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


PIECES = (
    ": ", "- ", "? ", "?", "[", "]", "{", "}", ", ", "\n", "\n  ", " ", " #", "'", '"', "|\n", ">-\n", "&a ", "*a",
    "<<: ", "!!str ", "!x ", "%YAML 1.1\n", "---\n", "...\n", "\t", "\\", "\r\n", "\x85", "\u2028", "\ufeff", "\x00",
    "é", "~", "yes", "0x1F", "1_0", "1e3", ".5", "2024-01-01", "a:b", ":a", "-a", "''", "@", "`",
)  # fmt: skip


def mutant(rng: random.Random, text: str) -> str:
    """A piece of the text with some characters put in, taken out or copied."""
    start = rng.choice((0, rng.randrange(len(text))))
    text = text[start : start + rng.choice((40, 300, 1500))]
    for _ in range(rng.choice((1, 1, 2, 5))):
        place, other = rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)
        put = rng.choice((rng.choice(PIECES), rng.choice(PIECES), "", text[other : other + 20]))
        text = text[:place] + put + text[place + (rng.choice((1, 3, 20)) if not put else 0) :]
    return text


def outcome(content: bytes, numbers: bool) -> str:
    try:
        return repr(parse_yaml(content, "mine.yaml", numbers))
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("has_libyaml", [True], indirect=True)
def test_libyaml_and_python_read_alike(has_libyaml, monkeypatch):
    """Values and messages of PyYAML's own reader, for files as they are and for mutants of them."""
    folders = (models_folder(), models_folder().parent / "configs", Path(__file__).parent / "corpus/fuzz/configuration")
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    texts, rng = [path.read_text("utf-8", errors="replace") for path in files], random.Random(42)
    mutants = [mutant(rng, rng.choice(texts) + "\n ") for _ in range(400)]
    contents = [text.encode("utf-8", "surrogatepass") for text in (*texts, *mutants)]
    kinds = [number % 3 > 0 for number in range(len(contents))]
    fast = list(map(outcome, contents, kinds))
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert fast == list(map(outcome, contents, kinds))
    assert sum("cannot be read as YAML" not in text for text in fast) > 150  # of mutants, too, many are YAML


@pytest.mark.parametrize("has_libyaml", [True], indirect=True)
def test_what_libyaml_reads_and_simspine_refuses_is_read_once(has_libyaml, monkeypatch):
    """PyYAML took 14 s for 65,000 keys that libyaml had read in 2."""
    monkeypatch.setattr(yaml, "SafeLoader", None)
    with pytest.raises(InputError, match=r"^x, line 2: the key 'a' stands in line 1 already"):
        parse_yaml(b"a: 1\na: 2", "x")


@pytest.mark.parametrize("text", ["a: |#b", "a: >-#b\n  c", "a: |2#b"])
def test_a_comment_at_the_sign_of_a_long_text_is_refused(text):
    """As PyYAML does; libyaml would read it."""
    with pytest.raises(InputError, match="cannot be read as YAML"):
        parse_yaml(text.encode(), "x")


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "{" * 100_000, "{a: " * 25_000, "- " * 50_000, "? " * 50_000, "? - " * 25_000, "x" * 100_000,
     "x" * 100_000 + ": 1", '"' + "x" * 100_000, "&a " * 30_000, "a: |\n" + " \n" * 50_000, "[a, " * 25_000,
     "\n".join(" " * k + "a:" for k in range(440)), "'" * 100_000, "a: " + "{}" * 50_000, "#" * 100_000],
    ids=lambda text: text[:4],
)  # fmt: skip
def test_nothing_takes_long(text):
    start = time.process_time()
    outcome(text.encode(), True)
    assert time.process_time() - start < 3  # PyYAML's own reader takes one
