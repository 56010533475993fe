"""The arguments of one command, read as the command line reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stockade.cli.parser import Parser

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from types import ModuleType


@pytest.fixture
def read() -> Callable[..., Namespace]:
    def parse(command: ModuleType, *words: str) -> Namespace:
        parser = Parser(command.__name__.rpartition(".")[2], "")
        command.add_arguments(parser)
        return parser.parse(words)

    return parse
