"""Where a credential goes, and what of the agent's gives way."""

from __future__ import annotations

import base64
from http import HTTPStatus
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.egress.rig import KEY, PLAIN_KEY, delivery

from stockade.egress.courier.insertion import insert
from stockade.egress.courier.problems import Undeliverable


def test_a_header_replaces_all_of_its_name() -> None:
    fields = [(b"x-key", b"a"), (b"accept", b"*/*"), (b"x-key", b"b")]
    target, out = insert(b"/?a", fields, delivery(header="X-Key", format="token {secret}!"))
    assert (target, out) == (
        b"/?a",
        [(b"accept", b"*/*"), (b"x-key", b"token " + PLAIN_KEY.encode() + b"!")],
    )


def test_basic_replaces_authorization() -> None:
    _, out = insert(b"/", [(b"authorization", b"Bearer x")], delivery(KEY, basic="alice"))
    [(_, value)] = out
    assert base64.b64decode(value.removeprefix(b"Basic ")).decode() == f"alice:{KEY}"


@given(st.lists(st.sampled_from([b"key=x", b"%6bey=x", b"a=1", b"k+ey", b"", b"key", b"%"])))
def test_a_parameter_is_there_once(parts: list[bytes]) -> None:
    target, _ = insert(b"/p?" + b"&".join(parts), [], delivery(KEY, query="key"))
    path, _, query = target.partition(b"?")
    found = parse_qsl(query.decode(), keep_blank_values=True)
    assert path == b"/p"
    assert [value for name, value in found if name == "key"] == [KEY]
    assert query.count(b"a=1") == parts.count(b"a=1")


def test_what_goes_into_the_body_changes_nothing_here() -> None:
    assert insert(b"/", [(b"a", b"b")], delivery(body="t")) == (b"/", [(b"a", b"b")])


def test_a_secret_that_is_no_header_is_refused_without_being_shown() -> None:
    with pytest.raises(Undeliverable) as refused:
        insert(b"/", [], delivery(KEY))
    assert refused.value.status is HTTPStatus.BAD_GATEWAY
    assert KEY not in refused.value.detail
