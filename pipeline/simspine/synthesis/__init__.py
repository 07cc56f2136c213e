"""Synthetic people whose spine is known: bodies, motions, virtual cameras and detectors, rendered pictures.

Read `virtual_trial` first: who, what body, which motion, and what follows from them exactly. `population` and `bodies`
draw people; `actions` and `postures` let them move; `virtual_detector` simulates 2D detections; `capture_files` writes
all this in the layout of Human3.6M. The `rendered_*` modules, `raster` and `shading` make labelled pictures. All
randomness is seeded.
"""
