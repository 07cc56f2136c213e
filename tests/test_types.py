"""Each check of the types says what is wrong; selection, copies, comparison."""

import numpy as np
import pytest

from simspine.core.errors import InputError, unknown_name
from simspine.core.types import Camera, Keypoints, Markers, Motion, Origin

CAMERA = dict(
    name="c1", size=(640, 480), K=[[500, 0, 320], [0, 500, 240], [0, 0, 1]], distortion=[0.1], R=np.eye(3), t=[0, 0, 3]
)
KEYPOINTS = dict(names=["a", "b"], rate=50, xy=np.ones((3, 2, 2, 2)), confidence=np.ones((3, 2, 2)))
MARKERS = dict(names=["a", "b"], rate=50, xyz=np.arange(18.0).reshape(3, 2, 3))
MOTION = dict(names=["a", "b"], rate=50, values=np.zeros((3, 2)), rotational=[True, False])

FAULTS = [
    (Camera, CAMERA, {"name": "c\n1"}, r"Camera.name is \['c\\n1'\], expected texts in one line"),
    (Camera, CAMERA, {"name": ""}, "none of them empty"),
    (Camera, CAMERA, {"size": (0, 480)}, r"Camera 'c1'.size is \(0, 480\)"),
    (Camera, CAMERA, {"size": (1, 2, 3)}, r"expected \(width, height\)"),
    (
        Camera,
        CAMERA,
        {"distortion": np.ones(14)},
        "distortion has 14 coefficients, expected at most 12 for a perspective",
    ),
    (Camera, CAMERA, {"distortion": np.ones(3)}, "3 coefficients, .* in sets of 4, 5, 8 or 12"),
    (Camera, CAMERA, {"distortion": np.ones(5), "lens": "fisheye"}, "5 coefficients, expected at most 4 for a fisheye"),
    (Camera, CAMERA, {"lens": "pinhole"}, "lens is 'pinhole', expected one of perspective, fisheye"),
    (Camera, CAMERA, {"K": np.eye(4)}, r"Camera 'c1'.K has shape \(4, 4\), expected \(3, 3\)"),
    (Camera, CAMERA, {"K": np.full((3, 3), np.nan)}, "K holds values that are not finite"),
    (Camera, CAMERA, {"K": np.diag([-1, 1, 1])}, "focal lengths -1, 1"),
    (
        Camera,
        CAMERA,
        {"K": np.transpose(CAMERA["K"])},
        r"K is \[\[500.0, 0.0, 0.0\], .* expected \[\[fx, skew, cx\].*It looks transposed: hand in K.T.",
    ),
    (Camera, CAMERA, {"K": [[500, 0, 320], [1, 500, 240], [0, 0, 1]]}, r"not upper triangular .* in px\.$"),
    (Camera, CAMERA, {"K": [[500, 0, 320], [0, 500, 240], [0, 0, 2]]}, r"1 in its corner; .* in px\.$"),
    (Camera, CAMERA, {"R": np.diag([1, 1, -1])}, "R is not a rotation matrix.*-1"),
    (Camera, CAMERA, {"R": 2 * np.eye(3)}, "R is not a rotation matrix.*8"),
    (Camera, CAMERA, {"t": [0, 0]}, r"t has shape \(2,\), expected \(3\)"),
    (Camera, CAMERA, {"t": [0, 0, np.inf]}, "t holds values that are not finite"),
    (Keypoints, KEYPOINTS, {"names": ["a", "a"]}, "names must be unique; repeated: a"),
    (Keypoints, KEYPOINTS, {"rate": 0}, "rate is 0.0"),
    (Keypoints, KEYPOINTS, {"xy": np.ones((3, 2, 5, 2))}, r"xy has shape \(3, 2, 5, 2\), expected \(any, any, 2, 2\)"),
    (Keypoints, KEYPOINTS, {"confidence": np.ones((3, 2))}, r"confidence has shape \(3, 2\), expected \(3, 2, 2\)"),
    (Keypoints, KEYPOINTS, {"confidence": np.full((3, 2, 2), 7)}, "spans 7…7, expected 0…1"),
    (Keypoints, KEYPOINTS, {"origin": ["detected"]}, "origin has 1 entries, expected one for each of 2 names"),
    (Keypoints, KEYPOINTS, {"origin": ["detected", "guessed"]}, "guessed"),
    (Markers, MARKERS, {"names": ["a", "b", "b"]}, "repeated: b"),
    (Markers, MARKERS, {"rate": -1}, "rate is -1"),
    (Markers, MARKERS, {"rate": 1j}, "rate is 1j, expected a finite number"),
    (Markers, MARKERS, {"rate": True}, "rate is True, expected a finite number"),
    (Markers, MARKERS, {"start": np.nan}, "start is nan, expected a finite number"),
    (Markers, MARKERS, {"names": "ab"}, "names is 'ab', expected texts"),
    (Markers, MARKERS, {"names": ["a", "b\n"]}, "expected texts in one line"),
    (Markers, MARKERS, {"names": {"b", "a"}}, "expected texts in one line and in an order"),  # in any order
    (Motion, MOTION, {"names": [b"a", b"b"]}, "expected texts in one line and in an order"),
    (Markers, MARKERS, {"names": ["a", "\ud800"]}, "expected texts in one line"),
    (Markers, MARKERS, {"names": None}, "names is None, expected texts"),
    (Markers, MARKERS, {"xyz": MARKERS["xyz"] + 1j}, "xyz is not made of numbers .found complex128"),
    (Markers, MARKERS, {"xyz": MARKERS["xyz"].astype(str)}, "xyz is not made of numbers"),
    (Markers, MARKERS, {"filled": np.ma.masked_all((3, 2), bool)}, "filled is not made of numbers .masked values"),
    (Markers, MARKERS, {"frame": "up"}, "frame is 'up', expected one of z_up, y_up"),
    (Markers, MARKERS, {"xyz": np.ones((3, 4, 3))}, r"xyz has shape \(3, 4, 3\), expected \(any, 2, 3\)"),
    (Markers, MARKERS, {"xyz": np.full((3, 2, 3), np.inf)}, "infinite values; mark with NaN what is not known"),
    (Markers, MARKERS, {"weight": np.ones(2)}, r"weight has shape \(2,\), expected \(3, 2\)"),
    (Markers, MARKERS, {"weight": -np.ones((3, 2))}, "weight must be finite and not negative"),
    (Markers, MARKERS, {"weight": np.full((3, 2), 1e7)}, r"at most 1e\+06"),
    (Markers, MARKERS, {"covariance": -np.ones((3, 2, 3, 3))}, "negative variances"),
    (Markers, MARKERS, {"covariance": np.full((3, 2, 3, 3), np.inf)}, "covariance holds infinite values"),
    (Markers, MARKERS, {"covariance": np.ones((3, 2, 3))}, r"covariance has shape .* expected \(3, 2, 3, 3\)"),
    (Markers, MARKERS, {"origin": ["given"] * 3}, "origin has 3 entries"),
    (Markers, MARKERS, {"filled": np.zeros((2, 2))}, r"filled has shape \(2, 2\), expected \(3, 2\)"),
    (Motion, MOTION, {"values": np.zeros((3, 3))}, r"values has shape \(3, 3\), expected \(any, 2\)"),
    (Motion, MOTION, {"rotational": [True]}, r"rotational has shape \(1,\), expected \(2\)"),
    (Motion, MOTION, {"deviation": np.zeros((2, 2))}, r"deviation has shape \(2, 2\), expected \(3, 2\)"),
    (Motion, MOTION, {"names": ["a", "a"]}, "repeated: a"),
    (Motion, MOTION, {"values": np.full((3, 2), np.inf)}, "Motion.values holds"),
    (Motion, MOTION, {"deviation": np.full((3, 2), -0.1)}, "Motion.deviation holds"),
    (Motion, MOTION, {"deviation": np.full((3, 2), np.inf)}, "Motion.deviation holds"),
    (Motion, MOTION, {"rate": "inf"}, "rate is inf"),
]


def test_masked_values_are_missing():
    """Not what lies below the mask."""
    xyz = np.ma.array(MARKERS["xyz"], mask=np.arange(18).reshape(3, 2, 3) % 7 == 0)
    found = Markers(**MARKERS | {"xyz": xyz}).xyz
    np.testing.assert_array_equal(np.isnan(found), xyz.mask)
    np.testing.assert_array_equal(found[~xyz.mask], xyz.compressed())
    for in_parts in (list(xyz), tuple(xyz), [list(frame) for frame in xyz]):
        np.testing.assert_array_equal(Markers(**MARKERS | {"xyz": in_parts}).xyz, found)
    confidence = np.ma.array(KEYPOINTS["confidence"], mask=False)
    confidence[1, 0, 1] = np.ma.masked
    seen = Keypoints(**KEYPOINTS | {"confidence": confidence}).confidence
    np.testing.assert_array_equal(seen, np.where(confidence.mask, 0.0, 1.0))


@pytest.mark.parametrize(("kind", "good", "fault", "message"), FAULTS)
def test_faults_are_named(kind, good, fault, message):
    kind(**good)
    with pytest.raises(InputError, match=message):
        kind(**{**good, **fault})


@pytest.mark.parametrize(
    ("kind", "arguments"), [(Camera, CAMERA), (Keypoints, KEYPOINTS), (Markers, MARKERS), (Motion, MOTION)]
)
def test_equality_copies_and_immutability(kind, arguments):
    a, b = kind(**arguments), kind(**arguments)
    assert a == b
    assert a.with_() == a
    assert a != "something else"
    changed = a.with_(name="other") if kind is Camera else a.with_(rate=51)
    assert changed != a
    array = next(v for v in vars(a).values() if isinstance(v, np.ndarray))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    with pytest.raises(AttributeError):
        a.rate = 3
    with pytest.raises(TypeError):
        hash(a)


def test_arrays_are_copied_in():
    xyz = np.zeros((3, 2, 3))
    markers = Markers(["a", "b"], 50, xyz)
    xyz[:] = 9
    assert (markers.xyz == 0).all()


def test_equality_sees_arrays_and_their_absence():
    markers = Markers(**MARKERS)
    nan = np.array(MARKERS["xyz"])
    nan[0] = np.nan
    assert markers.with_(xyz=nan) == markers.with_(xyz=nan)
    assert markers.with_(xyz=nan) != markers
    assert markers.with_(weight=np.ones((3, 2))) != markers
    assert markers != markers.with_(weight=np.ones((3, 2)))
    assert Keypoints(**KEYPOINTS) != markers


def test_camera():
    camera = Camera(**CAMERA)
    assert np.array_equal(camera.distortion, [0.1, 0, 0, 0, 0])
    assert camera.lens == "perspective"
    sizes = [camera.with_(distortion=np.r_[np.ones(n), np.zeros(14 - n)]).distortion.size for n in (0, 5, 6, 8, 9, 12)]
    assert sizes == [5, 5, 8, 8, 12, 12]
    assert np.allclose(camera.centre, [0, 0, -3])


def test_keypoints_without_a_place_have_no_confidence():
    xy = np.ones((3, 2, 2, 2))
    xy[1, 0, 1, 0] = np.nan
    confidence = np.full((3, 2, 2), 0.5)
    confidence[2, 1, 0] = np.nan
    keypoints = Keypoints(["a", "b"], 50, xy, confidence)
    assert keypoints.confidence[1, 0, 1] == 0
    assert keypoints.confidence[2, 1, 0] == 0
    assert keypoints.confidence.sum() == pytest.approx(0.5 * 10)
    assert keypoints.origin == (Origin.DETECTED,) * 2
    assert (keypoints.frames, keypoints.views) == (3, 2)


def test_select():
    rng = np.random.default_rng(0)
    names = ["a", "b", "c"]
    keypoints = Keypoints(
        names, 50, rng.normal(size=(4, 2, 3, 2)), rng.random((4, 2, 3)), ["detected", "inferred", "given"]
    )
    some = keypoints.select(["c", "a"])
    assert some.names == ("c", "a")
    assert np.array_equal(some.xy, keypoints.xy[:, :, [2, 0]])
    assert np.array_equal(some.confidence, keypoints.confidence[:, :, [2, 0]])
    assert some.origin == (Origin.GIVEN, Origin.DETECTED)

    markers = Markers(
        names,
        50,
        rng.normal(size=(4, 3, 3)),
        weight=rng.random((4, 3)),
        covariance=rng.random((4, 3, 3, 3)),
        origin=["detected", "inferred", "given"],
        filled=rng.random((4, 3)) > 0.5,
        start=2.0,
    )
    some = markers.select(["c", "a"])
    for field in ("xyz", "weight", "covariance", "filled"):
        assert np.array_equal(getattr(some, field), getattr(markers, field)[:, [2, 0]])
    assert some.origin == (Origin.GIVEN, Origin.DETECTED)
    assert some.start == 2.0
    assert some.select(["a"]) == markers.select(["a"])
    with pytest.raises(InputError, match=r"unknown name in Markers 'd'.*Available: a, b, c"):
        markers.select(["a", "d"])


def test_times_and_presence():
    xyz = np.zeros((3, 2, 3))
    xyz[1, 0, 2] = np.nan
    markers = Markers(["a", "b"], 50, xyz, start=1.0)
    assert np.allclose(markers.time, [1.0, 1.02, 1.04])
    assert markers.present.tolist() == [[True, True], [False, True], [True, True]]
    motion = Motion(**{**MOTION, "start": 2.0})
    assert np.allclose(motion.time, [2.0, 2.02, 2.04])
    assert motion.column("b").shape == (3,)
    assert motion.frames == 3
    with pytest.raises(InputError, match=r"unknown name in Motion 'hip'.*Available: a, b"):
        motion.column("hip")


def test_unknown_name_proposes_the_nearest():
    assert "Did you mean 'LKnee'?" in str(unknown_name("point", "LKne", ["LHip", "LKnee"], "x"))
    as_near = str(unknown_name("view", "cam9", ["cam1", "cam2"]))
    assert as_near == "unknown view 'cam9'. Available: cam1, cam2."
    assert "Available: none" in str(unknown_name("point", "p", []))


@pytest.mark.parametrize("wrong", ["x", [["a"]], 10**400, None, object(), 1j, [[1, 2], [3]]])
def test_what_is_not_made_of_numbers_is_bad_input(wrong):
    """As it may come from a file: the message names the field."""
    with pytest.raises(InputError, match=r"Markers\.xyz"):
        Markers(["a"], 50, wrong, "y_up")
    with pytest.raises(InputError, match=r"Camera 'c'\.K"):
        Camera("c", (10, 10), wrong, [], np.eye(3), [0, 0, 1])


@pytest.mark.parametrize("size", [(np.nan, 1), (np.inf, 1), 1000, (1e30, 10), (640,), ("a", "b"), (0.2, 640)])
def test_sizes_of_no_image_are_refused(size):
    with pytest.raises(InputError, match=r"Camera 'c'\.size"):
        Camera("c", size, np.diag([1000.0, 1000.0, 1.0]), np.zeros(5), np.eye(3), np.zeros(3))
