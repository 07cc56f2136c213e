"""One module per file format, and the recordings that files make up.

Read `trc` first: it is short and typical. `atomic` is the one place where files come into being: written to a
temporary name, flushed, renamed. `guarded` reads files of strangers in a process of its own. `hdf5` holds our own
container; `dataset_read` and `dataset_write` hold the data set. `video` and `image_streams` read images one by one;
`human36m` knows the data set's folders. Files hold degrees and millimetres; what is read here is metres and radians.
A broken file ends in an `InputError`.
"""
