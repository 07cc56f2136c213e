"""From markers to the motion of the body, with standard deviations: the estimator.

Read `solve_trial` first, the stage that other rooms call, then `inverse_kinematics`, which chooses the engine.
`trajectory_engine` takes markers, smoothness, priors and joint limits (`terms`) over a whole trial as one banded
least-squares problem (`path_basis`, `banded`, `levenberg_marquardt`, `marker_kernels`). `frame_engine` solves frame by
frame, by our own engine and by OpenSim's. `fit_person`, `person_solver` and `person_system` fit one body to all trials
of a person; `noise` and `person` say how large the errors of markers are. `uncertainty` gives the deviation of each
result.
"""
