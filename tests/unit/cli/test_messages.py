from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stockade.cli.messages import complain, say


def test_a_complaint_joins_message_and_hint(capsys: pytest.CaptureFixture[str]) -> None:
    complain("no such image", "See stockade image list.")
    assert capsys.readouterr().err == "stockade: no such image. See stockade image list.\n"


def test_a_complaint_without_hint(capsys: pytest.CaptureFixture[str]) -> None:
    complain("no such image")
    assert capsys.readouterr().err == "stockade: no such image\n"


@given(text=st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_said_can_steer_the_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(text)
    line = capsys.readouterr().err
    assert line.endswith("\n")
    assert line[:-1].isprintable()
