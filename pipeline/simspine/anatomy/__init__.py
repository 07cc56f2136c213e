"""The body and the spine: places of vertebrae, definitions of angles, and published values of people's bodies.

Read `body` first: a model as a tree of joints, and its forward kinematics (`tree`). `recipes` builds a body from a base
model (`split_torso`, `marker_sets`); `scaling` gives it a person's size. `vertebrae` and `curvature`
define level angles, lordosis and kyphosis; `clinical` and `alignment` define further parameters. `shape_model`,
`complete_spine` and `spine_from_joints` hold the statistical shape of real spines. `priors` and
`person_variation` hold published assumptions with their sources; `skin` the surface of the body, `occlusion` the
points that it hides. Frames: y up, x forward, metres, radians.
"""
