"""Which action a trial shows, from its name."""

import re


def action_of(trial: str, subject: str = "") -> str:
    """The trial's name without the subject before it and the take after it.

    'S1_Directions_2', 'Directions 1' and 'Directions-1' are 'Directions'. Names of one or two letters keep their
    number.
    """
    name = trial.removeprefix(f"{subject}_") if subject else trial
    name = re.sub(r"^S\d+[_ -](?=.)", "", name)
    return re.sub(r"(?<=[^\W\d_]{3})[ _.-]*\(?\d+\)?$", "", name) or trial
