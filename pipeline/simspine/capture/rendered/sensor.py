"""What a camera makes of light: exposure, blur, noise, the sRGB curve, compression."""

from dataclasses import dataclass

import numpy as np
from numba import njit

_DARK = np.float32(0.0)
_GOLDEN, _BYTES, _ADD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0001000100010001)
_GREY = 0.24  # mean linear brightness that a camera chooses its exposure for


@dataclass(frozen=True)
class Sensor:
    """exposure: factor of what the camera would choose by itself. balance: (3,) factors of red, green, blue. blur: px,
    one standard deviation. noise: of a pixel of full brightness from the light itself, and always, both as shares of
    full. quality: of the JPEG, 1…100.
    """

    exposure: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    blur: float = 0.0
    noise: tuple[float, float] = (0.0, 0.0)
    quality: int = 95


def draw_sensor(rng: np.random.Generator) -> Sensor:
    """A camera as people have them: mostly good, some dark, soft, noisy or badly compressed."""
    bad = rng.random() < 0.3
    return Sensor(
        exposure=float(np.exp(rng.normal(0.0, 0.25))),
        balance=(float(np.exp(rng.normal(0, 0.05))), 1.0, float(np.exp(rng.normal(0, 0.05)))),
        blur=float(rng.uniform(0.0, 1.6 if bad else 0.7)),
        noise=(float(rng.uniform(0.0, 0.06 if bad else 0.025)), float(rng.uniform(0.0, 0.015 if bad else 0.005))),
        quality=int(rng.integers(30, 70) if bad else rng.integers(70, 97)),
    )


def expose(colours: np.ndarray, sensor: Sensor, rng: np.random.Generator) -> np.ndarray:
    """(height, width, 3) uint8 BGR of linear colours (height, width, 3), as the sensor has them."""
    import cv2

    chosen = _GREY / max(float(colours[::4, ::4].mean()), 1e-3)
    image = colours * (sensor.exposure * chosen * np.array(sensor.balance, np.float32))
    if sensor.blur > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), sensor.blur)
    shot, read = sensor.noise
    if shot > 0 or read > 0:
        first = np.uint64(rng.integers(2**63))
        return _exposed(image, first, np.float32(shot**2), np.float32(read**2), _CURVE)
    return to_srgb(image)


@njit(cache=True, error_model="numpy", nogil=True)
def _exposed(image, first, shot, read, curve):
    """(height, width, 3) uint8 BGR of linear RGB with noise, of variance shot × brightness + read."""
    out, top, number = np.empty(image.shape, np.uint8), np.float32(len(curve) - 1), first
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            for c in range(3):
                number += _GOLDEN
                value = image[y, x, c]
                value += np.sqrt(shot * max(value, _DARK) + read) * _normal(number)
                out[y, x, 2 - c] = curve[np.uint32(min(max(value * top, _DARK), top))]
    return out


@njit(cache=True, nogil=True)
def _normal(number):
    """Noise of mean 0 and deviation 1: the sum of the eight bytes of a random word (splitmix64; Steele et al. 2014).

    Its kurtosis is 2.85, that of a normal distribution 3; no more than 4.9 deviations ever come.
    """
    h = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    h = h ^ (h >> np.uint64(31))
    pairs = (h & _BYTES) + ((h >> np.uint64(8)) & _BYTES)
    total = np.int32((pairs * _ADD) >> np.uint64(48))
    return np.float32(total - 1020) * np.float32(1 / 209.0215)


def compressed(image: np.ndarray, sensor: Sensor) -> bytes:
    """The bytes of the JPEG file that the camera writes of an image (height, width, 3) uint8 BGR."""
    import cv2

    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, sensor.quality])[1].tobytes()


def to_srgb(colours: np.ndarray) -> np.ndarray:
    """(height, width, 3) uint8 BGR of linear RGB 0…1; brighter is cut off."""
    steps = np.clip(colours[..., ::-1] * (len(_CURVE) - 1), 0, len(_CURVE) - 1).astype(np.int32)
    return _CURVE[steps]


def _curve(steps: int = 8192) -> np.ndarray:
    x = np.linspace(0, 1, steps)
    return np.round(255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)).astype(np.uint8)


_CURVE = _curve()
