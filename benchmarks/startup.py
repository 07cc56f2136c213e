"""How long simspine takes to start: the least of some runs, and what the import of each part adds.

    python benchmarks/startup.py [--runs 10]

In processes of their own. Whoever types a command waits for it, and every rule of the workflow is a command.
"""

import argparse
import subprocess
import sys
import time

PARTS = {
    "Python itself": "pass",
    "import simspine": "import simspine",
    "simspine --help": "from simspine.cli import main; main(['--help'])",
    "reading a configuration": "from simspine.config import read_config",
    "inverse kinematics": "from simspine.ik.solve import inverse_kinematics",
    "the whole surface": "import simspine as ss; [getattr(ss, name) for name in ss.__all__]",
}


def seconds(code: str, runs: int) -> float:
    """Least time of a fresh interpreter that runs the code."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    for label, code in PARTS.items():
        print(f"{label:25}{seconds(code, runs):7.3f} s")


if __name__ == "__main__":
    main()
