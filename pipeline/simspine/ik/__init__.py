"""Markers → coordinates. `solve.inverse_kinematics` is the way in; `opensim_engine` is the reference."""
