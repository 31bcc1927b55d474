"""Batch work on many machines: every input once, whatever is killed on the way; see docs/cluster.md."""
