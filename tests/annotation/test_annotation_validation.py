import json
from dataclasses import replace

import numpy as np
import pytest
from command_line import call, succeeded

from simspine.annotation.server import Session
from simspine.annotation.validation import (
    VALIDATED_SPINE_POINTS,
    body_validation_json,
    body_validation_text,
    frames_to_annotate,
    validate_against_body,
    validation_conclusion,
)
from simspine.core.errors import InputError
from simspine.core.types import Motion
from simspine.estimation.result import Result
from simspine.workflow.results import save_result

FRAMES = 5


def result(errors):
    """errors: {point: (frames,) m}."""
    array = np.array(list(errors.values()), float).T
    motion = Motion(("q",), 50.0, np.zeros((len(array), 1)), [True])
    frames = len(array)
    return Result(motion, tuple(errors), array, np.zeros(frames), np.ones(frames, bool), ("",) * frames)


CANDIDATE = result({
    "Spine_01": [0.02] * FRAMES, "Spine_04": [0.03, 0.03, np.nan, 0.03, 0.05], "LKnee": [0.15, 0.02, 0.02, 0.15, 0.15],
    "LHeel": [0.09, 0.0, 0.0, 0.11, 0.0],
})  # fmt: skip
REFERENCE = result({"LKnee": [0.03] * FRAMES, "LHeel": [0.04] * FRAMES})
BETTER = result({"LKnee": [0.02] * FRAMES})


def test_root_mean_squares_verdicts_and_frames():
    found = validate_against_body(CANDIDATE, REFERENCE)
    rows = {row.point: row for row in found.points}
    assert rows["Spine_04"].rmse_m == pytest.approx(np.sqrt((3 * 0.03**2 + 0.05**2) / 4))
    assert rows["Spine_04"].frames == 4
    assert rows["LKnee"].rmse_m == pytest.approx(np.sqrt((3 * 0.15**2 + 2 * 0.02**2) / 5))
    assert {name: rows[name].verdict for name in ("Spine_01", "LKnee", "LHeel", "Neck")} == {
        "Spine_01": "usual", "LKnee": "annotate again", "LHeel": "beyond usual", "Neck": "not seen",
    }  # fmt: skip
    assert rows["LKnee"].reference_m == pytest.approx(0.03)
    assert np.isnan(rows["Spine_01"].reference_m)
    assert found.frames_again == (3, 0, 4)  # two points beyond 10 cm in frame 3, one in 0 and 4
    assert set(VALIDATED_SPINE_POINTS) <= set(rows)


def test_the_loop_ends_when_the_spine_is_no_worse_than_the_reference():
    spine = np.sqrt(np.nanmean(np.concatenate([[0.02] * 5, [0.03, 0.03, 0.03, 0.05]]) ** 2))
    found = validate_against_body(CANDIDATE, REFERENCE)
    assert found.spine_m == pytest.approx(spine)
    assert found.reference_m == pytest.approx(np.sqrt((0.03**2 + 0.04**2) / 2))
    assert found.passed
    assert not validate_against_body(CANDIDATE, BETTER).passed
    assert validate_against_body(CANDIDATE).passed  # 2.9 cm, without a reference at most 4
    assert not validate_against_body(REFERENCE).passed  # no point of the spine
    assert "nothing is known" in body_validation_text(validate_against_body(REFERENCE))


def test_points_that_were_not_seen_do_not_count():
    """Inferred points follow the others; markers on the skin are no detector's points."""
    more = {"Spine_02_inferred": [0.5] * FRAMES, "C7_skin": [0.2] * FRAMES, "LKnee": [0.03] * FRAMES}
    found = validate_against_body(result(more), result(more))
    assert "Spine_02_inferred" not in {row.point for row in found.points}
    assert np.isnan(found.spine_m)
    assert found.reference_m == pytest.approx(0.03)


def test_other_recordings_are_refused():
    with pytest.raises(InputError, match="same recording"):
        validate_against_body(CANDIDATE, result({"LKnee": [0.02] * 3}))
    names = ("pelvis_tx", "pelvis_ty", "pelvis_tz")

    def standing(place: float) -> Result:
        motion = Motion(names, 50.0, np.tile([place, 0.9, 0.0], (FRAMES, 1)), [False] * 3)
        return replace(CANDIDATE, motion=motion)

    assert validate_against_body(standing(0.0), standing(0.05)).passed
    with pytest.raises(InputError, match=r"the pelvis of the reference is 1\.20 m from the candidate's"):
        validate_against_body(standing(0.0), standing(1.2))


@pytest.fixture
def folders(tmp_path):
    for name, found in (("spine", CANDIDATE), ("body", REFERENCE), ("knee", BETTER)):
        folder = tmp_path / name / "S01"
        save_result(folder / "kinematics" / "bow.h5", found)
        (folder / "vertebrae").mkdir()
        (folder / "vertebrae" / "bow.h5").touch()
    return tmp_path


def test_the_command(folders):
    arguments = ["annotations", "validate", str(folders / "spine"), "--reference", str(folders / "body")]
    said = succeeded(call(*arguments, "--json", folders / "v.json"))
    assert "no worse" in said
    assert "(3): 3, 0, 4" in said
    written = json.loads((folders / "v.json").read_text())
    names = [str(folders / "spine"), str(folders / "body")]
    assert written == json.loads(json.dumps(body_validation_json(validate_against_body(CANDIDATE, REFERENCE, names))))
    assert written["points"]["Neck"]["rmse_m"] is None
    assert frames_to_annotate(folders / "v.json") == (3, 0, 4)
    unseen = call("annotations", "validate", folders / "body")
    assert unseen.exit_code == 3  # not "worse", which is 1
    assert "No point along the spine was seen" in unseen.output
    worse = ["annotations", "validate", str(folders / "spine"), "--reference", str(folders / "knee")]
    assert call(*worse).exit_code == 1
    assert call("annotations", "validate", folders / "none").exit_code == 2


BROKEN = ["[]", "{}", "{", '{"frames_again": [1.5], "frames_worse": []}', '{"frames_again": 3, "frames_worse": []}']


@pytest.mark.parametrize("content", BROKEN)
def test_a_file_that_is_no_validation_is_refused(tmp_path, content):
    (tmp_path / "v.json").write_text(content)
    with pytest.raises(InputError, match=r"v\.json"):
        frames_to_annotate(tmp_path / "v.json")


def test_the_frames_named_make_the_first_batch(recording):
    session = Session(recording, "anna", 4, [5, 2, 5, 0])
    assert [entry["frame"] for entry in session.summary()["batch"]] == [5, 2, 0]
    with pytest.raises(InputError, match="no frame 6"):
        Session(recording, "ben", 4, [6])


def test_the_sentence_says_what_is_worse():
    assert (
        validation_conclusion(validate_against_body(CANDIDATE))
        == "The spine is no worse than the usual 4 cm (2.8 cm): done."
    )
    said = validation_conclusion(validate_against_body(CANDIDATE, result({"LKnee": [0.02] * FRAMES})))
    assert said.startswith("The spine is worse than the reference's points (2.8 against 2.0 cm)")
    assert "above all at T8 (3.6 cm)" in said
    assert validation_conclusion(validate_against_body(REFERENCE)).startswith("No point along the spine was seen")


def test_where_the_spine_is_worse_its_frames_are_named():
    spine = {"Spine_03": [0.01, 0.04, 0.09, 0.03, np.nan], "Neck": [0.01, 0.03, 0.09, 0.02, np.nan]}
    found = validate_against_body(result(spine), result({"LKnee": [0.02] * FRAMES}))
    assert found.frames_again == ()
    assert found.frames_worse == (2, 1, 3)  # 9, 3.5 and 2.5 cm
    assert validate_against_body(result(spine)).frames_worse == (2,)
    assert "frames in which the spine is worse (3): 2, 1, 3" in body_validation_text(found)
