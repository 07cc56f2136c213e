"""How much memory a file may ask for: the one place with these figures. Reasons: docs/reliability.md."""

from simspine.errors import InputError

ALWAYS = 256 << 20  # bytes that a file of any size may ask for
TIMES = 200  # beyond that, at most so many times its own size; numbers of people in motion shrink by 2 to 10
ENTRIES = 200_000  # arrays and folders in an HDF5 file: two hundred trials have some ten thousand
ATTRIBUTE = 1 << 20  # bytes of an HDF5 attribute; the library writes at most 64 KiB, texts of any length aside
DEPTH = 32  # folders within folders


def check_announced(where: str, announced: int, size: int) -> None:
    """Raise `InputError` if a file of `size` bytes announces contents of more bytes than it can honestly hold."""
    allowed = max(ALWAYS, TIMES * size)
    if announced > allowed:
        raise InputError(
            f"{where}: announces {announced / 1e6:,.0f} MB of numbers in a file of {size / 1e6:,.1f} MB; at most "
            f"{allowed / 1e6:,.0f} MB can be true. The file is damaged, or was made to fill the memory."
        )
