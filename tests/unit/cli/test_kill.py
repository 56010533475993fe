from __future__ import annotations

import os
import subprocess
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from stockade.cli import kill
from stockade.model.errors import StockadeError
from stockade.sandbox import registry


def test_the_named_machine_is_killed(
    read: Callable[..., Namespace],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with subprocess.Popen(["sleep", "600"]) as victim:
        machine = registry.new_id()
        registry.write(
            registry.Record(
                id=machine,
                pid=victim.pid,
                ticks=registry.start_ticks(victim.pid),
                owner=os.getpid(),
                backend="qemu-microvm",
                image="debian-python",
                profile="default",
                command=[],
                started=0.0,
            )
        )
        assert kill.run(read(kill, machine[:6])) == 0
        assert victim.wait(10) == -9
    assert capsys.readouterr().out == f"{machine}\n"
    assert registry.was_killed(machine)


def test_no_such_machine(
    read: Callable[..., Namespace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(StockadeError, match="no machine"):
        kill.run(read(kill, ""))
