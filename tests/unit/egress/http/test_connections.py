"""What Envoy is told about reading requests and routing them."""

from __future__ import annotations

import json

from stockade.egress.http import clusters
from stockade.egress.http.config import Bounds
from stockade.egress.http.connections import manager


def _manager(scheme: str, *, courier: bool = False) -> dict[str, object]:
    config = manager(scheme, Bounds(), courier=courier)["typed_config"]
    assert isinstance(config, dict)
    return config


def test_a_question_without_an_answer_is_a_refusal() -> None:
    filters = json.dumps(_manager("https")["http_filters"])
    assert '"failure_mode_allow": false' in filters
    assert filters.index("ext_authz") < filters.index("http.router")


def test_without_the_authorizers_word_there_is_no_way() -> None:
    for scheme in ("http", "https"):
        routes = _manager(scheme)["route_config"]["virtual_hosts"][0]["routes"]  # type: ignore[index]
        assert routes[-1]["direct_response"] == {"status": 503}
        assert all("headers" in route["match"] for route in routes[:-1])


def test_tls_and_plain_never_change_into_one_another() -> None:
    https, http = json.dumps(_manager("https")), json.dumps(_manager("http"))
    assert f'"cluster": "{clusters.PLAIN}"' not in https
    assert f'"cluster": "{clusters.TLS}"' not in http


def test_the_courier_has_a_way_only_where_there_is_one() -> None:
    assert '"cluster": "courier"' not in json.dumps(_manager("https"))
    assert '"cluster": "courier"' in json.dumps(_manager("https", courier=True))
