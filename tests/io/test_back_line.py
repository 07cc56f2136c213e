"""Lines on the back from files of four kinds: units, landmarks, and what is refused."""

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from command_line import call

import simspine as ss
from simspine.core.errors import InputError
from simspine.core.geometry import distances_along, evenly_along
from simspine.io.atomic import sha256_of_file
from simspine.io.back_line import read_back_line

HEIGHT = np.linspace(1.4, 0.95, 40)
LINE = np.column_stack([-0.02 * np.sin(np.linspace(0, 6, 40)), HEIGHT, np.zeros(40)])  # m
PSIS = np.array([[0.01, 0.95, -0.05], [0.01, 0.95, 0.05]])


def write_csv(path, points, heading="x,y,z", names=None):
    rows = [heading]
    rows += [",".join(([names[i]] if names else []) + [f"{v:.6f}" for v in p]) for i, p in enumerate(points)]
    path.write_text("\n".join(rows) + "\n")
    return path


def write_ply(path, points, colours=None, kind="ascii"):
    names = ["x", "y", "z"] + (["red", "green", "blue"] if colours is not None else [])
    order = ">" if kind == "binary_big_endian" else "<"
    vertices = np.zeros(len(points), [(name, order + ("f4" if name in "xyz" else "u1")) for name in names])
    columns = [*points.T, *(() if colours is None else colours.T)]
    for name, values in zip(names, columns, strict=True):
        vertices[name] = values
    properties = [f"property {'float' if name in 'xyz' else 'uchar'} {name}" for name in names]
    head = ["ply", f"format {kind} 1.0", "comment made by a test", f"element vertex {len(points)}", *properties]
    head += ["element face 0", "property list uchar int vertex_indices", "end_header\n"]
    rows = "".join(" ".join(f"{value:g}" for value in row) + "\n" for row in vertices.tolist())
    path.write_bytes("\n".join(head).encode() + (rows.encode() if kind == "ascii" else vertices.tobytes()))
    return path


@pytest.mark.parametrize(("unit", "per"), [("m", 1), ("cm", 100), ("mm", 1000)])
def test_the_unit_follows_from_the_length_of_a_back(tmp_path, unit, per):
    found = read_back_line(write_csv(tmp_path / "a.csv", LINE * per))
    assert found.unit == unit
    assert found.points[0] == pytest.approx(LINE, abs=1e-5)


def test_a_stated_unit_decides(tmp_path):
    path = write_csv(tmp_path / "a.csv", LINE * 1000, "x_mm,y_mm,z_mm")
    assert read_back_line(path).unit == "mm"
    assert read_back_line(write_csv(tmp_path / "b.csv", LINE / 0.0254), unit="in").points[0] == pytest.approx(
        LINE, abs=1e-5
    )


def test_landmarks_are_told_by_their_names(tmp_path):
    points, names = np.vstack([LINE, PSIS]), ["C7", *[""] * 39, "LPSI", "RPSIS"]
    found = read_back_line(write_csv(tmp_path / "a.csv", points, "name,x,y,z", names))
    assert found.points.shape == (1, 40, 3)
    assert found.c7[0] == pytest.approx(LINE[0], abs=1e-5)
    assert found.psis[0] == pytest.approx(PSIS, abs=1e-5)


def test_markers_of_a_recording(tmp_path):
    names = ("RPSI", "T6", "C7", "LPSI", "L3", "LASI", "T12", "SACR")
    chosen = {"C7": 0, "T6": 13, "T12": 24, "L3": 32, "SACR": 39}
    xyz = np.array([LINE[chosen[n]] if n in chosen else PSIS[int(n[0] == "R")] for n in names])
    ss.write_trc(tmp_path / "a.trc", ss.Markers(names, 50.0, np.repeat(xyz[None], 5, 0), frame="y_up"))
    found = read_back_line(tmp_path / "a.trc")
    assert (found.rate, found.points.shape) == (50.0, (5, 5, 3))
    assert found.points[0, :, 1] == pytest.approx(HEIGHT[[0, 13, 24, 32, 39]], abs=1e-4)
    assert found.psis[0] == pytest.approx(PSIS, abs=1e-4)


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_a_scan_with_the_line_painted_red(tmp_path, kind):
    rng = np.random.default_rng(1)
    others = rng.normal(size=(500, 3)) * 0.1 + [0.1, 1.2, 0]
    colours = np.vstack([np.tile([200, 20, 20], (40, 1)), np.tile([150, 130, 120], (500, 1))])
    order = rng.permutation(540)
    path = write_ply(tmp_path / "a.ply", np.vstack([LINE, others])[order], colours[order], kind)
    assert read_back_line(path).points[0] == pytest.approx(LINE, abs=1e-5)


def test_a_painted_scan_says_which_end_is_the_upper_one_and_is_turned_where_y_points_down(tmp_path):
    """A depth camera's scan was read upside down, and its kyphosis was 17° in place of 37°."""
    red, turned = np.tile([200, 20, 20], (40, 1)), LINE * [1, -1, -1]
    with pytest.warns(UserWarning, match="with the greater y or z counts as C7.*--frame y_down"):
        assert read_back_line(write_ply(tmp_path / "a.ply", LINE, red)).points[0] == pytest.approx(LINE, abs=1e-5)
    scan = write_ply(tmp_path / "b.ply", turned, red)
    assert read_back_line(scan, y_down=True).points[0] == pytest.approx(LINE, abs=1e-5)
    done = call("back", scan, "--frame", "y_down", "--heading", "0")
    assert done.exit_code == 0, done.output
    with pytest.raises(InputError, match="y_down is for a painted scan"):
        read_back_line(write_csv(tmp_path / "c.csv", LINE), y_down=True)


@pytest.mark.parametrize("wide", [0.002, 0.008])
def test_a_painted_line_is_its_middle_however_wide_it_is(tmp_path, wide):
    """A way through all points of a stripe goes from side to side, and was up to three times as long as the line."""
    rng, count = np.random.default_rng(0), int(0.45 * wide / 0.0025**2)  # a point for each 2.5 × 2.5 mm
    heights = rng.uniform(0.95, 1.4, count)
    depths = np.interp(heights, HEIGHT[::-1], LINE[::-1, 0])
    stripe = np.column_stack([depths, heights, rng.uniform(-wide / 2, wide / 2, count)])
    found = read_back_line(write_ply(tmp_path / "a.ply", stripe, np.tile([200, 20, 20], (count, 1)))).points[0]
    assert (np.diff(found[:, 1]) < 0).all()
    assert distances_along(found)[-1] == pytest.approx(distances_along(LINE)[-1], rel=0.03)
    assert np.median(np.abs(found[1:-1, 2])) < wide / 6
    assert found[1:-1, 0] == pytest.approx(np.interp(found[1:-1, 1], HEIGHT[::-1], LINE[::-1, 0]), abs=0.001)


def test_a_second_painted_line_is_doubted(tmp_path):
    """A line 5 cm beside the midline moved vertebrae by up to 38 mm without a word."""
    dense = evenly_along(LINE, 900)
    red = np.tile([200, 20, 20], (1800, 1))
    with pytest.warns(UserWarning, match="of the painted points lie beside the line through them"):
        read_back_line(write_ply(tmp_path / "a.ply", np.vstack([dense, dense + np.array([0, 0, 0.05])]), red))


def test_a_scan_with_the_line_in_a_file_of_its_own(tmp_path):
    path = write_ply(tmp_path / "a.ply", np.vstack([LINE, LINE + np.array([0.3, 0, 0])]))
    line = write_csv(tmp_path / "a.csv", LINE + np.array([0.004, 0, 0]))
    assert read_back_line(path, line=line).points[0] == pytest.approx(LINE, abs=1e-5)
    holed = write_ply(tmp_path / "b.ply", np.vstack([LINE, [[np.nan, 0, 0], [0, np.inf, 0]]]))
    gap = write_csv(tmp_path / "b.csv", np.vstack([LINE[:1] * np.nan, LINE]))
    with pytest.warns(UserWarning, match="1 of 41 points lack a coordinate"):
        assert read_back_line(holed, line=gap).points[0] == pytest.approx(LINE, abs=1e-5)
    with pytest.raises(InputError, match="no points with three coordinates"):
        read_back_line(write_ply(tmp_path / "c.ply", LINE * np.nan), line=line)


def test_a_line_drawn_elsewhere_than_on_the_scan_is_refused(tmp_path):
    """Its points would become those of the scan that are nearest, which may be the flank."""
    path = write_ply(tmp_path / "a.ply", np.vstack([LINE, LINE + np.array([0.1, 0, 0.1])]))
    line = write_csv(tmp_path / "a.csv", LINE + np.array([0.3, 0, 0.1]))
    with pytest.raises(InputError, match=r"a\.csv: a point is 0\.2 m from the scan .*a\.ply, expected up to 0\.05 m"):
        read_back_line(path, line=line)


def test_a_line_whose_names_end_elsewhere_is_said(tmp_path):
    """A line from T3 to L5 would be taken for one from C7 to S1, by 6 degrees of kyphosis less."""
    names = ["C7", *(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6)), "S1"]
    points = LINE[:: len(LINE) // len(names)][: len(names)]

    def said(first: int, last: int) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            read_back_line(write_csv(tmp_path / "a.csv", points[first:last], "name,x,y,z", names[first:last]))
        return [str(warning.message).split("the line ends at ")[1].split(".")[0] for warning in caught]

    assert said(0, 19) == []
    assert said(3, 19) == ["T3, which counts as C7"]
    assert said(0, 17) == ["L4, which counts as S1"]
    assert said(3, 18) == ["T3, which counts as C7", "L5, which counts as S1"]


def test_what_is_no_line_is_refused(tmp_path):
    for path, arguments, said in (
        (write_csv(tmp_path / "a.csv", LINE * 3), {}, "no unit"),
        (write_csv(tmp_path / "b.csv", LINE, "a,b,c"), {}, "columns are a, b, c"),
        (tmp_path / "a.obj", {}, "ending of a line on the back"),
        (write_csv(tmp_path / "c.csv", LINE), {"unit": "yard"}, "yard"),
        (write_csv(tmp_path / "d.csv", LINE), {"line": tmp_path / "c.csv"}, "is no scan"),
        (write_ply(tmp_path / "e.ply", LINE), {}, "no colours"),
    ):
        with pytest.raises(InputError, match=said):
            read_back_line(path, **arguments)
    whole = write_ply(tmp_path / "f.ply", LINE, np.tile([200, 20, 20], (40, 1)), "binary_little_endian").read_bytes()
    text = write_ply(tmp_path / "g.ply", LINE, np.tile([200, 20, 20], (40, 1))).read_bytes()
    for content, said in (
        (whole[:60], "no PLY file"),
        (whole.replace(b"format binary", b"format\x1dbinary", 1), "format '' of a PLY file"),  # a format without a name
        (whole.replace(b"vertex 40", b"vertex " + 5000 * b"9"), "the first element"),  # beyond what `int` takes
        (whole[:-20], "40 vertices are announced, 38 are there"),
        (text[:-8], "cut short"),
        (b"\n".join(text.split(b"\n")[:-6]), "35 of 40 are there"),  # at the end of a line
        (whole.replace(b"float x", b"float a"), "without x, y, z"),
        (whole.replace(b"vertex 40", b"vertex -4"), "no vertex"),
        (whole.replace(b"little_endian", b"middle_endian"), "binary_middle_endian"),
    ):
        (tmp_path / "h.ply").write_bytes(content)
        with pytest.raises(InputError, match=said):
            read_back_line(tmp_path / "h.ply")
    one_side = write_csv(tmp_path / "g.csv", np.vstack([LINE, PSIS[:1]]), "name,x,y,z", [*[""] * 40, "LPSIS"])
    with pytest.raises(InputError, match="LPSIS alone"):
        read_back_line(one_side)


def test_misspelt_columns_and_landmarks_are_refused_with_the_nearest_name(tmp_path):
    """A name that has no effect would turn both PSIS into points of the line."""
    names = [*[""] * len(LINE), "LPSIS", "RPSIS"]
    points = np.concatenate([LINE, PSIS])
    assert read_back_line(write_csv(tmp_path / "a.csv", points, "name,x,y,z", names)).psis is not None
    with pytest.raises(InputError, match=r"unknown column 'nmae'.*Did you mean 'name'"):
        read_back_line(write_csv(tmp_path / "b.csv", points, "nmae,x,y,z", names))
    names[-2] = "LPISS"
    with pytest.raises(InputError, match=r"unknown landmark 'LPISS' in .*line 42.*Did you mean 'LPSIS'"):
        read_back_line(write_csv(tmp_path / "c.csv", points, "name,x,y,z", names))


def test_points_that_are_left_out_are_said(tmp_path):
    points = LINE.copy()
    points[[3, 20]] = np.nan
    with pytest.warns(UserWarning, match=r"2 of 40 points lack a coordinate \(line 5, 22\)"):
        found = read_back_line(write_csv(tmp_path / "a.csv", points))
    assert np.isnan(found.points[0]).any(1).sum() == 2
    path = write_csv(tmp_path / "b.csv", LINE * np.nan)
    with pytest.warns(UserWarning, match="40 of 40"), pytest.raises(InputError, match="fewer than two points"):
        read_back_line(path)


def test_infinite_coordinates_are_missing_and_landmarks_stand_once(tmp_path):
    points = LINE.copy()
    points[5, 1] = np.inf
    with pytest.warns(UserWarning, match=r"1 of 40 points lack a coordinate \(line 7\)"):
        found = read_back_line(write_csv(tmp_path / "a.csv", points))
    assert not np.isinf(found.points).any()
    twice = write_csv(tmp_path / "b.csv", LINE, "name,x,y,z", ["C7", "C7", *[""] * 38])
    with pytest.raises(InputError, match="several points are C7"):
        read_back_line(twice)


def test_decimal_commas_of_a_spreadsheet(tmp_path):
    path = write_csv(tmp_path / "a.csv", LINE)
    path.write_text(path.read_text().replace(",", ";").replace(".", ","))
    assert read_back_line(path).points[0] == pytest.approx(LINE, abs=1e-6)


def test_messages_about_the_unit_say_the_one_that_fits(tmp_path):
    """A unit that is given is checked as well; the longest step shows a point off the line."""
    path = write_csv(tmp_path / "a.csv", LINE)
    with pytest.raises(InputError, match=r"0\.\d+ mm long, which is a back in m;.*--unit m"):
        read_back_line(path, "mm")
    with pytest.raises(InputError, match=r"units long, which is a back in no unit.*look|no unit.*longest step is 0\.5"):
        read_back_line(write_csv(tmp_path / "b.csv", LINE + np.eye(40)[:, [12]] * [0.5, 0, 0]))


def test_frames_that_were_rejected_are_no_success(tmp_path):
    """One of six frames shows nothing: results are written, and the exit code is 1."""
    names = [f"p{i:02}" for i in range(len(LINE))]
    xyz = np.tile(LINE, (6, 1, 1))
    for frames, code in ((6, 0), (3, 1)):
        xyz[frames:4] = np.nan
        ss.write_trc(tmp_path / f"{frames}.trc", ss.Markers(names, 50.0, xyz, "y_up"))
        done = call("back", tmp_path / f"{frames}.trc")
        assert done.exit_code == code, done.output
        assert ("error: inverse kinematics did not solve 1 of 6 frames" in done.output) == bool(code)
        assert (tmp_path / f"{frames}_spine/report.html").is_file()


@pytest.mark.parametrize("text", ["x,y,z,X\n0,1,2,3\n0,2,2,3\n", "x,y,z\n0,1,0\n0,1,2,0\n"])
def test_repeated_columns_and_surplus_cells_are_refused(tmp_path, text):
    """The last column of a name, or the first three cells, would be the line without a word."""
    file = tmp_path / "line.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=r"there twice|more cells than columns"):
        read_back_line(file)


def test_a_report_of_something_else_is_not_replaced(tmp_path):
    """As of `--out` with the results folder of a run."""
    (tmp_path / "report.html").write_text("mine")
    done = call("back", write_csv(tmp_path / "a.csv", LINE), "--out", tmp_path)
    assert done.exit_code == 2
    assert "report.html exists already, and would be replaced" in done.stderr
    assert (tmp_path / "report.html").read_text() == "mine"


def test_back_writes_each_file_under_its_own_name(tmp_path, monkeypatch):
    """The page was written next to a temporary name of its own: a killed command left it there for good."""
    written, replace = [], os.replace

    def replaced(temporary, target):
        written.append(Path(target).name)
        replace(temporary, target)

    monkeypatch.setattr("simspine.io.atomic.os.replace", replaced)
    done = call("back", write_csv(tmp_path / "a.csv", LINE), "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert written == ["provenance.json", "spine.h5", "spine.csv", "report.html"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(written)


def test_back_does_not_replace_the_results_of_another_file(tmp_path):
    """Ana.csv and Ana.trc, or two people with one --out: the second result replaced the first without a word."""
    first = write_csv(tmp_path / "a.csv", LINE)
    for _ in range(2):
        assert call("back", first, "--out", tmp_path / "out").exit_code == 0
    about = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert (about["file"], about["sha256"]) == ("../a.csv", sha256_of_file(first))
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "ben").mkdir()
    for other in ("b.csv", "ben/a.csv", "a.csv"):  # the last: another person's line under the same name
        written = write_csv(tmp_path / other, LINE)
        written.write_text(written.read_text() + "\n")
        done = call("back", written, "--out", tmp_path / "out")
        assert (done.exit_code, "exists already, and would be replaced" in done.output) == (2, True)
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
