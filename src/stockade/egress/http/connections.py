"""How Envoy reads requests, what it asks and adds, and which way each one takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stockade.egress.http import clusters, envelope
from stockade.egress.http.api import extension, seconds

if TYPE_CHECKING:
    from stockade.egress.http.api import Json
    from stockade.egress.http.config import Bounds

HOST_KEY = "host"  # by which Envoy keeps what the PROXY protocol says of the host

_MAX_HEADERS_KB = 64
_MAX_HEADERS = 128
_KEPT = 300.0  # seconds that a connection without a request is kept
_MAX_ANSWER = 64 * 1024  # bytes of a refusal's body

# Statuses that Envoy itself answers with; a refusal of the authorizer's is JSON already.
_OWN_STATUSES = (400, 404, 408, 413, 426, 431, 500, 502, 503, 504)


def manager(scheme: str, bounds: Bounds, *, courier: bool) -> Json:
    """The HTTP connection manager of those connections on which ``scheme`` is spoken."""
    return extension(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=scheme,
        **_reading(bounds),
        scheme_header_transformation={"scheme_to_overwrite": scheme},
        early_header_mutation_extensions=[
            extension(
                "envoy.http.early_header_mutation.header_mutation",
                "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                mutations=clusters.remove_internal(),
            )
        ],
        # Passed on as if Envoy were not there.
        server_header_transformation="PASS_THROUGH",
        generate_request_id=False,
        preserve_external_request_id=True,
        use_remote_address=False,
        skip_xff_append=True,
        proxy_100_continue=False,
        upgrade_configs=[{"upgrade_type": "websocket"}],
        http_filters=[
            _authorization(scheme, bounds),
            extension(
                "envoy.filters.http.body_size_limit",
                "envoy.extensions.filters.http.body_size_limit.v3.BodySizeLimit",
                max_request_bytes=bounds.request_body,
            ),
            extension(
                "envoy.filters.http.router",
                "envoy.extensions.filters.http.router.v3.Router",
                suppress_envoy_headers=True,
            ),
        ],
        route_config=_routes(scheme, bounds, courier=courier),
        local_reply_config=_own_replies(),
    )


def _reading(bounds: Bounds) -> Json:
    """Be strict about what is a request, and patient only while bytes are moving."""
    return {
        "codec_type": "AUTO",
        "max_request_headers_kb": _MAX_HEADERS_KB,
        "request_headers_timeout": seconds(bounds.headers_time),
        "stream_idle_timeout": seconds(bounds.idle),
        "drain_timeout": seconds(0.5),
        "delayed_close_timeout": seconds(0.5),
        "common_http_protocol_options": {
            "idle_timeout": seconds(min(bounds.idle, _KEPT)),
            "max_headers_count": _MAX_HEADERS,
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "http_protocol_options": {
            "allow_absolute_url": False,
            "accept_http_10": False,
            "allow_chunked_length": False,
            # What cannot be taken up here is not upgraded, as RFC 9110, 7.8 has it.
            "ignore_http_11_upgrade": [{"prefix": "h2c"}, {"prefix": "TLS/"}],
        },
        "http2_protocol_options": {
            "allow_connect": False,
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 256 * 1024,
            "initial_connection_window_size": 1024 * 1024,
            "max_outbound_frames": 1000,
            "max_outbound_control_frames": 500,
            "stream_reset_burst": 100,  # CVE-2023-44487
            "stream_reset_rate": 20,
        },
        # The judge is told the path as it was sent, and so is the host.
        "normalize_path": False,
        "merge_slashes": False,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
    }


def _authorization(scheme: str, bounds: Bounds) -> Json:
    told = {
        envelope.SESSION: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        envelope.DESTINATION: "%DOWNSTREAM_LOCAL_ADDRESS%",
        envelope.HOST: f"%FILTER_STATE(envoy.network.proxy_protocol.tlv:FIELD:{HOST_KEY})%",
        envelope.SERVER_NAME: "%REQUESTED_SERVER_NAME%",
        envelope.SCHEME: scheme,
        envelope.METHOD: "%REQ(:METHOD)%",
        envelope.AUTHORITY: "%REQ(:AUTHORITY)%",
        envelope.TARGET: "%REQ(:PATH)%",
        envelope.UPGRADE: "%REQ(UPGRADE)%",
    }
    patience = seconds(bounds.patience + 1)  # the authorizer's own answer comes first
    return extension(
        "envoy.filters.http.ext_authz",
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        transport_api_version="V3",
        failure_mode_allow=False,
        status_on_error={"code": "ServiceUnavailable"},
        clear_route_cache=True,
        validate_mutations=True,
        max_denied_response_body_bytes=_MAX_ANSWER,
        disallowed_headers={"patterns": [{"exact": "authorization"}]},
        http_service={
            "server_uri": {
                "uri": "http://authorizer",
                "cluster": "authorizer",
                "timeout": patience,
            },
            "path_override": "/",
            "authorization_request": {
                "headers_to_add": [{"key": key, "value": value} for key, value in told.items()]
            },
            "authorization_response": {
                "allowed_upstream_headers": {
                    "patterns": [{"exact": name} for name in envelope.FROM_THE_AUTHORIZER]
                },
                "allowed_client_headers": {"patterns": [{"exact": "content-type"}]},
            },
        },
    )


def _routes(scheme: str, bounds: Bounds, *, courier: bool) -> Json:
    """Go where the authorizer says; without its word, nowhere."""
    websocket = {"name": "upgrade", "string_match": {"exact": "websocket", "ignore_case": True}}
    ways: list[tuple[str, list[Json], str]] = [("direct", [], clusters.PLAIN)]
    if scheme == "https":
        ways = [("direct", [websocket], clusters.TLS_HTTP1), ("direct", [], clusters.TLS)]
    if courier:
        ways.append(("courier", [], "courier"))
    routes = [
        {
            "match": {
                "prefix": "/",
                "headers": [
                    {"name": envelope.ROUTE, "string_match": {"exact": route}},
                    {"name": envelope.ADDRESS, "present_match": True},
                    *more,
                ],
            },
            "route": {
                "cluster": cluster,
                "timeout": seconds(0),  # a download or a stream of events may take its time
                "idle_timeout": seconds(bounds.idle),
            },
        }
        for route, more, cluster in ways
    ]
    nowhere = {"match": {"prefix": "/"}, "direct_response": {"status": 503}}
    return {
        "name": scheme,
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [*routes, nowhere]}],
    }


def _own_replies() -> Json:
    """Have Envoy's own answers in the form of the authorizer's."""
    body = {
        "error": "the request failed",
        "rule": "egress.http",
        "reason": "%RESPONSE_CODE_DETAILS%",
        "hint": "%LOCAL_REPLY_BODY%",
        "how_to_ask": "",
    }
    return {
        "mappers": [
            {
                "filter": {
                    "or_filter": {
                        "filters": [
                            {
                                "status_code_filter": {
                                    "comparison": {
                                        "op": "EQ",
                                        "value": {
                                            "default_value": status,
                                            "runtime_key": f"stockade.{status}",
                                        },
                                    }
                                }
                            }
                            for status in _OWN_STATUSES
                        ]
                    }
                },
                "body_format_override": {"json_format": body},
            }
        ]
    }
