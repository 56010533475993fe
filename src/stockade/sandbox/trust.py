"""Whom the programs in a machine are to trust, beside whom its image does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stockade.sandbox.calls import call

if TYPE_CHECKING:
    from stockade.sandbox.channel import Channel

_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_STORE = "/etc/ssl/certs/stockade.p12"

ENVIRONMENT = {
    # For programs that bring a bundle of their own, or read none of the system's.
    "SSL_CERT_FILE": _BUNDLE,
    "CURL_CA_BUNDLE": _BUNDLE,
    "REQUESTS_CA_BUNDLE": _BUNDLE,
    "PIP_CERT": _BUNDLE,
    "GIT_SSL_CAINFO": _BUNDLE,
    "NODE_EXTRA_CA_CERTS": _BUNDLE,
    "CARGO_HTTP_CAINFO": _BUNDLE,
    "AWS_CA_BUNDLE": _BUNDLE,
    "DENO_CERT": _BUNDLE,
    "JAVA_TOOL_OPTIONS": f"-Djavax.net.ssl.trustStore={_STORE}"
    " -Djavax.net.ssl.trustStorePassword=stockade -Djavax.net.ssl.trustStoreType=PKCS12",
}
"""Variables of the workload's environment where there is a ``Trust``."""


@dataclass(frozen=True)
class Trust:
    """A certificate in PEM, and a PKCS#12 store of it whose password is "stockade"."""

    authority: str
    java_store: bytes


async def establish(channel: Channel, trust: Trust) -> None:
    """Have the agent make it so."""
    await call(channel, op="trust", authority=trust.authority, java=trust.java_store.hex())
