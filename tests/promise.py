"""How far results may differ between processors, BLAS kernels and batch sizes: docs/reproducibility.md, in code.

What is not listed there is promised to the bit.
"""

SAME_RAD = 1e-6  # angles and curvatures
SAME_M = 1e-6  # positions
SAME_SHARE = 1e-3  # standard deviations and costs, relative; shares that the data decided, absolute
