"""From markers to the motion of the body, with standard deviations: the estimator.

Read `inverse_kinematics` first, then `trajectory_engine`: markers, smoothness, priors and joint limits (`terms`) over a
whole trial, one banded least-squares problem (`banded`, `minimise`, `marker_kernels`). `frame_engine` minimises what
OpenSim's tool minimises, frame by frame. `fit_person`, `person_fit` and `person_system` fit one body to all trials of a
person; `noise` and `person` say how far markers may be off. `uncertainty` and `correlated_errors` give the standard
deviation of each published figure. `kinematics` is the stage that users of this room call.
"""
