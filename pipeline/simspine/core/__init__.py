"""Types, errors and geometry that every other room uses.

Read `types` first: `Camera`, `Keypoints`, `Markers` and `Motion` cross the borders of all rooms. `errors` holds
`InputError`, which a user can act on; it needs no NumPy. `arrays` treats arrays, frame numbers and threads. `geometry`
projects points, also through lenses that distort. `filtering` treats gaps and noise. `skeletons` lists the points that
exist, and which marker is which point. `settings` holds packaged data files, safe YAML and the base of all options.
Units: metres, radians, seconds, pixels. NaN means missing. Nothing here knows a file format, a body or a spine.
"""
