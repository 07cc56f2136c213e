"""Posture and movement of the spine from videos or markers, with uncertainty.

The library surface; see `__init__.pyi` for where each name lives. Names are loaded on first use, so that importing
the package (and `simspine --help`) costs nothing.
"""

import os
import sys

if sys.argv[:1] == ["-m"] and "simspine" in sys.orig_argv and not sys.flags.safe_path:
    del sys.path[0]  # `python -m simspine`: a numpy.py in the working directory is none of its modules

import lazy_loader

# Else Numba would load compiled code from wherever a .numba_config.yaml in the working directory says.
os.environ.setdefault("NUMBA_CACHE_DIR", "")
if "numba" in sys.modules:  # it has read that file, and reads its settings anew
    from numba.core.config import reload_config

    reload_config()
__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
