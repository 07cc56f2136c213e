from .anatomy.body import Body, body_poses, forward_kinematics, read_body, write_body
from .anatomy.complete_spine import complete_spine
from .anatomy.priors import LinearPrior, MarkerErrors, Prior, SharedError, Smoothness
from .anatomy.spine_from_joints import spine_from_joints
from .core.errors import InputError
from .core.types import Camera, Keypoints, Markers, Motion, Origin
from .dataset.recordings import open_dataset
from .estimation.inverse_kinematics import inverse_kinematics
from .estimation.result import Solver
from .io.calibration import read_calibration, write_calibration
from .io.keypoint_json import read_keypoints, write_keypoints
from .io.mot import read_mot, write_mot
from .io.trc import read_trc, write_trc
from .reconstruction.detection import Delayed
from .reconstruction.reconstruct import Reconstruction, fit_trials, reconstruct, reconstruct_people
from .reconstruction.stage import Options
from .vision.board import Board, find_board
from .vision.board_bundle import BoardViews
from .vision.board_calibration import calibrate_boards, calibrate_lenses
from .vision.camera_check import check_cameras
from .vision.camera_refine import refine_cameras
from .vision.cameras_from_person import cameras_from_person
from .vision.follow_skin_markers import follow_skin_markers
from .vision.synchronise import find_delays
from .vision.triangulation import triangulate

__all__ = [
    "Board",
    "BoardViews",
    "Body",
    "Camera",
    "Delayed",
    "InputError",
    "Keypoints",
    "LinearPrior",
    "MarkerErrors",
    "Markers",
    "Motion",
    "Options",
    "Origin",
    "Prior",
    "Reconstruction",
    "SharedError",
    "Smoothness",
    "Solver",
    "body_poses",
    "calibrate_boards",
    "calibrate_lenses",
    "cameras_from_person",
    "check_cameras",
    "complete_spine",
    "find_board",
    "find_delays",
    "fit_trials",
    "follow_skin_markers",
    "forward_kinematics",
    "inverse_kinematics",
    "open_dataset",
    "read_body",
    "read_calibration",
    "read_keypoints",
    "read_mot",
    "read_trc",
    "reconstruct",
    "reconstruct_people",
    "refine_cameras",
    "spine_from_joints",
    "triangulate",
    "write_body",
    "write_calibration",
    "write_keypoints",
    "write_mot",
    "write_trc",
]
__version__: str
