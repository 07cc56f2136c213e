"""The data set as a product: opened, described, exported, verified.

Read `recordings` first: `open_dataset` reads subjects, trials and windows of frames only when they are asked for.
`publish` turns a solved trial into a trial of the data set. `description` holds the manifest, the licence and the
origin of each point. `verify` names every broken file and, where known, each wrong frame. Every published vertebral
point is the forward kinematics of the published angles (`description.check_invariant`).
"""
