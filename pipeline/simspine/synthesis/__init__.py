"""Synthetic people with known spines: bodies, motions, virtual cameras and detectors, rendered pictures.

Read `virtual_trial` first: it combines subject, body and motion, derives the exact truth, and writes a capture in the
layout of Human3.6M. `population` and `bodies` make people; `actions` and `postures` make motions; `virtual_detector`
simulates 2D detections. The `rendered_*` modules, `raster` and `shading` make labelled pictures. All
random numbers are seeded.
"""
