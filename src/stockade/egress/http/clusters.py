"""Where Envoy may connect: the addresses that the authorizer names, and sockets of Stockade's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.egress.http import envelope
from stockade.egress.http.api import extension, seconds

if TYPE_CHECKING:
    from pathlib import Path

    from stockade.egress.http.api import Json

TLS, TLS_HTTP1, PLAIN = "tls", "tls-http1", "plain"

_CONNECT = 10.0  # seconds
_BUFFER = 64 * 1024  # bytes
_MOST = 8192  # connections, and requests, of all sessions to one cluster
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_RESPONSE_HEADERS = {"max_headers_count": 200, "max_response_headers_kb": 64}
_HTTP2 = {
    "max_concurrent_streams": 100,
    "initial_stream_window_size": 256 * 1024,
    "initial_connection_window_size": 1024 * 1024,
}


def to_hosts(upstream_ca: Path) -> list[Json]:
    """One cluster for each way to speak to a host: TLS by ALPN, TLS for WebSockets, and plain."""
    by_alpn = {"auto_config": {"http_protocol_options": {}, "http2_protocol_options": _HTTP2}}
    # A WebSocket is opened by HTTP/1.1; few hosts know how to by HTTP/2 (RFC 8441).
    http1: Json = {"explicit_http_config": {"http_protocol_options": {}}}
    return [
        _to_host(TLS, by_alpn, upstream_ca),
        _to_host(TLS_HTTP1, http1, upstream_ca),
        _to_host(PLAIN, http1, None),
    ]


def _to_host(name: str, protocols: Json, upstream_ca: Path | None) -> Json:
    options: Json = {
        **protocols,
        "common_http_protocol_options": {**_RESPONSE_HEADERS, "idle_timeout": seconds(60)},
        "http_filters": [
            # What is between Envoy and Stockade does not leave the host.
            extension(
                "envoy.filters.http.header_mutation",
                "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
                mutations={"request_mutations": remove_internal()},
            ),
            extension(
                "envoy.filters.http.upstream_codec",
                "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
            ),
        ],
    }
    tls: Json = {}
    if upstream_ca is not None:
        options["upstream_http_protocol_options"] = {
            "auto_sni": True,
            "auto_san_validation": True,
            "override_auto_sni_header": envelope.HOST,
        }
        tls["transport_socket"] = _tls(upstream_ca)
    return _cluster(name, options) | {
        **tls,
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "original_dst_lb_config": {"use_http_header": True, "http_header_name": envelope.ADDRESS},
        # What one guest has sent on a connection must not meet what another one sends, nor a
        # connection made for one name be used for another: no connection is ever shared.
        "connection_pool_per_downstream_connection": True,
    }


def _tls(upstream_ca: Path) -> Json:
    return extension(
        "envoy.transport_sockets.tls",
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        common_tls_context={
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "validation_context": {"trusted_ca": {"filename": str(upstream_ca)}},
        },
        auto_sni_san_validation=True,
        max_session_keys=0,  # one host's session must not be offered to another
    )


def to_socket(name: str, path: Path, *, http2: bool = False) -> Json:
    """A cluster that is one service of Stockade's, at a Unix socket."""
    protocol = {"http2_protocol_options": _HTTP2} if http2 else {"http_protocol_options": {}}
    options: Json = {
        "explicit_http_config": protocol,
        "common_http_protocol_options": _RESPONSE_HEADERS,
    }
    address = {"endpoint": {"address": {"pipe": {"path": str(path)}}}}
    return _cluster(name, options) | {
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [address]}]},
    }


def _cluster(name: str, options: Json) -> Json:
    return {
        "name": name,
        "connect_timeout": seconds(_CONNECT),
        "per_connection_buffer_limit_bytes": _BUFFER,
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": _MOST,
                    "max_pending_requests": _MOST,
                    "max_requests": _MOST,
                    "max_retries": 0,
                }
            ]
        },
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {"@type": f"type.googleapis.com/{_HTTP_OPTIONS}"} | options
        },
    }


def remove_internal() -> list[Json]:
    """Mutations that remove what a guest could pretend to be, or a host could learn about, us."""
    return [
        {"remove_on_match": {"key_matcher": {"prefix": prefix, "ignore_case": True}}}
        for prefix in (envelope.PREFIX, "x-envoy-", "x-forwarded-")
    ]
