"""The systematic error of a detector, from people who turn and differ by known amounts."""

import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from benchmarks import detector_offsets
from benchmarks.detector_offsets import AXES, configuration_section, offset_figures, offsets_of_trials
from scipy.spatial.transform import Rotation
from stick_person import stick_person

from simspine.core.errors import InputError
from simspine.core.geometry import change_frame
from simspine.core.skeletons import SPINE_REGIONS, trunk_axes, trunk_part
from simspine.estimation.options import KinematicsOptions
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


def measured(seen, true):
    return offset_figures(offsets_of_trials(seen, true))


def test_offsets_and_how_people_and_trials_differ_come_back():
    found = measured(*_seen(150, 3))
    assert set(found.index) == set(SPINE_REGIONS)
    for region, offset in found.iterrows():
        error = np.sqrt((PEOPLE_SD**2 + TRIALS_SD**2 / 3) / 150)
        np.testing.assert_allclose(offset[AXES].to_numpy(float), MEAN[region], atol=4 * error)
        assert offset.people_sd == pytest.approx(PEOPLE_SD, rel=0.15)
        assert offset.trials_sd == pytest.approx(TRIALS_SD, rel=0.1)
        assert offset.new_person_sd == pytest.approx(np.hypot(offset.people_sd, error), rel=0.01)


def test_few_people_leave_the_next_one_unsure():
    """Drawn again and again, nine in ten of another person's offsets lie within 1.645 of what two people tell."""
    rng, inside = np.random.default_rng(5), []
    for _ in range(300):
        own = PEOPLE_SD * rng.standard_normal((3, 3))
        trials = np.concatenate([own[p] + TRIALS_SD * rng.standard_normal((3, 3)) for p in range(2)])
        rows = pd.DataFrame(trials, columns=AXES).assign(region="lumbar", subject=["a"] * 3 + ["b"] * 3)
        offset = offset_figures(rows).iloc[0]
        inside.append(np.abs(own[2] - offset[AXES].to_numpy(float)) < 1.645 * offset.new_person_sd)
    assert 0.83 < np.mean(inside) < 0.97


def test_a_spell_of_points_gone_astray_and_gaps_move_nothing():
    seen, true = _seen(2, 1)
    xyz = np.array(seen[0].values)
    xyz[0] += 0.4
    xyz[1] = np.nan
    astray = PointSequence(*seen[0].key[:2], seen[0].frames, seen[0].names, xyz, "z_up")
    np.testing.assert_allclose(measured([astray, seen[1]], true), measured(seen, true), atol=1e-9)


def test_axes_of_the_world_do_not_matter():
    seen, true = _seen(2, 1)
    turned = [
        PointSequence(*s.key[:2], s.frames, s.names, change_frame(s.values, "z_up", "y_up"), "y_up") for s in seen
    ]
    np.testing.assert_allclose(measured(turned, true), measured(seen, true), atol=1e-12)


def test_points_without_axes_are_left_out():
    seen, true = _seen(2, 1)
    no_hips = [t.select([n for n in t.names if n != "LHip"]) for t in true]
    assert set(measured(seen, no_hips).index) == {"cervical", "thoracic"}


def test_the_command_prints_the_section_of_a_configuration(tmp_path, monkeypatch, capsys):
    seen, true = _seen(3, 2)
    write_point_sequences(tmp_path / "mine.npz", seen)
    write_point_sequences(tmp_path / "true.npz", true)
    arguments = ["detector_offsets", str(tmp_path / "mine.npz"), "--truth", str(tmp_path / "true.npz")]
    monkeypatch.setattr(sys, "argv", arguments)
    detector_offsets.main()
    read = KinematicsOptions(**yaml.safe_load(capsys.readouterr().out)["ik"])
    for region, offset in measured(seen, true).iterrows():
        np.testing.assert_allclose(read.detector_offsets[region].mean_m, offset[AXES].to_numpy(float), atol=6e-5)
        assert read.detector_offsets[region].sd_m == pytest.approx(offset.new_person_sd, abs=6e-5)


def test_one_person_says_nothing_of_others():
    found = measured(*_seen(1, 2))
    with pytest.raises(InputError, match="two people or more"):
        configuration_section("mine", found)
    assert found.people_sd.isna().all()


def test_a_region_of_one_person_is_not_written():
    seen, true = _seen(2, 1)
    lacking = seen[1].select([name for name in seen[1].names if name not in SPINE_REGIONS["lumbar"]])
    read = yaml.safe_load(configuration_section("mine", measured([seen[0], lacking], true)))
    assert set(read["ik"]["detector_offsets"]) == {"cervical", "thoracic"}


def _exchanged(sequence, left, right):
    """A sequence whose two sides bear each other's names."""
    names = [{left: right, right: left}.get(name, name) for name in sequence.names]
    return PointSequence(*sequence.key[:2], sequence.frames, names, sequence.values, "z_up")


@pytest.mark.parametrize(("left", "right"), [("LHip", "RHip"), ("LShoulder", "RShoulder")])
def test_exchanged_sides_are_refused_and_turn_no_offset_round(left, right):
    seen, true = _seen(2, 1)
    with pytest.raises(InputError, match=f"P0/Trial_0: {left} and {right} are exchanged"):
        measured([_exchanged(seen[0], left, right), seen[1]], true)


def test_a_nose_behind_is_refused():
    seen, true = _seen(2, 1)
    both = [[_exchanged(s, "LShoulder", "RShoulder") for s in sequences] for sequences in (seen, true)]
    with pytest.raises(InputError, match="the true nose is behind"):
        measured(*both)


def test_points_farther_off_than_any_detectors_are_refused():
    seen, true = _seen(2, 1)
    raised = [PointSequence(*s.key[:2], s.frames, s.names, s.values + np.array([0, 0, 0.3]), "z_up") for s in seen]
    with pytest.raises(InputError, match=r"P0/Trial_0: cervical points lie \d+ mm .* at most 150 mm"):
        measured(raised, true)
