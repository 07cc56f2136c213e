"""The command `simspine`, also as `python -m simspine`."""

import os

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for them takes a fifth of loading Pydantic

try:
    from simspine.cli.main import main
except KeyboardInterrupt:  # while libraries load
    raise SystemExit(130) from None

if __name__ == "__main__":
    main(prog_name="simspine")
