"""The same results on every processor, as docs/reproducibility.md promises: a pipeline under three sets of kernels."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import yaml
from kernels import GENERIC, SETS, variables
from promise import SAME_M, SAME_RAD, SAME_SHARE
from reference import STAGES, virtual_settings

from simspine.core.types import Keypoints
from simspine.io.calibration import read_calibration
from simspine.io.hdf5 import read_store, write_store
from simspine.io.video import demo_folder
from simspine.workflow.up_to_date import RunPaths

ROOT = Path(__file__).parents[2]
DEMO_FRAMES = 20
FEATURES = """
import json, numba, numpy, scipy.linalg, threadpoolctl
from numpy._core._multiarray_umath import __cpu_features__ as able
kernels = {found["architecture"] for found in threadpoolctl.threadpool_info() if found["internal_api"] == "openblas"}
print(json.dumps([sorted(kernels), able.get("X86_V4", False), able.get("X86_V3", False), numba.config.CPU_NAME]))
"""
RUN = """
import json, sys
from simspine.cli.main import main
from simspine.estimation import fit_person
for rounds, *words in json.loads(sys.argv[1]):
    fit_person.NOISE_ROUNDS = rounds
    main(words, standalone_mode=False)
"""


def python(kernels: str, *words, **environment: str) -> str:
    """What `python words…` prints with a set of kernels."""
    command = [sys.executable, ROOT / "tests/kernels.py", kernels, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_says_what_the_tests_demand():
    page = (ROOT / "docs/reproducibility.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"^\| `(SAME_\w+)` \| (\S+) ", page, re.MULTILINE))
    assert {name: float(value) for name, value in said.items()} == {
        "SAME_RAD": SAME_RAD,
        "SAME_M": SAME_M,
        "SAME_SHARE": SAME_SHARE,
    }
    assert set(re.findall(r"^\| `([A-Z][a-z]+[A-Z]?)` \|", page, re.MULTILINE)) == set(SETS)


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_in_force(name):
    """Asked of the libraries themselves, in a process with that set."""
    said = python(name, "-c", FEATURES).splitlines()
    if variables(name) is None:
        assert said == [f"kernels {name}: skipped, they do not run on this processor"]
        return
    kernels, avx512, avx2, numba = json.loads(said[1])
    assert kernels == [name]
    assert (avx512, avx2) == (name == "SkylakeX", name != GENERIC)
    assert numba == ("generic" if name == GENERIC else None)


def commands_of(settings: dict, file: Path, commands: Iterable[str], rounds: int = 5) -> list[list]:
    """The words of commands with these settings in a file, each after the rounds of fit and noise."""
    file.write_text(yaml.safe_dump(settings))
    return [[rounds, *command.split(), "--config", str(file)] for command in commands]


def virtual_capture(place: Path) -> list[list]:
    """What makes the virtual capture that is a case of the reference results, and reads it to the end."""
    settings = virtual_settings(place / "capture", place / "virtual")
    return commands_of(settings, place / "virtual.yaml", ("capture virtual", *STAGES))


def demo_from_points(place: Path) -> list[list]:
    """What runs the demo from its stored 2D points on, in two rounds of fit and noise."""
    settings = yaml.safe_load((ROOT / "configs/demo.yaml").read_text())
    with np.load(ROOT / "tests/reference/inputs.npz") as inputs:
        values = (inputs[name][:DEMO_FRAMES].astype(float) for name in ("xy", "confidence"))
        seen = Keypoints(inputs["keypoint_names"].tolist(), 60.0, *values)
    cameras = read_calibration(next((demo_folder() / "calibration").glob("*.qca.txt")))
    detected = RunPaths(place / "demo", "S01").keypoints("balance")
    detected.parent.mkdir(parents=True)
    (place / "demo/S01/manifests").mkdir()  # a folder of simspine's
    write_store(detected, keypoints=seen, cameras=list(cameras), skeleton="blazepose33")
    return commands_of(settings | {"results": str(place / "demo")}, place / "demo.yaml", STAGES[1:], rounds=2)


def run(kernels: str, *commands: list, **environment: str) -> None:
    """Commands in a process with a set of kernels and one thread of BLAS."""
    python(kernels, "-c", RUN, json.dumps(commands), **({"OPENBLAS_NUM_THREADS": "1"} | environment))


PIPELINES = [demo_from_points, pytest.param(virtual_capture, marks=pytest.mark.long)]


@pytest.fixture(scope="module", params=PIPELINES, ids=lambda pipeline: pipeline.__name__)
def pipeline(request):
    """The demo's first frames from its stored 2D points; a virtual capture from its start."""
    return request.param


@pytest.fixture(scope="module")
def computed(pipeline, tmp_path_factory):
    """{set of kernels: folder} of results."""
    folder = tmp_path_factory.mktemp("kernels")
    folders = {name: folder / name for name in SETS if variables(name) is not None}
    for name, place in folders.items():
        place.mkdir()
        run(name, *pipeline(place))
    return folders


def pairs(computed, pattern: str):
    """Contents of each file that fits the pattern, by the first set of kernels and by each other."""
    reference, *others = computed.values()
    files = [file.relative_to(reference) for file in reference.glob(pattern)]
    assert len(files) == 1
    for file in files:
        read = read_store if file.suffix == ".h5" else lambda path: json.loads(path.read_text())
        for other in others:
            yield read(reference / file), read(other / file)


def same(a, b, *, absolute: float = 0.0, share: float = 0.0) -> None:
    np.testing.assert_allclose(np.asarray(b), np.asarray(a), atol=absolute, rtol=share)


@pytest.mark.slow
class TestOnePipelineUnderEverySetOfKernels:
    def test_points(self, computed):
        for name in ("points", "markers"):
            for a, b in pairs(computed, f"*/S*/{name}/*.h5"):
                same(a[name].xyz, b[name].xyz, absolute=SAME_M)
                same(a[name].covariance, b[name].covariance, absolute=SAME_M**2, share=SAME_SHARE)

    def test_sizes(self, computed):
        for a, b in pairs(computed, "*/S*/model/scaling.json"):
            sizes, others = ({entry["segment"]: entry["factor"] for entry in found["factors"]} for found in (a, b))
            assert len(sizes) > 5
            assert sizes == pytest.approx(others, rel=0, abs=SAME_M)

    def test_motion(self, computed):
        for a, b in pairs(computed, "*/S*/kinematics/*.h5"):
            turn = a["motion"].rotational
            same(a["motion"].values[:, turn], b["motion"].values[:, turn], absolute=SAME_RAD)
            same(a["motion"].values[:, ~turn], b["motion"].values[:, ~turn], absolute=SAME_M)
            same(a["motion"].deviation, b["motion"].deviation, share=SAME_SHARE)
            same(a["marker_error"], b["marker_error"], absolute=SAME_M)
            same(a["cost"], b["cost"], share=SAME_SHARE)
            same(a["response"], b["response"], absolute=SAME_SHARE)
            assert a["reason"] == b["reason"]

    def test_spine(self, computed):
        for a, b in pairs(computed, "*/S*/vertebrae/*.h5"):
            for name in ("angles", "lla", "tka"):
                same(a[name], b[name], absolute=SAME_RAD)
                same(a[f"{name}_sd"], b[f"{name}_sd"], share=SAME_SHARE)
            for name in ("centres", "spine_markers"):
                same(a[name].xyz, b[name].xyz, absolute=SAME_M)

    def test_findings(self, computed):
        for a, b in pairs(computed, "*/S*/quality/*.json"):
            for one, other in zip(a["findings"], b["findings"], strict=True):
                figures, others = one.pop("figures", {}), other.pop("figures", {})
                assert figures.keys() == others.keys()
                for name, row in figures.items():
                    assert row == pytest.approx(others[name], rel=SAME_SHARE, abs=SAME_SHARE)
            assert a == b

    @pytest.mark.long
    @pytest.mark.parametrize("pipeline", [virtual_capture], indirect=True)
    def test_truth_of_a_virtual_capture(self, computed):
        reference, *others = (read_store(next(place.glob("capture/truth/S1/*.h5"))) for place in computed.values())
        for other in others:
            for name in ("points", "vertebrae"):
                same(reference[name].xyz, other[name].xyz, absolute=SAME_M)
            same(reference["angles"], other["angles"], absolute=SAME_RAD)

    @pytest.mark.long
    def test_threads_of_blas_and_the_folder_change_no_bit(self, pipeline, computed, tmp_path):
        """All files but those that hold times or paths: manifests, provenance, summary, the data set with both."""
        name, place = next(iter(computed.items()))
        run(name, *pipeline(tmp_path), OPENBLAS_NUM_THREADS="3")
        files = [f.relative_to(place) for part in ("capture", "*/S*") for f in place.glob(f"{part}/**/*.*")]
        files = [file for file in files if "manifests" not in file.parts]
        assert len(files) > 5
        for file in files:
            assert (tmp_path / file).read_bytes() == (place / file).read_bytes(), file
