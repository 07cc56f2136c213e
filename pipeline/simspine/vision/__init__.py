"""From images to points in space: detectors, tracking, triangulation, cameras, merging with motion capture.

Read `triangulation` first (with `rays`): points in the images of several cameras become points in space with a
covariance. `detector`, `blazepose` and `spinepose` find points in images; `association` decides who is who.
`camera_check`, `camera_refine`, `synchronise` and `board_calibration` are about cameras.
`skin_markers` and `tape` follow what is attached to the back. `merging` joins points and motion capture to one marker
set. Images are in pixels; the world is z up, in metres.
"""
