"""From images or points to reconstructions, in memory: `reconstruct`, `reconstruct_people` and `fit_trials`.

All three run the one list of stages (`stages`).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simspine.core.arrays import with_checked_arguments
from simspine.core.errors import InputError, require_known
from simspine.core.types import Camera, Keypoints, Markers
from simspine.io.calibration import read_calibration
from simspine.io.text_tables import list_names, repeated_names
from simspine.io.video import VIDEO_ENDINGS, files_with_endings
from simspine.reconstruction import stages
from simspine.reconstruction.detection import Delayed, Delays, TrialSource, detect_people
from simspine.reconstruction.sessions import OtherSession, solve_session
from simspine.reconstruction.solved_trial import SolvedTrial
from simspine.reconstruction.stage import Known, Options
from simspine.vision.points import check_one_person

if TYPE_CHECKING:
    import pandas
    import xarray


@dataclass(frozen=True, eq=False)
class Reconstruction(SolvedTrial):
    """Everything the pipeline found in one trial; lengths m, angles rad, times s.

    Attributes
    ----------
    subject, trial : str
    markers : Markers
        Input of inverse kinematics, y_up, with origin and covariance.
    sized : SizedBody
        The person's body; `body` is its `Body`.
    result : Result
        Result of inverse kinematics; `motion` is its `Motion`.
    spine : SpineKinematics
        Angles of each level, LLA, TKA, points and vertebral centres, with uncertainty.
    verdict : Verdict or None
        Which frames can be trusted; `findings` are its `Finding`s.
    cameras, keypoints, triangulation, points, videos, timing
        Of trials from images: `Camera`s in the order of the views, `Keypoints`, `TriangulationReport`, triangulated
        `Markers` (z_up), the videos' files, and their `Timing` (None where equal frame numbers belong together).
    """

    def save(self, path: str | PathLike) -> Path:
        """Write the trial as a data set of its own: one HDF5 file for `simspine.open_dataset`. Returns its path.

        The table of `to_dataframe` goes next to it, as a CSV file of the same name. Raises `InputError` where `path`
        does not end in .h5, where another CSV file of that name is there, and if points do not follow from the angles.
        """
        from simspine.io.atomic import atomic_path
        from simspine.reconstruction.publish import TABLE_DECIMALS, TABLE_START, write_trials_dataset

        table = Path(path).with_suffix(".csv")
        if table.is_file() and not table.read_bytes().startswith(TABLE_START):
            raise InputError(f"{table} is no table of simspine, and would be replaced by one; choose another name.")
        with atomic_path(table) as temporary:  # absolute, since pandas would take a folder ~ for the home folder
            self.to_dataframe().round(TABLE_DECIMALS).to_csv(temporary.absolute())
            return write_trials_dataset(path, [self])  # inside: both files are new, or neither

    def report(self, path: str | PathLike) -> Path:
        """Write the report of the trial: one page of HTML that needs nothing else. Returns its path."""
        from simspine.report.statements import write_trial_report

        return write_trial_report(path, self)

    def _repr_html_(self) -> str:
        """The trial in 3D, as a Jupyter notebook shows it."""
        from simspine.report.statements import notebook_player

        return notebook_player(self)

    def to_dataframe(self) -> "pandas.DataFrame":
        """A row for each frame; every column's name ends in its unit: degrees, mm, s.

        First time, status and reasons of the verdict, markers whose gap was filled, and the fit of the markers. Then
        `lla_deg`, `lla_sd_deg`, `lla_decided_by` and the same of `tka`, angles of each level (`T12_L1_flexion_deg`,
        `T12_L1_flexion_sd_deg`), vertebral centres (`L1_x_mm`, y up), coordinates of the body (`pelvis_tilt_deg`), and
        clinical parameters (`clinical_pelvic_tilt_deg`). What decided a figure (`decided_by`) is of the whole trial.
        """
        from simspine.reconstruction.publish import frame_table

        return frame_table(self)

    def to_xarray(self) -> "xarray.Dataset":
        """Arrays with named axes in rad, m and s, each with its unit: angles (frame, level, axis), centres (frame,
        point, space), motion (frame, coordinate), clinical (frame, parameter), and the standard deviations of all.

        `angles_decided_share` and `centres_origin` say what was observed and what was assumed. Raises `InputError`
        where xarray is not installed: install simspine[xarray].
        """
        from simspine.reconstruction.publish import labelled_arrays

        return labelled_arrays(self)


VideosOrKeypoints = Keypoints | str | PathLike | Sequence[str | PathLike] | Delayed
Progress = Callable[[int, int], None]


def reconstruct(
    source: VideosOrKeypoints | Mapping[str, VideosOrKeypoints] | OtherSession,
    cameras: Sequence[Camera] | str | PathLike | None = None,
    mocap: Markers | Mapping[str, Markers] | None = None,
    *,
    options: Options | None = None,
    marker_set: str | PathLike | None = None,
    height: float | None = None,
    mass: float | None = None,
    progress: Progress | None = None,
) -> Reconstruction | dict[str, Reconstruction]:
    """From synchronised videos, 2D points or another program's session to the spine: all stages, in memory.

    Equal to what the workflow, or `simspine add-spine`, writes for the same input.

    Parameters
    ----------
    source : Keypoints, path, sequence of paths, Delayed, {trial: one of these}, or OtherSession
        2D points of a skeleton that simspine knows by its names, views in the order of the cameras; or a folder of
        videos, or the videos, one per camera. Several trials of a person share one body. Without cameras, the folder
        of a session with one trial; of any session, what `read_session` returns.
    cameras : sequence of Camera, or path, optional
        World z up, or a calibration file. A session has its own, or none.
    mocap : Markers or {trial: Markers}, optional
        Motion capture, which takes the place of points of the same name.
    options : Options, optional
        How each stage works.
    marker_set : str or path, optional
        Says where the detector's points are on the body; by default that of the points' skeleton.
    height, mass : float, optional
        Height (m) and mass (kg) of the person.
    progress : callable, optional
        Called with (frames done, frames in all) while videos are read.

    Returns
    -------
    Reconstruction or {trial: Reconstruction}
        The latter for {trial: source} and `OtherSession`.

    Raises
    ------
    InputError
        Where cameras and views do not match, nobody is found, motion capture is of no trial, or no body fits.

    Examples
    --------
    >>> keypoints = ss.read_keypoints([f"pose/cam0{i}_json" for i in (1, 2, 3, 4)], "spinetrack37", rate=30)
    >>> rec = ss.reconstruct(keypoints, "Calib.toml")
    >>> rec.lla.shape, rec.spine.lla_sd.shape  # lumbar lordosis and its standard deviation, rad
    ((16,), (16,))
    """
    options = _with_body(options or Options(), markers=marker_set)
    if cameras is None or isinstance(source, OtherSession):
        size = {name: value for name, value in (("height", height), ("mass", mass)) if value is not None}
        return _reconstruct_session(source, cameras or mocap, options, size=size, progress=progress)
    sources = dict(source) if isinstance(source, Mapping) else {"trial": source}
    if not sources:
        raise InputError("no recording was given; expected {trial: recording} with at least one.")
    captured, rig = _mocap_of(mocap, sources), _cameras(cameras)
    trials = {}
    for trial, item in sources.items():
        recording = _recording(item, rig, progress)
        if recording.keypoints is None:
            check_one_person(options.detection)
        about = {"subject": stages.SUBJECT_NAME, "trial": trial, "videos": recording.videos, "recording": recording}
        trials[trial] = stages.UNSEEN | about | {"mocap": captured.get(trial), "height": height, "mass": mass}
    reconstructions = as_reconstructions(stages.run_stages(trials, options))
    return reconstructions if isinstance(source, Mapping) else reconstructions["trial"]


def _reconstruct_session(
    source: Any, more: Any, options: Options, size: Mapping[str, Any], progress: Progress | None
) -> Reconstruction | dict[str, Reconstruction]:
    """As `reconstruct`. more: what a session does not go with. size: height and mass, in place of the session's."""
    if not isinstance(source, OtherSession | str | PathLike):
        raise InputError("no cameras were given; expected them, or the folder of a session as the only source.")
    from simspine.reconstruction.session_files import read_session

    session = source if isinstance(source, OtherSession) else read_session(Path(source))
    if more is not None:
        raise InputError("a session is read as its program wrote it; expected no cameras and no mocap. Leave them out.")
    if session is not source and len(session.trials) > 1:
        raise InputError(
            f"{source} holds {len(session.trials)} trials: {list_names(trial.name for trial in session.trials)}; "
            "expected one. `reconstruct(read_session(folder))` gives {trial: Reconstruction}."
        )
    check_one_person(options.detection)

    def show(text: str) -> AbstractContextManager[Progress]:
        return nullcontext(progress if progress and text.endswith("frames") else lambda done, total: None)

    found = as_reconstructions(solve_session(replace(session, **size), options, show))
    return found if session is source else found[session.trials[0].name]


def reconstruct_people(
    videos: str | PathLike | Sequence[str | PathLike] | Delayed,
    cameras: Sequence[Camera] | str | PathLike,
    *,
    options: Options | None = None,
    marker_set: str | PathLike | None = None,
    progress: Progress | None = None,
) -> list[Reconstruction]:
    """From synchronised videos to the spines of all people in them.

    People seen by two views or more in less than a fifth of the frames are left out.

    Parameters
    ----------
    videos : path, sequence of paths, or Delayed
        A folder of videos, or their files, one per camera.
    cameras : sequence of Camera, or path
        World z up, or a calibration file.
    options : Options, optional
        `detection.people` bounds how many people are looked for in an image.
    marker_set : str or path, optional
    progress : callable, optional
        Both as of `reconstruct`.

    Returns
    -------
    list of Reconstruction
        Those seen in most views and frames first; each with a body of their own, subjects 'person_1', 'person_2', ….

    Raises
    ------
    InputError
        Where nobody is seen for long enough, and as `reconstruct`.
    """
    options = _with_body(options or Options(), markers=marker_set)
    recording = _recording(videos, _cameras(cameras), progress)
    people = detect_people(options.detection, recording=recording)
    if not people:
        raise InputError("nobody is seen in two views or more for a fifth of the frames.")
    solved: list[Reconstruction] = []
    for rank, seen in enumerate(people, 1):
        about = {"subject": f"{stages.SUBJECT_NAME}_{rank}", "trial": "trial", "videos": recording.videos}
        solved += as_reconstructions(
            stages.run_stages({"trial": stages.UNSEEN | about | seen}, options, stages.AFTER_DETECTION)
        ).values()
    return solved


def fit_trials(
    trials: Mapping[str, Markers],
    body: str | PathLike | None = None,
    marker_set: str | PathLike | None = None,
    height: float | None = None,
    mass: float | None = None,
    *,
    options: Options | None = None,
) -> dict[str, Reconstruction]:
    """From points in space to the spine: everything after merging, for all trials of one person together.

    Parameters
    ----------
    trials : {trial: Markers}
        Named as by SIMSPINE or the marker set; m, any axes.
    body : str or path, optional
        Recipe: 'articulated', 'coupled' or a file's path; by default that of the options.
    marker_set : str or path, optional
        Says where the points are on the body; by default that of the options, or the one whose names the markers have:
        'plugin_gait', 'cgm2', 'ior', 'rizzoli_spine', 'cleveland', 'gait2392', 'rajagopal', 'opencap', 'spine' (all of
        markers on the skin), 'theia', or else 'centres' (at the vertebral centres). A finding names the set.
    height, mass : float, optional
        Height (m) and mass (kg) of the person.
    options : Options, optional
        How the stages work; `body`, `scaling`, `ik` and `quality` are used.

    Returns
    -------
    {trial: Reconstruction}

    Raises
    ------
    InputError
        Where there is no trial, no segment can be measured, no marker is the body's, or an argument contradicts the
        options.

    Examples
    --------
    >>> rec = ss.fit_trials({"bow": ss.read_trc("bow.trc")}, marker_set="spinetrack37")["bow"]
    >>> rec.spine.levels[:2], rec.spine.angles.shape  # (frames, levels, 3) rad
    (('L5-S1', 'L4-L5'), (16, 31, 3))
    """
    if not trials:
        raise InputError("no trials were given; expected {name: Markers} with at least one.")
    if wrong := [f"{name!r} is a {type(it).__name__}" for name, it in trials.items() if not isinstance(it, Markers)]:
        raise InputError(f"trial {wrong[0]}; expected Markers (`read_trc`, `read_c3d`).")
    options = _with_body(options or Options(), recipe=body, markers=marker_set)
    person = {"subject": stages.SUBJECT_NAME, "height": height, "mass": mass}
    known = {
        trial: stages.UNSEEN | person | {"trial": trial} | stages.given_markers(markers, options.body)
        for trial, markers in trials.items()
    }
    return as_reconstructions(stages.run_stages(known, options, stages.AFTER_MERGING))


def as_reconstructions(trials: Mapping[str, Known]) -> dict[str, Reconstruction]:
    """The results of the stages for each trial, as `Reconstruction`s."""
    names = [field.name for field in fields(Reconstruction)]
    return {trial: Reconstruction(**{name: known[name] for name in names}) for trial, known in trials.items()}


def _with_body(options: Options, **arguments: str | PathLike | None) -> Options:
    """The options with recipe and marker set from arguments. `InputError` where they contradict the options."""
    given = {name: fspath(value) for name, value in arguments.items() if value is not None}
    for name in given.keys() & options.body.model_fields_set:
        chosen = getattr(options.body, name)
        if chosen not in (None, given[name]):
            raise InputError(
                f"body.{name} of the options is {chosen!r}, the argument says {given[name]!r}; expected one of them. "
                "Leave one out."
            )
    return options.model_copy(update={"body": options.body.model_copy(update=given)})


def _mocap_of(
    mocap: Markers | Mapping[str, Markers] | None, sources: Mapping[str, VideosOrKeypoints]
) -> Mapping[str, Markers]:
    """{trial: motion capture}. `InputError` where the trial of a motion capture is not known."""
    if mocap is None:
        return {}
    if isinstance(mocap, Mapping):
        require_known("trial", mocap, sources, "mocap")
        return mocap
    if len(sources) > 1:
        raise InputError(
            f"mocap is one Markers, but there are {len(sources)} trials ({', '.join(sources)}); expected "
            "{trial: Markers}. Say which trial it was recorded with."
        )
    return dict.fromkeys(sources, mocap)


def _cameras(cameras: Sequence[Camera] | str | PathLike) -> list[Camera]:
    if isinstance(cameras, str | PathLike):
        return read_calibration(cameras)
    if repeated := repeated_names(camera.name for camera in cameras):
        raise InputError(f"cameras hold {repeated} twice; expected a Camera for each view.")
    return list(cameras)


def _recording(source: VideosOrKeypoints, cameras: list[Camera], progress: Progress | None) -> TrialSource:
    plain = source.source if isinstance(source, Delayed) else source
    delays = Delays(source.delays, source.drift) if isinstance(source, Delayed) else None
    if isinstance(plain, Keypoints):
        return TrialSource(cameras, keypoints=plain, delays=delays)
    return TrialSource(cameras, videos=video_files(plain), delays=delays, progress=progress)


@with_checked_arguments
def video_files(source: str | PathLike | Sequence[str | PathLike]) -> tuple[Path, ...]:
    """The video files named, or those in a folder."""
    if not isinstance(source, str | PathLike):
        return tuple(Path(item) for item in source)
    folder = Path(source)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; hand in a folder of videos, a list of videos, or Keypoints.")
    files = files_with_endings(folder, VIDEO_ENDINGS)
    if not files:
        raise InputError(f"{folder} holds no videos; expected one per camera, ending in {', '.join(VIDEO_ENDINGS)}.")
    return files
