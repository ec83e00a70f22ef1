"""MiniLM vectors of training texts, kept between runs in a cache folder of the user."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from chatcore.models.embedding import DIMENSIONS, Embedder, Vectors

CACHE = Path.home() / ".cache" / "chatcore-training"
SAVE_EVERY = 500


def embed_cached(embedder: Embedder, name: str, texts: Sequence[str]) -> Vectors:
    """As Embedder.embed; a run that was ended goes on where it was."""
    key = hashlib.sha256("\x00".join(texts).encode("utf-8", "replace")).hexdigest()[:16]
    path = CACHE / f"{name}-{key}.npy"
    CACHE.mkdir(parents=True, exist_ok=True)
    done = np.load(path) if path.exists() else np.zeros((0, DIMENSIONS), np.float32)
    for start in range(len(done), len(texts), SAVE_EVERY):
        done = np.concatenate([done, embedder.embed(texts[start : start + SAVE_EVERY])])
        np.save(path, done)
    return done
