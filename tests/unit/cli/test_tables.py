from __future__ import annotations

import pytest

from stockade.cli.tables import print_table, show_time


def test_columns_line_up_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("ID", "NAME"), [("a", "first"), ("abcdef", "second")])
    assert capsys.readouterr().out == "ID      NAME\na       first\nabcdef  second\n"


def test_a_cell_cannot_break_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("ID",), [("a\nb\x1b[2J",)])
    assert (
        capsys.readouterr().out == "ID\na\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[2J\n"
    )


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("ID", "NAME"), [])
    assert capsys.readouterr().out == "ID  NAME\n"


def test_a_moment_is_shown_to_the_minute_wherever_one_is() -> None:
    assert show_time(86_399.9) == "1970-01-01 23:59"
