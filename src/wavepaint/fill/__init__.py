"""Filling holes in arrays; nothing here knows a file."""
