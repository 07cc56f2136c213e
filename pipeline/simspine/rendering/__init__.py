"""Pictures of triangle meshes: depth and visible triangle by a z-buffer, light, the room behind."""
