"""Three sets of kernels that stand for processors: the code that OpenBLAS, NumPy and Numba choose on each of them.

They choose when they are imported, by environment variables, so each set needs a process of its own. As a command,
`python tests/kernels.py NAME WORD…` runs `python WORD…` with a set, or says why it cannot.
"""

import os
import subprocess
import sys
from pathlib import Path

# OpenBLAS' name of the kernels, and the beginnings of the names of NumPy's loops that such a processor has not.
SETS = {
    "Haswell": ("X86_V4", "AVX512"),  # AVX2; AMD's Zen runs these too
    "SkylakeX": (),  # AVX-512
    "Sandybridge": ("X86_V3", "X86_V4", "AVX2", "FMA3", "AVX512"),  # AVX, no fused multiply-add
}
GENERIC = "Sandybridge"  # with it Numba compiles for any x86-64


def variables(name: str) -> dict[str, str] | None:
    """Environment variables of a set, whichever is in force; None where this processor cannot run it.

    OpenBLAS 0.3.34, of NumPy 2.5, crashes with Haswell's kernels where there is AVX-512 (OpenMathLib/OpenBLAS#6013).
    """
    from llvmlite.binding import get_host_cpu_features
    from numpy._core._multiarray_umath import __cpu_dispatch__ as loops  # NumPy lists them nowhere else
    from threadpoolctl import threadpool_info

    able = get_host_cpu_features()
    if not able.get("avx512bw" if name == "SkylakeX" else "avx2", False):
        return None
    versions = {library["version"] for library in threadpool_info() if library["internal_api"] == "openblas"}
    if name == "Haswell" and able.get("avx512bw", False) and any(text.startswith("0.3.34") for text in versions):
        return None
    unlike = [loop for loop in loops if loop.startswith(SETS[name] or "-")]
    chosen = {"OPENBLAS_CORETYPE": name, "NPY_DISABLE_CPU_FEATURES": " ".join(unlike)}
    if name == GENERIC:
        cache = Path(__file__).parent / "__pycache__" / "numba-generic"  # caches of two targets in one folder mix
        chosen |= {"NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": str(cache)}
    return chosen


def command(name: str, words: list[str]) -> int:
    """Exit code of `python WORD…` with a set; 0 where this processor cannot run it."""
    chosen = variables(name)
    if chosen is None:
        print(f"kernels {name}: skipped, they do not run on this processor", flush=True)
        return 0
    print(f"kernels {name}:", *(f"{key}={value!r}" for key, value in chosen.items()), flush=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_C")}  # another set's
    return subprocess.run([sys.executable, *words], env=kept | chosen, check=False).returncode


if __name__ == "__main__":
    name, *words = sys.argv[1:]
    sys.exit(command(name, words))
