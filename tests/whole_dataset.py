"""A data set's file as a whole."""

from simspine.io.dataset_read import DatasetFile
from simspine.io.dataset_write import Dataset, SubjectData


def load(file: DatasetFile) -> Dataset:
    subjects = {}
    for name in file.subjects:
        trials = {trial: file.trial(name, trial) for trial in file.trials(name)}
        subjects[name] = SubjectData(file.cameras(name), trials, file.model(name), file.model_file(name))
    return Dataset(subjects, file.provenance)
