"""What a detector is off by in everybody, from people who turn and differ by known amounts."""

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from scipy.spatial.transform import Rotation
from stick_person import stick_person

from simspine.cli.main import main
from simspine.core.errors import InputError
from simspine.core.geometry import change_frame
from simspine.core.skeletons import SPINE_REGIONS, trunk_axes, trunk_part
from simspine.estimation.options import KinematicsOptions
from simspine.evaluation.detector_offsets import MeasuredOffset, measured_offsets, offsets_section, offsets_table
from simspine.evaluation.point_sources import PointSequence, write_point_sequences

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
    """Drawn again and again, nine in ten of another person's offsets lie within 1.645 of what two people tell."""
    rng, inside = np.random.default_rng(5), []
    for _ in range(300):
        own = PEOPLE_SD * rng.standard_normal((3, 3))
        trials = {str(p): own[p] + TRIALS_SD * rng.standard_normal((3, 3)) for p in range(2)}
        offset = MeasuredOffset(trials)
        inside.append(np.abs(own[2] - offset.mean) < 1.645 * offset.new_person_sd)
    assert 0.83 < np.mean(inside) < 0.97


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
    write_point_sequences(tmp_path / "mine.npz", seen)
    write_point_sequences(tmp_path / "true.npz", true)
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


def _with(sequence, name, xyz):
    places = np.array(sequence.xyz)
    places[:, sequence.names.index(name)] = xyz
    return PointSequence(*sequence.key[:2], sequence.frames, sequence.names, places, "z_up")


def _exchanged(sequence, left, right):
    """A sequence whose two sides bear each other's names."""
    names = [{left: right, right: left}.get(name, name) for name in sequence.names]
    return PointSequence(*sequence.key[:2], sequence.frames, names, sequence.xyz, "z_up")


@pytest.mark.parametrize(("left", "right"), [("LHip", "RHip"), ("LShoulder", "RShoulder")])
def test_exchanged_sides_are_refused_and_turn_no_offset_round(left, right):
    seen, true = _seen(2, 1)
    with pytest.raises(InputError, match=f"P0/Trial_0: {left} and {right} are exchanged"):
        measured_offsets([_exchanged(seen[0], left, right), seen[1]], true)


def test_a_nose_behind_is_refused():
    seen, true = _seen(2, 1)
    both = [[_exchanged(s, "LShoulder", "RShoulder") for s in sequences] for sequences in (seen, true)]
    with pytest.raises(InputError, match="the true nose is behind"):
        measured_offsets(*both)


def test_points_farther_off_than_any_detectors_are_refused():
    seen, true = _seen(2, 1)
    raised = [PointSequence(*s.key[:2], s.frames, s.names, s.xyz + np.array([0, 0, 0.3]), "z_up") for s in seen]
    with pytest.raises(InputError, match=r"P0/Trial_0: cervical points lie \d+ mm .* at most 150 mm"):
        measured_offsets(raised, true)


def test_landmarks_that_coincide_give_no_axes():
    """In one frame of six; and throughout, which leaves the region out, with a word."""
    seen, true = _seen(2, 1)
    at = true[0].xyz[:, true[0].names.index("LHip")]
    one = np.where(np.arange(FRAMES)[:, None] == 2, at, true[0].xyz[:, true[0].names.index("RHip")])
    found = measured_offsets(seen, [_with(true[0], "RHip", one), true[1]])["lumbar"]
    np.testing.assert_allclose(found.by_person, measured_offsets(seen, true)["lumbar"].by_person, atol=1e-9)
    found = measured_offsets(seen, [_with(t, "RHip", t.xyz[:, t.names.index("LHip")] + 1e-9) for t in true])
    assert set(found) == {"cervical", "thoracic"}
    assert "Without points, or without the landmarks that give them axes: lumbar." in offsets_table("mine", found).notes


def test_a_region_of_one_person_keeps_back_no_other():
    seen, true = _seen(2, 1)
    lacking = seen[1].select([name for name in seen[1].names if name not in SPINE_REGIONS["lumbar"]])
    read = yaml.safe_load(offsets_section("mine", measured_offsets([seen[0], lacking], true)))
    assert set(read["ik"]["detector_offsets"]) == {"cervical", "thoracic"}


def test_no_file_is_lost(tmp_path):
    seen, true = _seen(2, 1)
    write_point_sequences(tmp_path / "mine.npz", seen)
    write_point_sequences(tmp_path / "true.npz", true)
    config = tmp_path / "mine.yaml"
    config.write_text("name: mine\n")
    wanted = ["benchmark", "offsets", str(tmp_path / "mine.npz"), "--truth", str(tmp_path / "true.npz")]
    done = CliRunner().invoke(main, [*wanted, "--out", str(config)])
    assert done.exit_code == 2
    assert config.read_text() == "name: mine\n"
