"""The packaged lifter: its data, its training and its file (docs/lifter.md)."""
