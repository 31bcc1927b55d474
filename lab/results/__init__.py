"""Measured results as JSON files, and the pages that quote them."""
