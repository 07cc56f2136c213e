"""Vertebral frames, Euler angles, curvature. Method and signs: docs/spine.md."""
