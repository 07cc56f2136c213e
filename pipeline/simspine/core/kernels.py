"""Compiled kernels. Loading Numba takes half a second, so it is loaded with the first call of a kernel."""

import sys
from collections.abc import Callable
from functools import wraps
from threading import Lock
from types import FunctionType
from typing import Any

# Called from Python, or by compiled code only: every wrapper that takes a tree costs seconds of compilation.
ENTRY_KERNEL_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
INNER_KERNEL_OPTIONS = ENTRY_KERNEL_OPTIONS | {"nogil": False, "no_cpython_wrapper": True}
_stand_ins: dict[Any, dict[str, Any]] = {}  # {stand-in of a kernel: Numba's options}
_replacing = Lock()


def njit(**options: Any) -> Callable[[Callable], Any]:
    """As `numba.njit`. Until one of them is called, kernels are stand-ins, which load Numba when they are called."""

    def stand_in_of(function: Callable) -> Callable:
        @wraps(function)
        def stand_in(*arguments, **named):
            load_kernels()
            return function.__globals__[function.__name__](*arguments, **named)

        _stand_ins[stand_in] = options
        return stand_in

    return stand_in_of


def load_kernels() -> None:
    """Load Numba. Its kernels take the place of stand-ins where these are defined, then where they were imported."""
    import numba

    with _replacing:
        kernels: dict[Callable, Any] = {}
        while _stand_ins:
            stand_in, options = _stand_ins.popitem()
            function = stand_in.__wrapped__
            kernels[stand_in] = function.__globals__[function.__name__] = numba.njit(**options)(function)
        for module in [sys.modules[name] for name in list(sys.modules) if kernels and name.startswith("simspine.")]:
            functions = [(name, value) for name, value in vars(module).items() if isinstance(value, FunctionType)]
            vars(module).update({name: kernels[value] for name, value in functions if value in kernels})
