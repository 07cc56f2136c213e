"""What a detector is off by in everybody, from people who turn and differ by known amounts."""

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from scipy.spatial.transform import Rotation
from stick_person import stick_person

from simspine.cli import main
from simspine.errors import InputError
from simspine.evaluation.offsets import measured_offsets, offsets_section, offsets_table
from simspine.evaluation.points import PointSequence, save_points
from simspine.geometry import change_frame
from simspine.pipeline.options import KinematicsOptions
from simspine.skeletons.regions import SPINE_REGIONS
from simspine.skeletons.segment_axes import trunk_axes, trunk_part

MEAN = {"cervical": (0.01, 0.02, 0.0), "thoracic": (-0.03, 0.0, 0.004), "lumbar": (0.0, -0.015, 0.0)}
PEOPLE_SD, TRIALS_SD = 0.010, 0.006  # m
FRAMES = 6


def _seen(people: int, trials: int, people_sd: float = PEOPLE_SD, trials_sd: float = TRIALS_SD):
    """Points of a person who is turned any way in each frame, as a detector with these offsets has them; and true."""
    rng, (still, *_) = np.random.default_rng(3), stick_person(FRAMES)
    seen, true = [], []
    for p in range(people):
        own = {region: np.array(of) + people_sd * rng.standard_normal(3) for region, of in MEAN.items()}
        for t in range(trials):
            turned = Rotation.random(FRAMES, random_state=rng).as_matrix()
            xyz = np.einsum("tij,tpj->tpi", turned, still.xyz) + rng.normal(0, 2, (FRAMES, 1, 3))
            axes, off = trunk_axes(still.names, xyz), np.zeros(xyz.shape)
            for region, members in SPINE_REGIONS.items():
                here = own[region] + trials_sd * rng.standard_normal(3)
                for name in members:
                    off[:, still.index(name)] = axes[trunk_part(name)] @ here
            about = (f"P{p}", f"Trial_{t}", np.arange(FRAMES), still.names)
            seen.append(PointSequence(*about, xyz + off, "z_up"))
            true.append(PointSequence(*about, xyz, "z_up"))
    return seen, true


def test_offsets_and_how_people_and_trials_differ_come_back():
    found = measured_offsets(*_seen(150, 3))
    assert list(found) == list(SPINE_REGIONS)
    for region, offset in found.items():
        error = np.sqrt((PEOPLE_SD**2 + TRIALS_SD**2 / 3) / 150)
        np.testing.assert_allclose(offset.mean, MEAN[region], atol=4 * error)
        assert offset.people_sd == pytest.approx(PEOPLE_SD, rel=0.15)
        assert offset.trials_sd == pytest.approx(TRIALS_SD, rel=0.1)
        assert offset.new_person_sd == pytest.approx(np.hypot(offset.people_sd, error), rel=0.01)


def test_few_people_leave_the_next_one_unsure():
    """Drawn again and again, nine in ten of another person's offsets lie within 1.645 of what is stated, or more."""
    seen, true = _seen(240, 2)
    inside = []
    for first in range(0, 240, 6):
        rows = slice(2 * first, 2 * first + 10)  # five people; the sixth is the next one
        offset = measured_offsets(seen[rows], true[rows])["lumbar"]
        sixth = measured_offsets(seen[rows.stop : rows.stop + 2], true[rows.stop : rows.stop + 2])["lumbar"]
        inside.append(np.abs(sixth.mean - offset.mean) < 1.645 * np.hypot(offset.new_person_sd, TRIALS_SD / 2**0.5))
    assert 0.8 < np.mean(inside) < 0.97


def test_who_does_not_differ_is_not_said_to():
    found = measured_offsets(*_seen(4, 2, 0.0, 0.0))
    for region, offset in found.items():
        np.testing.assert_allclose(offset.mean, MEAN[region], atol=1e-12)
        assert offset.people_sd == pytest.approx(0.0, abs=1e-9)
        assert offset.new_person_sd == 0.002


def test_a_spell_of_points_gone_astray_and_gaps_move_nothing():
    seen, true = _seen(2, 1)
    clean = measured_offsets(seen, true)["lumbar"]
    xyz = np.array(seen[0].xyz)
    xyz[0] += 0.4
    xyz[1] = np.nan
    astray = PointSequence(*seen[0].key[:2], seen[0].frames, seen[0].names, xyz, "z_up")
    found = measured_offsets([astray, seen[1]], true)["lumbar"]
    np.testing.assert_allclose(found.by_person, clean.by_person, atol=1e-9)


def test_axes_of_the_world_do_not_matter():
    seen, true = _seen(2, 1)
    turned = [PointSequence(*s.key[:2], s.frames, s.names, change_frame(s.xyz, "z_up", "y_up"), "y_up") for s in seen]
    for region, offset in measured_offsets(turned, true).items():
        np.testing.assert_allclose(offset.mean, measured_offsets(seen, true)[region].mean, atol=1e-12)


def test_points_without_axes_are_left_out():
    """Motion capture has no ears, which tell how the head is turned; and none of the hips, none of the lumbar spine."""
    seen, true = _seen(2, 1)
    no_ears = [t.select([n for n in t.names if not n.endswith("Ear")]) for t in true]
    found = measured_offsets(seen, no_ears)
    np.testing.assert_allclose(found["cervical"].mean, measured_offsets(seen, true)["cervical"].mean, atol=1e-12)
    no_hips = [t.select([n for n in t.names if n != "LHip"]) for t in true]
    assert set(measured_offsets(seen, no_hips)) == {"cervical", "thoracic"}


def test_the_section_is_one_of_a_configuration():
    found = measured_offsets(*_seen(3, 2))
    read = KinematicsOptions(**yaml.safe_load(offsets_section("mine", found))["ik"])
    for region, offset in found.items():
        np.testing.assert_allclose(read.detector_offsets[region].mean_m, offset.mean, atol=6e-5)
        assert read.detector_offsets[region].sd_m == pytest.approx(offset.new_person_sd, abs=6e-5)


def test_one_person_says_nothing_of_others():
    found = measured_offsets(*_seen(1, 2))
    with pytest.raises(InputError, match=r"^mine: found one person's points .cervical, .*; .* takes 2 people"):
        offsets_section("mine", found)
    assert np.isnan(offsets_table("mine", found).value("mine", "lumbar", "people differ by"))


def test_command(tmp_path):
    seen, true = _seen(2, 2)
    save_points(tmp_path / "mine.npz", seen)
    save_points(tmp_path / "true.npz", true)
    out = tmp_path / "section.yaml"
    wanted = ["benchmark", "offsets", str(tmp_path / "mine.npz"), "--truth", str(tmp_path / "true.npz")]
    done = CliRunner().invoke(main, [*wanted, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "lumbar, P1" in done.output
    assert set(yaml.safe_load(out.read_text())["ik"]["detector_offsets"]) == set(SPINE_REGIONS)
    out.unlink()
    alone = CliRunner().invoke(main, [*wanted, "--subjects", "P0", "--out", str(out)])
    assert alone.exit_code == 2
    assert not out.exists()
