"""One HDF5 file per data set: the tree of the released SIMSPINE data, and what it lacks where its readers never look.

    /metadata/markers_names, kinematic_axes              as released
    /metadata/simspine/                                  ours: units of the axes, provenance (JSON), models/<subject>
    /<subject>  attribute model_file                     as released
    /<subject>/calibration/names K dist R t size         as released
    /<subject>/<trial>/markers kinematics timestamps     as released: metres (y up), degrees and metres, seconds
    /<subject>/<trial>/simspine/                         ours: angles, curvature, status, origin, errors, poses …
        clinical  clinical_names  clinical_units         clinical parameters (docs/clinical.md), rad and m
        kinematics_sd  level_angles_sd  lla_sd  tka_sd  clinical_sd   standard deviations, in the units of the values
        marker_covariance                                (frames, markers, 3, 3) m²
        response  level_share                            share of each that the data decided, 0…1
        valid  checksums/                                usable frames; CRC-32 of each chunk of frames

A reader of the release takes every root group whose name starts with 'S' for a subject, and each group of a subject but
`calibration` for a trial; so nothing of ours may stand there. All rotations are in degrees, coupled ones too (the
release copies OpenSim's files, where the two coupled knee angles are in radians). Missing = NaN.
Equal data give equal bytes. Each data set, its shape and unit: docs/formats.md.
"""

from simspine.formats.dataset_read import DatasetFile
from simspine.formats.dataset_tree import STATUSES, Dataset, LazyTrials, SubjectData, TrialData
from simspine.formats.dataset_write import SCHEMA, write_dataset

__all__ = [
    "SCHEMA", "STATUSES", "Dataset", "DatasetFile", "LazyTrials", "SubjectData", "TrialData", "write_dataset",
]  # fmt: skip
