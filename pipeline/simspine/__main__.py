"""`python -m simspine`."""

from simspine.cli.main import main

main(prog_name="simspine")
