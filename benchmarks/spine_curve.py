"""The articulated body's own spine beside the mean spine of CT scans.

    python -m benchmarks.spine_curve FILE.png

Prints how far apart they are. Left: centres, the scans' mean turned and moved onto the body's, with spines drawn from
the model behind it. Right: angles of the levels, measured alike.
"""

import argparse
from pathlib import Path

import numpy as np

from simspine.capture.population import articulation
from simspine.report.style import BLUE, GREY, INK, VERMILLION
from simspine.spine.shape.chain import LEVELS, VECTORS, positions
from simspine.spine.shape.intervertebral import LEVEL_NAMES, angle_statistics, intervertebral_matrix, standing_shift
from simspine.spine.shape.model import shipped

SHOWN = slice(LEVELS.index("C2"), LEVELS.index("L5") + 1)  # what scans and body measure alike


def chains(draws: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres from the side (x forward, y up, m): the body's, the scans' mean and `draws` of the model, on the body's.

    All have the scans' mean lengths, so that only the curve differs.
    """
    model = shipped()
    pitch = np.array(articulation().neutral_pitch)
    lengths = model.mean[:VECTORS]

    def centres(angles: np.ndarray) -> np.ndarray:
        return positions(np.concatenate([lengths, angles, np.zeros(VECTORS)]))[SHOWN, :2]

    own, mean = centres(pitch), model.mean[VECTORS : 2 * VECTORS]
    covariance = model.covariance[VECTORS : 2 * VECTORS, VECTORS : 2 * VECTORS]
    some = np.random.default_rng(0).multivariate_normal(mean, covariance, draws)
    return own, fitted(centres(mean), own), np.array([fitted(centres(angles), own) for angles in some])


def fitted(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Turned and moved to where the squared distances to `onto` are least."""
    a, b = (p - p.mean(0) for p in (points, onto))
    angle = np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum())
    c, s = np.cos(angle), np.sin(angle)
    return a @ np.array([[c, s], [-s, c]]) + onto.mean(0)


def main() -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    path = parser.parse_args().file
    own, mean, some = chains()
    apart = 1e3 * np.linalg.norm(mean - own, axis=1)
    each = 1e3 * np.linalg.norm(some - own, axis=2)
    print(f"scans' mean to the body's own: mean {apart.mean():.1f} mm, at most {apart.max():.1f} mm")
    print(f"single spines of the model to the body's own: median of their means {np.median(each.mean(1)):.1f} mm")
    found, covariance = angle_statistics(shipped())
    generic = np.degrees(intervertebral_matrix() @ articulation().neutral_pitch)
    angles, sd = np.degrees(found[:, 0]), np.degrees(np.sqrt(np.diag(covariance[0])))
    stood = angles + np.array([np.degrees(standing_shift().get(level, 0.0)) for level in LEVEL_NAMES])
    for name, first, last in (("L1-L5", "L4-L5", "L1-L2"), ("T3-T12", "T11-T12", "T3-T4"), ("C2-C7", "C6-C7", "C2-C3")):
        i = slice(LEVEL_NAMES.index(first), LEVEL_NAMES.index(last) + 1)
        spread = np.degrees(np.sqrt(covariance[0][i, i].sum()))
        body, lying, up = (values[i].sum() for values in (generic, angles, stood))
        print(f"{name}: body {body:.1f}, scans {lying:.1f} ± {spread:.1f}, stood up {up:.1f}")
    print(f"the body's levels are at most {np.abs((generic - angles) / sd).max():.2f} sd off the scans' mean")

    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK}):
        figure = Figure(figsize=(8.6, 5.2))
        side, levels = figure.subplots(1, 2, width_ratios=(1, 1.7))
        for spine in some:
            side.plot(100 * spine[:, 0], 100 * spine[:, 1], color=GREY, alpha=0.25, linewidth=0.8)
        for points, colour in ((mean, VERMILLION), (own, BLUE)):
            side.plot(100 * points[:, 0], 100 * points[:, 1], "o-", color=colour, markersize=3)
        side.set(aspect=0.35, xlabel="forward, cm (stretched)", ylabel="up, cm", title="Centres C2 to L5")
        at = np.arange(len(LEVEL_NAMES))
        levels.fill_betweenx(at, angles - sd, angles + sd, color=VERMILLION, alpha=0.15, linewidth=0, label="± 1 sd")
        levels.plot(angles, at, "o-", color=VERMILLION, markersize=3, label="scans, lying")
        levels.plot(stood, at, "--", color=VERMILLION, linewidth=1, label="scans, stood up")
        levels.plot(generic, at, "o-", color=BLUE, markersize=3, label="body, neutral")
        levels.axvline(0, color=INK, linewidth=0.5)
        levels.set(
            yticks=at, yticklabels=LEVEL_NAMES, xlabel="extension of a level, °", title="Angles from the centres"
        )
        levels.legend(frameon=False, fontsize=8)
        for axes in (side, levels):
            axes.spines[["top", "right"]].set_visible(False)
        figure.tight_layout()
        figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
