"""Certificates for a cluster: an authority that signs one member and is forgotten, so that nobody can sign another."""

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

AUTHORITY, CERTIFICATE, KEY = "ca.crt", "tls.crt", "tls.key"
VALID: Final = timedelta(days=730)
CLOCKS_DIFFER: Final = timedelta(hours=1)


def make_certificates(folder: Path, hosts: list[str], *, now: datetime | None = None) -> None:
    """ca.crt, tls.crt and tls.key, the last readable by its owner alone; scheduler, workers and services all show them.

    Raises FileExistsError where one of them is there: a cluster that runs would lose its members.
    """
    moment = now or datetime.now(UTC)
    signing, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chatcore pipelines")])
    top = _begun(issuer, issuer, signing.public_key(), moment)
    top = top.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    member = _begun(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "member")]), issuer, key.public_key(), moment)
    member = member.add_extension(x509.SubjectAlternativeName([_named(host) for host in hosts]), critical=False)
    pem = serialization.Encoding.PEM
    folder.mkdir(parents=True, exist_ok=True)
    _write(
        folder / KEY,
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        mode=0o600,
    )
    _write(folder / CERTIFICATE, member.sign(signing, hashes.SHA256()).public_bytes(pem))
    _write(folder / AUTHORITY, top.sign(signing, hashes.SHA256()).public_bytes(pem))


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, moment: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(moment - CLOCKS_DIFFER).not_valid_after(moment + VALID)


def _named(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
