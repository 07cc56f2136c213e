"""Posture and movement of the spine from videos or markers, with uncertainty.

The library surface; see `__init__.pyi` for where each name lives. Names are loaded on first use, so that importing
the package (and `simspine --help`) costs nothing.
"""

import os
import sys

import lazy_loader

# Else Numba would load compiled code from wherever a .numba_config.yaml in the working directory says.
os.environ.setdefault("NUMBA_CACHE_DIR", "")
if "numba" in sys.modules:  # it has read that file, and reads its settings anew
    from numba.core.config import reload_config

    reload_config()
__version__ = "0.2.0"
_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str):
    found = _load(name)
    if name in __all__ and callable(found) and not isinstance(found, type):
        from simspine.core.arrays import kinds_checked

        found = globals()[name] = kinds_checked(found)
        found.__module__ = __name__  # pickle looks for it here
    return found
