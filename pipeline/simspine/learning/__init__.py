"""Networks that learn to see the spine in images. Needs PyTorch to train.

Read `spine_runs` first: one detector from its options to files. `spine_samples` cuts people out of images,
`spine_network` holds network and losses, `spine_training` trains, `descent` is the training loop."""
