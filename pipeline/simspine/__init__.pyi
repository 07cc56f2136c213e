from .body.compiled_file import read_body, write_body
from .body.kinematics import body_poses, forward_kinematics
from .body.model import Body
from .cameras.board_views import BoardViews
from .cameras.boards import calibrate_boards, calibrate_lenses
from .cameras.check import check_cameras
from .cameras.from_person import cameras_from_person
from .cameras.refine import refine_cameras
from .cameras.sync import find_delays
from .dataset.recordings import open_dataset
from .detection.board import Board, find_board
from .errors import InputError
from .formats.calibration import read_calibration, write_calibration
from .formats.keypoint_json import read_keypoints, write_keypoints
from .formats.mot import read_mot, write_mot
from .formats.trc import read_trc, write_trc
from .ik.solve import inverse_kinematics
from .ik.solver import Solver
from .pipeline.delays import Delayed
from .pipeline.options import Options
from .pipeline.reconstruct import fit_trials, reconstruct, reconstruct_people
from .pipeline.reconstruction import Reconstruction
from .pipeline.skin_markers import follow_skin_markers
from .priors.assumptions import LinearPrior, MarkerErrors, Prior, SharedError, Smoothness
from .spine.shape.complete import complete_spine
from .spine.shape.from_joints import spine_from_joints
from .triangulation import triangulate
from .types import Camera, Keypoints, Markers, Motion, Origin

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
