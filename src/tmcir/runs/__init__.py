"""The ground of everything that runs long: recipes, checkpoints, curves, learning rate."""
