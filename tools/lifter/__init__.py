"""The packaged lifter: its data, its training and its file (pipeline/simspine/vision/networks/README.md)."""
