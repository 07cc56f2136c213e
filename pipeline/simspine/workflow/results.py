"""A trial's results read back from its files, and the figures that sum it up."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from simspine.body.articulation import spine_levels
from simspine.body.recipes import read_recipe
from simspine.formats.forced import forced_from_json
from simspine.formats.store import load
from simspine.ik.result import Result
from simspine.quality.findings import Verdict
from simspine.quality.observability import forced_mask, level_shares
from simspine.report.sampling import model_reprojection, with_inferred
from simspine.skeletons import load as load_skeleton
from simspine.skeletons.inferred_names import base_name
from simspine.spine.levels import LEVELS, Level
from simspine.spine.vertebrae import SpineKinematics
from simspine.triangulation import TriangulationReport, exchange
from simspine.types import Camera, Keypoints, Markers, Origin
from simspine.workflow.manifest import read_json, read_manifest
from simspine.workflow.paths import Paths

LIMBS = tuple(f"{side}{point}" for side in "LR" for point in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"))
FEET = tuple(f"{side}{point}" for side in "LR" for point in ("BigToe", "SmallToe", "Heel"))
INFERRED = "inferred spine"
HEAD = ("Nose", "Head", "LEye", "REye", "LEar", "REar")


@dataclass(frozen=True)
class TrialResults:
    """One trial of one subject; each part is read when first asked for."""

    paths: Paths
    name: str

    @cached_property
    def report(self) -> TriangulationReport:
        """What triangulation used, and how well it fits."""
        return TriangulationReport(
            **{k: _plain(v) for k, v in load(self.paths.points(self.name), ["report"])["report"].items()}
        )

    @cached_property
    def cameras(self) -> list[Camera]:
        return load(self.paths.keypoints(self.name), ["cameras"])["cameras"]

    @cached_property
    def keypoints(self) -> Keypoints:
        """The detections that were triangulated, left and right put right."""
        keypoints = load(self.paths.keypoints(self.name), ["keypoints"])["keypoints"]
        return exchange(keypoints.select(self.report.names), self.report.swapped)

    @cached_property
    def shown(self) -> Keypoints:
        """`keypoints` as pictures show them: with the inferred points as the cameras would see them."""
        return with_inferred(self.keypoints, self.cameras, self.markers)

    @cached_property
    def markers(self) -> Markers:
        """What inverse kinematics fitted, y_up."""
        return load(self.paths.markers(self.name), ["markers"])["markers"]

    @cached_property
    def result(self) -> Result:
        """Of inverse kinematics."""
        stored = load(self.paths.kinematics(self.name))
        return Result(**{field.name: _plain(stored[field.name]) for field in fields(Result)})

    @cached_property
    def response(self) -> np.ndarray | None:
        """(coordinates,) share of each coordinate that the data decided; see `simspine.ik.result.Posterior`."""
        return load(self.paths.kinematics(self.name), ["response"])["response"]

    @cached_property
    def model_markers(self) -> Markers:
        """All markers of the body by forward kinematics, y_up."""
        return load(self.paths.vertebrae(self.name), ["model_markers"])["model_markers"]

    @cached_property
    def poses(self) -> dict[str, np.ndarray]:
        return load(self.paths.vertebrae(self.name), ["poses"])["poses"]

    @cached_property
    def spine(self) -> SpineKinematics:
        stored = load(self.paths.vertebrae(self.name))
        markers = stored["spine_markers"]
        parts = {
            k: _plain(stored[k])
            for k in ("levels", "angles", "lla", "tka", "lla_sd", "tka_sd", "angles_sd", "repaired")
        }
        forced = forced_from_json(stored["forced"], str(self.paths.vertebrae(self.name)))
        return SpineKinematics(rate=markers.rate, start=markers.start, markers=markers, forced=forced, **parts)

    @cached_property
    def centres(self) -> Markers:
        """Centres of the vertebrae C1…S1, y_up."""
        return load(self.paths.vertebrae(self.name), ["centres"])["centres"]

    def shares(self, table: Sequence[Level]) -> np.ndarray:
        """(levels, 3) share of each level's angle that the data decided; table: `level_table` of the body's recipe."""
        return level_shares(self.spine.levels, table, self.result.motion.names, self.response)

    @cached_property
    def verdict(self) -> Verdict:
        return Verdict.from_dict(read_json(self.paths.quality(self.name)))


def _plain(value):
    """Lists of names come back from a file as lists; the types hold tuples."""
    return tuple(value) if isinstance(value, list) else value


def level_table(recipe: str) -> tuple[Level, ...]:
    """The levels of a recipe's body, with their coordinates."""
    articulation = read_recipe(recipe).articulation
    return LEVELS if articulation is None else spine_levels(articulation)


def group_of(marker: str) -> str:
    """Group under which a fitted marker's error is reported."""
    if marker != base_name(marker):
        return INFERRED
    for group, names in (("limbs", LIMBS), ("feet", FEET), ("head", HEAD)):
        if marker in names:
            return group
    return "spine"


def figures(results: TrialResults) -> dict:
    """The trial's headline figures; lengths and angles in the units their names say."""
    summary = results.report.summary()
    spine, solved, verdict = results.spine, results.result, results.verdict
    kept = ~verdict.rejected
    given = [name for name in ("lla", "tka") if forced_mask([name], spine.forced).any()]
    groups = np.array([group_of(name) for name in solved.marker_names])
    limbs = [name for name in LIMBS if name in results.keypoints.names and name in results.model_markers.names]
    _, distance = model_reprojection(results.cameras, results.model_markers, results.keypoints, limbs)
    return {
        "frames": spine.frames,
        "views": len(results.cameras),
        "reprojection_px_median": summary["reprojection_px_median"],
        "reprojection_px_p90": summary["reprojection_px_p90"],
        "points_kept_share": summary["points_kept_share"],
        "marker_rms_mm": _rms_mm(solved.marker_error[:, groups != INFERRED]),
        "marker_rms_mm_by_group": {
            str(group): _rms_mm(solved.marker_error[:, groups == group])
            for group in sorted(dict.fromkeys(groups), key=lambda group: group == INFERRED)
        },
        "model_reprojection_px_median": _median(distance),
        "model_reprojection_px_by_camera": {
            camera.name: _median(distance[:, v]) for v, camera in enumerate(results.cameras)
        },
        "lla_deg_mean": _mean_degrees(spine.lla[kept]),
        "lla_deg_sd": None if "lla" in given else _typical_degrees(spine.lla_sd, kept),
        "tka_deg_mean": _mean_degrees(spine.tka[kept]),
        "tka_deg_sd": None if "tka" in given else _typical_degrees(spine.tka_sd, kept),
        "set_by_model": given,
        "frames_rejected": verdict.counts["rejected"],
        "frames_corrected": verdict.counts["corrected"],
        "rejected_because": verdict.reason_counts["rejected"],
        "observations_dropped_share": summary["observations_dropped_share"],
        "observations_swapped_share": summary["observations_swapped_share"],
        "inferred": list(results.markers.names_of(Origin.INFERRED)),
    }


def seconds(paths: Paths) -> dict[str, float]:
    """Computing time per stage of a subject, s, out of the manifests."""
    spent = {}
    for file in sorted((paths.folder / "manifests").glob("*.json")):
        spent[file.stem] = round(sum(task["seconds"] for task in read_manifest(file).values()), 3)
    return spent


def body_edges() -> tuple[tuple[str, str], ...]:
    """Pairs of SIMSPINE points that a picture joins by lines."""
    skeleton = load_skeleton("simspine37")
    return tuple((skeleton.names[p], n) for n, p in zip(skeleton.names, skeleton.parents, strict=True) if p >= 0)


def model_points(results: TrialResults) -> Markers:
    """The body's own markers under SIMSPINE names: the limbs fitted, and the fifteen of the spine."""
    spine, model = results.spine.markers, results.model_markers
    limbs = [name for name in model.names if name.isalpha() and name not in spine.names]
    both = model.select(limbs)
    return both.with_(names=(*both.names, *spine.names), xyz=np.concatenate([both.xyz, spine.xyz], 1))


def _rms_mm(error: np.ndarray) -> float | None:
    return float(1e3 * np.sqrt(np.nanmean(error**2))) if np.isfinite(error).any() else None


def _median(values: np.ndarray) -> float | None:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else None


def _typical_degrees(deviation: np.ndarray | None, kept: np.ndarray) -> float | None:
    """Median standard deviation over the kept frames."""
    median = None if deviation is None else _median(deviation[kept])
    return None if median is None else float(np.degrees(median))


def _mean_degrees(angle: np.ndarray) -> float | None:
    return float(np.degrees(np.nanmean(angle))) if np.isfinite(angle).any() else None
