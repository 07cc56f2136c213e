"""The frame engine beside OpenSim's InverseKinematicsTool at accuracy 1e-6.

    python benchmarks/against_opensim.py FOLDER [--frames 100] [--seeds 1,2,3] [--restarts 0] [--json figures.json]

What is compared: `simspine.benchmark.against_opensim`. The tool takes three minutes per hundred frames of a walk; its
results and those of the demonstration's stages stay in FOLDER, so that another run compares only.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from simspine.benchmark.against_opensim import by_coordinate, compare, metrics, other_minima, restarted
from simspine.benchmark.opensim_cases import demo_case, walking_case
from simspine.benchmark.opensim_tool import tool_result
from simspine.benchmark.report import as_json, as_table


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="keeps what takes long")
    parser.add_argument("--frames", type=int, default=100, help="of each trial")
    parser.add_argument("--seeds", default="1,2,3", help="walks, by comma; none: ''")
    parser.add_argument("--no-demo", action="store_true", help="leave the demonstration's markers out")
    parser.add_argument("--accuracy", type=float, default=1e-6, help="of the tool")
    parser.add_argument("--restarts", type=int, default=0, help="frames of a trial that OpenSim solves from our result")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    accuracy = arguments.accuracy
    cases = [] if arguments.no_demo else [demo_case(arguments.folder / "demo").first(arguments.frames)]
    cases += [walking_case(arguments.frames, int(seed)) for seed in arguments.seeds.split(",") if seed]
    figures, details = [], {}
    for case in cases:
        tool = tool_result(
            case.body, case.markers, case.weights, arguments.folder / "tool", case.coordinate_tasks, accuracy
        )
        found = compare(case, tool, accuracy)
        rows = metrics(case.name, found)
        print(as_table(rows), flush=True)
        figures += rows
        details[case.name] = {
            "tool_seconds": round(tool.seconds, 1),
            "tool_account": [round(float(v), 6) for v in (found.tool_account.min(), found.tool_account.max())],
            "coordinates": by_coordinate(found),
            "other_minima": other_minima(found),
        }
        if arguments.restarts:
            chosen = np.linspace(0, case.markers.frames - 1, arguments.restarts).astype(int)
            ratio = restarted(case, chosen, accuracy)
            details[case.name]["opensim_from_ours"] = [round(float(v), 6) for v in ratio]
            print(f"OpenSim from our result: cost {ratio.min():.6f}…{ratio.max():.6f} × ours", flush=True)
    if arguments.json:
        settings = {"frames": arguments.frames, "seeds": arguments.seeds, "accuracy": accuracy}
        arguments.json.write_text(json.dumps(as_json(figures, settings) | {"details": details}, indent=1) + "\n")


if __name__ == "__main__":
    main()
