"""The fast path: ready-made networks behind one small protocol."""
