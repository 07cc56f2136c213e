"""simspine view, simspine overlay, and reports of many trials, on a finished run."""

import csv
import hashlib
import json
import re
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import h5py
import numpy as np
import pytest
import yaml
from command_line import call as run
from command_line import failed, succeeded
from player_data import unpack
from small_project import RATE, SIZE, STAGES, of_size, ring

from simspine.core.errors import InputError
from simspine.io.atomic import write_text
from simspine.io.dataset_read import DatasetFile
from simspine.io.hdf5 import read_store, write_store
from simspine.io.trc import write_trc
from simspine.reconstruction.solved_trial import view_fits
from simspine.report.figures import comparison_table
from simspine.report.rerun_recording import write_recording
from simspine.report.trial_sections import scene_of_trial
from simspine.workflow import inputs, reporting, views
from simspine.workflow.results import read_trial
from simspine.workflow.up_to_date import RunPaths
from simspine.workflow.views import (
    _given_differently,
    _recorded_differently,
    _warn_of_other_trials,
    cycles_of_trial,
    find_trial,
)

pytestmark = pytest.mark.slow


def data_of(page):
    """Header and arrays of the player in a page."""
    text = page.read_text()
    header = re.search(r'data-part="header">(.*?)</script>', text, re.DOTALL)[1]
    block = re.search(r'data-part="block">(.*?)</script>', text, re.DOTALL)[1]
    return unpack(header, block)


@pytest.mark.parametrize("kind", ["folder", "subject", "vertebrae", "kinematics", "dataset"])
def test_view_shows_the_same_body_whatever_names_it(finished, tmp_path, kind):
    results = finished.results
    place = {
        "folder": results, "subject": results / "S01", "vertebrae": results / "S01/vertebrae/bow.h5",
        "kinematics": results / "S01/kinematics/bow.h5", "dataset": results / "synthetic.h5",
    }[kind]  # fmt: skip
    succeeded(run("view", place, "--no-open", "--out", tmp_path / "view.html"))
    header, arrays = data_of(tmp_path / "view.html")
    truth = read_store(results / "S01/vertebrae/bow.h5")
    with DatasetFile(results / "S01/export/bow.h5") as alone:
        poses_of = alone.trial("S01", "bow").poses
    poses = np.stack([poses_of[name][:, :3, 3] for name in header["bodies"]], 1)
    np.testing.assert_allclose(arrays["place"], poses, atol=1e-4)
    assert len(header["cameras"]) == 4
    assert {kind for _, kind in header["bones"]} == {"bone", "rib", "vertebra"}
    lordosis = next(i for i, curve in enumerate(header["curves"]) if curve["label"].startswith("Lumbar lordosis"))
    np.testing.assert_allclose(arrays[f"curve/{lordosis}"], np.degrees(truth["lla"]), atol=0.01)
    assert ("points" in arrays) == (kind != "dataset")  # the data set holds no measured points


def test_results_of_an_earlier_state_are_named(finished, tmp_path):
    """Two visits were compared after one of them had been labelled anew, without a word."""
    shutil.copytree(finished.results, tmp_path / "copy")
    shutil.copy(finished.file, tmp_path / "copy/config.yaml")
    page = ("--no-open", "--out", tmp_path / "view.html")
    assert "earlier state" not in succeeded(run("view", tmp_path / "copy", *page))
    settings = yaml.safe_load(finished.file.read_text())
    for stage, change, command in (
        ("merge", {"filter": {"cutoff_hz": 5}}, ("view", tmp_path / "copy", *page)),
        ("ik", {"ik": {"engine": "frames"}}, ("compare", tmp_path / "copy", finished.results, *page[1:])),
    ):
        (tmp_path / "copy/config.yaml").write_text(yaml.safe_dump(settings | change))
        text = f"the results are of an earlier state: S01 bow: {stage} is out of date (settings changed)"
        assert text in succeeded(run(*command))


def test_what_cannot_be_shown_is_said(finished, tmp_path):
    for place, message in (
        (tmp_path / "none", "does not exist"),
        (tmp_path, "holds no results"),
        (finished.file, "cannot be read as HDF5"),
        (finished.results / "S01/markers/bow.trc", "cannot be read as HDF5"),
    ):
        done = run("view", place, "--no-open")
        assert done.exit_code == 2
        assert message in done.stderr
    done = run("view", finished.results, "--no-open", "--trial", "bw")
    assert "Did you mean 'bow'" in done.stderr
    write_store(tmp_path / "other.h5", numbers=np.zeros(3))
    assert (
        "expected a results folder, a trial's .h5 in it, or a data set's .h5"
        in run("view", tmp_path / "other.h5", "--no-open").stderr
    )


def test_several_trials_ask_for_a_choice(finished, tmp_path):
    for trial in ("bow", "turn"):
        (tmp_path / "S01/vertebrae").mkdir(parents=True, exist_ok=True)
        shutil.copy(finished.results / "S01/vertebrae/bow.h5", tmp_path / f"S01/vertebrae/{trial}.h5")
    with pytest.raises(InputError, match=r"S01 / bow, S01 / turn.*--trial"):
        find_trial(tmp_path, None, None)
    assert find_trial(tmp_path, None, "turn")[1] == "turn"


def test_overlay_without_videos_is_drawn_on_a_plain_ground(finished, tmp_path):
    from simspine.io.video import open_video

    out = tmp_path / "overlay.mp4"
    succeeded(run("overlay", "--config", finished.file, "--camera", "cam02", "--out", out, "--quiet"))
    video = open_video(out)
    assert video.frames == 16
    image = next(iter(video)).astype(int)
    vermillion = (image[..., 2] > 150) & (image[..., 0] < 80) & (image[..., 1] < 140)
    assert vermillion.sum() > 200  # the spine
    assert run("overlay", "--config", finished.file, "--camera", "cam9", "--out", out).exit_code == 2


def test_overlay_of_a_trial_that_no_camera_saw_is_refused(copied, tmp_path):
    markers = {"markers": str(copied.results / "S01/markers/bow.trc")}
    copied.change(subjects={"S01": {"trials": {"bow": markers}}}, detection={"detector": "import"})
    for place in ("keypoints", "points"):
        shutil.rmtree(copied.results / "S01" / place)
    done = run("overlay", "--config", copied.file, "--out", tmp_path / "overlay.mp4", "--quiet")
    assert done.exit_code == 2, done.output
    assert "bow was seen by no camera" in done.stderr
    assert list(tmp_path.glob("*.mp4")) == []


def test_overlay_shows_the_points_where_no_body_was_fitted(copied, tmp_path):
    """As after a refusal of scale. Every point seen is on its image, in the colour of its side."""
    from simspine.io.video import open_video

    copied.change(scaling={"min_factor": 1.3})
    said = failed(run("scale", "--config", copied.file))
    assert "outside 1.3…1.4" in said
    assert "`simspine overlay` draws the points that were found" in said
    (copied.results / "S01/vertebrae/bow.h5").unlink()
    out, arguments = (
        tmp_path / "points.avi",
        ("overlay", "--config", copied.file, "--camera", "cam02", "--quiet", "--out"),
    )
    succeeded(run(*arguments, out))
    video, seen = open_video(out), read_store(copied.results / "S01/keypoints/bow.h5")["keypoints"]
    assert video.frames == seen.frames
    image = next(iter(video)).astype(int)
    ground = np.median(image[:1080], axis=(0, 1))
    height, width = 1080, 1920
    scale = image.shape[1] / width
    for name in ("LAnkle", "RWrist", "Nose"):
        x, y = (seen.xy[0, 1, seen.index(name)] * scale).round().astype(int)
        assert 0 < x < width
        assert 0 < y < height
        assert np.abs(image[y - 6 : y + 7, x - 6 : x + 7] - ground).max() > 80, name


def test_a_file_that_is_there_is_not_replaced_by_a_picture_of_a_trial(finished, tmp_path):
    """As another trial's video, by `--out cam03.mp4`."""
    for name, words in (("cam.mp4", ("overlay", "--config", finished.file)), ("a.rrd", ("view", finished.results))):
        (tmp_path / name).write_text("mine")
        done = run(*words, "--out" if words[0] == "overlay" else "--rerun", tmp_path / name)
        assert (done.exit_code, "exists already, and would be replaced" in done.stderr) == (2, True)
        assert (tmp_path / name).read_text() == "mine"


def test_overlay_lies_on_the_videos(filmed, tmp_path):
    from simspine.io.video import open_video

    out = tmp_path / "overlay.mp4"
    succeeded(run("overlay", "--config", filmed.file, "--out", out, "--quiet"))
    assert open_video(out).frames > 0


def test_a_video_that_was_left_out_puts_no_body_on_another_ones_pictures(filmed, tmp_path):
    """The body as the third camera saw it lay on the fourth one's pictures; the report ended in an `IndexError`."""
    settings = filmed.settings
    settings["subjects"]["S01"]["trials"]["bow"]["videos"].pop(0)
    filmed.write(settings)
    for words in (("report",), ("overlay", "--camera", "cam03", "--out", tmp_path / "o.avi", "-q")):
        said = failed(run(*words, "--config", filmed.file))
        assert "3 videos now, but results of 4 cameras. Run" in said.replace("\n", " ")
    assert not list(tmp_path.glob("o.avi"))


def test_many_trials_have_pages_of_their_own(copied, monkeypatch):
    monkeypatch.setattr(inputs, "MAX_TRIALS_ON_ONE_PAGE", 0)
    assert run("report", "--config", copied.file).exit_code == 0
    front = copied.results / "report.html"
    text = front.read_text()
    assert "p-stage" not in text  # no player here
    assert front.stat().st_size < 1e6
    links = [unquote(link) for link in re.findall(r'<a href="(report/[^"]+)"', text)]
    assert links
    page = front.parent / links[0]
    assert data_of(page)[0]["frames"] == 16
    home = re.search(r'class="home"><a href="([^"]+)"', page.read_text())[1]
    assert (page.parent / home).resolve() == front.resolve()
    summary = json.loads((copied.results / "summary.json").read_text())
    assert len(links) == len(summary["trials"]) == 1


def test_a_trial_twice_is_compared_and_does_not_differ_from_itself(copied, monkeypatch):
    monkeypatch.setattr(
        reporting, "comparison_table", lambda figures: comparison_table(dict.fromkeys("ab", *figures.values()))
    )
    page = reporting.write_report_of(copied.config).read_text()
    table = page[page.index('id="comparison"') :]
    table = table[: table.index("</section>")]
    differences = re.findall(r"[−+(]+0\.?0?\u00a0±[^<]+", table)
    assert differences
    assert all(cell.startswith("(0") for cell in differences)


@pytest.mark.parametrize("words", [("view", "--no-open"), ("compare", "second")])
def test_pages_of_others_are_not_replaced(finished, tmp_path, words):
    shutil.copytree(finished.results, tmp_path / "second")
    command, *rest = (tmp_path / word if word == "second" else word for word in words)
    page = tmp_path / "page.html"
    page.write_text("<p>mine")
    called = (command, finished.results, *rest, "--out", page)
    assert "page.html exists already, and is no page of this version" in failed(run(*called))
    assert page.read_text() == "<p>mine"
    page.unlink()
    for _ in range(2):
        succeeded(run(*called))


@pytest.mark.parametrize(
    ("place", "option", "name"), [("S01", "--subject", "S01"), ("S01/vertebrae/bow.h5", "--trial", "bow")]
)
def test_a_name_that_contradicts_the_path_is_refused(finished, tmp_path, place, option, name):
    """It had no effect."""
    words = ("view", finished.results / place, "--no-open", "--out", tmp_path / "page.html", option)
    assert f"{place} is of {name}, and other was given as well" in failed(run(*words, "other"))
    succeeded(run(*words, name))


def test_other_people_and_movements_are_not_compared_without_a_word(finished, tmp_path):
    shutil.copytree(finished.results, tmp_path / "later")
    page = ("--out", tmp_path / "c.html")
    said = succeeded(run("compare", finished.results, tmp_path / "later", *page))
    assert "Both trials have the same markers: one recording" in said
    assert "is compared with" not in said
    assert "no manifest lists" not in said
    for path in (*tmp_path.rglob("bow.*"), *tmp_path.rglob("S01.osim"), tmp_path / "later/S01"):
        path.rename(path.with_name(path.name.replace("bow", "turn").replace("S01", "Ada")))
    said = succeeded(run("compare", finished.results, tmp_path / "later", *page))
    assert "'S01' is compared with 'Ada'. Is this one person?" in said
    assert "'bow' is compared with 'turn'. Is this one movement?" in said
    assert "Ada: no manifest lists keypoints/turn.h5, cameras/turn.h5" in said  # renamed by hand: nothing checks them


def test_people_of_another_size_are_not_compared_without_a_word(finished, recwarn):
    """Both were called S01, as all are by default. Two fits of one person differ by less."""
    trial = read_trial(RunPaths(finished.results, "S01"), "bow")
    for size in (1.03, 1.13):
        _warn_of_other_trials(trial, replace(trial, sized=replace(trial.sized, body=of_size(SIZE * size))))
        assert any("mm long. Is this one person?" in str(one.message) for one in recwarn) == (size > 1.1)


def test_recordings_of_other_lengths_or_without_a_verdict_are_not_compared_without_a_word():
    """Half of a recording, and one whose rate was declared twice as high, last half as long."""

    def recorded(frames, rate=50.0, verdict="judged"):
        return SimpleNamespace(name="S01 · bow", markers=SimpleNamespace(frames=frames, rate=rate), verdict=verdict)

    whole = recorded(60)
    assert _recorded_differently([whole, recorded(50)]) == _recorded_differently([whole, recorded(30, 25.0)]) == ""
    for other in (recorded(30), recorded(60, 100.0)):
        assert _recorded_differently([whole, other]).startswith(
            "They last 1.2 and 0.6 s. Where the person moves, means"
        )
    said = _recorded_differently([whole, recorded(60, verdict=None)])
    assert said == "No verdict on S01 · bow: bad frames count in its figures."


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ({"height": 1.9}, "height unknown and 1.9. Lengths cannot be compared, and angles may differ for it."),
        ({"mass": 60.0}, "mass 70.0 and 60.0. Neither angles nor lengths depend on the mass."),
    ],
)
def test_people_given_differently_are_not_compared_without_a_word(later, said, copied, tmp_path):
    """In the terminal and on the page; nothing of a run like the first."""
    before, page = shutil.copytree(copied.results, tmp_path / "before"), tmp_path / "c.html"
    compared = ("compare", before, copied.results, "--out", page)
    assert "Given differently" not in succeeded(run(*compared)) + page.read_text()
    copied.change(subjects={"S01": copied.settings["subjects"]["S01"] | later})
    copied.run("scale", "ik", "vertebrae", "quality", "export")
    assert f"Given differently: {said}" in " ".join(succeeded(run(*compared)).split())
    assert f"Given differently: {said}" in page.read_text()


def test_bodies_of_another_recipe_or_marker_set_are_named(tmp_path):
    given = {"height": 1.7, "mass": 70.0, "recipe": "coupled", "marker_set": "human36m_markers"}
    places = [(RunPaths(tmp_path / name, "S01"), "bow") for name in "ab"]
    for (paths, _), later in zip(places, ({}, {"recipe": "articulated", "marker_set": "spine"}), strict=True):
        write_text(paths.scaling, json.dumps(given | later))
    assert _given_differently(places[:1] * 2) == ""
    assert _given_differently(places) == (
        "Given differently: recipe coupled and articulated, marker set human36m_markers and spine. "
        "Lengths cannot be compared, and angles may differ for it."
    )


@pytest.mark.parametrize(
    ("file", "commands"),
    [
        ("S01/kinematics/bow.h5", ["report"]),
        ("summary.json", ["summary", "report"]),
        ("synthetic.h5", ["export --format csv", "validate"]),
    ],
)
def test_files_of_other_results_are_not_taken_for_those_of_these(file, commands, copied):
    """As where somebody copies older files of another person into a folder of results: none is read without a word."""
    place = copied.results / file
    place.write_bytes(place.read_bytes() + b" ")
    for command in commands:
        assert f"{place} is not as it was made" in failed(run(*command.split(), "--config", copied.file))


def test_stages_of_two_runs_are_not_shown_as_one(copied, tmp_path):
    """As after a run that stopped half-way: the markers and the motion are new, the vertebrae are of before."""
    copied.change(filter={"cutoff_hz": 3.0})
    copied.run("merge", "scale", "ik")
    commands = {
        "report": ("report", "--config", copied.file),
        "view": ("view", copied.results, "--no-open", "--out", tmp_path / "v.html"),
        "compare": ("compare", copied.results, tmp_path / "first", "--out", tmp_path / "c.html"),
        "overlay": ("overlay", "--config", copied.file, "--out", tmp_path / "o.avi", "-q"),
    }
    shutil.copytree(copied.results, tmp_path / "first")
    for name in ("report", "view", "compare"):
        assert "S01/vertebrae: bow was made from another" in failed(run(*commands[name])).replace("\n", " ")
    assert "only the points in the images are drawn" in succeeded(run(*commands["overlay"]))
    copied.run("vertebrae", "quality")
    succeeded(run(*commands["view"]))  # all that it reads is of one run
    assert "S01/export: bow was made from another" in failed(run(*commands["report"])).replace("\n", " ")
    copied.run("export")
    (tmp_path / "o.avi").unlink()
    for name in ("report", "view", "overlay"):
        assert "drawn" not in succeeded(run(*commands[name]))
    exported = copied.results / "S01/export/bow.json"
    exported.write_text(json.dumps(json.loads(exported.read_text()) | {"lla_deg_mean": 12.5}))
    assert "is of other results of S01/bow" in failed(run("summary", "--config", copied.file)).replace("\n", " ")


def test_results_of_a_trial_that_was_renamed_are_named(copied, tmp_path):
    """Its old results stay; shown or compared by the old name, they would pass for those of the last run."""
    shutil.copytree(copied.results, tmp_path / "first")
    shutil.copy(copied.file, copied.results / "config.yaml")
    view = ("view", copied.results, "--no-open", "--trial", "bow", "--out", tmp_path / "v.html")
    compare = ("compare", tmp_path / "first", copied.results / "S01/vertebrae/bow.h5", "--out", tmp_path / "c.html")
    assert not any("earlier run" in succeeded(run(*words)) for words in (view, compare))
    text = copied.file.read_text()
    (copied.results / "config.yaml").write_text(text.replace("      bow:", "      bend:"))
    assert all("S01/bow is of an earlier run" in succeeded(run(*words)) for words in (view, compare))


@pytest.mark.parametrize("value", [np.nan, -0.1, 0.3])
def test_results_that_were_changed_are_neither_compared_nor_shown(value, finished, tmp_path):
    shutil.copytree(finished.results, tmp_path / "later")
    with h5py.File(tmp_path / "later/S01/vertebrae/bow.h5", "r+") as file:
        file["lla_sd"][...] = value
    for words in (("compare", finished.results, tmp_path / "later"), ("view", tmp_path / "later", "--no-open")):
        assert "bow.h5 is not as it was made" in failed(run(*words, "--out", tmp_path / "c.html"))
    assert not (tmp_path / "c.html").exists()


def test_results_of_other_versions_and_settings_are_not_compared_without_a_word(finished, tmp_path):
    shutil.copytree(finished.results, tmp_path / "later")
    origin = json.loads((finished.results / "provenance.json").read_text())
    origin["versions"]["simspine"], origin["configuration"]["ik"]["acceleration_sd"] = "0.1", 80.0
    compared = ("compare", finished.results, tmp_path / "later", "--out", tmp_path / "c.html")
    assert "made differently" not in run(*compared).output
    (tmp_path / "later/provenance.json").write_text(json.dumps(origin))
    assert "were made differently (ik, version)" in " ".join(run(*compared).output.split())


def test_results_whose_files_or_settings_cannot_be_checked_are_named(finished, tmp_path):
    """As where somebody copies the numbers alone; a changed one would pass for a result."""
    later = tmp_path / "later"
    shutil.copytree(finished.results, later, ignore=shutil.ignore_patterns("manifests", "provenance.json"))
    said = succeeded(run("compare", finished.results, later, "--out", tmp_path / "c.html"))
    files = "keypoints/bow.h5, cameras/bow.h5, points/bow.h5, markers/bow.h5, kinematics/bow.h5 and 4 more"
    assert said.count(f"{later / 'S01'}: no manifest lists {files}, so damage and changes would not be noticed") == 1
    assert f"{later / 'provenance.json'} is missing: settings are not compared" in said
    with pytest.warns(UserWarning, match="no manifest lists"):
        find_trial(later, None, None)


def test_a_recipe_of_the_same_path_with_another_content_is_named(finished, tmp_path):
    """The manifest has the checksums of the recipes that were read."""
    shutil.copytree(finished.results, tmp_path / "later")
    manifest = tmp_path / "later/S01/manifests/scale.json"
    content, recipe = json.loads(manifest.read_text()), finished.config.body.recipe
    before = hashlib.sha256(Path(recipe).read_bytes()).hexdigest()
    inputs = dict(content["fingerprint"]["inputs"]) | {"free.yaml": "0" * 64}
    content["fingerprint"]["inputs"] = list(inputs.items())
    manifest.write_text(json.dumps(content))
    places = [(RunPaths(place, "S01"), "bow") for place in (finished.results, tmp_path / "later")]
    assert _given_differently(places).startswith(
        f"Given differently: recipe {recipe} (SHA-256 {before[:8]}…) and {recipe} (SHA-256 00000000…). Lengths"
    )


def test_settings_of_a_trial_newer_than_its_data_set_are_not_stated(copied, tmp_path):
    """Stages run one by one: the settings are those of the earlier run until the data set is made again."""
    before = shutil.copytree(copied.results, tmp_path / "before")
    compared = ("compare", before, copied.results, "--out", tmp_path / "c.html")
    copied.change(ik=copied.settings["ik"] | {"level_acceleration_sd": 1.0})
    copied.run("ik", "vertebrae", "quality")
    assert "was made from another" in failed(run(*compared))
    succeeded(run("export", copied.file, "--subject", "S01", "--trial", "bow"))
    assert "summary.json is of other results of S01/bow than there are now" in failed(run(*compared))
    copied.run("export")
    assert "were made differently (ik)" in " ".join(run(*compared).output.split())


def test_the_report_names_the_detector_of_points_that_it_detected_alone(copied):
    """Points of files are read whatever `detection.detector` is; the method of another detector is not theirs."""
    copied.change(detection={"detector": "blazepose", "skeleton": "spinetrack37"})
    with pytest.warns(UserWarning, match="another configuration"):
        page = reporting.write_report_of(copied.config).read_text()
    assert "Points in the images were given as files." in page
    assert "Bazarevsky" not in page
    assert "pose_landmark" not in page


@pytest.mark.parametrize(("first", "last", "every"), [(0, 15, 1), (4, 16, 1), (0, 16, 2)])
def test_motion_capture_of_another_span_or_rate_than_the_images(copied, truth, first, last, every):
    """The trial has the frames of motion capture; each shows the images of its time, not those of its number."""
    limbs = [name for name in truth.markers.names if name.endswith(("Knee", "Ankle", "Wrist", "Elbow"))]
    part = truth.markers.select(limbs).with_(xyz=truth.markers.select(limbs).xyz[first:last:every])
    write_trc(copied.folder / "limbs.trc", part.with_(start=first / RATE, rate=RATE / every))
    copied.trial(mocap=str(copied.folder / "limbs.trc"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the rest of the recording is left out
        copied.run(*STAGES)
    found = read_trial(RunPaths(copied.results, "S01"), "bow")
    assert found.video_frames(0).tolist() == list(range(first, last, every))
    assert max(fit.distance_px for fit in view_fits(found)) < 2  # noise of 0.5 px; 4 frames off it would be 10 to 23 px


def test_recording_has_the_cameras(finished, tmp_path):
    succeeded(run("view", finished.results, "--rerun", tmp_path / "trial.rrd"))
    assert (tmp_path / "trial.rrd").read_bytes()[:4] in (b"RRF2", b"RRF3")
    assert ".rrd" in run("view", finished.results, "--rerun", tmp_path / "trial.mp4").stderr


def test_videos_of_a_recording_belong_to_cameras_by_name(tmp_path, monkeypatch):
    """The configuration lists them in another order than the results have cameras, and one was deleted."""
    files = [tmp_path / f"cam{number}.mp4" for number in (3, 1, 2)]
    for file in files[:2]:
        file.touch()
    context = SimpleNamespace(capture=lambda trial: SimpleNamespace(videos=files))
    monkeypatch.setattr(views, "_config_of_run", lambda results: context)
    monkeypatch.setattr(views, "Context", lambda config, subject: config)
    found = views._trial_videos(RunPaths(tmp_path, "S01"), "bow", ring(3))
    assert found == {0: files[1], 2: files[0]}


def test_the_report_draws_cycles(copied):
    last, settings = 15 / RATE, copied.settings
    events = {"right": [0.0, last / 2, last], "left": [0.01, last]}
    settings["report"] = {"events": {"S01/bow": events}}
    copied.write(settings)
    page = reporting.write_report_of(copied.config).read_text()
    for said in ("2 of the right foot and 1 of the left foot", "t1-cycles-"):
        assert said in page, said
    saved = unquote(re.search(r'download="S01_bow_cycles.csv" href="data:text/csv;charset=utf-8,([^"]+)"', page)[1])
    names, *lines = csv.reader(saved.removeprefix("\ufeff").splitlines())
    assert [line[0] for line in lines] == [str(percent) for percent in range(101)]
    found = read_trial(RunPaths(copied.results, "S01"), "bow")
    angles = cycles_of_trial(found, {"r": events["right"], "l": events["left"]})
    counts = {name: len(values) for name, values in angles.items() if name.startswith("hip_flexion")}
    assert counts == {"hip_flexion_r": 2, "hip_flexion_l": 1}
    assert angles["hip_flexion_r"][0, 0] == pytest.approx(found.spine.clinical.of("hip_flexion_r")[0])
    at = next(i for i, name in enumerate(names) if re.fullmatch(r"Hip flexion, right.*, cycle 2, °", name))
    np.testing.assert_allclose([float(line[at]) for line in lines], np.degrees(angles["hip_flexion_r"][1]), atol=6e-4)
    reach = 1.96 * np.degrees(found.spine.clinical.sd("hip_flexion_r")[-1])
    assert (names[at + 1], float(lines[-1][at + 1])) == ("± 95 %, °", pytest.approx(reach, abs=6e-4))
    for wrong, said in (([0.1], "two or more"), ([0, last + 1], "lasts")):
        with pytest.raises(InputError, match=said):
            cycles_of_trial(found, {"r": wrong})
    lead = found.spine.clinical.of("hip_flexion_r") - found.spine.clinical.of("hip_flexion_l")
    assert np.nanmin(lead) > 0  # the right hip is more flexed in all frames
    for side, doubted in (("r", False), ("l", True)):
        doubt = views._doubt_of_contacts(found, {side: (0.0, last)})
        assert ("are the feet of the events exchanged" in doubt) == doubted
    copied.change(report={"events": {"S01/bow": {"left": [0.0, last + 1]}}})
    with pytest.raises(InputError, match=r"report\.events\.S01/bow: events from 0 to .* lasts from 0\.000 to 0\.500 s"):
        reporting.write_report_of(copied.config)


def without(path, name):
    with h5py.File(path, "r+") as file:
        del file[name]


def without_last(path, name):
    with h5py.File(path, "r+") as file:
        kept = file[name][:-1]
        kind = file[name].attrs["type"]
        del file[name]
        file[name] = kept
        file[name].attrs["type"] = kind


def with_entry(path, name, value):
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("kinematics/bow.h5", lambda path: without(path, "cost")),
        ("kinematics/bow.h5", lambda path: without(path, "response")),
        ("kinematics/bow.h5", lambda path: without_last(path, "response")),
        ("vertebrae/bow.h5", lambda path: without(path, "clinical/values")),
        ("vertebrae/bow.h5", lambda path: without(path, "clinical/forced")),
        ("model/scaling.json", lambda path: with_entry(path, "factors", None)),
        ("quality/bow.json", lambda path: with_entry(path, "frames", 500)),
    ],
)
def test_damaged_results_are_named(copied, tmp_path, file, damage):
    damage(copied.results / "S01" / file)
    done = run("view", copied.results, "--no-open", "--out", tmp_path / "a.html")
    assert done.exit_code == 2, done.output
    assert file in done.stderr or "which are not of one run" in done.stderr
    assert not (tmp_path / "a.html").exists()


def test_a_recording_with_what_is_no_video_is_refused(finished, tmp_path):
    solved, fake = read_trial(*find_trial(finished.results, None, None)), tmp_path / "fake.mp4"
    fake.write_bytes(b"no video")
    with pytest.raises(InputError, match=r"a\.rrd cannot be written: MP4"):
        write_recording(tmp_path / "a.rrd", scene_of_trial(solved), solved, {0: fake})
    assert not list(tmp_path.glob("*.rrd"))


def test_results_that_lead_back_to_themselves_are_no_folder(copied):
    shutil.rmtree(copied.results)
    copied.results.symlink_to(copied.results)
    done = run("ik", "--config", copied.file)
    assert done.exit_code == 2, done.output
    assert "is no folder" in done.stderr
