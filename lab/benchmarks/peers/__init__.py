"""Generators of other inpainting networks, of the published size, with random weights: for speed and memory only."""
