"""three.js, the 3D library of the player, out of the installed `trimesh` package; nothing of it is kept here.

trimesh ships it inside the page of its own notebook viewer (MIT, as is trimesh). Of those tried it is the smallest that
hands out all of its classes (docs/how-to/report.md has the comparison).
"""

from functools import cache

from simspine.errors import InputError

_END = "var camera,controls,scene"  # where trimesh's own viewer begins
_HELP = "install simspine's locked requirements, or: pip install 'trimesh>=4.5,<6'"


@cache
def three() -> str:
    """The library as JavaScript that defines the global `THREE`. Raises `InputError` where the package is missing."""
    import zipfile
    from importlib.resources import files

    try:
        packed = files("trimesh").joinpath("resources/templates/viewer.zip")
        with packed.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            page = archive.read("viewer.html.template").decode("utf-8")
    except ModuleNotFoundError:
        raise InputError(f"the 3D player needs the package trimesh; {_HELP}") from None
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"the installed trimesh holds no viewer page ({error}); {_HELP}") from None
    start, end = page.find("<script>"), page.find(_END)
    script = page[start + len("<script>") : end]
    if start < 0 or end < start or "THREE" not in script or "</script" in script:
        raise InputError(f"the viewer page of the installed trimesh is laid out otherwise than known; {_HELP}")
    return script
