"""Measurements of simspine itself, behind `simspine bench`: speed, accuracy with known spines, real people.

Read `accuracy` first: our estimates, the published procedure and simple rules (`baselines`) on the trials of
`study_trials`, scored by `spine_errors`. `real_people` and `radiographs` compare with people who exist, `engines` and
`workflow` measure time and memory. `simspine.evaluation` holds the measures that judge any method's predictions.
"""
