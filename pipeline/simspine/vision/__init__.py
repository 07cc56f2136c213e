"""From images to points in space: detectors, tracking, triangulation, cameras, merging with motion capture.

Read `triangulation` first (with `rays`): points in the images of several cameras become points in space with a
covariance. `detector`, `blazepose` and `spinepose` find points in images; `association` identifies people across views
and frames. `camera_check`, `camera_refine`, `synchronise` and `board_calibration` check and calibrate cameras.
`skin_markers` and `tape` follow markers attached to the back. `merge_mocap` joins points and motion capture to one
marker set. Images are in pixels; the world is z up, in metres.
"""
