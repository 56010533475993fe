from __future__ import annotations

from importlib import import_module

from stockade.cli.selftest import COMMANDS


def test_each_command_is_a_module() -> None:
    assert COMMANDS
    for name in COMMANDS:
        assert callable(import_module(f"stockade.cli.selftest.{name}").run)
