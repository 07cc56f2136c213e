"""Names that come from files become names of files in one way, and never paths."""

import ast
import ntpath
import re
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest

import simspine
import simspine as ss
from simspine.core.errors import (
    InputError,
    require_distinct_files,
    require_file,
    require_file_name,
    require_known,
    safe_file_name,
)
from simspine.io.keypoint_json import write_keypoints

PACKAGE = Path(simspine.__file__).parent
ORDINARY = ["cam01", "Camera 1 (21334)", "Kamera-Süd", "S1_Walking 1", "54138969", "摄像机", "a.b-c"]
HOSTILE = [
    "", ".", "..", "../../x", "/etc/passwd", "C:\\x", "a/b", "a\\b", "CON", "nul.txt", "com1", "LPT9.x.y", "x.", "x ",
    " x", ".hidden", "a\0b", "a\nb", "a:b", 'a"b', "a|b", "a?b", "a*b", "<a>", "50%", "\ud800", "ä" * 200, "x" * 400,
    "~/x/../..", "con .txt", "CONIN$", "..\\..\\x",
]  # fmt: skip


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_names_stay(name):
    assert safe_file_name(name) == require_file_name(name) == name


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_stored_below_the_folder_on_every_system(tmp_path, name):
    safe = safe_file_name(name)
    (tmp_path / f"{safe}.json").write_text("x")
    assert [path.name for path in tmp_path.rglob("*")] == [f"{safe}.json"]
    assert not PureWindowsPath(safe).is_reserved()
    assert ntpath.basename(safe) == safe == safe.rstrip(". ")
    assert not re.search(r'[\x00-\x1f<>:"/\\|?*]', safe)
    assert len(f"{safe}_json".encode()) < 200
    with pytest.raises(InputError, match="cannot be the name of a file"):
        require_file_name(name)


def test_different_names_stay_different():
    names = {safe_file_name(name) for name in (*ORDINARY, *HOSTILE)}
    assert len(names) == len(ORDINARY) + len(HOSTILE)
    assert safe_file_name("a/b") != safe_file_name("a%2Fb")


def test_names_that_look_alike_are_shown_by_their_characters(tmp_path):
    """An ä of one character, as it is typed, and of two, as some systems store it."""
    typed, stored = "G\u00e4ng", "Ga\u0308ng"
    with pytest.raises(InputError, match=r"trial 'Ga\\u0308ng' in here. Did you mean 'G\\xe4ng'\?"):
        require_known("trial", [stored], [typed], "here")
    (tmp_path / f"{stored}.c3d").touch()
    with pytest.raises(InputError, match=r"no such file, but 'Ga\\u0308ng.c3d'; write the name so"):
        require_file(tmp_path / f"{typed}.c3d")
    with pytest.raises(InputError, match=r"walk.c3d: no such file\.$"):
        require_file(tmp_path / "walk.c3d")


@pytest.mark.parametrize("pair", [("cam1", "CAM1"), ("Straße", "STRASSE"), ("é", "e\u0301")])
def test_names_that_are_one_file_elsewhere_are_refused(tmp_path, pair):
    with pytest.raises(InputError, match="one file on Windows and macOS"):
        require_distinct_files("cameras", pair)
    keypoints = ss.Keypoints(["Hip"], 50, np.ones((1, 2, 1, 2)), np.ones((1, 2, 1)))
    with pytest.raises(InputError, match="one file"):
        write_keypoints(tmp_path, keypoints, pair)
    assert not list(tmp_path.iterdir())


# A name in a path is a safe one, or it is one of these, by module. Names of subjects and trials in `workflow` are
# checked where the configuration is read (`SafeName`), others are of files that are there, or our own.
CHECKED = {
    "anatomy/curvature.py": {"i"},
    "annotation/labels.py": {"annotator"},
    "annotation/exchange.py": {"view"},  # in a message
    "cli/annotate.py": {"file.stem"},
    "cli/data.py": {"config.name"},
    "cli/main.py": {"name"},
    "cli/options.py": {"path"},
    "core/settings.py": {"name"},
    "core/skeletons.py": {"name"},
    "io/exchange.py": {"kind", "stem"},
    "io/npz.py": {"name", "split"},
    "learning/spine_samples.py": {"where.split"},
    "reconstruction/publish.py": {"first.subject"},
    "synthesis/virtual_trial.py": {"official", "subject", "trial", "truth"},
    "workflow/config.py": {"self.name"},
    "workflow/dataset.py": {"config.name", "key.replace('/', '_')", "paths.subject", "subject", "trial"},
    "workflow/exchange.py": {"config.name", "source.name", "split", "take.file_stem"},
    "workflow/inputs.py": {"trial"},
    "workflow/jobs.py": {"config.name", "subject", "trial or job"},
    "workflow/one_camera.py": {"camera.name", "shot.name"},
    "workflow/reporting.py": {"config.name", "subject", "trial"},
    "workflow/results.py": {"name"},
    "workflow/sessions.py": {"targets[0].name"},  # of a file that is written
    "workflow/stage_files.py": {"owner", "stem", "subject", "trial"},
    "workflow/up_to_date.py": {"self.subject", "stage", "suffix", "trial"},
}
FILE_END = re.compile(
    r"[\w/]*\.(json|jpg|h5|trc|mot|sto|csv|toml|yaml|mp4|webm|html|c3d|npz|pkl|osim|done|lock|vtp|cdf)|_json"
)


def paths_with_names(nodes: list[ast.AST]):
    """f-strings that name files: below a folder, or with a file's ending."""
    below = {id(node.right) for node in nodes if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr) and node.values:
            last = node.values[-1]
            if id(node) in below or (isinstance(last, ast.Constant) and FILE_END.fullmatch(str(last.value))):
                yield node


def test_every_name_in_a_path_is_safe():
    """`{safe_file_name(x)}`, a number with a format, a name in capitals, or one of those in the table."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        nodes, safe = list(ast.walk(ast.parse(path.read_text(encoding="utf-8")))), set()
        for node in nodes:
            if isinstance(node, ast.Assign) and "safe_file_name(" in ast.unparse(node.value):
                safe |= {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        for node in paths_with_names(nodes):
            for part in (value for value in node.values if isinstance(value, ast.FormattedValue)):
                text = ast.unparse(part.value)
                number = part.format_spec is not None and ast.unparse(part.format_spec).rstrip("'\"").endswith("d")
                if not (number or text.isupper() or text in safe or text.startswith("safe_file_name(")):
                    found.setdefault(path.relative_to(PACKAGE).as_posix(), set()).add(text)
    assert found == CHECKED


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.parametrize("ending", ["mp4", "c3d", "trc"])
def test_names_that_are_no_unicode_are_refused(tmp_path, ending):
    """OpenCV ends the process at such a name, and ezc3d calls the file damaged."""
    path = tmp_path / f"x\udcff.{ending}"
    path.write_bytes(bytes(100))
    calibration = [] if ending != "mp4" else ["--calibration", path.with_name("c.toml")]
    command = [sys.executable, "-m", "simspine", "init", path, *calibration]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "the name is no UTF-8; rename the file or folder" in done.stderr
