"""Networks that learn from data sets: lifters from one view to space, and detectors of the spine. Needs PyTorch to
train.

Read `runs` first: one lifter from its options to files. `samples` makes training samples out of trials, `lifters` fits
and applies, and holds the controls that any lifter must beat; `networks` holds the networks, `descent` the training
loop. The `spine_*` modules train a detector of the spine: samples, network and losses, training, runs."""
