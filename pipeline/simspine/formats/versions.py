"""Which layout a file has: a number in it. Files of newer layouts are refused, older ones are converted as read."""

from typing import Any

from simspine.errors import InputError


def check_version(found: Any, newest: int, where: object) -> int:
    """The layout's number as an int, 1…newest.

    where: the file, as the user knows it. Raises `InputError` for a newer layout, and for what is no such number.
    """
    scalar = found.item() if getattr(found, "shape", None) == () else found
    if type(scalar) is not int or scalar < 1:
        raise InputError(f"{where}: its schema is {found!r}, which is no version of the file. The file is damaged.")
    if scalar > newest:
        raise InputError(f"{where}: schema {scalar}, this version reads up to {newest}. Update simspine.")
    return scalar
