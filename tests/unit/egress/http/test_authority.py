"""The authority and its leaves, verified as clients do."""

from __future__ import annotations

import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import which

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.verification import PolicyBuilder, Store

from stockade.egress.http.authority import LEAF_LIFE, Authority
from stockade.model.errors import StockadeError


def test_a_leaf_verifies_for_its_name_alone(tmp_path: Path) -> None:
    authority = Authority.load(tmp_path)
    leaf = authority.issue("api.example.test")
    certificate, issuer = x509.load_pem_x509_certificates(leaf.certificate)
    builder = PolicyBuilder().store(Store([issuer]))
    builder.build_server_verifier(x509.DNSName("api.example.test")).verify(certificate, [])
    with pytest.raises(x509.verification.VerificationError):
        builder.build_server_verifier(x509.DNSName("other.test")).verify(certificate, [])
    assert leaf.expires - datetime.now(UTC) <= LEAF_LIFE
    assert certificate.not_valid_before_utc < datetime.now(UTC) - timedelta(minutes=30)


def test_a_leaf_for_an_address_and_for_a_long_name(tmp_path: Path) -> None:
    authority = Authority.load(tmp_path)
    long = ".".join(["a" * 60] * 4)
    for host, kind in (("192.0.2.1", x509.IPAddress), (long, x509.DNSName)):
        [certificate, _] = x509.load_pem_x509_certificates(authority.issue(host).certificate)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert isinstance(names[0], kind)


def test_the_authority_is_kept_and_its_key_is_private(tmp_path: Path) -> None:
    first = Authority.load(tmp_path / "state")
    assert Authority.load(tmp_path / "state").certificate == first.certificate
    key = tmp_path / "state" / "egress-ca.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    context = ssl.create_default_context(cadata=first.certificate.decode())
    assert context.get_ca_certs()[0]["subject"] == ((("commonName", "Stockade egress authority"),),)


def test_all_who_start_at_once_have_the_same_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: Authority.load(tmp_path).certificate, range(8)))
    assert len(set(made)) == 1


@pytest.mark.parametrize("broken", ["egress-ca.key", "egress-ca.pem"])
def test_a_broken_file_is_named_and_not_shown(tmp_path: Path, broken: str) -> None:
    Authority.load(tmp_path)
    (tmp_path / broken).write_text("s3cret")
    with pytest.raises(StockadeError) as caught:
        Authority.load(tmp_path)
    assert "s3cret" not in str(caught.value)
    assert broken in caught.value.hint


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    Authority.load(tmp_path)
    (tmp_path / "egress-ca.key").chmod(0o644)
    with pytest.raises(StockadeError):
        Authority.load(tmp_path)


def test_java_finds_the_certificate_in_its_store(tmp_path: Path) -> None:
    authority = Authority.load(tmp_path)
    store = authority.java_store()
    read = pkcs12.load_pkcs12(store, b"stockade")
    [entry] = read.additional_certs
    assert (read.key, read.cert, entry.friendly_name) == (None, None, b"stockade")
    assert entry.certificate == x509.load_pem_x509_certificate(authority.certificate)
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_pkcs12(store, b"another")


@pytest.mark.skipif(not which("keytool"), reason="needs Java's keytool")
def test_java_trusts_its_store(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(Authority.load(tmp_path).java_store())
    words = ["keytool", "-list", "-keystore", str(tmp_path / "store"), "-storepass", "stockade"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "stockade" in said
    assert "trustedCertEntry" in said


def test_a_leaf_is_silent_about_its_key(tmp_path: Path) -> None:
    assert "PRIVATE" not in repr(Authority.load(tmp_path).issue("a.test"))
