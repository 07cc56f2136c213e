"""`python -m simspine`."""

from simspine.cli import main

main(prog_name="simspine")
