from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stockade.cli.selftest import egress
from stockade.model.errors import UsageError
from stockade.selftest.egress import Report, Result

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable


def test_a_category_that_there_is_not_is_refused(read: Callable[..., Namespace]) -> None:
    with pytest.raises(UsageError, match="no category"):
        egress.run(read(egress, "--only", "smugling"))


def test_what_got_through_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    through = Result("DNS", "long", ("a question for x",), "", 0.1)
    egress._show(Report([through], {"granted": False}, ["a packet"], ["UDP: NTP"], 1.0))
    out = capsys.readouterr().out
    assert "DNS: long" in out
    for what in ("a question for x", "a packet", "UDP: NTP", "granted", "1 got through"):
        assert what in out
