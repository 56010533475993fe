"""The certificate authority that guests trust, and the leaves it signs for granted names.

One per installation: its key stays in a file that only this user can read, and is never shown to
Envoy. Leaves live a day and only in memory.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stockade.model.errors import StockadeError

if TYPE_CHECKING:
    from pathlib import Path

LEAF_LIFE = timedelta(days=1)

_CA_LIFE = timedelta(days=3650)
_CLOCKS = timedelta(hours=1)  # by how much a guest's clock may be behind
_COMMON_NAME = 64  # RFC 5280, ub-common-name
_CERTIFICATE, _KEY = "egress-ca.pem", "egress-ca.key"


@dataclass(frozen=True)
class Leaf:
    """A host's certificate and its key, both PEM; the key is never part of its repr."""

    certificate: bytes
    key: bytes
    expires: datetime

    def __repr__(self) -> str:
        return f"Leaf(expires={self.expires.isoformat()})"


class Authority:
    """Signs leaves. ``certificate`` is the authority's own, PEM, for guests to trust."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate, self._key = certificate, key
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the authority kept in ``folder``, or make it there; safe for many at once."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(folder / ".egress-ca.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not (folder / _CERTIFICATE).exists():
                    _make(folder)
                return cls(*_read(folder))
            finally:
                os.close(lock)
        except (OSError, ValueError) as error:
            # An error of the parser may quote what it has read, so only its kind is told.
            what = error.strerror if isinstance(error, OSError) else type(error).__name__
            raise StockadeError(
                f"the egress certificate authority in {folder} cannot be used: {what}",
                hint=f"Remove {_CERTIFICATE} and {_KEY} there to have it made again.",
            ) from None

    def java_store(self) -> bytes:
        """The certificate as a PKCS#12 trust store, whose password is "stockade"."""
        entry = pkcs12.PKCS12Certificate(self._certificate, b"stockade")
        encryption = serialization.BestAvailableEncryption(b"stockade")
        return pkcs12.serialize_java_truststore([entry], encryption)

    def issue(self, host: str) -> Leaf:
        """Make a certificate for a host's name or IP address; ValueError if it is neither."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        expires = now + LEAF_LIFE
        subject = (
            [x509.NameAttribute(NameOID.COMMON_NAME, host)] if len(host) <= _COMMON_NAME else []
        )
        certificate = (
            _builder(x509.Name(subject), key, now, expires)
            .issuer_name(self._certificate.subject)
            # RFC 5280, 4.2.1.6: critical where the subject is empty.
            .add_extension(x509.SubjectAlternativeName([_general_name(host)]), not subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False
            )
            .sign(self._key, hashes.SHA256())
        )
        return Leaf(
            certificate.public_bytes(serialization.Encoding.PEM) + self.certificate,
            _pem(key),
            expires,
        )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _make(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Stockade egress authority")])
    certificate = (
        _builder(name, key, now, now + _CA_LIFE)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    # The certificate is last: that it is there means that the key is, whole.
    _write(folder / _KEY, _pem(key))
    _write(folder / _CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM))


def _read(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate = x509.load_pem_x509_certificate((folder / _CERTIFICATE).read_bytes())
    if (folder / _KEY).stat().st_mode & 0o077:
        raise PermissionError(0, "others can read its key")
    key = serialization.load_pem_private_key((folder / _KEY).read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError
    if certificate.public_key() != key.public_key():
        raise ValueError
    return certificate, key


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, expires: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS)
        .not_valid_after(expires)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(**granted: bool) -> x509.KeyUsage:
    # fmt: off
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    # fmt: on
    return x509.KeyUsage(**{name: granted.get(name, False) for name in names})


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
    draft.rename(path)
