"""Numba is loaded with the first call of a kernel, which then stands wherever a stand-in was."""

import subprocess
import sys

COUNTS = """
import sys

def own():
    return [one for name, one in sys.modules.items() if name.startswith("simspine.")]

def stand_ins():
    return [n for m in own() for n, v in vars(m).items() if type(v) is type(own) and v.__code__.co_name == "stand_in"]

def kernels():
    return [n for m in own() for n, v in vars(m).items() if hasattr(v, "py_func")]
"""


def python(code: str, *options: str) -> str:
    done = subprocess.run([sys.executable, *options, "-c", COUNTS + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_call_puts_kernels_in_the_place_of_all_stand_ins():
    python("""
import simspine.estimation.frame_engine, simspine.synthesis.raster
from simspine.vision import rays
from simspine.vision.rays import robust_weight
before = stand_ins()
assert "numba" not in sys.modules and len(before) > 30 and not kernels()
assert robust_weight(3.0, 2.0, 10.0) == rays.robust_weight.py_func(3.0, 2.0, 10.0)
assert sorted(kernels()) == sorted(before) and not stand_ins()
assert robust_weight(3.0, 2.0, 10.0) == rays.robust_weight(3.0, 2.0, 10.0)  # whoever kept the stand-in
import simspine.synthesis.shading  # a module that is loaded later
assert stand_ins() and "barycentric_weights_at" not in stand_ins()
""")


def test_the_first_call_may_name_its_arguments():
    python("""
from simspine.vision.rays import robust_weight
found = robust_weight(error=3.0, huber=2.0, limit=10.0)
assert not stand_ins() and found == robust_weight(3.0, 2.0, 10.0)
""")


def test_threads_may_make_the_first_call_at_once():
    python("""
import threading
from simspine.vision.rays import robust_weight
start, found = threading.Barrier(4), []

def call():
    start.wait()
    found.append(robust_weight(3.0, 2.0, 10.0))

threads = [threading.Thread(target=call) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert found == [found[0]] * 4 and not stand_ins()
""")


def test_numba_may_be_there_before():
    python("""
import numba
from simspine.vision.rays import robust_weight

@numba.njit
def twice(error):
    return 2 * kernel(error, 2.0, 10.0)

from simspine.core.kernels import load_kernels
load_kernels()
from simspine.vision.rays import robust_weight as kernel
assert twice(3.0) == 2 * robust_weight(3.0, 2.0, 10.0)
""")


def test_importing_warns_of_nothing():
    python("from simspine import reconstruct, read_trc, fit_trials", "-W", "error")
