from __future__ import annotations

import pytest

from stockade.cli.options import add_json_option, add_profile_options
from stockade.cli.parser import Parser


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
