"""The readers under test: how each makes a small valid file, what it is read with, and how it is damaged."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import yaml
from tools.fuzz_readers import mutators as m

from simspine.core.types import Camera, Keypoints, Markers, Motion
from simspine.io.exchange import ExportTrial


@dataclass(frozen=True)
class Reader:
    """write: a valid file at the path. read: the reader under test. name: of the file, with the suffix it needs."""

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]
    mutators: tuple[m.Mutator, ...] = m.BYTES


def _reader(place: str, kind: type = Path) -> Callable[[Path], object]:
    """The function at a place in simspine, imported when it is called. kind: of the path that it is handed."""
    module, _, function = place.rpartition(".")
    return lambda path: getattr(import_module(f"simspine.{module}"), function)(kind(path))


NAMES = ("Hip", "RHip", "LHip", "Neck")
POINTS = ["nose", "left_eye", "left_hip", "right_hip"]


def cameras() -> list[Camera]:
    R = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0.0]])
    K = [[1145.0, 0, 512], [0, 1145, 515], [0, 0, 1]]
    names = ("54138969", "55011271", "58860488", "60457274")
    return [
        Camera(name, (1000, 1002), K, [-0.2, 0.24, -1e-3, 2e-3, 0.01], R, -R @ [i, -4.0, 1])
        for i, name in enumerate(names)
    ]


def markers(frames: int = 6) -> Markers:
    xyz = np.random.default_rng(1).uniform(0.2, 1.6, (frames, len(NAMES), 3))
    xyz[2, 1] = np.nan
    return Markers(NAMES, 50, xyz, "y_up", start=0.5)


def motion(frames: int = 6) -> Motion:
    values = np.random.default_rng(2).normal(0, 0.3, (frames, 3))
    return Motion(
        ("pelvis_tilt", "pelvis_tx", "knee_angle_r"),
        50,
        values,
        (True, False, True),
        deviation=np.abs(values),
        start=0.5,
    )


def take() -> ExportTrial:
    from simspine.io.dataset_write import TrialData

    rng = np.random.default_rng(3)
    trial = TrialData(
        markers(), motion(), levels=("L5-S1",), angles=rng.normal(size=(6, 1, 3)), lla=rng.normal(size=6),
        tka=rng.normal(size=6), status=["kept"] * 5 + ["rejected"],
    )  # fmt: skip
    return ExportTrial("S1", "Walking_1", trial, tuple(cameras()))


# Configuration and recipes


def _config(path: Path) -> None:
    trial = {"videos": ["a.mp4", "b.mp4"], "calibration": "c.toml"}
    data = {
        "name": "x", "results": "results/x", "subjects": {"S01": {"height": 1.8, "trials": {"walk": trial}}},
        "filter": {"cutoff_hz": 6}, "triangulation": {"min_views": 2}, "ik": {"weights": {"LKnee": 2.0}},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(data, sort_keys=False))


def _read_config(path: Path):
    from simspine.workflow.config import read_config

    return read_config(path).hash


def _shipped(name: str) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        from simspine.core.settings import models_folder

        path.write_bytes((models_folder() / name).read_bytes())

    return write


def _preset(path: Path) -> None:
    import simspine.synthesis.virtual_detector as presets

    table = yaml.safe_load((Path(presets.__file__).with_name("tables") / "presets.yaml").read_text())
    name = next(iter(table))
    path.write_text(yaml.safe_dump({name: table[name]}))


# Cameras


def _toml(path: Path) -> None:
    from simspine.io.calibration import write_calibration

    write_calibration(path, cameras())


def _rig(path: Path) -> None:
    rig = {
        c.name: {
            "size": list(c.size), "K": c.K.tolist(), "dist_k1k2p1p2k3": c.distortion.tolist(),
            "R_world_to_cam": c.R.tolist(), "t_m": c.t.tolist(),
        } for c in cameras()
    }  # fmt: skip
    path.write_text(json.dumps({"S1": rig}))


def _qca(path: Path) -> None:
    one = (
        '<camera active="1" serial="{}" model="Miqus Video"><fov_video left="0" top="0" right="1919" bottom="1079"/>'
        '<transform x="1000.0" y="-4000.0" z="1200.0" r11="1" r12="0" r13="0" r21="0" r22="0" r23="1" r31="0" '
        'r32="-1" r33="0"/><intrinsic focallength="9" focalLengthU="88000" focalLengthV="88000" centerPointU="61000" '
        'centerPointV="34000" skew="0" radialDistortion1="-0.1" radialDistortion2="0.1" radialDistortion3="0" '
        'tangentalDistortion1="0" tangentalDistortion2="0"/></camera>'
    )
    path.write_text(f"<calibration><cameras>{one.format(11)}{one.format(12)}</cameras></calibration>")


def _xcp(path: Path) -> None:
    one = (
        '<Camera DEVICEID="{}" ISDV="1" SENSOR_SIZE="1920 1080" TYPE="Vue_VIDEO"><KeyFrames><KeyFrame FRAME="0" '
        'FOCAL_LENGTH="1500.5" PRINCIPAL_POINT="960.5 540.5" ORIENTATION="0.5 -0.5 0.5 0.5" POSITION="-3000 200 {}" '
        'VICON_RADIAL2="Vicon3Parameter 960.5 540.5 1e-8 -1e-15 0"/></KeyFrames></Camera>'
    )
    path.write_text(f"<Cameras>{one.format(11, 900)}{one.format(12, 1900)}</Cameras>")


def _metadata(path: Path) -> None:
    numbers = np.random.default_rng(0).uniform(0.1, 1, 300).tolist()
    path.write_text(f"<metadata><w0>[{' '.join(map(repr, numbers))}]</w0></metadata>")


def _read_rigs(path: Path):
    from simspine.io.human36m.copy import open_rigs

    return open_rigs(path).cameras("S1")


# Models and meshes


def _vtp(path: Path) -> None:
    path.write_text(
        '<VTKFile type="PolyData"><PolyData><Piece NumberOfPoints="4" NumberOfPolys="2"><Points>'
        '<DataArray type="Float32" NumberOfComponents="3" format="ascii">0 0 0 1 0 0 1 1 0 0 1 0</DataArray></Points>'
        '<Polys><DataArray Name="connectivity" format="ascii">0 1 2 0 2 3</DataArray>'
        '<DataArray Name="offsets" format="ascii">3 6</DataArray></Polys></Piece></PolyData></VTKFile>'
    )


def _osim(path: Path) -> None:
    import opensim

    model = opensim.Model()
    model.setName("two")
    parent = model.getGround()
    for name in ("a", "b"):
        body = opensim.Body(name, 1.0, opensim.Vec3(0), opensim.Inertia(1))
        model.addBody(body)
        joint = opensim.PinJoint(f"to_{name}", parent, opensim.Vec3(0, 1, 0), opensim.Vec3(0), body,
                                 opensim.Vec3(0, -1, 0), opensim.Vec3(0))  # fmt: skip
        model.addJoint(joint)
        model.addMarker(opensim.Marker(f"m_{name}", body, opensim.Vec3(0.1, 0, 0)))
        parent = body
    model.finalizeConnections()
    model.printToXML(str(path))


def _read_osim(path: Path):
    from simspine.anatomy.body import Body

    return Body.from_osim(path)


# Our own containers


def _store(path: Path) -> None:
    from simspine.io.hdf5 import write_store

    keypoints = Keypoints(NAMES, 50, np.random.default_rng(0).uniform(0, 1000, (6, 4, 4, 2)), np.full((6, 4, 4), 0.9))
    write_store(
        path, cameras=cameras(), keypoints=keypoints, markers=markers(), motion=motion(),
        notes={"a": [1, 2.5, None], "b": "text"}, texts=np.array(["x", "yy"]), big=np.zeros((40, 40)),
    )  # fmt: skip


def _poses(path: Path) -> None:
    from simspine.io.exchange import write_poses

    write_poses(50.0, "anna", path, NAMES, np.random.default_rng(0).uniform(0, 2, (6, 4, 3)))


def _sleap(path: Path) -> None:
    import h5py

    tracks = np.random.default_rng(0).uniform(0, 900, (1, 2, 4, 6))
    with h5py.File(path, "w") as file:
        file["node_names"], file["tracks"], file["point_scores"] = np.array(POINTS, "S"), tracks, tracks[:, 0] / 900


def _deeplabcut(path: Path) -> None:
    head = [["scorer", *["s"] * 12], ["bodyparts", *np.repeat(POINTS, 3)], ["coords", *["x", "y", "likelihood"] * 4]]
    rows = np.random.default_rng(0).uniform(0, 1, (6, 12)).round(3).astype(str)
    lines = [*head, *([str(frame), *row] for frame, row in enumerate(rows))]
    path.write_text("\n".join(map(",".join, lines)) + "\n")


def _read_keypoints(path: Path):
    from simspine.io.keypoint_json import read_keypoints

    return read_keypoints([path], rate=30.0)


def _dataset(path: Path) -> None:
    from simspine.io.dataset_write import Dataset, SubjectData, write_dataset

    write_dataset(path, Dataset({"S1": SubjectData(tuple(cameras()), {"Walking_1": take().trial}, "<x/>")}, {"a": 1}))


def _read_dataset(path: Path):
    from simspine.io.dataset_read import DatasetFile

    with DatasetFile(path) as file:
        return file.provenance, *((file.cameras(s), file.trial(s, t)) for s in file.subjects for t in file.trials(s))


def _verify_dataset(path: Path):
    from simspine.dataset.verify import verify_hdf5

    return verify_hdf5(path, path.name, {"S1/Walking_1": 6})


def _manifest(path: Path) -> None:
    entry = {"kind": "trc", "size": 1, "sha256": "ab", "rows": 1, "units": {}, "trials": {"S1/a": 1}}
    path.write_text(json.dumps({"manifest": 2, "name": "x", "files": {"a.trc": entry}}))


# Exchange formats


def _mmpose(path: Path) -> None:
    from simspine.io.npz import write_mmpose

    write_mmpose(path.parent, "valid", lambda: [take()])
    (path.parent / "annotations/simspine_valid.npz").rename(path)


def _c3d(path: Path) -> None:
    from simspine.io.c3d import write_c3d

    write_c3d(path, take())


def _coco(path: Path) -> None:
    from simspine.io.coco import write_coco

    write_coco(path, lambda: [take()])


# Text formats


def _trc(path: Path) -> None:
    from simspine.io.trc import write_trc

    write_trc(path, markers())


def _mot(path: Path) -> None:
    from simspine.io.mot import write_mot

    write_mot(path, motion())


def _openpose(path: Path) -> None:
    path.write_text(json.dumps({"version": 1.3, "people": [{"pose_keypoints_2d": [1.0, 2.0, 0.5] * 25}]}))


def _read_openpose(path: Path):
    from simspine.io.keypoint_json import read_people_json

    folder = path.parent / "cam01_json"
    folder.mkdir(exist_ok=True)
    (folder / "cam01_000000.json").write_bytes(path.read_bytes())
    return read_people_json([folder], "body25")


# Human3.6M


def _cdf(path: Path) -> None:
    from simspine.io.human36m.copy import write_pose

    write_pose(path, np.random.default_rng(0).uniform(0, 1000, (5, 32, 3)))


def _shape(path: Path) -> None:
    import simspine.anatomy.shape_model as model

    path.write_bytes(Path(model.__file__).with_name("shape_statistics.json").read_bytes())


def _labelled_images():
    from simspine.core.skeletons import load_skeleton
    from simspine.io.coco import LabelledImages

    names = load_skeleton("simspine37").names
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(1, 400, (3, 37, 2)).round(3), rng.integers(1, 3, (3, 37, 1))], -1)
    return LabelledImages(names, ("a/1.jpg", "a/2.jpg", "b/1.jpg"), [[640, 480]] * 3, points, np.full((3, 37), 2))


def _write_labels(path: Path) -> None:
    from simspine.io.coco import write_coco_labels

    write_coco_labels(path, _labelled_images())


def _journal(path: Path) -> None:
    from simspine.annotation.labels import Edit, PointStatus, Visibility, append_edits, start_journal

    start_journal(path, "walk", ("cam01", "cam02"), ("Hip", "Nose"))
    append_edits(
        path, [Edit(f, f % 2, "Hip", 10.5 + f, 20.25, Visibility.SEEN, PointStatus.CORRECTED) for f in range(9)]
    )


# A line on the back, and other tables


def _back_points() -> np.ndarray:
    height = np.linspace(1.4, 0.95, 12)
    return np.stack([0.03 * np.sin(9 * height), height, 0 * height], -1)


def _back_csv(path: Path) -> None:
    names = ["C7", *[""] * 11, "LPSIS", "RPSIS"]
    rows = [*_back_points(), (-0.02, 0.98, -0.05), (-0.02, 0.98, 0.05)]
    lines = [f"{x:.4f},{y:.4f},{z:.4f},{name}" for (x, y, z), name in zip(rows, names, strict=True)]
    path.write_text("\n".join(["x,y,z,name", *lines]) + "\n")


def _ply_head(kind: str, count: int) -> str:
    places = "".join(f"property float {axis}\n" for axis in "xyz")
    colours = "".join(f"property uchar {colour}\n" for colour in ("red", "green", "blue"))
    return f"ply\nformat {kind} 1.0\nelement vertex {count}\n{places}{colours}element face 0\nend_header\n"


def _ply_text(path: Path) -> None:
    points = _back_points()
    rows = "".join(f"{x:.4f} {y:.4f} {z:.4f} 255 {20 * (i % 2)} 0\n" for i, (x, y, z) in enumerate(points))
    path.write_text(_ply_head("ascii", len(points)) + rows)


def _ply_binary(path: Path) -> None:
    points = _back_points()
    cells = np.zeros(len(points), [("p", "<f4", 3), ("c", "u1", 3)])
    cells["p"], cells["c"] = points, (250, 10, 10)
    path.write_bytes(_ply_head("binary_little_endian", len(points)).encode() + cells.tobytes())


def _correspondence(path: Path) -> None:
    from simspine.core import skeletons

    folder = Path(skeletons.__file__).with_name("correspondences")
    path.write_bytes(sorted(folder.glob("*.csv"))[0].read_bytes())


def _coco_results(path: Path) -> None:
    people = [{"image_id": i, "category_id": 1, "keypoints": [1.5, 2.5, 0.5] * 37, "score": 0.5} for i in range(3)]
    path.write_text(json.dumps(people))


def _named_frames(path: Path) -> None:
    path.write_text(json.dumps({"frames_again": [1, 2, 5], "frames_worse": [7]}))


def _point_table(path: Path) -> None:
    from tools.lifting_baselines.point_tables import write_point_sequences

    from simspine.evaluation.point_sources import PointSequence

    xyz = np.random.default_rng(0).uniform(0, 2, (5, 4, 3))
    write_point_sequences(path, [PointSequence("S1", "Walking_1", np.arange(5), NAMES, xyz)])


def _image(path: Path) -> None:
    import cv2

    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (24, 32, 3)).astype(np.uint8))


# Sessions of other programs: a folder with one damaged file among valid ones

FRAMES = 3


def _standing() -> np.ndarray:
    """A person of COCO's 17 points, m, z up: (frames, 17, 3)."""
    heights = (1.6, 1.65, 1.65, 1.62, 1.62, 1.45, 1.45, 1.15, 1.15, 0.9, 0.9, 0.95, 0.95, 0.5, 0.5, 0.08, 0.08)
    sides = [0.0, *[0.18 if i % 2 else -0.18 for i in range(1, 17)]]
    return np.stack([[[0.01 * k, y, z] for y, z in zip(sides, heights, strict=True)] for k in range(FRAMES)])


def _wide(path: Path) -> None:
    from simspine.core.skeletons import load_skeleton

    path.parent.mkdir(parents=True, exist_ok=True)
    head = [f"{name}_{axis}" for name in load_skeleton("coco17").names for axis in "xyz"]
    rows = [",".join(f"{value:.3f}" for value in frame.ravel()) for frame in _standing()]
    path.write_text("\n".join([",".join(head), *rows]) + "\n")


def _long(path: Path) -> None:
    rows = [
        f"{k + 3},0,{i},{x:.3f},{y:.3f},{z:.3f},{k / 50}"
        for k, frame in enumerate(_standing())
        for i, (x, y, z) in enumerate(frame)
    ]
    path.write_text("\n".join(["sync_index,object_id,keypoint_id,x_coord,y_coord,z_coord,frame_time", *rows]) + "\n")


def _mocap(path: Path) -> None:
    places = np.concatenate([_standing()[0], _standing()[0, :8]])  # BODY_25 has as many; which is which does not matter
    path.write_text(json.dumps([{"id": 0, "keypoints3d": [[*map(float, place), 1.0] for place in places]}]))


def _anipose_config(path: Path) -> None:
    path.write_text('[pipeline]\npose_3d = "pose-3d"\n[labeling]\nscheme = [["nose", "left_eye"]]\n')


def _movement(path: Path) -> None:
    import xarray

    from simspine.core.skeletons import load_skeleton
    from simspine.io.exchange import write_poses

    write_poses(50.0, "anna", path, load_skeleton("coco17").names, _standing())
    with xarray.open_dataset(path) as file:
        poses = file.load().assign_attrs(source_software="DeepLabCut")  # our own files are no session
    poses.to_netcdf(path, engine="h5netcdf")


def _metadata_yaml(path: Path) -> None:
    path.write_text("height_m: 1.8\nmass_kg: 72.5\nsubjectID: a\n")


def _pose2sim_config(path: Path) -> None:
    path.write_text("[project]\nframe_rate = 60\nparticipant_height = 1.8\nparticipant_mass = 72.5\n")


def _session(place: str, **others: Callable[[Path], object]) -> Callable[[Path], object]:
    """Reads the session whose file at `place` is the damaged one. others: its other files, made once."""

    def read(path: Path):
        from simspine.reconstruction.session_files import read_session

        folder = path.parent / "session"
        for name, write in (dict.fromkeys([place]) | others).items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if write is None:
                file.write_bytes(path.read_bytes())
            elif not file.exists():
                write(file)
        return read_session(folder, rate=50.0)

    return read


_JSON = (*m.TEXT, m.json_tree, m.json_tree, m.json_tree)
_TOML = (*m.TEXT, m.toml_tree, m.toml_tree)
_YAML = (*m.TEXT, m.yaml_tree, m.yaml_tree, m.yaml_tree)
_ZIP = (*m.BYTES, *[m.zip_members] * 8)
READERS = {
    "configuration": Reader("config.yaml", _config, _read_config, _YAML),
    "body recipe": Reader("recipe.yaml", _shipped("paper.yaml"), _reader("anatomy.recipes.read_recipe", str), _YAML),
    "marker set": Reader(
        "markers.yaml",
        _shipped("markers/rizzoli_spine.yaml"),
        _reader("anatomy.marker_sets.read_marker_set", str),
        _YAML,
    ),
    "detection preset": Reader("preset.yaml", _preset, _reader("synthesis.virtual_detector.read_preset", str), _YAML),
    "calibration TOML": Reader("cameras.toml", _toml, _reader("io.calibration.read_calibration"), _TOML),
    "calibration JSON": Reader("rig.json", _rig, _reader("io.calibration.read_calibration"), _JSON),
    "calibration Qualisys": Reader("x.qca.txt", _qca, _reader("io.calibration.read_calibration"), m.TEXT),
    "calibration Vicon": Reader("x.xcp", _xcp, _reader("io.calibration.read_calibration"), m.TEXT),
    "metadata.xml": Reader("metadata.xml", _metadata, _read_rigs, m.TEXT),
    "VTP": Reader("mesh.vtp", _vtp, _reader("report.bones.read_vtp"), m.TEXT),
    "OpenSim model": Reader("model.osim", _osim, _read_osim, m.TEXT),
    "store": Reader("trial.h5", _store, _reader("io.hdf5.read_store")),
    "netCDF poses": Reader("poses.nc", _poses, _reader("io.exchange.read_poses")),
    "SLEAP": Reader("tracks.h5", _sleap, _read_keypoints),
    "DeepLabCut": Reader("tracks.csv", _deeplabcut, _read_keypoints, m.TEXT),
    "data set": Reader("data.h5", _dataset, _read_dataset),
    "data set, verified": Reader("data.h5", _dataset, _verify_dataset),
    "manifest": Reader("manifest.json", _manifest, _reader("dataset.recordings.read_dataset_manifest"), _JSON),
    "npz table": Reader("x.npz", _mmpose, _reader("io.npz.read_npz"), _ZIP),
    "C3D": Reader("x.c3d", _c3d, _reader("io.c3d.read_c3d")),
    "COCO": Reader("x.json", _coco, _reader("io.coco.read_coco"), _JSON),
    "COCO labels": Reader("labels.json", _write_labels, _reader("io.coco.read_coco_labels"), _JSON),
    "annotator's journal": Reader("anna.jsonl", _journal, _reader("annotation.labels.read_journal"), m.TEXT),
    "TRC": Reader("x.trc", _trc, _reader("io.trc.read_trc"), m.TEXT),
    "MOT and STO": Reader("x.mot", _mot, _reader("io.mot.read_mot"), m.TEXT),
    "OpenPose JSON": Reader("people.json", _openpose, _read_openpose, _JSON),
    "CDF": Reader("Walking.cdf", _cdf, _reader("io.human36m.copy.read_pose")),
    "back line, CSV": Reader("line.csv", _back_csv, _reader("io.back_line.read_back_line"), m.TEXT),
    "back scan, text": Reader("scan.ply", _ply_text, _reader("io.back_line.read_back_line"), m.TEXT),
    "back scan, binary": Reader("scan.ply", _ply_binary, _reader("io.back_line.read_back_line")),
    "correspondences": Reader("table.csv", _correspondence, _reader("core.skeletons.read_correspondence", str), m.TEXT),
    "COCO results": Reader("results.json", _coco_results, _reader("io.coco.read_coco_results"), _JSON),
    "validation's frames": Reader(
        "validation.json", _named_frames, _reader("annotation.validation.frames_to_annotate"), _JSON
    ),
    "table of points": Reader("points.npz", _point_table, _reader("evaluation.point_sources.read_points"), _ZIP),
    "PNG": Reader("image.png", _image, _reader("io.image_streams.read_image")),
    "JPEG": Reader("image.jpg", _image, _reader("io.image_streams.read_image")),
    "spine shape": Reader("shape.json", _shape, _reader("anatomy.shape_model.read_shape_model"), _JSON),
    "session FreeMoCap": Reader("x.csv", _wide, _session("output_data/x_body_3d_xyz.csv"), m.TEXT),
    "session Caliscope": Reader(
        "x.csv", _long, _session("recordings/a/P/xyz_P.csv", **{"recordings/a/P/xyz_P_labelled.csv": _wide}), m.TEXT
    ),
    "session Anipose": Reader("x.toml", _anipose_config, _session("config.toml", **{"a/pose-3d/x.csv": _wide}), _TOML),
    "session EasyMocap": Reader(
        "x.json", _mocap, _session("keypoints3d/000000.json", **{"keypoints3d/000001.json": _mocap}), _JSON
    ),
    "session movement": Reader("x.nc", _movement, _session("x.nc")),
    "session OpenCap": Reader(
        "x.yaml", _metadata_yaml, _session("sessionMetadata.yaml", **{"MarkerData/x.trc": _trc}), _YAML
    ),
    "session Pose2Sim": Reader(
        "x.toml", _pose2sim_config,
        _session("Config.toml", **{"calibration/Calib.toml": _toml, "videos/x.mp4": Path.touch}), _TOML,
    ),
}  # fmt: skip
