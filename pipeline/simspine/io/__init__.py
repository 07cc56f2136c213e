"""Readers and writers: one module per file format.

Read `trc` first: it is short and typical. All files are written through `atomic`: to a temporary name, flushed,
renamed. `guarded` runs third-party readers in a separate process. `hdf5` holds simspine's own container;
`dataset_read` and `dataset_write` hold the data set. `video` and `image_streams` read images one by one; `human36m`
knows the folders of Human3.6M. Files may hold degrees and millimetres; readers return radians and metres. A damaged
file ends in an `InputError`.
"""
