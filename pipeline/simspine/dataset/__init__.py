"""The data set as a product: opened, described, exported, verified.

Read `recordings` first: `open_dataset` reads subjects, trials and windows of frames only when they are asked for.
The same module holds the manifest and the licence. `verify` names every broken file, trial and array.
Every published vertebral point is the forward kinematics of the published angles; `verify` checks that too.
"""
