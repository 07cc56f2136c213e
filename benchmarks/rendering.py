"""Labelled pictures a second on one core: `python benchmarks/rendering.py [pictures]`.

Time of the process on its core, people and motions being ready; kernels are compiled first. 192 × 256 px with four
samples a pixel (two a side) and with one.
"""

import argparse
import time

from simspine.capture.rendered.crops import Style, draw_sample
from simspine.capture.rendered.motions import virtual_performer
from simspine.capture.rendered.sensor import compressed


def rate(who, style: Style, pictures: int) -> float:
    """Pictures a second, JPEG files included: the best of five runs."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        for number in range(pictures):
            sample = draw_sample(who, style, 1, number)
            compressed(sample.image, sample.sensor)
        best = min(best, time.process_time() - start)
    return pictures / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="?", type=int, default=100)
    pictures = parser.parse_args().pictures
    who = virtual_performer(1, 0)
    for samples in (2, 1):
        style = Style(samples=samples)
        draw_sample(who, style, 1, 0)
        print(f"{samples * samples} samples a pixel: {rate(who, style, pictures):.0f} pictures a second")


if __name__ == "__main__":
    main()
