"""People of another anatomy: they have the published figures they were drawn from, rigid parts and natural motions."""

import ast
from pathlib import Path

import numpy as np
import pytest
import tools.other_anatomy.motion as foreign
from tools.other_anatomy.anatomy import read_foreign, sagittal_curve, sample_subject
from tools.other_anatomy.motion import FOREIGN_ACTIONS, make_foreign_subject, make_foreign_trial

from simspine.anatomy.split_torso import spine_levels
from simspine.core.errors import InputError
from simspine.core.skeletons import VERTEBRA_OF, load_skeleton
from simspine.synthesis.population import population_articulation

PEOPLE = 40
# Of neighbouring vertebral centroids, mm: the means of C4–C5 less, of L3–L4 plus 3 sd in CT scans (VerSe 2019, 2020)
SPACING_MM = (10.0, 44.0)


@pytest.fixture(scope="module")
def people():
    return [make_foreign_subject(3, index) for index in range(PEOPLE)]


@pytest.fixture(scope="module")
def standing(people):
    return [make_foreign_trial(person, "standing", 100) for person in people]


@pytest.fixture(scope="module")
def trials(people):
    return {action: make_foreign_trial(people[1], action, 600) for action in FOREIGN_ACTIONS}


def at(trial, name: str) -> np.ndarray:
    return trial.points.xyz[:, trial.points.index(name)]


def distance(trial, a: str, b: str) -> np.ndarray:
    return np.linalg.norm(at(trial, a) - at(trial, b), axis=1)


def test_curves_of_many_people_are_those_published(people, standing):
    """40 people: the mean within 3 standard errors, the sd within 3 of its own (11 %)."""
    figures = read_foreign()["curve"]
    for name, key in (("lla", "lordosis"), ("tka", "kyphosis")):
        mean, sd = figures[key]
        found = np.degrees([getattr(trial.spine, name).mean() for trial in standing])
        drawn = np.degrees([getattr(person, key) for person in people])
        assert np.mean(found) == pytest.approx(mean, abs=3 * sd / np.sqrt(PEOPLE))
        assert np.std(found, ddof=1) == pytest.approx(sd, rel=0.35)
        assert np.abs(found - drawn).max() < 9  # the posture of one trial: 2° a region


def test_at_rest_the_curve_is_exactly_the_drawn_one(people):
    """Sagittal sums of wedges and discs, against the Cobb angles of the segments in space ."""
    for person in people:
        found, poses = foreign.trunk_and_limbs(person, foreign.rest_pose(person))
        spine = foreign.spine_truth_of(person, found, poses)
        assert spine.lla[0] == pytest.approx(person.lordosis, abs=np.radians(0.15))
        assert spine.tka[0] == pytest.approx(person.kyphosis, abs=np.radians(0.15))
        assert found["Head"][0, 1] == pytest.approx(person.stature, abs=1e-3)


def test_pelvis_and_balance_are_as_published(people):
    """Nothing but lordosis, kyphosis and plumb line is drawn; the slope of the sacrum and the incidence come out."""
    slope, incidence = (np.degrees([getattr(p, key) for p in people]) for key in ("slope", "incidence"))
    assert 33 < slope.mean() < 43
    assert 6 < slope.std() < 12
    assert 46 < incidence.mean() < 58
    assert 7 < incidence.std() < 14
    assert np.corrcoef(slope, [p.lordosis for p in people])[0, 1] > 0.6  # published: 0.8 and more
    for person in people[:5]:
        place, lean = sagittal_curve(person.spine, person.slope)
        assert lean[-1] == pytest.approx(person.head_pitch)
        assert abs(place[person.spine.vertebrae.index("C7"), 0]) < 0.07  # over the sacrum


def test_lumbar_segments_and_the_sacral_table_are_the_published_ones():
    """From upper endplate to upper endplate 21.6, 12.7, 9.1, 5.9 (n = 324, Sci Rep 2022), the last with the largest
    spread; the endplate's tilt in S1 goes with the incidence (n = 142, Ru 2023). Nothing is drawn about these means."""
    many = [sample_subject(8, index) for index in range(300)]
    segments = np.degrees([p.spine.disc_angle[:4] + p.spine.wedge[1:5] for p in many])
    np.testing.assert_allclose(segments.mean(0), [21.6, 12.7, 9.1, 5.9], atol=1.2)
    assert segments[:, 0].std() == pytest.approx(5.6, rel=0.15)
    assert (np.diff(segments.std(0)) < 0).all()
    tilt = np.array([-p.spine.wedge[0] / 2 for p in many])
    incidence = np.array([p.incidence for p in many])
    assert np.degrees(tilt.mean()) == pytest.approx(0, abs=1.5)
    assert np.corrcoef(tilt, incidence)[0, 1] == pytest.approx(0.69, abs=0.09)
    _, lean = sagittal_curve(many[0].spine, many[0].slope)
    assert lean[0] + many[0].spine.wedge[0] / 2 == pytest.approx(-many[0].slope)  # the slope is the endplate's


def test_parts_are_rigid(trials):
    pairs = [(f"{s}{a}", f"{s}{b}") for s in "LR" for a, b in (
        ("Hip", "Knee"), ("Knee", "Ankle"), ("Ankle", "Heel"), ("Heel", "SmallToe"), ("Shoulder", "Elbow"),
        ("Elbow", "Wrist"), ("Eye", "Ear"),
    )]  # fmt: skip
    pairs += [("LHip", "RHip"), ("Hip", "LHip"), ("LClavicle", "RClavicle"), ("LLatissimus", "RClavicle")]
    pairs += [("Head", "Nose"), ("LEar", "REar")]
    for trial in trials.values():
        for a, b in pairs:
            assert np.ptp(distance(trial, a, b)) < 1e-9, (trial.trial, a, b)


def test_centroids_are_spaced_as_vertebrae_are(people, trials):
    for trial in trials.values():
        names = trial.centres.names
        assert names[0] == "C1"
        assert names[-1] == "S1"
        assert len(names) == 25
        steps = 1e3 * np.linalg.norm(np.diff(trial.centres.xyz, axis=1), axis=-1)
        assert SPACING_MM[0] < steps.min()
        assert steps.max() < SPACING_MM[1]
        lumbar, neck = steps[:, names.index("L1") : names.index("L5")], steps[:, names.index("C3") : names.index("C7")]
        assert lumbar.min() > neck.max()
        for point, vertebra in VERTEBRA_OF.items():
            assert np.array_equal(at(trial, point), trial.centres.xyz[:, names.index(vertebra)])


def test_it_speaks_the_products_names(trials):
    wanted = [level.name for level in spine_levels(population_articulation())]
    for trial in trials.values():
        assert trial.points.names == tuple(load_skeleton("simspine37").names)
        assert (trial.points.frame, trial.points.rate, trial.points.frames) == ("y_up", 50.0, 600)
        assert trial.points.present.all()
        assert trial.centres.present.all()
        assert list(trial.spine.levels) == wanted


def test_levels_add_up_to_the_region(trials):
    """Bending forward is nearly in one plane, where angles add; also against the Cobb angle."""
    spine = trials["bending"].spine
    for region, joints in (
        ("lumbar", ("L5-S1", "L4-L5", "L3-L4", "L2-L3", "L1-L2")),
        ("thoracic", [f"T{i}-T{i + 1}" for i in range(1, 12)]),
    ):
        whole, parts = spine.level(region)[:, 0], sum(spine.level(name)[:, 0] for name in joints)
        assert np.ptp(whole) > np.radians(4)
        assert np.abs(whole - whole[0] - (parts - parts[0])).max() < np.radians(0.5)
    lumbar = spine.level("lumbar")[:, 0]
    assert np.abs((spine.lla - spine.lla[0]) + (lumbar - lumbar[0])).max() < np.radians(0.5)


def test_shares_differ_between_people_and_add_up(people):
    shares = np.array([person.spine.shares for person in people])
    for region in ("lumbar", "thoracic", "neck", "head"):
        levels = people[0].spine.within(region)
        assert np.allclose(shares[:, levels].sum(1), 1)
        assert (shares[:, levels].std(0)[:, 0] > 0.02).all()


@pytest.mark.parametrize("index", range(5))
def test_bending_reaches_sixty_degrees_and_flattens_the_lordosis(people, index):
    spine = make_foreign_trial(people[index], "bending", 600).spine
    thorax = np.degrees(spine.level("thorax")[:, 0])
    assert 55 < np.ptp(thorax) < 80
    assert np.degrees(spine.lla[thorax.argmin()] - spine.lla[thorax.argmax()]) > 12
    pelvis = np.degrees(spine.level("pelvis")[:, 0])
    assert 0.3 < np.ptp(pelvis) / np.ptp(thorax) < 0.6


def test_sitting_flattens_the_lordosis(people, standing):
    for person, upright in zip(people[:5], standing, strict=False):
        seated = make_foreign_trial(person, "sitting", 300)
        assert np.degrees(upright.spine.lla.mean() - seated.spine.lla.mean()) > 10
        knee = at(seated, "RKnee")
        assert np.abs(knee[:, 1] - at(seated, "RHip")[:, 1]).max() < 0.12


def test_bends_to_both_sides_and_turns_to_both(trials):
    for action, axis in (("side_bending", 1), ("twisting", 2)):
        turned = np.degrees(trials[action].spine.level("thorax")[:, axis])
        assert turned.max() > 20
        assert turned.min() < -20


def test_shoulders_move_on_the_thorax_when_arms_rise(people):
    """In the rib cage's frame the shoulder joint rises by 19 mm and more; nothing a girdle fixed to T4 could do."""
    for person in people[:5]:
        trial = make_foreign_trial(person, "reaching", 400)
        t4 = trial.centres.xyz[:, trial.centres.names.index("T4")]
        up, down = at(trial, "RWrist")[:, 1].argmax(), at(trial, "RWrist")[:, 1].argmin()
        assert (at(trial, "RWrist") - at(trial, "Head"))[up, 1] > 0.05
        moved = (at(trial, "RShoulder") - t4)[up] - (at(trial, "RShoulder") - t4)[down]
        assert moved[1] > 0.019


def test_feet_stay_on_the_floor(trials):
    feet = [side + name for side in "LR" for name in ("Heel", "BigToe", "SmallToe", "Ankle")]
    for action, trial in trials.items():
        assert trial.points.xyz[..., 1].min() > 0
        if action != "walking":
            assert max(np.ptp(at(trial, name), axis=0).max() for name in feet) < 1e-9


def test_walking_feet_move_with_the_belt_and_lift_in_turn(trials):
    trial = trials["walking"]
    heel = at(trial, "RHeel")
    down = heel[:, 1] < heel[:, 1].min() + 0.004
    speed = 50 * np.diff(heel[:, 0])[down[1:] & down[:-1]]
    assert np.std(speed) < 0.15 * abs(speed.mean())
    assert -1.3 < speed.mean() < -0.5
    both = np.minimum(at(trial, "RAnkle")[:, 1], at(trial, "LAnkle")[:, 1])
    assert np.ptp(both) < 0.06  # one of the feet always carries
    turned = [trial.spine.level(name)[:, 2] for name in ("pelvis", "thorax-pelvis")]
    assert np.corrcoef(*turned)[0, 1] < -0.8  # the thorax turns against the pelvis


def test_motions_are_slow(trials):
    """Of the trunk's motion less than 1 % of the variance is faster than 3 Hz."""
    for trial in trials.values():
        for name in ("Hip", "Neck", "Head", "LShoulder"):
            motion = at(trial, name) - at(trial, name).mean(0)
            power = (np.abs(np.fft.rfft(motion * np.hanning(len(motion))[:, None], axis=0)) ** 2).sum(1)
            frequency = np.fft.rfftfreq(len(motion), 1 / 50)
            assert power[frequency > 3].sum() < 0.01 * power.sum(), (trial.trial, name)


@pytest.mark.parametrize("action", FOREIGN_ACTIONS)
def test_a_longer_trial_goes_on_where_a_shorter_one_ends(people, trials, action):
    short = make_foreign_trial(people[1], action, 210)
    assert np.allclose(short.points.xyz, trials[action].points.xyz[:210], atol=1e-9)


def test_the_same_numbers_give_the_same_person_and_trial(trials):
    again = make_foreign_trial(make_foreign_subject(3, 1), "walking", 600)
    assert np.array_equal(again.points.xyz, trials["walking"].points.xyz)
    other = make_foreign_trial(make_foreign_subject(4, 1), "walking", 600)
    assert not np.allclose(other.points.xyz, again.points.xyz, atol=1e-3)


def test_one_frame_is_a_trial():
    assert make_foreign_trial(make_foreign_subject(1, 0), "bending", 1).spine.frames == 1


def test_what_cannot_be_made_is_refused():
    person = make_foreign_subject(1, 0)
    with pytest.raises(InputError, match="swimming"):
        make_foreign_trial(person, "swimming", 10)
    with pytest.raises(InputError, match="frames is 0"):
        make_foreign_trial(person, "standing", 0)
    with pytest.raises(InputError, match="index is -1"):
        make_foreign_subject(1, -1)


def test_nothing_of_the_estimator_is_used():
    """Imports of all its modules: definitions, types and random numbers, no body, prior, table of the other people."""
    allowed = {
        "simspine.core.errors",
        "simspine.core.types",
        "simspine.core.skeletons",
        "simspine.anatomy.curvature",
        "simspine.anatomy.vertebrae",
        "simspine.synthesis.signals",
    }
    folder = Path(foreign.__file__).parent
    files = sorted(folder.glob("[a-z]*.py"))
    assert len(files) == 3
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("simspine"):
                assert node.module in allowed, (
                    path.name,
                    node.module,
                )
