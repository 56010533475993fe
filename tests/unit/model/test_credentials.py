from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from stockade.model.credentials import Credential


def _credential(**fields: Any) -> Credential:
    return Credential.model_validate({"from": "env:TOKEN", **fields})


def test_the_usual_ones_need_their_source_only() -> None:
    assert (_credential().header, _credential().format) == ("Authorization", "Bearer {secret}")
    assert _credential(header="X-Key", format="{secret}").source == "env:TOKEN"


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"from": "ghp_0123456789"}, "never the secret itself"),
        ({"from": "env:"}, "never the secret itself"),
        ({"from": "enw:A"}, "did you mean 'env'"),
        ({"from": "vault:x"}, "secrets are not read from 'vault'"),
        ({"from": "env:A-B"}, "the name of a variable"),
        ({"format": "Bearer"}, "must contain {secret} once"),
        ({"format": "{secret}{secret}"}, "must contain {secret} once"),
        ({"format": "{secret}\r\nX: y"}, "printable ASCII"),
        ({"header": "X Y"}, "should match pattern"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _credential(**fields)
    assert advice in caught.value.errors()[0]["msg"]


def test_what_may_be_a_secret_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        _credential(**{"from": "ghp_0123456789"})
    assert "ghp_" not in caught.value.errors()[0]["msg"]
