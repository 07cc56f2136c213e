"""The command `simspine`, also as `python -m simspine`."""

try:
    from simspine.cli.main import main
except KeyboardInterrupt:  # while libraries load
    raise SystemExit(130) from None

if __name__ == "__main__":
    main(prog_name="simspine")
