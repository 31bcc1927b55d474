"""Many images, on one machine or many; see docs/batch.md."""
