"""What a camera makes of light: exposure, blur, noise, the sRGB curve, compression."""

from dataclasses import dataclass

import numpy as np

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
        spread = np.sqrt(shot**2 * np.maximum(image, 0) + read**2, dtype=np.float32)
        image = image + spread * rng.standard_normal(image.shape, dtype=np.float32)
    return to_srgb(image)


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
