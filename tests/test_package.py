"""Start-up is cheap, the library surface is what it promises, and heavy packages stay with the stages that use them."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import simspine

HEAVY = (
    "opensim", "cv2", "ai_edge_litert", "matplotlib", "scipy", "numba", "h5py", "onnxruntime", "torch", "jinja2",
    "pandas",
)  # fmt: skip
PACKAGE = Path(simspine.__file__).parent


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(code: str, heavy=HEAVY) -> set[str]:
    """Heavy packages in memory after running the code in a fresh interpreter."""
    return set(python(f"{code}\nimport sys\nprint(*[m for m in {heavy!r} if m in sys.modules])").split())


def test_help_loads_nothing_heavy():
    code = (
        "from click.testing import CliRunner; from simspine.cli.main import main; CliRunner().invoke(main, ['--help'])"
    )
    assert loaded_by(code, (*HEAVY, "numpy", "pydantic", "yaml")) == set()


def test_import_loads_nothing_heavy():
    assert loaded_by("import simspine as ss; ss.__all__; ss.__version__", (*HEAVY, "numpy")) == set()


def test_reading_a_configuration_loads_nothing_heavy():
    assert loaded_by("from simspine.workflow.config import read_config, json_schema; json_schema()") == set()


@pytest.mark.parametrize(
    "further", ["", "simspine.io.human36m.copy", "simspine.synthesis.virtual_detector"], ids=["", "human36m", "virtual"]
)
def test_a_run_with_nothing_to_do_loads_few_libraries(further):
    heavy = (*HEAVY, "scipy.sparse", "scipy.spatial")
    code = "import simspine.workflow.reporting" + (f", {further}" if further else "")
    assert loaded_by(code, heavy) <= {"scipy", "h5py"}


def test_errors_load_no_numpy():
    assert loaded_by("from simspine.core.errors import InputError", (*HEAVY, "numpy", "pydantic", "yaml")) == set()


def test_every_name_offered_resolves():
    assert simspine.__all__
    for name in simspine.__all__:
        assert getattr(simspine, name) is not None


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="read_trk"):
        simspine.read_trk  # noqa: B018


# Modules by what importing them may load of HEAVY; the rest waits until it is used.
LOADS = {
    (): (
        "core.types", "core.geometry", "core.skeletons", "core.settings", "io.trc", "io.mot", "io.keypoint_json",
        "io.video", "vision.detector", "vision.options", "anatomy.vertebrae", "anatomy.curvature", "quality.findings",
        "reconstruction.stage", "workflow.up_to_date", "workflow.config",
    ),
    ("h5py",): ("io.hdf5",),
    ("scipy",): (
        "core.filtering", "io.calibration", "vision.association", "vision.points", "vision.triangulation",
        "estimation.inverse_kinematics", "quality.assess", "reconstruction.reconstruct", "synthesis.raster",
    ),
    ("scipy", "h5py"): ("workflow.inputs", "workflow.dataset"),
}  # fmt: skip


@pytest.mark.parametrize("allowed", LOADS, ids=lambda allowed: "+".join(allowed) or "nothing")
def test_modules_load_only_what_they_may(allowed):
    code = "; ".join(f"import simspine.{module}" for module in LOADS[allowed])
    assert loaded_by(code) <= set(allowed)


def modules():
    return sorted(PACKAGE.rglob("*.py"))


@cache
def packages_of(path: Path) -> set[str]:
    """Packages that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize(("package", "place"), [("opensim", "anatomy/osim.py"), ("snakemake", "workflow/launch.py")])
def test_some_are_imported_in_one_place(package, place):
    users = [path.relative_to(PACKAGE).as_posix() for path in modules() if package in packages_of(path)]
    assert users == [place]


@pytest.mark.parametrize(
    ("package", "rooms"),
    [("ai_edge_litert", {"vision"}), ("cv2", {"io", "vision", "report", "synthesis", "workflow", "learning"}),
     ("matplotlib", {"report", "workflow"}), ("jinja2", {"report"}), ("onnxruntime", {"io", "vision"}),
     ("click", {"cli"}), ("torch", {"dataset", "learning"})],
)  # fmt: skip
def test_heavy_packages_have_their_rooms(package, rooms):
    assert {room(path) for path in modules() if package in packages_of(path)} <= rooms


def test_mathematics_opens_no_files():
    """`open`, `read_text` and friends stay with input and output, recipes, the report and the shell; a room may read
    its packaged tables: `(files(…) / …).read_text`."""
    mathematics = {
        "core/geometry.py",
        "core/filtering.py",
        "core/types.py",
        "vision/triangulation.py",
        "vision/rays.py",
    }
    for path in modules():
        if room(path) in ("estimation", "quality") or path.relative_to(PACKAGE).as_posix() in mathematics:
            calls = {
                node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name | ast.Attribute)
                and not ast.unparse(node.func).startswith("(files(")
            }
            assert not calls & {"open", "read_text", "write_text", "read_bytes", "write_bytes", "print"}, path
