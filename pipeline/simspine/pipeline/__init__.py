"""From points in images to a person's spine, in memory: the list of stages, and `reconstruct` that runs it.

Read in this order: `stages` (the list), `stage` (what a stage is), then the stages: `detecting` (recording → 2D points
of the person), `locating` (2D points → points in space → markers), `solving` (markers of all trials → the person's body
→ coordinates → spine), `judging` (which frames can be trusted). What they found in a trial is a `SolvedTrial`, which
users get as `Reconstruction`. `page`, `overlay`, `scene`, `film`, `glance` and `headline` make something of it; none of
them is loaded before it is asked for.
"""
