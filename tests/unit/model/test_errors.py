from __future__ import annotations

import pytest

from stockade.model import errors


@pytest.mark.parametrize(
    "kind",
    [
        errors.UsageError,
        errors.ProfileError,
        errors.MissingToolError,
        errors.ImageError,
        errors.MachineError,
    ],
)
def test_every_error_is_caught_as_one_and_carries_a_hint(kind: type[errors.StockadeError]) -> None:
    error = kind("it broke", hint="Mend it")
    assert isinstance(error, errors.StockadeError)
    assert str(error) == "it broke"
    assert error.hint == "Mend it"
    assert kind("it broke").hint == ""


def test_a_refused_request_carries_the_agents_word_for_it() -> None:
    error = errors.RequestError("no such file", kind="not-found")
    assert isinstance(error, errors.StockadeError)
    assert (error.kind, error.hint) == ("not-found", "")
