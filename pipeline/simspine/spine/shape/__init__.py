"""Statistical shape of the spine. Method: docs/spine-shape.md."""
