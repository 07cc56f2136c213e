"""Points in images, placed and corrected by people, in a page of the browser.

Read `labels` first: a decision is a line in a journal that only grows. `recording` holds the images and points to be
judged; `session` answers the page, `server` serves it (this computer only; the page is in `site/`). `ranking` decides
which frames come first, `rounds` runs active learning, `exchange` reads and writes files of CVAT, Label Studio and
COCO. `validation` measures points against a body that fits them.
"""
