"""Nonsense handed to the library's whole chain ends in a finding or an error that names it."""

import numpy as np
import pytest
from small_project import dance, of_size

from simspine.anatomy.body import forward_kinematics
from simspine.core.errors import InputError
from simspine.reconstruction.reconstruct import fit_trials


@pytest.mark.parametrize("factor", [0.3048, 1 / 0.3048])
def test_feet_of_a_seated_person_are_refused(factor):
    """A seated person of 4 feet may be a standing one of 1.2 m in extent, but not in the lengths of segments."""
    body = of_size(1.04)
    seated = dance(body, 12)
    values = np.array(seated.values)
    for side in "rl":
        values[:, seated.names.index(f"hip_flexion_{side}")] += 1.4
        values[:, seated.names.index(f"knee_angle_{side}")] += 1.5
    markers = forward_kinematics(body, seated.with_(values=values))
    with pytest.raises(InputError, match="Are the points in metres"):
        fit_trials({"t": markers.with_(xyz=factor * markers.xyz)}, "coupled", "spinetrack37")
