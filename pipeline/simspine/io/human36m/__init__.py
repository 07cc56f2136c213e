"""Human3.6M: names, files, cameras and known faults of the data set (vision.imar.ro/human3.6m).

Read `names` first, then `layouts`, which opens a copy in whichever layout it has. `copy` says what every layout
offers; `archives` reads the official archives; `cameras` reads the calibration; `check` judges whether a copy is whole.
"""
