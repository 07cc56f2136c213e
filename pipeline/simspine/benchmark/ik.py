"""`simspine bench ik`: both engines beside OpenSim's solver, in one run, on one thread, on the same body and markers.

Speeds are frames per second of processor time, so that other programs on the machine matter less; the gain from a
second thread, start-up times (clock) and memory (a process of its own, highest resident size) are what they are.
OpenSim is its InverseKinematicsSolver, as the engine 'opensim' runs it, with the Tool's default accuracy (1e-5).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from simspine.benchmark.report import Metric
from simspine.benchmark.walking import walk, walking_markers
from simspine.body import _opensim
from simspine.body.model import Body
from simspine.body.recipes import INFERRED, VIRTUAL, build, read_marker_set, read_prior
from simspine.data_files import pose2sim_folder
from simspine.ik.result import Result
from simspine.ik.solve import inverse_kinematics
from simspine.ik.solver import Solver
from simspine.priors.assumptions import Smoothness
from simspine.threads import map_on_threads
from simspine.types import Markers

SMOOTH = Smoothness(acceleration=20.0)
MARKER_SET = "simspine-release"


@dataclass(frozen=True)
class TrialSize:
    """Numbers of frames: of OpenSim, of ours, and of the longer trial for the memory."""

    opensim: int = 200
    ours: int = 5_000
    long: int = 20_000


QUICK = TrialSize(3, 40, 80)


def measure(size: TrialSize, say: Callable[[str], None] = lambda _: None) -> list[Metric]:
    """All figures. say: called with a line before each part."""
    _opensim.api()  # its import is nobody's solving time
    body, markers = coupled_case(size.ours)
    few = first(markers, size.opensim)
    say(f"OpenSim, {size.opensim} frames")
    reference, by_opensim = speed(lambda: inverse_kinematics(body, few, solver=Solver(engine="opensim")), 1)
    say(f"ours, {size.ours} frames")
    plain, by_frames = speed(lambda: inverse_kinematics(body, markers))
    smooth, _ = speed(lambda: inverse_kinematics(body, markers, smoothness=SMOOTH, solver=Solver(uncertainty=False)))
    sure, _ = speed(lambda: inverse_kinematics(body, markers, smoothness=SMOOTH))
    cost = by_frames.cost[: size.opensim] / by_opensim.cost
    say("two threads")
    gain, best = threads_gain(
        lambda threads: inverse_kinematics(
            body, markers, smoothness=SMOOTH, solver=Solver(uncertainty=False, threads=threads)
        ),
        hash_twice,
    )
    say("articulated body")
    many, _ = speed(articulated_case(max(size.ours // 5, 20)))
    say(f"simple model, OpenSim on {size.opensim} frames")
    simple, simple_markers = simple_case(size.ours)
    simple_few = first(simple_markers, size.opensim)
    simple_reference, _ = speed(lambda: inverse_kinematics(simple, simple_few, solver=Solver(engine="opensim")), 1)
    simple_plain, _ = speed(lambda: inverse_kinematics(simple, simple_markers))
    metrics = [
        Metric("opensim_frames_per_s", reference, "frames/s", "higher"),
        Metric("frames_frames_per_s", plain, "frames/s", "higher"),
        Metric("trajectory_frames_per_s", smooth, "frames/s", "higher"),
        Metric("trajectory_with_uncertainty_frames_per_s", sure, "frames/s", "higher"),
        Metric("frames_to_opensim", plain / reference, "×", "higher", 250),
        Metric("trajectory_to_opensim", smooth / reference, "×", "higher", 200),
        Metric("trajectory_with_uncertainty_to_opensim", sure / reference, "×", "higher", 100),
        Metric("frames_cost_to_opensim_max", float(np.nanmax(cost)), "×", "lower", 1.001),
        Metric("frames_cost_to_opensim_median", float(np.nanmedian(cost)), "×", "lower"),
        Metric("two_threads_to_one", gain, "×", "higher", 1.7),
        Metric("two_threads_to_one_of_nothing_shared", best, "×", "higher"),
        Metric("articulated_frames_per_s", many, "frames/s", "higher"),
        Metric("articulated_to_opensim_on_coupled", many / reference, "×", "higher", 50),
        Metric("simple_opensim_frames_per_s", simple_reference, "frames/s", "higher"),
        Metric("simple_frames_frames_per_s", simple_plain, "frames/s", "higher"),
        Metric("simple_frames_to_opensim", simple_plain / simple_reference, "×", "higher", 50),
    ]
    say("memory and start-up, in processes of their own")
    for engine, label in (("trajectory", "trajectory"), ("uncertainty", "trajectory_with_uncertainty")):
        short, long = (_child("memory", engine, frames)["MiB"] for frames in (size.ours, size.long))
        metrics += [
            Metric(f"{label}_memory_{size.ours}_frames", short, "MiB", "lower"),
            Metric(f"{label}_memory_{size.long}_frames", long, "MiB", "lower"),
            Metric(f"{label}_memory_ratio", long / short, "×", "lower", 1.2),
        ]
    with tempfile.TemporaryDirectory() as folder:
        for label, goal in (("cold", 20.0), ("warm", 2.0)):
            seconds = _child("start", "uncertainty", 60, NUMBA_CACHE_DIR=folder)
            metrics.append(Metric(f"{label}_start", seconds["kernels"], "s", "lower", goal))
        metrics.append(Metric("warm_start_with_model", seconds["all"], "s", "lower"))
    return metrics


def coupled_case(frames: int) -> tuple[Body, Markers]:
    """The coupled body and its walk, markers with 5 mm noise."""
    body = build("coupled", MARKER_SET)
    names = [name for name in body.marker_names if not name.endswith((INFERRED, VIRTUAL))]
    return body, walking_markers(body, names, walk(body, frames))


def articulated_case(frames: int) -> Callable[[], Result]:
    """The articulated body with its recipe's priors on the coupled body's markers, ready to be solved."""
    markers = coupled_case(frames)[1]
    body, prior = build("articulated", MARKER_SET), read_prior("articulated")
    return lambda: inverse_kinematics(body, markers, None, SMOOTH, prior, solver=Solver(uncertainty=False))


def simple_case(frames: int) -> tuple[Body, Markers]:
    """Pose2Sim's simple model, which has no couplers, with those of our markers whose bodies it has."""
    osim = _opensim.api()
    model = _opensim.load((pose2sim_folder() / "Model_Pose2Sim_simple.osim").read_text(encoding="utf-8"))
    bodies = {body.getName(): body for body in model.getBodySet()}
    for name, place in read_marker_set(MARKER_SET).places.items():
        if place.body in bodies:
            model.addMarker(osim.Marker(name, bodies[place.body], osim.Vec3(*map(float, place.offset))))
    model.finalizeConnections()
    body = Body.from_text(_opensim.text(model), "the simple model")
    return body, walking_markers(body, list(body.marker_names), walk(body, frames))


def first(markers: Markers, frames: int) -> Markers:
    return markers.with_(xyz=markers.xyz[:frames])


def speed(solve: Callable[[], Result], repeats: int = 2) -> tuple[float, Result]:
    """Frames per second of processor time, the best of `repeats`; kernels are compiled before."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        result = solve()
        best = min(best, time.process_time() - start)
    return result.motion.frames / best, result


def threads_gain(*works: Callable[[int], object]) -> list[float]:
    """For each work, which is handed a number of threads: time of one over that of two, on the clock, the best of five
    each. They take turns, so that all see the same machine."""
    seconds: dict[tuple[int, int], float] = {}
    for threads in (1, 2) * 5:
        for which, work in enumerate(works):
            start = time.perf_counter()
            work(threads)
            seconds[which, threads] = min(time.perf_counter() - start, seconds.get((which, threads), np.inf))
    return [seconds[which, 1] / seconds[which, 2] for which in range(len(works))]


def hash_twice(threads: int) -> None:
    """Two equal pieces of work that share nothing: what a second thread is worth on this machine at best."""
    block = bytes(200_000_000)
    map_on_threads(lambda _: sha256(block).digest(), range(2), threads)


def _child(what: str, engine: str, frames: int, **environment: str) -> dict:
    """Figures of a process that runs this module."""
    command = [sys.executable, "-m", "simspine.benchmark.ik", what, engine, str(frames)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment)
    return json.loads(done.stdout.splitlines()[-1])


def highest_memory() -> float:
    """MiB that this process has held at most. Linux counts the parent's into ru_maxrss, but not into VmHWM."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _alone(what: str, engine: str, frames: int) -> dict:
    """In a process of its own: highest memory, or seconds of the first solutions by both engines."""
    start = time.perf_counter()
    body, markers = coupled_case(frames)
    begun = time.perf_counter()
    inverse_kinematics(body, markers, smoothness=SMOOTH, solver=Solver(uncertainty=engine == "uncertainty"))
    if what == "memory":
        return {"MiB": highest_memory()}
    inverse_kinematics(body, markers)
    end = time.perf_counter()
    return {"kernels": end - begun, "all": end - start}


if __name__ == "__main__":
    print(json.dumps(_alone(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
