"""A detector without spine points: whether they are inferred is the configuration's."""

import json

import numpy as np
import pytest

from simspine.anatomy.body import Body, neutral_markers
from simspine.anatomy.spine_from_joints import REQUIRED_JOINTS, spine_from_joints
from simspine.core.skeletons import VERTEBRA_OF, load_skeleton
from simspine.core.types import Origin
from simspine.io.hdf5 import read_store
from simspine.workflow.up_to_date import RunPaths

SPINE = tuple(VERTEBRA_OF)
LABELLED = [name + "_inferred" for name in SPINE]


@pytest.fixture
def spineless(copied):
    """The project with the spine's points taken out of all views."""
    table = load_skeleton("spinetrack37")
    columns = [3 * i + k for i, name in enumerate(table.names) if table.to_simspine[name] in SPINE for k in range(3)]
    for file in copied.folder.glob("pose/bow/*_json/*.json"):
        content = json.loads(file.read_text())
        points = np.array(content["people"][0]["pose_keypoints_2d"])
        points[columns] = 0.0
        content["people"][0]["pose_keypoints_2d"] = points.tolist()
        file.write_text(json.dumps(content))
    copied.run("detect", "triangulate", "merge", "scale")
    return copied


def made(project):
    """Markers and body of a project."""
    paths = RunPaths(project.results, "S01")
    return read_store(paths.markers("bow"))["markers"], Body.from_osim(paths.model)


@pytest.mark.slow
def test_the_configuration_says_whether_the_spine_is_inferred(spineless, capsys):
    markers, body = made(spineless)
    assert {markers.origin[markers.index(name)] for name in LABELLED} == {Origin.INFERRED}
    joints = markers.select([name for name in markers.names if name in (*REQUIRED_JOINTS, "LEar", "REar")])
    spine = spine_from_joints(joints)
    levels = spine.indices([VERTEBRA_OF[name] for name in SPINE])
    np.testing.assert_allclose(markers.xyz[:, markers.indices(LABELLED)], spine.xyz[:, levels], atol=1e-5)
    np.testing.assert_allclose(markers.covariance[:, markers.indices(LABELLED)], spine.covariance[:, levels], atol=1e-7)
    neutral = dict(zip(body.marker_names, neutral_markers(body), strict=True))
    own = spine_from_joints(joints.with_(names=joints.names, rate=1, xyz=[[neutral[n] for n in joints.names]],
                                         weight=None, covariance=None, filled=None))  # fmt: skip
    np.testing.assert_allclose([neutral[n] for n in LABELLED], own.xyz[0, levels], atol=1e-6)

    capsys.readouterr()
    spineless.change(detection=spineless.settings["detection"] | {"infer_spine": False})
    spineless.run("detect", "triangulate", "merge")
    lines = [line for line in capsys.readouterr().out.splitlines() if ": " in line]
    assert [line.endswith("done") for line in lines] == [False, False, True]  # no image is looked at again
    assert not [name for name in made(spineless)[0].names if name in (*SPINE, *LABELLED)]
