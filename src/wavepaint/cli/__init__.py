"""The command line: a file for each command, and nothing heavy imported before it is needed."""

from wavepaint.cli.root import app, main

__all__ = ["app", "main"]
