"""Compiled kernels. Loading Numba takes half a second, so it is loaded with the first call of a kernel."""

import sys
from collections.abc import Callable
from functools import wraps
from threading import RLock
from types import FunctionType, ModuleType
from typing import Any

# Called from Python, or by compiled code only: every wrapper that takes a tree costs seconds of compilation.
ENTRY_KERNEL_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
INNER_KERNEL_OPTIONS: dict[str, Any] = {
    "cache": True,
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
_stand_ins: dict[Any, dict[str, Any]] = {}  # {stand-in of a kernel: Numba's options}
_replacing = RLock()


def njit(**options: Any) -> Callable[[Callable], Any]:
    """`numba.njit`. Until Numba is loaded, a kernel is a stand-in, which loads Numba when it is called."""
    if "numba" in sys.modules:
        return _load_numba().njit(**options)

    def stand_in_of(function: Callable) -> Callable:
        @wraps(function)
        def stand_in(*arguments):
            if stand_in in _stand_ins:
                _load_numba()
            return function.__globals__[function.__name__](*arguments)

        _stand_ins[stand_in] = options
        return stand_in

    return stand_in_of


def _load_numba() -> ModuleType:
    """Numba. Its kernels take the place of the stand-ins where these are defined, then where they were imported."""
    import numba

    with _replacing:
        kernels = {one: numba.njit(**options)(one.__wrapped__) for one, options in _stand_ins.items()}
        for kernel in kernels.values():
            kernel.py_func.__globals__[kernel.__name__] = kernel
        for module in [sys.modules[name] for name in list(sys.modules) if kernels and name.startswith("simspine.")]:
            functions = [(name, value) for name, value in vars(module).items() if isinstance(value, FunctionType)]
            vars(module).update({name: kernels[value] for name, value in functions if value in kernels})
        _stand_ins.clear()
    return numba
