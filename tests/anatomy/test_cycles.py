"""A known wave cut into cycles: each is the wave at its own pace; gaps stay gaps."""

import numpy as np
import pytest

from simspine.anatomy.alignment import CYCLE_PERCENT, angle_cycles
from simspine.core.errors import InputError

TIME = 5.0 + np.arange(301) / 100


def test_each_cycle_runs_from_its_event_to_the_next():
    found = angle_cycles(TIME, TIME**2, [5.205, 6.0, 7.51])
    for row, start, end in zip(found, (5.205, 6.0), (6.0, 7.51), strict=True):
        np.testing.assert_allclose(row, (start + CYCLE_PERCENT / 100 * (end - start)) ** 2, atol=3e-5)


def test_a_gap_stays_a_gap():
    values = np.sin(TIME)
    values[100:111] = np.nan  # 6.00 … 6.10 s
    found = angle_cycles(TIME, values, [5.5, 6.5, 7.5])
    lost = np.isnan(found[0])
    places = 5.5 + CYCLE_PERCENT / 100
    assert lost[(places > 5.995) & (places < 6.105)].all()
    assert not lost[(places < 5.985) | (places > 6.115)].any()
    assert np.isfinite(found[1]).all()


@pytest.mark.parametrize(
    ("events", "said"), [([6.0], "two or more"), ([6.0, 6.0], "ascend"), ([4.9, 6.0], "lasts"), ([6.0, 8.1], "lasts")]
)
def test_events_that_cannot_be_are_refused(events, said):
    with pytest.raises(InputError, match=said):
        angle_cycles(TIME, TIME, events)
