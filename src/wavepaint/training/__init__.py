"""Training: losses, recipes and the engine."""
