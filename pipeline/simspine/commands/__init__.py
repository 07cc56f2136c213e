"""Command groups: read arguments, call one function, report. One file per group; `cli.py` joins them."""
