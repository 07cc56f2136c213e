"""Findings, their named thresholds, and the verdict on each frame. docs/spine.md lists what rejects and what only
warns.
"""
