"""Points in images, placed and corrected by people, in a page of the browser.

Read `labels` first: a decision is a line in a journal that only grows; which frames come first; how far annotators
agree. `recording` holds images and points to be judged; `server` answers the page (this computer only; the page is in
`site/`). `rounds` runs active learning, `exchange` reads and writes files of CVAT, Label Studio and COCO. `validation`
measures points against a body that fits them.
"""
