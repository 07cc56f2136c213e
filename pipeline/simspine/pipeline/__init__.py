"""From points in images to a person's spine, in memory: one pure function per stage, and `reconstruct` that runs all.

Read in this order: `options` (how each stage works), `points` (detections → person → points in space → markers),
`weights` (what a marker is worth), `sized_body` (markers of all trials → the person's body), `kinematics` (body and
markers → coordinates → spine), `verdict` (which frames can be trusted), `solved_trial` (all of that for one trial).
Then what is made of it: `headline` figures, `scene` in 3D, `overlay` on the videos, `page` of a report, `publish` as
a data set; `reconstruction` and `reconstruct`, the whole way in one call.
"""
