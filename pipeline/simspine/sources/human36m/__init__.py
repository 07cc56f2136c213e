"""Human3.6M: names, files, cameras and known faults of the data set (vision.imar.ro/human3.6m).

Its licence forbids shipping any of it; these are readers for a licence holder's own copy, and writers of the same
layout for captures of other origin.
"""
