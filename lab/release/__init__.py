"""Scripts that make what is released: examples, gallery, the packaged network."""
