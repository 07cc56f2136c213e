"""Annotation of points in images by people, on a page in the browser.

Read `labels` first: decisions are lines of a journal to which lines are only added, and frames are ranked by need.
`recording` holds the images, and the points to be corrected; `server` answers the page (from this computer only; the
page is in `site/`). `exchange` writes COCO and OpenPose files, reads COCO files, and trains a detector between
batches. `validation` compares points with a body fitted to them.
"""
