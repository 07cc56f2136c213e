"""How a rendered person looks: skin, hair, clothes. All drawn from a random stream; nobody in particular."""

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from simspine.rendering.mesh import Material, Pattern
from simspine.surface.clothing import Cut

# sRGB, from light to dark; tones between two neighbours are drawn.
TONES = ((244, 214, 194), (231, 188, 158), (208, 158, 120), (172, 118, 82), (122, 78, 54), (74, 47, 36))
HAIR = ((18, 15, 14), (42, 28, 20), (78, 52, 32), (130, 96, 56), (176, 146, 100), (122, 118, 116), (96, 44, 24))
IRIS = ((58, 40, 28), (74, 96, 112), (84, 92, 62))


@dataclass(frozen=True)
class Appearance:
    """skin, hair, iris: linear RGB. garments: cuts with their materials, innermost first. bald: no hair cap."""

    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    garments: tuple[tuple[Cut, Material], ...]


def linear(srgb: tuple[float, float, float] | np.ndarray) -> tuple[float, float, float]:
    """Linear RGB 0…1 of sRGB 0…255."""
    value = np.asarray(srgb, float) / 255
    r, g, b = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(r), float(g), float(b)


def draw_appearance(rng: np.random.Generator, female: bool) -> Appearance:
    """An appearance; everybody wears a top, something on the legs, and mostly shoes."""
    place = rng.uniform(0, len(TONES) - 1.001)
    low, share = int(place), place % 1
    tone = (1 - share) * np.array(TONES[low]) + share * np.array(TONES[low + 1])
    hair = linear(np.clip(np.array(HAIR[rng.integers(len(HAIR))]) * rng.uniform(0.8, 1.2), 0, 255))
    garments = [
        (
            Cut("bottom", _legs(rng), float(rng.uniform(0.008, 0.016)), int(rng.integers(20, 45))),
            _cloth(rng, dark=True),
        ),
        (Cut("top", _sleeves(rng), float(rng.uniform(0.009, 0.017)), int(rng.integers(18, 40))), _cloth(rng)),
    ]
    if rng.random() < 0.8:
        garments.append((Cut("shoes", float(rng.uniform(-0.01, 0.05)), 0.010, 90), _shoe(rng)))
    if female or rng.random() < 0.88:
        long = rng.uniform(0.06, 0.11) if female and rng.random() < 0.6 else rng.uniform(0.02, 0.055)
        thick = rng.uniform(0.014, 0.024) if female else rng.uniform(0.005, 0.016)
        cap = Material(hair, mottle=0.35, fold=0.6, fold_size=0.012, gloss=0.12)
        garments.append((Cut("hair", float(long), float(thick), 2), cap))
    return Appearance(linear(tone), hair, linear(IRIS[rng.integers(len(IRIS))]), tuple(garments))


def recoloured(appearance: Appearance, rng: np.random.Generator) -> Appearance:
    """The same person in clothes of the same cut and other colours and patterns."""
    cloth = {"top": False, "bottom": True}
    garments = []
    for cut, material in appearance.garments:
        if cut.kind in cloth:
            material = _cloth(rng, dark=cloth[cut.kind])
        elif cut.kind == "shoes":
            material = _shoe(rng)
        garments.append((cut, material))
    return replace(appearance, garments=tuple(garments))


def skin_material(appearance: Appearance) -> Material:
    return Material(appearance.skin, mottle=0.08, gloss=0.06)


def _legs(rng: np.random.Generator) -> float:
    """Shorts, to the calf, or to the ankle."""
    return float(
        rng.choice([rng.uniform(0.35, 0.8), rng.uniform(1.4, 1.7), rng.uniform(1.9, 2.0)], p=[0.4, 0.15, 0.45])
    )


def _sleeves(rng: np.random.Generator) -> float:
    """None, short, or long."""
    return float(rng.choice([0.05, rng.uniform(0.35, 0.75), rng.uniform(1.6, 1.95)], p=[0.25, 0.45, 0.3]))


def _cloth(rng: np.random.Generator, dark: bool = False) -> Material:
    pattern = Pattern(rng.choice([int(p) for p in Pattern], p=[0.66, 0.1, 0.08, 0.08, 0.08]))
    colour = _colour(rng, 0.6 if dark else 1.0)
    return Material(
        colour, _colour(rng), pattern, size=float(rng.uniform(0.04, 0.14)), mottle=float(rng.uniform(0.02, 0.12)),
        fold=float(rng.uniform(0.15, 0.6)), fold_size=float(rng.uniform(0.03, 0.08)), gloss=float(rng.uniform(0, 0.08)),
    )  # fmt: skip


def _shoe(rng: np.random.Generator) -> Material:
    return Material(_colour(rng), mottle=0.04, gloss=0.2)


def _colour(rng: np.random.Generator, most: float = 1.0) -> tuple[float, float, float]:
    saturation = rng.choice([rng.uniform(0, 0.2), rng.uniform(0.2, 0.75)])
    srgb = colorsys.hsv_to_rgb(rng.random(), saturation, most * rng.uniform(0.08, 0.95))
    return linear(255 * np.array(srgb))


def face_tint(points: np.ndarray, at: Mapping[str, np.ndarray], appearance: Appearance) -> np.ndarray:
    """(n, 3) factors of the skin's colour: lips redder, brows as the hair. points, at: of the rest surface, m."""
    tint = np.ones((len(points), 3))
    nose, eye = at["nose"], (at["eye_r"] + at["eye_l"]) / 2
    size = (at["vertex"][1] - eye[1]) / 0.125  # of the head, against an adult's
    down, aside = (nose[1] - points[:, 1]) / size, np.abs(points[:, 2]) / size
    front = points[:, 0] > nose[0] - 0.045 * size
    lips = front & (np.hypot((down - 0.036) / 0.0085, aside / 0.023) < 1)
    tint[lips] = [0.85, 0.5, 0.5]
    above = (points[:, 1] - eye[1]) / size
    brow = front & (np.abs(above - 0.024 + 0.12 * np.abs(aside - 0.03)) < 0.0055) & (aside > 0.012) & (aside < 0.052)
    tint[brow] = np.clip(np.array(appearance.hair) / np.array(appearance.skin), 0.05, 1.0)
    return tint
