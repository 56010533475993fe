"""Where Envoy may connect."""

from __future__ import annotations

import json
from pathlib import Path

from stockade.egress.http import clusters


def test_every_host_by_tls_is_verified_and_shares_no_connection() -> None:
    made = {cluster["name"]: cluster for cluster in clusters.to_hosts(Path("/ca.pem"))}
    for name in (clusters.TLS, clusters.TLS_HTTP1):
        text = json.dumps(made[name])
        assert '"auto_san_validation": true' in text
        assert '"auto_sni_san_validation": true' in text
        assert "/ca.pem" in text
    assert "transport_socket" not in made[clusters.PLAIN]
    assert all(cluster["connection_pool_per_downstream_connection"] for cluster in made.values())
    assert all("header_mutation" in json.dumps(cluster) for cluster in made.values())


def test_a_socket_is_a_file() -> None:
    cluster = clusters.to_socket("x", Path("/s"), http2=True)
    assert '"pipe": {"path": "/s"}' in json.dumps(cluster)
