"""Output for people: figures, overlays on images, the 3D player, the self-contained HTML page.

Read `statements` first: it turns a solved trial into the content of a page; `page` writes it. `figures` draws with
Matplotlib, `level_figures` writes charts; `canvas`, `overlay` and `body_video` draw on images. `scene` packs a trial
for the player; its scripts are in `player/`. `summary` and `tables` make text. This room turns arrays into figures and
bytes; it computes no result.
"""
