"""The linter of the documentation's prose, on texts whose words and sentences are counted by hand."""

import json

import pytest
from tools import prose

PAGE = """# A heading is no sentence

One two three. Four `five six` [seven eight](nine.md).

```sh
a line of code
```

- An item
  on two lines.
| a cell | 3.5 | another |
"""


def test_blocks_are_paragraphs_items_and_cells():
    assert list(prose.blocks(PAGE)) == [
        (3, "One two three. Four `five six` [seven eight](nine.md)."),
        (9, "An item on two lines."),
        (11, "a cell"),
        (11, "3.5"),
        (11, "another"),
    ]


def test_sentences_have_links_by_their_words():
    text = "One two three. Four `five six` [seven eight](nine.md). See e.g. this: It ends."
    assert prose.sentences(text) == ["One two three.", "Four `code` seven eight.", "See e.g. this:", "It ends."]


def test_words_have_a_letter_and_no_code():
    heading, paragraph, item, cells = 5, 8, 5, 3
    assert prose.count_words(PAGE) == heading + paragraph + item + cells


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("Short.\n\n" + "word " * 31 + "end.", 3, "a sentence of 32 words"),
        ("Look at the row beside it.", 1, "'beside'"),
        ("First line.\nWe are told so.", 1, "'told'"),
        ("Measured at commit c8fa1fd.", 1, "'at commit c8fa1fd'"),
        ("| cell | it is said here |", 1, "'is said'"),
    ],
)
def test_a_fault_has_its_line(text, line, what):
    ((found, message),) = prose.faults(text)
    assert found == line
    assert what in message


@pytest.mark.parametrize(
    "text",
    ["word " * 24 + "end.", "$$" + "word " * 30 + "$$", "A toldyou, besides.", "```\nbeside\n```", "One. " * 1500],
)
def test_what_is_no_fault(text):
    assert list(prose.faults(text)) == []


def test_long_pages_are_reference():
    text = "One. " * 1501
    assert len(list(prose.faults(text))) == 1
    assert not list(prose.faults(text, reference=True))


def test_of_a_notebook_text_cells_count(tmp_path):
    texts = {"markdown": "Two words", "code": "print(beside)"}
    cells = [{"cell_type": kind, "source": [source]} for kind, source in texts.items()]
    (tmp_path / "one.ipynb").write_text(json.dumps({"cells": cells}))
    assert prose.text_of(tmp_path / "one.ipynb") == "Two words"


def test_of_yaml_each_value_is_a_paragraph(tmp_path):
    (tmp_path / "one.yaml").write_text('# a comment\nfirst: ["Two\n  words", three]\n')
    assert prose.text_of(tmp_path / "one.yaml").split("\n\n") == ["first", "Two words", "three"]


def test_the_documentation_holds_to_the_rules(capsys):
    assert prose.main([]) == 0, capsys.readouterr().out


def test_names_of_pages_exist():
    there = {page.relative_to(prose.ROOT).as_posix() for page in prose.pages()}
    assert there >= prose.REFERENCE
