"""Random numbers that follow from a seed and a name alone, neither from the order nor from the number of items."""

import hashlib

import numpy as np


def rng_for(seed: int, name: str) -> np.random.Generator:
    """Return the generator that belongs to `name` under `seed`, derived by SHA-256."""
    # File names need not be UTF-8; Python then keeps their bytes as lone surrogates.
    digest = hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))
