from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable

import pytest

from stockade.cli.policy import schema
from stockade.policy.profileschema import profile_schema


def test_the_schema_is_printed(
    read: Callable[..., Namespace], capsys: pytest.CaptureFixture[str]
) -> None:
    assert schema.run(read(schema)) == 0
    assert json.loads(capsys.readouterr().out) == profile_schema()
