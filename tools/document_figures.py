"""Rows of tables in the documents, from the committed measurements in benchmarks/, and the names of marker sets.

    python -m tools.document_figures [radiographs.json] [real.json]

A row is found by its first cell. A test fails where a row differs from the measurement. Files of `simspine bench
radiographs` and `simspine bench real` are first copied to benchmarks/: their tables only, since figures of single
people belong to those who publish the data. The names of markers stand in a block of code.
"""

import json
import re
import sys
import textwrap
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
MARKER_PAGE = "docs/how-to/marker-files.md"
FAMILIES = {"foreign": "other anatomy", "published": "own anatomy, published curves", "scans": "own anatomy, CT curves"}
POINTS = {"white": "5 mm of noise", "detector": "detector"}
BASELINES = ("curve", "tangents", "mean", "hips_line", "standing_curve_mean")
NO_MOTION = (*BASELINES, "constant")
ANGLES = ("lla_rmse_deg", "tka_rmse_deg")
OF_A_PERSON = ("person_lla_rmse_deg", "person_tka_rmse_deg")
CHANGES = ("lla_motion_rmse_deg", "tka_motion_rmse_deg")
PLACES = "vertebrae_mm"
COVERAGES = ("coverage_lla", "coverage_tka", "coverage_centres")


@cache
def record(name: str) -> dict:
    """The committed measurement `benchmarks/<name>.json`."""
    return json.loads((ROOT / f"benchmarks/{name}.json").read_text(encoding="utf-8"))


def span(values, decimals: int = 1) -> str:
    """The least and the largest value, rounded."""
    ends = [f"{end(values):.{decimals}f}" for end in (min, max)]
    return ends[0] if ends[0] == ends[1] else "–".join(ends)


def in_space(family: str, points: str, method: str, figure: str) -> float | None:
    """A figure of `simspine bench accuracy --families`, over all trials of a family."""
    totals = record("points_in_space")["from_points"]["totals"]
    wanted = {"family": family, "points": points, "method": method}
    [total] = [total for total in totals if total.items() >= wanted.items()]
    return total[figure]


def ours_and_best(families, points: str, figure: str) -> str:
    """The error of simspine and, in brackets, that of the best baseline; bold where the baseline is better."""
    names = NO_MOTION if figure in CHANGES else ("curve",) if figure == PLACES else BASELINES
    ours = [in_space(family, points, "articulated", figure) for family in families]
    best = [min(in_space(family, points, name, figure) for name in names) for family in families]
    brackets = span(best)
    if any(one > other for one, other in zip(ours, best, strict=True)):
        brackets = f"**{brackets}**"
    return f"{span(ours)} ({brackets})"


def rows_in_space() -> dict[str, list[str]]:
    """Rows of the table of families: errors and coverage of each family and kind of points."""
    rows = {}
    for family, people in FAMILIES.items():
        for points, seen in POINTS.items():
            errors = [ours_and_best([family], points, figure) for figure in (*ANGLES, *OF_A_PERSON, *CHANGES, PLACES)]
            coverage = ", ".join(f"{in_space(family, points, 'articulated', figure):.2f}" for figure in COVERAGES)
            rows[f"{people}, {seen}"] = [*errors, coverage]
    return rows


def typical_rows() -> dict[str, list[str]]:
    """Rows of synthetic people in the table of typical errors."""
    figures = (*ANGLES, *CHANGES, PLACES)
    rows = {}
    for people, families in {"other anatomy": ["foreign"], "own anatomy": ["published", "scans"]}.items():
        seen_as = {"detector": "spine by a simulated detector", "white": "spine points with 5 mm of noise"}
        for points, seen in seen_as.items():
            label = f"{people}: limbs by motion capture, {seen}"
            rows[label] = [ours_and_best(families, points, figure) for figure in figures]
    nothing = record("cameras")["people's mean, no motion"]
    for title, seen in {"limbs and spine": "limbs and spine", "limbs": "limbs only"}.items():
        cells = []
        for figure in ("lla", "tka", "lla_change", "tka_change"):
            values = of_cameras(title, figure)
            brackets = f"{nothing[figure]:.1f}"
            if max(values) > nothing[figure]:
                brackets = f"**{brackets}**"
            cells.append(f"{span(values)} ({brackets})")
        cells.append(span(of_cameras(title, "vertebrae"), 0))
        rows[f"own anatomy: 2–8 cameras, {seen} by a simulated detector, little motion"] = cells
    return rows


def of_cameras(title: str, figure: str) -> list[float]:
    """A figure of `benchmarks/cameras.json` for each number of cameras."""
    runs = record("cameras").items()
    return [run[figure] for name, run in runs if re.sub(r"^\d cameras, ", "", name) == title]


def camera_rows() -> dict[str, list[str]]:
    """Rows of the table of cameras: errors with two, four and eight of them, the range of coverage."""
    seen = {
        "limbs": "limbs",
        "limbs and spine": "limbs, spine",
        "limbs and spine, detector known, motion capture of the limbs": "known detector",
    }
    rows = {}
    for title, label in seen.items():
        runs = [record("cameras")[f"{count} cameras, {title}"] for count in (2, 4, 8)]
        decimals = {"lla": 1, "tka": 1, "vertebrae": 0}
        errors = [", ".join(f"{run[figure]:.{digits}f}" for run in runs) for figure, digits in decimals.items()]
        inside = span(of_cameras(title, "in_90_places"), 2)
        rows[label] = [*errors, inside]
    return rows


def coverage_rows() -> dict[str, list[str]]:
    """Rows of the table of coverage: how often the 90 % interval held lordosis, kyphosis and places."""
    real = table_of_people("radiographs", "coverage")["stated 90 %"]
    seen = "limbs by motion capture, spine by a simulated detector"
    shares = {
        "real, 192: line on the back, settings chosen on them": [
            [real[figure]] for figure in ("lordosis", "kyphosis", "fore–aft")
        ],
        f"other and own anatomy: {seen}": [
            [in_space(family, "detector", "articulated", figure) for family in FAMILIES] for figure in COVERAGES
        ],
        "own anatomy: 2–8 cameras, spine by an unknown simulated detector": [
            of_cameras("limbs and spine", f"in_90_{figure}") for figure in ("lla", "tka", "places")
        ],
    }
    rows = {label: [f"{span([100 * one for one in each], 0)} %" for each in found] for label, found in shares.items()}
    places = ("anteroposterior {}", "places {}", "places {} (earlier version)")
    return {label: [*row[:2], words.format(row[2])] for (label, row), words in zip(rows.items(), places, strict=True)}


def recording_rows() -> dict[str, list[str]]:
    """Rows of the comparison with the published procedure."""
    rows = {}
    totals = {(row["points"], row["method"]): row for row in record("accuracy")["from_images"]["totals"]}
    for preset in ("finetuned", "zero-shot"):
        for method, label in {"articulated": "simspine", "peer": "published procedure"}.items():
            total = totals[preset, method]
            errors = [f"{total[figure]:.1f}" for figure in ("mpjpe_mm", PLACES, *ANGLES)]
            covered = [total.get(figure) for figure in ("coverage_lla", "coverage_tka", "coverage_points")]
            inside = "–" if None in covered else ", ".join(f"{share:.2f}" for share in covered)
            rows[f"{preset}: {label}"] = [*errors, inside]
    return rows


def table_of_people(name: str, title: str) -> dict[str, dict[str, float | None]]:
    """{method: {column: figure}} of a table in `benchmarks/<name>.json`."""
    [table] = [table for table in record(name)["tables"] if table["name"] == title]
    return {row["method"]: row["cells"] for row in table["rows"]}


def with_best(values: list[float | None], decimals: int = 1) -> list[str]:
    """The figures as text, the least in bold; a dash where there is none."""
    texts = ["–" if value is None else f"{value:.{decimals}f}" for value in values]
    least = min((text for text in texts if text != "–"), key=float)
    return [f"**{text}**" if text == least else text for text in texts]


RADIOGRAPH_ROWS = {
    "kyphosis": "kyphosis, °",
    "lordosis": "lordosis, °",
    "fore–aft": "centres, anteroposterior, mm",
    "fore–aft less person and height": "… after removing each person's and each height's mean, mm",
    "sideways": "centres, lateral, mm",
    "sideways less constant and tilt": "… less each person's constant and tilt, mm",
}
GAIT_ROWS = {
    "simspine + standing offset": "simspine, with the standing trial",
    "spline + standing offset": "spline through the others, with the standing trial",
    "simspine, height from standing": "simspine, knowing the marker's height in standing only",
    "spline": "spline, place along the back from the standing trial",
    "rigid back": "back as one rigid body, from the standing trial",
    "simspine": "simspine alone",
}
CT_ROWS = {
    "simspine": "prior of simspine",
    "equal shares": "equal shares, spread fitted to other people",
    "no change": "no change, spread fitted likewise",
    "fitted Gaussian": "Gaussian fitted to other people",
}
GAIT_LEVELS = ("T2", "T6", "T10", "T12")


def radiograph_rows() -> dict[str, list[str]]:
    """Errors of a line on the back against radiographs, by method; the last cell is the share inside 90 %."""
    errors, inside = table_of_people("radiographs", "radiographs"), table_of_people("radiographs", "coverage")
    rows = {}
    for figure, label in RADIOGRAPH_ROWS.items():
        line = errors["line"][figure] if errors["line"][figure] is not None else errors["moved line"][figure]
        values = [errors["simspine"][figure], line, *(errors[name][figure] for name in ("mean", "regression"))]
        share = inside["stated 90 %"].get(figure)
        rows[label] = [*with_best(values), "–" if share is None else f"{share:.2f}"]
    return rows


def gait_rows() -> dict[str, list[str]]:
    """Errors of a marker left out in gait: median and 90th percentile for each level."""
    errors = table_of_people("real", "gait_error")
    rows: dict[str, list[str]] = {label: [] for label in GAIT_ROWS.values()}
    for methods in (list(GAIT_ROWS)[:2], list(GAIT_ROWS)[2:]):  # what knows the standing trial, and what does not
        for level in GAIT_LEVELS:
            pairs = zip(
                *(with_best([errors[m][f"{level} {end}"] for m in methods]) for end in ("median", "90th")), strict=True
            )
            for method, pair in zip(methods, pairs, strict=True):
                rows[GAIT_ROWS[method]].append(", ".join(pair))
    return rows


def posture_rows() -> dict[str, list[str]]:
    """How well angles of one posture are predicted from the other."""
    found = table_of_people("real", "ct_postures")
    likelihood = with_best([-found[method]["log likelihood"] for method in CT_ROWS], 2)
    error = with_best([found[method]["root mean square"] for method in CT_ROWS])
    inside = [f"{found[method]['inside 90 %']:.0f} %" for method in CT_ROWS]
    cells = zip(CT_ROWS.values(), likelihood, error, inside, strict=True)
    return {label: [re.sub(r"\d", r"−\g<0>", worse, count=1), off, share] for label, worse, off, share in cells}


def typical_rows_of_people() -> dict[str, list[str]]:
    """Rows of real people in the table of typical errors."""
    errors, gait = table_of_people("radiographs", "radiographs"), table_of_people("real", "gait_error")
    cells = []
    for figure, peers in (("lordosis", ("line", "mean", "regression")), ("kyphosis", ("line", "mean", "regression")),
                          ("fore–aft", ("moved line", "regression"))):  # fmt: skip
        own, best = errors["simspine"][figure], min(errors[name][figure] for name in peers)
        bracket = f"{best:.1f}"
        cells.append(f"{own:.1f} ({f'**{bracket}**' if float(bracket) < round(own, 1) else bracket})")
    ours, best = (span([gait[method][f"{level} median"] for level in GAIT_LEVELS]) for method in list(GAIT_ROWS)[:2])
    return {
        "real: [line on the back](how-to/back.md), 192 people standing; angles between tangents, not endplates":
            [*cells[:2], "–", "–", f"{cells[2]}, anteroposterior"],
        "real: markers on the back in gait, one left out": ["–"] * 4 + [f"{ours} (**{best}**), on the skin"],
    }  # fmt: skip


def stage_rows() -> dict[str, list[str]]:
    """Time and memory of each stage."""
    measured = record("workflow")
    lengths, rows = list(measured["stages"]), {}
    for stage in (stage for stage in measured["stages"][lengths[0]] if stage != "report"):
        fixed, frame = (measured["metrics"][f"{stage}_{name}"]["value"] for name in ("fixed", "ms_per_frame"))
        memory = [measured["stages"][frames][stage]["MiB"] for frames in (lengths[0], lengths[-1])]
        rows[f"`{stage}`"] = [f"{fixed:.1f}", f"{frame:.2f}", *(f"{each:,}" for each in memory)]
    return rows


def job_rows() -> dict[str, list[str]]:
    """Time and memory of the jobs of a run of 535,000 frames."""
    return {
        f"`{name}` × {job['jobs']}": [
            f"{job['cpu']:,.0f}",
            f"{job['ms_per_frame']:.1f}",
            f"{job['longest']:,.0f}",
            f"{job['memory']:,.0f}",
        ]
        for name, job in record("workflow_535000")["jobs"].items()
        if name != "capture"
    }


def speed_rows() -> dict[str, list[str]]:
    """Rows of the comparison of speeds with OpenSim."""
    rows = {}
    for name, metric in record("ik")["metrics"].items():
        sign = "≤" if metric["better"] == "lower" else "≥"
        goal = "" if metric["goal"] is None else f"{sign} {metric['goal']:g}"
        met = {None: "", True: "met", False: "**not met**"}[metric["met"]]
        rows[name] = [f"{metric['value']:.4g}", metric["unit"], goal, met]
    return rows


def clinical_rows() -> dict[str, list[str]]:
    """Errors of clinical parameters of synthetic people, of their motion, stated deviations and coverage."""
    rows = {}
    for name, figures in record("clinical_parameters")["parameters"].items():
        if name in ("knee_adduction", "knee_rotation", "ankle_rotation"):
            continue  # set by the model
        unit, decimals = ("mm", 0) if name in ("sagittal_vertical_axis", "coronal_balance") else ("°", 1)
        error, motion, stated = (f"{figures[key]:.{decimals}f}" for key in ("error", "motion", "stated"))
        motion = "–" if name == "pelvic_incidence" else motion
        rows[f"`{name}`, {unit}"] = [error, motion, stated, f"{100 * figures['inside']:.0f} %"]
    return rows


def rows_of_documents() -> dict[str, dict[str, list[str]]]:
    """Of each document, the cells that follow a row's first cell."""
    return {
        "docs/accuracy.md": {
            **typical_rows_of_people(),
            **typical_rows(),
            **radiograph_rows(),
            **gait_rows(),
            **rows_in_space(),
            **camera_rows(),
            **coverage_rows(),
        },
        "docs/research/published-procedure.md": recording_rows(),
        "docs/research/ct-postures.md": posture_rows(),
        "docs/clinical.md": clinical_rows(),
        "docs/scale.md": {**stage_rows(), **job_rows()},
        "benchmarks/ik.md": speed_rows(),
    }


def names_of_markers() -> str:
    """Of each marker set that people place: the names that it knows and those that it does not use, left ones only."""
    files = sorted((ROOT / "opensim_models/markers").glob("*.yaml"))
    sets = [found for found in map(read_yaml, files) if "source" in found]
    everywhere = read_yaml(ROOT / "opensim_models/markers/landmarks.yaml")["names"]
    lines = []
    for one in sets:
        known = [name for name in one["names"] if name not in everywhere]
        inherited = [] if one["from"] == "landmarks" else [f"those of {one['from']}, and"]
        lines += wrapped(one["name"], [*inherited, *left_names(known)])
        lines += wrapped("  not used", left_names(one.get("unused", ())))
    return "\n".join(lines)


def read_yaml(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def left_names(names) -> list[str]:
    """The names without those of right markers that have a left one: `RASI` with `LASI`, `r_knee` with `L_knee`."""
    left = {name[1:] for name in names if name[0] in "lL"}
    return [name for name in names if name[0] not in "rR" or name[1:] not in left]


def wrapped(label: str, names: list[str]) -> list[str]:
    """Lines of names after a label; none without names."""
    text = textwrap.wrap(" ".join(names), 90, break_on_hyphens=False)
    return [f"{label if number == 0 else '':<15}{line}" for number, line in enumerate(text)]


def with_names_of_markers(text: str) -> str:
    """The page on marker files with the names in its block, which begins with the first set."""
    block = names_of_markers()
    first = re.escape(block.split()[0])
    text, count = re.subn(
        rf"(?<=^```text\n){first} .*?(?=\n```)", lambda _: block, text, flags=re.MULTILINE | re.DOTALL
    )
    if count != 1:
        raise ValueError(f"found {count} blocks that begin with {block.split()[0]!r}; expected one")
    return text


def with_rows(text: str, rows: dict[str, list[str]]) -> str:
    """The text with these rows in place of those that have the same first cell."""
    for label, cells in rows.items():
        row = f"| {' | '.join([label, *cells])} |"
        text, count = re.subn(rf"^\| {re.escape(label)} \|.*$", lambda _, row=row: row, text, flags=re.MULTILINE)
        if count != 1:
            raise ValueError(f"found {count} rows that begin with {label!r}; expected one")
    return text


def main(measured: list[str]) -> None:
    for path in map(Path, measured):
        tables = {"tables": json.loads(path.read_text(encoding="utf-8"))["tables"]}
        text = json.dumps(tables, indent=1, ensure_ascii=False) + "\n"
        (ROOT / "benchmarks" / path.name).write_text(text, encoding="utf-8")
    for name, rows in rows_of_documents().items():
        path = ROOT / name
        path.write_text(with_rows(path.read_text(encoding="utf-8"), rows), encoding="utf-8")
    path = ROOT / MARKER_PAGE
    path.write_text(with_names_of_markers(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
