"""2D points of several views → 3D points with covariance.

Read in this order: `rays` (what a view says), `seeds` (guesses from pairs of views), `refine` (robust least squares),
`noise` (how large the pixel noise is), `continuity` (what the neighbouring frames say), `swaps` (left and right
exchanged), `solve` (all of it, once), `report` (what was used and why not). Method with equations:
docs/triangulation.md.
"""

from simspine.triangulation.report import TriangulationReport
from simspine.triangulation.solve import triangulate, triangulate_with_report
from simspine.triangulation.swaps import exchange, mirror_indices

__all__ = ["TriangulationReport", "exchange", "mirror_indices", "triangulate", "triangulate_with_report"]
