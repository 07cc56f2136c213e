"""Tables of README and of the documents hold the figures of the committed measurements."""

import json
import re
from pathlib import Path

import pytest
from tools import document_figures

ROOT = Path(__file__).parents[1]
MEASURES = ("lla", "tka", "lla_change", "tka_change")  # the table's columns
KEYS_IN_SPACE = ("lla_rmse_deg", "tka_rmse_deg", "lla_motion_rmse_deg", "tka_motion_rmse_deg")


def errors_in_space(points: str, method: str) -> dict[str, list[float]]:
    """By measure, the error of each family of people."""
    totals = json.loads((ROOT / "benchmarks/points_in_space.json").read_text())["from_points"]["totals"]
    chosen = [total for total in totals if (total["points"], total["method"]) == (points, method)]
    return {
        measure: [total[key] for total in chosen if key in total]
        for measure, key in zip(MEASURES, KEYS_IN_SPACE, strict=True)
    }


def errors_of_cameras(title: str) -> dict[str, list[float]]:
    """By measure, the error for each number of cameras."""
    runs = json.loads((ROOT / "benchmarks/cameras.json").read_text())
    return {
        measure: [run[measure] for name, run in runs.items() if re.sub(r"^\d cameras, ", "", name) == title]
        for measure in MEASURES
    }


def as_range(values: list[float], decimals: int) -> str:
    ends = (f"{min(values):.{decimals}f}", f"{max(values):.{decimals}f}")
    return ends[0] if ends[0] == ends[1] else "–".join(ends)


def row_of(ending: str) -> list[tuple[str, str]]:
    """Of the row whose input ends so: each cell's range, and the range in brackets."""
    rows = [line.strip("|").split("|") for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()]
    (row,) = [row for row in rows if len(row) == 5 and row[0].strip().endswith(ending)]
    return [re.fullmatch(r"([\d.–]+) \(([\d.–]+)\)", cell.strip()).groups() for cell in row[1:]]


def same(row: list[str], errors: dict[str, list[float]]) -> None:
    for written, values in zip(row, errors.values(), strict=True):
        assert written == as_range(values, 1 if "." in written else 0)


@pytest.mark.parametrize(
    ("ending", "points"),
    [("limbs by simulated motion capture, spine by a simulated detector", "detector"), ("with 5 mm of noise", "white")],
)
def test_errors_from_points_in_space(ending, points):
    ours, baseline = zip(*row_of(ending), strict=True)
    same(ours, errors_in_space(points, "articulated"))
    names = {key: document_figures.NO_MOTION if "change" in key else document_figures.BASELINES for key in MEASURES}
    lists = {key: [errors_in_space(points, name)[key] for name in names[key]] for key in MEASURES}
    same(baseline, {key: list(map(min, *filter(None, lists[key]))) for key in MEASURES})


@pytest.mark.parametrize(
    ("ending", "title"),
    [
        ("little motion, 2–8 cameras: limbs and spine by a simulated detector", "limbs and spine"),
        ("limbs only by a simulated detector, curvature assumed", "limbs"),
    ],
)
def test_errors_from_cameras(ending, title):
    ours, baseline = zip(*row_of(ending), strict=True)
    same(ours, errors_of_cameras(title))
    same(baseline, errors_of_cameras("people's mean, no motion"))


def test_the_demonstration_has_the_same_figures_on_all_pages():
    """Lordosis and kyphosis with their ±, rounded: as on the page on accuracy."""
    page = (ROOT / "docs/accuracy.md").read_text(encoding="utf-8")
    row = re.search(r"^\| four markers on the skin \(`simspine demo`\) \|.*$", page, re.MULTILINE).group()
    lordosis, kyphosis = [
        "{:.0f}° ± {:.0f}°".format(*(float(value) + 1e-9 for value in pair))  # a half is rounded up
        for pair in re.findall(r"([\d.]+)° ± ([\d.]+)°", row)
    ]
    for name in ("README.md", "docs/what-is-measured.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert lordosis in text, name
        assert kyphosis in text, name
    printed = (ROOT / "docs/tutorials/videos.md").read_text(encoding="utf-8")
    for angle in (lordosis, kyphosis):  # Python prints the model's deviation; the report's is at least people's error
        mean, stated = angle.split(" ± ")
        model = re.search(rf"mean {mean}, of one frame ± (\d+)°", printed)
        assert float(model[1]) <= float(stated.removesuffix("°"))


@pytest.mark.parametrize("name", document_figures.rows_of_documents())
def test_tables_of_documents_are_those_of_the_measurements(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    rows = document_figures.rows_of_documents()[name]
    assert document_figures.with_rows(text, rows) == text, "python -m tools.document_figures writes them"
    label = next(iter(rows))
    stale = re.sub(rf"^(\| {re.escape(label)} \|[^\d]*)\d", r"\g<1>99", text, flags=re.MULTILINE)
    assert stale != text
    assert document_figures.with_rows(stale, rows) == text
    with pytest.raises(ValueError, match="found 0 rows"):
        document_figures.with_rows(text.replace(f"| {label} |", "| another |"), rows)


def test_the_page_on_marker_files_has_the_names_of_the_sets():
    """Each name of a set's file, or the left one of a pair, stands after the set's name."""
    text = (ROOT / document_figures.MARKER_PAGE).read_text(encoding="utf-8")
    assert document_figures.with_names_of_markers(text) == text, "python -m tools.document_figures writes them"
    for name in ("plugin_gait", "opencap", "rizzoli_spine"):
        data = document_figures.read_yaml(ROOT / f"opensim_models/markers/{name}.yaml")
        (block,) = re.findall(rf"^{name} (.*?)(?=^\w|^```)", text, re.MULTILINE | re.DOTALL)
        known, unused = (set(part.split()) for part in block.split("not used"))
        assert unused <= set(data["unused"])
        assert known <= set(data["names"])
        assert not known & unused
        everywhere = document_figures.read_yaml(ROOT / "opensim_models/markers/landmarks.yaml")["names"]
        for own in {*data["names"], *data["unused"]} - everywhere.keys() - known - unused:
            assert own[0] in "rR"
            assert {f"l{own[1:]}", f"L{own[1:]}"} & (known | unused)
    stale = text.replace("LASI LSHO", "LASI")
    assert document_figures.with_names_of_markers(stale) == text
    with pytest.raises(ValueError, match="found 0 blocks"):
        document_figures.with_names_of_markers(text.replace("```text\ncgm2", "```text\nother"))
