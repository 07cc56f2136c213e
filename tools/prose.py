"""What can be counted in the documentation: words, long sentences, listed phrases. `make lint` runs it.

A word has a letter in it and stands outside blocks of code, so numbers and bars of tables do not count.

python -m tools.prose [PAGE …]
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
MOST_WORDS = 31_100
MOST_WORDS_ON_A_PAGE = 1_500
MOST_WORDS_IN_A_SENTENCE = 25
# Pages to look things up in may be longer.
REFERENCE = frozenset(
    f"docs/{name}.md"
    for name in ("accuracy", "api", "clinical", "configuration", "formats", "glossary", "human36m", "marker-atlas")
)
# Held to all rules but the numbers of words.
UNCOUNTED = ("CHANGELOG.md", "CONTRIBUTING.md", "pipeline/simspine/report/words.yaml")
# Each with what to write instead.
PHRASES = {
    r"beside": "'next to' of places, 'compared with' of comparisons",
    r"mended?": "'corrected' or 'fixed'",
    r"told": "'shown', 'given' or 'known from'",
    r"(?:is|are|as) said": "who states it",
    r"off by in everybody|what (?:a|the) detector is off by": "'systematic error of the detector'",
    r"seen in most views": "'visible in most views'",
    r"none of it must": "'do not'",
    r"to be had": "'possible' or 'available'",
    r"goes? on (?:from|with|by)": "'continues'",
    r"put right|puts right": "'corrects'",
    r"no longer|any ?more|formerly|used to be": "the present state only",
    r"(?:of|at|since) commit [0-9a-f]{7,}": "the present state only",
    r"(?:very|simply|easily|just|of course|obviously)(?= (?:call|run|add|use|set|change)\b)": "nothing",
}


def pages(root: Path = ROOT) -> list[Path]:
    """README, everything in docs/, and the notebooks."""
    found = [root / "README.md", *root.glob("docs/**/*.md"), *root.glob("notebooks/*.md")]
    return sorted(page for page in (*found, *root.glob("notebooks/*.ipynb")) if "_build" not in page.parts)


def text_of(page: Path) -> str:
    """A Markdown page, the text cells of a notebook, or the values of a YAML file."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return text
    if page.suffix == ".yaml":
        return "\n\n".join(node.value for node in yaml.parse(text) if isinstance(node, yaml.ScalarEvent))
    cells = (cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")
    return "\n\n".join("".join(cell["source"]) for cell in cells)


def count_words(text: str) -> int:
    prose = re.sub(r"^\s*```.*?^\s*```", "", text, flags=re.MULTILINE | re.DOTALL)
    return len(re.findall(r"\S*[^\W\d_]\S*", prose))


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each paragraph, list item and table cell; no code, headings, formulas or pictures."""
    fenced, start, lines = False, 0, []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            line = ""
        elif fenced or line.startswith(("    ", "#", "!", "$$")):
            line = ""
        item = re.match(r"\s*(?:[-*>]|\d+\.)\s+", line)
        row = line.startswith("|")
        if lines and (item or row or not line.strip()):
            yield start, " ".join(lines)
            lines = []
        if row:
            yield from ((number, cell.strip()) for cell in line.strip("|").split(" | ") if cell.strip(" -:"))
        elif line.strip():
            start = start if lines else number
            lines.append(line[item.end() :] if item else line.strip())


def plain(text: str) -> str:
    """The text as it is read: links by their words, a code mark as one word."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"<[^>]+>|\*+", "", re.sub(r"`[^`]*`", "`code`", text))


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?:;])\s+(?=[^a-z\s])", plain(text))


def faults(text: str, reference: bool = False) -> Iterator[tuple[int, str]]:
    """(line, what is wrong) of a page."""
    words = count_words(text)
    if not reference and words > MOST_WORDS_ON_A_PAGE:
        yield 1, f"{words} words; a page that is no reference has {MOST_WORDS_ON_A_PAGE} at most"
    for line, block in blocks(text):
        for sentence in sentences(block):
            length = len(re.findall(r"\w[\w’'./%-]*", sentence))
            if length > MOST_WORDS_IN_A_SENTENCE:
                yield line, f"a sentence of {length} words: {sentence[:60]}…"
        for phrase, better in PHRASES.items():
            if found := re.search(rf"\b(?:{phrase})\b", plain(block), re.IGNORECASE):
                yield line, f"{found.group()!r}; write {better}"


def main(names: list[str]) -> int:
    total, wrong = 0, 0
    for page in (*pages(), *(ROOT / name for name in UNCOUNTED)):
        name, text = page.relative_to(ROOT).as_posix(), text_of(page)
        total += 0 if name in UNCOUNTED else count_words(text)
        if names and name not in names:
            continue
        for line, what in faults(text, reference=name in (*REFERENCE, *UNCOUNTED)):
            wrong += 1
            print(f"{name}:{line}: {what}")
    if total > MOST_WORDS:
        wrong += 1
        print(f"{total} words on all pages; {MOST_WORDS} at most")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
