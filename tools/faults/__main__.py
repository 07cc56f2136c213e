"""What a fault of the machine does to results: `simspine bench faults`, or `python -m tools.faults`.

Without --every-write: kills at random moments, missing memory, ctrl-C, two runs at once, and a full disk, done to whole
runs. With it: commands meet a fault at each change of a file, one at a time (killed; power cut; disk full; I/O error).
After each fault the same command is given again; the results must be those of an undisturbed one, byte by byte.
Exit code 1 if results differ, files are left over, finished work is repeated or a confirmed decision is lost.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tools.faults.every_write import every_write_table, measure_every_write
from tools.faults.runs import fault_records, fault_table, measure_faults

from simspine.cli.main import main as simspine
from simspine.core.errors import InputError
from simspine.io.atomic import write_text


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the outcomes")
    parser.add_argument("--kills", type=int, default=200, help="how often a run is ended by SIGKILL (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--quick", action="store_true", help="a few kills over one trial: shows that it runs")
    parser.add_argument("--every-write", action="store_true", help="a fault at each change of a file instead")
    parser.add_argument("--only", default="", metavar="PATTERN", help="every write: commands that begin so")
    parser.add_argument("--most", type=int, help="every write: errors at so many changes of each command")
    parser.add_argument("--errors-only", action="store_true", help="every write: no crashes")
    given = parser.parse_args(words)
    if not given.every_write and (given.only or given.most or given.errors_only):
        parser.error("--only, --most and --errors-only need --every-write.")
    try:
        good, outcomes = _every_write(given) if given.every_write else _whole_runs(given)
    except InputError as error:
        sys.exit(f"error: {error}")
    if given.json is not None:
        write_text(given.json, json.dumps({"seed": given.seed, "outcomes": outcomes}, indent=1) + "\n")
    sys.exit(not good)


def _whole_runs(given: argparse.Namespace) -> tuple[bool, list[dict]]:
    found = measure_faults(min(given.kills, 3) if given.quick else given.kills, given.quick, given.seed, say=_say)
    print(fault_table(found))
    return all(one.good for one in found), fault_records(found)


def _every_write(given: argparse.Namespace) -> tuple[bool, list[dict]]:
    found = []
    for one in measure_every_write(simspine, given.most, given.only, not given.errors_only, _say):
        found.append(one)
        _say(every_write_table(found[-1:]).splitlines()[-1])
    print(every_write_table(found))
    return not any(one.bad for one in found), [asdict(one) for one in found]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
