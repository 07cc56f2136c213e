"""Round trips, one broken or foreign file per trap, OpenSim's and Pose2Sim's readers as judges."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simspine.core.errors import InputError
from simspine.core.types import Markers
from simspine.io.trc import read_trc, write_trc

KEYS = "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames"
# A person of three points, 1.7 m tall, two frames: metres.
POINTS = np.array(
    [[[0.1, 1.7, 0.0], [0.0, 0.9, 0.2], [0.1, 0.0, 0.3]], [[0.1, 1.69, 0.0], [0.0, 0.89, 0.2], [0.1, 0, 0.3]]]
)


def text(
    points=POINTS,
    units="m",
    rate="50.0",
    frames=None,
    count=None,
    names=("A", "B", "C"),
    blank=False,
    first=1,
    time=None,
):
    """A TRC file as a list of lines, laid out as OpenSim's example files are."""
    frames = len(points) if frames is None else frames
    count = len(names) if count is None else count
    lines = [
        "PathFileType\t4\t(X/Y/Z)\tx.trc",
        KEYS,
        f"{rate}\t{rate}\t{frames}\t{count}\t{units}\t{rate}\t1\t{frames}",
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{i + 1}" for i in range(len(names)) for axis in "XYZ"),
    ]
    lines += [""] if blank else []
    for i, row in enumerate(points):
        stamp = i / 50 if time is None else time[i]
        lines.append(f"{first + i}\t{stamp:.6f}\t" + "\t".join(f"{v:.6f}" for v in np.ravel(row)))
    return lines


def put(tmp_path, lines, ends="\n", encoding="utf-8"):
    path = tmp_path / "x.trc"
    path.write_bytes(ends.join([*lines, ""]).encode(encoding))
    return path


@pytest.fixture
def quiet():
    """No reader may warn about a file that is right."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.usefixtures("quiet")
class TestTolerated:
    def check(self, path, expected=POINTS, **kwargs):
        markers = read_trc(path, **kwargs)
        np.testing.assert_allclose(markers.xyz, expected, atol=1e-12)
        assert markers.names == ("A", "B", "C")
        assert markers.rate == 50.0
        return markers

    def test_frame_is_kept_as_said(self, tmp_path):
        assert self.check(put(tmp_path, text()), frame="z_up").frame == "z_up"

    def test_padded_cells(self, tmp_path):
        lines = text()
        self.check(put(tmp_path, lines[:5] + [line.replace("\t", "\t   ") for line in lines[5:]]))

    @pytest.mark.parametrize("first", [0, 1, 4711])
    def test_frame_numbers_from_anywhere(self, tmp_path, first):
        self.check(put(tmp_path, text(first=first)))

    @pytest.mark.parametrize(
        ("units", "factor"),
        [
            ("mm", 1000),
            ("cm", 100),
            ("m", 1),
            ("meters", 1),
            ("MM", 1000),
            ("in", 39.3701),
            ("Inches", 39.3701),
            ("ft", 3.28084),
            ("feet", 3.28084),
            ("dm", 10),
            ("Centimetres", 100),
            ("yd", 1 / 0.9144),
            ("Yards", 1 / 0.9144),
            ("um", 1e6),
            ("km", 1e-3),
        ],
    )
    def test_units(self, tmp_path, units, factor):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            markers = read_trc(put(tmp_path, text(POINTS * factor, units)))
        np.testing.assert_allclose(markers.xyz, POINTS, atol=1e-5)

    @pytest.mark.parametrize("missing", ["", "NaN", "nan", " "])
    @pytest.mark.parametrize("marker", [0, 2])
    def test_missing_point(self, tmp_path, missing, marker):
        lines = text()
        cells = lines[6].split("\t")
        cells[2 + 3 * marker : 5 + 3 * marker] = [missing] * 3
        lines[6] = "\t".join(cells)
        expected = POINTS.copy()
        expected[1, marker] = np.nan
        self.check(put(tmp_path, lines), expected)

    def test_a_coordinate_of_zero_is_data(self, tmp_path):
        points = POINTS.copy()
        points[0, 2] = 0.0, 0.0, 0.3
        assert self.check(put(tmp_path, text(points)), points).present.all()

    def test_single_point_keeps_the_header_unit(self, tmp_path):
        path = put(tmp_path, text(POINTS[:, :1] * 1000, "mm", names=("A",)))
        np.testing.assert_allclose(read_trc(path).xyz, POINTS[:, :1], atol=1e-12)


class TestCorrectedWithAWarning:
    @pytest.mark.parametrize(
        ("units", "factor", "read_as"),
        [
            ("mm", 1, "read as m,"), ("m", 1000, "read as mm"), ("m", 100, "read as cm"), ("cm", 1000, "read as mm"),
            ("m", 10, "read as dm"), ("mm", 1 / 0.3048, "read as ft"), ("m", 1 / 0.0254, "read as in"),
        ],
    )  # fmt: skip
    def test_unit_that_contradicts_the_person(self, tmp_path, units, factor, read_as):
        path = put(tmp_path, text(POINTS * factor, units))
        with pytest.warns(UserWarning, match=rf"x\.trc: the header says {units}.*{read_as}"):
            markers = read_trc(path)
        np.testing.assert_allclose(markers.xyz, POINTS, atol=1e-6)

    @pytest.mark.parametrize(
        ("unit", "metres"), [("mm", 1e-3), ("cm", 0.01), ("dm", 0.1), ("m", 1), ("in", 0.0254), ("ft", 0.3048)]
    )
    @pytest.mark.parametrize("height", [1.0, 1.25, 2.0])
    def test_a_missing_unit_by_the_body(self, tmp_path, unit, metres, height):
        """Of a standing person, child or tall, no two units are plausible."""
        person = POINTS * height / np.linalg.norm(np.ptp(POINTS[0], axis=0))
        with pytest.warns(UserWarning, match=rf"unit is missing; read as {unit},"):
            markers = read_trc(put(tmp_path, text(person / metres, "")))
        np.testing.assert_allclose(markers.xyz, person, atol=1e-6)

    def test_another_unit_that_fits_a_person_is_named(self, tmp_path):
        """A child of 0.8 m in centimetres, or a tall person in inches."""
        person = POINTS * 0.8 / np.linalg.norm(np.ptp(POINTS[0], axis=0))
        with pytest.warns(UserWarning, match=r"; read as in, 2\.\d+ m, but 0\.\d+ m if in cm\."):
            read_trc(put(tmp_path, text(person * 100, "m")))

    def test_a_stated_unit_that_makes_many_markers_tiny(self, tmp_path):
        """Centimetres under a header that says mm: 17 cm across may be a foot's three markers, not a body's eight."""
        names = tuple("ABCDEFGH")
        body = np.concatenate([POINTS, POINTS + 0.01, POINTS[:, :2] + 0.02], 1)
        with pytest.warns(UserWarning, match="says mm, which makes the person 0.175 m across; read as cm"):
            markers = read_trc(put(tmp_path, text(body * 100, "mm", names=names, count=8)))
        np.testing.assert_allclose(markers.xyz, body, atol=1e-9)

    def test_a_stated_unit_that_makes_a_giant(self, tmp_path):
        with pytest.warns(UserWarning, match=r"says m, which makes the markers 6\.9 m across.*one person"):
            markers = read_trc(put(tmp_path, text(POINTS * 4, "m")))
        np.testing.assert_allclose(markers.xyz, POINTS * 4, atol=1e-9)

    @pytest.mark.parametrize(("said", "true"), [("ft", 1.0), ("cm", 0.0254)])
    def test_a_stated_unit_that_makes_a_small_body(self, tmp_path, said, true):
        """Metres called feet, inches called centimetres: a child of half a metre, or a grown person in another unit."""
        names = tuple("ABCDEFGH")
        body = np.concatenate([POINTS, POINTS + 0.01, POINTS[:, :2] + 0.02], 1)
        body *= 1.75 / np.linalg.norm(np.ptp(body[0], axis=0))
        with pytest.warns(UserWarning, match=f"says {said}, which makes the markers 0.*in the unit that the header"):
            read_trc(put(tmp_path, text(body / true, said, names=names, count=8)))

    @pytest.mark.parametrize("said", ["km", "um"])
    def test_rare_units_that_make_no_person(self, tmp_path, said):
        with pytest.warns(UserWarning, match=f"says {said}, which makes the person .* across; read as mm"):
            markers = read_trc(put(tmp_path, text(POINTS * 1000, said)))
        np.testing.assert_allclose(markers.xyz, POINTS, atol=1e-6)

    def test_missing_unit(self, tmp_path):
        with pytest.warns(UserWarning, match="unit is 'furlong'; read as mm"):
            markers = read_trc(put(tmp_path, text(POINTS * 1000, "furlong")))
        np.testing.assert_allclose(markers.xyz, POINTS, atol=1e-9)

    def test_no_reading_fits(self, tmp_path):
        with pytest.warns(UserWarning, match="no other unit fits"):
            markers = read_trc(put(tmp_path, text(POINTS * 1e5, "m")))  # 170 m as mm
        np.testing.assert_allclose(markers.xyz, POINTS * 1e5, atol=1e-9)

    @pytest.mark.parametrize(
        "place", [(0.0,) * 3, (9999.99,) * 3, (-9999.0,) * 3, (1e6,) * 3, (-3.7e28,) * 3, (0.0, 0.0, 1e30), (-1.0,) * 3]
    )
    @pytest.mark.parametrize("frames", [slice(0, 1), slice(None)])
    def test_places_of_hidden_markers(self, tmp_path, place, frames):
        """Numbers that Optotrak, Cortex and others write for a marker that they do not see."""
        points = POINTS.copy() * 1000
        points[frames, 1] = place
        at = ".*" if any(place) else "0 0 0"
        with pytest.warns(UserWarning, match=rf"times a point is at {at} \(1 of 3 points\).*taken as missing"):
            markers = read_trc(put(tmp_path, text(points, "mm")))
        points[frames, 1] = np.nan
        np.testing.assert_allclose(markers.xyz, points / 1000, atol=1e-9)

    def test_a_point_in_another_unit_is_taken_as_missing(self, tmp_path):
        body = np.random.default_rng(0).uniform(0, 1, (3, 8, 3))
        odd = body.copy()
        odd[:, 4] *= 1000
        with pytest.warns(UserWarning, match=r"3 times a point is over 30 times as far.*\(of 8 points: 5\)"):
            markers = read_trc(put(tmp_path, text(odd, "m", names=tuple("ABCDEFGH"), count=8)))
        body[:, 4] = np.nan
        np.testing.assert_allclose(markers.xyz, body, atol=1e-6)

    @pytest.mark.parametrize(("height", "doubtful"), [(0.31, True), (0.8, False)])
    def test_a_person_of_a_foot_is_doubted(self, tmp_path, height, doubtful, recwarn):
        """A seated person in inches under the header's cm; 0.8 m are a person who sits."""
        places = np.linspace(0.1, 0.1 + height, 8)
        points = np.stack([np.full(8, 1.0), places, np.full(8, 2.0)], -1)[None].repeat(3, 0)
        path = put(tmp_path, text(100 * points, "cm", names=[f"M{i}" for i in range(8)]))
        np.testing.assert_allclose(read_trc(path).xyz, points, atol=1e-6)
        assert any("Is that one person, in the unit" in str(one.message) for one in recwarn) is doubtful


class TestRefused:
    def refuse(self, tmp_path, lines, message):
        path = put(tmp_path, lines)
        with pytest.raises(InputError, match=message) as caught:
            read_trc(path)
        assert str(path) in str(caught.value)

    def test_data_without_name(self, tmp_path):
        lines = text()
        lines[3] = "Frame#\tTime\tA\t\t\tB"
        self.refuse(tmp_path, lines, "line 6: 11 cells, expected 8")

    @pytest.mark.parametrize("time", [[0.0, 0.0], [0.1, 0.0]])
    def test_time_that_stands_still(self, tmp_path, time):
        self.refuse(tmp_path, text(time=time), "does not increase")

    def test_a_unit_that_changes_within_the_file(self, tmp_path):
        body = np.random.default_rng(0).uniform(0, 1, (3, 8, 3)) * [[[1]], [[1]], [[1000]]]
        self.refuse(tmp_path, text(body, "m", names=tuple("ABCDEFGH"), count=8), "in row 3. Does the unit change")


coordinates = arrays(float, (4, 3, 3), elements=st.floats(-5, 5) | st.just(np.nan))


@settings(max_examples=40, deadline=None)
@given(coordinates, st.sampled_from([30.0, 50.0, 59.94005994005994, 60.0, 239.76]), st.integers(0, 5000))
def test_round_trip(tmp_path_factory, xyz, rate, first):
    xyz = np.where(np.isnan(xyz).any(-1, keepdims=True), np.nan, xyz)
    xyz[(xyz.round(8) == 0).all(-1)] = np.nan  # where programs put hidden markers
    xyz[0] = POINTS[0]  # a person's size, so that the unit is beyond doubt
    markers = Markers(("A", "B b", "Ç"), rate, xyz, "y_up", start=first / rate)
    path = tmp_path_factory.mktemp("trc") / "x.trc"
    write_trc(path, markers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # extreme extents
        back = read_trc(path)
    assert (back.names, back.rate) == (markers.names, rate)
    assert back.start == pytest.approx(markers.start, abs=1e-9)
    if np.median(np.isfinite(xyz).all(-1).sum(-1)) >= 3:
        np.testing.assert_allclose(back.xyz, markers.xyz, atol=0.51e-8)


def sample(frame="y_up"):
    rng = np.random.default_rng(1)
    xyz = rng.uniform(-1, 1, (6, 3, 3))
    xyz[1, 2] = xyz[3, 0] = np.nan  # the last marker of a row is the one OpenSim stumbles over
    xyz[4] = np.nan
    xyz[0, 1] = 0.0, 0.0, 0.5
    return Markers(("Hip", "C7 (spine)", "Head"), 60.0, xyz, frame, start=0.5)


def test_z_up_is_turned_to_y_up(tmp_path):
    up = np.full((2, 3, 3), 0.5)
    up[:, 0] = [1.0, 2.0, 3.0]  # world X Y Z → OpenSim x = Y, y = Z, z = X
    write_trc(tmp_path / "x.trc", Markers(("A", "B", "C"), 50, up, "z_up"))
    np.testing.assert_array_equal(read_trc(tmp_path / "x.trc").xyz[:, 0], [[2.0, 3.0, 1.0]] * 2)


@pytest.mark.parametrize("name", ["", "a\tb", " a"])
def test_names_a_trc_cannot_hold(tmp_path, name):
    with pytest.raises(InputError, match=r"marker name|none of them empty"):
        write_trc(tmp_path / "x.trc", Markers((name,), 50, np.zeros((1, 1, 3))))
    assert not list(tmp_path.iterdir())


def test_nothing_to_write(tmp_path):
    with pytest.raises(InputError, match="nothing to write"):
        write_trc(tmp_path / "x.trc", Markers((), 50, np.zeros((1, 0, 3))))


def test_opensim_reads_what_we_write(tmp_path):
    import opensim

    opensim.Logger.setLevelString("off")
    markers, path = sample(), tmp_path / "x.trc"
    write_trc(path, markers)
    table = opensim.TimeSeriesTableVec3(str(path))
    assert table.getColumnLabels() == markers.names
    assert table.getTableMetaDataString("Units") == "m"
    assert float(table.getTableMetaDataString("DataRate")) == 60.0
    np.testing.assert_allclose(table.getIndependentColumn(), markers.time, atol=1e-9)
    values = [[table.getDependentColumn(n)[i].to_numpy() for n in markers.names] for i in range(markers.frames)]
    np.testing.assert_allclose(values, markers.xyz, atol=1e-8)
    old = opensim.MarkerData(str(path))  # the reader of the scale tool
    values = [[old.getFrame(i).getMarker(k).to_numpy() for k in range(3)] for i in range(markers.frames)]
    np.testing.assert_allclose(values, markers.xyz, atol=1e-8)


def test_we_read_what_opensim_writes(tmp_path):
    import opensim

    opensim.Logger.setLevelString("off")
    markers = sample()
    write_trc(tmp_path / "x.trc", markers)
    opensim.TRCFileAdapter.write(opensim.TimeSeriesTableVec3(str(tmp_path / "x.trc")), str(tmp_path / "y.trc"))
    back = read_trc(tmp_path / "y.trc")
    assert (back.names, back.rate) == (markers.names, 60.0)
    np.testing.assert_allclose(back.xyz, markers.xyz, atol=1e-5)  # OpenSim writes six digits


def test_pose2sim_reads_what_we_write(tmp_path):
    from Pose2Sim import common

    markers = sample()
    write_trc(tmp_path / "x.trc", markers)
    data, frames, time, names, header = common.read_trc(str(tmp_path / "x.trc"))
    assert tuple(names) == markers.names
    assert frames.tolist() == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(time, markers.time, atol=1e-9)
    np.testing.assert_allclose(data.to_numpy().reshape(markers.xyz.shape), markers.xyz, atol=1e-8)
    names, table = common.extract_trc_data(str(tmp_path / "x.trc"))
    assert tuple(names) == markers.names
    np.testing.assert_allclose(table[:, 1:].reshape(markers.xyz.shape), markers.xyz, atol=1e-8)
    common.write_trc(str(tmp_path / "z.trc"), data, frames, time, header)  # and back through theirs
    np.testing.assert_allclose(read_trc(tmp_path / "z.trc").xyz, markers.xyz, atol=1e-8)


@pytest.mark.parametrize("jump", [0, 3])
def test_frame_numbers_that_jump_are_named_where_times_do_not(tmp_path, jump, recwarn):
    lines = text(np.repeat(POINTS, 2, 0))
    row = lines[-1].split("\t")
    path = put(tmp_path, [*lines[:-1], "\t".join([str(int(row[0]) + jump), *row[1:]])])
    assert read_trc(path).rate == 50.0
    assert [str(one.message).endswith("Are frames missing?") for one in recwarn] == ([True] if jump else [])
