"""Figures of the report: each function takes arrays and returns a `matplotlib.figure.Figure`, without pyplot.

`curves`: curvature and level angles over time. `residuals`: reprojection and marker errors. `bodies`: stick figures.
`presence`: what was detected, inferred, filled or missing.
"""
