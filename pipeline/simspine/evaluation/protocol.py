"""What is fixed in the papers' protocols: who is trained on and tested, which points a column counts, which rows."""

import re
from collections.abc import Iterable
from types import MappingProxyType

from simspine.errors import InputError
from simspine.skeletons import TARGET, load
from simspine.skeletons.regions import REGIONS, SPINE_REGIONS
from simspine.sources.human36m.names import ACTIONS, canonical_action

TRAIN, TEST = ("S1", "S5", "S6", "S7", "S8"), ("S9", "S11")
ROOT = "Hip"
LIFTING_STEP = 50  # frames: 1 Hz of Human3.6M's 50

SPINE = tuple(name for names in SPINE_REGIONS.values() for name in names)
BODY = tuple(REGIONS["body"])
COLUMNS = MappingProxyType({**SPINE_REGIONS, "spine": SPINE, "body": BODY, "all": load(TARGET).names})
SPINE_COLUMNS = MappingProxyType({name: COLUMNS[name] for name in (*SPINE_REGIONS, "spine")})


def action_row(action: str) -> str:
    """The row of an action: Human3.6M's spelling where it is one of its fifteen, else as it is."""
    try:
        return canonical_action(action)
    except InputError:
        return action


def in_row_order(actions: Iterable[str]) -> list[str]:
    """Actions in the papers' order; others behind them, by name."""
    known = {action_row(action) for action in actions}
    return [a for a in ACTIONS if a in known] + sorted(known - set(ACTIONS))


def trial_key(trial: str) -> str:
    """Equal for spellings of one trial's name: 'Walking 1', 'walking-1' and 'Walking_1'."""
    return re.sub(r"[\s_.-]+", "_", trial).lower()
