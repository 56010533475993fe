"""Where secrets are kept and where they go: one place each, and never the secret itself."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from stockade.model.credentials import Credential, Place


def _credential(**values: Any) -> Credential:
    return Credential.model_validate({"from": "env:A_TOKEN", **values})


@pytest.mark.parametrize(
    "source",
    [
        "env:GITHUB_TOKEN",
        "file:/etc/stockade/key",
        "systemd:github.token",
        "vault:secret/ci/git hub#token",
        "vault:kv/a#b",
    ],
)
def test_sources(source: str) -> None:
    assert Credential.model_validate({"from": source}).source == source


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("ghp_0123456789abcdef", "never the secret itself"),
        ("env:", "never the secret itself"),
        ("envi:X", "did you mean"),
        ("env:A-B", "name of a variable"),
        ("file:key", "is not absolute"),
        ("file:~/key", "is not absolute"),
        ("systemd:../x", "credential of the service"),
        ("systemd:..", "credential of the service"),
        ("vault:secret#x", "MOUNT/PATH#FIELD"),
        ("vault:secret/x", "MOUNT/PATH#FIELD"),
        ("vault:secret/../sys#x", "MOUNT/PATH#FIELD"),
        ("vault:secret/a?b#x", "MOUNT/PATH#FIELD"),
    ],
)
def test_sources_that_are_none(source: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Credential.model_validate({"from": source})


def test_what_may_be_a_secret_is_not_quoted() -> None:
    with pytest.raises(ValidationError) as refused:
        Credential.model_validate({"from": "ghp_0123456789abcdef"})
    assert "ghp_" not in refused.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({}, Place.HEADER),
        ({"header": "X-Api-Key", "format": "{secret}"}, Place.HEADER),
        ({"query": "key"}, Place.QUERY),
        ({"basic": "alice"}, Place.BASIC),
        ({"body": "client_secret"}, Place.BODY),
    ],
)
def test_places(values: dict[str, str], place: Place) -> None:
    assert _credential(**values).place is place


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"query": "key", "basic": "alice"}, "'query' and 'basic' cannot both"),
        ({"header": "X-Key", "query": "key"}, "'query' and 'header' cannot both"),
        ({"format": "{secret}", "body": "t"}, "'body' and 'format' cannot both"),
        ({"header": "content-LENGTH"}, "cannot carry a secret"),
        ({"header": "Host"}, "cannot carry a secret"),
        ({"header": "a b"}, "pattern"),
        ({"format": "Bearer"}, "must contain"),
        ({"format": "{secret}{secret}"}, "must contain"),
        ({"format": "{secret}\r\nX: y"}, "printable"),
        ({"basic": "a:b"}, "':'"),
        ({"query": ""}, "at least 1"),
        ({"query": "a\nb"}, "printable"),
    ],
)
def test_places_that_cannot_be(values: dict[str, str], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        _credential(**values)
