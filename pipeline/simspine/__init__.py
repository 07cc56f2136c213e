"""Posture and movement of the spine from videos or markers, with uncertainty.

The library surface; see `__init__.pyi` for where each name lives. Names are loaded on first use, so that importing
the package (and `simspine --help`) costs nothing.
"""

import os
import sys
from types import FunctionType

import lazy_loader

# Else Numba would load compiled code from wherever a .numba_config.yaml in the working directory says.
os.environ.setdefault("NUMBA_CACHE_DIR", "")
if "numba" in sys.modules:  # it has read that file, and reads its settings anew
    from numba.core.config import reload_config

    reload_config()
__version__ = "0.2.0"
_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str):
    """The public name, loaded. A function of the package checks the types of its arguments."""
    loaded = _load(name)
    if isinstance(loaded, FunctionType):
        from simspine.core.arrays import with_checked_arguments

        loaded = globals()[name] = with_checked_arguments(loaded)
        loaded.__module__ = __name__  # pickle looks for it here
    return loaded
