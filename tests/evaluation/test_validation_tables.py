"""Tables against values known in closed form, and against the layout they promise."""

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simspine.anatomy.curvature import SPINE_MARKERS
from simspine.core.errors import InputError
from simspine.core.types import Markers, Motion
from simspine.evaluation.validation_records import (
    level_coordinates,
)
from simspine.evaluation.validation_tables import (
    RANGE_PERCENTILES,
    curvature_table,
    lumbar_rom,
    neck_rom,
    paper_curvature,
    validation_cells,
    validation_csv,
    validation_markdown,
    validation_tables_of,
)
from simspine.io.dataset_write import Dataset, SubjectData, TrialData
from simspine.quality.observability import share_by_deviation

SD = np.linspace(-1, 1, 101).std()  # of the wave each trial follows


def test_published_averages_are_the_means_of_their_rows():
    """The paper prints them; a slip in copying a row would show."""
    for group, count in (("action", 17), ("subject", 7)):
        rows = paper_curvature(group)
        assert len(rows) == count + 1
        assert rows.drop("mean").mean().to_numpy() == pytest.approx(rows.loc["mean"].to_numpy(), abs=0.0051)


def test_curvature_by_action_and_subject(small_records):
    rows = {row.name: row for row in curvature_table(small_records).itertuples()}
    actions, people = ["Directions", "Walking", "juggling"], ["S1", "S5", "Anna"]
    assert list(rows) == [*actions, "mean of the actions", *people, "mean of the subjects", "all frames"]
    walking = rows["Walking"]  # 40 + {0, 1, 2} + 4 ± 3
    assert (walking.subjects, walking.trials, walking.frames, walking.rejected) == (3, 3, 303, 0)
    assert walking.lla_mean_deg == pytest.approx(45)
    assert walking.lla_sd_deg == pytest.approx(math.sqrt((3 * SD) ** 2 + 2 / 3))
    assert (walking.paper_lla_mean_deg, walking.paper_tka_sd_deg) == (36.08, 3.92)
    assert rows["Directions"].trials == 6  # two takes, three people
    assert rows["Directions"].lla_mean_deg == pytest.approx(42)
    assert rows["S5"].lla_mean_deg == pytest.approx(44)
    assert rows["mean of the actions"].lla_mean_deg == pytest.approx((42 + 45 + 47) / 3)
    assert rows["mean of the subjects"].lla_mean_deg == pytest.approx(44)
    assert rows["all frames"].frames == 12 * 101
    assert math.isnan(rows["juggling"].paper_lla_mean_deg)


def test_what_decided_a_curvature_stands_beside_it(small_records):
    row = curvature_table(small_records).iloc[0]
    assert row.lla_uncertainty_deg == 8.2  # the posterior's is 5.6°, the error in real people 8.2°
    assert row.lla_share == pytest.approx(1 - (8.2 / 11.2) ** 2)  # adults differ by 11.2°
    assert row.lla_decided == "partly measured"
    assert row.tka_decided == "set by the model"
    assert math.isnan(row.tka_share)
    assert math.isnan(row.tka_uncertainty_deg)


def test_rejected_frames_are_left_out_and_counted(make, recorded):
    clean, masked = (curvature_table(recorded(make(rejected=n))) for n in (0, 5))
    assert masked.iloc[0].rejected == 30
    assert masked.iloc[0].frames == clean.iloc[0].frames - 30
    # the mean of what is left of an even spread over ±3: the missing first five leave it higher
    assert masked.iloc[0].lla_mean_deg - clean.iloc[0].lla_mean_deg == pytest.approx(
        3 * np.linspace(-1, 1, 101)[5:].mean()
    )
    assert masked.iloc[0].lla_sd_deg < clean.iloc[0].lla_sd_deg  # values of 300° would make it 60


def test_range_by_level_is_that_of_the_percentiles(small_records):
    rows = {(row.level, row.plane): row for row in lumbar_rom(small_records).itertuples()}
    l5 = rows["L5-S1", "flexion"]  # ±1, ±2, ±3 degrees, evenly spread
    share = (RANGE_PERCENTILES[1] - RANGE_PERCENTILES[0]) / 100
    assert l5.rom_mean_deg == pytest.approx(4 * share)
    assert l5.rom_sd_deg == pytest.approx(2 * share)  # of 2, 4, 6
    assert (l5.low_deg, l5.high_deg) == (pytest.approx(-1.96), pytest.approx(1.96))
    assert (l5.share, l5.decided) == (pytest.approx(0.95), "measured as a sum")  # it turns the levels above as well
    assert rows["L4-L5", "flexion"].rom_mean_deg == pytest.approx(1.857 * 4 * share)
    assert rows["L4-L5", "lateral bending"].decided == "assumed"


def test_a_range_within_its_error_is_not_called_measured(small_records):
    """The angle's deviation of 2° beside a range of 3.9°, and of 6°."""
    for factor, decided in ((1.0, "measured as a sum"), (3.0, "assumed")):
        some = [replace(record, angles_sd=factor * record.angles_sd) for record in small_records]
        row = next(row for row in lumbar_rom(some).itertuples() if (row.level, row.plane) == ("L5-S1", "flexion"))
        assert row.decided == decided
        assert row.uncertainty_deg == pytest.approx(2 * factor)


def test_what_the_couplers_force_is_printed_as_forced(small_records):
    rows = {(row.level, row.plane): row for row in lumbar_rom(small_records).itertuples()}
    for level in ("L4-L5", "L3-L4", "L2-L3", "L1-L2", "T12-L1"):
        row = rows[level, "flexion"]
        assert row.decided == "set by the model"
        assert "L5_S1_Flex_Ext" in row.forced
        assert math.isnan(row.share)
        assert math.isnan(row.uncertainty_deg)
    assert rows["L5-S1", "flexion"].forced == ""
    text = validation_markdown("lumbar_rom", lumbar_rom(small_records))
    assert sum("| set by the model" in line for line in text.splitlines()) == 5


def test_neck_by_action(small_records):
    rows = {(row.action, row.plane): row for row in neck_rom(small_records).itertuples()}
    assert list(dict.fromkeys(action for action, _ in rows)) == ["Directions", "Walking", "juggling", ""]
    # third action of the list: 10 · 3 degrees to either side in flexion, twice that in bending, thrice in rotation
    spread = np.percentile(np.linspace(-30, 30, 101), RANGE_PERCENTILES)
    assert rows["Walking", "flexion"].rom_mean_deg == pytest.approx(np.ptp(spread))
    assert rows["Walking", "axial rotation"].rom_mean_deg == pytest.approx(3 * np.ptp(spread))
    assert rows["Walking", "flexion"].published_high_deg == 127


def test_one_person_has_no_spread_over_people(make, recorded):
    whole = make()
    alone = recorded(Dataset({"S1": whole.subjects["S1"]}))
    assert lumbar_rom(alone).rom_sd_deg.isna().all()
    assert "(" not in "".join(line[4] for line in validation_cells("lumbar_rom", lumbar_rom(alone))[1])


def test_csv_reads_back_and_leaves_unknown_empty(small_records):
    rows = curvature_table(small_records)
    read = list(csv.DictReader(io.StringIO(validation_csv(rows))))
    assert len(read) == len(rows)
    assert float(read[0]["lla_mean_deg"]) == pytest.approx(rows.lla_mean_deg[0], abs=1e-6)
    assert read[2]["paper_lla_mean_deg"] == ""
    assert "nan" not in validation_csv(rows)


def test_markdown_is_one_table_with_equal_columns(small_records):
    for name, rows in validation_tables_of(small_records).items():
        lines = [line for line in validation_markdown(name, rows).splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) == 1
        assert len(lines) == 2 + len(validation_cells(name, rows)[1])
    with pytest.raises(InputError, match="lla_tka, lumbar_rom, neck_rom"):
        validation_cells("rom", pd.DataFrame())


def test_a_file_without_our_groups_still_counts_its_frames(recorded):
    """The released tree: markers and coordinates, no angles, no curvature, no status."""
    released = TrialData(
        Markers(SPINE_MARKERS, 50, np.zeros((7, 15, 3)), "y_up"),
        Motion(("pelvis_tilt",), 50, np.zeros((7, 1)), (True,)),
    )
    found = validation_tables_of(recorded(Dataset({"S1": SubjectData((), {"Walking": released})})))
    assert found["lla_tka"].frames[0] == 7
    assert math.isnan(found["lla_tka"].lla_mean_deg[0])
    assert len(found["lumbar_rom"]) == len(found["neck_rom"]) == 0
    assert "| – | 36.08 (2.43) |" in " ".join(validation_markdown("lla_tka", found["lla_tka"]).split())


def test_levels_find_their_coordinates_by_name():
    names = [
        f"{joint}_{kind}"
        for joint in ("L1_T12", "C1_skull", "L5_S1")
        for kind in ("Flex_Ext", "Lat_Bending", "axial_rotation")
    ]
    found = {
        level.name: level.coordinates[0]
        for level in level_coordinates(("T12-L1", "skull-C1", "L5-S1", "neck", "T9-T10"), tuple(names))
    }
    assert found == {"T12-L1": "L1_T12_Flex_Ext", "skull-C1": "C1_skull_Flex_Ext", "L5-S1": "L5_S1_Flex_Ext"}


@given(st.floats(0.01, 1), st.floats(0.01, 5))
def test_share_known_from_a_standard_deviation(before, noise):
    """Of a Gaussian belief and one measurement: the weight of the measurement in the estimate."""
    after = 1 / math.sqrt(1 / before**2 + 1 / noise**2)
    assert share_by_deviation(after, before) == pytest.approx(before**2 / (before**2 + noise**2), abs=1e-9)
    assert share_by_deviation(2 * before, before) == 0


def test_an_interval_is_of_95_percent_and_its_verdict_stands_by_it(small_records):
    """A deviation of 8.2° makes ± 16.1°; what the model sets has none."""
    header, lines = validation_cells("lla_tka", curvature_table(small_records))
    first = dict(zip(header, lines[0], strict=True))
    assert (first["LLA, ± 95 %"], first["LLA data"]) == ("16.1", "46 % (partly measured)")
    assert (first["TKA, ± 95 %"], first["TKA data"]) == ("–", "set by the model")


def test_names_that_a_spreadsheet_would_run_are_texts():
    rows = pd.DataFrame(
        {"trial": ["=cmd|calc!A0", "+1", "@x", "-2+3", "walk = run", "\t=1"], "lla": [-1.5, 2, 3, 4, 5, 6]}
    )
    read = list(csv.DictReader(io.StringIO(validation_csv(rows))))
    assert [row["trial"] for row in read] == ["'=cmd|calc!A0", "'+1", "'@x", "'-2+3", "walk = run", "'\t=1"]
    assert read[0]["lla"] == "-1.5"
