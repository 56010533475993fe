"""A secret shows itself to nobody who does not ask."""

from __future__ import annotations

import copy
import pickle
import traceback

import pytest

from stockade.egress.credentials.secret import Secret
from stockade.model.errors import CredentialError

_TEXT = "correct-horse-battery"


def test_it_has_no_representation() -> None:
    secret = Secret(_TEXT, origin="env:X")
    shown = f"{secret} {secret!r} {secret:>30} {[secret]} {secret.__dir__()}"
    assert _TEXT not in shown + "%s" % secret  # noqa: UP031 - one way among the others
    assert secret.reveal() == _TEXT


def test_it_cannot_be_copied_or_hashed() -> None:
    secret = Secret(_TEXT, origin="env:X")
    for way in (pickle.dumps, copy.copy, copy.deepcopy, hash):
        with pytest.raises(TypeError) as refused:
            way(secret)
        assert _TEXT not in str(refused.value)


def test_it_compares_by_content() -> None:
    assert Secret(_TEXT, origin="a") == Secret(_TEXT, origin="b")
    assert Secret(_TEXT, origin="a") != Secret(_TEXT + "!", origin="a")
    assert Secret(_TEXT, origin="a") != _TEXT


@pytest.mark.parametrize(
    ("text", "problem"),
    [("q7-tiny", "fewer than 8"), ("x" * 16_385, "more than"), (_TEXT + "\r\nX: y", "printed")],
)
def test_what_cannot_be_one_is_refused_and_not_shown(text: str, problem: str) -> None:
    try:
        Secret(text, origin="env:X")
    except CredentialError as error:
        shown = "".join(traceback.format_exception(error)) + error.hint
        assert problem in shown
        assert "env:X" in shown
        assert text not in shown
    else:
        pytest.fail("it was taken")
