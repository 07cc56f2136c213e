"""Types, errors and geometry that every other room uses.

Read `types` first: `Camera`, `Keypoints`, `Markers` and `Motion` cross the borders of all rooms. `errors` holds
`InputError`, which a user can act on. `geometry` and `lenses` project points. `filtering` treats gaps and noise.
`skeletons` lists the points that exist; `correspondence` says which marker is which point. `data_files` finds the
recipes, models and recordings that come with simspine. Units: metres, radians, seconds, pixels. NaN means missing.
Nothing here knows a file format, a body or a spine.
"""
