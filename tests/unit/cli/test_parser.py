from __future__ import annotations

import os

import pytest

from stockade.cli.parser import Parser
from stockade.model.errors import UsageError


@pytest.fixture
def parser() -> Parser:
    made = Parser("stockade try", "Try it.")
    made.add_argument("-l", "--limit", action="append", metavar="NAME=VALUE", help="A limit.")
    made.add_argument("--timeout", metavar="TIME", help="For as long as it may take. " * 5)
    made.add_argument("--json", action="store_true", help="Nothing that is broken: debian-python.")
    return made


def test_everything_after_two_dashes_is_the_command_as_it_is(parser: Parser) -> None:
    parser.take_command()
    odd = os.fsdecode(b"\xff")
    words = ["sh", "--limit", odd, "--", "--json", "", "-h"]
    read = parser.parse(["--limit", "a=1", "--", *words])
    assert (read.command, read.limit, read.json) == (words, ["a=1"], False)
    assert parser.parse(["--json"]).command == []
    assert parser.parse(["--"]).command == []


def test_what_stands_before_the_command_is_named(
    parser: Parser, capsys: pytest.CaptureFixture[str]
) -> None:
    parser.add_argument("machine")
    parser.take_command("MACHINE", needed=False)
    read = parser.parse(["aa", "--json", "--", "true"])
    assert (read.machine, read.json, read.command) == ("aa", True, ["true"])
    assert parser.parse(["aa"]).command == []
    with pytest.raises(UsageError, match="unexpected 'true'") as caught:
        parser.parse(["aa", "true"])
    assert caught.value.hint.endswith(": stockade try MACHINE -- COMMAND.")
    assert "[OPTIONS] MACHINE [-- COMMAND...]" in parser.format_usage()


def test_without_a_command_two_dashes_end_the_options() -> None:
    parser = Parser("stockade kill", "Kill it.")
    parser.add_argument("machine")
    assert parser.parse(["--", "-x"]).machine == "-x"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--jso"], "unknown option '--jso'; did you mean '--json'?"),
        (["--jsno=1"], "unknown option '--jsno'; did you mean '--json'?"),
        (["--nope" * 100], "unknown option '--nope--nope"),
        (["--timeout", "1s", "--timeout=1s"], "--timeout: may be given only once"),
        (["--timeout"], "--timeout: expected one argument"),
        (["--json=1"], "--json: ignored explicit argument '1'"),
        (["word"], "unexpected 'word'"),
    ],
)
def test_a_mistake_is_a_usage_error_that_names_the_help(
    parser: Parser, words: list[str], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parser.parse(words)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 200
    assert caught.value.hint == "See stockade try --help."


def test_a_command_without_two_dashes_is_told_to_have_some(parser: Parser) -> None:
    parser.take_command()
    with pytest.raises(UsageError, match="unexpected 'true'") as caught:
        parser.parse(["true", "--json"])
    assert caught.value.hint == "Write the command after two dashes: stockade try -- COMMAND."


def test_help_shows_each_option_once_and_no_line_is_too_long(
    parser: Parser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit) as end:
        parser.parse(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: stockade try ")
    assert "  -l, --limit NAME=VALUE  A limit.\n" in shown
    assert "debian-python" in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert parser.options == ["--help", "--limit", "--timeout", "--json"]
