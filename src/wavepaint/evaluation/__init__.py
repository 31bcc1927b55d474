"""Scores, test sets and reports."""
