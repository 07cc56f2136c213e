"""Human3.6M: names, files, cameras and known faults of the data set (vision.imar.ro/human3.6m).

Read `names` first, then `copy`, which reads the calibration, finds the files of a copy, reads its motion capture, and
reports whether it is complete.
"""
