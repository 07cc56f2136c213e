"""What people look at: figures, overlays on images, the 3D player, the self-contained HTML page.

Read `statements` first: it turns a solved trial into the content of a page, `page` writes it. `figure_style`,
`spine_figures`, `level_figures` and `dataset_figures` draw with Matplotlib; `canvas`, `overlay`, `people_pictures` and
`body_video` draw on images. `scene` is what the player shows; its scripts are in `player/`. `summary` and `tables` are
text. Arrays in, figures and bytes out: nothing here computes a result.
"""
