"""The frame engine compared with OpenSim's InverseKinematicsTool at accuracy 1e-6.

    python -m benchmarks.against_opensim FOLDER [--frames 100] [--seeds 1,2,3] [--json figures.json]

What is compared: `benchmarks/agreement/comparison.py`. The tool takes three minutes per hundred frames of a walk; its
results and those of the demonstration's stages stay in FOLDER, so that another run compares only.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.agreement.cases import demo_case, walking_case
from benchmarks.agreement.comparison import compare, metrics, side_by_side
from benchmarks.agreement.opensim_tool import tool_result
from tools.bench.figures import benchmark_json


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="keeps what takes long")
    parser.add_argument("--frames", type=int, default=100, help="of each trial")
    parser.add_argument("--seeds", default="1,2,3", help="walks, by comma; none: ''")
    parser.add_argument("--no-demo", action="store_true", help="leave the demonstration's markers out")
    parser.add_argument("--accuracy", type=float, default=1e-6, help="of the tool")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    accuracy = arguments.accuracy
    cases = [] if arguments.no_demo else [demo_case(arguments.folder / "demo").first(arguments.frames)]
    cases += [walking_case(arguments.frames, int(seed)) for seed in arguments.seeds.split(",") if seed]
    figures, details = {}, {}
    for case in cases:
        print(f"{case.name}: OpenSim's tool, {case.markers.frames} frames", file=sys.stderr)
        folder = arguments.folder / "tool"
        tool = tool_result(case.body, case.markers, case.weights, folder, case.coordinate_tasks, accuracy)
        compared = compare(case, tool)
        figures[case.name] = metrics(compared)
        details[case.name] = {
            "tool_seconds": round(tool.seconds, 1),
            "tool_account": [round(float(v), 6) for v in (compared.tool_account.min(), compared.tool_account.max())],
        }
    print(side_by_side(figures))
    if arguments.json:
        settings = {"frames": arguments.frames, "seeds": arguments.seeds, "accuracy": accuracy}
        rows = [replace(m, key=f"{name}: {m.key}") for name, part in figures.items() for m in part]
        arguments.json.write_text(json.dumps(benchmark_json(rows, settings) | {"details": details}, indent=1) + "\n")


if __name__ == "__main__":
    main()
