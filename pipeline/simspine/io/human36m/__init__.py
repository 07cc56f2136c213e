"""Human3.6M: names, files, cameras and known faults of the data set (vision.imar.ro/human3.6m).

Read `names` first, then `copy`, which finds the files of a copy and reads its motion capture. `cameras` reads the
calibration; `check` reports whether a copy is complete.
"""
