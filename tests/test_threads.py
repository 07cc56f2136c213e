"""Work on several threads gives what it gives on one, in the same order."""

import threading
import time

import numpy as np
import pytest

from simspine.core.arrays import map_on_threads
from simspine.core.errors import InputError


@pytest.mark.parametrize("threads", [1, 2, 5, np.int64(3)])
def test_results_come_in_the_order_of_the_items(threads):
    def work(k):
        time.sleep(0.002 * (5 - k))  # the first are the last to end
        return k**2

    assert map_on_threads(work, range(5), threads) == [0, 1, 4, 9, 16]
    assert map_on_threads(work, [], threads) == []


def test_two_threads_work_at_once_and_one_stays_where_it_is():
    both = threading.Barrier(2, timeout=120)  # only passed by two at a time
    assert sorted(map_on_threads(lambda _: both.wait(), range(2), 2)) == [0, 1]
    assert set(map_on_threads(lambda _: threading.get_ident(), range(3))) == {threading.get_ident()}


def test_an_error_in_a_thread_is_raised():
    with pytest.raises(ZeroDivisionError):
        map_on_threads(lambda k: 1 / k, [1, 0], 2)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2"])
def test_a_number_of_threads_that_is_none(threads):
    with pytest.raises(InputError, match="expected a whole number from 1 on"):
        map_on_threads(print, [1], threads)
