"""Training of networks that detect the spine in images. Training needs PyTorch.

Read `spine_runs` first: it trains one detector from options and writes its files. `spine_samples` crops people,
`spine_network` defines network and losses, `spine_training` trains, `descent` is the training loop."""
