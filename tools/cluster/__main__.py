"""The profile for Slurm on a real Slurm: two nodes on this machine, one of which is killed with its job.

    python -m tools.cluster

Runs a project of two virtual trials on the cluster and by itself, and compares all results byte by byte. Needs root,
Debian's packages slurm-wlm and munge, and snakemake-executor-plugin-slurm; says what is missing and does nothing else
without them. Leaves nothing behind. Exit code 0 if the results are equal (or it was skipped), 1 if not.
"""

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tools.cluster.slurm import history, kill_node, missing, running, two_nodes
from tools.faults.runs import RUN_CONFIG_FILE, RunFolder, result_checksums

ROOT = Path(__file__).parents[2]
PLUGIN = "snakemake_executor_plugin_slurm"
# This Slurm keeps no accounts, so there is no `sacct` to ask; its nodes see each other's files at once.
WITHOUT_ACCOUNTS = (
    "--slurm-no-account", "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3",
    "--seconds-between-status-checks", "3", "--latency-wait", "10",
    "--default-resources", "slurm_partition=main", "mem_mb=4000", "runtime=60",
)  # fmt: skip
LONGEST_S = 3600.0


def say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S}  {text}", flush=True)


def run_on_cluster(place: RunFolder, slurm: Path) -> int:
    """Exit code of the run, during which the node that does `motion` is killed."""
    logs = place.folder / "slurm_logs"
    options = ("--profile", str(ROOT / "configs/profiles/slurm"), "--slurm-logdir", str(logs), *WITHOUT_ACCOUNTS)
    command = [sys.executable, "-m", "simspine", "run", RUN_CONFIG_FILE, "--cores", "4", "--", *options]
    killed, end = False, time.monotonic() + LONGEST_S
    with subprocess.Popen(command, cwd=place.folder) as run, ended(run):
        while run.poll() is None and time.monotonic() < end:
            if not killed and (found := running("motion")) is not None:
                time.sleep(5.0)  # so that it is at work
                job, node = found
                say(f"node {node} killed with job {job}: {kill_node(slurm, node, job)} processes")
                killed = True
            time.sleep(0.5)
    if not killed:
        say("no job `motion` was seen, so no node was killed")
    return run.returncode if killed else 1


@contextmanager
def ended(run: subprocess.Popen) -> Iterator[None]:
    """No run outlives the block, however that ends."""
    try:
        yield
    finally:
        run.kill()


def main() -> int:
    why = missing() or ("" if importlib.util.find_spec(PLUGIN) else f"{PLUGIN} is not installed (pip)")
    if why:
        print(f"skipped: {why}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        slurm, place = Path(folder) / "slurm", RunFolder(Path(folder) / "project", 1, ["Walking 1", "Sitting 1"])
        with two_nodes(slurm):
            say("two nodes are up")
            code = run_on_cluster(place, slurm)
            for line in history(slurm):
                print(f"          {line}")
        say(f"the run on the cluster ended with {code}")
        if code:
            return 1
        found = result_checksums(place.results)
        place.results.rename(place.folder / "cluster")
        say("the same by itself")
        place.make_reference()
        alone = place.reference
        wrong = sorted(name for name in found.keys() | alone.keys() if found.get(name) != alone.get(name))
        say(f"{len(alone)} files, {len(wrong)} of them differ from those of the cluster")
        print("".join(f"          {name}\n" for name in wrong), end="")
        return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
