"""The configuration of the one Envoy: what it listens to, whom it asks, where it may connect.

Written as Envoy's v3 API has it (envoyproxy.io, api-v3), in JSON. Nothing in it is secret: keys
come by ``certificates``, and only once they are needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stockade.egress.http import clusters
from stockade.egress.http.api import extension, seconds
from stockade.egress.http.connections import HOST_KEY, manager
from stockade.egress.http.proxyprotocol import AUTHORITY

if TYPE_CHECKING:
    from pathlib import Path

    from stockade.egress.http.api import Json

_TLS = "envoy.extensions.transport_sockets.tls"
_HANDSHAKE = 15.0  # seconds for the TLS handshake, the certificate included
_BUFFER = 64 * 1024  # bytes held for one connection in each direction


@dataclass(frozen=True)
class Bounds:
    """What all sessions together may take; the door bounds each of them.

    Sizes in bytes, times in seconds. ``idle`` is how long a stream may be silent, WebSockets and
    server-sent events included.
    """

    connections: int = 4096
    heap: int = 1024 * 1024 * 1024
    request_body: int = 1024 * 1024 * 1024
    headers_time: float = 15.0
    idle: float = 3600.0
    patience: float = 30.0  # for an answer to whether a request is allowed


@dataclass(frozen=True)
class Sockets:
    """The Unix sockets by which Envoy is reached and reaches the rest of Stockade."""

    doors: Path
    authorizer: Path
    certificates: Path
    courier: Path | None


def bootstrap(sockets: Sockets, upstream_ca: Path, bounds: Bounds) -> Json:
    """The whole configuration; ``upstream_ca`` is the file of authorities that hosts' are of."""
    return {
        "node": {"id": "stockade", "cluster": "stockade"},
        "static_resources": {
            "listeners": [_listener(sockets.doors, bounds, courier=sockets.courier is not None)],
            "clusters": [
                *clusters.to_hosts(upstream_ca),
                clusters.to_socket("authorizer", sockets.authorizer),
                clusters.to_socket("certificates", sockets.certificates, http2=True),
                *([clusters.to_socket("courier", sockets.courier)] if sockets.courier else []),
            ],
        },
        "overload_manager": _overload(bounds),
        # None is read; each one made would cost memory.
        "stats_config": {"stats_matcher": {"reject_all": True}},
        "layered_runtime": {
            "layers": [
                {
                    "name": "static",
                    "static_layer": {"envoy.reloadable_features.strict_chunk_parsing": True},
                }
            ]
        },
    }


def _listener(doors: Path, bounds: Bounds, *, courier: bool) -> Json:
    return {
        "name": "doors",
        "address": {"pipe": {"path": str(doors), "mode": 0o600}},
        "per_connection_buffer_limit_bytes": _BUFFER,
        "listener_filters_timeout": seconds(bounds.headers_time),
        "listener_filters": [
            extension(
                "envoy.filters.listener.proxy_protocol",
                "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
                disallowed_versions=["V1"],
                tlv_location="FILTER_STATE",
                rules=[
                    {
                        "tlv_type": AUTHORITY,
                        "on_tlv_present": {"key": HOST_KEY},
                    }
                ],
            ),
            extension(
                "envoy.filters.listener.tls_inspector",
                "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
            ),
        ],
        "filter_chains": [
            {
                "name": scheme,
                "filter_chain_match": {"transport_protocol": transport},
                "filters": [manager(scheme, bounds, courier=courier)],
                "transport_socket_connect_timeout": seconds(_HANDSHAKE),
                **({"transport_socket": _tls()} if scheme == "https" else {}),
            }
            for scheme, transport in (("https", "tls"), ("http", "raw_buffer"))
        ],
    }


def _tls() -> Json:
    """TLS towards guests, with a certificate that is asked for by the name they give."""
    selector = extension(
        "envoy.tls.certificate_selectors.on_demand_secret",
        f"{_TLS}.cert_selectors.on_demand_secret.v3.Config",
        config_source={
            "resource_api_version": "V3",
            "initial_fetch_timeout": seconds(_HANDSHAKE),
            "api_config_source": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "certificates"}}],
            },
        },
        # The default is for who gives no name, and no certificate has it.
        certificate_mapper=extension(
            "envoy.tls.certificate_mappers.sni",
            f"{_TLS}.cert_mappers.sni.v3.SNI",
            default_value="*",
        ),
    )
    return extension(
        "envoy.transport_sockets.tls",
        f"{_TLS}.v3.DownstreamTlsContext",
        common_tls_context={
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "custom_tls_certificate_selector": selector,
        },
        # A session resumed would be one whose name is not looked up.
        disable_stateless_session_resumption=True,
        disable_stateful_session_resumption=True,
    )


def _overload(bounds: Bounds) -> Json:
    """Refuse connections beyond the bound; near the bound of memory, stop what takes more."""
    heap = "envoy.resource_monitors.fixed_heap"
    return {
        "refresh_interval": seconds(0.25),
        "resource_monitors": [
            extension(
                heap,
                "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                max_heap_size_bytes=bounds.heap,
            ),
            extension(
                "envoy.resource_monitors.global_downstream_max_connections",
                "envoy.extensions.resource_monitors.downstream_connections.v3"
                ".DownstreamConnectionsConfig",
                max_active_downstream_connections=bounds.connections,
            ),
        ],
        "actions": [
            {
                "name": f"envoy.overload_actions.{action}",
                "triggers": [{"name": heap, "threshold": {"value": share}}],
            }
            for action, share in (
                ("shrink_heap", 0.8),
                ("disable_http_keepalive", 0.9),
                ("stop_accepting_requests", 0.95),
                ("stop_accepting_connections", 0.98),
            )
        ],
    }
