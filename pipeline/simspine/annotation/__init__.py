"""Points in images, placed and corrected by people, in a page of the browser.

Read `labels` first: a decision is a line in a journal that only grows; which frames come first; how far annotators
agree. `recording` holds images and points to be judged; `server` answers the page (this computer only; the page is in
`site/`). `rounds` trains a detector between batches. `exchange` writes COCO and OpenPose files, and takes COCO files
in. `validation` measures points against a body that fits them.
"""
