from .anatomy.body import Body, body_poses, forward_kinematics
from .anatomy.complete_spine import CompletedSpine, complete_spine
from .anatomy.priors import MarkerErrors, Prior, Smoothness
from .anatomy.spine_from_joints import spine_from_joints
from .anatomy.vertebrae import SpineKinematics
from .core.errors import InputError
from .core.filtering import smooth
from .core.skeletons import translate
from .core.types import Camera, Keypoints, Markers, Motion, Origin
from .dataset.recordings import open_dataset
from .estimation.inverse_kinematics import inverse_kinematics
from .estimation.result import Result, Solver
from .io.c3d import read_c3d
from .io.calibration import read_calibration, write_calibration
from .io.keypoint_json import read_keypoints, write_keypoints
from .io.mot import read_mot, write_mot
from .io.trc import read_trc, write_trc
from .quality.findings import Finding, Verdict
from .reconstruction.detection import Delayed
from .reconstruction.reconstruct import Reconstruction, fit_trials, reconstruct, reconstruct_people
from .reconstruction.session_files import read_session
from .reconstruction.spine_from_back import spine_from_back
from .reconstruction.stage import Options
from .report.overlay import draw
from .report.spinepose_interface import PoseTracker, SpinePoseEstimator, infer_image, infer_video
from .vision.camera_check import CameraChecks, check_cameras
from .vision.camera_refine import refine_cameras
from .vision.follow_skin_markers import follow_skin_markers
from .vision.merge_mocap import merge
from .vision.one_camera import DetectedFrame, DetectedPerson, detect_image, detect_video
from .vision.synchronise import find_delays
from .vision.triangulation import TriangulationReport, triangulate

__all__ = [
    "Body",
    "Camera",
    "CameraChecks",
    "CompletedSpine",
    "Delayed",
    "DetectedFrame",
    "DetectedPerson",
    "Finding",
    "InputError",
    "Keypoints",
    "MarkerErrors",
    "Markers",
    "Motion",
    "Options",
    "Origin",
    "PoseTracker",
    "Prior",
    "Reconstruction",
    "Result",
    "Smoothness",
    "Solver",
    "SpineKinematics",
    "SpinePoseEstimator",
    "TriangulationReport",
    "Verdict",
    "body_poses",
    "check_cameras",
    "complete_spine",
    "detect_image",
    "detect_video",
    "draw",
    "find_delays",
    "fit_trials",
    "follow_skin_markers",
    "forward_kinematics",
    "infer_image",
    "infer_video",
    "inverse_kinematics",
    "merge",
    "open_dataset",
    "read_c3d",
    "read_calibration",
    "read_keypoints",
    "read_mot",
    "read_session",
    "read_trc",
    "reconstruct",
    "reconstruct_people",
    "refine_cameras",
    "smooth",
    "spine_from_back",
    "spine_from_joints",
    "translate",
    "triangulate",
    "write_calibration",
    "write_keypoints",
    "write_mot",
    "write_trc",
]
__version__: str
