"""What README, settings and how-to pages say to type: code runs, commands and options exist, tables hold."""

import ast
import itertools
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import pytest
import yaml
from small_project import STAGES, ring

import simspine as ss
from simspine.cli.main import main
from simspine.core.settings import data_folder
from simspine.io.video import open_video
from simspine.learning.options import spine_options
from simspine.workflow.config import Config, check_config, read_config

pytestmark = pytest.mark.usefixtures("two_rounds")

ROOT = Path(__file__).parents[1]
SETTINGS, MESSAGES = ROOT / "docs/configuration.md", ROOT / "docs/how-to/when-it-stops.md"
FOLDERS = ("docs", "docs/tutorials", "docs/how-to", "benchmarks", "opensim_models", "notebooks")
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING")),
    *(page for folder in FOLDERS for page in sorted((ROOT / folder).glob("*.md"))),
]
FRAMES, RATE = 12, 60.0
# Before a block asks for a board: an image, and what cameras saw of the board, which first lies on the floor.
SEEN_BY_CAMERAS = """
import numpy as np
from board_scene import corners_seen, on_the_floor, ring, shown_to

cameras = ring()
names, sizes = [camera.name for camera in cameras], [camera.size for camera in cameras]
image = np.zeros((720, 960), np.uint8)
xy = corners_seen(cameras, board, [on_the_floor(board), *shown_to(cameras, board, 64)], 0.01)
"""


def blocks(language: str) -> list:
    """Fenced blocks of a language in all pages, as test parameters named page-number."""
    found = []
    for page in PAGES:
        texts = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        found += [pytest.param(text, id=f"{page.stem}-{i}") for i, text in enumerate(texts, 1)]
    return found


def table(page: Path, first: str, width: int) -> list[list[str]]:
    """Rows of the Markdown tables whose first cell is code starting with `first`."""
    rows = re.findall(rf"^\| `{first}.*\|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split(" | ")][:width] for row in rows]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder as the pages assume: calibration, folders of keypoints, and the results of a run called demo.

    The person is the articulated body itself, standing, with one knee that bends, seen by three cameras.
    """
    from simspine.anatomy.body import follow_couplers, forward_kinematics
    from simspine.anatomy.recipes import build_body
    from simspine.core.geometry import change_frame, project_points
    from simspine.core.skeletons import load_skeleton
    from simspine.core.types import Keypoints, Motion
    from simspine.io.calibration import write_calibration
    from simspine.io.keypoint_json import write_keypoints
    from simspine.workflow.jobs import run_stage

    folder = tmp_path_factory.mktemp("readme")
    cameras = [camera.with_(distortion=np.zeros(5)) for camera in ring(3)]
    body = build_body("articulated", "spinetrack37")
    c = body.coordinates
    values = np.tile(c.default, (FRAMES, 1))
    for name, value in {"pelvis_ty": 0.95, "arm_add_r": 0.1, "arm_add_l": 0.1, "hip_flexion_r": 0.3}.items():
        values[:, c.index(name)] = value
    values[:, c.index("knee_angle_r")] = np.radians(np.linspace(30, 40, FRAMES))
    motion = Motion(c.names, RATE, follow_couplers(body, values), c.rotational)
    markers = forward_kinematics(body, motion)
    skeleton = load_skeleton("spinetrack37")
    xy = np.full((FRAMES, 3, len(skeleton), 2), np.nan)
    for i, native in enumerate(skeleton.names):
        point = skeleton.to_simspine[native]
        if point in markers.names:
            there = change_frame(markers.xyz[:, markers.index(point)], "y_up", "z_up")
            xy[:, :, i] = project_points(cameras, there).transpose(1, 0, 2)
    xy += np.random.default_rng(0).normal(0, 0.5, xy.shape)
    write_calibration(folder / "Calib.toml", cameras)
    inside = forward_kinematics(build_body("articulated", "centres"), motion)
    xyz = np.full((FRAMES, 37, 3), np.nan)
    for i, name in enumerate(load_skeleton("simspine37").names):
        if name in inside.names:
            xyz[:, i] = change_frame(inside.xyz[:, inside.index(name)], "y_up", "z_up")
    for trial in ("walk", "bend"):
        np.save(folder / f"{trial}.npy", xyz)
    keypoints = Keypoints(skeleton.names, RATE, xy, np.full(xy.shape[:3], 0.9))
    folders = write_keypoints(folder / "pose", keypoints, [camera.name for camera in cameras])
    trial = {"keypoints": [str(f) for f in folders], "calibration": str(folder / "Calib.toml"), "rate": RATE}
    settings = {
        "name": "demo",
        "results": str(folder / "results/demo"),
        "subjects": {"S01": {"trials": {"balance": trial}}},
        "detection": {"detector": "import"},
    }
    (folder / "demo.yaml").write_text(yaml.safe_dump(settings))
    config = check_config(settings)
    for stage in STAGES:
        run_stage(stage, config, None, None, quiet=True)
    return folder


# What a block of code yields, by the variable that it leaves.


def left_knee(space):
    """Against the motion that the cameras saw; in radians or degrees."""
    knee = space["knee"] if np.max(space["knee"]) > 5 else np.degrees(space["knee"])
    assert np.abs(knee - np.linspace(30, 40, FRAMES)).max() < 4


def left_flexion(space):
    """Of one level: the coordinate of the body, extension positive."""
    assert np.degrees(np.abs(space["flexion"] + space["trial"].motion.column("L4_L5_Flex_Ext"))).max() < 1e-6


def left_head(space):
    assert np.ptp(space["head"][:, 1, 3]) < 0.05  # the person stands
    assert 1.3 < space["head"][0, 1, 3] < 1.8
    assert len(space["points"].names) == 15


def left_pixels(space):
    """Of the last window: its markers projected into the cameras of the file."""
    import simspine as ss
    from simspine.core.geometry import change_frame, project_points

    there = change_frame(np.asarray(space["window"]["markers"], float), "y_up", "z_up")
    for seen, camera in zip(space["pixels"], ss.read_calibration("Calib.toml"), strict=True):
        np.testing.assert_allclose(seen, project_points([camera], there)[0], atol=0.01)


def left_items(space):
    markers = space["ss"].open_dataset("results/demo")["S01", "balance"].window(0, FRAMES)["markers"]
    assert len(space["items"]) == 2  # windows of 9 in 12 frames, every third
    for start, item in zip((0, 3), space["items"], strict=True):
        np.testing.assert_array_equal(item["root"], markers[start : start + 9, :1])


def left_said(space):
    assert sum(space["said"]["counts"].values()) == FRAMES
    assert all(finding["subject"] == "S01" for finding in space["said"]["findings"])


def left_in_camera(space):
    """Centres are ahead of the camera, and their pixels are those of the points in the world."""
    from simspine.core.geometry import change_frame, project_points

    camera, seen = space["camera"], space["in_camera"]
    assert (seen[..., 2] > 2).all()
    pixels = seen @ camera.K.T
    there = change_frame(space["centres"].xyz, "y_up", "z_up")
    np.testing.assert_allclose(pixels[..., :2] / pixels[..., 2:], project_points([camera], there)[0], atol=1e-6)
    assert len(Path("vertebrae.csv").read_text().splitlines()) == 1 + len(seen)


def left_fit(space):
    left_knee({"knee": space["fit"]["motion"].column("knee_angle_r")})
    assert space["fit"]["response"].shape == (len(space["fit"]["motion"].names),)
    assert space["centres"].names[-1] == "S1"
    assert (space["centres"].frame, space["points"].frame) == ("y_up", "z_up")


def left_back(space):
    assert space["back"].lla.shape == (1,)
    assert 0 < np.degrees(space["back"].spine.tka_sd[0]) < 20


def left_rec(space):
    assert space["rec"].lla.shape == (FRAMES,)
    assert "Lumbar lordosis" in Path("out.html").read_text(encoding="utf-8")


def left_solved(space):
    for trial in space["solved"].values():
        assert (
            np.abs(trial.spine.centres.select(["L3"]).xyz[:, 0, 1] - space["trials"]["walk"].xyz[:, 2, 2]).max() < 0.02
        )
        assert (trial.spine.lla_change_sd > 0).all()


def left_tilt(space):
    """The definition, on the poses that the file holds."""
    from simspine.io.dataset_read import DatasetFile

    with DatasetFile("results/demo/demo.h5") as data:
        trial = data.trial("S01", "balance")
    column = trial.clinical_names.index("pelvic_tilt")
    np.testing.assert_array_equal(space["tilt"], trial.clinical[:, column])
    assert (space["tilt_sd"] > 0).all()


def left_angle(space):
    """Of the last of both, TKA."""
    np.testing.assert_allclose(np.radians(space["angle"]), space["trial"].tka)
    assert (space["sd"] > 0).all()


def left_made(space):
    lordosis = ss.open_dataset("results/demo/demo.h5")["S01", "balance"].read().lla
    assert space["made"]["lla_tka"].lla_mean_deg[0] == pytest.approx(np.degrees(lordosis.mean()), abs=0.01)


def left_calibrated(space):
    """Cameras 2.6 m from the middle of a board moved about between them, corners exact."""
    assert space["corners"].shape == (24, 2)
    found = space["calibrated"]
    assert [camera.name for camera in found.cameras] == list(space["names"])
    assert found.error_px.max() < 0.1
    assert 0 < found.focal.max() < 0.01


def left_world(space):
    from simspine.io.hdf5 import read_store

    np.testing.assert_array_equal(space["world"], read_store("results/demo/S01/points/balance.h5")["points"].xyz)
    assert len(space["names"]) == space["world"].shape[1]


def left_rows(space):
    from simspine.evaluation.point_sources import read_point_sequences

    (sequence,) = read_point_sequences("points.npz")
    assert sequence.names == tuple(space["names"])
    assert len(sequence.values) == 100


def left_copy(space):
    """Of a virtual capture, which has the layout of the real one."""
    assert space["markers"].xyz.shape[1:] == (32, 3)
    assert len(space["cameras"]) == 4
    assert space["videos"] == [] or len(space["videos"]) == 4


def left_person(space):
    assert space["trial"].points.xyz.shape == (500, 37, 3)
    assert space["trial"].centres.xyz.shape == (500, 25, 3)


def left_completed(space):
    """Centres that were given stay within what their variance allows."""
    for level, place in space["points"].items():
        assert np.linalg.norm(space["completed"].positions[level] - place) < 0.02


def left_people(space):
    """Of the packaged photograph: one person, whose spine was inferred."""
    (person,) = space["people"]
    assert person.points.shape == (37, 2)
    assert person.inferred.sum() == 9
    assert Path("drawn.png").stat().st_size > 10_000
    assert space["frame"].number == 1


def left_picture(space):
    assert space["keypoints"].shape == (1, 37, 2)
    assert space["picture"].shape == space["image"].shape
    np.testing.assert_allclose(space["spine"][0, 0, :2], space["keypoints"][0, 19])  # the sacrum


def left_motion(space):
    """Also as a copy for OpenSim, where one was written: with the same frames."""
    motion, copy = space["motion"], Path("for_opensim.mot")
    assert motion.frames > 1
    assert not copy.exists() or f"nRows={motion.frames}\n" in copy.read_text()


def with_data(code: str, folder: Path) -> str:
    """The code with this folder's data for what it has none of: videos become points, a licensed copy a virtual one."""
    seen = [str(path) for path in sorted((folder / "pose").iterdir())]
    if '"/data/Human3.6M"' in code:
        from simspine.synthesis.options import Virtual
        from simspine.synthesis.virtual_trial import write_capture

        write_capture(folder / "copy", Virtual(subjects=1, actions=["Walking_1"], frames=20))
    if '"photo.jpg"' in code:
        import cv2
        from small_videos import write_frames

        filmed = open_video(data_folder("third_party") / "pose2sim" / "Demo_SinglePerson" / "videos" / "cam01.mp4")
        frames = list(filmed.at(range(2)))
        cv2.imwrite(str(folder / "photo.jpg"), frames[0])
        code = code.replace("walk.mp4", str(write_frames(folder / "walk.avi", frames, codec="FFV1")))
    if "find_board(board, image)" in code:
        code = code.replace("corners =", f"{SEEN_BY_CAMERAS}corners =")
    code = code.replace('"videos/"', f'ss.read_keypoints({seen}, "spinetrack37", rate={RATE})')
    return code.replace('"/data/Human3.6M"', f'"{(folder / "copy").as_posix()}"')


@pytest.mark.slow
@pytest.mark.parametrize("code", blocks("python"))
def test_code_runs(code, project, monkeypatch):
    monkeypatch.chdir(project)
    space = {}
    exec(compile(with_data(code, project), "<block>", "exec"), space)
    left = [globals()[f"left_{name}"] for name in space if f"left_{name}" in globals()]
    assert left, "nothing of what this code yields is checked: add a function left_…"
    for check in left:
        check(space)


@pytest.mark.slow
def test_files_of_the_tables_exist(project):
    """Result files and HDF5 paths that the pages list; the page, the report's, is written from videos elsewhere."""
    import h5py

    for row in table(ROOT / "README.md", "results/", 1):
        path = row[0].strip("`")
        if not path.endswith("report.html"):
            assert (project / path).exists(), path
    with h5py.File(project / "results/demo/demo.h5") as file:
        group = ""
        for row in table(ROOT / "docs/how-to/reading-results.md", "(?:S01|metadata)/", 1):
            for path in re.findall("`([^`]+)`", row[0]):
                group = path.rpartition("/")[0] if "/" in path else group
                name = path if "/" in path else f"{group}/{path}"
                assert name in file, name


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The click command that words call, and what is left of them."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"simspine {words[0]}"
        command, words = found, words[1:]
    return command, words


def check_simspine(words: list[str], whole: bool = True) -> None:
    """whole: to be typed as it is, so with all that the command needs; in a sentence a part is named."""
    command, rest = command_of(words)
    named = (name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts))
    options = {*named, "-h", "--help"}
    for word in rest:
        if word.startswith("-"):
            assert word in options, f"simspine {' '.join(words)}"
    for parameter in [p for p in command.params if p.required and isinstance(p, click.Option) and whole]:
        assert set(parameter.opts) & set(rest), f"simspine {' '.join(words)} lacks {parameter.opts}"


def check_line(line: str) -> None:
    words = shlex.split(line, comments=True)
    program, rest = words[0], words[1:]
    if program == "simspine":
        check_simspine(rest)
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert rest[0] in targets, line
    elif program == "snakemake":
        from snakemake.cli import get_argument_parser

        known = get_argument_parser()._option_string_actions
        assert all(word in known for word in rest if word.startswith("-")), line
    elif program == "python" and rest[0] == "-m":
        assert find_spec(rest[1]), line
    elif program == "conda":
        assert (ROOT / rest[rest.index("-f") + 1]).is_file()
    elif program in ("pip", ".venv/bin/uv"):
        if "-r" in rest:
            assert (ROOT / rest[rest.index("-r") + 1]).is_file()
        for extra in re.findall(r"\.\[([a-z]+)\]", line):
            assert re.search(rf"^{extra} = ", (ROOT / "pyproject.toml").read_text(), re.MULTILINE), extra
    elif program in ("docker", "apptainer"):  # recipes are held to `make env` by tests/test_containers.py
        for word in rest:
            assert not word.startswith("containers/") or (ROOT / word).is_file(), line
        if rest[0] == "run":
            check_simspine(rest[rest.index("simspine" if program == "docker" else "simspine.sif") + 1 :])
    else:
        assert line in ("source .venv/bin/activate",), f"no check for: {line}"


@pytest.mark.parametrize("text", blocks("sh"))
def test_commands_and_options_exist(text):
    for line in text.strip().splitlines():
        for part in line.split("&&"):
            if part.strip().startswith("conda activate"):
                assert f"name: {part.split()[-1]}" in (ROOT / "environment.yml").read_text()
            else:
                check_line(part.strip())


def test_commands_in_the_text_exist():
    """`simspine …` and `make …` in sentences and tables."""
    count = 0
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for words in re.findall(r"`(?:simspine) ([a-z-][^`]*)`", text):
            if words != "needs Python 3.11, 3.12 or 3.13":  # a message
                check_simspine(shlex.split(words), whole=False) if words != "--version" else None
                count += 1
        for words in re.findall(r"`make ([^`]+)`", text):
            check_line(f"make {words}")
            count += 1
    assert count > 5


@pytest.mark.parametrize("text", blocks("yaml"))
def test_settings_in_examples_are_valid(text, tmp_path):
    """Whole configurations, sections of one, settings of a trial, one a line, and of the training of a detector."""
    if text.startswith("preset:"):
        (tmp_path / "training.yaml").write_text(text)
        assert spine_options(tmp_path / "training.yaml").seed == yaml.safe_load(text)["seed"]
        return
    demo = yaml.safe_load((ROOT / "configs/demo.yaml").read_text())
    if not text.startswith(("delays", "drift")):
        check_config(demo | yaml.safe_load(text), "the example")
        return
    files = {"keypoints": [f"cam{k:02d}_json" for k in range(1, 5)], "calibration": "Calib.toml", "rate": 60}
    for line in text.splitlines():
        given = yaml.safe_load(line) if "drift" not in line else {"delays": {"cam02": 12}} | yaml.safe_load(line)
        check_config(demo | {"subjects": {"S01": {"trials": {"walk": files | given}}}}, line)


def test_every_yaml_in_a_sentence_is_valid():
    demo = yaml.safe_load((ROOT / "configs/demo.yaml").read_text())
    found = [
        text
        for page in PAGES
        for text in re.findall(r"`((?:detection|body|ik|filter|scaling): \{[^`]*\})`", page.read_text(encoding="utf-8"))
        if "my/" not in text  # a file of the reader's
    ]
    assert len(found) > 3
    for text in found:
        check_config(demo | yaml.safe_load(text.replace("…", "halpe26")), text)


def test_defaults_in_tables_are_the_defaults():
    sections = "(?:detection|triangulation|filter|body|scaling|ik|report)"
    rows = table(SETTINGS, rf"{sections}\.", 2) + table(ROOT / "docs/configuration.md", r"ik\.", 2)
    assert len(rows) > 12
    config = Config(name="x", results="x", subjects=read_config(ROOT / "configs/demo.yaml").subjects)
    for keys, default in rows:
        names = re.findall(r"`([a-z_]+)\.([a-z_]+)`", keys)
        values = re.findall("`([^`]+)`", default)
        for (section, name), value in zip(names, values, strict=False):
            assert getattr(getattr(config, section), name) == yaml.safe_load(value), f"{section}.{name}"
        assert all(hasattr(getattr(config, section), name) for section, name in names), keys


def alternatives(part: ast.expr) -> list[str]:
    """What a part of an f-string may say: its text, either text of a condition, or …"""
    if isinstance(part, ast.Constant):
        return [part.value]
    value = part.value if isinstance(part, ast.FormattedValue) else None
    if isinstance(value, ast.IfExp) and all(isinstance(v, ast.Constant) for v in (value.body, value.orelse)):
        return [str(value.body.value), str(value.orelse.value)]
    return ["…"]


def messages() -> list[str]:
    """Texts in the program's sources, what is filled in as …; of the Makefile, its lines."""
    found = (ROOT / "Makefile").read_text().splitlines()
    for path in (ROOT / "pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                found += ["".join(parts) for parts in itertools.product(*map(alternatives, node.values))]
    return found


def test_messages_of_the_troubleshooting_table_exist():
    """What the table quotes is what one text of the program says, in this order."""
    rows = [line.split("|")[1] for line in MESSAGES.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert len(rows) > 6
    said = messages()
    for quoted in re.findall("`([^`]+)`", "\n".join(rows)):
        parts = quoted.replace("'thigh'", "…").split("…")
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in parts), re.DOTALL)
        assert any(pattern.search(text) for text in said), quoted
