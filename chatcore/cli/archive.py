"""The backup file: a zip that any tool can open, with a manifest that says what must be in it.

    manifest.json                 format, chatcore, created, database, collections, files
    collections/messages.bson     documents one after another, as MongoDB's own tools write them
    home/keys/...                 the files of CHATCORE_HOME, without the database's folder

Each member's size, SHA-256 and number of documents stand in the manifest. `fingerprint` is the sum of the documents'
SHA-256 modulo 2^256: equal contents give equal sums in any order, so it also compares two databases.
"""

import hashlib
import json
import os
import shutil
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

FORMAT = 1
MANIFEST = "manifest.json"
NOT_OURS = frozenset({"database", "runtime.json"})  # the engine's own folder, and what is true only while it runs
CHUNK_BYTES = 1024 * 1024
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024 + 16 * 1024  # as MongoDB counts them on the wire
MAX_MANIFEST_BYTES = 64 * 1024 * 1024
_MODULUS = 2**256


class BackupRefused(Exception):
    """The file is damaged or does not fit, or the target is not empty; the message says what to do."""


@dataclass(slots=True)
class Content:
    """What went through: of a file only bytes and sha256, of a collection all four."""

    bytes: int = 0
    sha256: str = ""
    documents: int = 0
    fingerprint: str = ""


@dataclass(slots=True)
class Manifest:
    """`collections` maps a name to its Content and its indexes (extended JSON); `files` a path to Content and mode."""

    database: str
    server: str
    chatcore: str
    created: str
    format: int = FORMAT
    collections: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)


class Counter:
    """Counts and hashes whole documents."""

    def __init__(self) -> None:
        self.documents = self.bytes = self._sum = 0
        self._sha256 = hashlib.sha256()

    def add(self, document: bytes | memoryview) -> None:
        self.documents += 1
        self.bytes += len(document)
        self._sha256.update(document)
        self._sum = (self._sum + int.from_bytes(hashlib.sha256(document).digest(), "big")) % _MODULUS

    def content(self) -> Content:
        return Content(self.bytes, self._sha256.hexdigest(), self.documents, f"{self._sum:064x}")


class ArchiveWriter:
    """Appears under its name only when it is whole and on disk; mode 0600, as it holds keys."""

    def __init__(self, file: Path):
        self._file, self._partial = file, file.with_name(f".{file.name}.partial")
        if file.exists():
            raise BackupRefused(f"{file} is there already; choose another name")
        descriptor = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._output = os.fdopen(descriptor, "w+b")
        self._zip = zipfile.ZipFile(self._output, "w", zipfile.ZIP_DEFLATED, compresslevel=1)

    @contextmanager
    def member(self, name: str) -> Iterator[BinaryIO]:
        with self._zip.open(name, "w", force_zip64=True) as output:
            yield cast(BinaryIO, output)

    def add_home(self, home: Path) -> dict[str, dict[str, Any]]:
        """Regular files only; a symbolic link could point out of the folder."""
        return {path: self._add_file(home / path, f"home/{path}") for path in sorted(home_files(home))}

    def _add_file(self, path: Path, name: str) -> dict[str, Any]:
        digest, size = hashlib.sha256(), 0
        with path.open("rb") as source, self.member(name) as output:
            while chunk := source.read(CHUNK_BYTES):
                output.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        return {"bytes": size, "sha256": digest.hexdigest(), "mode": path.stat().st_mode & 0o777}

    def finish(self, manifest: Manifest) -> None:
        self._zip.writestr(MANIFEST, json.dumps(asdict(manifest), indent=1))
        self._zip.close()
        self._output.flush()
        os.fsync(self._output.fileno())
        self._output.close()
        self._partial.replace(self._file)

    def discard(self) -> None:
        """After a failure; no-op when it was finished."""
        with suppress(OSError, ValueError):  # the directory at the end cannot be written to a full disk
            self._zip.close()
        self._output.close()
        self._partial.unlink(missing_ok=True)


class ArchiveReader:
    """Raises BackupRefused for anything that is not a whole backup of ours."""

    def __init__(self, file: Path):
        try:
            self._zip = zipfile.ZipFile(file)
            manifest = json.loads(self._zip.read(MANIFEST)) if self._size(MANIFEST) <= MAX_MANIFEST_BYTES else {}
            if manifest.get("format") != FORMAT:
                raise BackupRefused(f"{file} has format {manifest.get('format')}; this version reads {FORMAT}")
            self.manifest = Manifest(**manifest)
        except (zipfile.BadZipFile, KeyError, TypeError, ValueError, AttributeError) as error:
            raise BackupRefused(f"{file} is not a whole backup of chatcore") from error
        self._check_names(file)

    def _size(self, name: str) -> int:
        return self._zip.getinfo(name).file_size

    def _check_names(self, file: Path) -> None:
        expected = {MANIFEST, *map(collection_member, self.manifest.collections)}
        expected |= {f"home/{path}" for path in self.manifest.files}
        if sorted(self._zip.namelist()) != sorted(expected):
            raise BackupRefused(f"{file} does not hold exactly what its manifest says")
        for path in self.manifest.files:
            parts = PurePosixPath(path).parts
            if not parts or path.startswith("/") or ".." in parts or "\\" in path or parts[0] in NOT_OURS:
                raise BackupRefused(f"{file} names a file that is not a backup's to write: {path}")

    def close(self) -> None:
        self._zip.close()

    def documents(self, collection: str) -> Iterator[bytes]:
        """Raises BackupRefused when the end is torn."""
        with self._reading(collection_member(collection)) as source:
            while header := source.read(4):
                size = struct.unpack("<i", header)[0] if len(header) == 4 else 0
                body = source.read(size - 4) if 5 <= size <= MAX_DOCUMENT_BYTES else b""
                if size < 5 or len(body) != size - 4:
                    raise BackupRefused(f"collection {collection} is torn in this backup")
                yield header + body

    def verify(self) -> None:
        """Reads everything once. Raises BackupRefused for a wrong hash, count or size."""
        for name, told in self.manifest.collections.items():
            counter = Counter()
            for document in self.documents(name):
                counter.add(document)
            require_same(name, told, counter.content())
        for path, told in self.manifest.files.items():
            digest, size = hashlib.sha256(), 0
            with self._reading(f"home/{path}") as source:
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
            if (size, digest.hexdigest()) != (told["bytes"], told["sha256"]):
                raise BackupRefused(f"file {path} is damaged in this backup")

    def restore_files(self, home: Path) -> None:
        for path, told in self.manifest.files.items():
            target = home / path
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = target.with_name(f".{target.name}.partial")
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with self._reading(f"home/{path}") as source, os.fdopen(descriptor, "wb") as output:
                shutil.copyfileobj(source, output, CHUNK_BYTES)
                output.flush()
                os.fsync(output.fileno())
            partial.chmod(told["mode"] & 0o777)
            partial.replace(target)

    @contextmanager
    def _reading(self, member: str) -> Iterator[BinaryIO]:
        try:
            with self._zip.open(member) as source:
                yield cast(BinaryIO, source)
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise BackupRefused(f"{member} is damaged in this backup") from error


def home_files(home: Path) -> list[str]:
    if not home.is_dir():
        return []
    found = (path for path in home.rglob("*") if path.is_file() and not path.is_symlink())
    return [name for path in found if (name := path.relative_to(home).as_posix()).split("/")[0] not in NOT_OURS]


def collection_member(collection: str) -> str:
    return f"collections/{collection}.bson"


def split_documents(batch: bytes) -> Iterator[memoryview]:
    """The documents of one raw batch of the driver."""
    view, at = memoryview(batch), 0
    while at < len(view):
        (size,) = struct.unpack_from("<i", view, at)
        yield view[at : at + size]
        at += size


def require_same(collection: str, told: dict[str, Any], found: Content) -> None:
    differing = [key for key, value in asdict(found).items() if told[key] != value and (value or told[key])]
    if differing:
        what = ", ".join(f"{key} {told[key]} became {getattr(found, key)}" for key in differing)
        raise BackupRefused(f"collection {collection} is not what the manifest says: {what}")
