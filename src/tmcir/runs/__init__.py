"""The base of long runs: recipes, checkpoints, the training loop, metrics, learning rate."""
