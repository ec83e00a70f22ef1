"""Write a file's line into chatcore/models/data/manifest.json."""

import json
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from chatcore.models.files import DATA, MANIFEST, MINILM_FILE, minilm_path, read_manifest, sha256_of

LIBRARIES = ("numpy", "scikit-learn", "scipy", "onnxruntime", "tokenizers")


def record(name: str, *, source: str, licence: str, data: dict[str, str] | None = None) -> None:
    """`data` are the hashes of what it was made from; with it, the date and the libraries' versions are kept too."""
    path = minilm_path() if name == MINILM_FILE else DATA / name
    entry: dict[str, Any] = {"sha256": sha256_of(path), "bytes": path.stat().st_size, "from": source}
    entry["licence"] = licence
    if data is not None:
        versions = {library: metadata.version(library) for library in LIBRARIES}
        entry |= {"made": datetime.now(UTC).date().isoformat(), "with": versions, "data": data}
    manifest = read_manifest()
    manifest["files"][name] = entry
    manifest["files"] = dict(sorted(manifest["files"].items()))
    MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
