"""Models pass to OpenSim and back by files: what the system has against them is said in a line."""

import errno
import os
import tempfile
from contextlib import contextmanager

import pytest

from simspine.anatomy import osim
from simspine.core.errors import InputError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="limits of a file's size are POSIX")


@contextmanager
def limited(size: int):
    """Files that grow beyond a size are refused, as by a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_model_that_cannot_be_handed_over_names_the_folder(release):
    with limited(1000), pytest.raises(OSError, match="for OpenSim in") as caught:
        osim.load_opensim_model(release.osim)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename.endswith(tempfile.gettempdir())


def test_a_model_that_opensim_cannot_write_names_the_folder(release):
    model = osim.load_opensim_model(release.osim)
    whole = osim.opensim_model_xml(model)
    said = f"{tempfile.gettempdir()}: OpenSim could not write"
    with limited(len(whole) // 2), pytest.raises(InputError, match=said):
        osim.opensim_model_xml(model)
    assert osim.opensim_model_xml(model) == whole
