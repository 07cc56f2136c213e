"""A musculoskeletal model as a tree: how it is built (`recipes`), sized (`scaling`) and posed (`kinematics`)."""
