"""The fifteen actions of Human3.6M, each composed of parts from `postures`."""

from collections.abc import Callable

import numpy as np

from simspine.synthesis import postures
from simspine.synthesis import signals as p
from simspine.synthesis.bodies import TruthBody
from simspine.synthesis.population import SyntheticSubject


def play_action(
    subject: SyntheticSubject, truth: TruthBody, action: str, repeat: int, frames: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Channels (see `MotionChannels`) of one trial of an action of `ACTION_NAMES`."""
    score = postures.Score(subject, truth, rng, frames)
    for name in ("x", "z", "heading"):
        score.add(name, 0.0)
    postures.add_breathing(score)
    _ACTIONS[action][0](score, repeat)
    return score.channels


def act_directions(score: postures.Score, repeat: int) -> None:
    postures.stand_facing(score)
    postures.look_about(score, 4.0)
    for start in score.times(5.5, 3.6):
        side = score.side()
        done = p.minimum_jerk_pulse(score.time, start, score.near(0.8), hold=score.near(1.6, 0.3), fall=score.near(0.9))
        out = score.rng.uniform(-0.3, 0.9)
        postures.bring_hand(score, done, side, (0.75, score.rng.uniform(-0.05, 0.45), out))
        turn = score.rng.uniform(4, 12) * (1 if side == "l" else -1)
        score.degrees(done, thoracic_rotation=turn, lumbar_rotation=0.3 * turn, head_rotation=turn)


def act_discussion(score: postures.Score, repeat: int) -> None:
    postures.stand_facing(score, turning=35.0, sway=1.3)
    postures.look_about(score, 3.0, wide=22.0)
    postures.add_gestures(score, 4.0)
    nod = score.spells(7.0, 1.2, 0.3)
    score.degrees(nod * np.sin(2 * np.pi * 1.5 * score.time), head_flexion=4.0, neck_flexion=3.0)


def act_eating(score: postures.Score, repeat: int) -> None:
    postures.stand_facing(score, turning=15.0)
    postures.look_about(score, 6.0, wide=15.0, down=8.0)
    side = score.side()
    ready = np.ones(score.frames)
    postures.bring_hand(score, ready, postures.OTHER_SIDE[side], (0.42, -0.55, -0.15))  # holds the plate
    for start in score.times(4.5, 3.2):
        bite = p.minimum_jerk_pulse(score.time, start, score.near(0.8), hold=score.near(0.7, 0.3), fall=score.near(0.8))
        ready = ready - bite
        postures.bring_hand(score, bite, side, offset=(0.12, -0.12, 0.03), place="head_front")
        score.degrees(bite, neck_flexion=6.0, head_flexion=3.0, thoracic_flexion=3.0)
    postures.bring_hand(score, ready, side, (0.45, -0.55, -0.2))


def act_greeting(score: postures.Score, repeat: int) -> None:
    going = score.spells(7.0, 1.8) if score.rng.random() < 0.5 else np.zeros(score.frames)
    postures.walk_round(score, going, pace=0.8)
    postures.look_about(score, 4.0, wide=18.0)
    for start in score.times(5.0, 3.4):
        side, kind = score.side(), score.rng.random()
        hold = score.near(1.6, 0.25)
        done = p.minimum_jerk_pulse(score.time, start, 0.7, hold=hold, fall=0.8)
        if kind < 0.55:  # wave
            postures.bring_hand(score, done, side, (0.35, score.rng.uniform(0.35, 0.6), 0.25))
            score.degrees(done * np.sin(2 * np.pi * score.near(1.9) * score.time), **{f"arm_rot_{side}": 16.0})
        elif kind < 0.8:  # shake hands
            postures.bring_hand(score, done, side, (0.7, -0.35, -0.05))
            score.degrees(done, thoracic_flexion=3.0, tilt=-5.0)
            score.degrees(done * np.sin(2 * np.pi * 1.6 * score.time), **{f"elbow_flex_{side}": 6.0})
        else:
            postures.bend_forward(score, done, deep=0.5)


def act_phoning(score: postures.Score, repeat: int) -> None:
    act_seated(score, repeat == 2)
    postures.look_about(score, 6.0, wide=14.0)
    side = score.side()
    calling = score.spells(score.near(25.0), score.near(16.0), 1.1)
    postures.bring_hand(score, calling, side, offset=(0.06, -0.03, 0.10), place=f"{side.upper()}Ear")
    tilt = 1.0 if side == "r" else -1.0
    # the neck bends sideways to the phone (direction as in the paper, size ours)
    score.degrees(calling * tilt * (1 + 0.15 * score.wander(3.0)), neck_bending=score.near(13.0), head_bending=3.0)
    score.degrees(calling, neck_flexion=4.0, thoracic_flexion=3.0, thoracic_bending=2.0 * tilt)
    postures.add_gestures(score, 7.0, postures.OTHER_SIDE[side])


def act_photo(score: postures.Score, repeat: int) -> None:
    postures.stand_facing(score, turning=40.0)
    postures.look_about(score, 8.0, wide=10.0)
    for start in score.times(8.5, 6.4):
        hold = score.near(3.5, 0.25)
        done = p.minimum_jerk_pulse(score.time, start, 1.0, hold=hold, fall=1.0)
        for side in "rl":
            postures.bring_hand(score, done, side, offset=(0.22, -0.05, 0.08), place="head_front")
        kind = score.rng.random()
        if kind < 0.4:
            postures.crouch_down(score, done, score.rng.uniform(0.4, 1.0))
        elif kind < 0.7:
            postures.bend_forward(score, done, 0.3)
        score.degrees(done, neck_flexion=4.0)


def act_posing(score: postures.Score, repeat: int) -> None:
    postures.stand_facing(score, turning=60.0, sway=1.2)
    postures.look_about(score, 5.0, wide=20.0)
    for start in score.times(6.0, 5.2):
        kind = score.rng.random()
        done = p.minimum_jerk_pulse(score.time, start, 0.9, hold=score.near(2.4, 0.25), fall=0.9)
        if kind < 0.4:  # hands on the hips
            for side in "rl":
                postures.bring_hand(score, done, side, offset=(0.02, 0.14, 0.10), place=f"{side.upper()}Hip")
        elif kind < 0.65:
            postures.raise_arms(score, done)
        elif kind < 0.8:  # hand behind the head
            side = score.side()
            postures.bring_hand(score, done, side, offset=(-0.05, 0.08, 0.12), place=f"{side.upper()}Ear")
        else:  # arms crossed
            postures.bring_hand(score, done, "r", offset=(0.28, -0.30, -0.22), place="RClavicle")
            postures.bring_hand(score, done, "l", offset=(0.24, -0.36, -0.22), place="LClavicle")
        twist, lean = score.rng.normal(0, 10), score.rng.normal(0, 6)
        score.degrees(done, thoracic_rotation=0.7 * twist, lumbar_rotation=0.3 * twist, head_rotation=-0.6 * twist)
        score.degrees(done, lumbar_bending=lean, thoracic_bending=0.5 * lean, neck_bending=-lean)


def act_purchases(score: postures.Score, repeat: int) -> None:
    pause = score.spells(7.5, 3.6, 0.7)
    postures.walk_round(score, 1 - pause, pace=0.85)
    postures.look_about(score, 3.5, wide=28.0, down=5.0)
    for start in score.times(7.5, 3.4, first=1.2):
        side = score.side()
        done = p.minimum_jerk_pulse(score.time, start, 0.9, hold=0.9, fall=1.0) * pause  # takes things when standing
        if score.rng.random() < 0.5:
            postures.bend_forward(score, done, 0.85)
            postures.bring_hand(score, done, side, (0.8, -0.45, 0.0))
        else:
            postures.bring_hand(score, done, side, (0.75, score.rng.uniform(-0.2, 0.45), 0.1))
    carried = score.side()
    postures.bring_hand(score, 0.8 * np.ones(score.frames), carried, (0.3, -0.62, 0.1))


def act_sitting(score: postures.Score, repeat: int) -> None:
    act_seated(score, True, stands_up=False)
    postures.look_about(score, 5.0, wide=22.0)
    slump = 0.5 + 0.5 * np.tanh(score.wander(6.0))
    score.degrees(slump, lumbar_flexion=7.0, thoracic_flexion=6.0, tilt=6.0, neck_flexion=-6.0)
    lean = np.tanh(score.wander(5.0))
    score.degrees(lean, lumbar_bending=4.0, thoracic_bending=3.0, neck_bending=-3.0, list=1.5)
    for start in score.times(7.0, 4.5):
        kind = score.rng.random()
        done = p.minimum_jerk_pulse(score.time, start, score.near(1.0), hold=score.near(2.2, 0.3), fall=score.near(1.1))
        if kind < 0.35:  # forward, hands on the knees
            score.degrees(done, tilt=-score.near(26.0), lumbar_flexion=4.0, thoracic_flexion=5.0, neck_flexion=-12.0)
            for side in "rl":
                postures.bring_hand(score, done, side, (0.45, -0.62, 0.05))
        elif kind < 0.55:  # back
            score.degrees(done, tilt=score.near(9.0), lumbar_flexion=-4.0, neck_flexion=6.0)
        elif kind < 0.85:  # turned to another person
            turn = score.near(1.0) * score.rng.choice([-1.0, 1.0])
            score.degrees(done * turn, lumbar_rotation=4.0, thoracic_rotation=16.0, neck_rotation=10.0)
        else:  # stretching
            postures.raise_arms(score, done)
    postures.add_gestures(score, 9.0, "rl", 0.8)


def act_sitting_down(score: postures.Score, repeat: int) -> None:
    """Sit on the floor in several ways, and stand up between them."""
    postures.stand_facing(score, turning=0.0, place=0.3, sway=0.5)
    postures.look_about(score, 6.0, wide=20.0)
    ways = list(postures.FLOOR_SITTING_ANGLES)
    last = score.near(14.0, 0.15)
    for n, start in enumerate(score.times(last + 5.0, last + 4.0)):
        low = p.minimum_jerk_pulse(score.time, start, score.near(2.0, 0.1), hold=last, fall=score.near(2.1, 0.1))
        way = ways[(n + score.subject.index + repeat) % len(ways)]
        postures.sit_on_floor(score, low, way)
        if way == "legs out":  # leaning on the hands behind
            for side in "rl":
                postures.bring_hand(score, low**2, side, offset=(-0.33, 0.16, 0.25), place=f"joint_hip_{side}")
                score.degrees(low**2, **{f"wrist_flex_{side}": -65.0})
        else:
            for side in "rl":
                postures.bring_hand(score, 0.8 * low**2, side, (0.55, -0.35, -0.05))


def act_smoking(score: postures.Score, repeat: int) -> None:
    act_seated(score, repeat == 1)
    postures.look_about(score, 5.0, wide=20.0)
    side = score.side()
    for start in score.times(7.0, 4.4):
        puff = p.minimum_jerk_pulse(score.time, start, score.near(0.9), hold=score.near(1.4, 0.3), fall=score.near(1.0))
        postures.bring_hand(score, puff, side, offset=(0.13, -0.11, 0.04), place="head_front")
        score.degrees(puff, neck_flexion=-2.0, thoracic_flexion=-1.0)
    postures.add_gestures(score, 11.0, postures.OTHER_SIDE[side], 0.8)


def act_waiting(score: postures.Score, repeat: int) -> None:
    if repeat == 2:
        postures.walk_round(score, score.spells(9.0, 2.4, 0.8), pace=0.75)
    else:
        postures.stand_facing(score, turning=50.0, sway=1.8)
    postures.look_about(score, 3.0, wide=35.0)
    folded = score.spells(14.0, 6.0, 1.0)
    postures.bring_hand(score, folded, "r", offset=(0.28, -0.30, -0.22), place="RClavicle")
    postures.bring_hand(score, folded, "l", offset=(0.24, -0.36, -0.22), place="LClavicle")
    side = score.side()
    watch = score.spells(16.0, 1.2, 0.7, first=9.0) * (1 - folded)
    postures.bring_hand(score, watch, side, (0.42, -0.22, -0.35))
    score.degrees(watch, neck_flexion=14.0, head_flexion=6.0)


def act_walking(score: postures.Score, repeat: int) -> None:
    postures.walk_round(score)
    postures.look_about(score, 6.0, wide=10.0)


def act_walk_dog(score: postures.Score, repeat: int) -> None:
    side = score.side()
    pause = score.spells(11.0, 2.6, 0.7, first=3.0)
    postures.walk_round(score, 1 - pause, arms=(0.2, 0.9) if side == "r" else (0.9, 0.2))
    postures.look_about(score, 3.0, wide=14.0, down=9.0)
    tug = np.tanh(score.wander(0.8))
    postures.bring_hand(score, np.ones(score.frames), side, (0.38, -0.62, 0.08))
    score.degrees(tug, **{f"arm_flex_{side}": 7.0, f"elbow_flex_{side}": -6.0})
    score.degrees(tug, thoracic_rotation=2.5 if side == "r" else -2.5, thoracic_flexion=1.0)
    postures.bend_forward(score, pause**2, score.near(0.75))  # strokes the dog
    postures.bring_hand(score, pause**2, postures.OTHER_SIDE[side], (0.6, -0.65, 0.0))


def act_walk_together(score: postures.Score, repeat: int) -> None:
    postures.walk_round(score, pace=0.92)
    companion = 1.0 if score.side() == "l" else -1.0  # where the companion walks: left or right
    seen = score.spells(5.0, 1.8, 0.6)
    turn = companion * score.near(38.0)
    score.degrees(seen * turn, head_rotation=0.55, neck_rotation=0.25, thoracic_rotation=0.12)
    postures.look_about(score, 6.0, wide=8.0)
    postures.add_gestures(score, 9.0, "l" if companion > 0 else "r", 0.6)


def act_seated(score: postures.Score, chair: bool, stands_up: bool = True) -> None:
    """Sit on a chair and get up now and then, or stand."""
    postures.stand_facing(score, turning=0.0 if chair else 20.0, sway=0.4 if chair else 1.0)
    if not chair:
        return
    down = np.ones(score.frames)
    if stands_up:
        for start in score.times(30.0, 8.0, first=8.0):
            down = down - p.minimum_jerk_pulse(
                score.time, start, score.near(1.7, 0.1), hold=score.near(3.5, 0.3), fall=score.near(1.8, 0.1)
            )
    postures.sit_on_chair(score, down)


# Each action's function, and its typical number of frames at 50 Hz, about which trials vary. 15 actions, 2 trials and
# 7 subjects give 535,000 frames.
_ACTIONS: dict[str, tuple[Callable[[postures.Score, int], None], int]] = {
    "Directions": (act_directions, 1870),
    "Discussion": (act_discussion, 3560),
    "Eating": (act_eating, 2470),
    "Greeting": (act_greeting, 1690),
    "Phoning": (act_phoning, 3130),
    "Photo": (act_photo, 1860),
    "Posing": (act_posing, 1890),
    "Purchases": (act_purchases, 1560),
    "Sitting": (act_sitting, 3200),
    "SittingDown": (act_sitting_down, 3050),
    "Smoking": (act_smoking, 3390),
    "Waiting": (act_waiting, 2810),
    "WalkDog": (act_walk_dog, 2100),
    "WalkTogether": (act_walk_together, 2220),
    "Walking": (act_walking, 3300),
}
FRAMES_PER_ACTION = {name: frames for name, (_, frames) in _ACTIONS.items()}
ACTION_NAMES = tuple(_ACTIONS)
