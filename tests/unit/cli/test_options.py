from __future__ import annotations

import pytest

from stockade.cli.options import (
    add_json_option,
    add_machine,
    add_profile_options,
    add_restored_options,
    add_watch_option,
    require_terminal,
)
from stockade.cli.parser import Parser
from stockade.model.errors import UsageError


@pytest.fixture
def parser() -> Parser:
    made = Parser("try", "")
    add_profile_options(made, time="5m")
    add_json_option(made)
    return made


def test_what_is_not_given_is_told_apart_from_what_is(parser: Parser) -> None:
    assert set(vars(parser.parse([])).values()) == {None, False}


def test_what_is_repeatable_is_collected_in_order(parser: Parser) -> None:
    words = ["-f", "a:/a", "--file=b:/b", "-eA=1", "-e", "B=2", "-l", "cpus=1", "--limit", "x"]
    read = parser.parse(words)
    assert (read.file, read.env) == (["a:/a", "b:/b"], ["A=1", "B=2"])
    assert read.limit == ["cpus=1", "x"]


def test_help_names_the_default_time(parser: Parser) -> None:
    assert "else 5m)" in " ".join(parser.format_help().split())


def test_what_runs_in_a_restored_machine_has_the_options_of_a_run() -> None:
    parser = Parser("stockade fork", "")
    add_machine(parser)
    add_restored_options(parser, "MACHINE")
    read = parser.parse(["aabb", "--watch", "--json", "--timeout", "5m", "--", "true"])
    assert vars(read) == {
        "machine": "aabb", "watch": True, "audit_only": False, "json": True, "timeout": "5m",
        "command": ["true"],
    }  # fmt: skip


def test_watching_is_for_whoever_asks_for_it() -> None:
    parser = Parser("try", "")
    add_watch_option(parser)
    assert [parser.parse(words).watch for words in ([], ["--watch"])] == [False, True]


def test_no_terminal_is_told_as_the_caller_would() -> None:
    # Under pytest, standard input is never a terminal.
    with pytest.raises(UsageError, match="a person is needed") as caught:
        require_terminal("a person is needed", hint="Be one.")
    assert caught.value.hint == "Be one."
