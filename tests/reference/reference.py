"""Reference results: what the library and the command line computed at commit c8fa1fd, compared after each change.

    python tests/reference/reference.py --check [--only CASE]   # what differs most; exit code 1 if by too much
    python tests/reference/reference.py --write [--only CASE]   # only where results are meant to change

Each case runs in a process with the generic set of kernels (tests/kernels.py) and one thread of BLAS, so that results
do not depend on the processor. Cases use public names and the command line only; `inputs.npz` holds what they
begin with: 2D points of the packaged videos, and true points of a virtual capture with 8 mm of slow and 3 mm of white
noise.

Two runs of one code differ by 0. So does code that was only moved. Iterative solvers amplify another order of sums:
with the last bit of the inputs changed (three draws), or under the other sets of kernels, arrays differ by up to 3e-7
in `fit_trials` (places of markers on the body; all else 2e-8), 5e-9 in `demo`, 7e-10 in `virtual`, and in
`inverse_kinematics` 2e-6 (response), 3e-7 (deviations), 2e-8 (coordinates) and, frame by frame, 7e-11. `AMPLIFIED`
allows for that. Look into any difference above 0.

The case `videos` runs `simspine demo` and compares summary.json. Its detector chooses its own code for each processor,
so no test runs it.
"""

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

import h5py
import numpy as np

import simspine as ss
from simspine.anatomy.priors import LinearPrior, SharedError
from simspine.anatomy.recipes import build_body

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
KERNELS = ROOT / "tests/kernels.py"
STORED, INPUTS = FOLDER / "results.npz", FOLDER / "inputs.npz"
GENERIC = "Sandybridge"
TOLERANCE = 1e-9  # largest relative difference
AMPLIFIED = {  # where solvers amplify rounding: array, what is allowed (the last that fits counts)
    "inverse_kinematics/whole/*": 1e-7,
    "inverse_kinematics/whole/coordinates_sd": 1e-6,
    "inverse_kinematics/whole/response": 1e-5,
    "fit_trials/*": 1e-7,
    "fit_trials/*/body_marker_offsets": 1e-6,
    "demo/*": 1e-8,
}
EVERY = 9  # frames from one that is kept to the next
SHOWN = 8  # arrays that are told although they differ by less


def command(*words: str) -> None:
    """`simspine WORDS…`, in this process."""
    before, sys.argv = sys.argv, ["simspine", *words]
    try:
        runpy.run_module("simspine", run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"simspine {' '.join(words)} ended with {end.code}") from None
    finally:
        sys.argv = before


def generic_body(recipe: str) -> ss.Body:
    """The body of a recipe, of the size of the generic model."""
    return build_body(recipe, "centres")


def noisy_markers(trial: str) -> ss.Markers:
    """Points of a trial of a virtual capture; of the spine as from a detector, of limbs as from motion capture."""
    with np.load(INPUTS) as inputs:
        names, xyz = inputs["marker_names"].tolist(), inputs[trial].astype(float)
    of_spine = ("Hip", "Spine_", "Neck", "Head", "Nose", "RLatissimus", "LLatissimus", "RClavicle", "LClavicle")
    origin = [ss.Origin.DETECTED if name.startswith(of_spine) else ss.Origin.GIVEN for name in names]
    return ss.Markers(names, 25.0, xyz, frame="y_up", origin=origin)


def result_arrays(result) -> dict[str, np.ndarray]:
    """Of inverse kinematics."""
    found = {
        "coordinates": result.motion.values[::EVERY],
        "marker_error": result.marker_error[::EVERY],
        "cost": result.cost,
        "coordinate_names": np.array(result.motion.names),
        "marker_names": np.array(result.marker_names),
        "reason": np.array(result.reason),
    }
    if result.motion.deviation is not None:
        found |= {"coordinates_sd": result.motion.deviation[::EVERY], "response": result.posterior.response}
    return found


def reconstruction_arrays(rec: ss.Reconstruction) -> dict[str, np.ndarray]:
    """Of a trial that was reconstructed."""
    spine = rec.spine
    found = result_arrays(rec.result) | {
        "input_markers": rec.markers.xyz[::EVERY],
        "body_marker_offsets": rec.body.marker_offsets,
        "level_names": np.array(spine.levels),
        "angles": spine.angles[::EVERY],
        "angles_sd": spine.angles_sd[::EVERY],
        "spine_markers": spine.markers.xyz[::EVERY],
        "spine_markers_covariance": spine.markers.covariance[:: 4 * EVERY, ::2],
        "centres": spine.centres.xyz[::EVERY],
        "centres_covariance": spine.centres.covariance[:: 4 * EVERY, ::3],
        "clinical": spine.clinical.values[::EVERY],
        "findings": np.array([f"{f.severity} {f.code} {f.where} {f.span}" for f in rec.findings], dtype=str),
    }
    curvature = ("lla", "tka", "lla_sd", "tka_sd", "lla_change_sd", "tka_change_sd")
    found |= {name: getattr(spine, name) for name in curvature}
    if rec.points is not None:
        found |= {"points": rec.points.xyz[::EVERY], "points_covariance": rec.points.covariance[:: 2 * EVERY, ::3]}
    if rec.cameras:
        found["camera_places"] = np.array([camera.centre for camera in rec.cameras])
    return found


def named(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def inverse_kinematics() -> dict[str, np.ndarray]:
    """A whole trajectory with smoothness, prior and errors that last; and frame by frame."""
    body, markers = generic_body("articulated"), noisy_markers("walking")
    spine = [name for name in body.free_names if name.endswith(("_Flex_Ext", "_Lat_Bending", "_axial_rotation"))]
    limbs = [name for name in body.free_names if name not in spine and not name.startswith("pelvis")]
    terms = [LinearPrior({name: 1.0}, mean=0.01, sd=0.05) for name in spine]
    terms += [LinearPrior({name: 1.0}, mean=0.2, sd=0.6) for name in limbs]
    lumbar = tuple(name for name in markers.names if name in ("Hip", "Spine_01", "Spine_02"))
    errors = ss.MarkerErrors(
        sd=0.01,
        correlation_time=1.0,
        shared_errors=(SharedError("lumbar", lumbar, sd=0.01),),
        loss="huber",
    )
    smoothness = ss.Smoothness(acceleration={"*": 30.0} | dict.fromkeys(spine, 4.0))
    whole = ss.inverse_kinematics(
        body,
        markers,
        smoothness=smoothness,
        prior=ss.Prior(terms),
        errors=errors,
        solver=ss.Solver(window=30, overlap=8),
    )
    each = ss.inverse_kinematics(generic_body("coupled"), markers, weights={"Head": 0.2, "LWrist": 2.0})
    return named("whole", result_arrays(whole)) | named("each", result_arrays(each))


def fit_trials() -> dict[str, np.ndarray]:
    """Two trials of one person."""
    trials = {name: noisy_markers(name) for name in ("walking", "sitting")}
    found: dict[str, np.ndarray] = {}
    for name, rec in ss.fit_trials(trials, "articulated", "centres").items():
        found |= named(name, reconstruction_arrays(rec))
    return found


def demo() -> dict[str, np.ndarray]:
    """The demonstration from its 2D points on, with the settings of configs/demo.yaml."""
    with np.load(INPUTS) as inputs:
        keypoints = ss.Keypoints(
            inputs["keypoint_names"].tolist(), 60.0, inputs["xy"].astype(float), inputs["confidence"].astype(float)
        )
    folder = ROOT / "third_party/pose2sim/Demo_SinglePerson/calibration"
    cameras = ss.read_calibration(folder / "Calib.qca.txt")
    options = ss.Options(cameras={"refine": True}, triangulation={"min_confidence": 0.3})
    return reconstruction_arrays(ss.reconstruct(keypoints, cameras, options=options))


STAGES = ("detect", "triangulate", "merge", "scale", "ik", "vertebrae", "quality", "export")


def virtual_settings(capture: Path, results: Path) -> dict:
    """Settings of a small virtual capture in a folder, and of its results."""
    return {
        "name": "virtual",
        "results": str(results),
        "virtual": {"subjects": 1, "actions": ["Walking_1"], "frames": 60, "detections": "finetuned", "seed": 3},
        "capture": {"human36m": str(capture), "detections": str(capture / "detections")},
        "detection": {"detector": "import"},
        "body": {"markers": "centres"},
    }


def virtual() -> dict[str, np.ndarray]:
    """A small virtual capture through all stages of the command line: its data set, truth and summary."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        capture, results, config = folder / "capture", folder / "results", folder / "config.json"  # JSON is YAML
        config.write_text(json.dumps(virtual_settings(capture, results)))
        for words in (("capture", "virtual"), *((stage,) for stage in STAGES)):
            command(*words, "--config", str(config))
        return virtual_arrays(capture, results)


def virtual_arrays(capture: Path, results: Path) -> dict[str, np.ndarray]:
    """Of a virtual capture and what was made of it."""
    truth = next((capture / "truth/S1").glob("*.h5"))
    return (
        named("truth", file_arrays(truth))
        | named("data_set", file_arrays(results / "virtual.h5"))
        | summary_text(results / "summary.json")
    )


def videos() -> dict[str, np.ndarray]:
    """`simspine demo`: its summary."""
    with tempfile.TemporaryDirectory() as folder:
        before = Path.cwd()
        os.chdir(folder)
        try:
            command("demo", "--cores", "1")
        finally:
            os.chdir(before)
        return summary_text(Path(folder) / "results/demo/summary.json")


def file_arrays(path: Path) -> dict[str, np.ndarray]:
    """Numbers of an HDF5 file, of arrays over time some frames."""
    found = {}

    def keep(name: str, item) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fi":
            array = np.array(item, float)
            found[name] = array[::EVERY] if array.size > 200 else array

    with h5py.File(path) as file:
        file.visititems(keep)
    return found


def summary_text(path: Path) -> dict[str, np.ndarray]:
    """A summary.json as it is."""
    return {"summary": np.array(path.read_text(encoding="utf-8"))}


def with_summary_read(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays, with each figure and word of a summary as an array of its own."""
    found = dict(arrays)
    if "summary" in found:
        leaves = _leaves(json.loads(found.pop("summary").item()))
        found |= {f"summary{name}": np.array(value) for name, value in leaves}
    return found


def _leaves(item, name: str = ""):
    if isinstance(item, dict):
        for key, value in item.items():
            yield from _leaves(value, f"{name}/{key}")
    else:
        number = isinstance(item, int | float) and not isinstance(item, bool)
        yield name, float(item) if number else json.dumps(item, ensure_ascii=False)


CASES = {case.__name__: case for case in (inverse_kinematics, fit_trials, virtual, demo, videos)}


def computed(case: str, kernels: str = GENERIC) -> dict[str, np.ndarray]:
    """The arrays of a case, from a process with a set of kernels."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.npz"
        one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        words = [sys.executable, KERNELS, kernels, __file__, "--compute", case, file]
        done = subprocess.run(words, env=os.environ | one_thread, check=False, capture_output=True, text=True)
        if done.returncode or not file.exists():
            raise RuntimeError(f"{case}: {done.stdout}{done.stderr}")
        return _read(file)


def stored(case: str) -> dict[str, np.ndarray]:
    """The reference of a case."""
    every = _read(STORED) if STORED.exists() else {}
    return {name.removeprefix(f"{case}/"): array for name, array in every.items() if name.startswith(f"{case}/")}


def _read(file: Path) -> dict[str, np.ndarray]:
    with np.load(file) as data:
        return dict(data)


def difference(reference: np.ndarray, found: np.ndarray) -> float:
    """Largest |found − reference|, relative to the reference or, where that is larger, to the root mean square of the
    whole array; infinite where shape, text or gaps differ."""
    if reference.shape != found.shape or reference.dtype.kind != found.dtype.kind:
        return np.inf
    if reference.dtype.kind == "U":
        return 0.0 if (reference == found).all() else np.inf
    known = np.isfinite(reference)
    if (known != np.isfinite(found)).any():
        return np.inf
    if not known.any():
        return 0.0
    reference, found = reference[known], found[known]
    scale = np.maximum(np.abs(reference), np.sqrt(np.mean(reference**2)))
    apart = np.abs(found - reference)
    return float(np.max(np.divide(apart, scale, out=np.where(apart > 0, np.inf, 0.0), where=scale > 0)))


def differences(reference: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> dict[str, float]:
    """{array: largest difference}; infinite where an array is missing. Arrays that are new are not judged."""
    reference, found = with_summary_read(reference), with_summary_read(found)
    return {name: difference(array, found[name]) if name in found else np.inf for name, array in reference.items()}


def allowed(case: str, name: str) -> float:
    """The largest difference of an array that a change of rounding explains."""
    return [TOLERANCE, *(limit for array, limit in AMPLIFIED.items() if fnmatch(f"{case}/{name}", array))][-1]


def too_large(case: str, apart: Mapping[str, float]) -> dict[str, float]:
    """Those of the differences that rounding does not explain."""
    return {name: value for name, value in apart.items() if value > allowed(case, name)}


def check(case: str, kernels: str) -> bool:
    """Print what differs most; whether all differences are small."""
    found = computed(case, kernels)
    apart = differences(stored(case), found)
    wrong = too_large(case, apart)
    most = sorted((name for name, value in apart.items() if value > 0), key=lambda name: -apart[name])
    for place, name in enumerate(most):
        if name in wrong or place < SHOWN:
            print(f"  {apart[name]:8.1e}  {case}/{name}" + ("  TOO LARGE" if name in wrong else ""))
    for name in sorted(with_summary_read(found).keys() - apart.keys()):
        print(f"       new  {case}/{name}")
    print(f"{case}: {len(apart)} arrays, {len(most)} differ, {len(wrong)} by too much", flush=True)
    return not wrong


def write(case: str) -> None:
    """Make what the case gives now its reference."""
    found = named(case, computed(case))
    for other in CASES.keys() - {case}:
        found |= named(other, stored(other))
    np.savez_compressed(STORED, **dict(sorted(found.items())))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="compare with the reference")
    what.add_argument("--write", action="store_true", help="replace the reference")
    what.add_argument("--compute", nargs=2, metavar=("CASE", "FILE"), help="one case, in this process")
    parser.add_argument("--only", choices=CASES, action="append", help="this case; may be repeated")
    parser.add_argument("--kernels", default=GENERIC, help="set of kernels to compute with (tests/kernels.py)")
    chosen = parser.parse_args()
    if chosen.compute:
        case, file = chosen.compute
        np.savez_compressed(file, **CASES[case]())
        return 0
    print(f"simspine: {ss.__path__[0]}")
    cases = chosen.only or list(CASES)
    if chosen.write:
        for case in cases:
            write(case)
        return 0
    return 0 if all([check(case, chosen.kernels) for case in cases]) else 1


if __name__ == "__main__":
    sys.exit(main())
