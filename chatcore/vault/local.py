"""The key-encryption key of a development server: random, kept in CHATCORE_HOME, readable by its owner alone."""

import base64
import os
from pathlib import Path

from chatcore.vault.master import KEY_BYTES, decoded_key

FILE_NAME = "master.key"


def local_master_key(home: Path) -> str:
    """Base64 text of the key, made at the first call. Losing the file loses everything sealed under it."""
    path = home / FILE_NAME
    home.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        text = path.read_text("ascii").strip()
        if decoded_key(text) is None:
            raise ValueError(f"{path} does not hold a key; restore it from a backup") from None
        return text
    text = base64.b64encode(os.urandom(KEY_BYTES)).decode()
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    return text
